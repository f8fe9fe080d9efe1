//===- RowKernels.h - The row kernels that are timed --------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_BENCH_CPU_ROWKERNELS_H
#define FTC_BENCH_CPU_ROWKERNELS_H

#include "KernelModule.h"

#include <cstdint>

namespace ftc::bench {

struct RowKernel {
  std::string name;
  KernelText kernel;
  int64_t elements;                  ///< f32 elements of each large buffer
  std::vector<size_t> reads, writes; ///< which buffers are the large ones
};

std::vector<RowKernel> rowKernels();

/// A plain AVX2 loop with the same memory traffic: reads every `reads[i]`, adds them up, writes the sum to every
/// `writes[i]`, on the pool's threads. `count` is a multiple of 8.
void runTraffic(ftc::ThreadPool &pool, const std::vector<float *> &reads, const std::vector<float *> &writes,
                int64_t count);

} // namespace ftc::bench

#endif // FTC_BENCH_CPU_ROWKERNELS_H

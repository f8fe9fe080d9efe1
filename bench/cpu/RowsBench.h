//===- RowsBench.h - Row kernels against hand-written loops -------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_BENCH_CPU_ROWSBENCH_H
#define FTC_BENCH_CPU_ROWSBENCH_H

#include "nlohmann/json_fwd.hpp"

#include <string>
#include <vector>

namespace ftc::bench {

/// Times fused AdamW, RMSNorm and SwiGLU, forward and backward, against AVX2 loops written by hand that read and write
/// the same bytes, by turns, on each number of threads. Prints a table and adds it to `report`.
void benchRows(const std::string &cpu, const std::string &only, double seconds, const std::vector<unsigned> &threads,
               nlohmann::json &report);

} // namespace ftc::bench

#endif // FTC_BENCH_CPU_ROWSBENCH_H

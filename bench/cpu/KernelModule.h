//===- KernelModule.h - Kernels compiled and loaded for timing ----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_BENCH_CPU_KERNELMODULE_H
#define FTC_BENCH_CPU_KERNELMODULE_H

#include "ftc/Runtime/CPU/ThreadPool.h"

#include <string>
#include <vector>

namespace ftc::bench {

/// One plan.kernel as text: `@name { ... }` with arguments of the types in `buffers` ("memref<16x64xf32>").
struct KernelText {
  std::string name;
  std::vector<std::string> buffers;
  std::string text; ///< the whole `plan.kernel @name {...}`
};

/// Kernels, each in an entry of its own, brought by the CPU backend to a shared object like any step, and loaded.
/// Exits with a message when compilation fails.
class KernelModule {
public:
  KernelModule(const std::vector<KernelText> &kernels, const std::string &cpu, unsigned threads);
  ~KernelModule();
  KernelModule(const KernelModule &) = delete;
  KernelModule &operator=(const KernelModule &) = delete;

  /// Runs kernel `index` on the pool's threads.
  void run(size_t index, ThreadPool &pool) const;
  /// The memory of buffer `buffer` of kernel `index`.
  void *buffer(size_t index, size_t buffer) const;
  double compileSeconds() const { return seconds; }

private:
  const ftrt_step *step = nullptr;
  void *library = nullptr;
  void *slab = nullptr;
  std::vector<std::vector<size_t>> offsets;
  double seconds = 0;
};

} // namespace ftc::bench

#endif // FTC_BENCH_CPU_KERNELMODULE_H

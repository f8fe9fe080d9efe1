//===- JitKernel.h - Runs one plan.kernel in this process ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_JITKERNEL_H
#define FTC_TEST_UNIT_TARGET_JITKERNEL_H

#include "lib/Target/CPU/CpuTarget.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ftc::test {

/// The target called `cpu` ("x86-64-v3", or "native" for the host), planned for `threads` threads.
cpu::CpuTarget targetFor(const std::string &cpu, unsigned threads);

/// A kernel given as the text of one plan.kernel, called through the service table that a step gets. Scratch memory is
/// added behind the kernel's buffers, filled with NaN patterns before each call, with a checked guard behind it.
class JitKernel {
public:
  JitKernel(const std::string &kernel, const cpu::CpuTarget &target);
  ~JitKernel();

  /// Calls the kernel on `buffers` with a parallel_for of `threads` threads. False if it wrote past its scratch memory.
  bool run(const std::vector<void *> &buffers, unsigned threads);

  int64_t scratchBytes() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_JITKERNEL_H

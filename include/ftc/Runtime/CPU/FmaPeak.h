//===- FmaPeak.h - How fast this machine multiplies and adds ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_CPU_FMAPEAK_H
#define FTC_RUNTIME_CPU_FMAPEAK_H

#include "ftc/Runtime/CPU/ThreadPool.h"

namespace ftc {

/// Floating-point operations a second (an fma counts 2) that the pool's threads reach together in fp32, from registers:
/// the widest of AVX-512, AVX2 and SSE that this CPU has. Measured for about `seconds`, up to ten times as
/// long while the threads share a core; the best of several rounds, so that a busy machine shows its peak all the same.
double measureFmaPeak(ThreadPool &pool, double seconds = 0.05);

} // namespace ftc

#endif // FTC_RUNTIME_CPU_FMAPEAK_H

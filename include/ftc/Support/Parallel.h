//===- Parallel.h - Independent work on all cores -----------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_PARALLEL_H
#define FTC_SUPPORT_PARALLEL_H

#include <cstddef>
#include <functional>

namespace ftc {

/// Calls work(0) to work(count - 1), each once, on as many threads as this process has cores for, this one among them,
/// and returns when all are over. Calls begin in this order; nothing else may be assumed of when, or on which thread,
/// each runs, so results have to be put in places of their own. `work` must not throw. Where the system gives no more
/// threads, there are fewer.
void parallelFor(size_t count, const std::function<void(size_t)> &work);

} // namespace ftc

#endif // FTC_SUPPORT_PARALLEL_H

//===- AllocationCount.h - Counts calls of operator new -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_CHECKPOINT_ALLOCATIONCOUNT_H
#define FTC_TEST_UNIT_CHECKPOINT_ALLOCATIONCOUNT_H

#include <cstdint>

namespace ftc {

/// Calls of operator new in this program so far.
uint64_t allocationCount();

} // namespace ftc

#endif // FTC_TEST_UNIT_CHECKPOINT_ALLOCATIONCOUNT_H

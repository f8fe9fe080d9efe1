//===- Allowance.h - How much may be kept so that all fits ------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_ALLOWANCE_H
#define FTC_PLANNING_ALLOWANCE_H

#include <cstdint>
#include <functional>

namespace ftc {

/// What was allowed to be kept, and what the whole plan then takes. Bytes.
struct Allowance {
  int64_t kept = 0;
  int64_t total = 0;
};

/// The largest allowance between 0 and `most` that was found whose plan takes no more than `budget`; if not even 0
/// does, that of 0. `measure` makes the plan for an allowance and tells its bytes. A byte more allowed is thought to
/// make the plan larger by a byte at most; where the plan's peak lies elsewhere it stays. So a plan that is too large
/// by d asks for d less at least, and one with d to spare allows d more; what lies between is halved, which is also
/// what finds the next step of stairs, where many allowances give one plan. Ends within 1/256 of the budget, or after
/// `tries` measurements.
Allowance largestFitting(int64_t most, int64_t budget, const std::function<int64_t(int64_t)> &measure, int tries = 12);

} // namespace ftc

#endif // FTC_PLANNING_ALLOWANCE_H

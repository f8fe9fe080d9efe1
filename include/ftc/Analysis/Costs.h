//===- Costs.h - What a step has to compute ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_COSTS_H
#define FTC_ANALYSIS_COSTS_H

#include "dialects/Train/IR/Train.h"

namespace ftc {

/// Floating-point operations that an entry cannot avoid: 2 m n k for each product, and causal attention's products over
/// the T (T + 1) / 2 visible pairs of each row and head (forward: scores and P V; backward: dV, dP, dQ, dK; scores that
/// the backward computes again are not counted). Document masks are not known at compile time and not subtracted.
double necessaryFlops(train::EntryOp entry);

} // namespace ftc

#endif // FTC_ANALYSIS_COSTS_H

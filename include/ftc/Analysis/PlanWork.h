//===- PlanWork.h - What an entry of a plan computes and moves -----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_PLANWORK_H
#define FTC_ANALYSIS_PLANWORK_H

#include "dialects/Plan/IR/Plan.h"

namespace ftc {

/// What a device reaches at best, as its data sheet has it.
struct DeviceRates {
  double flopsPerSecond = 0;     ///< of matrix products, in its fastest type that plans have (bf16)
  double nearBytesPerSecond = 0; ///< of its own memory
  double linkBytesPerSecond = 0; ///< to and from the far tier, each way
};

/// What all launches and copies of an entry do together, whatever runs them.
struct PlanWork {
  int64_t launches = 0;
  double flops = 0;          ///< of products and attention, what is computed again with them
  double necessaryFlops = 0; ///< without that
  double bytes = 0;          ///< of near memory that launches read and write, at least: each operand once a launch
  double bytesOut = 0;       ///< copied to the far tier
  double bytesIn = 0;        ///< copied from it
  /// Seconds on a device of these rates, 0 where rates are 0: of the launches, each the longer of its products and its
  /// bytes; of the link, that copies both ways at once; and of the entry, whose launches and copies run side by side.
  double launchSeconds = 0, linkSeconds = 0, seconds = 0;

  PlanWork &operator+=(const PlanWork &other);
};

/// Adds up an entry of a plan. A product counts 2 m n k. Attention counts its products over the pairs of a row that is
/// one document (forward 2, gradient 4: scores that a gradient computes again are not counted), as Analysis/Costs.h
/// does: where documents end is not known. What depends on data (the rows of a table that are looked up) counts no
/// bytes.
PlanWork workOf(plan::EntryOp entry, const DeviceRates &rates = {});

} // namespace ftc

#endif // FTC_ANALYSIS_PLANWORK_H

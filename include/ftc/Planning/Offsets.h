//===- Offsets.h - Places for buffers in one region of memory ---*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_OFFSETS_H
#define FTC_PLANNING_OFFSETS_H

#include <cstdint>
#include <span>
#include <vector>

namespace ftc {

/// A buffer to place: bytes, and the first and last moment at which it is live, both inclusive.
struct LiveInterval {
  int64_t bytes = 0;
  int64_t first = 0;
  int64_t last = 0;
};

/// Where each buffer is. All numbers are bytes.
struct OffsetAssignment {
  std::vector<int64_t> offsets; ///< one for each interval, in the order given; multiples of the alignment
  int64_t peak = 0;             ///< end of the highest buffer, rounded up to the alignment
  int64_t bound = 0;            ///< most bytes live at one moment: no assignment has a lower peak
};

/// Most bytes live at one moment, each buffer rounded up to `alignment`. `moment`, if given, gets the first such
/// moment.
int64_t liveBound(std::span<const LiveInterval> intervals, int64_t alignment, int64_t *moment = nullptr);

/// Gives buffers that are live at the same moment disjoint places. Greedy best fit: buffers in a fixed order, each into
/// the smallest gap that holds it between the placed buffers it meets in time, or on top of them. Several orders are
/// tried (largest first, largest bytes times moments first, longest first, earliest first) until one reaches the bound;
/// the lowest peak wins. Deterministic. Buffers of zero bytes get offset 0. `alignment` is a power of two; intervals
/// with last < first are never live and get offset 0.
OffsetAssignment assignOffsets(std::span<const LiveInterval> intervals, int64_t alignment = 64);

} // namespace ftc

#endif // FTC_PLANNING_OFFSETS_H

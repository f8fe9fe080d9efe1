//===- Recompute.h - What to keep of a layer, what to compute again -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_RECOMPUTE_H
#define FTC_PLANNING_RECOMPUTE_H

#include <cstdint>
#include <vector>

namespace ftc {

/// A layer's forward graph as far as the backward pass is concerned.
struct RecomputeProblem {
  /// What an op makes or reads.
  struct Value {
    int64_t bytes = 0;
    bool needed = false; ///< a backward op reads it
    bool mayGo = false;  ///< the far tier may have it from forward to backward
    friend bool operator==(const Value &, const Value &) = default;
  };
  /// An op that may be computed again.
  struct Op {
    double seconds = 0;
    std::vector<int> operands; ///< values that take memory if they are kept for it
    std::vector<int> results;
    friend bool operator==(const Op &, const Op &) = default;
  };
  std::vector<Value> values;
  std::vector<Op> ops; ///< each after those whose results it reads
  friend bool operator==(const RecomputeProblem &, const RecomputeProblem &) = default;
};

/// One answer for a layer.
struct RecomputeOption {
  int64_t bytes = 0;       ///< of the values that are kept from forward to backward
  int64_t movable = 0;     ///< of those that may go
  double seconds = 0;      ///< of the ops that are computed again
  std::vector<bool> again; ///< by op
};

/// Which ops can be computed again at which price, from nothing computed again, but what takes no time, to the fewest
/// bytes kept: ascending in seconds, descending in bytes. A value that is needed, or read by an op that is computed
/// again, is kept unless its own op is computed again. The options are the corners of the lower convex hull of all
/// answers: each minimizes bytes + price * seconds for some price, exactly, as a minimum cut (compare Jain et al. 2020,
/// "Checkmate", who state the choice as an integer programme, and the min-cut partitioner of PyTorch's AOTAutograd).
std::vector<RecomputeOption> recomputeOptions(const RecomputeProblem &problem);

/// Bytes kept and seconds spent if the ops `again` are computed again.
RecomputeOption evaluate(const RecomputeProblem &problem, std::vector<bool> again);

/// The values that are kept from forward to backward then, in the problem's order.
std::vector<int> keptValues(const RecomputeProblem &problem, const std::vector<bool> &again);

} // namespace ftc

#endif // FTC_PLANNING_RECOMPUTE_H

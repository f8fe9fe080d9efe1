//===- Closure.h - What is worth having with all that it needs --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_CLOSURE_H
#define FTC_PLANNING_CLOSURE_H

#include <cstdint>
#include <span>
#include <vector>

namespace ftc {

/// Node `node` may be chosen only together with node `needed`.
struct Need {
  int node = 0;
  int needed = 0;
};

/// The set of nodes with the largest sum of weights in which no chosen node lacks one that it needs; of several such
/// sets the smallest, which all others contain. Solved exactly as a minimum cut (Picard 1976, "Maximal closure of a
/// graph and applications to combinatorial problems"), the cut by shortest augmenting paths (Dinic 1970). Sums of
/// absolute weights must fit into 62 bits. Deterministic.
std::vector<bool> maximumClosure(std::span<const int64_t> weights, std::span<const Need> needs);

} // namespace ftc

#endif // FTC_PLANNING_CLOSURE_H

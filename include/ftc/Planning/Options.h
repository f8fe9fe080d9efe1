//===- Options.h - One option for each group within a limit -----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_OPTIONS_H
#define FTC_PLANNING_OPTIONS_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ftc {

/// One way to treat a group (a layer, say).
struct Option {
  int64_t bytes = 0;
  double seconds = 0;
};

struct OptionChoice {
  std::vector<size_t> options; ///< for each group the index of its option
  int64_t bytes = 0;           ///< together
  double seconds = 0;          ///< together
  double bound = 0;            ///< no choice within the capacity takes fewer seconds than this
};

/// The fastest choice of one option for each group that takes at most `capacity` bytes together: the multiple-choice
/// knapsack problem (Kellerer, Pferschy, Pisinger 2004, "Knapsack Problems", chapter 11). A dynamic programme over the
/// undominated sums of bytes and seconds; exact as long as there are no more than some thousands of them, as with
/// layers that are alike, else only the fastest of nearly equal ones are followed. `bound` is the linear relaxation's,
/// so that `seconds - bound` certifies how far from the best the answer can be. Null if the smallest options are too
/// large together. Every group has an option; bytes and seconds are at least 0. Deterministic.
std::optional<OptionChoice> chooseOptions(std::span<const std::vector<Option>> groups, int64_t capacity);

} // namespace ftc

#endif // FTC_PLANNING_OPTIONS_H

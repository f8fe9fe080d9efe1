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
  int64_t movable = 0; ///< of `bytes`, those that a link may take away and bring back
};

/// A link to a far tier, both ways as fast, that copies beside the computation.
struct CopyLink {
  double bytesPerSecond = 1; ///< each way
  double outSeconds = 0;     ///< while it may take something away and nobody waits
  double inSeconds = 0;      ///< while it may bring something back and nobody waits
  double secondsAByte = 0;   ///< what a byte costs that leaves and comes back even so

  /// Seconds that the computation waits for `away` bytes to leave and to come back.
  double stall(int64_t away) const;
  /// What they cost together.
  double seconds(int64_t away) const { return secondsAByte * static_cast<double>(away) + stall(away); }
};

struct OptionChoice {
  std::vector<size_t> options; ///< for each group the index of its option
  int64_t bytes = 0;           ///< together
  double seconds = 0;          ///< together, and what the link costs
  double bound = 0;            ///< no choice within the capacity takes fewer seconds than this
  int64_t away = 0;            ///< of `bytes`, those that have to leave
};

/// The fastest choice of one option for each group that takes at most `capacity` bytes together: the multiple-choice
/// knapsack problem (Kellerer, Pferschy, Pisinger 2004, "Knapsack Problems", chapter 11). A dynamic programme over the
/// undominated sums of bytes and seconds; exact as long as there are no more than some thousands of them, as with
/// layers that are alike, else only the fastest of nearly equal ones are followed. `bound` is the linear relaxation's,
/// so that `seconds - bound` certifies how far from the best the answer can be. Null if the smallest options are too
/// large together. Every group has an option; bytes and seconds are at least 0. Deterministic.
std::optional<OptionChoice> chooseOptions(std::span<const std::vector<Option>> groups, int64_t capacity);

/// The same where movable bytes may leave, so that `capacity` holds the others. A byte that leaves makes room for
/// another, so the link is more capacity, which has a price: nothing but `secondsAByte` up to the shorter of its
/// windows, and what is waited for behind. One programme finds the fastest choice for every sum of bytes; which of them
/// is best with its price is then seen, and the relaxation buys bytes for as long as they are worth it. Where nothing
/// is gained by the link, the answer is that of the options alone. Exact as above, but where the bytes that cannot move
/// leave no room for choices: then what fits is found, and not always the fastest.
std::optional<OptionChoice> chooseOptions(std::span<const std::vector<Option>> groups, int64_t capacity,
                                          const CopyLink &link);

} // namespace ftc

#endif // FTC_PLANNING_OPTIONS_H

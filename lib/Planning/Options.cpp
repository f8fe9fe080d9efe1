//===- Options.cpp - One option for each group within a limit -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Options.h"

#include <algorithm>

using namespace ftc;

namespace {

/// Sums that are followed from one group to the next.
constexpr size_t mostStates = 4096;

/// A choice for the first groups.
struct State {
  int64_t bytes;
  double seconds;
  size_t before; ///< the state that it extends
  size_t option; ///< by this
};

/// Of states in ascending order of bytes those that are faster than all before.
std::vector<State> undominated(std::vector<State> states) {
  std::sort(states.begin(), states.end(), [](const State &a, const State &b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.seconds < b.seconds;
  });
  std::vector<State> kept;
  for (const State &state : states)
    if (kept.empty() || state.seconds < kept.back().seconds)
      kept.push_back(state);
  return kept;
}

/// The smallest state, and of those of nearly equal bytes the fastest.
std::vector<State> thinned(const std::vector<State> &states) {
  if (states.size() <= mostStates)
    return states;
  int64_t first = states.front().bytes, width = (states.back().bytes - first) / int64_t(mostStates) + 1;
  std::vector<State> kept{states.front()};
  for (size_t i = 1; i < states.size(); ++i)
    if (i + 1 == states.size() || (states[i].bytes - first) / width != (states[i + 1].bytes - first) / width)
      kept.push_back(states[i]);
  return kept;
}

/// A step along the lower convex hull of a group's options.
struct Gain {
  int64_t bytes;
  double seconds; ///< less
};

/// Appends the steps from the smallest to the fastest option, each worth less a byte than the one before; returns the
/// smallest.
Option appendGains(const std::vector<Option> &options, std::vector<Gain> &gains) {
  std::vector<Option> sorted = options, hull;
  std::sort(sorted.begin(), sorted.end(), [](const Option &a, const Option &b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.seconds < b.seconds;
  });
  auto steepness = [](const Option &from, const Option &to) {
    return (from.seconds - to.seconds) / static_cast<double>(to.bytes - from.bytes);
  };
  for (const Option &option : sorted) {
    if (!hull.empty() && option.seconds >= hull.back().seconds)
      continue;
    while (hull.size() > 1 && steepness(hull[hull.size() - 2], hull.back()) <= steepness(hull.back(), option))
      hull.pop_back();
    hull.push_back(option);
  }
  for (size_t i = 1; i < hull.size(); ++i)
    gains.push_back({hull[i].bytes - hull[i - 1].bytes, hull[i - 1].seconds - hull[i].seconds});
  return hull.front();
}

} // namespace

std::optional<OptionChoice> ftc::chooseOptions(std::span<const std::vector<Option>> groups, int64_t capacity) {
  // What later groups take at least.
  std::vector<int64_t> rest(groups.size() + 1);
  for (size_t i = groups.size(); i-- > 0;)
    rest[i] = rest[i + 1] + std::min_element(groups[i].begin(), groups[i].end(), [](const Option &a, const Option &b) {
                              return a.bytes < b.bytes;
                            })->bytes;
  if (rest[0] > capacity)
    return std::nullopt;

  std::vector<std::vector<State>> levels{{{0, 0, 0, 0}}};
  for (size_t i = 0; i < groups.size(); ++i) {
    std::vector<State> states;
    const std::vector<State> &before = levels.back();
    for (size_t from = 0; from < before.size(); ++from)
      for (size_t option = 0; option < groups[i].size(); ++option) {
        int64_t bytes = before[from].bytes + groups[i][option].bytes;
        if (bytes + rest[i + 1] <= capacity)
          states.push_back({bytes, before[from].seconds + groups[i][option].seconds, from, option});
      }
    levels.push_back(thinned(undominated(std::move(states))));
  }

  OptionChoice choice;
  size_t at = levels.back().size() - 1; // the fastest
  choice.bytes = levels.back()[at].bytes;
  choice.seconds = levels.back()[at].seconds;
  choice.options.resize(groups.size());
  for (size_t i = groups.size(); i > 0; --i) {
    choice.options[i - 1] = levels[i][at].option;
    at = levels[i][at].before;
  }

  // The relaxation: parts of options may be taken, so the steps worth most a byte come first.
  std::vector<Gain> gains;
  int64_t room = capacity;
  for (const std::vector<Option> &group : groups) {
    Option smallest = appendGains(group, gains);
    choice.bound += smallest.seconds;
    room -= smallest.bytes;
  }
  std::stable_sort(gains.begin(), gains.end(), [](const Gain &a, const Gain &b) {
    return a.seconds * static_cast<double>(b.bytes) > b.seconds * static_cast<double>(a.bytes);
  });
  for (const Gain &gain : gains) {
    if (room <= 0)
      break;
    double share = std::min(1.0, static_cast<double>(room) / static_cast<double>(gain.bytes));
    choice.bound -= share * gain.seconds;
    room -= std::min(room, gain.bytes);
  }
  choice.bound = std::min(choice.bound, choice.seconds); // rounding
  return choice;
}

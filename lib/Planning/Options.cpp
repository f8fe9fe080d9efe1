//===- Options.cpp - One option for each group within a limit -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Options.h"

#include <algorithm>
#include <cmath>

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
  size_t number;  ///< among all
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
    gains.push_back({hull[i].bytes - hull[i - 1].bytes, hull[i - 1].seconds - hull[i].seconds, gains.size()});
  return hull.front();
}

using Groups = std::span<const std::vector<Option>>;

/// The fastest choices for the first groups, by their bytes.
class Programme {
public:
  /// For sums of at most `capacity` bytes; what later groups take at least is known.
  Programme(Groups groups, int64_t capacity) : groups(groups) {
    std::vector<int64_t> rest(groups.size() + 1);
    for (size_t i = groups.size(); i-- > 0;)
      rest[i] = rest[i + 1] + std::ranges::min(groups[i], {}, &Option::bytes).bytes;
    if (rest[0] > capacity)
      return;
    levels.push_back({{0, 0, 0, 0}});
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
  }

  /// Of all groups, in ascending order of bytes and each faster than the one before; none if nothing fits.
  size_t count() const { return levels.empty() ? 0 : levels.back().size(); }
  OptionChoice choice(size_t at) const {
    OptionChoice choice;
    choice.bytes = levels.back()[at].bytes;
    choice.seconds = levels.back()[at].seconds;
    choice.options.resize(groups.size());
    for (size_t i = groups.size(); i > 0; --i) {
      choice.options[i - 1] = levels[i][at].option;
      at = levels[i][at].before;
    }
    return choice;
  }

private:
  Groups groups;
  std::vector<std::vector<State>> levels;
};

/// What no choice can beat: parts of options may be taken, so the steps worth most a byte come first. Bytes beyond the
/// capacity are bought from the link, if there is one, as long as a step is worth their price.
class Relaxation {
public:
  Relaxation(Groups groups, int64_t capacity, const CopyLink *link) {
    std::vector<Gain> gains;
    int64_t room = capacity;
    for (const std::vector<Option> &group : groups) {
      Option smallest = appendGains(group, gains);
      seconds += smallest.seconds;
      room -= smallest.bytes;
    }
    std::sort(gains.begin(), gains.end(), [](const Gain &a, const Gain &b) {
      const double worthA = a.seconds * static_cast<double>(b.bytes), worthB = b.seconds * static_cast<double>(a.bytes);
      return worthA != worthB ? worthA > worthB : a.number < b.number;
    });
    bought = std::max<int64_t>(-room, 0); // the smallest do not fit
    room = std::max<int64_t>(room, 0);
    for (const Gain &gain : gains) {
      int64_t left = gain.bytes, free = std::min(left, room);
      double worth = gain.seconds / static_cast<double>(gain.bytes);
      seconds -= worth * static_cast<double>(free);
      room -= free;
      left -= free;
      while (link && left > 0) {
        Price price = priceOf(*link, bought);
        if (price.aByte >= worth)
          break;
        int64_t part = std::min(left, price.upTo - bought);
        seconds -= worth * static_cast<double>(part);
        bought += part;
        left -= part;
      }
      if (left > 0)
        break;
    }
    if (link)
      seconds += link->seconds(bought);
  }

  double seconds = 0;
  int64_t bought = 0; ///< bytes

private:
  struct Price {
    double aByte;
    int64_t upTo; ///< as long as no more have left
  };
  /// Of the next byte that leaves.
  static Price priceOf(const CopyLink &link, int64_t away) {
    auto bytesOf = [&](double seconds) { // rounded up: not dearer than it is
      return static_cast<int64_t>(std::ceil(std::min(seconds * link.bytesPerSecond, 9e18)));
    };
    auto [shorter, longer] = std::minmax(link.outSeconds, link.inSeconds);
    double waiting = 1 / link.bytesPerSecond;
    if (away < bytesOf(shorter))
      return {link.secondsAByte, bytesOf(shorter)};
    if (away < bytesOf(longer))
      return {link.secondsAByte + waiting, bytesOf(longer)};
    return {link.secondsAByte + 2 * waiting, INT64_MAX};
  }
};

int64_t movableOf(Groups groups, const std::vector<size_t> &options) {
  int64_t bytes = 0;
  for (size_t i = 0; i < groups.size(); ++i)
    bytes += groups[i][options[i]].movable;
  return bytes;
}

/// The choice that leaves most room to those bytes that cannot move, and so fits if any does.
std::optional<OptionChoice> chooseByFixedBytes(Groups groups, int64_t capacity, const CopyLink &link) {
  std::vector<std::vector<Option>> fixed(groups.begin(), groups.end());
  double aByte = link.secondsAByte + 2 / link.bytesPerSecond;
  for (std::vector<Option> &options : fixed)
    for (Option &option : options)
      option = {option.bytes - option.movable, option.seconds + aByte * static_cast<double>(option.movable)};
  Programme programme(fixed, capacity);
  if (programme.count() == 0)
    return std::nullopt;
  OptionChoice choice = programme.choice(programme.count() - 1);
  choice.bytes = 0;
  choice.seconds = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    choice.bytes += groups[i][choice.options[i]].bytes;
    choice.seconds += groups[i][choice.options[i]].seconds;
  }
  return choice;
}

} // namespace

std::optional<OptionChoice> ftc::chooseOptions(Groups groups, int64_t capacity) {
  Programme programme(groups, capacity);
  if (programme.count() == 0)
    return std::nullopt;
  OptionChoice choice = programme.choice(programme.count() - 1);                          // the fastest
  choice.bound = std::min(Relaxation(groups, capacity, nullptr).seconds, choice.seconds); // rounding
  return choice;
}

double CopyLink::stall(int64_t away) const {
  double copying = static_cast<double>(away) / bytesPerSecond;
  return std::max(0.0, copying - outSeconds) + std::max(0.0, copying - inSeconds);
}

std::optional<OptionChoice> ftc::chooseOptions(Groups groups, int64_t capacity, const CopyLink &link) {
  std::optional<OptionChoice> best = chooseOptions(groups, capacity);
  Relaxation relaxation(groups, capacity, &link);
  auto consider = [&](OptionChoice choice) {
    choice.away = std::max<int64_t>(choice.bytes - capacity, 0);
    choice.seconds += link.seconds(choice.away);
    // Better by more than rounding: copies for nothing are not wanted.
    if (movableOf(groups, choice.options) >= choice.away &&
        (!best || choice.seconds < best->seconds - 1e-12 * std::abs(best->seconds)))
      best = std::move(choice);
  };
  // Whole options may ask for a little more than parts of them.
  int64_t largest = 0;
  for (const std::vector<Option> &group : groups)
    largest = std::max(largest, group.empty() ? 0 : std::ranges::max(group, {}, &Option::bytes).bytes);
  Programme programme(groups, capacity + relaxation.bought + 2 * largest);
  for (size_t i = 0; i < programme.count(); ++i)
    consider(programme.choice(i));
  if (std::optional<OptionChoice> choice = chooseByFixedBytes(groups, capacity, link))
    consider(std::move(*choice));
  if (best)
    best->bound = std::min(relaxation.seconds, best->seconds); // rounding
  return best;
}

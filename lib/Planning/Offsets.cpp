//===- Offsets.cpp - Places for buffers in one region of memory -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Offsets.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <random>

using namespace ftc;

static int64_t alignUp(int64_t value, int64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

int64_t ftc::liveBound(std::span<const LiveInterval> intervals, int64_t alignment, int64_t *moment) {
  std::map<int64_t, int64_t> change; // at a moment: bytes that start minus bytes that ended just before
  for (const LiveInterval &interval : intervals) {
    if (interval.last < interval.first)
      continue;
    int64_t bytes = alignUp(interval.bytes, alignment);
    change[interval.first] += bytes;
    change[interval.last + 1] -= bytes;
  }
  int64_t live = 0, most = 0;
  for (auto [when, bytes] : change) {
    live += bytes;
    if (live > most) {
      most = live;
      if (moment)
        *moment = when;
    }
  }
  return most;
}

namespace {
/// One greedy run over buffers in a given order.
class GreedyBestFit {
public:
  GreedyBestFit(std::span<const LiveInterval> intervals, int64_t alignment)
      : intervals(intervals), alignment(alignment) {}

  /// Returns the peak; gives up, returning the largest integer, once it cannot stay below `limit`.
  int64_t run(const std::vector<size_t> &order, int64_t limit, std::vector<int64_t> &offsets) {
    offsets.assign(intervals.size(), 0);
    std::vector<size_t> placed; // by offset, so that a walk meets neighbours from the bottom up
    int64_t peak = 0;
    for (size_t index : order) {
      const LiveInterval &buffer = intervals[index];
      int64_t bytes = alignUp(buffer.bytes, alignment);
      int64_t top = 0, best = -1, bestGap = std::numeric_limits<int64_t>::max();
      for (size_t other : placed) {
        const LiveInterval &neighbour = intervals[other];
        if (neighbour.last < buffer.first || buffer.last < neighbour.first)
          continue;
        int64_t gap = offsets[other] - top;
        if (gap >= bytes && gap < bestGap) {
          best = top;
          bestGap = gap;
        }
        top = std::max(top, offsets[other] + alignUp(neighbour.bytes, alignment));
      }
      int64_t offset = best >= 0 ? best : top;
      offsets[index] = offset;
      peak = std::max(peak, offset + bytes);
      if (peak >= limit)
        return std::numeric_limits<int64_t>::max();
      auto place = std::upper_bound(placed.begin(), placed.end(), index,
                                    [&](size_t a, size_t b) { return offsets[a] < offsets[b]; });
      placed.insert(place, index);
    }
    return peak;
  }

private:
  std::span<const LiveInterval> intervals;
  int64_t alignment;
};
} // namespace

OffsetAssignment ftc::assignOffsets(std::span<const LiveInterval> intervals, int64_t alignment) {
  OffsetAssignment result;
  result.offsets.assign(intervals.size(), 0);
  result.bound = liveBound(intervals, alignment);
  std::vector<size_t> buffers;
  for (size_t index = 0; index < intervals.size(); ++index)
    if (intervals[index].bytes > 0 && intervals[index].first <= intervals[index].last)
      buffers.push_back(index);
  if (buffers.empty())
    return result;

  auto moments = [&](size_t index) { return intervals[index].last - intervals[index].first + 1; };
  auto area = [&](size_t index) {
    return static_cast<double>(intervals[index].bytes) * static_cast<double>(moments(index));
  };
  using Before = std::function<bool(size_t, size_t)>;
  const Before portfolio[] = {
      [&](size_t a, size_t b) { return intervals[a].bytes > intervals[b].bytes; },
      [&](size_t a, size_t b) { return area(a) > area(b); },
      [&](size_t a, size_t b) { return moments(a) > moments(b); },
      [&](size_t a, size_t b) { return intervals[a].first < intervals[b].first; },
      [&](size_t a, size_t b) { return intervals[a].last > intervals[b].last; },
  };
  result.peak = std::numeric_limits<int64_t>::max();
  GreedyBestFit greedy(intervals, alignment);
  std::vector<size_t> bestOrder;
  for (const Before &before : portfolio) {
    std::vector<size_t> order = buffers;
    // Ties: larger first, then longer, then the order given.
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      if (before(a, b) || before(b, a))
        return before(a, b);
      if (intervals[a].bytes != intervals[b].bytes)
        return intervals[a].bytes > intervals[b].bytes;
      return moments(a) != moments(b) ? moments(a) > moments(b) : a < b;
    });
    std::vector<int64_t> offsets;
    int64_t peak = greedy.run(order, result.peak, offsets);
    if (peak < result.peak) {
      result.peak = peak;
      result.offsets = std::move(offsets);
      bestOrder = std::move(order);
    }
    if (result.peak == result.bound)
      return result;
  }

  // Local search: place a buffer that ends at the peak earlier, and keep what is no worse. The work is limited by a
  // count, never by time, and the random numbers are seeded: the same buffers always get the same places.
  constexpr size_t pairs = 20'000'000;
  size_t rounds = std::min<size_t>(2000, pairs / (buffers.size() * buffers.size()));
  std::minstd_rand random(1);
  for (size_t round = 0; round < rounds && result.peak > result.bound; ++round) {
    std::vector<size_t> highest; // positions in the order
    for (size_t position = 1; position < bestOrder.size(); ++position) {
      size_t index = bestOrder[position];
      if (result.offsets[index] + alignUp(intervals[index].bytes, alignment) == result.peak)
        highest.push_back(position);
    }
    std::vector<size_t> order = bestOrder;
    size_t from = highest.empty() ? 1 + random() % (order.size() - 1) : highest[random() % highest.size()];
    size_t to = random() % from;
    std::rotate(order.begin() + to, order.begin() + from, order.begin() + from + 1);
    std::vector<int64_t> offsets;
    int64_t peak = greedy.run(order, result.peak + 1, offsets);
    if (peak <= result.peak) {
      result.peak = peak;
      result.offsets = std::move(offsets);
      bestOrder = std::move(order);
    }
  }
  return result;
}

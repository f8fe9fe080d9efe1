//===- Lengths.cpp - For which lengths of rows a step is compiled ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A batch is computed by the shortest entry that holds its longest row. So what a set of lengths costs depends on how
// long the longest of `batch` samples is, not on how long samples are: of eight samples one is mostly long.
//
// *How long that is.* Of N samples n(l) have l tokens or fewer. A batch of B of them has none longer than l with the
// probability C(n(l), B) / C(N, B), the product of (n(l) - i) / (N - i) for i < B. No sampling, and no assumption about
// the distribution.
//
// *Which lengths.* Candidates c_1 < ... < c_m are the multiples of `step` to which some batch would be rounded, and the
// longest row, which must be one. (Another one could be replaced by the next lower candidate: the same batches, fewer
// positions.) W(j) is the share of batches that c_j holds. With k lengths, of which c_j is the last, batches up to
// c_j take
//
//     f(k, j) = min over i < j of f(k - 1, i) + c_j (W(j) - W(i)),    f(1, j) = c_j W(j)
//
// The cost of a group, w(i, j) = c_j (W(j) - W(i)), obeys the quadrangle inequality: for i < i' <= j < j',
// w(i, j') + w(i', j) - w(i, j) - w(i', j') = (c_j' - c_j) (W(i') - W(i)) >= 0. So the best i does not fall as j grows,
// and a layer is solved by halving: the middle j first, then each half within the bounds that it found. That takes
// O(most m log m) time, so tens of thousands of candidates are no matter.
//
// *How many.* The same inequality makes f(k, m) convex in k: a further length never saves more than the one before it.
// So the first one that is not worth it ends the search, and no later one would have been.
//
// Assumes: cost is proportional to positions (attention's quadratic part is small at lengths at which rows are padded),
// and shares are those of training. Promises: no other set of as many lengths has a smaller expected length. Knows
// nothing of memory: the plan is that of the longest rows whatever else is compiled.
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Lengths.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>

using namespace ftc;

int64_t ftc::roundedLength(int64_t tokens, int64_t step, int64_t limit) {
  return std::min((tokens + step - 1) / step * step, limit);
}

std::vector<double> ftc::longestOfBatches(std::span<const int64_t> samples, int64_t batch) {
  const int64_t all = std::accumulate(samples.begin(), samples.end(), int64_t(0));
  assert(all > 0 && batch > 0);
  batch = std::min(batch, all);
  std::vector<double> shares(samples.size());
  int64_t upTo = 0;
  double before = 0; // probability that no row of a batch is longer than the lengths so far
  for (size_t length = 0; length < samples.size(); ++length) {
    if (samples[length] == 0)
      continue;
    upTo += samples[length];
    double now = upTo >= batch;
    for (int64_t i = 0; i < batch && now > 0; ++i)
      now *= static_cast<double>(upTo - i) / static_cast<double>(all - i);
    shares[length] = now - before;
    before = now;
  }
  return shares;
}

double ftc::expectedLength(std::span<const double> longest, std::span<const int64_t> lengths) {
  double expected = 0;
  size_t next = 0;
  for (size_t tokens = 0; tokens < longest.size(); ++tokens) {
    while (next + 1 < lengths.size() && lengths[next] < static_cast<int64_t>(tokens))
      ++next;
    expected += longest[tokens] * static_cast<double>(lengths[next]);
  }
  return expected;
}

namespace {

/// The candidates, and one more row of f at a time.
class Ladder {
public:
  Ladder(std::span<const double> longest, const LengthChoice &choice) {
    for (size_t tokens = 0; tokens < longest.size(); ++tokens)
      if (longest[tokens] > 0)
        add(std::max(roundedLength(static_cast<int64_t>(tokens), choice.step, choice.longest),
                     std::min(choice.shortest, choice.longest)),
            longest[tokens]);
    add(choice.longest, 0);
    for (size_t j = 0; j < lengths.size(); ++j)
      best.push_back(static_cast<double>(lengths[j]) * held[j + 1]);
  }

  size_t candidates() const { return lengths.size(); }
  /// f(k, m), where k is the number of layers made, the first by the constructor.
  double cost() const { return best.back(); }

  void addLength() {
    std::vector<double> next(lengths.size(), std::numeric_limits<double>::infinity());
    std::vector<size_t> from(lengths.size());
    // A group ends before the first one of the next: k lengths need k candidates.
    const size_t first = choices.size() + 1;
    solve(next, from, first, lengths.size() - 1, first - 1, lengths.size() - 2);
    best = std::move(next);
    choices.push_back(std::move(from));
  }

  /// The best set of `count` lengths, for which as many layers were made, or more.
  std::vector<int64_t> chosen(size_t count) const {
    std::vector<int64_t> set = {lengths.back()};
    for (size_t at = lengths.size() - 1, layer = count - 1; layer > 0; --layer) {
      at = choices[layer - 1][at];
      set.push_back(lengths[at]);
    }
    std::reverse(set.begin(), set.end());
    return set;
  }

private:
  void add(int64_t length, double share) {
    if (lengths.empty() || lengths.back() != length) {
      lengths.push_back(length);
      held.push_back(held.back());
    }
    held.back() += share;
  }

  /// next[j] for j in [low, high], whose best last group begins behind a candidate of [least, most].
  void solve(std::vector<double> &next, std::vector<size_t> &from, size_t low, size_t high, size_t least, size_t most) {
    const size_t j = low + (high - low) / 2;
    for (size_t i = least; i <= std::min(most, j - 1); ++i) {
      const double cost = best[i] + static_cast<double>(lengths[j]) * (held[j + 1] - held[i + 1]);
      if (cost < next[j]) {
        next[j] = cost;
        from[j] = i;
      }
    }
    if (j > low)
      solve(next, from, low, j - 1, least, from[j]);
    if (j < high)
      solve(next, from, j + 1, high, from[j], most);
  }

  std::vector<int64_t> lengths;
  std::vector<double> held = {0};           ///< held[j + 1]: share of batches that lengths[j] holds
  std::vector<double> best;                 ///< f(k, j) of the last layer
  std::vector<std::vector<size_t>> choices; ///< of each layer but the first: the last candidate of the group before
};

} // namespace

std::vector<int64_t> ftc::chooseLengths(std::span<const double> longest, const LengthChoice &choice) {
  Ladder ladder(longest, choice);
  const size_t most = std::min<size_t>(static_cast<size_t>(std::max<int64_t>(choice.most, 1)), ladder.candidates());
  size_t count = 1;
  for (double before = ladder.cost(); count < most; ++count, before = ladder.cost()) {
    ladder.addLength();
    if (before - ladder.cost() < choice.worth * before)
      break;
  }
  return ladder.chosen(count);
}

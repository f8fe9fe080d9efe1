//===- LengthsTest.cpp - For which lengths of rows a step is compiled ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Lengths.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

using namespace ftc;

namespace {

using Lengths = std::vector<int64_t>;

/// The longest row of each choice of `batch` samples, all as likely.
std::vector<double> byEveryBatch(const std::vector<int64_t> &samples, int batch) {
  std::vector<size_t> each;
  for (size_t length = 0; length < samples.size(); ++length)
    each.insert(each.end(), static_cast<size_t>(samples[length]), length);
  std::vector<double> shares(samples.size());
  double batches = 0;
  for (uint32_t chosen = 0; chosen < uint32_t(1) << each.size(); ++chosen)
    if (std::popcount(chosen) == batch) {
      ++shares[each[static_cast<size_t>(std::bit_width(chosen)) - 1]];
      ++batches;
    }
  for (double &share : shares)
    share /= batches;
  return shares;
}

TEST(Lengths, TheLongestOfABatch) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<int64_t> samples(12);
    for (int i = 0; i < 11; ++i)
      ++samples[random() % samples.size()];
    for (int batch = 1; batch <= 11; ++batch) {
      SCOPED_TRACE(batch);
      const std::vector<double> shares = longestOfBatches(samples, batch), expected = byEveryBatch(samples, batch);
      for (size_t length = 0; length < samples.size(); ++length)
        EXPECT_NEAR(shares[length], expected[length], 1e-12) << length;
    }
  }
}

TEST(Lengths, FewerSamplesThanABatchAreOne) {
  const std::vector<int64_t> samples = {0, 2, 0, 1};
  EXPECT_EQ(longestOfBatches(samples, 100), (std::vector<double>{0, 0, 0, 1}));
}

TEST(Lengths, LargeBatchesOfManySamples) {
  std::vector<int64_t> samples(2000, 100);
  samples[0] = 0;
  const std::vector<double> shares = longestOfBatches(samples, 4096);
  EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-12);
  EXPECT_GT(shares[1999], 0.8);
  EXPECT_EQ(shares[10], 0);
}

TEST(Lengths, WhatIsExpected) {
  const std::vector<double> longest = {0, 0, 0.25, 0, 0.25, 0.5};
  EXPECT_DOUBLE_EQ(expectedLength(longest, Lengths{5}), 5);
  EXPECT_DOUBLE_EQ(expectedLength(longest, Lengths{2, 5}), 4.25);
  EXPECT_DOUBLE_EQ(expectedLength(longest, Lengths{2, 4, 5}), 4);
  EXPECT_DOUBLE_EQ(expectedLength(longest, Lengths{3, 8}), 6.75);
}

TEST(Lengths, Rounded) {
  EXPECT_EQ(roundedLength(1, 32, 100), 32);
  EXPECT_EQ(roundedLength(64, 32, 100), 64);
  EXPECT_EQ(roundedLength(65, 32, 100), 96);
  EXPECT_EQ(roundedLength(97, 32, 100), 100);
}

/// The least expected length of any set of `count` multiples of 8 up to 80, and 83, none below 16.
double byEverySet(const std::vector<double> &longest, size_t count) {
  double least = std::numeric_limits<double>::infinity();
  const Lengths candidates = {16, 24, 32, 40, 48, 56, 64, 72, 80};
  for (uint32_t chosen = 0; chosen < uint32_t(1) << candidates.size(); ++chosen) {
    Lengths set;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (chosen >> i & 1)
        set.push_back(candidates[i]);
    set.push_back(83);
    if (set.size() <= count)
      least = std::min(least, expectedLength(longest, set));
  }
  return least;
}

TEST(Lengths, NoOtherSetIsBetter) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    // Of all shapes: few lengths and many, a long tail, nothing near the longest.
    std::vector<double> longest(84);
    const int different = 1 + round % 40, reach = 1 + static_cast<int>(random() % 83);
    double sum = 0;
    for (int i = 0; i < different; ++i) {
      const double share = std::pow(static_cast<double>(random() % 1000 + 1) / 1000, 3);
      longest[1 + random() % static_cast<size_t>(reach)] += share;
      sum += share;
    }
    for (double &share : longest)
      share /= sum;
    double before = 0;
    for (int64_t most = 1; most <= 10; ++most) {
      SCOPED_TRACE("round " + std::to_string(round) + ", " + std::to_string(most));
      const Lengths found =
          chooseLengths(longest, {.longest = 83, .step = 8, .shortest = 16, .most = most, .worth = 0});
      EXPECT_LE(static_cast<int64_t>(found.size()), most);
      EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
      EXPECT_EQ(std::adjacent_find(found.begin(), found.end()), found.end());
      EXPECT_GE(found.front(), 16);
      EXPECT_EQ(found.back(), 83);
      for (size_t i = 0; i + 1 < found.size(); ++i)
        EXPECT_EQ(found[i] % 8, 0);
      const double cost = expectedLength(longest, found), least = byEverySet(longest, static_cast<size_t>(most));
      EXPECT_NEAR(cost, least, 1e-9);
      // As many as are worth it: the next one saves less than the share, the last one no less.
      const Lengths worth =
          chooseLengths(longest, {.longest = 83, .step = 8, .shortest = 16, .most = most, .worth = 0.02});
      const double kept = byEverySet(longest, worth.size());
      EXPECT_NEAR(expectedLength(longest, worth), kept, 1e-9);
      if (static_cast<int64_t>(worth.size()) < most)
        EXPECT_LE(kept - byEverySet(longest, worth.size() + 1), 0.02 * kept + 1e-9);
      if (worth.size() > 1)
        EXPECT_GE(byEverySet(longest, worth.size() - 1) - kept, 0.02 * byEverySet(longest, worth.size() - 1) - 1e-9);
      EXPECT_TRUE(before == 0 || cost <= before + 1e-9);
      before = cost;
    }
  }
}

TEST(Lengths, OneWhereAllAreAlike) {
  std::vector<double> longest(513);
  longest[512] = 1;
  EXPECT_EQ(chooseLengths(longest, {.longest = 512}), Lengths{512});
  // Of short rows a longest that is never reached.
  longest[512] = 0;
  longest[40] = 1;
  EXPECT_EQ(chooseLengths(longest, {.longest = 512, .shortest = 64}), (Lengths{64, 512}));
  EXPECT_EQ(chooseLengths(longest, {.longest = 48, .shortest = 64}), Lengths{48});
}

TEST(Lengths, ManyCandidates) {
  std::vector<double> longest(size_t(1) << 20);
  for (size_t tokens = 1; tokens < longest.size(); ++tokens)
    longest[tokens] = 1.0 / static_cast<double>(longest.size() - 1);
  // Evenly spread shares ask for evenly spread lengths.
  const Lengths found = chooseLengths(longest, {.longest = 1 << 20, .most = 8, .worth = 0});
  ASSERT_EQ(found.size(), 8u);
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(static_cast<double>(found[i]), static_cast<double>((i + 1) << 17), 64);
}

} // namespace

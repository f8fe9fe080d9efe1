//===- ClosureTest.cpp - Closures against all subsets -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Closure.h"

#include "gtest/gtest.h"

#include <random>

using namespace ftc;

namespace {

/// The set with the largest sum among all closed ones, as a mask; of several the one with fewest nodes.
unsigned bestOfAll(const std::vector<int64_t> &weights, const std::vector<Need> &needs) {
  unsigned best = 0;
  int64_t most = 0;
  for (unsigned set = 0; set < (1u << weights.size()); ++set) {
    bool closed = true;
    for (Need need : needs)
      closed &= !(set >> need.node & 1) || (set >> need.needed & 1);
    if (!closed)
      continue;
    int64_t sum = 0;
    for (size_t i = 0; i < weights.size(); ++i)
      sum += set >> i & 1 ? weights[i] : 0;
    if (sum > most || (sum == most && __builtin_popcount(set) < __builtin_popcount(best))) {
      most = sum;
      best = set;
    }
  }
  return best;
}

TEST(Closure, WhatIsWorthItsNeeds) {
  EXPECT_EQ(maximumClosure({}, {}), std::vector<bool>());
  EXPECT_EQ(maximumClosure(std::vector<int64_t>{5, -3, -3}, std::vector<Need>{{0, 1}}),
            (std::vector<bool>{true, true, false}));
  EXPECT_EQ(maximumClosure(std::vector<int64_t>{5, -3, -3}, std::vector<Need>{{0, 1}, {1, 2}}),
            (std::vector<bool>{false, false, false}));
  // Two share what they need; a tie is left out.
  EXPECT_EQ(maximumClosure(std::vector<int64_t>{4, 4, -7}, std::vector<Need>{{0, 2}, {1, 2}}),
            (std::vector<bool>{true, true, true}));
  EXPECT_EQ(maximumClosure(std::vector<int64_t>{4, -4, 0}, std::vector<Need>{{0, 1}}),
            (std::vector<bool>{false, false, false}));
}

TEST(Closure, AgainstAllSubsets) {
  std::mt19937 random(7);
  auto below = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  int chosen = 0;
  for (int round = 0; round < 2000; ++round) {
    int nodes = 1 + below(11);
    std::vector<int64_t> weights;
    for (int i = 0; i < nodes; ++i)
      weights.push_back(below(41) - 20);
    std::vector<Need> needs;
    for (int i = below(2 * nodes); i > 0; --i)
      needs.push_back({below(nodes), below(nodes)}); // circles and doubles too
    unsigned best = bestOfAll(weights, needs), found = 0;
    std::vector<bool> closure = maximumClosure(weights, needs);
    for (int i = 0; i < nodes; ++i)
      found |= closure[i] ? 1u << i : 0;
    ASSERT_EQ(found, best) << "round " << round;
    chosen += __builtin_popcount(found);
  }
  EXPECT_GT(chosen, 2000);
}

} // namespace

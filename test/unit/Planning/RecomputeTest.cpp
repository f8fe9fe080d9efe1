//===- RecomputeTest.cpp - What to keep, against all subsets ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Recompute.h"

#include "gtest/gtest.h"

#include <random>

using namespace ftc;

namespace {

/// A chain of ops with some shortcuts; the first value comes from outside.
RecomputeProblem randomLayer(std::mt19937 &random, int ops) {
  auto below = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  RecomputeProblem problem;
  problem.values.push_back({below(50), true});
  for (int i = 0; i < ops; ++i) {
    RecomputeProblem::Op op;
    op.seconds = below(20);
    for (int j = 1 + below(2); j > 0; --j)
      op.operands.push_back(below(static_cast<int>(problem.values.size())));
    for (int j = 1 + (below(4) == 0); j > 0; --j) {
      op.results.push_back(static_cast<int>(problem.values.size()));
      problem.values.push_back({1 + below(100), below(3) > 0});
    }
    if (below(6) > 0) // else it may not be computed again
      problem.ops.push_back(op);
  }
  return problem;
}

TEST(Recompute, WhatItNeedsIsKeptForIt) {
  // x -> a -> b: b is needed, a is not, x is there anyway.
  RecomputeProblem problem;
  problem.values = {{8, true}, {100, false}, {10, true}};
  problem.ops = {{5, {0}, {1}}, {1, {1}, {2}}};
  EXPECT_EQ(evaluate(problem, {false, false}).bytes, 18);
  EXPECT_EQ(evaluate(problem, {false, true}).bytes, 108); // a is kept instead
  EXPECT_EQ(evaluate(problem, {true, true}).bytes, 8);
  std::vector<RecomputeOption> options = recomputeOptions(problem);
  ASSERT_EQ(options.size(), 2u);
  EXPECT_EQ(options[0].bytes, 18);
  EXPECT_EQ(options[1].bytes, 8);
  EXPECT_EQ(options[1].seconds, 6);
}

TEST(Recompute, NothingToGain) {
  RecomputeProblem problem;
  problem.values = {{8, false}, {4, true}};
  problem.ops = {{1, {0}, {1}}};
  ASSERT_EQ(recomputeOptions(problem).size(), 1u); // 8 bytes to spare 4
  EXPECT_EQ(recomputeOptions({}).size(), 1u);
}

TEST(Recompute, CornersAgainstAllSubsets) {
  std::mt19937 random(11);
  size_t corners = 0;
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    RecomputeProblem problem = randomLayer(random, 9);
    std::vector<RecomputeOption> all;
    for (unsigned set = 0; set < (1u << problem.ops.size()); ++set) {
      std::vector<bool> again;
      for (size_t i = 0; i < problem.ops.size(); ++i)
        again.push_back(set >> i & 1);
      all.push_back(evaluate(problem, again));
    }
    std::vector<RecomputeOption> options = recomputeOptions(problem);
    corners += options.size();
    EXPECT_EQ(options.front().seconds, 0);
    for (size_t i = 0; i < options.size(); ++i) {
      EXPECT_EQ(evaluate(problem, options[i].again).bytes, options[i].bytes);
      // Nothing keeps as few bytes in less time.
      for (const RecomputeOption &other : all)
        EXPECT_FALSE(other.bytes <= options[i].bytes && other.seconds < options[i].seconds);
      if (i == 0)
        continue;
      // Nothing lies below the line between two neighbours.
      ASSERT_LT(options[i].bytes, options[i - 1].bytes);
      ASSERT_GT(options[i].seconds, options[i - 1].seconds);
      double price =
          static_cast<double>(options[i - 1].bytes - options[i].bytes) / (options[i].seconds - options[i - 1].seconds);
      double cost = static_cast<double>(options[i].bytes) + price * options[i].seconds;
      for (const RecomputeOption &other : all)
        EXPECT_GE(static_cast<double>(other.bytes) + price * other.seconds, cost - 1.5); // a byte of rounding
    }
    int64_t fewest = INT64_MAX;
    for (const RecomputeOption &other : all)
      fewest = std::min(fewest, other.bytes);
    EXPECT_EQ(options.back().bytes, fewest);
  }
  EXPECT_GT(corners, 800u);
}

TEST(Recompute, WhatIsKeptMayGo) {
  // x -> a -> b: all are needed; b may not go.
  RecomputeProblem problem;
  problem.values = {{8, true, true}, {100, true, true}, {10, true, false}};
  problem.ops = {{5, {0}, {1}}, {1, {1}, {2}}};
  EXPECT_EQ(keptValues(problem, {false, false}), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(keptValues(problem, {true, false}), (std::vector<int>{0, 2}));
  EXPECT_EQ(evaluate(problem, {false, false}).movable, 108);
  EXPECT_EQ(evaluate(problem, {true, false}).movable, 8);
  for (const RecomputeOption &option : recomputeOptions(problem))
    EXPECT_EQ(option.movable, evaluate(problem, option.again).movable);
}

} // namespace

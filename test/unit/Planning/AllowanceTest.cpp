//===- AllowanceTest.cpp - How much may be kept -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Allowance.h"

#include "gtest/gtest.h"

#include <algorithm>

using namespace ftc;

namespace {

/// A plan: `fixed` bytes, and what is kept in steps of `step`; never below `floor`, a peak elsewhere.
struct Plan {
  int64_t fixed, step, floor;
  int made = 0;
  int64_t operator()(int64_t kept) {
    ++made;
    return std::max(fixed + kept / step * step, floor);
  }
};

TEST(Allowance, AllIfItFits) {
  Plan plan{1000, 1, 0};
  Allowance found = largestFitting(5000, 6000, std::ref(plan));
  EXPECT_EQ(found.kept, 5000);
  EXPECT_EQ(plan.made, 1);
}

TEST(Allowance, NothingIfNothingFits) {
  Plan plan{7000, 1, 0};
  Allowance found = largestFitting(5000, 6000, std::ref(plan));
  EXPECT_EQ(found.kept, 0);
  EXPECT_EQ(found.total, 7000);
  EXPECT_LE(plan.made, 3);
}

TEST(Allowance, CloseToTheBudget) {
  for (int64_t step : {1, 10, 300, 4000})
    for (int64_t floor : {0, 20'000, 60'000})
      for (int64_t budget = 11'000; budget < 110'000; budget += 3'000) {
        SCOPED_TRACE(std::to_string(step) + " " + std::to_string(floor) + " " + std::to_string(budget));
        Plan plan{10'000, step, floor};
        Allowance found = largestFitting(100'000, budget, std::ref(plan));
        if (floor > budget) {
          EXPECT_EQ(found.kept, 0);
          continue;
        }
        EXPECT_LE(found.total, budget);
        EXPECT_EQ(plan(found.kept), found.total);
        // A step more would not have fitted, but for what the search leaves.
        EXPECT_GT(plan(std::min<int64_t>(found.kept + step + budget / 64, 100'001)), budget);
        EXPECT_LE(plan.made, 14); // with the two above
      }
}

/// Values are few and large, and a plan is larger or smaller by whole ones, which take a little more than their bytes:
/// many allowances give the same plan, and that can be too large by little.
TEST(Allowance, FindsTheStairBelowTheBudget) {
  constexpr int64_t fixed = 38'000'000, gap = 5'000,
                    sizes[] = {2'600'000, 1'310'720, 1'310'720, 73'728,    655'360,   1'966'080, 663'552,   737'280,
                               589'824,   73'664,    2'023'488, 1'310'720, 1'310'720, 655'360,   1'310'720, 4'000'000};
  int64_t most = 0;
  for (int64_t size : sizes)
    most += size;
  const auto total = [&](int64_t kept) {
    int64_t bytes = fixed;
    for (int64_t size : sizes) {
      if (kept < size)
        break;
      kept -= size, bytes += size + gap;
    }
    return bytes;
  };
  for (int64_t budget = fixed; budget < fixed + most; budget += 9'000) {
    SCOPED_TRACE(budget);
    int64_t best = fixed;
    for (int64_t stair = fixed, i = 0; i < static_cast<int64_t>(std::size(sizes)); ++i)
      if ((stair += sizes[i] + gap) <= budget)
        best = stair;
    const Allowance found = largestFitting(most, budget, total);
    EXPECT_EQ(found.total, total(found.kept));
    EXPECT_LE(found.total, budget);
    EXPECT_GE(found.total + budget / 256, best);
  }
}

} // namespace

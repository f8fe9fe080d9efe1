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
        EXPECT_LE(plan.made, 12);
      }
}

} // namespace

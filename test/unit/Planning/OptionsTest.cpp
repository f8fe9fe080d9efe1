//===- OptionsTest.cpp - Options against all combinations ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Options.h"

#include "gtest/gtest.h"

#include <random>

using namespace ftc;

namespace {

using Groups = std::vector<std::vector<Option>>;

double fastestOfAll(const Groups &groups, size_t from, int64_t capacity) {
  if (from == groups.size())
    return 0;
  double best = INFINITY;
  for (const Option &option : groups[from])
    if (option.bytes <= capacity)
      best = std::min(best, option.seconds + fastestOfAll(groups, from + 1, capacity - option.bytes));
  return best;
}

void expectSums(const Groups &groups, const OptionChoice &choice) {
  int64_t bytes = 0;
  double seconds = 0;
  ASSERT_EQ(choice.options.size(), groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    bytes += groups[i][choice.options[i]].bytes;
    seconds += groups[i][choice.options[i]].seconds;
  }
  EXPECT_EQ(choice.bytes, bytes);
  EXPECT_DOUBLE_EQ(choice.seconds, seconds);
}

TEST(Options, TheFastestThatFit) {
  Groups groups{{{10, 0}, {4, 1}}, {{10, 0}, {2, 5}}};
  EXPECT_EQ(chooseOptions(groups, 20)->options, (std::vector<size_t>{0, 0}));
  EXPECT_EQ(chooseOptions(groups, 19)->options, (std::vector<size_t>{1, 0}));
  EXPECT_EQ(chooseOptions(groups, 13)->options, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(chooseOptions(groups, 6)->options, (std::vector<size_t>{1, 1}));
  EXPECT_FALSE(chooseOptions(groups, 5));
  EXPECT_TRUE(chooseOptions({}, 0)->options.empty());
}

TEST(Options, AgainstAllCombinations) {
  std::mt19937 random(3);
  auto below = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  int fitted = 0;
  for (int round = 0; round < 1000; ++round) {
    Groups groups(1 + below(6));
    for (auto &group : groups)
      for (int i = 1 + below(5); i > 0; --i)
        group.push_back({below(50), static_cast<double>(below(50))});
    int64_t capacity = below(200);
    double best = fastestOfAll(groups, 0, capacity);
    std::optional<OptionChoice> choice = chooseOptions(groups, capacity);
    ASSERT_EQ(choice.has_value(), best < INFINITY) << "round " << round;
    if (!choice)
      continue;
    ++fitted;
    expectSums(groups, *choice);
    EXPECT_LE(choice->bytes, capacity);
    EXPECT_DOUBLE_EQ(choice->seconds, best) << "round " << round;
    EXPECT_LE(choice->bound, best) << "round " << round;
  }
  EXPECT_GT(fitted, 500);
}

TEST(Options, ManyUnlikeGroupsStayNearTheBound) {
  std::mt19937 random(5);
  Groups groups(126);
  int64_t all = 0;
  for (auto &group : groups) {
    int64_t bytes = 1 << 30;
    double seconds = 0;
    for (int i = 0; i < 12; ++i) {
      group.push_back({bytes, seconds});
      bytes -= static_cast<int64_t>(random() % (bytes / 4));
      seconds += 1e-3 * (i + 1) * (1 + static_cast<double>(random() % 1000) / 1000);
    }
    all += group.front().bytes;
  }
  OptionChoice choice = *chooseOptions(groups, all / 3);
  expectSums(groups, choice);
  EXPECT_LE(choice.bytes, all / 3);
  EXPECT_GT(choice.bound, 0);
  EXPECT_LT(choice.seconds, choice.bound * 1.001);
}

} // namespace

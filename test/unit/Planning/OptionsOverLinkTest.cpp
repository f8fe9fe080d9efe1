//===- OptionsOverLinkTest.cpp - Options and a link, against all --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Options.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <random>

using namespace ftc;

namespace {

using Groups = std::vector<std::vector<Option>>;

/// All combinations: the least seconds with what the link costs, and whether bytes that cannot move ever stood in the
/// way.
class AllCombinations {
public:
  AllCombinations(const Groups &groups, int64_t capacity, const CopyLink &link)
      : groups(groups), capacity(capacity), link(link) {
    follow(0, {});
  }
  double best = INFINITY, bestIfAllMoved = INFINITY;

private:
  void follow(size_t from, Option sum) {
    if (from == groups.size()) {
      int64_t away = std::max<int64_t>(sum.bytes - capacity, 0);
      double seconds = sum.seconds + link.seconds(away);
      bestIfAllMoved = std::min(bestIfAllMoved, seconds);
      if (away <= sum.movable)
        best = std::min(best, seconds);
      return;
    }
    for (const Option &option : groups[from])
      follow(from + 1, {sum.bytes + option.bytes, sum.seconds + option.seconds, sum.movable + option.movable});
  }
  const Groups &groups;
  int64_t capacity;
  const CopyLink &link;
};

void expectSums(const Groups &groups, int64_t capacity, const OptionChoice &choice, const CopyLink &link) {
  int64_t bytes = 0, movable = 0;
  double seconds = 0;
  ASSERT_EQ(choice.options.size(), groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const Option &option = groups[i][choice.options[i]];
    bytes += option.bytes;
    movable += option.movable;
    seconds += option.seconds;
  }
  EXPECT_EQ(choice.bytes, bytes);
  EXPECT_LE(choice.away, movable);
  EXPECT_EQ(choice.away, std::max<int64_t>(bytes - capacity, 0));
  seconds += link.seconds(choice.away);
  EXPECT_NEAR(choice.seconds, seconds, 1e-9 * seconds);
}

TEST(OptionsOverLink, BothWindowsAreWaitedFor) {
  CopyLink link{10, 2, 5, 0.5};
  EXPECT_EQ(link.stall(20), 0);
  EXPECT_EQ(link.seconds(20), 10);
  EXPECT_EQ(link.stall(30), 1);
  EXPECT_EQ(link.stall(50), 3);
  EXPECT_EQ(link.stall(60), 5); // 4 of the one, 1 of the other
}

TEST(OptionsOverLink, TheLinkIsSharedByAll) {
  // Each keeps 10, or computes 3 seconds again.
  std::vector<Option> group{{10, 0, 10}, {0, 3, 0}};
  Groups groups{group, group, group};
  CopyLink link{10, 2, 9, 0};
  auto chosen = [&](int64_t capacity) {
    OptionChoice choice = *chooseOptions(groups, capacity, link);
    expectSums(groups, capacity, choice, link);
    std::sort(choice.options.begin(), choice.options.end());
    return choice.options;
  };
  EXPECT_EQ(chosen(30), (std::vector<size_t>{0, 0, 0}));
  EXPECT_EQ(chosen(10), (std::vector<size_t>{0, 0, 0})); // all that the link can take for nothing
  EXPECT_EQ(chosen(0), (std::vector<size_t>{0, 0, 0}));  // a second of stall, against three
  link.bytesPerSecond = 1;                               // ten seconds a copy
  EXPECT_EQ(chosen(0), (std::vector<size_t>{1, 1, 1}));
  EXPECT_FALSE(chooseOptions(groups, -1, link));
}

TEST(OptionsOverLink, NothingToGainIsTheAnswerWithoutALink) {
  Groups groups{{{10, 0, 10}, {4, 1, 4}}, {{10, 0, 10}, {2, 5, 2}}};
  CopyLink slow{0.1, 1, 1, 0};
  for (int64_t capacity : {20, 14, 13, 6}) {
    OptionChoice choice = *chooseOptions(groups, capacity, slow);
    EXPECT_EQ(choice.options, chooseOptions(groups, capacity)->options) << capacity;
    EXPECT_EQ(choice.away, 0);
  }
  EXPECT_EQ(chooseOptions(groups, 5, slow)->away, 1); // nothing else fits
  // Nor is anything copied that costs as much as it spares.
  CopyLink dear{10, 9, 9, 0.1 + 1.0 / 6};
  EXPECT_EQ(chooseOptions(groups, 14, dear)->away, 0);
}

TEST(OptionsOverLink, AgainstAllCombinations) {
  std::mt19937 random(7);
  auto below = [&](int count) { return static_cast<int>(random() % static_cast<unsigned>(count)); };
  int fitted = 0, away = 0, stalled = 0, hindered = 0;
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Groups groups(1 + below(6));
    for (auto &group : groups) {
      if (&group != &groups.front() && below(2)) {
        group = groups.front(); // some are alike
        continue;
      }
      for (int i = 1 + below(5); i > 0; --i) {
        int64_t bytes = below(50);
        group.push_back({bytes, static_cast<double>(below(50)), bytes * (2 + below(3)) / 4});
      }
    }
    CopyLink link{0.1 * (1 + below(40)), static_cast<double>(below(30)), static_cast<double>(below(60)),
                  0.25 * below(3)};
    int64_t capacity = below(150);
    AllCombinations all(groups, capacity, link);
    std::optional<OptionChoice> choice = chooseOptions(groups, capacity, link);
    ASSERT_EQ(choice.has_value(), all.best < INFINITY);
    if (!choice)
      continue;
    ++fitted;
    away += choice->away > 0;
    stalled += link.stall(choice->away) > 0;
    expectSums(groups, capacity, *choice, link);
    EXPECT_LE(choice->bound, all.bestIfAllMoved + 1e-9);
    if (all.bestIfAllMoved < all.best) // bytes that cannot move stand in the way
      ++hindered;
    else
      EXPECT_NEAR(choice->seconds, all.best, 1e-9);
    EXPECT_GE(choice->seconds, all.best - 1e-9);
    if (HasFailure())
      return;
  }
  EXPECT_GT(fitted, 2000);
  EXPECT_GT(away, 500);
  EXPECT_GT(stalled, 200);
  EXPECT_LT(hindered, 300);
}

TEST(OptionsOverLink, LayersOfAModelStayNearTheBound) {
  // What a layer of a transformer trades, and a link that takes a tenth of all away for nothing.
  std::mt19937 random(9);
  std::vector<Option> layer;
  int64_t bytes = 1 << 29;
  double seconds = 0;
  for (int i = 0; i < 9; ++i) {
    layer.push_back({bytes, seconds, bytes});
    bytes -= static_cast<int64_t>(random() % (bytes / 2));
    seconds += 1e-4 * (i + 1) * (1 + static_cast<double>(random() % 1000) / 1000);
  }
  Groups groups(80, layer);
  const int64_t all = (1 << 29) * int64_t(80);
  CopyLink link{16e9, static_cast<double>(all) / 10 / 16e9, static_cast<double>(all) / 8 / 16e9, 1e-12};
  for (int share : {9, 7, 5, 3, 1}) {
    SCOPED_TRACE(share);
    OptionChoice choice = *chooseOptions(groups, all * share / 10, link);
    expectSums(groups, all * share / 10, choice, link);
    EXPECT_GT(choice.away, all / 11);
    EXPECT_LT(choice.seconds, chooseOptions(groups, all * share / 10)->seconds);
    EXPECT_LE(choice.seconds, choice.bound * 1.01);
  }
}

} // namespace

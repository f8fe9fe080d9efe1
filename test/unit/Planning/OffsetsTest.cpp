//===- OffsetsTest.cpp - Places for buffers in one region of memory -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Offsets.h"

#include "gtest/gtest.h"

#include <random>
#include <sstream>

using namespace ftc;

namespace {

/// Every buffer in bounds and aligned, no two that meet in time overlap, peak and bound as they have to be.
void expectValid(const std::vector<LiveInterval> &intervals, const OffsetAssignment &result, int64_t alignment) {
  ASSERT_EQ(result.offsets.size(), intervals.size());
  int64_t top = 0;
  for (size_t i = 0; i < intervals.size(); ++i) {
    if (intervals[i].last < intervals[i].first || !intervals[i].bytes)
      continue;
    EXPECT_EQ(result.offsets[i] % alignment, 0);
    EXPECT_GE(result.offsets[i], 0);
    EXPECT_LE(result.offsets[i] + intervals[i].bytes, result.peak);
    top = std::max(top, result.offsets[i] + intervals[i].bytes);
    for (size_t j = 0; j < i; ++j) {
      if (intervals[j].last < intervals[i].first || intervals[i].last < intervals[j].first ||
          intervals[j].last < intervals[j].first)
        continue;
      bool apart = result.offsets[i] + intervals[i].bytes <= result.offsets[j] ||
                   result.offsets[j] + intervals[j].bytes <= result.offsets[i];
      EXPECT_TRUE(apart || !intervals[j].bytes) << i << " and " << j;
    }
  }
  EXPECT_LT(result.peak - top, alignment);
  EXPECT_GE(result.peak, result.bound);
  EXPECT_EQ(result.bound, liveBound(intervals, alignment));
}

/// Rows of "id,lower,upper,size", upper exclusive: the format of MiniMalloc's benchmarks.
std::vector<LiveInterval> parse(const char *csv) {
  std::vector<LiveInterval> intervals;
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    int64_t id = 0, lower = 0, upper = 0, size = 0;
    char comma = 0;
    std::istringstream(line) >> id >> comma >> lower >> comma >> upper >> comma >> size;
    intervals.push_back({size, lower, upper - 1});
  }
  return intervals;
}

TEST(Offsets, NothingToPlace) {
  OffsetAssignment result = assignOffsets({});
  EXPECT_EQ(result.peak, 0);
  EXPECT_EQ(result.bound, 0);
}

TEST(Offsets, BuffersThatNeverMeetShareOnePlace) {
  std::vector<LiveInterval> intervals{{100, 0, 1}, {90, 2, 3}, {80, 4, 9}};
  OffsetAssignment result = assignOffsets(intervals);
  EXPECT_EQ(result.offsets, (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(result.peak, 128);
}

TEST(Offsets, LastAndFirstMomentAreInclusive) {
  std::vector<LiveInterval> intervals{{64, 0, 2}, {64, 2, 3}};
  OffsetAssignment result = assignOffsets(intervals);
  EXPECT_EQ(result.peak, 128);
  EXPECT_NE(result.offsets[0], result.offsets[1]);
}

TEST(Offsets, DeadAndEmptyBuffersTakeNoPlace) {
  std::vector<LiveInterval> intervals{{64, 3, 2}, {0, 0, 9}, {64, 0, 9}};
  OffsetAssignment result = assignOffsets(intervals);
  EXPECT_EQ(result.peak, 64);
  expectValid(intervals, result, 64);
}

TEST(Offsets, MomentOfTheBoundIsTheFirst) {
  std::vector<LiveInterval> intervals{{64, -1, 5}, {64, 2, 3}, {64, 5, 6}};
  int64_t moment = 99;
  EXPECT_EQ(liveBound(intervals, 64, &moment), 128);
  EXPECT_EQ(moment, 2);
}

TEST(Offsets, ForwardThenBackwardReachesTheBound) {
  // Activations of 12 layers, kept from the forward to the backward, with temporaries beside each.
  std::vector<LiveInterval> intervals;
  for (int64_t layer = 0; layer < 12; ++layer) {
    intervals.push_back({4096, 3 * layer, 72 - 3 * layer});
    intervals.push_back({10000, 3 * layer + 1, 3 * layer + 2});
    intervals.push_back({7000, 70 - 3 * layer, 72 - 3 * layer});
  }
  OffsetAssignment result = assignOffsets(intervals);
  expectValid(intervals, result, 64);
  EXPECT_EQ(result.peak, result.bound);
}

TEST(Offsets, ReadsTheBenchmarksFormat) {
  // Largest first leaves a hole here; another order of the portfolio reaches the bound.
  auto intervals = parse("id,lower,upper,size\n0,0,3,256\n1,3,9,512\n2,0,9,256\n3,9,21,256\n4,0,21,512\n");
  ASSERT_EQ(intervals.size(), 5u);
  EXPECT_EQ(intervals[1].last, 8);
  OffsetAssignment result = assignOffsets(intervals);
  expectValid(intervals, result, 64);
  EXPECT_EQ(result.bound, 1280);
  EXPECT_EQ(result.peak, 1280);
}

TEST(Offsets, RandomIntervalsAreValidAndNearTheBound) {
  double worst = 1;
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<LiveInterval> intervals;
    for (unsigned i = 0, count = 1 + random() % 60; i < count; ++i) {
      int64_t first = random() % 50;
      intervals.push_back(
          {1 + static_cast<int64_t>(random() % 5000), first, first + static_cast<int64_t>(random() % 20)});
    }
    int64_t alignment = seed % 2 ? 64 : 4;
    OffsetAssignment result = assignOffsets(intervals, alignment);
    expectValid(intervals, result, alignment);
    worst = std::max(worst, static_cast<double>(result.peak) / static_cast<double>(result.bound));
    EXPECT_EQ(result.offsets, assignOffsets(intervals, alignment).offsets);
  }
  EXPECT_LT(worst, 1.2);
}

} // namespace

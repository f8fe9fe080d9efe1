//===- ParallelTest.cpp - Independent work on all cores ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

using namespace ftc;

TEST(Parallel, CallsEachOnce) {
  for (size_t count : {0, 1, 2, 3, 1000}) {
    std::vector<std::atomic<int>> calls(count);
    parallelFor(count, [&](size_t index) { ++calls[index]; });
    for (size_t index = 0; index < count; ++index)
      EXPECT_EQ(calls[index], 1) << index << " of " << count;
  }
}

TEST(Parallel, WorkMayHaveWorkOfItsOwn) {
  std::atomic<int> calls = 0;
  parallelFor(4, [&](size_t) { parallelFor(3, [&](size_t) { ++calls; }); });
  EXPECT_EQ(calls, 12);
}

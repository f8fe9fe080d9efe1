//===- MemoryTest.cpp - Slabs, counted and guarded -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/Memory.h"
#include "ftc/Runtime/RunError.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace ftc;

namespace {

TEST(Memory, CountsBytesAskedFor) {
  Memory memory;
  memory.take("a", 1000, 64);
  memory.take("b", 0, 1);
  memory.take("c", 8192, 4096);
  EXPECT_EQ(memory.bytesTaken(), 9192u);
  EXPECT_GE(memory.bytesInPages(), 9192u);
  EXPECT_LE(memory.bytesInPages(), 9192u + 3 * 8192u);
  ASSERT_EQ(memory.slabs().size(), 3u);
}

TEST(Memory, AlignsAndZeroes) {
  Memory memory;
  for (uint64_t alignment : {1ull, 64ull, 4096ull, 65536ull}) {
    const Slab slab = memory.take("s", 12345, alignment);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(slab.base) % alignment, 0u);
    for (uint64_t index = 0; index < slab.bytes; ++index)
      ASSERT_EQ(slab.base[index], std::byte{0});
    std::memset(slab.base, 1, slab.bytes); // all of it is ours
  }
}

TEST(Memory, TouchKeepsContents) {
  Memory memory;
  const Slab slab = memory.take("s", 100'000, 64);
  std::memset(slab.base, 7, slab.bytes);
  for (uint64_t part = 0; part < 3; ++part)
    memory.touch(0, part, 3);
  for (uint64_t index = 0; index < slab.bytes; ++index)
    ASSERT_EQ(slab.base[index], std::byte{7});
}

TEST(MemoryDeathTest, GuardPagesStopStrayWrites) {
  Memory memory;
  const Slab slab = memory.take("s", 4096 * 3, 64);
  volatile std::byte *base = slab.base;
  base[slab.bytes - 1] = std::byte{1};
  EXPECT_DEATH(base[slab.bytes] = std::byte{1}, "");
  EXPECT_DEATH(base[-4096] = std::byte{1}, "");
}

TEST(Memory, RefusesWhatNoAddressSpaceHolds) {
  Memory memory;
  try {
    memory.take("arena", uint64_t(1) << 60, 64);
    FAIL() << "not refused";
  } catch (const RunError &error) {
    EXPECT_EQ(error.code(), ExitCode::NoMemory);
    EXPECT_NE(std::string(error.what()).find("slab 'arena'"), std::string::npos);
  }
  EXPECT_EQ(memory.bytesTaken(), 0u);
}

TEST(Memory, PatternShowsTheHighestByteWritten) {
  Memory memory;
  const Slab slab = memory.take("s", 10'000, 64);
  fillWithPattern(slab);
  EXPECT_EQ(highestWritten(slab), 0u);
  for (uint64_t at : {0u, 17u, 5000u, 9999u}) {
    slab.base[at] = ~slab.base[at];
    EXPECT_EQ(highestWritten(slab), at + 1);
  }
  // A program that writes zeros, or any other constant, is seen too.
  for (int fill : {0, 255, 0xa5}) {
    fillWithPattern(slab);
    std::memset(slab.base, fill, 6000);
    EXPECT_GT(highestWritten(slab), 5990u);
    EXPECT_LE(highestWritten(slab), 6000u);
  }
}

TEST(Memory, SystemTells) {
  EXPECT_GT(availableMemory(), 1u << 20);
  uint64_t before = peakResident();
  EXPECT_GT(before, 1u << 20);
  Memory memory;
  const Slab slab = memory.take("s", 64 << 20, 64);
  memory.touch(0, 0, 1);
  EXPECT_GT(peakResident(), before + (32 << 20));
}

} // namespace

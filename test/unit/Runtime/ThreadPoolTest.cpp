//===- ThreadPoolTest.cpp - Loops over threads -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/CPU/ThreadPool.h"
#include "ftc/Runtime/CPU/CpuFeatures.h"
#include "ftc/Runtime/CPU/FmaPeak.h"

#include <chrono>
#include <gtest/gtest.h>
#include <numeric>

using namespace ftc;

namespace {

class Threads : public testing::TestWithParam<unsigned> {};

TEST_P(Threads, EachTaskRunsOnce) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.threads(), GetParam());
  for (uint64_t tasks : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
    std::vector<std::atomic<int>> runs(tasks);
    std::atomic<int> badThread{0};
    pool.forEach(tasks, [&](uint64_t task, unsigned thread) {
      runs[task].fetch_add(1);
      if (thread >= GetParam())
        badThread = 1;
    });
    for (uint64_t task = 0; task < tasks; ++task)
      EXPECT_EQ(runs[task].load(), 1) << task << " of " << tasks;
    EXPECT_EQ(badThread.load(), 0);
  }
}

TEST_P(Threads, NoTwoTasksAtOnceSeeTheSameThread) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> busy(GetParam());
  std::atomic<int> clashes{0};
  for (int loop = 0; loop < 20; ++loop)
    pool.forEach(50, [&](uint64_t, unsigned thread) {
      clashes += busy[thread].fetch_add(1) != 0;
      for (volatile int spin = 0; spin < 500; spin = spin + 1)
        ;
      busy[thread].fetch_sub(1);
    });
  EXPECT_EQ(clashes.load(), 0);
}

/// Loops follow each other at once and with pauses (so that threads fall asleep), with a new body each time: a late
/// thread must never run a task of a loop that it did not see.
TEST_P(Threads, ManyLoopsOfDifferentBodies) {
  ThreadPool pool(GetParam());
  for (uint64_t loop = 1; loop <= 3000; ++loop) {
    uint64_t tasks = loop % 9;
    std::atomic<uint64_t> total{0};
    pool.forEach(tasks, [&](uint64_t task, unsigned) { total.fetch_add(loop * 100 + task); });
    ASSERT_EQ(total.load(), tasks * loop * 100 + tasks * (tasks - (tasks > 0)) / 2);
    if (loop % 500 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, testing::Values(1u, 2u, 3u, 8u));

TEST(ThreadPool, ServicesTableRunsLoops) {
  ThreadPool pool(2);
  const ftrt_services *services = pool.services();
  EXPECT_EQ(services->abi_version, FTRT_ABI_VERSION);
  EXPECT_EQ(services->size, sizeof(ftrt_services));
  EXPECT_EQ(services->threads, 2u);
  std::vector<int> seen(100);
  services->parallel_for(
      services->context, [](void *args, uint64_t task, uint32_t) { static_cast<int *>(args)[task] = int(task) + 1; },
      seen.data(), seen.size());
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 5050);
}

TEST(CpuFeatures, AgreesWithTheCompilersOwnCheck) {
  __builtin_cpu_init();
  EXPECT_EQ(cpuSupports("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(cpuSupports("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(cpuSupports("bmi2"), bool(__builtin_cpu_supports("bmi2")));
  EXPECT_EQ(cpuSupports("avx512f"), bool(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(cpuSupports("avx512bw"), bool(__builtin_cpu_supports("avx512bw")));
  EXPECT_EQ(cpuSupports("avx512vbmi2"), bool(__builtin_cpu_supports("avx512vbmi2")));
  EXPECT_EQ(cpuSupports("gfni"), bool(__builtin_cpu_supports("gfni")));
  EXPECT_EQ(cpuSupports("xop"), bool(__builtin_cpu_supports("xop")));
  EXPECT_EQ(cpuSupports("sse4.2"), bool(__builtin_cpu_supports("sse4.2")));
  EXPECT_TRUE(cpuSupports("sse2"));
}

TEST(CpuFeatures, UnknownNamesAreMissing) {
  EXPECT_EQ(missingCpuFeatures({"sse2", "+cx8", "avx9000", "+sse"}), std::vector<std::string>{"avx9000"});
  EXPECT_FALSE(cpuBrand().empty());
}

TEST(FmaPeak, IsThatOfAComputer) {
  ThreadPool pool(1);
  double peak = measureFmaPeak(pool, 0.02);
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 1e13);
}

} // namespace

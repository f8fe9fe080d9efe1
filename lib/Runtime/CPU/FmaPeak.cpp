//===- FmaPeak.cpp - How fast this machine multiplies and adds -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/CPU/FmaPeak.h"

#include "ftc/Runtime/CPU/CpuFeatures.h"

#include <algorithm>
#include <chrono>
#include <immintrin.h>

namespace ftc {
namespace {

// Each loop keeps `chains` independent sums: enough to cover an fma's latency (4 cycles, 2 a cycle) with room to spare,
// few enough for 16 registers. The asm statement hides the value from the optimizer and costs nothing.
constexpr int chains = 12;

__attribute__((target("avx512f"))) float fmaAvx512(uint64_t rounds) {
  __m512 sums[chains], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
  for (__m512 &sum : sums)
    sum = b;
  for (uint64_t round = 0; round < rounds; ++round)
#pragma clang loop unroll(full)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(sum, a, b);
      __asm__ volatile("" : "+v"(sum));
    }
  float total = 0;
  for (__m512 sum : sums)
    total += _mm512_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx2,fma"))) float fmaAvx2(uint64_t rounds) {
  __m256 sums[chains], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
  for (__m256 &sum : sums)
    sum = b;
  for (uint64_t round = 0; round < rounds; ++round)
#pragma clang loop unroll(full)
    for (__m256 &sum : sums) {
      sum = _mm256_fmadd_ps(sum, a, b);
      __asm__ volatile("" : "+x"(sum));
    }
  float total = 0;
  for (__m256 sum : sums)
    total += _mm256_cvtss_f32(sum);
  return total;
}

float fmaSse(uint64_t rounds) {
  __m128 sums[chains], a = _mm_set1_ps(0.999f), b = _mm_set1_ps(1e-3f);
  for (__m128 &sum : sums)
    sum = b;
  for (uint64_t round = 0; round < rounds; ++round)
#pragma clang loop unroll(full)
    for (__m128 &sum : sums) {
      sum = _mm_add_ps(_mm_mul_ps(sum, a), b);
      __asm__ volatile("" : "+x"(sum));
    }
  float total = 0;
  for (__m128 sum : sums)
    total += _mm_cvtss_f32(sum);
  return total;
}

} // namespace

double measureFmaPeak(ThreadPool &pool, double seconds) {
  float (*loop)(uint64_t) = fmaSse;
  int lanes = 4;
  if (cpuSupports("avx512f"))
    loop = fmaAvx512, lanes = 16;
  else if (cpuSupports("avx2") && cpuSupports("fma"))
    loop = fmaAvx2, lanes = 8;

  using Clock = std::chrono::steady_clock;
  constexpr uint64_t rounds = 100'000; // about 0.2 ms: short against a time slice, long against a fork and join
  // Several pieces a thread, so that one which is interrupted hands its rest to the others.
  const uint64_t tasks = pool.threads() == 1 ? 1 : 4ull * pool.threads();
  const double flops = 2.0 * lanes * chains * rounds * static_cast<double>(tasks);
  double best = 0, alone = 0;
  std::atomic<float> sink{0}; // keeps the sums alive
  auto secondsOf = [](auto &&work) {
    auto start = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  auto begin = Clock::now();
  auto spent = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  // Threads that were just made may share a core until the scheduler spreads them: as long as all together are far from
  // what one reaches alone, times their number, it gets ten times as long.
  auto spread = [&] { return best > 0.75 * alone * pool.threads(); };
  do {
    alone = std::max(alone, flops / static_cast<double>(tasks) / secondsOf([&] { sink.store(loop(rounds)); }));
    best = std::max(
        best, flops / secondsOf([&] {
                pool.forEach(tasks, [&](uint64_t, unsigned) { sink.store(loop(rounds), std::memory_order_relaxed); });
              }));
  } while (spent() < seconds || (!spread() && spent() < 10 * seconds));
  return best;
}

} // namespace ftc

//===- Traffic.cpp - Plain loops with the traffic of a kernel ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowKernels.h"

#include <algorithm>
#include <immintrin.h>

using namespace ftc;
using namespace ftc::bench;

template <int Reads, int Writes>
__attribute__((target("avx2"))) static void add(float *const *reads, float *const *writes, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 8) {
    __m256 sum = _mm256_loadu_ps(reads[0] + i);
    for (int r = 1; r < Reads; ++r)
      sum = _mm256_add_ps(sum, _mm256_loadu_ps(reads[r] + i));
    // Halved, so that values that are read again next time stay small.
    sum = _mm256_mul_ps(sum, _mm256_set1_ps(0.25f));
    for (int w = 0; w < Writes; ++w)
      _mm256_storeu_ps(writes[w] + i, sum);
  }
}

template <int Reads> static auto chooseWrites(size_t writes) {
  return writes == 1 ? add<Reads, 1> : writes == 2 ? add<Reads, 2> : add<Reads, 3>;
}

void bench::runTraffic(ThreadPool &pool, const std::vector<float *> &reads, const std::vector<float *> &writes,
                       int64_t count) {
  auto loop = reads.size() == 2   ? chooseWrites<2>(writes.size())
              : reads.size() == 3 ? chooseWrites<3>(writes.size())
                                  : chooseWrites<4>(writes.size());
  // Blocks of the size that row kernels take at a time.
  constexpr int64_t block = 4608;
  pool.forEach((count + block - 1) / block, [&](uint64_t task, unsigned) {
    int64_t begin = static_cast<int64_t>(task) * block;
    loop(reads.data(), writes.data(), begin, std::min(begin + block, count));
  });
}

//===- Parallel.cpp - Independent work on all cores --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Parallel.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

void ftc::parallelFor(size_t count, const std::function<void(size_t)> &work) {
  std::atomic<size_t> next = 0;
  const auto take = [&] {
    for (size_t index = next++; index < count; index = next++)
      work(index);
  };
  const size_t threads = std::min<size_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < threads)
      others.emplace_back(take);
  } catch (const std::system_error &) {
    // What there is does the work.
  }
  take();
  for (std::thread &other : others)
    other.join();
}

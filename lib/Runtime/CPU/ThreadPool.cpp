//===- ThreadPool.cpp - The threads behind ftrt_services.parallel_for ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/CPU/ThreadPool.h"

#include "ftc/Support/Processors.h"

#include <algorithm>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

namespace ftc {
namespace {

// About 30 microseconds at 3 GHz: longer than the gap between two loops of a step, far shorter than a time slice.
constexpr uint64_t spinLimit = 100'000;

void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futexWake(std::atomic<uint32_t> &word, int threads) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0);
}

/// Spins until `ready()` or until `cycles` have passed; returns what `ready()` said last.
template <typename F> bool spinUntil(uint64_t cycles, F &&ready) {
  if (ready())
    return true;
  if (cycles == 0)
    return false;
  uint64_t start = __rdtsc();
  do {
    _mm_pause();
    if (ready())
      return true;
  } while (__rdtsc() - start < cycles);
  return false;
}

} // namespace

ThreadPool::ThreadPool(unsigned threads)
    : count(std::max(1u, threads)), spinCycles(count <= availableProcessors() ? spinLimit : 0) {
  table = {};
  table.abi_version = FTRT_ABI_VERSION;
  table.size = sizeof(ftrt_services);
  table.context = this;
  table.threads = count;
  table.parallel_for = [](void *context, ftrt_task_fn body, void *args, uint64_t tasks) {
    static_cast<ThreadPool *>(context)->parallelFor(body, args, tasks);
  };
  workers.reserve(count - 1);
  try {
    for (unsigned thread = 1; thread < count; ++thread)
      workers.emplace_back([this, thread] { workerLoop(thread); });
  } catch (...) {
    stop.store(true);
    epochWord.fetch_add(1);
    futexWake(epochWord, INT32_MAX);
    for (std::thread &worker : workers)
      worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop.store(true);
  epochWord.fetch_add(1);
  futexWake(epochWord, INT32_MAX);
  for (std::thread &worker : workers)
    worker.join();
}

/// Takes and runs tasks of loop `epoch` until none is left; returns how many.
///
/// The job's fields are read after the ticket showed `epoch` and before a compare-and-swap confirms that a task of that
/// same loop was still to be had. They change only when all tasks of the loop are finished, so a confirmed task always
/// belongs to the fields that were read.
uint32_t ThreadPool::takeTasks(uint32_t epoch, unsigned thread) {
  uint32_t finished = 0;
  uint64_t seen = ticket.load(std::memory_order_acquire);
  ftrt_task_fn body = jobBody.load(std::memory_order_relaxed);
  void *args = jobArgs.load(std::memory_order_relaxed);
  uint64_t first = jobFirst.load(std::memory_order_relaxed);
  uint32_t tasks = jobTasks.load(std::memory_order_relaxed);
  while (static_cast<uint32_t>(seen >> 32) == epoch && static_cast<uint32_t>(seen) != 0) {
    if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    body(args, first + (tasks - static_cast<uint32_t>(seen)), thread);
    ++finished;
    seen = ticket.load(std::memory_order_acquire);
  }
  return finished;
}

void ThreadPool::workerLoop(unsigned thread) {
  uint32_t last = 0; // the loop that this thread has seen to its end
  while (true) {
    auto hasNew = [&] { return epochWord.load(std::memory_order_acquire) != last; };
    if (!spinUntil(spinCycles, hasNew)) {
      sleepers.fetch_add(1);
      // The caller changes epochWord before it reads `sleepers`, so either it sees this thread or this wait returns.
      while (!hasNew())
        futexWait(epochWord, last);
      sleepers.fetch_sub(1);
    }
    if (stop.load())
      return;
    last = epochWord.load(std::memory_order_acquire);
    if (uint32_t finished = takeTasks(last, thread)) {
      done.fetch_add(finished);
      if (callerSleeps.load())
        futexWake(done, 1);
    }
  }
}

void ThreadPool::runLoop(ftrt_task_fn body, void *args, uint64_t first, uint32_t tasks) {
  jobBody.store(body, std::memory_order_relaxed);
  jobArgs.store(args, std::memory_order_relaxed);
  jobFirst.store(first, std::memory_order_relaxed);
  jobTasks.store(tasks, std::memory_order_relaxed);
  done.store(0, std::memory_order_relaxed);
  uint32_t epoch = epochWord.load(std::memory_order_relaxed) + 1;
  ticket.store(static_cast<uint64_t>(epoch) << 32 | tasks);
  epochWord.store(epoch);
  if (sleepers.load())
    futexWake(epochWord, static_cast<int>(std::min<uint32_t>(tasks - 1, INT32_MAX)));

  if (uint32_t finished = takeTasks(epoch, 0))
    done.fetch_add(finished);
  auto complete = [&] { return done.load(std::memory_order_acquire) == tasks; };
  if (spinUntil(spinCycles, complete))
    return;
  callerSleeps.store(1);
  for (uint32_t now = done.load(); now != tasks; now = done.load())
    futexWait(done, now);
  callerSleeps.store(0);
}

void ThreadPool::parallelFor(ftrt_task_fn body, void *args, uint64_t tasks) {
  if (count == 1 || tasks <= 1) {
    for (uint64_t task = 0; task < tasks; ++task)
      body(args, task, 0);
    return;
  }
  // A ticket counts 32 bits of tasks; longer loops run in several parts.
  for (uint64_t first = 0; first < tasks;) {
    uint32_t part = static_cast<uint32_t>(std::min<uint64_t>(tasks - first, UINT32_MAX));
    runLoop(body, args, first, part);
    first += part;
  }
}

} // namespace ftc

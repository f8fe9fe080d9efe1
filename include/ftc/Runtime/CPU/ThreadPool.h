//===- ThreadPool.h - The threads behind ftrt_services.parallel_for --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_CPU_THREADPOOL_H
#define FTC_RUNTIME_CPU_THREADPOOL_H

#include "ftrt/step.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace ftc {

/// A fixed number of threads that share the tasks of one loop after another. The caller of `parallelFor` is thread 0;
/// the other threads are made once. Between loops they spin for a few microseconds (a training step is thousands of
/// loops, microseconds apart) and then sleep. Tasks are handed out by an atomic counter; which thread gets which task
/// is not defined. Nothing is allocated after construction.
class ThreadPool {
public:
  /// Starts `threads - 1` threads (`threads` >= 1; more than there are cores works, without spinning). Throws
  /// std::system_error when the system refuses a thread.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  unsigned threads() const { return count; }

  /// Calls body(args, task, thread) once for each task in [0, tasks) and returns when all have returned. One loop at a
  /// time: must not be called from a body, nor by two threads at once.
  void parallelFor(ftrt_task_fn body, void *args, uint64_t tasks);

  /// The same for any callable `f(uint64_t task, unsigned thread)`; it is borrowed, not copied.
  template <typename F> void forEach(uint64_t tasks, F &&f) {
    auto *callable = &f;
    parallelFor([](void *args, uint64_t task,
                   uint32_t thread) { (*static_cast<std::remove_reference_t<F> *>(args))(task, thread); },
                const_cast<void *>(static_cast<const void *>(callable)), tasks);
  }

  /// The services table of this pool, for ftrt_entry_fn. Valid as long as the pool.
  const ftrt_services *services() const { return &table; }

private:
  void workerLoop(unsigned thread);
  void runLoop(ftrt_task_fn body, void *args, uint64_t first, uint32_t tasks);
  uint32_t takeTasks(uint32_t epoch, unsigned thread);

  unsigned count;
  uint64_t spinCycles;
  ftrt_services table;

  // The loop that runs now. Written by the caller of parallelFor only, while no task of an earlier loop is left.
  alignas(64) std::atomic<ftrt_task_fn> jobBody{nullptr};
  std::atomic<void *> jobArgs{nullptr};
  std::atomic<uint64_t> jobFirst{0};
  std::atomic<uint32_t> jobTasks{0};
  // High half: number of the loop; low half: tasks that nobody has taken yet. One word, so that a thread that comes
  // late can never take a task of a loop whose body it has not read.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<uint32_t> done{0}; // finished tasks of this loop; the caller may sleep on it
  std::atomic<uint32_t> callerSleeps{0};
  alignas(64) std::atomic<uint32_t> epochWord{0}; // number of the loop again; idle threads sleep on it
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
};

} // namespace ftc

#endif // FTC_RUNTIME_CPU_THREADPOOL_H

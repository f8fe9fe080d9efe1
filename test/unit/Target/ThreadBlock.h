//===- ThreadBlock.h - A block of threads as fibers ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the emulated code calls, and how lanes wait for each other. Warp-wide operations are written after the PTX ISA
// manual, "Warp Level Matrix Instructions", element by element, and after nothing else: what the CUDA target assumes of
// their layouts is what they are to test.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_THREADBLOCK_H
#define FTC_TEST_UNIT_TARGET_THREADBLOCK_H

#include <array>
#include <csetjmp>
#include <cstdint>
#include <memory>
#include <string>
#include <ucontext.h>
#include <vector>

namespace ftc::test {

constexpr int warpSize = 32;

/// What a lane waits for: lanes of its warp, all threads of the block, or nothing any more. Fault: it may not go on.
enum class Stop { None, Shuffle, WarpBarrier, Multiply, LoadMatrices, BlockBarrier, End, Fault };

/// Memory that a kernel was given.
struct Bytes {
  const unsigned char *begin = nullptr, *end = nullptr;

  bool hold(const unsigned char *at, size_t bytes) const {
    return at >= begin && at <= end && bytes <= static_cast<size_t>(end - at);
  }
};

/// Bytes that will be copied.
struct PendingCopy {
  void *to;
  const void *from;
  size_t bytes;
};

struct Lane {
  static constexpr size_t stackBytes = 256 << 10;

  ucontext_t context; ///< where the lane begins
  jmp_buf place;      ///< where it goes on
  bool started = false;
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(stackBytes);
  Stop stop = Stop::None;
  uint32_t value = 0, offset = 0;
  /// Operands of a warp-wide operation, then its results: of a product a0 to a3, b0 and b1, c0 to c3.
  std::array<uint32_t, 10> registers{};
  const void *address = nullptr; ///< of a row of a matrix
  bool transposed = false;
  /// Copies in the background: those of no group yet, and groups, oldest first.
  std::vector<PendingCopy> open;
  std::vector<std::vector<PendingCopy>> groups;
};

/// The block that runs. Tests run one at a time.
class ThreadBlock {
public:
  using Entry = void (*)(void **);
  /// More than any block may have, and some bytes behind that nobody may write.
  static constexpr size_t sharedCapacity = 256 << 10, guardBytes = 1024;

  static ThreadBlock &instance();

  /// Runs block `number`. Returns "", or what is wrong.
  std::string run(Entry entry, void **buffers, int threads, int64_t number, int64_t sharedBytes, bool backwards);

  /// Called on a lane's stack: back to the scheduler until its warp, or the block, has come as far.
  void pause(Stop stop);
  /// Called on a lane's stack before it reads or writes memory: ends the run where `bytes` from `at` on are neither
  /// among the buffers of the kernel nor shared memory, or begin at no multiple of `alignment`, a power of two.
  void access(const void *at, size_t bytes, size_t alignment) {
    const auto *begin = static_cast<const unsigned char *>(at);
    bool aligned = (reinterpret_cast<uintptr_t>(at) & (alignment - 1)) == 0;
    if (!aligned || (!Bytes{shared, shared + sharedBytes}.hold(begin, bytes) && !latest.hold(begin, bytes)))
      refuse(at, bytes, alignment);
  }
  Lane &lane() { return lanes[current]; }
  int thread() const { return current; }

  int64_t number = 0, tensorProducts = 0;
  std::vector<Bytes> allowed; ///< buffers of the kernel
  alignas(256) unsigned char shared[sharedCapacity + guardBytes];

private:
  /// Looks at all buffers before it ends the run.
  void refuse(const void *at, size_t bytes, size_t alignment);
  void resume(Lane &lane);
  std::string runWarp(Lane *first, bool backwards);
  static std::string shuffle(Lane *warp);
  static std::string multiply(Lane *warp);
  std::string loadMatrices(Lane *warp, int64_t sharedBytes) const;
  static void start();

  Entry entry = nullptr;
  void **buffers = nullptr;
  int current = 0;
  int64_t sharedBytes = 0;
  std::string fault;
  Bytes latest; ///< the buffer that was accessed last
  jmp_buf scheduler;
  std::vector<Lane> lanes;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_THREADBLOCK_H

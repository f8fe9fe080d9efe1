//===- ThreadBlock.cpp - A block of threads as fibers --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ThreadBlock.h"

#include <cstring>

using namespace ftc::test;

ThreadBlock &ThreadBlock::instance() {
  static ThreadBlock block;
  return block;
}

void ThreadBlock::pause(Stop stop) {
  Lane &waiting = lane();
  waiting.stop = stop;
  if (_setjmp(waiting.place) == 0)
    _longjmp(scheduler, 1);
}

void ThreadBlock::refuse(const void *at, size_t bytes, size_t alignment) {
  const auto *begin = static_cast<const unsigned char *>(at);
  bool aligned = (reinterpret_cast<uintptr_t>(at) & (alignment - 1)) == 0;
  for (Bytes range : allowed)
    if (aligned && range.hold(begin, bytes)) {
      latest = range;
      return;
    }
  fault = "thread " + std::to_string(current) + " of block " + std::to_string(number) + " accesses " +
          std::to_string(bytes) + (aligned ? " bytes outside of the kernel's buffers" : " bytes that are not aligned");
  pause(Stop::Fault);
}

/// Runs a lane until it pauses. A context is set once for each lane; after that, jumps do, which make no system call.
void ThreadBlock::resume(Lane &lane) {
  if (_setjmp(scheduler) != 0)
    return;
  if (lane.started)
    _longjmp(lane.place, 1);
  lane.started = true;
  setcontext(&lane.context);
}

void ThreadBlock::start() {
  ThreadBlock &block = instance();
  block.entry(block.buffers);
  block.pause(Stop::End);
}

//===----------------------------------------------------------------------===//
// Operations of a warp
//===----------------------------------------------------------------------===//

std::string ThreadBlock::shuffle(Lane *warp) {
  std::array<uint32_t, warpSize> given;
  for (int i = 0; i < warpSize; ++i)
    given[i] = warp[i].value;
  for (int i = 0; i < warpSize; ++i) {
    if (warp[i].offset != warp->offset || warp[i].offset >= warpSize)
      return "lanes of a warp shuffle over different distances";
    warp[i].value = given[i ^ static_cast<int>(warp[i].offset)];
  }
  return "";
}

static float asFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// Element `i` of a fragment whose registers begin at `registers`: two bf16 in each, the lower one first.
static float element(const uint32_t *registers, int i) {
  uint32_t both = registers[i / 2];
  return asFloat(i % 2 == 0 ? both << 16 : both & 0xFFFF0000u);
}

/// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32. The manual's rules, with group = lane / 4 and member = lane mod
/// 4:
///   A, i = 0..7:  row = group where i < 2 or 4 <= i < 6, else group + 8;  column = 2 member + (i & 1), + 8 where i >=
///   4 B, i = 0..3:  row = 2 member + (i & 1), + 8 where i >= 2;  column = group C, i = 0..3:  row = group where i < 2,
///   else group + 8;  column = 2 member + (i & 1)
/// Products are exact; the manual leaves the order of sums open, which are in fp32 here.
std::string ThreadBlock::multiply(Lane *warp) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < warpSize; ++lane) {
    int group = lane / 4, member = lane % 4;
    const uint32_t *registers = warp[lane].registers.data();
    for (int i = 0; i < 8; ++i) {
      int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
      a[row][2 * member + (i & 1) + (i >= 4 ? 8 : 0)] = element(registers, i);
    }
    for (int i = 0; i < 4; ++i)
      b[2 * member + (i & 1) + (i >= 2 ? 8 : 0)][group] = element(registers + 4, i);
  }
  for (int lane = 0; lane < warpSize; ++lane)
    for (int i = 0; i < 4; ++i) {
      int row = lane / 4 + (i < 2 ? 0 : 8), column = 2 * (lane % 4) + (i & 1);
      uint32_t &bits = warp[lane].registers[6 + i];
      float sum = asFloat(bits);
      for (int k = 0; k < 16; ++k)
        sum += a[row][k] * b[k][column];
      std::memcpy(&bits, &sum, 4);
    }
  return "";
}

/// ldmatrix.sync.aligned.m8n8.x4[.trans].shared.b16: lane 8 m + r has the address of row r of matrix m; register m of
/// lane l gets elements 2 (l mod 4) and the next one of its row l / 4, or, transposed, of its column l / 4. The eight
/// rows of a matrix are read at once, so no two of them may lie in the same four of the 32 banks: that would be slow,
/// not wrong, and nothing else here would show it.
std::string ThreadBlock::loadMatrices(Lane *warp, int64_t sharedBytes) const {
  uint16_t matrices[4][8][8];
  for (int lane = 0; lane < warpSize; ++lane) {
    const auto *row = static_cast<const unsigned char *>(warp[lane].address);
    if (row < shared || row + 16 > shared + sharedBytes)
      return "a matrix is loaded from outside of shared memory";
    if ((row - shared) % 16 != 0)
      return "a row of a matrix is not at a multiple of 16 bytes";
    if (warp[lane].transposed != warp->transposed)
      return "lanes of a warp load different matrices";
    for (int other = lane / 8 * 8; other < lane; ++other)
      if ((static_cast<const unsigned char *>(warp[other].address) - row) % 128 == 0)
        return "rows of a matrix lie in the same banks";
    std::memcpy(matrices[lane / 8][lane % 8], row, 16);
  }
  for (int lane = 0; lane < warpSize; ++lane)
    for (int m = 0; m < 4; ++m) {
      int major = lane / 4, minor = 2 * (lane % 4);
      uint16_t low = warp->transposed ? matrices[m][minor][major] : matrices[m][major][minor];
      uint16_t high = warp->transposed ? matrices[m][minor + 1][major] : matrices[m][major][minor + 1];
      warp[lane].registers[m] = low | static_cast<uint32_t>(high) << 16;
    }
  return "";
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

/// Runs a warp until its lanes wait for the block, or are done.
std::string ThreadBlock::runWarp(Lane *first, bool backwards) {
  while (true) {
    for (int i = 0; i < warpSize; ++i) {
      current = static_cast<int>(first - lanes.data()) + (backwards ? warpSize - 1 - i : i);
      resume(lanes[current]);
      if (lanes[current].stop == Stop::Fault)
        return fault;
    }
    for (int i = 0; i < warpSize; ++i)
      if (first[i].stop != first->stop)
        return "lanes of a warp do not meet at the same shuffle, product, barrier or end";
    std::string error;
    switch (first->stop) {
    case Stop::BlockBarrier:
    case Stop::End:
      return "";
    case Stop::Shuffle:
      error = shuffle(first);
      break;
    case Stop::Multiply:
      error = multiply(first);
      ++tensorProducts;
      break;
    case Stop::LoadMatrices:
      error = loadMatrices(first, sharedBytes);
      break;
    case Stop::None:
    case Stop::WarpBarrier:
    case Stop::Fault:
      break;
    }
    if (!error.empty())
      return error;
  }
}

std::string ThreadBlock::run(Entry entry, void **buffers, int threads, int64_t number, int64_t sharedBytes,
                             bool backwards) {
  this->entry = entry;
  this->buffers = buffers;
  this->number = number;
  this->sharedBytes = sharedBytes;
  latest = {};
  if (lanes.size() < static_cast<size_t>(threads))
    lanes.resize(threads);
  for (int i = 0; i < threads; ++i) {
    Lane &lane = lanes[i];
    lane.stop = Stop::None;
    lane.started = false;
    lane.open.clear();
    lane.groups.clear();
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.get();
    lane.context.uc_stack.ss_size = Lane::stackBytes;
    lane.context.uc_link = nullptr;
    makecontext(&lane.context, start, 0);
  }
  // What nobody has stored is no number.
  std::memset(shared, 0xFF, sharedBytes + guardBytes);
  int warps = threads / warpSize;
  do {
    for (int i = 0; i < warps; ++i)
      if (std::string error = runWarp(&lanes[(backwards ? warps - 1 - i : i) * warpSize], backwards); !error.empty())
        return error;
    for (int i = 0; i < warps; ++i)
      if (lanes[i * warpSize].stop != lanes[0].stop)
        return "warps of a block do not meet at the same barrier or end";
  } while (lanes[0].stop != Stop::End);
  for (int i = 0; i < threads; ++i) {
    bool complete = lanes[i].open.empty();
    for (const auto &copies : lanes[i].groups)
      complete &= copies.empty();
    if (!complete)
      return "a thread ends before its copies are complete";
  }
  for (size_t i = 0; i < guardBytes; ++i)
    if (shared[sharedBytes + i] != 0xFF)
      return "something was written behind the shared memory of " + std::to_string(sharedBytes) + " bytes";
  return "";
}

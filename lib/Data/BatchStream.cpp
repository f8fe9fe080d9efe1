//===- BatchStream.cpp - The order in which rows are trained --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Data/BatchStream.h"

#include "ftc/Support/Random.h"

#include <algorithm>
#include <bit>

using namespace ftc;

//===----------------------------------------------------------------------===//
// Permutation
//===----------------------------------------------------------------------===//

static constexpr uint32_t feistelRounds = 6;

Permutation::Permutation(uint64_t size, uint64_t seed, uint64_t epoch)
    : size(size), seed(seed), epoch(epoch), halfBits(size > 1 ? (std::bit_width(size - 1) + 1) / 2 : 1) {}

uint64_t Permutation::operator()(uint64_t index) const {
  if (size <= 1)
    return index;
  uint64_t mask = (uint64_t(1) << halfBits) - 1;
  auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  // Each round is invertible, so the network permutes [0, 4^halfBits); following the cycle back into [0, size) makes of
  // it a permutation of [0, size).
  do {
    uint64_t left = index >> halfBits, right = index & mask;
    for (uint32_t round = 0; round < feistelRounds; ++round) {
      auto bits = philox4x32({low(right), round, low(epoch), low(epoch >> 32)}, {low(seed), low(seed >> 32)});
      uint64_t next = left ^ (bits[0] & mask);
      left = right;
      right = next;
    }
    index = left << halfBits | right;
  } while (index >= size);
  return index;
}

//===----------------------------------------------------------------------===//
// BatchStream
//===----------------------------------------------------------------------===//

BatchStream::BatchStream(const DataSet &data, const BatchStreamOptions &options) : data(&data), options(options) {}

int64_t BatchStream::batchesPerEpoch() const {
  int64_t extra = options.dropLast ? 0 : options.batchSize - 1;
  return (data->rows() + extra) / options.batchSize;
}

void BatchStream::seek(DataPosition position) {
  int64_t perEpoch = batchesPerEpoch();
  if (perEpoch > 0) {
    position.epoch += position.batch / perEpoch;
    position.batch %= perEpoch;
  }
  at = position;
}

int64_t BatchStream::rowAt(DataPosition position, int64_t index) const {
  // What is ordered: rows, or pairs of them.
  const int64_t rowsOf = data->paired() ? 2 : 1, items = data->rows() / rowsOf, batch = options.batchSize / rowsOf;
  int64_t item = position.batch * batch + index % batch;
  if (item >= items)
    return -1;
  if (options.shuffle)
    item = static_cast<int64_t>(Permutation(items, options.seed, position.epoch)(item));
  return item * rowsOf + index / batch;
}

int64_t BatchStream::longest() const {
  int64_t most = 0;
  for (int64_t i = 0; i < options.batchSize; ++i)
    if (int64_t index = rowAt(at, i); index >= 0) {
      int64_t length = data->rowLength(index);
      if (length < 0)
        return -1;
      most = std::max(most, length);
    }
  return most;
}

int64_t BatchStream::next(const BatchView &out, int64_t length) {
  int64_t valid = 0;
  for (int64_t i = 0; i < options.batchSize; ++i) {
    BatchView row{out.tokens + i * length, out.labels + i * length, out.positions + i * length,
                  out.segmentStarts + i * length};
    int64_t index = rowAt(at, i);
    if (index < 0) {
      data->fillPadding(row, length);
      continue;
    }
    int64_t count = data->fillRow(index, row, length);
    if (count < 0)
      return -1;
    valid += count;
  }
  seek({at.epoch, at.batch + 1});
  return valid;
}

int64_t BatchStream::countPairs(int64_t batches) const {
  BatchStream ahead = *this;
  int64_t pairs = 0;
  for (int64_t batch = 0; batch < batches; ++batch) {
    for (int64_t i = 0; i < options.batchSize / 2; ++i) {
      const int64_t chosen = ahead.rowAt(ahead.at, i);
      if (chosen < 0)
        continue;
      const int64_t counts[] = {data->countValid(chosen), data->countValid(chosen + 1)};
      if (counts[0] < 0 || counts[1] < 0)
        return -1;
      pairs += counts[0] + counts[1] > 0;
    }
    ahead.seek({ahead.at.epoch, ahead.at.batch + 1});
  }
  return pairs;
}

int64_t BatchStream::countValid(int64_t batches) const {
  BatchStream ahead = *this;
  int64_t valid = 0;
  for (int64_t batch = 0; batch < batches; ++batch) {
    for (int64_t i = 0; i < options.batchSize; ++i)
      if (int64_t index = ahead.rowAt(ahead.at, i); index >= 0) {
        int64_t count = data->countValid(index);
        if (count < 0)
          return -1;
        valid += count;
      }
    ahead.seek({ahead.at.epoch, ahead.at.batch + 1});
  }
  return valid;
}

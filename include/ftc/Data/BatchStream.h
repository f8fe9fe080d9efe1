//===- BatchStream.h - The order in which rows are trained -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_DATA_BATCHSTREAM_H
#define FTC_DATA_BATCHSTREAM_H

#include "ftc/Data/DataSet.h"

namespace ftc {

/// A place in the endless sequence of batches. Both count from 0; `batch` is within the epoch.
struct DataPosition {
  int64_t epoch = 0;
  int64_t batch = 0;
  bool operator==(const DataPosition &) const = default;

  /// The same place, counted in batches of `rows` rows instead of `then`: the batch that holds the next row.
  DataPosition inBatchesOf(int64_t rows, int64_t then) const {
    return {epoch, batch / rows * then + batch % rows * then / rows};
  }
};

/// A permutation of [0, size) as a function of (seed, epoch), without memory: a Feistel network over the next power of
/// four, with Philox (ftc/Support/Random.h) as its round function, walked until the value is below `size`. Each index
/// can be asked for alone, so a run resumes anywhere.
class Permutation {
public:
  Permutation(uint64_t size, uint64_t seed, uint64_t epoch);
  uint64_t operator()(uint64_t index) const;

private:
  uint64_t size;
  uint64_t seed;
  uint64_t epoch;
  unsigned halfBits;
};

struct BatchStreamOptions {
  int64_t batchSize = 1; ///< rows; of paired data an even number
  bool shuffle = true;
  uint64_t seed = 0;
  bool dropLast = true; ///< else an epoch's last batch is filled up with rows of padding
};

/// Batches of a data set (which must outlive the stream), epoch after epoch. With `shuffle` an epoch's rows are
/// permuted by (seed, epoch); without, they come in order. Of paired data pairs are: the first half of a batch's rows
/// are chosen answers, the second half the rejected ones, in the same order. Allocates nothing.
class BatchStream {
public:
  BatchStream(const DataSet &data, const BatchStreamOptions &options);

  /// Batches of an epoch; 0 when the data set has fewer rows than a batch and dropLast is on.
  int64_t batchesPerEpoch() const;
  /// The batch that `next` gives next.
  DataPosition position() const { return at; }
  /// Continues at `position`, which may name a batch past its epoch's end: it is counted on into the next ones.
  void seek(DataPosition position);

  /// Tokens of the longest row of the batch that `next` gives next, without padding; -1 when the file of tokens could
  /// no longer be read.
  int64_t longest() const;
  /// Fills `out` (batchSize × `length` each, which holds the batch's longest row), moves on, and returns the number of
  /// valid labels; -1 as above. Needs batchesPerEpoch() > 0.
  int64_t next(const BatchView &out, int64_t length);
  /// Valid labels of the next `batches` batches together, without moving: for the weight of a step's micro-batches. -1
  /// as next.
  int64_t countValid(int64_t batches = 1) const;
  /// Pairs of which an answer has a label, of the next `batches` batches of paired data. -1 as next.
  int64_t countPairs(int64_t batches = 1) const;

private:
  /// Row of the data set at `index` of the epoch, or -1 for padding.
  int64_t rowAt(DataPosition position, int64_t index) const;

  const DataSet *data;
  BatchStreamOptions options;
  DataPosition at;
};

} // namespace ftc

#endif // FTC_DATA_BATCHSTREAM_H

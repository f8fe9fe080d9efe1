//===- Lengths.h - For which lengths of rows a step is compiled -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANNING_LENGTHS_H
#define FTC_PLANNING_LENGTHS_H

#include <cstdint>
#include <span>
#include <vector>

namespace ftc {

/// The share of batches whose longest row has l tokens, for each l; the shares' sum is 1. `samples[l]`: number of
/// samples of l tokens, of which there is one at least. A batch is `batch` samples, none twice, each choice of them as
/// likely as any other: the batches of a shuffled epoch. Fewer samples than that are one batch.
std::vector<double> longestOfBatches(std::span<const int64_t> samples, int64_t batch);

/// Tokens of a batch's rows on average, padding included, where each batch is padded to the shortest of `lengths`
/// (ascending) that holds its longest row. `longest`: shares by length, none beyond the last of `lengths`.
double expectedLength(std::span<const double> longest, std::span<const int64_t> lengths);

struct LengthChoice {
  int64_t longest = 0;  ///< is one of the lengths, and the last
  int64_t step = 32;    ///< all others are multiples of it
  int64_t shortest = 0; ///< none is below it
  int64_t most = 9;     ///< number of lengths
  double worth = 0.01;  ///< a further length has to save so much of what is computed without it
};

/// The lengths, ascending, with the least expectedLength: no more than `choice.most`, and only as many as are worth it.
std::vector<int64_t> chooseLengths(std::span<const double> longest, const LengthChoice &choice);

/// `tokens` rounded up to a multiple of `step`, but not above `limit`, which is no less than `tokens`.
int64_t roundedLength(int64_t tokens, int64_t step, int64_t limit);

} // namespace ftc

#endif // FTC_PLANNING_LENGTHS_H

//===- PairMetrics.cpp - What is measured of pairs of answers --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/PairMetrics.h"

#include "ftc/Data/DataSet.h"
#include "ftc/Trainer/Feed.h"

#include <algorithm>

namespace ftc {

PairMeasure::PairMeasure(int64_t rows, double beta)
    : beta(static_cast<float>(beta)), labelled(static_cast<size_t>(rows / 2)) {}

void PairMeasure::clear() {
  sums = {};
  count = 0;
}

int64_t PairMeasure::note(const BatchView &batch, int64_t length) {
  const auto pairs = static_cast<int64_t>(labelled.size());
  auto hasLabel = [&](int64_t row) {
    const int32_t *labels = batch.labels + row * length;
    return std::any_of(labels, labels + length, [](int32_t label) { return label != ignoredLabel; });
  };
  for (int64_t i = 0; i < pairs; ++i)
    labelled[static_cast<size_t>(i)] = hasLabel(i) || hasLabel(pairs + i);
  return std::count(labelled.begin(), labelled.end(), 1);
}

void PairMeasure::add(const EntryFeed &feed) {
  const auto *policy = static_cast<const float *>(feed.output("log_probs"));
  const auto *reference = static_cast<const float *>(feed.output("reference_log_probs"));
  const size_t pairs = labelled.size();
  for (size_t i = 0; i < pairs; ++i) {
    if (!labelled[i])
      continue;
    const float chosen = beta * (policy[i] - reference[i]),
                rejected = beta * (policy[pairs + i] - reference[pairs + i]);
    sums.chosenReward += chosen;
    sums.rejectedReward += rejected;
    sums.margin += chosen - rejected;
    sums.accuracy += chosen > rejected;
    sums.chosenLogProb += policy[i];
    sums.rejectedLogProb += policy[pairs + i];
    ++count;
  }
}

PairMeans PairMeasure::means() const {
  const double share = count ? 1.0 / static_cast<double>(count) : 0;
  return {sums.chosenReward * share, sums.rejectedReward * share, sums.margin * share,
          sums.accuracy * share,     sums.chosenLogProb * share,  sums.rejectedLogProb * share};
}

} // namespace ftc

//===- PairMetrics.h - What is measured of pairs of answers ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_PAIRMETRICS_H
#define FTC_TRAINER_PAIRMETRICS_H

#include <cstdint>
#include <vector>

namespace ftc {

class EntryFeed;
struct BatchView;

/// Means over pairs, under the names of torchtune's recipe lora_dpo_single_device. A reward is beta times the
/// log-probability of an answer over that by the reference.
struct PairMeans {
  double chosenReward = 0, rejectedReward = 0; ///< rewards/chosen, rewards/rejected
  double margin = 0;                           ///< rewards/margins: the difference of the two
  double accuracy = 0; ///< rewards/accuracies: the share of pairs whose chosen answer has the larger reward
  double chosenLogProb = 0, rejectedLogProb = 0; ///< log_probs/chosen, log_probs/rejected
};

/// Adds up what an entry says of the pairs of batches. An entry may use the memory of its inputs, so which pairs have a
/// label is noted before it runs. Allocates only where it is made.
class PairMeasure {
public:
  /// For batches of `rows` rows, and the recipe's beta.
  PairMeasure(int64_t rows, double beta);

  /// Forgets what was added.
  void clear();
  /// Notes which pairs of a batch, of rows of `length` tokens, have a label: before the entry runs. Returns their
  /// number.
  int64_t note(const BatchView &batch, int64_t length);
  /// Adds the pairs noted last, of the entry's outputs `log_probs` and `reference_log_probs`, [rows] of fp32 each.
  void add(const EntryFeed &feed);

  int64_t pairs() const { return count; }
  /// Of all pairs since `clear`; zeros where there were none.
  PairMeans means() const;

private:
  float beta;
  std::vector<uint8_t> labelled; ///< by pair of the batch
  PairMeans sums;
  int64_t count = 0;
};

} // namespace ftc

#endif // FTC_TRAINER_PAIRMETRICS_H

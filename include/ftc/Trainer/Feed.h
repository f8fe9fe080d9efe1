//===- Feed.h - Entries of a step, fed with batches ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_FEED_H
#define FTC_TRAINER_FEED_H

#include "ftc/Data/DataSet.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Tokenizer/Tokenizer.h"
#include "ftc/Trainer/Metrics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// One entry of a step with its inputs as a batch: `batch` rows of `sequence` tokens, in the step's own memory. The
/// inputs must be written before every call.
class EntryFeed {
public:
  /// Throws RunError(BadStep) when an input or output is missing or has another shape than the entry says.
  EntryFeed(Session &session, int entry, const std::vector<std::string> &outputs);

  int64_t batch() const { return rows; }
  int64_t sequence() const { return length; }
  double flops() const { return entryFlops; }
  const BatchView &view() const { return inputs; }
  void run(const ftrt_scalars &scalars) { session->run(entry, scalars); }
  /// Memory of output `name`; null when the entry has none of that name.
  const void *output(std::string_view name) const;

private:
  int32_t *input(const char *name, bool required);

  Session *session;
  int entry;
  int64_t rows, length;
  double entryFlops;
  BatchView inputs;
  std::vector<std::vector<int32_t>> unused; ///< for inputs that the compiled entry does not read
};

/// The entries of one kind, which differ in the length of their rows.
class LengthFeeds {
public:
  /// As EntryFeed; there may be none.
  LengthFeeds(Session &session, manifest::EntryKind kind, const std::vector<std::string> &outputs);

  bool empty() const { return feeds.empty(); }
  int64_t batch() const { return feeds.back().batch(); }
  /// The shortest that holds rows of `tokens` tokens. Needs one that does.
  EntryFeed &holding(int64_t tokens);

private:
  std::vector<EntryFeed> feeds; ///< from the shortest to the longest
};

/// Mean loss, over labels or pairs of answers, of all rows of `data` through the step's `evaluate` entries; `pairs`,
/// where the step compares answers, then holds what was measured of them, and `parts`, where it has a teacher, the
/// means of the two losses. Nothing when `stop` becomes non-zero. Throws RunError.
std::optional<double> evaluate(LengthFeeds &feeds, const DataSet &data, PairMeasure *pairs, DistillationLosses *parts,
                               const volatile int &stop);

struct SampleOptions {
  std::vector<int32_t> start; ///< ids that the text goes on from
  int64_t tokens = 0;
  double temperature = 0; ///< 0: the likeliest token
  uint64_t seed = 0;
};

/// Text that the model generates through the step's `logits` entry; without what it goes on from. Ends early at the end
/// token, and when `stop` becomes non-zero. The same seed gives the same text.
std::string generate(EntryFeed &feed, const Tokenizer &tokenizer, const SampleOptions &options,
                     const volatile int &stop);

} // namespace ftc

#endif // FTC_TRAINER_FEED_H

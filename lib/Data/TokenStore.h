//===- TokenStore.h - What a data set holds -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_TOKENSTORE_H
#define FTC_LIB_DATA_TOKENSTORE_H

#include "ftc/Data/DataSet.h"

#include <map>
#include <span>

namespace ftc {

/// How samples lie in rows.
enum class RowLayout {
  Stream,   ///< samples back to back, cut into rows wherever a row ends
  Whole,    ///< as many whole samples as fit
  Single,   ///< one sample a row
  TokenFile ///< a file on disk, each row a sample of its own
};

struct TokenStore {
  RowLayout layout = RowLayout::Stream;
  int64_t seqLen = 0;
  int64_t maxPositions = 0;
  int64_t vocabSize = 0;
  int32_t padId = 0;
  int64_t rows = 0;
  int64_t tokens = 0;
  int64_t valid = 0;
  uint64_t fingerprint = 0;

  // Documents. One of `narrow` and `wide` holds the ids of all samples, back to back.
  bool isWide = false;
  std::vector<uint16_t> narrow;
  std::vector<uint32_t> wide;
  std::vector<uint64_t> starts;   ///< first token of each sample, and the end
  std::vector<uint64_t> trained;  ///< a bit a token; empty: all are trained
  std::vector<uint64_t> rowFirst; ///< Whole: first sample of each row, and the end

  // Token file.
  std::shared_ptr<const int> file; ///< descriptor, closed with its last owner
  int64_t width = 0;               ///< bytes of an id
  uint64_t fileOffset = 0;         ///< of row 0

  int32_t id(uint64_t i) const { return static_cast<int32_t>(isWide ? wide[i] : narrow[i]); }
  bool isTrained(uint64_t i) const { return trained.empty() || (trained[i / 64] >> (i % 64) & 1); }
  uint64_t stored() const { return isWide ? wide.size() : narrow.size(); }
};

/// What cutting did.
struct CutCounts {
  int64_t samples = 0; ///< that were longer than a row
  int64_t tokens = 0;  ///< that are gone
  int64_t silent = 0;  ///< samples that were cut and have no trained token left
};

/// Collects samples; `finish` forms rows. Also where token files become data sets.
struct DataSetBuilder {
  /// `wideIds`: ids need more than 16 bits.
  DataSetBuilder(const DataOptions &options, int32_t padId, bool wideIds);

  /// `trained` is empty (all) or as long as `ids`.
  void add(std::span<const int32_t> ids, std::span<const uint8_t> trained = {});
  DataSet finish(RowLayout layout);
  int64_t tokens() const { return static_cast<int64_t>(store->stored()); }

  /// Cuts what is longer than a row; done by `finish` for layouts whose samples must fit. Conversations end with
  /// `endId` then, unless that is below 0. Adds to `counts`.
  void cutSamples(int32_t endId, bool conversations, CutCounts &counts);

  /// A file of ids as rows for training and, the tail, for evaluation.
  static std::optional<LoadedData> tokenFile(const DataOptions &options, int32_t padId, std::vector<Diagnostic> &diags);

private:
  std::unique_ptr<TokenStore> store;
};

/// What one .jsonl object or file stands for.
struct Sample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained; ///< empty: all
  bool conversation = false;

  void clear() {
    ids.clear();
    trained.clear();
    conversation = false;
  }
};

/// Counts of things that are told once at the end, not one by one.
struct RecordCounts {
  int64_t empty = 0;                     ///< records without text
  int64_t unanswered = 0;                ///< conversations in which the assistant says nothing
  std::map<std::string, int64_t> unread; ///< messages with a key that says nothing here, by key
};

/// Called for each sample.
using SampleSink = void (*)(void *context, Sample &sample);

/// Reads the objects of a .jsonl file, or with `isArray` those of one JSON array. False with errors in `diags`.
bool readRecords(const std::string &path, bool isArray, const DataOptions &options, const Tokenizer &tokenizer,
                 RecordCounts &counts, SampleSink sink, void *context, std::vector<Diagnostic> &diags);

/// Appends BOS, the text, and EOS if asked for.
void encodeText(std::string_view text, const Tokenizer &tokenizer, bool addEos, Sample &sample);

} // namespace ftc

#endif // FTC_LIB_DATA_TOKENSTORE_H

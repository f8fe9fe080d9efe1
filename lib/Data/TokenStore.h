//===- TokenStore.h - What a data set holds -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_TOKENSTORE_H
#define FTC_LIB_DATA_TOKENSTORE_H

#include "ScratchFile.h"
#include "ftc/Data/DataSet.h"

#include <map>
#include <span>

namespace ftc {

/// How samples lie in rows.
enum class RowLayout {
  Stream,    ///< samples back to back, cut into rows wherever a row ends
  Whole,     ///< as many whole samples as fit
  Single,    ///< one sample a row
  TokenFile, ///< a file on disk, each row a sample of its own
  Joined     ///< rows of other data sets, one set behind the other
};

struct TokenStore {
  RowLayout layout = RowLayout::Stream;
  int64_t seqLen = 0;
  int64_t maxPositions = 0;
  int64_t vocabSize = 0;
  int32_t padId = 0;
  int64_t width = 0; ///< bytes of an id: 2 or 4
  int64_t rows = 0;
  int64_t tokens = 0;
  int64_t valid = 0;
  uint64_t fingerprint = 0;
  bool paired = false; ///< samples 2 i and 2 i + 1 are the answers of pair i

  // Documents.
  uint64_t samples = 0;
  ScratchFile ids;      ///< of all samples, back to back
  ScratchFile starts;   ///< numbers: first token of each sample, and the end
  ScratchFile trained;  ///< numbers with a bit a token, the lowest first; empty: all are trained
  ScratchFile rowFirst; ///< Stream, Whole: numbers: sample of the first token of each row; Whole: and the end

  // Joined.
  std::vector<DataSet> parts;
  std::vector<int64_t> partRow; ///< first row of each part

  // Token file.
  std::shared_ptr<const int> file; ///< descriptor, closed with its last owner
  uint64_t fileOffset = 0;         ///< of row 0

  uint64_t stored() const { return ids.size() / static_cast<uint64_t>(width); }
};

/// What cutting did.
struct CutCounts {
  int64_t samples = 0; ///< that were longer than a row
  int64_t tokens = 0;  ///< that are gone
  int64_t silent = 0;  ///< samples that were cut and have no trained token left
};

/// Bits, one behind the other, in a file of numbers.
class BitWriter {
public:
  /// Appends `count` bits; a number is written when its bits are all there.
  void append(ScratchFile &to, bool bit, uint64_t count);
  /// Fills the last number up with zeros, so that all of it can be read.
  void fill(ScratchFile &to) { append(to, false, (64 - bits % 64) % 64); }
  /// Writes the last number, also where it has no bit.
  void close(ScratchFile &to) { to.append(&word, sizeof(word)); }

private:
  uint64_t bits = 0, word = 0; ///< how many there are, and the number that is not full yet
};

/// Whether tokens are trained, in a mask of a bit a token; or another mask.
class TrainedBits {
public:
  /// `words` outlives this; where it is empty, all are trained.
  explicit TrainedBits(const ScratchFile &words) : words(words), all(words.empty()) {}
  /// False where it cannot be read.
  bool read(uint64_t token, bool &trained);

private:
  const ScratchFile &words;
  bool all;
  uint64_t index = ~uint64_t(0), word = 0;
};

/// Widens `count` ids of `width` bytes, which lie at the end of the memory for `count` 32-bit ones that begins at `to`.
/// False where one is not below `vocabSize`.
bool widenIds(int32_t *to, int64_t count, int64_t width, int64_t vocabSize);

/// Collects samples; `finish` forms rows. Also where token files become data sets.
struct DataSetBuilder {
  DataSetBuilder(const DataOptions &options, int32_t padId, bool wideIds);

  /// Appends to the sample that is open; `end` ends it, which must have tokens. `trained` is empty (all) or as long as
  /// the sample.
  void append(std::span<const int32_t> ids);
  void end(std::span<const uint8_t> trained = {});
  void add(std::span<const int32_t> ids, std::span<const uint8_t> trained = {}) {
    append(ids);
    end(trained);
  }
  /// Tokens of the open sample.
  uint64_t openTokens() const { return store->stored() - lastEnd; }
  /// Moves the last `count` tokens of the open sample to that of `to`.
  void moveTail(uint64_t count, DataSetBuilder &to);

  /// Cuts what is longer than a row; to be called once, before `finish`, for layouts whose samples must fit. Samples
  /// with a mask, which conversations have, end with `endId` then, unless that is below 0. Adds to `counts`.
  void cutSamples(int32_t endId, CutCounts &counts);
  DataSet finish(RowLayout layout, bool paired = false);
  int64_t tokens() const { return static_cast<int64_t>(store->stored()); }
  int64_t samples() const { return static_cast<int64_t>(store->samples); }

  /// Why the tokens could not be kept, or read again; "" where they could.
  std::string problem() const;

  /// A file of ids as rows for training and, the tail, for evaluation.
  static std::optional<LoadedData> tokenFile(const DataOptions &options, int32_t padId, std::vector<Diagnostic> &diags,
                                             LoadFailure &failure);

private:
  explicit DataSetBuilder(const TokenStore &like, const std::string &folder);
  bool formRows();

  std::unique_ptr<TokenStore> store;
  std::string folder;
  uint64_t lastEnd = 0;        ///< of the last sample that has ended
  uint64_t longest = 0;        ///< tokens of the longest sample
  bool masked = false;         ///< bits are kept: from the first masked sample on
  BitWriter trainedBits;       ///< of store->trained
  ScratchFile maskedSamples;   ///< a bit a sample: whether it has a mask; empty while none has
  BitWriter maskedSamplesBits; ///< of that
  bool unreadable = false;
  std::string failure; ///< of finish
};

/// What one .jsonl object or file stands for.
struct Sample {
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained; ///< empty: all
  bool conversation = false;
  std::vector<int32_t> rejectedIds; ///< of a pair the other answer; `ids` is the chosen one
  std::vector<uint8_t> rejectedTrained;
  int line = 0;        ///< of a .jsonl file
  int64_t offset = -1; ///< of a list's object: where it begins in the file

  void clear() {
    ids.clear();
    trained.clear();
    rejectedIds.clear();
    rejectedTrained.clear();
    conversation = false;
  }
};

/// Counts of things that are told once at the end, not one by one.
struct RecordCounts {
  int64_t seen = 0;                      ///< records so far, over all files
  int64_t first = 0, last = INT64_MAX;   ///< those that are read are [first, last)
  int64_t empty = 0;                     ///< records without text
  int64_t unanswered = 0;                ///< conversations in which the assistant says nothing
  int64_t instructions = 0;              ///< instruct_dataset's with a key 'instruction' that it does not read
  std::map<std::string, int64_t> unread; ///< messages with a key that says nothing here, by key
};

/// Called for each sample.
using SampleSink = void (*)(void *context, Sample &sample);

/// How a file's records are written.
enum class RecordFormat {
  Lines,  ///< a JSON object a line
  List,   ///< one JSON array of objects, or as above
  Commas, ///< a row of CSV each, below one with the names of the columns
  Tabs,   ///< the same with tabs in place of commas
  Texts   ///< a text a line
};

/// How the records of a file are written, by its name, or else as the recipe says; nothing for documents.
/// `inDirectory`: the file is not named itself, but lies in a folder that is.
std::optional<RecordFormat> formatOf(const std::string &path, bool inDirectory, const DataOptions &options);

/// Whether a file of this name holds token ids.
bool isTokenFile(const std::string &path);

/// Why files of this name are not read, and what to do; "" for others.
std::string whyNotRead(const std::string &path);

/// Reads the records of a file. False with errors in `diags`.
bool readRecords(const std::string &path, RecordFormat format, const DataOptions &options, const Tokenizer &tokenizer,
                 RecordCounts &counts, SampleSink sink, void *context, std::vector<Diagnostic> &diags);

/// The line, from 1, of byte `offset` of a file.
int lineAt(const std::string &path, int64_t offset);

/// Adds the number of records of a file to `count`. Where it breaks off, reading them tells why.
void countRecords(const std::string &path, RecordFormat format, int64_t &count);

/// Whether a .json file begins as a list of objects, or as objects on a line each, two at least.
bool holdsList(const std::string &path);

/// Whether a .json file is one object on one line, with a key that the data set reads.
bool holdsRecordOf(const std::string &path, const DataOptions &options);

/// Alpaca's wording of an instruction, with an input or without ("").
std::string alpacaWords(const std::string &instruction, const std::string &input);

/// Puts the recipe's system prompt in front of a conversation, says which turns are trained, and writes the words of
/// the prompt template around them.
void wordTurns(const DataOptions &options, std::vector<Message> &turns);

/// Appends BOS, the text, and EOS if asked for.
void encodeText(std::string_view text, const Tokenizer &tokenizer, bool addEos, Sample &sample);

} // namespace ftc

#endif // FTC_LIB_DATA_TOKENSTORE_H

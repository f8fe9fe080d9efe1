//===- DataSet.h - Documents as rows of tokens -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the files may look like, how documents become samples and samples become rows: docs/data.md.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_DATA_DATASET_H
#define FTC_DATA_DATASET_H

#include "ftc/Config/Recipe.h"
#include "ftc/Support/Diagnostics.h"
#include "ftc/Tokenizer/Tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ftc {

/// The label of a position that is not trained.
inline constexpr int32_t ignoredLabel = -100;

/// What an object of a JSON file is.
enum class RecordKind {
  TextOrChat,  ///< a text under one key, or a conversation of {"role", "content"}
  Chat,        ///< a conversation of {"role", "content"}
  ShareGpt,    ///< a conversation of {"from": "system", "human" or "gpt", "value"}
  Instruct,    ///< a question and its answer, under two keys
  Alpaca,      ///< an instruction, an answer, and often an input, in the wording of Stanford's Alpaca
  Pairs,       ///< two conversations of {"role", "content"}, of which the first is preferred
  PairsOfTexts ///< a question, the answer that is preferred, and another one
};

/// Whether a record gives two samples, the chosen answer and the rejected one.
inline bool givesPairs(RecordKind kind) { return kind == RecordKind::Pairs || kind == RecordKind::PairsOfTexts; }

/// What files hold whose names do not end as those of records do.
enum class DataSource {
  ByName, ///< a document each
  Json,   ///< a JSON object a line
  Csv,    ///< a row of CSV each, below one with the names of the columns
  Text    ///< a text a line
};

/// What becomes of samples that are longer than a row. (Rows of texts that go on in the next one have none.)
enum class LongSamples {
  Cut,    ///< they are cut, with a remark
  Refuse, ///< they are an error
  /// They are an error, and so is a token file: samples are read for their lengths, one a row, and DataOptions::seqLen
  /// is the model's longest sequence.
  Measure
};

struct DataOptions {
  std::string path; ///< a file (text, .jsonl, .bin) or a directory
  /// Further files and directories, read behind `path` as parts of the same data set. Token files only with token
  /// files.
  std::vector<std::string> morePaths;
  DataSlice slice; ///< of the records, counted over all files; not of documents and token files
  DataSource source = DataSource::ByName;
  RecordKind records = RecordKind::TextOrChat;
  std::string column = "text"; ///< key of a .jsonl object that holds its text or conversation
  /// Keys of Instruct (input, output) and Alpaca.
  std::string instructionKey = "instruction", inputKey = "input", outputKey = "output";
  /// Keys of Pairs (chosen, rejected) and PairsOfTexts.
  std::string promptKey = "prompt", chosenKey = "chosen", rejectedKey = "rejected";
  bool trainOnInput = false; ///< every turn of a conversation is trained, not the assistant's alone
  MaskingStrategy masking = MaskingStrategy::TrainOnAssistant;
  std::optional<std::string> systemPrompt; ///< in place of a conversation's own; never trained
  std::vector<PromptTags> promptTags;      ///< words around messages, trained with them
  int64_t seqLen = 0;                      ///< tokens in a row
  LongSamples longSamples = LongSamples::Cut;
  int64_t vocabSize = 0;       ///< the model's; every id must lie below it
  bool packed = true;          ///< several samples in a row; else one, the rest is padding; not for pairs
  bool splitAcrossPack = true; ///< a text may go on in the next row; conversations are never split
  bool addEos = true;          ///< end a text with the end token
  double heldOut = 0.0;   ///< share of the conversations, and of each text its tail, kept for evaluation, in [0, 1)
  int64_t tokenWidth = 0; ///< bytes of an id in a .bin file without header: 2 or 4; 0: 2
  /// Positions lie below this (rows of the rotary table). 0: seqLen. A sample that goes on in the next row counts on
  /// as long as its positions stay below.
  int64_t maxPositions = 0;
  /// Folders that are passed over (with a remark) where they lie inside of a directory of data: what the run writes.
  std::vector<std::string> notInside;
  /// Whose longest sequence seqLen is, with LongSamples::Measure, for messages.
  std::string limitedBy = "model";
  /// How ftc is told all data of the run, for messages: words of a shell. "": --data and the paths above.
  std::string dataWords = "";
  std::string tokenizerFile = ""; ///< where the tokenizer was read from, for messages; "": nowhere
  /// Where the file without a name lies that holds the ids of documents; made if it is not there. "": the system's for
  /// temporary files.
  std::string scratchFolder = "";

  /// Whether what a user says is trained.
  bool trainsQuestions() const { return trainOnInput || masking == MaskingStrategy::TrainOnAll; }
};

/// Memory of one batch, the caller's: four arrays of rows × length, row-major.
struct BatchView {
  int32_t *tokens = nullptr;
  int32_t *labels = nullptr;    ///< the next token of the same sample, or ignoredLabel
  int32_t *positions = nullptr; ///< within the sample; 0 for padding
  /// Index within the row of the first token of this token's sample: attention of token t covers
  /// [segmentStarts[t], t]. Padding: t itself.
  int32_t *segmentStarts = nullptr;
};

struct TokenStore;

/// Rows of tokens. The ids of documents are kept, with 16 or 32 bits, in files without a name; these and token files
/// are read row by row. Memory does not grow with the data. Reading a row allocates nothing. For one thread at a time.
class DataSet {
public:
  DataSet();
  DataSet(DataSet &&) noexcept;
  DataSet &operator=(DataSet &&) noexcept;
  ~DataSet();

  int64_t seqLen() const;
  int64_t rows() const;
  int64_t samples() const;
  /// Whether rows 2 i and 2 i + 1 are the chosen and the rejected answer of pair i.
  bool paired() const;
  /// Tokens of all rows, without padding.
  int64_t tokens() const;
  /// Labels of all rows that are not ignoredLabel.
  int64_t validLabels() const;
  /// A number that changes when the tokens, their order or the rows change: a resumed run compares it.
  uint64_t fingerprint() const;

  /// The rows of all `parts` (one at least, of one seqLen), one part behind the other.
  static DataSet join(std::vector<DataSet> parts);

  /// Tokens of row `row` without its padding, which is at the end; -1 when the file could no longer be read.
  int64_t rowLength(int64_t row) const;
  /// Writes the first `length` tokens of row `row` to each array of `out`; between rowLength(row) and seqLen. Returns
  /// the number of valid labels, or -1 as above.
  int64_t fillRow(int64_t row, const BatchView &out, int64_t length) const;
  /// What fillRow would return, without reading the row's ids.
  int64_t countValid(int64_t row) const;
  /// `length` tokens of padding.
  void fillPadding(const BatchView &out, int64_t length) const;

private:
  friend struct DataSetBuilder;
  std::unique_ptr<TokenStore> store;
};

/// A sample, and where it was read.
struct FoundSample {
  int64_t tokens = 0;
  std::string file;
  int line = 0; ///< of a record; 0: not known
};

/// Training rows and held-out rows (without rows if DataOptions::heldOut is 0).
struct LoadedData {
  DataSet train;
  DataSet heldOut;
  FoundSample longest; ///< of both, before any was cut; of a token file a row
};

/// Rows of several data sets as one: DataSet::join of both halves, and the longest sample of all.
LoadedData join(std::vector<LoadedData> parts);

/// The records [first, second) that `slice` takes of `records`. Percentages are rounded to the nearest record, halves
/// to the even one, as Hugging Face's `datasets` does it.
std::pair<int64_t, int64_t> recordsOf(const DataSlice &slice, int64_t records);

/// Whether two slices of the same records have none in common, however many records there are. False where that depends
/// on their number, as of train[:100] and train[-50:].
bool areApart(const DataSlice &a, const DataSlice &b);

/// Appends the ids of a conversation in which the user says `question` and the assistant is about to answer, in the
/// words that records get by `options`: system prompt, template, Alpaca's. Returns why the tokenizer has no wording for
/// it, "" where it has one.
std::string encodeQuestion(const std::string &question, const DataOptions &options, const Tokenizer &tokenizer,
                           std::vector<int32_t> &ids);

/// Whether a file of this name is read as records: .jsonl, .ndjson, .json, .csv, .tsv.
bool holdsRecords(const std::string &path);

/// What kind of error the last one of loadData is.
enum class LoadFailure {
  Bad,   ///< the data cannot be used
  Empty, ///< nothing in them is trained
  NoRoom ///< there is none for their tokens
};

/// Reads everything that `options.path` and `options.morePaths` name. Skipped files, cut samples and the like are
/// remarks in `diags`. Errors: unreadable or empty data, no room for the ids in `scratchFolder`, a bad line of a .jsonl
/// (with file:line:column), an id beyond the vocabulary, a held-out share that keeps nothing.
std::optional<LoadedData> loadData(const DataOptions &options, const Tokenizer &tokenizer,
                                   std::vector<Diagnostic> &diags, LoadFailure *why = nullptr);

} // namespace ftc

#endif // FTC_DATA_DATASET_H

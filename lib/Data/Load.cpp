//===- Load.cpp - Files and directories as data sets ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TextFile.h"
#include "TokenStore.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

using namespace ftc;
namespace fs = std::filesystem;

namespace {

/// Loads documents one after the other into the two sets.
class Loader {
public:
  Loader(const DataOptions &options, const Tokenizer &tokenizer, std::vector<Diagnostic> &diags, LoadFailure &failure)
      : options(options), tokenizer(tokenizer), diags(diags), failure(failure),
        train(options, tokenizer.padId(), tokenizer.vocabSize() > 65536),
        held(options, tokenizer.padId(), tokenizer.vocabSize() > 65536) {}

  /// The files of all that is named, in their order.
  bool collect();
  /// Reads them.
  bool load();
  std::optional<LoadedData> finish();

private:
  struct File {
    std::string path;
    bool inDirectory;
    std::optional<RecordFormat> format = {}; ///< of its records; nothing: it is a document
  };
  bool listDirectory(const std::string &root);
  /// How many records all files have, and which of them are taken.
  bool chooseRecords();
  bool loadRecords(const std::string &path, RecordFormat format, bool inDirectory);
  bool loadText(const std::string &path, bool inDirectory);
  void add(Sample &sample, const std::string &path);
  /// One sample of so many tokens is part of the data.
  void note(uint64_t tokens, const std::string &path, int line = 0, int64_t offset = -1);
  /// False, with an error, where samples are longer than a row and are not to be cut.
  bool refuseLong();
  /// How a step gets rows that hold these samples.
  std::string longerRows() const;
  /// Whether the next conversation is held out: spread evenly, the first is not, so that of each 1 / share one is.
  bool holdsOutNext();
  /// How many of a sample's tokens are held out. A tail of one token would have no label.
  uint64_t tailOf(uint64_t tokens) const {
    auto tail = static_cast<uint64_t>(static_cast<double>(tokens) * options.heldOut);
    return tail >= 2 ? tail : 0;
  }
  bool keepsTokens();
  bool fail(const std::string &path, std::string message, LoadFailure why = LoadFailure::Bad) {
    diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
    failure = why;
    return false;
  }
  bool isOutput(const fs::path &folder) const {
    return std::any_of(options.notInside.begin(), options.notInside.end(), [&](const std::string &other) {
      std::error_code missing;
      return fs::equivalent(folder, other, missing);
    });
  }
  void skip(const std::string &reason, const std::string &path) { skipped[reason].push_back(path); }

  const DataOptions &options;
  const Tokenizer &tokenizer;
  std::vector<Diagnostic> &diags;
  LoadFailure &failure;
  DataSetBuilder train, held;
  std::vector<File> files;
  int64_t trainSamples = 0, heldSamples = 0;
  int64_t conversations = 0; ///< held out or not
  int64_t heldConversations = 0;
  RecordCounts counts;
  FoundSample longest;
  int64_t longestAt = -1;                                  ///< of a list's object: where it begins in the file
  int64_t longSamples = 0;                                 ///< that are longer than a row
  std::map<std::string, std::vector<std::string>> skipped; ///< by reason
  std::vector<std::string> asTexts;                        ///< .json files of a directory that hold no list of objects
  std::set<std::pair<uint64_t, uint64_t>> seen;            ///< hashes of contents
};

bool Loader::holdsOutNext() {
  // A share such as 0.05 is a little more or less than a twentieth.
  auto wanted = [&](int64_t of) { return std::floor(static_cast<double>(of) * options.heldOut + 1e-9); };
  int64_t before = conversations++;
  return wanted(before + 1) > wanted(before);
}

void Loader::note(uint64_t tokens, const std::string &path, int line, int64_t offset) {
  const auto count = static_cast<int64_t>(tokens);
  longSamples += count > options.seqLen;
  if (count <= longest.tokens)
    return;
  longest = {count, path, line};
  longestAt = offset;
}

void Loader::add(Sample &sample, const std::string &path) {
  std::span<const int32_t> ids = sample.ids;
  std::span<const uint8_t> trained = sample.trained;
  if (sample.conversation) {
    bool isHeld = holdsOutNext();
    heldConversations += isHeld;
    DataSetBuilder &set = isHeld ? held : train;
    set.add(ids, trained);
    note(ids.size(), path, sample.line, sample.offset);
    if (givesPairs(options.records)) {
      set.add(sample.rejectedIds, sample.rejectedTrained);
      note(sample.rejectedIds.size(), path, sample.line, sample.offset);
    }
    ++(isHeld ? heldSamples : trainSamples);
    return;
  }
  if (size_t tail = tailOf(ids.size())) {
    held.add(ids.last(tail), trained.empty() ? trained : trained.last(tail));
    note(tail, path, sample.line, sample.offset);
    ++heldSamples;
    ids = ids.first(ids.size() - tail);
    trained = trained.empty() ? trained : trained.first(ids.size());
  }
  if (!ids.empty()) {
    train.add(ids, trained);
    note(ids.size(), path, sample.line, sample.offset);
    ++trainSamples;
  }
}

bool Loader::loadRecords(const std::string &path, RecordFormat format, bool inDirectory) {
  struct Sink {
    Loader &loader;
    const std::string &path;
  } sink{*this, path};
  const size_t before = diags.size();
  const bool good = readRecords(
      path, format, options, tokenizer, counts,
      [](void *to, Sample &sample) { static_cast<Sink *>(to)->loader.add(sample, static_cast<Sink *>(to)->path); },
      &sink, diags);
  if (!good && inDirectory && before < diags.size()) // it may be there for something else
    diags[before].message += "; or take the file out of the folder";
  return good;
}

bool Loader::loadText(const std::string &path, bool inDirectory) {
  if (const std::string why = whyNotRead(path); !why.empty()) {
    if (!inDirectory)
      return fail(path, why);
    skip(why, path);
    return true;
  }
  if (!options.slice.isWhole() && !inDirectory)
    return fail(path, "a slice in 'split' counts records, and this is a text; for a part of it use --held-out, or "
                      "cut the file");
  if (options.records != RecordKind::TextOrChat) {
    if (!inDirectory)
      return fail(path, std::string("the recipe's data set is made of records, and this is called neither .jsonl nor "
                                    ".json nor .csv: rename it if it holds some") +
                            (givesPairs(options.records)
                                 ? ""
                                 : ", or for text override dataset=torchtune.datasets.text_completion_dataset"));
    skip("is not called .jsonl, and the recipe's data set is made of records", path);
    return true;
  }
  if (inDirectory && (options.source == DataSource::Json || options.source == DataSource::Csv)) {
    skip(fmt::format("is not called {}, and the recipe's dataset.source is {}",
                     options.source == DataSource::Json ? ".jsonl" : ".csv",
                     options.source == DataSource::Json ? "json" : "csv"),
         path);
    return true;
  }
  if (!options.slice.isWhole()) {
    skip("is not called .jsonl, and a slice in 'split' counts records", path);
    return true;
  }
  TextFile file(path, options.scratchFolder);
  if (!file.scan()) {
    if (!inDirectory)
      return fail(path, file.error(), file.hasNoRoom() ? LoadFailure::NoRoom : LoadFailure::Bad);
    skip("cannot be read", path);
    return true;
  }
  if (file.hasZeroByte()) {
    if (!inDirectory)
      return fail(path, "this is not text (it holds a zero byte): token ids must be in a file called .bin, archives "
                        "unpacked, and other formats converted to .jsonl");
    skip("is not text (it holds a zero byte)", path);
    return true;
  }
  if (file.isEmpty()) {
    skip("is empty", path);
    return true;
  }
  if (!seen.insert(file.hash()).second) {
    skip("has the same contents as another file", path);
    return true;
  }
  if (holdsRecords(path))
    asTexts.push_back(path);
  if (int32_t begin = tokenizer.bosId(); begin >= 0)
    train.append({&begin, 1});
  if (!file.encode(tokenizer, [&](std::span<const int32_t> ids) { train.append(ids); }))
    return fail(path, file.error());
  if (int32_t end = tokenizer.eosId(); options.addEos)
    train.append({&end, 1});
  if (uint64_t tail = tailOf(train.openTokens())) {
    train.moveTail(tail, held);
    held.end();
    note(tail, path);
    ++heldSamples;
  }
  if (train.openTokens()) {
    note(train.openTokens(), path);
    train.end();
    ++trainSamples;
  }
  return true;
}

bool Loader::collect() {
  std::vector<std::string> paths = options.morePaths;
  paths.insert(paths.begin(), options.path);
  for (const std::string &path : paths) {
    if (!fs::is_directory(path))
      files.push_back({path, false});
    else if (!listDirectory(path))
      return false;
  }
  return true;
}

bool Loader::listDirectory(const std::string &root) {
  if (isOutput(root))
    return fail(root, "the run writes to this folder, so the next one would read what it wrote; choose another one for "
                      "that (--out, or output_dir), or put the data into a folder of their own");
  std::vector<fs::path> folders{root}, found;
  while (!folders.empty()) {
    fs::path folder = std::move(folders.back());
    folders.pop_back();
    std::error_code error;
    fs::directory_iterator it(folder, error), end;
    for (; !error && it != end; it.increment(error)) {
      std::error_code statError;
      fs::file_status status = it->symlink_status(statError);
      if (it->path().filename().native().front() == '.')
        skip("is hidden", it->path());
      else if (fs::is_symlink(status))
        skip("is a symbolic link", it->path());
      else if (fs::is_directory(status) && isOutput(it->path()))
        skip("is where this run writes", it->path());
      else if (fs::is_directory(status))
        folders.push_back(it->path());
      else if (fs::is_regular_file(status))
        found.push_back(it->path());
      else
        skip("is not a regular file", it->path());
    }
    if (error) {
      if (folder == root)
        return fail(root, "cannot list the directory: " + error.message());
      skip("cannot be listed (" + error.message() + ")", folder);
    }
  }
  // By name, so that the order does not depend on the file system.
  std::sort(found.begin(), found.end(), [](const fs::path &a, const fs::path &b) { return a.native() < b.native(); });
  for (const fs::path &file : found)
    files.push_back({file, true});
  return true;
}

bool Loader::chooseRecords() {
  if (options.slice.isWhole())
    return true;
  int64_t records = 0;
  for (const File &file : files) {
    if (!file.format)
      continue;
    if (!fs::is_regular_file(file.path))
      return fail(file.path,
                  "a slice in 'split' reads the records twice, once to count them, and this (a pipe?) can be "
                  "read once; write it to a file first");
    countRecords(file.path, *file.format, records);
  }
  std::tie(counts.first, counts.last) = recordsOf(options.slice, records);
  if (counts.first < counts.last)
    diags.push_back({Severity::Remark, options.path, 0, 0,
                     fmt::format("the slice in 'split' takes {} of {} records, from record {} on",
                                 counts.last - counts.first, records, counts.first + 1)});
  const bool isText = !files.empty() && !files.front().inDirectory; // told where it is read
  if (counts.first < counts.last || (!records && isText))
    return true;
  return fail(options.path, fmt::format("the slice in 'split' takes none of the {} records", records));
}

bool Loader::load() {
  std::string others; // files that are not what the recipe says
  constexpr DataSource sources[] = {DataSource::Json, DataSource::Json, DataSource::Csv, DataSource::Csv,
                                    DataSource::Text};
  for (File &file : files) {
    file.format = formatOf(file.path, file.inDirectory, options);
    if (file.format && options.source != DataSource::ByName && others.empty() &&
        sources[static_cast<size_t>(*file.format)] != options.source)
      others = file.path;
  }
  if (!others.empty())
    diags.push_back({Severity::Remark, others, 0, 0,
                     "it is read as its name says, and not as dataset.source, which is of another format"});
  if (!chooseRecords())
    return false;
  bool good = true;
  for (const auto &[path, inDirectory, format] : files) {
    if (!train.problem().empty() || !held.problem().empty())
      break; // told at the end
    if (!format)
      good &= loadText(path, inDirectory);
    else if (inDirectory && !std::ifstream(path).is_open())
      skip("cannot be read", path);
    else
      good &= loadRecords(path, *format, inDirectory);
  }
  return good;
}

/// False, with an error, where there was no room for the tokens.
bool Loader::keepsTokens() {
  for (const DataSetBuilder *builder : {&train, &held})
    if (std::string problem = builder->problem(); !problem.empty())
      return fail(options.path, problem, LoadFailure::NoRoom);
  return true;
}

std::string Loader::longerRows() const {
  // Rows of packed samples have a length that somebody has to say.
  if (options.packed)
    return fmt::format("recompile with tokenizer.max_seq_len={}", longest.tokens);
  std::string words = options.dataWords;
  if (words.empty()) {
    words = "--data " + options.path;
    for (const std::string &path : options.morePaths)
      words += " --data " + path;
  }
  // A length that the recipe gives is the data's no more.
  return fmt::format("recompile with these data (ftc compile RECIPE tokenizer.max_seq_len=null {}) or with "
                     "tokenizer.max_seq_len={}",
                     words, longest.tokens);
}

bool Loader::refuseLong() {
  if (options.longSamples == LongSamples::Cut || !longSamples)
    return true;
  const std::string all = fmt::format("{} of {} samples", longSamples, train.samples() + held.samples());
  diags.push_back(
      {Severity::Error, longest.file, longest.line, 0,
       options.longSamples == LongSamples::Measure
           ? fmt::format("{} are longer than the {}'s longest sequence, {} tokens; the longest, here, has {}: "
                         "tokenizer.max_seq_len={} cuts them, as torchtune does with a length{}, or take them out",
                         all, options.limitedBy, options.seqLen, longest.tokens, options.seqLen,
                         conversations ? "" : ", and with dataset.packed=True texts go on in the next row")
           : fmt::format("{} are longer than the step's rows of {} tokens, and its recipe cuts none "
                         "(tokenizer.truncation is False); the longest, here, has {}: {}, or override "
                         "tokenizer.truncation=True to cut them",
                         all, options.seqLen, longest.tokens, longerRows())});
  return false;
}

std::optional<LoadedData> Loader::finish() {
  constexpr size_t named = 3;
  for (auto &[reason, paths] : skipped) {
    std::sort(paths.begin(), paths.end());
    std::string more =
        paths.size() > 1
            ? fmt::format(" (and {} more: {}{})", paths.size() - 1,
                          fmt::join(paths.begin() + 1, paths.begin() + std::min(named, paths.size()), ", "),
                          paths.size() > named ? ", ..." : "")
            : "";
    diags.push_back({Severity::Remark, paths.front(), 0, 0, fmt::format("skipped: {}{}", reason, more)});
  }
  if (!asTexts.empty())
    diags.push_back(
        {Severity::Remark, asTexts.front(), 0, 0,
         fmt::format("it is no list of objects, and is read as a text{}",
                     asTexts.size() > 1 ? fmt::format(" (and {} more .json files)", asTexts.size() - 1) : "")});
  auto remark = [&](std::string message) {
    diags.push_back({Severity::Remark, options.path, 0, 0, std::move(message)});
  };
  const char *things = givesPairs(options.records) ? "pairs" : "conversations";
  if (counts.empty)
    remark(fmt::format("{} records without text left out", counts.empty));
  if (counts.unanswered)
    remark(fmt::format("{} {} without a turn of the assistant left out", counts.unanswered, things));
  if (counts.instructions)
    remark(fmt::format("the key 'instruction' of {} records is not read: of Alpaca's records instruct_dataset trains "
                       "input and output alone; override dataset=torchtune.datasets.alpaca_dataset",
                       counts.instructions));
  for (const auto &[key, count] : counts.unread) {
    static const std::set<std::string> marks = {"weight", "mask", "masked", "train", "trainable", "loss", "loss_mask"};
    remark(fmt::format("the key '{}' of {} messages is not read{}", key, count,
                       !marks.contains(key)        ? ""
                       : options.trainsQuestions() ? ": all are trained, as the recipe says"
                                                   : ": what the assistant says is trained, all else masked"));
  }
  if (!keepsTokens())
    return std::nullopt;
  if (!trainSamples) {
    fail(options.path,
         "the data set is empty: no text to train on was found; --data takes a text file, a directory of "
         "text files, .jsonl, .json, .csv or a token file (.bin)",
         LoadFailure::Empty);
    return std::nullopt;
  }
  if (options.heldOut > 0 && !heldSamples) {
    fail(options.path,
         conversations
             ? fmt::format("holding out {} of {} {} keeps none to evaluate on; {}", options.heldOut, conversations,
                           things,
                           conversations > 1 ? fmt::format("raise the share to {:.2g} or more",
                                                           1.05 / static_cast<double>(conversations))
                                             : "one is trained at least: add others")
             : fmt::format("holding out {} of each document keeps nothing to evaluate on; the documents are too "
                           "short, raise the share",
                           options.heldOut));
    return std::nullopt;
  }
  if (options.heldOut > 0 && conversations)
    remark(fmt::format("{} of {} {} are held out for evaluation", heldConversations, conversations, things));

  const bool isSingle = !options.packed || givesPairs(options.records) || options.longSamples == LongSamples::Measure;
  RowLayout layout = isSingle                                    ? RowLayout::Single
                     : options.splitAcrossPack && !conversations ? RowLayout::Stream
                                                                 : RowLayout::Whole;
  if (longestAt >= 0)
    longest.line = lineAt(longest.file, longestAt);
  if (layout != RowLayout::Stream && !refuseLong())
    return std::nullopt;
  if (layout != RowLayout::Stream) {
    const int64_t tokens = train.tokens() + held.tokens();
    CutCounts cut;
    for (DataSetBuilder *set : {&train, &held})
      set->cutSamples(tokenizer.endOfConversationId(), cut);
    if (cut.samples)
      remark(
          fmt::format("{} samples are longer than a row and were cut to {} tokens: {} of all {} tokens ({:.1f} %) are "
                      "dropped{}; raise tokenizer.max_seq_len{}",
                      cut.samples, options.seqLen, cut.tokens, tokens,
                      100.0 * static_cast<double>(cut.tokens) / static_cast<double>(tokens),
                      cut.silent ? fmt::format(", and {} of these samples have no trained token left", cut.silent) : "",
                      conversations ? "" : ", or use packed: True with split_across_pack: True"));
  }
  if (!keepsTokens())
    return std::nullopt;
  LoadedData data;
  data.longest = longest;
  data.train = train.finish(layout, givesPairs(options.records));
  data.heldOut = held.finish(layout, givesPairs(options.records));
  if (!keepsTokens())
    return std::nullopt;
  if (!data.train.validLabels()) {
    std::string heldOut =
        options.heldOut > 0
            ? fmt::format(", a sample's last, or held out ({} of the data, by --held-out)", options.heldOut)
            : " or a sample's last";
    fail(options.path,
         fmt::format(
             "no token is trained: every label is masked{}; {}", heldOut,
             conversations
                 ? fmt::format("where answers lie behind the first {} tokens, recompile with a larger "
                               "tokenizer.max_seq_len; chat_dataset's dataset.train_on_input=True trains questions "
                               "too",
                               options.seqLen)
                 : "a text needs two tokens at least"),
         LoadFailure::Empty);
    return std::nullopt;
  }
  return data;
}

} // namespace

/// Whether the path names something that can be read as data; an error if not.
static bool isThere(const std::string &path, std::vector<Diagnostic> &diags) {
  std::error_code error;
  if (fs::exists(fs::status(path, error)))
    return true;
  diags.push_back(
      {Severity::Error, path, 0, 0,
       error && error != std::errc::no_such_file_or_directory
           ? "cannot look at it: " + error.message()
           : "no such file or directory; --data takes a text file, a directory of text files, .jsonl, .json, .csv "
             "or a token file (.bin)"});
  return false;
}

std::optional<LoadedData> ftc::loadData(const DataOptions &options, const Tokenizer &tokenizer,
                                        std::vector<Diagnostic> &diags, LoadFailure *why) {
  LoadFailure unheard;
  LoadFailure &failure = why ? *why : unheard;
  failure = LoadFailure::Bad;
  const std::string &path = options.path;
  auto fail = [&](std::string message) {
    diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
    return std::nullopt;
  };
  if (path.empty())
    return fail("no data given; name a file or a directory with --data");
  if (options.seqLen < 2)
    return fail(fmt::format("rows of {} tokens have nothing to predict; tokenizer.max_seq_len must be at least 2",
                            options.seqLen));
  if (options.maxPositions && options.maxPositions < options.seqLen)
    return fail(
        fmt::format("rows of {} tokens need as many positions; there are {}", options.seqLen, options.maxPositions));
  if (!(options.heldOut >= 0 && options.heldOut < 1))
    return fail(fmt::format("the held-out share must be at least 0 and below 1, not {}", options.heldOut));

  std::vector<std::string> paths = options.morePaths;
  paths.insert(paths.begin(), path);
  size_t tokenFiles = 0;
  for (const std::string &each : paths) {
    if (!isThere(each, diags))
      return std::nullopt;
    tokenFiles += !fs::is_directory(each) && isTokenFile(each);
  }
  if (tokenFiles && tokenFiles < paths.size())
    return fail("token files (.bin) and other files are not one data set; make 'dataset' a list, with a node for each "
                "kind");
  if (tokenFiles && options.longSamples == LongSamples::Measure)
    return fail("a token file is cut into rows of tokenizer.max_seq_len ids, which is null, and has no samples to "
                "measure; override tokenizer.max_seq_len=N");
  if (tokenFiles && givesPairs(options.records))
    return fail("a token file has no pairs of answers; give records (.jsonl, .json, .csv) with both of them");
  if (tokenFiles) {
    if (!options.slice.isWhole())
      return fail("a slice in 'split' counts records, and this is a token file; for a part of it use --held-out");
    std::vector<LoadedData> parts;
    DataOptions one = options;
    for (const std::string &each : paths) {
      one.path = each;
      std::optional<LoadedData> part = DataSetBuilder::tokenFile(
          one, tokenizer.padId() >= 0 && tokenizer.padId() < options.vocabSize ? tokenizer.padId() : 0, diags, failure);
      if (!part)
        return std::nullopt;
      parts.push_back(std::move(*part));
    }
    return join(std::move(parts));
  }
  if (std::string why = tokenizer.whyNoText(); !why.empty())
    return fail(fmt::format("this is text, and the recipe's tokenizer '{}' {}", tokenizer.name(), why));
  if (tokenizer.vocabSize() > options.vocabSize) {
    diags.push_back(
        {Severity::Error, options.tokenizerFile.empty() ? path : options.tokenizerFile, 0, 0,
         fmt::format("the tokenizer '{}' has {} ids, the model's vocabulary only {}; {}recompile with "
                     "model.vocab_size={} if the model has sizes of its own",
                     tokenizer.name(), tokenizer.vocabSize(), options.vocabSize,
                     options.tokenizerFile.empty() ? ""
                     : tokenizer.name().ends_with(".HuggingFaceModelTokenizer")
                         ? "name the tokenizer.json that goes with the model (tokenizer.tokenizer_json_path), or "
                     : tokenizer.name().ends_with(".phi4_tokenizer")
                         ? "name the files of the tokenizer that goes with the model (tokenizer.vocab_path and "
                           "tokenizer.merges_path), or "
                         : "name the files of the tokenizer that goes with the model (tokenizer.path, and "
                           "tokenizer.special_tokens_path for special tokens other than the usual ones), or ",
                     tokenizer.vocabSize())});
    return std::nullopt;
  }

  Loader loader(options, tokenizer, diags, failure);
  if (!loader.collect() || !loader.load())
    return std::nullopt;
  return loader.finish();
}

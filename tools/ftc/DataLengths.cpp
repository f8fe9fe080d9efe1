//===- DataLengths.cpp - Lengths that the data decide -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Null in tokenizer.max_seq_len is torchtune's word for "cut nothing, and pad a batch to its longest sample". A step's
// memory is planned for a length, so the data are read before: by the recipe's own tokenizer and data sets, as ftrun
// will read them.
//
//===----------------------------------------------------------------------===//

#include "DataLengths.h"

#include "ftc/Data/BatchStream.h"
#include "ftc/Data/RecipeData.h"
#include "ftc/Planning/Lengths.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <numeric>

using namespace ftc;

namespace {

/// Products and attention are tiled by 16 and 32 rows.
constexpr int64_t step = 32;
/// Below it a step's cost hardly falls with the length.
constexpr int64_t shortest = 64;

class Measurement {
public:
  Measurement(Recipe recipe, OpenLengths open, std::vector<Diagnostic> &diags)
      : recipe(std::move(recipe)), open(open), diags(diags) {}

  bool read(const std::vector<std::string> &data);
  /// tokenizer.max_seq_len for these data.
  int64_t rowLength() const { return roundedLength(std::max<int64_t>(longest.tokens, 2), step, limit()); }
  /// sequence_lengths, where the longest row has `row` tokens.
  std::vector<int64_t> ladder(int64_t row) const {
    return chooseLengths(batches, {.longest = row, .step = step, .shortest = shortest});
  }
  void tellRow(int64_t row);
  void tellLadder(const std::vector<int64_t> &chosen, const std::vector<int64_t> &blind);
  std::string table(const std::vector<int64_t> &lengths) const;

private:
  bool fail(std::string message) {
    diags.push_back({Severity::Error, "", 0, 0, std::move(message)});
    return false;
  }
  /// Most tokens of a row.
  int64_t limit() const {
    return !open.row            ? recipe.seqLen
           : teacherIsShorter() ? recipe.distillation->teacher.longestRow()
                                : recipe.model.longestRow();
  }
  bool teacherIsShorter() const {
    return recipe.distillation && recipe.distillation->teacher.longestRow() < recipe.model.longestRow();
  }
  /// Loads a data set, and knows whether it has the longest sample of all.
  std::optional<LoadedData> load(const DatasetConfig &set, const Tokenizer &tokenizer, bool isEvaluated);
  /// Counts what is trained.
  bool count(const DataSet &rows);
  /// Adds to `counts` the number of samples, or of pairs by their longer answer, of each length.
  bool countLengths(const DataSet &rows, std::vector<int64_t> &counts) const;
  /// The longest row of each batch, in the order of the data.
  bool countInOrder(const DataSet &rows);
  double padding(double expected) const {
    return 100 * (1 - static_cast<double>(tokens) / static_cast<double>(rows) / expected);
  }
  const char *things() const { return recipe.preference ? "pairs" : "samples"; }

  Recipe recipe;
  OpenLengths open;
  std::vector<Diagnostic> &diags;
  std::string name;    ///< of the data, for messages
  std::string words;   ///< all data, as they are named here
  FoundSample longest; ///< of what is trained and what is evaluated
  bool longestIsEvaluated = false;
  int64_t rows = 0, tokens = 0;   ///< that are trained
  std::vector<int64_t> samples;   ///< number of samples, or of pairs by their longer answer, of each length
  std::vector<int64_t> evaluated; ///< the same of what is evaluated; empty where nothing is, or no length is asked for
  std::vector<double> batches;    ///< share of batches whose longest row has each length
};

std::optional<LoadedData> Measurement::load(const DatasetConfig &set, const Tokenizer &tokenizer, bool isEvaluated) {
  if (std::string why = whyUnreadable(set); !why.empty()) {
    fail(std::move(why));
    return std::nullopt;
  }
  DataOptions wanted = dataOptions(recipe, set, limit());
  wanted.scratchFolder = ""; // this writes nothing where a run writes
  wanted.dataWords = words;
  if (open.row)
    wanted.longSamples = LongSamples::Measure;
  if (teacherIsShorter())
    wanted.limitedBy = "teacher";
  std::optional<LoadedData> loaded = loadData(wanted, tokenizer, diags);
  if (loaded && loaded->longest.tokens > longest.tokens) {
    longest = loaded->longest;
    longestIsEvaluated = isEvaluated;
  }
  return loaded;
}

bool Measurement::read(const std::vector<std::string> &data) {
  words = dataWords(recipe, data, "");
  if (std::string problem = nameDataFiles(recipe, data); !problem.empty())
    return fail(std::move(problem));
  const std::unique_ptr<Tokenizer> tokenizer = makeTokenizer(tokenizerOf(recipe), diags);
  if (!tokenizer)
    return false;
  std::vector<DataSet> parts;
  for (const DatasetConfig &set : trainedSets(recipe)) {
    std::optional<LoadedData> loaded = load(set, *tokenizer, /*isEvaluated=*/false);
    if (!loaded)
      return false;
    parts.push_back(std::move(loaded->train));
  }
  name = recipe.dataset.dataFiles.front();
  const char *unreadable = ": cannot read the tokens again, which were kept in a file of this program";
  if (!count(DataSet::join(std::move(parts))))
    return fail(name + unreadable);
  // What is evaluated goes through the same lengths, but it is training that they are chosen for.
  for (DatasetConfig &set : open.row ? heldOutSets(recipe) : std::vector<DatasetConfig>()) {
    if (std::string problem = expandPatterns(set.dataFiles); !problem.empty())
      return fail("dataset_val: " + problem);
    if (set.dataFiles.empty())
      continue;
    const std::optional<LoadedData> loaded = load(set, *tokenizer, /*isEvaluated=*/true);
    if (!loaded)
      return false;
    if (!countLengths(loaded->train, evaluated))
      return fail(set.dataFiles.front() + unreadable);
  }
  return true;
}

bool Measurement::countLengths(const DataSet &set, std::vector<int64_t> &counts) const {
  counts.resize(static_cast<size_t>(limit()) + 1);
  const int64_t rowsOf = set.paired() ? 2 : 1;
  for (int64_t item = 0; item < set.rows() / rowsOf; ++item) {
    int64_t length = 0;
    for (int64_t row = item * rowsOf; row < (item + 1) * rowsOf; ++row) {
      const int64_t of = set.rowLength(row);
      if (of < 0)
        return false;
      length = std::max(length, of);
    }
    ++counts[static_cast<size_t>(length)];
  }
  return true;
}

bool Measurement::count(const DataSet &set) {
  rows = set.rows();
  tokens = set.tokens();
  if (!countLengths(set, samples))
    return false;
  if (!recipe.shuffle && countInOrder(set))
    return true;
  batches = longestOfBatches(samples, recipe.batchSize);
  return true;
}

bool Measurement::countInOrder(const DataSet &set) {
  BatchStream stream(set, {.batchSize = recipe.rowsOfBatch(), .shuffle = false});
  const int64_t count = stream.batchesPerEpoch();
  batches.assign(samples.size(), 0);
  for (int64_t batch = 0; batch < count; ++batch) {
    stream.seek({0, batch});
    const int64_t length = stream.longest();
    if (length < 0)
      return false;
    batches[static_cast<size_t>(length)] += 1.0 / static_cast<double>(count);
  }
  return count > 0;
}

void Measurement::tellRow(int64_t row) {
  // A length cuts what is trained and what is evaluated alike.
  std::vector<int64_t> all = samples;
  for (size_t length = 0; length < evaluated.size(); ++length)
    all[length] += evaluated[length];
  const int64_t trained = std::accumulate(samples.begin(), samples.end(), int64_t(0));
  const int64_t both = std::accumulate(all.begin(), all.end(), int64_t(0));
  std::string text =
      fmt::format("the longest of {} {}, {} tokens in all,{} has {}: tokenizer.max_seq_len is {}, and none is cut",
                  trained, things(), tokens,
                  evaluated.empty() ? ""
                                    : fmt::format(" and of {} that are evaluated is one of {}, and", both - trained,
                                                  longestIsEvaluated ? "the latter" : "the former"),
                  longest.tokens, row);
  // A few samples that are much longer than all others cost all the memory.
  constexpr double most = 0.99;
  int64_t upTo = 0, length = 0;
  for (; static_cast<double>(upTo) < most * static_cast<double>(both); ++length)
    upTo += all[static_cast<size_t>(length)];
  const int64_t shorter = roundedLength(std::max<int64_t>(length - 1, 2), step, row);
  const auto beyond = [&](const std::vector<int64_t> &counts) {
    int64_t longer = 0;
    for (size_t at = static_cast<size_t>(shorter) + 1; at < counts.size(); ++at)
      longer += counts[at];
    return longer;
  };
  if (shorter <= row / 2) {
    const int64_t cut = beyond(all), cutEvaluated = beyond(evaluated);
    text += fmt::format("; tokenizer.max_seq_len={} would cut {} {}{}, for less memory", shorter, cut, things(),
                        !cutEvaluated         ? ""
                        : cutEvaluated == cut ? ", all of them evaluated"
                                              : fmt::format(", {} of them evaluated", cutEvaluated));
  }
  diags.push_back({Severity::Remark, longest.file, longest.line, 0, std::move(text)});
}

void Measurement::tellLadder(const std::vector<int64_t> &chosen, const std::vector<int64_t> &blind) {
  const double expected = expectedLength(batches, chosen);
  const auto row = static_cast<double>(chosen.back());
  diags.push_back(
      {Severity::Remark, name, 0, 0,
       fmt::format("sequence_lengths are [{}]: a row takes {:.0f} positions on average ({:.0f} % padding); {:.0f} with "
                   "the {} lengths that are chosen without data, {:.0f} if all were padded to the longest",
                   fmt::join(chosen, ", "), expected, padding(expected), expectedLength(batches, blind), blind.size(),
                   row)});
}

std::string Measurement::table(const std::vector<int64_t> &lengths) const {
  const double expected = expectedLength(batches, lengths);
  std::string text = fmt::format("lengths of rows, for {} {} in batches of {}\n", rows / (recipe.preference ? 2 : 1),
                                 things(), recipe.batchSize);
  size_t from = 0;
  for (const int64_t length : lengths) {
    double share = 0;
    for (; from < batches.size() && static_cast<int64_t>(from) <= length; ++from)
      share += batches[from];
    text += fmt::format("  {:>7} tokens {:>6.1f} % of batches {:>6.1f} % of positions\n", length, 100 * share,
                        100 * share * static_cast<double>(length) / expected);
  }
  double least = 0;
  for (size_t length = 0; length < batches.size(); ++length)
    least += batches[length] * static_cast<double>(length);
  return text + fmt::format(
                    "a row takes {:.1f} positions on average, {:.1f} % of them padding; {:.2f} of what rows of {} "
                    "would take, and {:.1f} if each batch were as long as its longest row\n",
                    expected, padding(expected), expected / static_cast<double>(lengths.back()), lengths.back(), least);
}

} // namespace

std::optional<Recipe> ftc::parseRecipeFor(const std::vector<std::string> &data, const std::string &text,
                                          const std::string &fileName, const std::vector<std::string> &overrides,
                                          DataLengths &lengths, std::vector<Diagnostic> &diags) {
  OpenLengths open;
  std::optional<Recipe> recipe = parseRecipe(text, fileName, overrides, diags, &open);
  if (!recipe)
    return std::nullopt;
  if (!open.row && !open.ladder) {
    recipe->remarks.push_back(
        {Severity::Remark, "", 0, 0,
         fmt::format("--data is without effect: {}",
                     recipe->dataset.packed ? "rows are packed, all of them to tokenizer.max_seq_len"
                                            : "the recipe has tokenizer.max_seq_len and sequence_lengths")});
    return recipe;
  }
  const auto start = std::chrono::steady_clock::now();
  const bool truncates = recipe->truncates;
  Measurement measured(std::move(*recipe), open, diags);
  if (!measured.read(data))
    return std::nullopt;
  lengths.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  std::vector<std::string> decided = overrides;
  if (open.row) {
    decided.push_back(fmt::format("tokenizer.max_seq_len={}", measured.rowLength()));
    decided.push_back(fmt::format("tokenizer.truncation={}", truncates ? "True" : "False"));
  }
  recipe = parseRecipe(text, fileName, decided, diags);
  if (!recipe)
    return std::nullopt;
  if (open.row)
    measured.tellRow(recipe->seqLen);
  if (open.ladder) {
    const std::vector<int64_t> blind = recipe->sequenceLengths, chosen = measured.ladder(recipe->seqLen);
    decided.push_back(fmt::format("sequence_lengths=[{}]", fmt::join(chosen, ",")));
    recipe = parseRecipe(text, fileName, decided, diags);
    if (!recipe)
      return std::nullopt;
    measured.tellLadder(chosen, blind);
  }
  lengths.table = measured.table(recipe->sequenceLengths);
  return recipe;
}

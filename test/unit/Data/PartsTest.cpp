//===- PartsTest.cpp - Parts of data sets, and several as one --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"
#include "ftc/Data/BatchStream.h"

#include <sys/stat.h>
#include <tuple>

namespace ftc {
namespace {

class Parts : public DataFixture {
protected:
  /// Records "aaa", "bbb" and so on, from `first` on.
  static std::string records(char first, int count) {
    std::string text;
    for (char letter = first; letter < first + count; ++letter)
      text += "{\"text\": \"" + std::string(3, letter) + "\"}\n";
    return text;
  }
  /// The first letter of each row: behind the begin token, a record each.
  std::string letters(const DataSet &set) {
    std::string text;
    for (int64_t i = 0; i < set.rows(); ++i)
      text += static_cast<char>(row(set, i).tokens[1]);
    return text;
  }
};

// Of Hugging Face's datasets 5.2.0: ReadInstruction.from_spec(split).to_absolute({"train": records}).
TEST(Slices, AreHuggingFaces) {
  constexpr int64_t records[] = {0, 1, 3, 10, 30, 101, 250, 1000, 51760};
  struct Case {
    const char *split;
    int64_t bounds[9][2];
  };
  // clang-format off
  const Case cases[] = {
    {"train", {{0, 0}, {0, 1}, {0, 3}, {0, 10}, {0, 30}, {0, 101}, {0, 250}, {0, 1000}, {0, 51760}}},
    {"train[:95%]", {{0, 0}, {0, 1}, {0, 3}, {0, 10}, {0, 28}, {0, 96}, {0, 238}, {0, 950}, {0, 49172}}},
    {"train[95%:]", {{0, 0}, {1, 1}, {3, 3}, {10, 10}, {28, 30}, {96, 101}, {238, 250}, {950, 1000}, {49172, 51760}}},
    {"train[10%:20%]", {{0, 0}, {0, 0}, {0, 1}, {1, 2}, {3, 6}, {10, 20}, {25, 50}, {100, 200}, {5176, 10352}}},
    {"train[-10%:]", {{0, 0}, {0, 1}, {0, 3}, {9, 10}, {27, 30}, {91, 101}, {225, 250}, {900, 1000}, {46584, 51760}}},
    {"train[:-30%]", {{0, 0}, {0, 0}, {0, 2}, {0, 7}, {0, 21}, {0, 71}, {0, 175}, {0, 700}, {0, 36232}}},
    {"train[50%:]", {{0, 0}, {0, 1}, {2, 3}, {5, 10}, {15, 30}, {50, 101}, {125, 250}, {500, 1000}, {25880, 51760}}},
    {"train[25%:75%]", {{0, 0}, {0, 1}, {1, 2}, {2, 8}, {8, 22}, {25, 76}, {62, 188}, {250, 750}, {12940, 38820}}},
    {"train[33%:66%]", {{0, 0}, {0, 1}, {1, 2}, {3, 7}, {10, 20}, {33, 67}, {82, 165}, {330, 660}, {17081, 34162}}},
    {"train[100:200]", {{0, 0}, {1, 1}, {3, 3}, {10, 10}, {30, 30}, {100, 101}, {100, 200}, {100, 200}, {100, 200}}},
    {"train[-50:]", {{0, 0}, {0, 1}, {0, 3}, {0, 10}, {0, 30}, {51, 101}, {200, 250}, {950, 1000}, {51710, 51760}}},
    {"train[:7]", {{0, 0}, {0, 1}, {0, 3}, {0, 7}, {0, 7}, {0, 7}, {0, 7}, {0, 7}, {0, 7}}},
    {"train[3:]", {{0, 0}, {1, 1}, {3, 3}, {3, 10}, {3, 30}, {3, 101}, {3, 250}, {3, 1000}, {3, 51760}}},
    {"train[5:2]", {{0, 0}, {1, 1}, {3, 2}, {5, 2}, {5, 2}, {5, 2}, {5, 2}, {5, 2}, {5, 2}}},
    {"train[:1%]", {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 1}, {0, 2}, {0, 10}, {0, 518}}},
    {"train[-100%:100%]", {{0, 0}, {0, 1}, {0, 3}, {0, 10}, {0, 30}, {0, 101}, {0, 250}, {0, 1000}, {0, 51760}}},
    {"train[10:20%]", {{0, 0}, {0, 0}, {0, 1}, {1, 2}, {3, 6}, {10, 20}, {25, 50}, {100, 200}, {5176, 10352}}},
  };
  // clang-format on
  for (const Case &each : cases) {
    std::vector<Diagnostic> diags;
    std::optional<Recipe> recipe =
        parseRecipe("model: {_component_: torchtune.models.llama3_2.llama3_2_1b}\ntokenizer: {max_seq_len: 8}\n"
                    "dataset: {split: '" +
                        std::string(each.split) + "'}\n",
                    "r.yaml", {}, diags);
    ASSERT_TRUE(recipe) << each.split << diags[0].str();
    EXPECT_EQ(recipe->dataset.split, "train");
    for (size_t i = 0; i < std::size(records); ++i) {
      const auto [first, last] = recordsOf(recipe->dataset.slice, records[i]);
      EXPECT_EQ(first, each.bounds[i][0]) << each.split << " of " << records[i];
      EXPECT_EQ(last, std::max(first, each.bounds[i][1])) << each.split << " of " << records[i];
    }
  }
}

TEST(Slices, AreApart) {
  const auto numbers = [](std::optional<int64_t> from, std::optional<int64_t> to) {
    return DataSlice{from, to, false};
  };
  const auto percent = [](std::optional<int64_t> from, std::optional<int64_t> to) { return DataSlice{from, to, true}; };
  const std::optional<int64_t> open;
  const std::tuple<DataSlice, DataSlice, bool> cases[] = {
      {numbers(open, 50), numbers(50, open), true},    {numbers(open, 50), numbers(60, 70), true},
      {numbers(open, 50), numbers(10, 20), false},     {numbers(open, -50), numbers(-50, open), true},
      {numbers(open, 100), numbers(-50, open), false}, {percent(open, 80), percent(80, open), true},
      {percent(open, 80), percent(70, open), false},   {percent(open, -10), percent(-10, open), true},
      {percent(open, 90), percent(-10, open), false},  {percent(open, -20), percent(-10, open), false},
      {percent(open, 50), numbers(50, open), false},   {numbers(open, -60), numbers(-50, open), true},
      {numbers(open, open), numbers(10, 20), false}};
  for (const auto &[a, b, apart] : cases) {
    EXPECT_EQ(areApart(a, b), apart) << a.to.value_or(0) << " and " << b.from.value_or(0);
    EXPECT_EQ(areApart(b, a), apart);
    for (int64_t records = 0; apart && records < 300; ++records) {
      const auto [firstA, lastA] = recordsOf(a, records);
      const auto [firstB, lastB] = recordsOf(b, records);
      EXPECT_LE(std::min(lastA, lastB), std::max(firstA, firstB)) << records;
    }
  }
}

TEST_F(Parts, ASliceCountsTheRecordsOfAllFiles) {
  options.packed = false;
  // A line without a record counts as none.
  options.morePaths = {write("b.jsonl", "\n" + records('e', 2) + "  \n" + records('g', 4))};
  const std::string path = write("a.jsonl", records('a', 4));
  for (const auto &[from, to, percent, taken] :
       {std::tuple(std::optional<int64_t>(), std::optional<int64_t>(70), true, "abcdefg"),
        {70, std::nullopt, true, "hij"},
        {3, 5, false, "de"},
        {-1, std::nullopt, false, "j"}}) {
    options.slice = {from, to, percent};
    std::optional<LoadedData> data = load(path);
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(letters(data->train), taken);
    EXPECT_TRUE(says("a.jsonl: remark: the slice in 'split' takes " + std::to_string(std::string(taken).size()) +
                     " of 10 records, from record " + std::to_string(taken[0] - 'a' + 1) + " on"))
        << messages();
  }
  options.slice = {4, 4, false};
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("a.jsonl: error: the slice in 'split' takes none of the 10 records")) << messages();
}

TEST_F(Parts, ASliceOfAListOrADirectory) {
  options.packed = false;
  options.slice = {1, std::nullopt, false};
  std::optional<LoadedData> data =
      load(write("list.json", "[{\"text\": \"aaa\"}, {\"text\": \"bbb\"}, {\"text\": \"ccc\"}]"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(letters(data->train), "bc");
  write("tree/x/1.jsonl", records('a', 2));
  write("tree/y.jsonl", records('c', 2));
  data = load(root / "tree");
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(letters(data->train), "bcd");
  // What is not taken is not read, but lines that are no JSON are.
  data = load(write("odd.jsonl", "{\"other\": 1}\n" + records('b', 1)));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(letters(data->train), "b");
  EXPECT_FALSE(load(write("bad.jsonl", "{\"text\"\n" + records('b', 1))));
  EXPECT_TRUE(says("bad.jsonl:1:")) << messages();
}

TEST_F(Parts, TextsAndTokenFilesHaveNoRecords) {
  options.slice = {1, std::nullopt, false};
  EXPECT_FALSE(load(write("a.txt", "abc")));
  EXPECT_TRUE(says("a.txt: error: a slice in 'split' counts records, and this is a text; for a part of it use "
                   "--held-out, or cut the file"))
      << messages();
  EXPECT_FALSE(load(writeIds("a.bin", std::vector<uint16_t>(8, 1), false)));
  EXPECT_TRUE(says("a.bin: error: a slice in 'split' counts records, and this is a token file")) << messages();
}

TEST_F(Parts, ASlicePassesOverTextsInADirectory) {
  options.packed = false;
  options.slice = {1, std::nullopt, false};
  write("tree/README", "words");
  EXPECT_FALSE(load(root / "tree"));
  EXPECT_TRUE(says("tree: error: the slice in 'split' takes none of the 0 records")) << messages();
  write("tree/x.jsonl", records('a', 3));
  options.seqLen = 32; // for the words around a question
  for (RecordKind kind : {RecordKind::TextOrChat, RecordKind::Instruct}) {
    options.records = kind;
    if (kind == RecordKind::Instruct)
      write("tree/x.jsonl", "{}\n{\"input\": \"q\", \"output\": \"a\"}\n");
    std::optional<LoadedData> data = load(root / "tree");
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->train.rows(), kind == RecordKind::Instruct ? 1 : 2);
    EXPECT_TRUE(says("README: remark: skipped: is not called .jsonl, and ")) << messages();
  }
}

TEST_F(Parts, ASliceOfAPipeIsRefused) {
  const std::string pipe = root / "pipe.jsonl";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  options.slice = {1, std::nullopt, false};
  EXPECT_FALSE(load(pipe));
  EXPECT_TRUE(says("pipe.jsonl: error: a slice in 'split' reads the records twice, once to count them, and this (a "
                   "pipe?) can be read once; write it to a file first"))
      << messages();
}

TEST_F(Parts, SeveralPathsAreOneDataSet) {
  // The same bits as one file that holds it all: samples of one follow those of the other in a row.
  std::optional<LoadedData> whole = load(write("all.jsonl", records('a', 5)));
  options.morePaths = {write("two.jsonl", records('c', 2)), write("three.jsonl", records('e', 1))};
  std::optional<LoadedData> data = load(write("one.jsonl", records('a', 2)));
  ASSERT_TRUE(data && whole) << messages();
  EXPECT_EQ(data->train.fingerprint(), whole->train.fingerprint());
  // Texts and folders too.
  options.morePaths = {write("tree/b.txt", "more"), root / "tree"};
  data = load(write("a.txt", "text"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 2);
  EXPECT_TRUE(says("b.txt: remark: skipped: has the same contents as another file")) << messages();
  options.morePaths = {root / "nowhere"};
  EXPECT_FALSE(load(write("a.txt", "text")));
  EXPECT_TRUE(says("nowhere: error: no such file or directory")) << messages();
}

TEST_F(Parts, SeveralTokenFilesAreTheirRows) {
  std::vector<uint32_t> wide(16, 7);
  options.morePaths = {writeIds("wide.bin", wide, true)};
  options.heldOut = 0.5;
  std::optional<LoadedData> data = load(writeIds("narrow.bin", std::vector<uint16_t>(32, 5), false));
  ASSERT_TRUE(data) << messages();
  ASSERT_EQ(data->train.rows(), 3);
  EXPECT_EQ(data->heldOut.rows(), 3);
  EXPECT_EQ(row(data->train, 1).tokens, Ints(8, 5));
  EXPECT_EQ(row(data->train, 2).tokens, Ints(8, 7));
  options.morePaths = {write("a.txt", "abc")};
  EXPECT_FALSE(load(root / "narrow.bin"));
  EXPECT_TRUE(says("token files (.bin) and other files are not one data set; make 'dataset' a list")) << messages();
}

TEST_F(Parts, JoinedRowsAreThoseOfEachSet) {
  options.packed = false;
  std::vector<DataSet> sets, again;
  int64_t valid = 0, tokens = 0;
  for (const auto &[name, first, count] : {std::tuple("x.jsonl", 'a', 3), {"y.jsonl", 'd', 1}, {"z.jsonl", 'e', 2}})
    for (std::vector<DataSet> *to : {&sets, &again}) {
      std::optional<LoadedData> data = load(write(name, records(first, count)));
      ASSERT_TRUE(data) << messages();
      to->push_back(std::move(data->train));
    }
  for (const DataSet &set : sets) {
    valid += set.validLabels();
    tokens += set.tokens();
  }
  const uint64_t first = sets[0].fingerprint();
  std::swap(again[0], again[1]);
  const DataSet whole = DataSet::join(std::move(sets)), other = DataSet::join(std::move(again));
  EXPECT_EQ(letters(whole), "abcdef");
  EXPECT_EQ(letters(other), "dabcef");
  EXPECT_EQ(whole.samples(), 6);
  EXPECT_EQ(whole.validLabels(), valid);
  EXPECT_EQ(whole.tokens(), tokens);
  EXPECT_NE(whole.fingerprint(), other.fingerprint()) << "their order counts";
  Batch padding(8);
  whole.fillPadding(padding.view(), whole.seqLen());
  EXPECT_EQ(padding.tokens, Ints(8, PAD));
  EXPECT_EQ(padding.labels, Ints(8, X));

  // One set alone stays what it is, also for runs that go on.
  std::vector<DataSet> one;
  one.push_back(std::move(load(root / "x.jsonl")->train));
  EXPECT_EQ(DataSet::join(std::move(one)).fingerprint(), first);

  // In batches, shuffled: every row once.
  BatchStream stream(whole, {.batchSize = 2, .shuffle = true, .seed = 3, .dropLast = true});
  std::string seen;
  for (int64_t i = 0; i < stream.batchesPerEpoch(); ++i) {
    Batch batch(16);
    ASSERT_GT(stream.next(batch.view(), whole.seqLen()), 0);
    for (size_t at : {1u, 9u})
      seen += static_cast<char>(batch.tokens[at]);
  }
  EXPECT_NE(seen, "abcdef");
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, "abcdef");
}

TEST_F(Parts, WithoutRowsAPartHasNone) {
  options.packed = false;
  std::optional<LoadedData> a = load(write("a.jsonl", records('a', 2))), b = load(write("b.jsonl", records('c', 1)));
  ASSERT_TRUE(a && b);
  std::vector<DataSet> sets;
  sets.push_back(std::move(a->heldOut)); // no rows
  sets.push_back(std::move(a->train));
  sets.push_back(std::move(b->heldOut)); // no rows
  sets.push_back(std::move(b->train));
  EXPECT_EQ(letters(DataSet::join(std::move(sets))), "abc");
}

} // namespace
} // namespace ftc

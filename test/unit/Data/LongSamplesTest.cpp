//===- LongSamplesTest.cpp - The longest sample, and those beyond a row ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"
#include "ftc/Data/RecipeData.h"

namespace ftc {
namespace {

class SampleLengths : public DataFixture {
protected:
  void SetUp() override {
    DataFixture::SetUp();
    options.packed = false;
  }
  static std::string record(size_t letters) { return "{\"text\": \"" + std::string(letters, 'a') + "\"}"; }
  void expectLongest(const std::optional<LoadedData> &data, int64_t tokens, const std::string &file, int line) {
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->longest.tokens, tokens);
    EXPECT_EQ(data->longest.file, file);
    EXPECT_EQ(data->longest.line, line);
  }
};

// A record of n letters has n + 2 tokens: begin and end.
TEST_F(SampleLengths, TheLongestIsFound) {
  const std::string lines = write("a.jsonl", record(3) + "\n\n" + record(9) + "\n" + record(9) + "\n" + record(1));
  expectLongest(load(lines), 11, lines, 3);
  EXPECT_TRUE(says("2 samples are longer than a row and were cut to 8 tokens")) << messages();
  const std::string list = write("a.json", "[" + record(3) + ",\n\n " + record(9) + "," + record(2) + "]");
  expectLongest(load(list), 11, list, 3);
  const std::string text = write("a.txt", "four");
  expectLongest(load(text), 6, text, 0);
}

TEST_F(SampleLengths, TheLongestOfSeveralFiles) {
  const std::string first = write("a.jsonl", record(5) + "\n"), second = write("b.jsonl", record(2) + "\n" + record(6));
  options.morePaths = {second};
  expectLongest(load(first), 8, second, 2);
  std::vector<LoadedData> parts;
  options.morePaths.clear();
  parts.push_back(*load(second));
  parts.push_back(*load(first));
  const LoadedData both = join(std::move(parts));
  EXPECT_EQ(both.longest.tokens, 8);
  EXPECT_EQ(both.longest.file, second);
}

TEST_F(SampleLengths, TheLongestOfPairs) {
  options.records = RecordKind::PairsOfTexts;
  options.seqLen = 64;
  auto pair = [](const std::string &chosen, const std::string &rejected) {
    return "{\"prompt\": \"q\", \"chosen\": \"" + chosen + "\", \"rejected\": \"" + rejected + "\"}\n";
  };
  const std::string path = write("p.jsonl", pair("a", "bb") + pair("a", "bbbbb") + pair("aaaa", "b"));
  std::optional<LoadedData> data = load(path);
  ASSERT_TRUE(data) << messages();
  expectLongest(data, data->train.rowLength(3), path, 2);
}

TEST_F(SampleLengths, AreRefused) {
  options.longSamples = LongSamples::Refuse;
  const std::string good = write("good.jsonl", record(6) + "\n" + record(1));
  EXPECT_TRUE(load(good)) << messages();
  const std::string path = write("a.jsonl", record(3) + "\n" + record(7) + "\n" + record(12) + "\n");
  EXPECT_FALSE(load(path));
  EXPECT_EQ(messages(), path +
                            ":3: error: 2 of 3 samples are longer than the step's rows of 8 tokens, and its recipe "
                            "cuts none (tokenizer.truncation is False); the longest, here, has 14: recompile with "
                            "these data (ftc compile RECIPE tokenizer.max_seq_len=null --data " +
                            path +
                            ") or with tokenizer.max_seq_len=14, or override tokenizer.truncation=True to cut them\n");
  // All that is one data set, or how somebody else knows the data to be named.
  options.morePaths = {good};
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("(ftc compile RECIPE tokenizer.max_seq_len=null --data " + path + " --data " + good + ") or"))
      << messages();
  options.dataWords = "--data x dataset_val.data_files=y";
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("(ftc compile RECIPE tokenizer.max_seq_len=null --data x dataset_val.data_files=y) or"))
      << messages();
  options.morePaths.clear();
  // Nothing is cut where texts go on in the next row.
  options.packed = true;
  EXPECT_TRUE(load(path)) << messages();
  options.splitAcrossPack = false;
  EXPECT_FALSE(load(path));
  // Packed rows have no length that the data could decide.
  EXPECT_TRUE(says("has 14: recompile with tokenizer.max_seq_len=14, or override tokenizer.truncation=True"))
      << messages();
}

TEST_F(SampleLengths, MeasuringTakesWhatTheModelTakes) {
  options.longSamples = LongSamples::Measure;
  options.seqLen = 12;
  options.packed = true; // is passed over: it is samples that are measured
  const std::string path = write("a.jsonl", record(3) + "\n" + record(10) + "\n");
  std::optional<LoadedData> data = load(path);
  expectLongest(data, 12, path, 2);
  ASSERT_EQ(data->train.rows(), 2);
  EXPECT_EQ(data->train.rowLength(0), 5);
  EXPECT_EQ(data->train.rowLength(1), 12);
  options.seqLen = 11;
  EXPECT_FALSE(load(path));
  EXPECT_EQ(messages(), path + ":2: error: 1 of 2 samples are longer than the model's longest sequence, 11 tokens; the "
                               "longest, here, has 12: tokenizer.max_seq_len=11 cuts them, as torchtune does with a "
                               "length, and with dataset.packed=True texts go on in the next row, or take them out\n");
  options.limitedBy = "teacher";
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("1 of 2 samples are longer than the teacher's longest sequence, 11 tokens")) << messages();
  EXPECT_FALSE(load(writeIds<uint16_t>("ids.bin", {1, 2, 3, 4}, false)));
  EXPECT_TRUE(says("ids.bin: error: a token file is cut into rows of tokenizer.max_seq_len ids, which is null"));
}

TEST(RecipeData, FilesOfNodes) {
  Recipe recipe;
  EXPECT_EQ(nameDataFiles(recipe, {"a", "b"}), "");
  EXPECT_EQ(recipe.dataset.dataFiles, (std::vector<std::string>{"a", "b"}));
  recipe.moreDatasets.emplace_back();
  EXPECT_EQ(nameDataFiles(recipe, {"a"}), "the recipe's dataset is a list of 2, and --data names 1; give --data once "
                                          "for each, in their order, or not at all where all have data_files");
  EXPECT_EQ(nameDataFiles(recipe, {}),
            "no data for dataset[1]: give --data 2 times, once for each node of the list, or set data_files in all of "
            "them");
  EXPECT_EQ(nameDataFiles(recipe, {"c", "d"}), "");
  ASSERT_EQ(trainedSets(recipe).size(), 2u);
  EXPECT_EQ(trainedSets(recipe)[1].dataFiles, std::vector<std::string>{"d"});
}

TEST_F(SampleLengths, PatternsOfWhatIsReadAreExpanded) {
  const std::string one = write("p1.jsonl", ""), two = write("p2.jsonl", ""), folder = root / "p";
  const std::string pattern = root / "p*.jsonl", none = root / "q*";
  Recipe recipe;
  recipe.heldOut.resize(1);
  recipe.heldOut[0].dataFiles = {none};
  EXPECT_EQ(nameDataFiles(recipe, {pattern}), ""); // whatever is evaluated
  EXPECT_EQ(recipe.dataset.dataFiles, (std::vector<std::string>{one, two}));
  EXPECT_EQ(nameDataFiles(recipe, {none}), none + ": no file matches this pattern");
  EXPECT_EQ(expandPatterns(recipe.heldOut[0].dataFiles), none + ": no file matches this pattern");
  // What nothing may be written over: all that is named, read or not.
  recipe = {};
  recipe.dataset.dataFiles = {"a"};
  recipe.moreDatasets.resize(1);
  recipe.moreDatasets[0].dataFiles = {"b", pattern};
  recipe.heldOut.resize(1);
  recipe.heldOut[0].dataFiles = {none, "c"};
  EXPECT_EQ(allDataFiles(recipe, {pattern}), (std::vector<std::string>{one, two, "a", "b", one, two, "c"}));
}

TEST(RecipeData, DataAsTheyAreNamed) {
  Recipe recipe;
  recipe.dataset.dataFiles = {"r 1", "r2"};
  EXPECT_EQ(dataWords(recipe, {}, ""), "--data 'r 1' --data r2");
  EXPECT_EQ(dataWords(recipe, {"p*.jsonl", "it's"}, ""), "--data 'p*.jsonl' --data 'it'\\''s'");
  EXPECT_EQ(dataWords(recipe, {"a"}, "b"), "--data a dataset_val.data_files=b");
  recipe.heldOut.resize(1);
  recipe.heldOut[0].dataFiles = {"v", "w"};
  EXPECT_EQ(dataWords(recipe, {"a"}, ""), "--data a dataset_val.data_files='[v, w]'");
  EXPECT_EQ(dataWords(recipe, {"a"}, "b"), "--data a dataset_val.data_files=b");
  recipe.heldOut.resize(2);
  EXPECT_EQ(dataWords(recipe, {"a"}, ""), "--data a");
}

TEST(RecipeData, APartOfWhatIsTrainedIsHeldOut) {
  Recipe recipe;
  recipe.dataset.dataFiles = {"a"};
  recipe.dataset.slice.to = 10;
  recipe.heldOut.resize(3);
  recipe.heldOut[0].slice.from = 10;
  recipe.heldOut[1].dataFiles = {"b"};
  const std::vector<DatasetConfig> sets = heldOutSets(recipe);
  EXPECT_EQ(sets[0].dataFiles, std::vector<std::string>{"a"});
  EXPECT_EQ(sets[1].dataFiles, std::vector<std::string>{"b"});
  EXPECT_TRUE(sets[2].dataFiles.empty());
}

} // namespace
} // namespace ftc

//===- PairsTest.cpp - Pairs of answers as rows and batches ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include <set>

using namespace ftc;

namespace {

class Pairs : public DataFixture {
protected:
  void SetUp() override {
    DataFixture::SetUp();
    options.records = RecordKind::PairsOfTexts;
    options.packed = false;
    options.seqLen = 32;
  }

  /// `count` pairs: the chosen answer of pair i is a word of i letters 'c', the rejected one of i letters 'r'.
  std::string pairs(int count) {
    std::string lines;
    for (int i = 1; i <= count; ++i)
      lines += R"({"prompt": "q", "chosen": ")" + std::string(i, 'c') + R"(", "rejected": ")" + std::string(i, 'r') +
               "\"}\n";
    return lines;
  }

  /// "c3" or "r3": which answer of which pair a row holds; "-" for padding.
  static std::string which(const Batch &batch, int64_t row, int64_t length) {
    int64_t chosen = 0, rejected = 0;
    for (int64_t t = 0; t < length; ++t)
      if (int32_t label = batch.labels[row * length + t]; label == 'c' || label == 'r')
        ++(label == 'c' ? chosen : rejected);
    return chosen ? "c" + std::to_string(chosen) : rejected ? "r" + std::to_string(rejected) : "-";
  }

  std::vector<std::string> next(BatchStream &stream, int64_t rows) {
    Batch batch(rows * options.seqLen);
    EXPECT_GE(stream.next(batch.view(), options.seqLen), 0);
    std::vector<std::string> names;
    for (int64_t row = 0; row < rows; ++row)
      names.push_back(which(batch, row, options.seqLen));
    return names;
  }
};

using Names = std::vector<std::string>;

TEST_F(Pairs, AnswersAreRowsWithMaskedQuestions) {
  auto data = load(write("p.jsonl", R"({"prompt": "ab", "chosen": "yes", "rejected": "n"})"));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(data->train.paired());
  ASSERT_EQ(data->train.rows(), 2);
  for (auto [row, answer] : {std::pair(0, std::string("yes")), std::pair(1, std::string("n"))}) {
    Batch batch = this->row(data->train, row);
    std::string text = "user:\nab\n\nassistant:\n" + answer;
    Ints wanted = {BOS};
    wanted.insert(wanted.end(), text.begin(), text.end());
    wanted.push_back(EOS);
    const size_t first = wanted.size() - 1 - answer.size(); // of the answer
    for (size_t t = 0; t < wanted.size(); ++t) {
      EXPECT_EQ(batch.tokens[t], wanted[t]);
      EXPECT_EQ(batch.labels[t], t + 1 < wanted.size() && t + 1 >= first ? wanted[t + 1] : X) << t;
      EXPECT_EQ(batch.positions[t], static_cast<int32_t>(t));
      EXPECT_EQ(batch.segments[t], 0);
    }
    EXPECT_EQ(batch.tokens[wanted.size()], PAD);
  }
}

TEST_F(Pairs, OfConversationsUnderNamesOfTheirOwn) {
  options.records = RecordKind::Pairs;
  options.chosenKey = "better";
  options.rejectedKey = "worse";
  options.systemPrompt = "S";
  options.seqLen = 64;
  auto data =
      load(write("p.json", R"([{"better": [{"role": "system", "content": "old"}, {"role": "user", "content": "q"},
    {"role": "assistant", "content": "ccc"}], "worse": [{"role": "user", "content": "q"},
    {"role": "assistant", "content": "rr"}, {"role": "user", "content": "more"}, {"role": "assistant", "content": "r"}]}])"));
  ASSERT_TRUE(data) << messages();
  BatchStream stream(data->train, {.batchSize = 2, .shuffle = false});
  EXPECT_EQ(next(stream, 2), (Names{"c3", "r3"})); // both turns of the assistant
}

TEST_F(Pairs, StayTogetherInBatchesAndAreShuffledAsOne) {
  auto data = load(write("p.jsonl", pairs(7)));
  ASSERT_TRUE(data) << messages();
  BatchStream plain(data->train, {.batchSize = 4, .shuffle = false});
  EXPECT_EQ(plain.batchesPerEpoch(), 3);
  EXPECT_EQ(next(plain, 4), (Names{"c1", "c2", "r1", "r2"}));
  EXPECT_EQ(plain.countPairs(2), 4);
  EXPECT_EQ(next(plain, 4), (Names{"c3", "c4", "r3", "r4"}));
  // What is left over fills a batch with padding where it is not dropped.
  BatchStream all(data->train, {.batchSize = 4, .shuffle = false, .dropLast = false});
  EXPECT_EQ(all.batchesPerEpoch(), 4);
  all.seek({0, 3});
  EXPECT_EQ(all.countPairs(), 1);
  EXPECT_EQ(next(all, 4), (Names{"c7", "-", "r7", "-"}));

  BatchStream shuffled(data->train, {.batchSize = 4, .shuffle = true, .seed = 3});
  std::set<std::string> seen;
  Names first;
  for (int batch = 0; batch < 3; ++batch) {
    Names names = next(shuffled, 4);
    for (int i : {0, 1}) {
      EXPECT_EQ(names[i].substr(1), names[2 + i].substr(1)) << "a pair was torn apart";
      EXPECT_EQ(names[i][0], 'c');
      EXPECT_EQ(names[2 + i][0], 'r');
      seen.insert(names[i]);
    }
    if (batch == 1)
      first = names;
  }
  EXPECT_EQ(seen.size(), 6u);
  EXPECT_NE(seen, (std::set<std::string>{"c1", "c2", "c3", "c4", "c5", "c6"})); // the order is another one
  // A run that goes on sees what one that was never stopped would have seen.
  BatchStream resumed(data->train, {.batchSize = 4, .shuffle = true, .seed = 3});
  resumed.seek({0, 1});
  EXPECT_EQ(next(resumed, 4), first);
}

TEST_F(Pairs, AreHeldOutWhole) {
  options.heldOut = 0.25;
  auto data = load(write("p.jsonl", pairs(8)));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(says("2 of 8 pairs are held out for evaluation")) << messages();
  EXPECT_EQ(data->train.rows(), 12);
  BatchStream held(data->heldOut, {.batchSize = 4, .shuffle = false});
  EXPECT_EQ(next(held, 4), (Names{"c4", "c8", "r4", "r8"}));
}

TEST_F(Pairs, OfSeveralSetsStayTogether) {
  std::vector<DataSet> parts;
  for (int count : {3, 2}) {
    auto data = load(write("p" + std::to_string(count) + ".jsonl", pairs(count)));
    ASSERT_TRUE(data) << messages();
    parts.push_back(std::move(data->train));
  }
  DataSet all = DataSet::join(std::move(parts));
  EXPECT_TRUE(all.paired());
  BatchStream stream(all, {.batchSize = 4, .shuffle = false, .dropLast = false});
  EXPECT_EQ(next(stream, 4), (Names{"c1", "c2", "r1", "r2"}));
  EXPECT_EQ(stream.countPairs(), 2);
  EXPECT_EQ(next(stream, 4), (Names{"c3", "c1", "r3", "r1"}));
  EXPECT_EQ(next(stream, 4), (Names{"c2", "-", "r2", "-"}));
}

// Questions of 30 letters fill a row: no label is left of either answer, which counts nothing.
TEST_F(Pairs, WithoutALabelAreNotCounted) {
  const std::string question(30, 'q');
  auto data =
      load(write("p.jsonl", R"({"prompt": ")" + question + R"(", "chosen": "c", "rejected": "r"})" + "\n" + pairs(1)));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(says("2 samples are longer than a row and were cut to 32 tokens")) << messages();
  EXPECT_TRUE(says("2 of these samples have no trained token left")) << messages();
  BatchStream stream(data->train, {.batchSize = 4, .shuffle = false});
  EXPECT_EQ(stream.countPairs(), 1);
  EXPECT_EQ(next(stream, 4), (Names{"-", "c1", "-", "r1"}));
}

TEST_F(Pairs, ErrorsNameTheSide) {
  EXPECT_FALSE(load(write("a.jsonl", R"({"prompt": "q", "chosen": "c"})")));
  EXPECT_TRUE(
      says("a.jsonl:1:1: error: no key 'rejected' (keys here: chosen, prompt), which pairs of answers need; name "
           "it with dataset.column_map.rejected=KEY"))
      << messages();
  EXPECT_FALSE(load(write("b.jsonl", R"({"prompt": "q", "chosen": ["c"], "rejected": "r"})")));
  EXPECT_TRUE(says("key 'chosen' is array instead of a string")) << messages();
  EXPECT_FALSE(load(write("c.txt", "text")));
  EXPECT_TRUE(says("rename it if it holds some\n")) << messages();
  EXPECT_FALSE(load(writeIds("d.bin", std::vector<uint16_t>(64, 1), true)));
  EXPECT_TRUE(says("a token file has no pairs of answers; give records (.jsonl, .json, .csv) with both of them"))
      << messages();
  options.records = RecordKind::Pairs;
  const std::string asked = R"({"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "c"}], )";
  EXPECT_FALSE(load(write("e.jsonl", asked + R"("rejected": "Human: q"})")));
  EXPECT_TRUE(says("rejected: 'rejected' must be a list of {\"role\": ..., \"content\": ...}")) << messages();
  EXPECT_FALSE(load(write("f.jsonl", R"({"chosen": [{"role": "assistant", "content": "c"}, )"
                                     R"({"role": "user", "content": "q"}], "rejected": []})")));
  EXPECT_TRUE(says("chosen: message 1 is the assistant's, and no user has said anything before")) << messages();
  // A side without an answer leaves the pair out.
  EXPECT_FALSE(load(write("g.jsonl", asked + R"("rejected": [{"role": "system", "content": "s"}, )"
                                             R"({"role": "user", "content": "q"}]})")));
  EXPECT_TRUE(says("1 pairs without a turn of the assistant left out")) << messages();
  // Whatever the order of what is said; the other side is still looked at.
  const std::string pair =
      asked + R"("rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]})";
  for (const char *alone : {R"([{"role": "user", "content": "q"}])",
                            R"([{"role": "user", "content": "q"}, {"role": "user", "content": "q"}])"}) {
    std::optional<LoadedData> data = load(write("h.jsonl", asked + R"("rejected": )" + alone + "}\n" + pair));
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->train.rows(), 2);
    EXPECT_TRUE(says("1 pairs without a turn of the assistant left out")) << messages();
  }
  EXPECT_FALSE(
      load(write("i.jsonl", R"({"chosen": [{"role": "user", "content": "q"}], "rejected": [{"role": "u"}]})")));
  EXPECT_TRUE(says("rejected: message 1 has the role 'u'")) << messages();
}

} // namespace

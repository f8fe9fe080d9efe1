//===- LargeDataTest.cpp - Data that are kept in a file -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <thread>

using namespace ftc;

namespace {

/// More samples, ids and bits than stay in memory.
class LargeData : public DataFixture {
protected:
  static constexpr int count = 30000;

  static std::string text(int i) {
    std::string words(static_cast<size_t>(20 + i * 7 % 41), static_cast<char>('a' + i % 26));
    for (size_t at = 5; at < words.size(); at += static_cast<size_t>(3 + i % 5))
      words[at] = ' ';
    return words;
  }
  /// Texts, and from the hundredth on conversations among them.
  static std::string lines(bool conversations) {
    std::string all;
    for (int i = 0; i < count; ++i)
      all += conversations && i >= 100 && i % 3 ? fmt::format(R"({{"messages": [{{"role": "user", "content": "{}"}}, )"
                                                              R"({{"role": "assistant", "content": "{}"}}]}})"
                                                              "\n",
                                                              text(i).substr(0, 9), text(i + 1))
                                                : fmt::format("{{\"text\": \"{}\"}}\n", text(i));
    return all;
  }
};

TEST_F(LargeData, RowsGiveTheTextBack) {
  options.seqLen = 100;
  std::string path = write("d.jsonl", lines(false));
  for (bool wide : {false, true})
    for (auto [packed, split] : {std::pair(true, true), {true, false}, {false, false}}) {
      if (wide) // more than 65536 ids
        tokenizer = makeTokenizer(
            {"torchtune.models.llama3.llama3_tokenizer", FTC_SOURCE_DIR "/test/oracle/goldens/tokens/llama3.model", ""},
            diags);
      options.vocabSize = tokenizer->vocabSize();
      options.packed = packed;
      options.splitAcrossPack = split;
      auto data = load(path);
      ASSERT_TRUE(data) << messages();
      ASSERT_EQ(data->train.samples(), count);
      int sample = -1;
      int64_t valid = 0, tokens = 0;
      std::vector<int32_t> wanted, ids;
      size_t at = 0;
      for (int64_t r = 0; r < data->train.rows(); ++r) {
        Batch batch = row(data->train, r);
        for (int64_t t = 0; t < options.seqLen; ++t) {
          if (batch.segments[t] == t && batch.labels[t] == X && batch.tokens[t] == tokenizer->padId())
            continue;
          if (at == wanted.size()) {
            wanted = {tokenizer->bosId()};
            tokenizer->encode(text(++sample), wanted);
            wanted.push_back(tokenizer->eosId());
            at = 0;
          }
          ASSERT_EQ(batch.tokens[t], wanted[at]) << r << " " << t;
          ++at;
          ++tokens;
          // Of a sample all but the last token has a label.
          bool labelled = at < wanted.size();
          ASSERT_EQ(batch.labels[t], labelled ? wanted[at] : X) << r << " " << t;
          valid += labelled;
        }
      }
      EXPECT_EQ(sample, count - 1);
      EXPECT_EQ(tokens, data->train.tokens());
      EXPECT_EQ(valid, data->train.validLabels());
    }
}

/// Checkpoints hold the fingerprint of their data, so it stays the same from one version of the program to the next.
TEST_F(LargeData, FingerprintsStay) {
  struct Wanted {
    bool conversations, packed, split;
    double heldOut;
    uint64_t fingerprint;
  };
  for (const Wanted &it : {Wanted{false, true, true, 0, 763935722171216231u},
                           {false, true, true, 0.25, 5775223248764390740u},
                           {false, true, false, 0, 14492343776556523453u},
                           {true, true, true, 0, 3166109749086615770u},
                           {true, true, false, 0, 3166109749086615770u},
                           {true, false, false, 0, 270577314802380120u}}) {
    options.seqLen = 64;
    options.packed = it.packed;
    options.splitAcrossPack = it.split;
    options.heldOut = it.heldOut;
    auto data = load(write("d.jsonl", lines(it.conversations)));
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->train.fingerprint(), it.fingerprint);
  }
}

TEST_F(LargeData, ADocumentOfManyPieces) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all += text(i) + "\n";
  options.seqLen = 64;
  options.heldOut = 0.25;
  auto data = load(write("d.txt", "\xEF\xBB\xBF" + all));
  ASSERT_TRUE(data) << messages();
  const int64_t tokens = static_cast<int64_t>(all.size()) + 2, held = tokens / 4;
  EXPECT_EQ(data->train.tokens(), tokens - held);
  EXPECT_EQ(data->heldOut.tokens(), held);
  std::string back;
  for (const DataSet *set : {&data->train, &data->heldOut})
    for (int64_t r = 0; r < set->rows(); ++r)
      for (int32_t id : row(*set, r).tokens)
        if (id < 256)
          back += static_cast<char>(id);
  EXPECT_EQ(back, all);
  EXPECT_EQ(row(data->heldOut, 1).positions[0], 0) << "a tail is a sample of its own";

  // What can be read only once is the same.
  uint64_t train = data->train.fingerprint(), tail = data->heldOut.fingerprint();
  std::string pipe = root / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << "\xEF\xBB\xBF" << all; });
  data = load(pipe);
  writer.join();
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.fingerprint(), train);
  EXPECT_EQ(data->heldOut.fingerprint(), tail);
}

TEST_F(LargeData, ItsFileHasNoName) {
  options.scratchFolder = root / "out/deep";
  auto data = load(write("d.jsonl", lines(true)));
  ASSERT_TRUE(data) << messages();
  EXPECT_TRUE(std::filesystem::is_empty(root / "out/deep"));
  // Small data need none.
  options.scratchFolder = root / "other";
  data = load(write("s.txt", "a few words"));
  ASSERT_TRUE(data) << messages();
  EXPECT_FALSE(std::filesystem::exists(root / "other"));
}

TEST_F(LargeData, NoRoomIsAnError) {
  options.scratchFolder = write("taken", "");
  EXPECT_FALSE(load(write("d.jsonl", lines(false))));
  EXPECT_TRUE(says("d.jsonl: error: cannot make a file for tokens in '" + options.scratchFolder + "': ")) << messages();
  EXPECT_TRUE(says("choose another folder with --far-dir")) << messages();
  EXPECT_EQ(diags.size(), 1u);
}

TEST_F(LargeData, AListIsReadElementByElement) {
  std::string list = "[";
  for (int i = 0; i < count; ++i)
    list += fmt::format("{}\n {{\"text\": \"{}\", \"more\": [{{}}, [1]]}}", i ? "," : "", text(i));
  options.seqLen = 64;
  auto lined = load(write("d.jsonl", lines(false)));
  ASSERT_TRUE(lined) << messages();
  auto data = load(write("d.json", list + "\n]"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.fingerprint(), lined->train.fingerprint());
  EXPECT_FALSE(load(write("d.json", list + ",\n\n   {\"txt\": 1}, 5, [\"a\"]]")));
  EXPECT_TRUE(says("d.json:30003:4: error: record 30001: no key 'text'")) << messages();
  EXPECT_TRUE(says("d.json: error: record 30002: expected an object, found number")) << messages();
  EXPECT_TRUE(says("d.json:30003:19: error: record 30003: expected an object, found array")) << messages();
  EXPECT_FALSE(load(write("d.json", list + ",\n {\"text\": ]")));
  EXPECT_TRUE(says("d.json:30002:11: error: syntax error")) << messages();
}

} // namespace

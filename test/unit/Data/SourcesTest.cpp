//===- SourcesTest.cpp - Files, directories and their faults --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include <random>

using namespace ftc;
namespace fs = std::filesystem;

namespace {

using Sources = DataFixture;

TEST_F(Sources, ADirectoryIsReadInOrderOfPath) {
  write("t/b.txt", "b");
  write("t/a/z.txt", "z");
  write("t/a.txt", "a");
  auto data = load(root / "t");
  ASSERT_TRUE(data) << messages();
  // '.' comes before '/'.
  EXPECT_EQ(row(data->train, 0).tokens, (Ints{BOS, 'a', EOS, BOS, 'z', EOS, BOS, 'b'}));
  EXPECT_TRUE(diags.empty()) << messages();
}

TEST_F(Sources, SymlinksEqualContentsAndBinariesAreSkipped) {
  write("t/a.txt", "same");
  write("t/b.txt", "same");
  write("t/c.bin", std::string("bi\0nary", 7));
  write("t/d.txt", "");
  write("t/.git/config", "hidden");
  fs::create_symlink("a.txt", root / "t/link");
  fs::create_directory_symlink("..", root / "t/loop");
  auto data = load(root / "t");
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 1);
  EXPECT_TRUE(says("b.txt: remark: skipped: has the same contents")) << messages();
  EXPECT_TRUE(says("c.bin: remark: skipped: is not text")) << messages();
  EXPECT_TRUE(says("d.txt: remark: skipped: is empty")) << messages();
  EXPECT_TRUE(says(".git: remark: skipped: is hidden")) << messages();
  EXPECT_TRUE(says("skipped: is a symbolic link (and 1 more: ")) << messages();
}

TEST_F(Sources, UnreadableFilesAreSkippedInADirectoryOnly) {
  write("t/a.txt", "a");
  fs::permissions(write("t/b.txt", "b"), fs::perms::none);
  fs::permissions(write("t/c.jsonl", "{\"text\": \"c\"}"), fs::perms::none);
  fs::permissions(root, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                            fs::perms::others_exec);
  // Root reads everything, so be somebody else for a moment.
  bool isRoot = geteuid() == 0;
  ASSERT_TRUE(!isRoot || !seteuid(65534));
  auto folder = load(root / "t");
  std::string said = messages();
  auto file = load(root / "t/b.txt");
  ASSERT_TRUE(!isRoot || !seteuid(0));
  ASSERT_TRUE(folder) << said;
  EXPECT_NE(said.find("b.txt: remark: skipped: cannot be read (and 1 more: "), std::string::npos) << said;
  EXPECT_FALSE(file);
  EXPECT_TRUE(says("b.txt: error: cannot read")) << messages();
}

TEST_F(Sources, RecordsInADirectory) {
  write("t/a.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n");
  write("t/b.txt", "c");
  auto data = load(root / "t");
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 3);
}

TEST_F(Sources, AListOfObjects) {
  auto data = load(write("d.json", "[{\"text\": \"a\"},\n {\"text\": \"b\"}]"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 2);
  EXPECT_FALSE(load(write("d.json", "[{\"text\": \"a\"},\n {\"text\" \"b\"}]")));
  EXPECT_TRUE(says("d.json:2:12: error:")) << messages();
  EXPECT_FALSE(load(write("d.json", "[{\"text\": \"a\"}, {\"text\": 1}]")));
  EXPECT_TRUE(says("record 2: key 'text' is number instead of a string")) << messages();
  EXPECT_FALSE(load(write("d.json", "{\"text\":\n\"a\"}")));
  EXPECT_TRUE(says("d.json: error: a .json data file holds one list of objects")) << messages();
}

/// Files of Windows' programs begin with a byte order mark, whatever they hold.
TEST_F(Sources, AByteOrderMarkIsNoContents) {
  const std::string mark = "\xEF\xBB\xBF", lines = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  auto usual = load(write("d.jsonl", lines));
  ASSERT_TRUE(usual) << messages();
  for (const std::string &text : {lines, std::string("[{\"text\": \"a\"},\n{\"text\": \"b\"}]"), "\n " + lines,
                                  "\n[" + lines.substr(0, 13) + "," + lines.substr(14) + "]"})
    for (const bool inFolder : {false, true}) {
      const std::string path = write("t/d.json", mark + text);
      auto data = load(inFolder ? (root / "t").string() : path);
      ASSERT_TRUE(data) << text << messages();
      EXPECT_TRUE(diags.empty()) << messages();
      EXPECT_EQ(data->train.fingerprint(), usual->train.fingerprint()) << text;
    }
  // Records of a folder, also where texts are none of them.
  options.records = RecordKind::Chat;
  options.column = "messages";
  options.seqLen = 64;
  write("t/d.json",
        mark + R"([{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}])");
  auto chats = load(root / "t");
  ASSERT_TRUE(chats) << messages();
  EXPECT_EQ(chats->train.samples(), 1);
  EXPECT_TRUE(diags.empty()) << messages();
  // Columns are those of the bytes, whatever the file is called.
  options.records = RecordKind::TextOrChat;
  for (const char *name : {"e.jsonl", "e.json"}) {
    EXPECT_FALSE(load(write(name, mark + "{\"a\": 1}\n{\"text\": \"b\"}\n")));
    EXPECT_TRUE(says(std::string(name) + ":1:4: error: no key")) << messages();
  }
  for (const std::string &start : {mark, mark.substr(0, 2), mark.substr(0, 1)}) {
    EXPECT_FALSE(load(write("f.json", start)));
    EXPECT_TRUE(says("f.json")) << messages();
  }
  EXPECT_FALSE(load(write("f.json", mark.substr(0, 2) + "[{\"text\": \"a\"}]")));
}

TEST_F(Sources, OneObjectOnALine) {
  options.seqLen = 64;
  const std::string chat = R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})";
  for (const std::string &text :
       {std::string("{\"text\": \"a\"}"), std::string("\n {\"text\": \"a\"}\n\n"),
        std::string("{\"text\": \"a\", \"tags\": [\"x\", [{}]], \"of\": {\"b\": [{}]}}"), chat}) {
    auto data = load(write("t/d.json", text));
    ASSERT_TRUE(data) << text << messages();
    EXPECT_EQ(data->train.samples(), 1);
    auto folder = load(root / "t");
    ASSERT_TRUE(folder) << text << messages();
    EXPECT_EQ(folder->train.fingerprint(), data->train.fingerprint()) << text;
  }
  // A list inside has the records.
  for (const char *text : {R"({"text": "a", "data": [{"text": "b"}]})", R"({"data": [{"role": "x"}, {"text": "b"}]})",
                           R"({"a": [{}]})", R"({"text": "a")", R"({"text": "a"} x)", "{}x"}) {
    EXPECT_FALSE(load(write("e.json", text))) << text;
    EXPECT_TRUE(says("e.json: error: a .json data file holds one list of objects")) << messages();
  }
  EXPECT_FALSE(load(write("e.json", R"({"body": "a"})")));
  EXPECT_TRUE(says("e.json:1:1: error: no key 'text' and no 'messages' (keys here: body)")) << messages();
  // In a folder others are documents.
  fs::remove_all(root / "t");
  write("t/package.json", R"({"name": "x", "files": ["a"]})");
  auto folder = load(root / "t");
  ASSERT_TRUE(folder) << messages();
  EXPECT_EQ(folder->train.tokens(), 29 + 2);
  EXPECT_TRUE(says("package.json: remark: it is no list of objects, and is read as a text")) << messages();
}

TEST_F(Sources, AFolderMayHoldRecordsOfSomethingElse) {
  write("t/a.txt", "text");
  const std::string table = write("t/t.csv", "name,size\nx,1\ny,2\n");
  EXPECT_FALSE(load(root / "t"));
  EXPECT_TRUE(says("t.csv:2: error: no key 'text' and no 'messages' (keys here: name, size); name the text's key with "
                   "--column; and in 1 more record; or take the file out of the folder\n"))
      << messages();
  EXPECT_FALSE(load(table));
  EXPECT_FALSE(says("out of the folder")) << messages();
}

TEST_F(Sources, EndingsInCapitals) {
  for (const char *name : {"a.JSONL", "a.ndjson"})
    for (bool inFolder : {false, true}) {
      std::string path = write(std::string("t/") + name, "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
      auto data = load(inFolder ? (root / "t").string() : path);
      ASSERT_TRUE(data) << messages();
      EXPECT_EQ(data->train.samples(), 2) << name;
      fs::remove(path);
    }
  auto list = load(write("d.Json", "[{\"text\": \"a\"}]"));
  ASSERT_TRUE(list) << messages();
  EXPECT_EQ(row(list->train, 0).tokens[1], 'a');
}

TEST_F(Sources, AnotherColumn) {
  options.column = "body";
  auto data = load(write("d.jsonl", "{\"text\": \"no\", \"body\": \"yes\"}"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(row(data->train, 0).tokens[1], 'y');
}

TEST_F(Sources, AnotherColumnOfConversations) {
  const std::string turns = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  options.seqLen = 64;
  auto usual = load(write("d.jsonl", "{\"messages\": " + turns + "}"));
  ASSERT_TRUE(usual) << messages();
  for (std::string column : {"messages", "chat"}) {
    options.column = column;
    auto data = load(write("d.jsonl", "{\"" + column + "\": " + turns + ", \"text\": \"no\"}"));
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->train.fingerprint(), usual->train.fingerprint());
  }
  EXPECT_FALSE(load(write("d.jsonl", R"({"chat": ["q", "a"]})")));
  EXPECT_TRUE(says("d.jsonl:1:1: error: message 1 is string instead of an object")) << messages();
  options.column = "messages";
  EXPECT_FALSE(load(write("d.jsonl", R"({"text": "a"})")));
  EXPECT_TRUE(says("no key 'messages' (keys here: text); name the conversation's key with --column")) << messages();
}

TEST_F(Sources, NumbersBeyondEveryType) {
  EXPECT_FALSE(load(write("d.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\", \"n\": 1e999}\n")));
  EXPECT_TRUE(says("d.jsonl:2:1: error: bad JSON: number overflow parsing '1e999'")) << messages();
  EXPECT_FALSE(load(write("d.json", "[{\"text\": \"a\", \"n\": 1e999}]")));
  EXPECT_TRUE(says("d.json: error: bad JSON: number overflow")) << messages();
}

TEST_F(Sources, BadLinesAreNamedOneByOne) {
  EXPECT_FALSE(
      load(write("d.jsonl", "{\"text\": \"good\"}\n{\"text\": }\n[1]\n{\"txt\": \"a\", \"id\": 3}\n{\"text\": 5}\n"
                            "{\"messages\": []}\n{\"messages\": [{\"role\": \"robot\", \"content\": \"x\"}]}\n"
                            "{\"messages\": [{\"role\": \"user\"}]}\n{\"text\": \"\xFF\"}\n")));
  EXPECT_TRUE(says("d.jsonl:2:10: error: bad JSON: syntax error")) << messages();
  EXPECT_TRUE(says("d.jsonl:3:1: error: expected an object, found array")) << messages();
  EXPECT_TRUE(says("d.jsonl:4:1: error: no key 'text' and no 'messages' (keys here: id, txt); name the text's key with "
                   "--column"))
      << messages();
  EXPECT_TRUE(says("d.jsonl:5:1: error: key 'text' is number instead of a string")) << messages();
  EXPECT_TRUE(says("d.jsonl:6:1: error: 'messages' must be a list")) << messages();
  EXPECT_TRUE(says("d.jsonl:7:1: error: message 1 has the role 'robot'")) << messages();
  EXPECT_TRUE(says("d.jsonl:8:1: error: message 1 has no key 'content'")) << messages();
  EXPECT_TRUE(says("d.jsonl:9:")) << messages();
  EXPECT_EQ(diags.size(), 8u);
}

TEST_F(Sources, ManyBadLinesAreNotAllListed) {
  std::string lines;
  for (int i = 0; i < 1000; ++i)
    lines += "nonsense\n";
  EXPECT_FALSE(load(write("d.jsonl", lines)));
  EXPECT_EQ(diags.size(), 1u);
  EXPECT_TRUE(says("; and in 999 more records")) << messages();
  lines.clear();
  for (int i = 0; i < 1000; ++i)
    lines += "{\"messages\": [{\"role\": \"r" + std::to_string(i) + "\", \"content\": \"x\"}]}\n";
  EXPECT_FALSE(load(write("d.jsonl", lines)));
  EXPECT_EQ(diags.size(), 20u);
}

TEST_F(Sources, DeepNestingIsNoDanger) {
  EXPECT_FALSE(load(write("d.jsonl", std::string(200000, '['))));
  ASSERT_TRUE(load(
      write("d.jsonl", "{\"text\": \"a\", \"deep\": " + std::string(200000, '[') + std::string(200000, ']') + "}")))
      << messages();
}

TEST_F(Sources, EmptyThingsAreErrors) {
  EXPECT_FALSE(load(write("e.txt", "")));
  EXPECT_TRUE(says("the data set is empty")) << messages();
  EXPECT_FALSE(load(write("e.jsonl", "\n\n")));
  EXPECT_TRUE(says("the data set is empty")) << messages();
  EXPECT_FALSE(load(write("e.jsonl", "{\"text\": \"\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"hm\"}]}")));
  EXPECT_TRUE(says("1 records without text")) << messages();
  EXPECT_TRUE(says("1 conversations without a turn of the assistant")) << messages();
  fs::create_directory(root / "none");
  EXPECT_FALSE(load(root / "none"));
  EXPECT_TRUE(says("the data set is empty")) << messages();
  EXPECT_FALSE(load(root / "missing"));
  EXPECT_TRUE(says("no such file or directory")) << messages();
  EXPECT_FALSE(load(""));
  EXPECT_TRUE(says("--data")) << messages();
}

TEST_F(Sources, OptionsThatCannotBe) {
  std::string path = write("d.txt", "text");
  options.vocabSize = 100;
  EXPECT_FALSE(load(path));
  EXPECT_TRUE(says("d.txt: error: the tokenizer 'byte' has 259 ids, the model's vocabulary only 100; recompile with "
                   "model.vocab_size=259"))
      << messages();
  options.vocabSize = 259;
  options.heldOut = 1.0;
  EXPECT_FALSE(load(path));
  options.heldOut = 0;
  options.seqLen = 1;
  EXPECT_FALSE(load(path));
  options.seqLen = 8;
  options.maxPositions = 4;
  EXPECT_FALSE(load(path));
}

TEST_F(Sources, BinaryFileIsExplained) {
  EXPECT_FALSE(load(write("x.dat", std::string("a\0b", 3))));
  EXPECT_TRUE(says("token ids must be in a file called .bin")) << messages();
}

TEST_F(Sources, MutatedRecordsNeverCrash) {
  const std::string good =
      R"({"messages": [{"role": "user", "content": "hé"}, {"role": "assistant", "content": "ho\n"}]})"
      "\n"
      R"({"text": "abc\u00e9\ud83d\ude00"})"
      "\n";
  std::mt19937 random(7);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string bad = good;
    for (unsigned edits = 1 + random() % 3; edits; --edits) {
      size_t at = random() % bad.size();
      switch (random() % 4) {
      case 0:
        bad[at] = static_cast<char>(random());
        break;
      case 1:
        bad.erase(at, 1 + random() % 5);
        break;
      case 2:
        bad.insert(at, 1, "\"{}[],:\\\n0"[random() % 10]);
        break;
      case 3:
        bad.resize(at + 1);
        break;
      }
      if (bad.empty())
        bad = "x";
    }
    auto data = load(write("m.jsonl", bad));
    data ? ++accepted : ++refused;
    if (data) {
      for (int64_t i = 0; i < data->train.rows(); ++i)
        row(data->train, i);
    } else {
      ASSERT_FALSE(diags.empty());
    }
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(refused, 20);
}

//===----------------------------------------------------------------------===//
// Token files
//===----------------------------------------------------------------------===//

TEST_F(Sources, TokenFileRowsComeInOrderAndAlone) {
  std::vector<uint16_t> ids;
  for (int i = 0; i < 3 * 8 + 5; ++i)
    ids.push_back(static_cast<uint16_t>(i * 9 % 259));
  std::vector<uint32_t> wide(ids.begin(), ids.end());
  for (int form = 0; form < 4; ++form) {
    options.tokenWidth = form == 3 ? 4 : 0;
    auto data = load(form < 2 ? writeIds("t.bin", ids, form == 0) : writeIds("t.bin", wide, form == 2));
    ASSERT_TRUE(data) << messages();
    EXPECT_TRUE(says("the last 5 ids do not fill a row")) << messages();
    ASSERT_EQ(data->train.rows(), 3);
    EXPECT_EQ(data->train.validLabels(), 21);
    for (int64_t r = 0; r < 3; ++r) {
      Batch batch = row(data->train, r);
      for (int t = 0; t < 8; ++t) {
        EXPECT_EQ(batch.tokens[t], ids[r * 8 + t]);
        EXPECT_EQ(batch.labels[t], t < 7 ? static_cast<int32_t>(ids[r * 8 + t + 1]) : X);
        EXPECT_EQ(batch.positions[t], t);
        EXPECT_EQ(batch.segments[t], 0);
      }
    }
  }
}

TEST_F(Sources, TextsOfATokenizerWithoutATokenForTheirBegin) {
  const std::string file = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/qwen/tokenizer.json";
  tokenizer = makeTokenizer({"torchtune.models.qwen2.qwen2_tokenizer", file, ""}, diags);
  options.vocabSize = 1000;
  auto data = load(write("t.txt", "q"));
  ASSERT_TRUE(data) << messages();
  Ints wanted;
  tokenizer->encode("q", wanted);
  ASSERT_EQ(wanted.size(), 1u);
  wanted.push_back(tokenizer->eosId());
  wanted.resize(8, tokenizer->padId());
  EXPECT_EQ(row(data->train, 0).tokens, wanted);
}

TEST_F(Sources, TokenFilesOfATokenizerThatIsNotBuiltIn) {
  for (const char *name : {"torchtune.models.llama3.llama3_tokenizer",
                           "torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer"}) {
    tokenizer = makeTokenizer({name, "", ""}, diags);
    auto data = load(writeIds("t.bin", std::vector<uint16_t>(16, 1), true));
    ASSERT_TRUE(data) << messages();
    Batch batch(8);
    data->train.fillPadding(batch.view(), options.seqLen);
    EXPECT_EQ(batch.tokens[0], 0); // the model's vocabulary is smaller than Llama 3's
    EXPECT_FALSE(load(write("t.txt", "text")));
    EXPECT_TRUE(says(std::string("t.txt: error: this is text, and the recipe's tokenizer '") + name)) << messages();
  }
}

TEST_F(Sources, WhatARunWritesIsNoData) {
  write("t/a.txt", "a");
  write("t/out/metrics.jsonl", "{\"step\": 1}");
  EXPECT_FALSE(load(root / "t"));
  options.notInside = {root / "elsewhere", root / "t/../t/out/"};
  auto data = load(root / "t");
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.samples(), 1);
  EXPECT_TRUE(says("out: remark: skipped: is where this run writes")) << messages();
}

TEST_F(Sources, TokenFileHeldOutIsItsTail) {
  std::vector<uint16_t> ids(80);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<uint16_t>(i);
  options.heldOut = 0.25;
  auto data = load(writeIds("t.bin", ids, true));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.rows(), 8);
  ASSERT_EQ(data->heldOut.rows(), 2);
  EXPECT_EQ(row(data->heldOut, 0).tokens[0], 64);
  EXPECT_NE(data->train.fingerprint(), data->heldOut.fingerprint());
}

TEST_F(Sources, TokenFileFaults) {
  std::vector<uint16_t> ids(16, 1);
  ids[11] = 259;
  EXPECT_FALSE(load(writeIds("t.bin", ids, false)));
  EXPECT_TRUE(says("id 259 (number 11 in the file, from 0) is beyond the model's vocabulary of 259")) << messages();
  EXPECT_FALSE(load(write("t.bin", "abc")));
  EXPECT_TRUE(says("3 bytes are not a whole number of 2-byte ids")) << messages();
  EXPECT_FALSE(load(write("t.bin", "")));
  EXPECT_TRUE(says("the data set is empty")) << messages();
  std::string whole = "FTCTOK01";
  uint64_t numbers[] = {2, 10};
  whole.append(reinterpret_cast<const char *>(numbers), sizeof(numbers));
  EXPECT_FALSE(load(write("t.bin", whole + std::string(18, '\0'))));
  EXPECT_TRUE(says("truncated")) << messages();
  whole[8] = 3;
  EXPECT_FALSE(load(write("t.bin", whole + std::string(30, '\0'))));
  EXPECT_TRUE(says("it may have 2 or 4")) << messages();
  uint64_t huge[] = {4, uint64_t(1) << 62}; // count × width overflows to 0
  EXPECT_FALSE(load(write("t.bin", "FTCTOK01" + std::string(reinterpret_cast<const char *>(huge), 16))));
}

TEST_F(Sources, TokenFileThatShrinksIsNoticed) {
  std::string path = writeIds("t.bin", std::vector<uint16_t>(16, 1), true);
  auto data = load(path);
  ASSERT_TRUE(data) << messages();
  fs::resize_file(path, 30);
  Batch batch(8);
  EXPECT_EQ(data->train.fillRow(1, batch.view(), options.seqLen), -1);
}

} // namespace

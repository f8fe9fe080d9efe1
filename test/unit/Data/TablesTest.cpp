//===- TablesTest.cpp - Tables, lines of text, and what is no record ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include "ftc/Data/RecipeData.h"

#include <fmt/format.h>

using namespace ftc;

namespace {

class Tables : public DataFixture {
protected:
  void SetUp() override {
    DataFixture::SetUp();
    options.packed = false;
    options.seqLen = 64;
  }

  /// The samples of a file as text, without their first and last token; those of conversations in byte-level wording.
  std::vector<std::string> texts(const std::string &path) {
    std::vector<std::string> all;
    std::optional<LoadedData> data = load(path);
    for (int64_t i = 0; data && i < data->train.rows(); ++i) {
      Batch batch = row(data->train, i);
      std::string &text = all.emplace_back();
      for (int64_t t = 1; t + 1 < data->train.rowLength(i); ++t)
        text += batch.tokens[t] < 256 ? static_cast<char>(batch.tokens[t]) : '|';
    }
    return all;
  }
};

using Texts = std::vector<std::string>;

TEST_F(Tables, ARowIsARecordOfTexts) {
  const std::string table = "\xEF\xBB\xBF"
                            "id,text\r\n1,plain\r\n\r\n2,\"a \"\"b\"\", c\"\n3, 5 \n\n4,\"two\nlines\"\n5,end";
  const Texts wanted = {"plain", "a \"b\", c", " 5 ", "two\nlines", "end"};
  EXPECT_EQ(texts(write("d.csv", table)), wanted) << messages();
  EXPECT_TRUE(diags.empty()) << messages();
  // The same by the recipe's word, and in a folder.
  options.source = DataSource::Csv;
  EXPECT_EQ(texts(write("d.data", table)), wanted) << messages();
  options.source = DataSource::ByName;
  write("t/d.CSV", table);
  EXPECT_EQ(texts(root / "t"), wanted) << messages();
  EXPECT_EQ(texts(write("d.tsv", "text\tn\na, b\t1\n\"a\tb\"\t2\n")), (Texts{"a, b", "a\tb"})) << messages();
}

TEST_F(Tables, QuestionsAndAnswersOfATable) {
  options.records = RecordKind::Instruct;
  options.inputKey = "q";
  EXPECT_EQ(texts(write("d.csv", "output,q\nyes,\"you,\nthere?\"\n")), Texts{"user:\nyou,\nthere?\n\nassistant:\nyes"})
      << messages();
  // An empty cell is an empty text: Alpaca's without an input.
  options.records = RecordKind::Alpaca;
  options.inputKey = "input";
  options.seqLen = 300;
  const Texts alone = texts(write("d.csv", "instruction,input,output\nRun,,ok\n"));
  ASSERT_EQ(alone.size(), 1u) << messages();
  EXPECT_NE(alone[0].find("### Instruction:\nRun\n\n### Response:"), std::string::npos) << alone[0];
}

TEST_F(Tables, BadRowsHaveAPlace) {
  EXPECT_FALSE(load(write("d.csv", "id,text\n1,\"a\nb\"\n2,c,d\n3\n4,e\n")));
  EXPECT_TRUE(says("d.csv:4: error: the row has 3 cells, and 2 columns are named (id, text): a cell with a comma"))
      << messages();
  EXPECT_TRUE(says("d.csv:5: error: the row has 1 cells")) << messages();
  EXPECT_FALSE(load(write("d.csv", "text\nsay \"yes\"\n\"b\"\n")));
  EXPECT_TRUE(says("d.csv:2:5: error: a double quote out of place")) << messages();
  EXPECT_FALSE(load(write("d.csv", "text\n\"a\" b\n")));
  EXPECT_TRUE(says("d.csv:2:4: error: a double quote out of place")) << messages();
  EXPECT_FALSE(load(write("d.csv", "text\na\n\n\"b\nc\n")));
  EXPECT_TRUE(says("d.csv:4: error: the file ends inside of the quotes of a cell")) << messages();
  EXPECT_FALSE(load(write("d.csv", "a,b,a\n1,2,3\n")));
  EXPECT_TRUE(says("d.csv:1: error: two columns are called 'a'")) << messages();
  EXPECT_FALSE(load(write("d.csv", "")));
  EXPECT_TRUE(says("d.csv: error: the file is empty; its first line names the columns")) << messages();
  EXPECT_FALSE(load(write("d.csv", "words\nb\n")));
  EXPECT_TRUE(says("d.csv:2: error: no key 'text' and no 'messages' (keys here: words)")) << messages();
  options.records = RecordKind::Chat;
  options.column = "messages";
  EXPECT_FALSE(load(write("d.csv", "messages\n\"[{\"\"role\"\": \"\"user\"\"}]\"\n")));
  EXPECT_TRUE(says("and is a text; write conversations as JSON lines, a list each")) << messages();
}

TEST_F(Tables, PartsOfATable) {
  options.slice = {.from = 1, .to = 3};
  EXPECT_EQ(texts(write("d.csv", "text\na\nb\n\"c\nd\"\ne\n")), (Texts{"b", "c\nd"})) << messages();
}

TEST_F(Tables, ATextALineByTheRecipesWord) {
  const std::string path = write("d.txt", "\xEF\xBB\xBFone\r\ntwo\n\nthree");
  EXPECT_EQ(texts(path).size(), 1u);
  options.source = DataSource::Text;
  EXPECT_EQ(texts(path), (Texts{"one", "two", "three"})) << messages();
  EXPECT_TRUE(says("1 records without text left out")) << messages();
  options.slice = {.from = 1, .to = 4};
  EXPECT_EQ(texts(path), (Texts{"two", "three"})) << messages();
  options.slice = {};
  EXPECT_FALSE(load(write("d.txt", std::string("a\nb\0c\n", 6))));
  EXPECT_TRUE(says("d.txt:2: error: this is not text")) << messages();
  // A name that says otherwise wins, with a word.
  EXPECT_EQ(texts(write("d.jsonl", "{\"text\": \"a\"}\n")), Texts{"a"});
  EXPECT_TRUE(says("d.jsonl: remark: it is read as its name says, and not as dataset.source")) << messages();
  options.records = RecordKind::Instruct;
  EXPECT_FALSE(load(write("e.txt", "a\n")));
  EXPECT_TRUE(says("e.txt: error: the recipe's data set is made of records")) << messages();
}

TEST_F(Tables, AFileOfAnotherEndingByTheRecipesWord) {
  const std::string path = write("t/d.data", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  options.source = DataSource::Json;
  EXPECT_EQ(texts(path), (Texts{"a", "b"})) << messages();
  write("t/e.jsonl", "{\"text\": \"c\"}\n");
  EXPECT_EQ(texts(root / "t"), Texts{"c"}) << messages();
  EXPECT_TRUE(says("skipped: is not called .jsonl, and the recipe's dataset.source is json")) << messages();
}

TEST_F(Tables, AListMeansTheSameInADirectory) {
  const std::string list = "\n[ {\"text\": \"a\"},\n{\"text\": \"b\"}]",
                    lines = "{\"text\": \"c\"}\n\n{\"text\": \"d\"}\n";
  EXPECT_EQ(texts(write("t/a.json", list)), (Texts{"a", "b"})) << messages();
  EXPECT_EQ(texts(write("t/b.json", lines)), (Texts{"c", "d"})) << messages();
  write("t/c.json", "{\"name\": \"x\"}");
  EXPECT_EQ(texts(root / "t"), (Texts{"a", "b", "c", "d", "{\"name\": \"x\"}"})) << messages();
  EXPECT_TRUE(says("c.json: remark: it is no list of objects, and is read as a text\n")) << messages();
  EXPECT_FALSE(load(write("b.json", "\n{\"text\": \"c\"}\n\n{\"txt\": \"d\"}\n")));
  EXPECT_TRUE(says("b.json:4:1: error: no key 'text'")) << messages();
  options.records = RecordKind::Instruct;
  EXPECT_FALSE(load(root / "t"));
  EXPECT_TRUE(says("a.json:2:3: error: record 1: no key 'input'")) << messages();
}

TEST_F(Tables, OneObjectIsNoList) {
  EXPECT_FALSE(load(write("d.json", "{\"version\": [1.0][0], \"x\": 1}")));
  EXPECT_FALSE(load(write("d.json", "{\"version\": 1,\n \"data\": [{\"text\": \"a\"}]}")));
  EXPECT_TRUE(says("d.json: error: a .json data file holds one list of objects, or an object on each line; this is one "
                   "object, whose list 'data' can be written so in Python"))
      << messages();
  EXPECT_TRUE(says("[\"data\"])")) << messages();
}

TEST_F(Tables, WhatIsNotReadIsNamed) {
  for (const auto &[name, why] :
       {std::pair("a.parquet",
                  "datasets.load_dataset(\"parquet\", data_files=…, split=\"train\").to_json(\"x.jsonl\")"),
        {"a.arrow", "datasets.load_dataset(\"arrow\""},
        {"a.jsonl.gz", "compressed files are not read; unpack it first"}}) {
    EXPECT_FALSE(load(write(name, "PAR1")));
    EXPECT_TRUE(says(std::string(name) + ": error: ") && says(why)) << messages();
  }
  write("t/a.parquet", "PAR1");
  write("t/b.txt", "b");
  EXPECT_EQ(texts(root / "t"), Texts{"b"}) << messages();
  EXPECT_TRUE(says("a.parquet: remark: skipped: tables of this format are not read")) << messages();
}

TEST_F(Tables, RecordsOfAnotherDataSetNameIt) {
  const char *openAi = R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])";
  const char *shareGpt = R"([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}])";
  const std::string sets = "; a record like this one is read with dataset=torchtune.datasets.";
  const auto told = [&](RecordKind kind, const std::string &record, const std::string &column = "messages") {
    options.records = kind;
    options.column = column;
    EXPECT_FALSE(load(write("d.jsonl", record)));
    return messages();
  };
  const auto has = [](const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
  };
  using enum RecordKind;
  std::string text = told(Chat, fmt::format("{{\"messages\": {}}}", shareGpt));
  EXPECT_TRUE(has(text, "which chat_dataset reads with dataset.conversation_style=sharegpt")) << text;
  text = told(ShareGpt, fmt::format("{{\"messages\": {}}}", openAi));
  EXPECT_TRUE(has(text, "which chat_dataset reads with dataset.conversation_style=openai")) << text;
  text = told(Chat, fmt::format("{{\"conversations\": {}}}", shareGpt));
  EXPECT_TRUE(has(text, sets + "chat_dataset dataset.conversation_column=conversations "
                               "dataset.conversation_style=sharegpt"))
      << text;
  // What the recipe says of another file is part of the way out.
  text = told(ShareGpt, fmt::format("{{\"messages\": {}}}", openAi), "conversations");
  EXPECT_TRUE(has(text, sets + "chat_dataset dataset.conversation_column=messages dataset.conversation_style=openai"))
      << text;
  text = told(Chat, R"({"input": "q", "output": "a"})");
  EXPECT_TRUE(has(text, sets + "instruct_dataset")) << text;
  text = told(Instruct, R"({"instruction": "q", "output": "a"})");
  EXPECT_TRUE(has(text, sets + "alpaca_dataset")) << text;
  text = told(Instruct, R"({"question": "q", "answer": "a"})");
  EXPECT_TRUE(has(text, sets + "instruct_dataset dataset.column_map.input=question dataset.column_map.output=answer"))
      << text;
  text = told(Alpaca, fmt::format("{{\"messages\": {}}}", openAi));
  EXPECT_TRUE(has(text, sets + "chat_dataset dataset.conversation_column=messages dataset.conversation_style=openai\n"))
      << text;
  text = told(TextOrChat, fmt::format("{{\"chosen\": {}, \"rejected\": {}}}", openAi, openAi), "text");
  EXPECT_TRUE(has(text, sets + "preference_dataset with loss=torchtune.rlhf.loss.DPOLoss")) << text;
  // Nothing is known of such keys.
  text = told(Instruct, R"({"a": "q", "b": "a"})");
  EXPECT_TRUE(has(text, "name it with dataset.column_map.input=KEY, or override dataset\n")) << text;
}

/// One cause is one error, however many records have it; another cause is another one.
TEST_F(Tables, OneCauseIsToldOnce) {
  options.records = RecordKind::Instruct;
  std::string lines;
  for (int i = 0; i < 30; ++i)
    lines += i == 7 ? "{\"input\": 3, \"output\": \"a\"}\n" : "{\"question\": \"q\", \"answer\": \"a\"}\n";
  EXPECT_FALSE(load(write("d.jsonl", lines)));
  ASSERT_EQ(diags.size(), 2u) << messages();
  EXPECT_EQ(diags[0].line, 1);
  EXPECT_TRUE(diags[0].message.ends_with("; and in 28 more records")) << messages();
  EXPECT_EQ(diags[1].line, 8);
  EXPECT_EQ(diags[1].message, "key 'input' is number instead of a string");
  // Behind a thousand of them nothing is read any more.
  lines.clear();
  for (int i = 0; i < 2000; ++i)
    lines += "{\"question\": \"q\", \"answer\": \"a\"}\n";
  EXPECT_FALSE(load(write("d.jsonl", lines)));
  ASSERT_EQ(diags.size(), 1u) << messages();
  EXPECT_TRUE(diags[0].message.ends_with("; and in at least 999 more records")) << messages();
}

TEST_F(Tables, AlpacasRecordsHaveAnInstructionToo) {
  options.records = RecordKind::Instruct;
  options.seqLen = 64;
  ASSERT_TRUE(load(write("d.jsonl", R"({"instruction": "Add", "input": "1 2", "output": "3"})"))) << messages();
  EXPECT_TRUE(says("the key 'instruction' of 1 records is not read")) << messages();
  options.inputKey = "instruction";
  ASSERT_TRUE(load(root / "d.jsonl")) << messages();
  EXPECT_FALSE(says("is not read")) << messages();
}

TEST_F(Tables, PatternsOfFiles) {
  for (const char *name : {"b.jsonl", "a.jsonl", "[x].jsonl", "c.txt"})
    write(name, "");
  Recipe recipe;
  const std::string folder = root.string() + "/";
  EXPECT_EQ(nameDataFiles(recipe, {folder + "[ab].json?", folder + "[x].jsonl", folder + "c.txt"}), "");
  EXPECT_EQ(recipe.dataset.dataFiles,
            (Texts{folder + "a.jsonl", folder + "b.jsonl", folder + "[x].jsonl", folder + "c.txt"}));
  EXPECT_EQ(nameDataFiles(recipe, {folder + "*.csv"}), folder + "*.csv: no file matches this pattern");
  EXPECT_EQ(nameDataFiles(recipe, {folder + "**/*.csv"}),
            folder + "**/*.csv: '**' is not built; name the folder, of which everything below is read");
}

} // namespace

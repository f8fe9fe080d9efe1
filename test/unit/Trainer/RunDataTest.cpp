//===- RunDataTest.cpp - Which data a run trains and evaluates -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FtrunHarness.h"

#include "ftc/Runtime/RunError.h"

using namespace ftc;
using namespace ftc::test;

namespace {

class RunData : public FtrunTest {
protected:
  /// Eight records with a text of letters under `key`.
  std::string records(const std::string &key, const std::string &name) {
    std::string lines;
    for (char letter = 'a'; letter < 'i'; ++letter)
      lines += "{\"" + key + "\": \"" + std::string(20, letter) + "\"}\n";
    return textFile(lines, name);
  }
  /// Runs ftrun on unpacked rows, without steps and checkpoints.
  int look(std::vector<std::string> more) {
    std::vector<std::string> arguments{fakeStep("good"),      "--steps", "0", "--no-checkpoint", "--out", at("out"),
                                       "dataset.packed=False"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  bool says(const std::string &part) const { return said.find(part) != std::string::npos; }
};

TEST_F(RunData, AColumnIsThatOfTheDataSet) {
  const std::string body = records("body", "body.jsonl"), doc = records("doc", "doc.jsonl");
  const std::string odd = records("a: ${b}", "odd.jsonl");
  EXPECT_EQ(look({"--data", body, "--column", "body"}), 0) << said;
  EXPECT_EQ(look({"--data", odd, "--column", "a: ${b}"}), 0) << said;
  EXPECT_EQ(look({"--data", doc, "--column", "body"}), static_cast<int>(ExitCode::BadData)) << said;
  // What is evaluated has its own, if it names one.
  EXPECT_EQ(look({"--data", body, "--column", "body", "dataset_val={data_files: " + doc + ", column: doc}"}), 0)
      << said;
  EXPECT_TRUE(says("held-out loss")) << said;
  EXPECT_EQ(look({"--data", body, "--column", "body", "dataset_val.data_files=" + body}), 0) << said;
  EXPECT_EQ(look({"--data", body, "--column", "body", "--held-out-data", body}), 0) << said;
  EXPECT_EQ(look({"--data", body, "--column", "body", "dataset_val.data_files=" + doc}),
            static_cast<int>(ExitCode::BadData))
      << said;
  EXPECT_TRUE(says("doc.jsonl:1:1: error: no key 'body'")) << said;
  // A list has a key for each node.
  EXPECT_EQ(look({"--data", body, "--data", doc, "--column", "body", "dataset=[{column: body}, {column: doc}]"}),
            static_cast<int>(ExitCode::Usage))
      << said;
  EXPECT_TRUE(says("--column names the key of one data set, and the recipe's dataset is a list of 2")) << said;
}

TEST_F(RunData, PatternsOfWhatIsEvaluated) {
  const std::string data = records("text", "a.jsonl");
  records("text", "val1.jsonl");
  records("text", "val2.jsonl");
  EXPECT_EQ(look({"--data", data, "--held-out-data", at("val*.jsonl")}), 0) << said;
  EXPECT_TRUE(says("held-out loss")) << said;
  EXPECT_EQ(look({"--data", data, "dataset_val.data_files=" + at("val*.jsonl")}), 0) << said;
  EXPECT_TRUE(says("held-out loss")) << said;
  EXPECT_EQ(look({"--data", data, "--held-out-data", at("none*.jsonl")}), static_cast<int>(ExitCode::Usage));
  EXPECT_TRUE(says("--held-out-data: " + at("none*.jsonl") + ": no file matches this pattern")) << said;
  // Only what is read has to be there.
  const std::string none = "dataset_val.data_files=" + at("none*.jsonl");
  EXPECT_EQ(look({"--data", data, none}), static_cast<int>(ExitCode::Usage));
  EXPECT_TRUE(says("dataset_val: " + at("none*.jsonl") + ": no file matches this pattern")) << said;
  EXPECT_EQ(look({"--data", data, none, "--held-out", "0.5"}), 0) << said;
  EXPECT_EQ(look({"--data", data, none, "--held-out-data", data}), 0) << said;
}

TEST_F(RunData, AFolderWithWhatIsTrainedIsTold) {
  fs::create_directory(at("folder"));
  const std::string data = records("text", "folder/a.jsonl"), other = records("text", "b.jsonl");
  records("text", "folder/c.jsonl");
  EXPECT_EQ(look({"--data", data, "--held-out-data", at("folder")}), 0) << said;
  EXPECT_TRUE(says("warning: --held-out-data has in it what is trained on: " + at("folder"))) << said;
  EXPECT_EQ(look({"--data", at("folder"), "--held-out-data", data}), 0) << said;
  EXPECT_TRUE(says("warning: --held-out-data is what is trained on: " + data)) << said;
  EXPECT_EQ(look({"--data", other, "--held-out-data", at("folder")}), 0) << said;
  EXPECT_FALSE(says("warning")) << said;
}

TEST_F(RunData, WhatIsTooLongIsRecompiledWithAllOfIt) {
  const std::string data = records("text", "a.jsonl"), more = records("text", "b.jsonl");
  const std::string longOne = textFile("{\"text\": \"" + std::string(100, 'a') + "\"}\n", "long.jsonl");
  EXPECT_EQ(look({"--data", data, "--data", more, "--held-out-data", longOne, "tokenizer.truncation=False"}),
            static_cast<int>(ExitCode::BadData))
      << said;
  EXPECT_TRUE(says("(ftc compile RECIPE tokenizer.max_seq_len=null --data " + data + " --data " + more +
                   " dataset_val.data_files=" + longOne + ") or with tokenizer.max_seq_len=102, or override"))
      << said;
}

/// Of fewer data an epoch is over when more of its batches are done than there are: the next one begins, and none is
/// passed over.
TEST_F(RunData, FewerDataEndAnEpoch) {
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "30",
                                     "--out",          at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  arguments = {fakeStep("good"), "--data",  tokenFile(12 * BatchTokens, 60, "few.bin"),
               "--out",          at("out"), "resume_from_checkpoint=True",
               "epochs=3"};
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_TRUE(says("the data changed since " + at("out/step_30") +
                   " was written; an epoch has 12 batches now, and 30 of its epoch were done, so it goes on with the "
                   "next"))
      << said;
  EXPECT_EQ(metrics(at("out")).size(), 30u + 2 * 12u); // the second and the third
  // As long as there are as many, the place is kept.
  ASSERT_EQ(run({fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "10", "--out", at("kept")}), 0);
  arguments[4] = at("kept");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_TRUE(says("its place in them is kept")) << said;
  EXPECT_EQ(metrics(at("kept")).size(), 10u + 2 + 2 * 12u);
}

} // namespace

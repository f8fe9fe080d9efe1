//===- EpochsTest.cpp - How much of the data a run trains on ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FtrunHarness.h"

using namespace ftc::test;

namespace {

class Epochs : public FtrunTest {};

TEST_F(Epochs, ABatchWithoutLabelsChangesNothing) {
  const std::string question(200, 'q');
  std::string text;
  for (int index = 0; index < 2; ++index) // longer than a row: the answer is cut off, and every label is masked
    text += R"({"messages":[{"role":"user","content":")" + question +
            R"("},{"role":"assistant","content":"a"}]})"
            "\n";
  for (int index = 0; index < 2; ++index)
    text += R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"abc"}]})"
            "\n";
  ASSERT_EQ(run({fakeStep("good"), "--data", textFile(text, "chat.jsonl"), "--steps", "2", "--out", at("out"),
                 "shuffle=False", "dataset.packed=False"}),
            0)
      << said;
  EXPECT_NE(said.find("every label of a step is masked: no update"), std::string::npos) << said;
  auto lines = metrics(at("out"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["skipped_batches"], 1);
  EXPECT_EQ(lines[1]["skipped_batches"], 2);
  EXPECT_TRUE(lines[1]["loss"].is_number());
}

/// A run that is counted in epochs ends with them, whatever has labels; one that goes on has its learning rates.
TEST_F(Epochs, BatchesWithoutLabelsAreNotMadeUpFor) {
  std::string text;
  for (int index = 0; index < 20; ++index)
    text += R"({"messages":[{"role":"user","content":")" + std::string(index % 4 < 2 ? 200 : 1, 'q') +
            R"("},{"role":"assistant","content":"abc"}]})"
            "\n";
  std::vector<std::string> arguments{fakeStep("good"),
                                     "--data",
                                     textFile(text, "chat.jsonl"),
                                     "shuffle=False",
                                     "dataset.packed=False",
                                     "epochs=2",
                                     "save_every_n_steps=1",
                                     "lr_scheduler=torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
                                     "lr_scheduler.num_warmup_steps=2",
                                     "--out",
                                     at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  const auto straight = metrics(at("out"));
  ASSERT_EQ(straight.size(), 10u) << said;
  EXPECT_NE(said.find("10 batches had no label to train on"), std::string::npos) << said;
  EXPECT_EQ(straight.back()["skipped_batches"], 10);
  fs::rename(at("out/step_10"), at("straight"));
  for (int step = 5; step < 10; ++step)
    fs::remove_all(at("out/step_" + std::to_string(step)));
  arguments.push_back("resume_from_checkpoint=True");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("after step 4"), std::string::npos) << said;
  const auto resumed = metrics(at("out"));
  ASSERT_EQ(resumed.size(), 10u) << said;
  for (size_t index = 0; index < resumed.size(); ++index)
    for (const char *key : {"lr", "loss", "skipped_batches"})
      EXPECT_EQ(resumed[index][key], straight[index][key]) << key << " of step " << index + 1;
  expectEqual(at("out/step_10"), at("straight"));
  // A run that is counted in steps goes on until it has them.
  ASSERT_EQ(run({fakeStep("good"), "--data", at("chat.jsonl"), "shuffle=False", "dataset.packed=False", "--steps", "12",
                 "--out", at("steps")}),
            0)
      << said;
  EXPECT_EQ(metrics(at("steps")).size(), 12u);
}

TEST_F(Epochs, AResumedRunOfAnotherBatchSizeStaysInItsPlace) {
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "3",
                                     "--out",          at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  const std::string path = at("out/step_3/training_state.json");
  nlohmann::json state = nlohmann::json::parse(readText(path));
  EXPECT_EQ(state["batch_size"], 2);
  state["batch_size"] = 6;
  std::ofstream(path) << state.dump();
  arguments[4] = "4";
  arguments.push_back("resume_from_checkpoint=True");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("at batch_size 6, and this step has 2: it goes on at batch 9 of the epoch"), std::string::npos)
      << said;
  EXPECT_EQ(nlohmann::json::parse(readText(at("out/step_4/training_state.json")))["batch"], 10);
  // Counted in epochs the rest of them is trained: 31 batches of 40, behind the three steps that were done.
  fs::remove_all(at("out/step_4"));
  arguments.erase(arguments.begin() + 3, arguments.begin() + 5);
  arguments.push_back("epochs=1");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("it goes on at batch 9 of the epoch, and 31 steps are left"), std::string::npos) << said;
  EXPECT_EQ(metrics(at("out")).size(), 34u);
  state = nlohmann::json::parse(readText(at("out/step_34/training_state.json")));
  EXPECT_EQ(state["epoch"], 1);
  EXPECT_EQ(state["batch"], 0);
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("after step 34; nothing is left to do, the last step is 34"), std::string::npos) << said;
}

} // namespace

//===- RefusalTest.cpp - What ftrun refuses, and how it exits --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FtrunHarness.h"

#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Runtime/RunError.h"
#include "ftrt/step.h"

using namespace ftc;
using namespace ftc::test;

namespace {

class RefusalTest : public FtrunTest {
protected:
  /// Runs ftrun, which must exit with `code`, say `part`, and leave no checkpoint.
  void expectRefusal(ExitCode code, const std::string &part, std::vector<std::string> arguments) {
    EXPECT_EQ(run(arguments), static_cast<int>(code)) << said;
    EXPECT_NE(said.find(part), std::string::npos) << said;
    EXPECT_FALSE(fs::exists(at("out/step_1"))) << said;
  }
};

TEST_F(RefusalTest, OfTheCommandLine) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  expectRefusal(ExitCode::Usage, "step is required", {});
  expectRefusal(ExitCode::Usage, "--stepz", {fakeStep("good"), "--stepz", "3"});
  expectRefusal(ExitCode::Usage, "no data", {fakeStep("good"), "--steps", "1", "--out", at("out")});
  expectRefusal(ExitCode::Usage, "recompile with",
                {fakeStep("good"), "--data", tokens, "--out", at("out"), "batch_size=4"});
  expectRefusal(ExitCode::Usage, "optimizer.lr",
                {fakeStep("good"), "--data", tokens, "--out", at("out"), "optimizer.lrr=4"});
  for (const char *option : {"--steps", "--seed", "--threads", "--held-out", "--temperature", "--sample"})
    expectRefusal(ExitCode::Usage, std::string(option) + ": needs a ",
                  {fakeStep("good"), "--data", tokens, "--out", at("out"), option, "-3"});
  expectRefusal(ExitCode::Usage, "needs a whole number from 0 on, not '1e3'",
                {fakeStep("good"), "--data", tokens, "--out", at("out"), "--steps", "1e3"});
  expectRefusal(ExitCode::Usage, "needs a number from 0 on, below 1, not '1'",
                {fakeStep("good"), "--data", tokens, "--out", at("out"), "--held-out", "1"});
  for (auto [option, value] : {std::pair("--prompt", "Once"), std::pair("--temperature", "1")})
    expectRefusal(ExitCode::Usage, std::string(option) + " requires --sample",
                  {fakeStep("good"), "--data", tokens, "--out", at("out"), option, value});
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_NE(said.find("for steps of ABI version"), std::string::npos) << said;
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_NE(said.find("--held-out"), std::string::npos);
}

TEST_F(RefusalTest, OfTheStep) {
  const std::vector<std::string> rest{"--data", tokenFile(40 * BatchTokens), "--steps", "1", "--out", at("out")};
  auto with = [&](const std::string &step, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{step};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expectRefusal(ExitCode::NoFile, "cannot open the step", with(at("nothing.so")));
  expectRefusal(ExitCode::BadStep, "not a compiled step", with(textFile("hello", "step.so")));
  expectRefusal(ExitCode::BadAbi, "ABI version " + std::to_string(FTRT_ABI_VERSION + 1), with(fakeStep("abi")));
  expectRefusal(ExitCode::BadStep, "manifest is damaged", with(fakeStep("damaged")));
  expectRefusal(ExitCode::CpuFeature, "avx9000", with(fakeStep("feature")));
  expectRefusal(ExitCode::NoMemory, "too little", with(fakeStep("huge")));
  expectRefusal(ExitCode::TooManyThreads, "planned for 4", with(fakeStep("good"), {"--threads", "5"}));
  EXPECT_EQ(run(with(fakeStep("good"), {"--threads", "4"})), 0) << said;
}

TEST_F(RefusalTest, OfTheData) {
  auto with = [&](const std::string &data, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{fakeStep("good"), "--data", data, "--steps", "1", "--out", at("out")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  fs::create_directory(at("empty"));
  expectRefusal(ExitCode::NoFile, "nothing.txt", with(at("nothing.txt")));
  expectRefusal(ExitCode::EmptyData, "empty", with(at("empty")));
  expectRefusal(ExitCode::EmptyData, "empty", with(textFile("")));
  expectRefusal(ExitCode::EmptyData, "one batch needs 2", with(textFile("too short")));
  expectRefusal(ExitCode::EmptyData, "empty", with(tokenFile(0)));
  expectRefusal(ExitCode::BadData, "vocabulary of 320", with(tokenFile(4096, 400)));
  expectRefusal(ExitCode::BadData, "chat.jsonl:1", with(textFile("{\"text\":", "chat.jsonl")));
}

TEST_F(RefusalTest, OfACheckpoint) {
  const std::string tokens = tokenFile(40 * BatchTokens), weights = at("weights");
  fs::create_directory(weights);
  auto with = [&](const std::string &directory) {
    return std::vector<std::string>{fakeStep("good"),
                                    "--data",
                                    tokens,
                                    "--steps",
                                    "1",
                                    "--out",
                                    at("out"),
                                    "checkpointer.checkpoint_dir=" + directory};
  };
  expectRefusal(ExitCode::NoFile, "no such directory", with(at("nowhere")));
  expectRefusal(ExitCode::BadCheckpoint, weights, with(weights));

  std::vector<float> values(320 * 320, 0.25f);
  std::vector<Diagnostic> diags;
  auto write = [&](std::vector<int64_t> weightShape, const char *scaleName) {
    std::vector<TensorView> tensors{{{"model.embed_tokens.weight", TensorType::F32, weightShape}, values.data()},
                                    {{scaleName, TensorType::F32, {320}}, values.data()}};
    ASSERT_TRUE(writeSafetensors(weights + "/model.safetensors", tensors, {}, diags));
  };
  write({160, 320}, "model.norm.weight");
  expectRefusal(ExitCode::BadCheckpoint, "[160, 320]", with(weights));
  write({320, 320}, "model.norm.wait");
  expectRefusal(ExitCode::BadCheckpoint, "model.norm.weight", with(weights));
  write({320, 320}, "model.norm.weight");
  const std::string whole = readText(weights + "/model.safetensors");
  std::ofstream(weights + "/model.safetensors", std::ios::binary) << whole.substr(0, whole.size() / 2);
  expectRefusal(ExitCode::BadCheckpoint, "model.safetensors", with(weights));
  std::ofstream(weights + "/model.safetensors", std::ios::binary) << whole;
  EXPECT_EQ(run(with(weights)), 0) << said;
  EXPECT_NEAR(metrics(at("out"))[0]["loss"].get<double>(), 5.768321, 1e-4); // equal logits: ln 320
}

TEST_F(RefusalTest, OfAnOutputInsideOfTheWeights) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "2", "--out", at("ck")}), 0) << said;
  fs::create_directory_symlink(at("ck"), at("link"));
  for (const std::string &weights : {at("ck"), at("ck/"), at("link")})
    for (const std::string &out : {at("ck"), at("ck/deep/er"), at("link/x/../out"), at("ck/.")}) {
      expectRefusal(
          ExitCode::Usage, "--out '" + out + "' lies inside checkpointer.checkpoint_dir, '" + weights + "'",
          {fakeStep("good"), "--data", tokens, "--steps", "1", "--out", out, "checkpointer.checkpoint_dir=" + weights});
      EXPECT_FALSE(fs::exists(at("ck/step_1")));
      EXPECT_FALSE(fs::exists(at("ck/deep")));
    }
  expectRefusal(ExitCode::Usage, "'" + at("link/sub") + "' lies inside checkpointer.checkpoint_dir",
                {fakeStep("good"), "--data", tokens, "--steps", "1", "output_dir=" + at("link/sub"),
                 "checkpointer.checkpoint_dir=" + at("ck")});
  // Beside it, and above it: a run that starts anew from what an earlier one left.
  for (const char *out : {"ck2", "ck"})
    EXPECT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "1", "--out", at(out),
                   "checkpointer.checkpoint_dir=" + at("ck/step_2")}),
              0)
        << said;
}

TEST_F(RefusalTest, OfAStateThatTheCheckpointLacks) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "3", "--out", at("out")}), 0) << said;
  std::vector<float> values(320 * 320);
  std::vector<Diagnostic> diags;
  std::vector<TensorView> states{{{"model.embed_tokens.weight.exp_avg", TensorType::F32, {320, 320}}, values.data()}};
  ASSERT_TRUE(writeSafetensors(at("out/step_3/state.safetensors"), states, {}, diags));
  expectRefusal(
      ExitCode::BadCheckpoint, "there is no state 'model.embed_tokens.weight.exp_avg_sq'",
      {fakeStep("good"), "--data", tokens, "--steps", "5", "--out", at("out"), "resume_from_checkpoint=True"});
}

TEST_F(RefusalTest, OfAnOutputThatCannotBeWritten) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  expectRefusal(ExitCode::WriteFailed, "text.txt",
                {fakeStep("good"), "--data", tokens, "--steps", "1", "--out", textFile("in the way") + "/out"});
}

TEST_F(RefusalTest, OfAnOutputThatAnotherRunWrites) {
  const std::vector<std::string> arguments{fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--out", at("out")};
  auto with = [&](const char *steps) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {"--steps", steps});
    return all;
  };
  Process first(FTC_BINARY_DIR "/bin/ftrun", with("100000000"), folder / "first");
  ASSERT_TRUE(waitFor([&] { return readText(at("out/metrics.jsonl")).size() > 1000; }));
  expectRefusal(ExitCode::WriteFailed, "another run writes there now", with("1"));
  kill(first.id, SIGTERM);
  EXPECT_EQ(first.wait(), 143) << readText(folder / "first");
  EXPECT_FALSE(fs::exists(at("out/earlier_1")));
  EXPECT_EQ(run(with("1")), 0) << said;
}

TEST_F(RefusalTest, OfWeightsWithOtherHeads) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokens, "--steps", "1", "--out", at("first")};
  ASSERT_EQ(run(arguments), 0) << said;
  const std::string weights = at("first/step_1"), config = weights + "/config.json", good = readText(config);
  auto change = [&](const char *key, nlohmann::json value) {
    nlohmann::json changed = nlohmann::json::parse(good);
    changed[key] = std::move(value);
    std::ofstream(config) << changed.dump();
  };
  arguments.back() = at("out");
  arguments.push_back("checkpointer.checkpoint_dir=" + weights);
  change("num_attention_heads", 8);
  expectRefusal(ExitCode::BadCheckpoint, "'num_attention_heads' is 8, the recipe's model has 4", arguments);
  change("rope_theta", 5000);
  EXPECT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("warning: 'rope_theta' is 5000, the recipe's model has 10000"), std::string::npos) << said;
}

TEST_F(RefusalTest, InfoTellsWhatAStepIs) {
  ASSERT_EQ(run({fakeStep("feature"), "--info"}), 0) << said; // also of a step that cannot run here
  for (const char *part : {"lacks avx9000", "batch 2 x 64 tokens", "up to 4", "slab 'arena'", "lr: 0.05",
                           "written by hand", "5 tensors; --info=tensors tells where each lies"})
    EXPECT_NE(said.find(part), std::string::npos) << part << "\n" << said;
  // There may be thousands of these.
  for (const char *part : {"model.embed_tokens.weight.exp_avg_sq", "normal(0.02)"}) {
    ASSERT_EQ(run({fakeStep("feature"), "--info"}), 0) << said;
    EXPECT_EQ(said.find(part), std::string::npos) << part << "\n" << said;
    for (const char *flag : {"--info=tensors", "--info=all"}) {
      ASSERT_EQ(run({fakeStep("feature"), flag}), 0) << said;
      EXPECT_NE(said.find(part), std::string::npos) << part << "\n" << said;
    }
  }
  EXPECT_EQ(run({fakeStep("feature"), "--info=nothing"}), static_cast<int>(ExitCode::Usage));
  EXPECT_EQ(run({fakeStep("abi"), "--info"}), static_cast<int>(ExitCode::BadAbi));
}

} // namespace

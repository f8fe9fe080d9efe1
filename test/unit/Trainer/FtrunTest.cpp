//===- FtrunTest.cpp - ftrun from end to end on a hand-written step --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FtrunHarness.h"

#include "ftc/Runtime/AllocationGate.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Trainer/OutputFolder.h"

#include <cmath>
#include <cstring>

using namespace ftc;
using namespace ftc::test;

namespace {

TEST_F(FtrunTest, TrainsAndWritesMetricsAndCheckpoint) {
  const std::string out = at("out");
  ASSERT_EQ(run({fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "60", "--out", out}), 0) << said;
  auto lines = metrics(out);
  ASSERT_EQ(lines.size(), 60u);
  for (size_t index = 0; index < lines.size(); ++index) {
    const auto &line = lines[index];
    EXPECT_EQ(line["step"], index + 1);
    EXPECT_FLOAT_EQ(line["lr"], 0.05f);
    EXPECT_TRUE(line["grad_norm"].is_null());
    EXPECT_EQ(line["tokens"], 126); // two rows of 64, whose last positions have no label
    EXPECT_GT(line["tokens_per_second"], 0);
    EXPECT_EQ(line["peak_bytes"], line["planned_bytes"]);
  }
  EXPECT_NEAR(lines.front()["loss"].get<double>(), std::log(320.0), 0.05);
  EXPECT_LT(lines.back()["loss"].get<double>(), 3.0);
  for (const char *file : {"config.json", "model.safetensors", "state.safetensors"})
    EXPECT_TRUE(fs::exists(fs::path(out) / "step_60" / file)) << file;
  EXPECT_NE(said.find("step 60/60"), std::string::npos) << said;
  EXPECT_NE(said.find("of peak"), std::string::npos) << said;
}

TEST_F(FtrunTest, LogsTheGradientNormOfAStepThatHasOne) {
  ASSERT_EQ(run({fakeStep("norm"), "--data", tokenFile(40 * BatchTokens), "--steps", "2", "--out", at("out")}), 0)
      << said;
  for (const auto &line : metrics(at("out")))
    EXPECT_GT(line["grad_norm"].get<double>(), 0.0);
}

/// Without shuffling, a token file of steps x batch x length ids is trained row by row: the losses are those of a
/// session that is fed by hand.
TEST_F(FtrunTest, FeedsATokenFileInOrder) {
  constexpr uint64_t steps = 7;
  const std::string tokens = tokenFile(steps * BatchTokens);
  ASSERT_EQ(
      run({fakeStep("good"), "--data", tokens, "--steps", "7", "--out", at("out"), "--seed", "3", "shuffle=False"}), 0)
      << said;
  auto lines = metrics(at("out"));
  ASSERT_EQ(lines.size(), steps);

  Session session(std::make_unique<LoadedStep>(fakeStep("good")), {.threads = 1});
  session.initialize(3);
  const std::string raw = readText(tokens);
  const auto *ids = reinterpret_cast<const uint16_t *>(raw.data());
  auto input = [&](const char *name) { return reinterpret_cast<int32_t *>(session.data(*session.findInput(0, name))); };
  for (uint64_t step = 1; step <= steps; ++step) {
    for (size_t index = 0; index < BatchTokens; ++index) {
      const uint16_t *token = ids + (step - 1) * BatchTokens + index;
      input("tokens")[index] = *token;
      input("labels")[index] = index % RowTokens == RowTokens - 1 ? -100 : token[1];
      input("positions")[index] = static_cast<int32_t>(index % RowTokens);
      input("segment_starts")[index] = 0;
    }
    ftrt_scalars scalars{};
    scalars.learning_rate = 0.05f;
    scalars.inv_tokens = 1.0f / 126;
    scalars.step = step;
    scalars.seed = 3;
    session.run(0, scalars);
    EXPECT_FLOAT_EQ(lines[step - 1]["loss"].get<float>(),
                    *reinterpret_cast<float *>(session.data(*session.findOutput(0, "loss"))));
  }
}

TEST_F(FtrunTest, SameBitsTwiceWithAnyThreadsAndAfterAResume) {
  const std::string tokens = tokenFile(13 * BatchTokens);
  auto train = [&](const std::string &out, std::vector<std::string> more) {
    std::vector<std::string> arguments{fakeStep("good"), "--data", tokens, "--out", at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  ASSERT_EQ(train("a", {"--steps", "20", "--threads", "1"}), 0) << said;
  ASSERT_EQ(train("b", {"--steps", "20", "--threads", "2"}), 0) << said;
  expectEqual(at("a/step_20"), at("b/step_20"));
  ASSERT_EQ(train("c", {"--steps", "9"}), 0) << said;
  ASSERT_EQ(train("c", {"--steps", "20", "resume_from_checkpoint=True"}), 0) << said;
  EXPECT_NE(said.find("resumed from"), std::string::npos) << said;
  expectEqual(at("a/step_20"), at("c/step_20"));
  ASSERT_EQ(train("d", {"--steps", "20", "--seed", "8"}), 0) << said;
  EXPECT_NE(readText(at("a/step_20/model.safetensors")), readText(at("d/step_20/model.safetensors")));
  // The metrics of the resumed run are those of the straight one.
  auto straight = metrics(at("a")), resumed = metrics(at("c"));
  ASSERT_EQ(resumed.size(), 20u);
  for (size_t index = 0; index < 20; ++index) {
    EXPECT_EQ(resumed[index]["step"], straight[index]["step"]);
    EXPECT_EQ(resumed[index]["loss"], straight[index]["loss"]);
  }
}

TEST_F(FtrunTest, AKillAtAnyMomentLosesNothingThatWasSaved) {
  const std::string tokens = tokenFile(50 * BatchTokens), out = at("killed");
  Process process =
      start({fakeStep("good"), "--data", tokens, "--steps", "100000000", "--out", out, "save_every_n_steps=20"});
  ASSERT_TRUE(waitFor([&] { return fs::exists(fs::path(out) / "step_40"); }));
  kill(process.id, SIGKILL);
  EXPECT_EQ(process.wait(), -SIGKILL);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "1", "--out", out, "resume_from_checkpoint=True"}), 0)
      << said; // a run past its end changes nothing; it tells where the newest checkpoint stands
  const size_t found = said.find("after step ");
  ASSERT_NE(found, std::string::npos) << said;
  const int saved = std::stoi(said.substr(found + 11));
  EXPECT_GE(saved, 40);
  EXPECT_EQ(saved % 20, 0);
  const std::string last = std::to_string(saved + 13);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", last, "--out", out, "resume_from_checkpoint=True"}), 0)
      << said;
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", last, "--out", at("straight")}), 0) << said;
  expectEqual(fs::path(out) / ("step_" + last), fs::path(at("straight")) / ("step_" + last));
  EXPECT_EQ(metrics(out).size(), metrics(at("straight")).size());
}

TEST_F(FtrunTest, SignalsSaveAndTell) {
  const std::string tokens = tokenFile(50 * BatchTokens);
  for (auto [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}, std::pair{SIGHUP, 129}}) {
    const std::string out = at("out" + std::to_string(signal));
    Process process = start({fakeStep("good"), "--data", tokens, "--steps", "100000000", "--out", out});
    ASSERT_TRUE(waitFor([&] { return readText(fs::path(out) / "metrics.jsonl").size() > 1000; }));
    kill(process.id, signal);
    if (signal == SIGHUP) // a shell sends one, and the kernel another
      kill(process.id, signal);
    EXPECT_EQ(process.wait(), code);
    auto lines = metrics(out);
    const std::string last = (fs::path(out) / ("step_" + lines.back()["step"].dump())).string();
    EXPECT_TRUE(fs::exists(last + "/model.safetensors"));
    said = readText(folder / "output");
    EXPECT_NE(said.find("resume_from_checkpoint=True goes on from " + last), std::string::npos) << said;
  }
  Process process =
      start({fakeStep("good"), "--data", tokens, "--steps", "100000000", "--out", at("none"), "--no-checkpoint"});
  ASSERT_TRUE(waitFor([&] { return readText(at("none/metrics.jsonl")).size() > 1000; }));
  kill(process.id, SIGTERM);
  EXPECT_EQ(process.wait(), 143);
  said = readText(folder / "output");
  EXPECT_NE(said.find("nothing was saved"), std::string::npos) << said;
}

/// The second signal may be the other one. A process that is stopped gets both when it goes on.
TEST_F(FtrunTest, ASecondSignalEndsTheRunAtOnce) {
  const std::string tokens = tokenFile(50 * BatchTokens);
  Process process = start({fakeStep("good"), "--data", tokens, "--steps", "100000000", "--out", at("out")});
  ASSERT_TRUE(waitFor([&] { return readText(at("out/metrics.jsonl")).size() > 1000; }));
  for (int signal : {SIGSTOP, SIGINT, SIGTERM, SIGCONT})
    kill(process.id, signal);
  EXPECT_EQ(process.wait(), -SIGTERM);
}

/// Who reads the output may go away: the run does not.
TEST_F(FtrunTest, GoesOnWhenNobodyReads) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Process process(FTC_BINARY_DIR "/bin/ftrun",
                  {fakeStep("good"), "--data", tokenFile(50 * BatchTokens), "--steps", "9", "--out", at("out")},
                  folder / "output", "", ends[1]);
  close(ends[1]);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_TRUE(fs::exists(at("out/step_9/model.safetensors")));
  EXPECT_EQ(metrics(at("out")).size(), 9u);
}

/// Where a file can grow no further, as on a full disk, that is an error, and no line is left in part.
TEST_F(FtrunTest, MetricsEndWithAWholeLine) {
  Process process("/bin/bash",
                  {"-c", R"((ulimit -f 1; exec "$0" "$@") 2>&1 | cat; exit ${PIPESTATUS[0]})",
                   FTC_BINARY_DIR "/bin/ftrun", fakeStep("good"), "--data", tokenFile(50 * BatchTokens), "--steps",
                   "20", "--out", at("out"), "--no-checkpoint"},
                  folder / "output");
  EXPECT_EQ(process.wait(), 24);
  said = readText(folder / "output");
  EXPECT_NE(said.find("metrics.jsonl: cannot write: File too large"), std::string::npos) << said;
  const std::string text = readText(at("out/metrics.jsonl"));
  EXPECT_GT(text.size(), 500u);
  EXPECT_LE(text.size(), 1024u);
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(FtrunTest, ASampleEndsAtASignal) {
  std::string text; // whose likeliest token is never the end
  for (int index = 0; index < 400; ++index)
    text += "abcd ";
  Process process = start({fakeStep("good"), "--data", textFile(text), "--steps", "300", "--out", at("out"), "--sample",
                           "1000000000", "--prompt", "ab", "--temperature", "0"});
  ASSERT_TRUE(waitFor([&] { return fs::exists(at("out/step_300/model.safetensors")); }));
  kill(process.id, SIGINT);
  EXPECT_EQ(process.wait(), 130);
}

TEST_F(FtrunTest, AnEvaluationThatIsMissingIsMadeUpFor) {
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "2",
                                     "--held-out",     "0.1",    "run_val_every_n_steps=2",   "--out",   at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  const auto whole = metrics(at("out"));
  ASSERT_TRUE(whole.back().contains("val_loss"));
  arguments.push_back("resume_from_checkpoint=True");
  std::ofstream(at("out/metrics.jsonl")) << R"({"step":1})"
                                            "\n"
                                            R"({"step":2})"
                                            "\n";
  for (int again = 0; again < 2; ++again) { // it is there once
    ASSERT_EQ(run(arguments), 0) << said;
    const auto lines = metrics(at("out"));
    ASSERT_EQ(lines.size(), 3u) << said;
    EXPECT_EQ(lines.back(), whole.back());
    EXPECT_EQ(said.find("wrote") != std::string::npos, again == 0) << said;
  }
}

TEST_F(FtrunTest, EvaluatesAndSamples) {
  std::string text;
  for (int index = 0; index < 400; ++index)
    text += "abcd ";
  std::vector<std::string> arguments{
      fakeStep("good"), "--data", textFile(text),  "--steps", "300",   "--held-out", "0.1", "--sample", "30",
      "--prompt",       "ab",     "--temperature", "0",       "--out", at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  const size_t found = said.find(" -> ");
  ASSERT_NE(found, std::string::npos) << said;
  EXPECT_LT(std::stod(said.substr(found + 4)), 0.5) << said;
  EXPECT_NE(said.find("abcd abcd abcd abcd"), std::string::npos) << said;
}

TEST_F(FtrunTest, AllocatesNothingBetweenTheFirstAndTheLastStep) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "the sanitizer has its own malloc";
#endif
#endif
  const std::string preload = FTC_BINARY_DIR "/test/support/libno-alloc.so";
  EXPECT_EQ(run({fakeStep("norm"), "--data", tokenFile(40 * BatchTokens), "--steps", "50", "--out", at("out"),
                 "--threads", "2", "save_every_n_steps=10", "--held-out", "0.1", "run_val_every_n_steps=4"},
                preload),
            0)
      << said;
  EXPECT_EQ(metrics(at("out")).size(), 62u);
  EXPECT_NE(said.find("the gate was closed and nothing was allocated"), std::string::npos) << said;
  // The guard is awake: the same library stops a program that does allocate.
  Process careless(fs::read_symlink("/proc/self/exe").string(),
                   {"--gtest_also_run_disabled_tests", "--gtest_filter=Gate.DISABLED_Allocates"}, folder / "careless",
                   preload);
  EXPECT_EQ(careless.wait(), -SIGABRT);
  EXPECT_NE(readText(folder / "careless").find("malloc between the first and the last step"), std::string::npos);
}

TEST(Gate, DISABLED_Allocates) {
  AllocationGate gate;
  std::vector<int> numbers(1000, 1);
  ASSERT_EQ(numbers[999], 1);
}

TEST_F(FtrunTest, LeavesTheLastCheckpointOutWhenAsked) {
  ASSERT_EQ(run({fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "5", "--out", at("out"),
                 "--no-checkpoint", "save_every_n_steps=3"}),
            0)
      << said;
  EXPECT_TRUE(fs::exists(at("out/step_3/model.safetensors")));
  EXPECT_FALSE(fs::exists(at("out/step_5")));
  EXPECT_EQ(metrics(at("out")).size(), 5u);
}

TEST_F(FtrunTest, ProvesThePlan) {
  ASSERT_EQ(run({fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "2", "--prove-plan", "--out",
                 at("out")}),
            0)
      << said;
  const size_t planned = said.find("slab 'arena': planned "), written = said.find("highest byte written ");
  ASSERT_NE(planned, std::string::npos) << said;
  EXPECT_LE(std::stoull(said.substr(written + 21)), std::stoull(said.substr(planned + 22)));
}

/// All of the plan is there before the first step, and little else ever is.
TEST_F(FtrunTest, ResidentMemoryIsThePlan) {
  ASSERT_EQ(run({fakeStep("large"), "--data", tokenFile(40 * BatchTokens), "--steps", "3", "--out", at("out")}), 0)
      << said;
  auto lines = metrics(at("out"));
  const double planned = lines[0]["planned_bytes"].get<double>();
  EXPECT_EQ(planned, 256 << 20);
  EXPECT_GE(lines[0]["resident_bytes"].get<double>(), planned);
#if !defined(__has_feature) || !__has_feature(address_sanitizer)
  EXPECT_LE(lines[2]["resident_bytes"].get<double>(), 1.03 * planned + (32 << 20));
#endif
}

TEST_F(FtrunTest, AnEarlierRunIsMovedAway) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "9", "--out", at("out")}), 0) << said;
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "4", "--out", at("out")}), 0) << said;
  EXPECT_TRUE(fs::exists(at("out/earlier_1/step_9/model.safetensors")));
  EXPECT_TRUE(fs::exists(at("out/step_4")));
  EXPECT_FALSE(fs::exists(at("out/step_9")));
  EXPECT_EQ(metrics(at("out")).size(), 4u);
  // As it says.
  EXPECT_NE(said.find("(--out " + at("out/earlier_1") + " resume_from_checkpoint=True goes on from them)"),
            std::string::npos)
      << said;
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "12", "--out", at("out/earlier_1"),
                 "resume_from_checkpoint=True"}),
            0)
      << said;
  EXPECT_NE(said.find("after step 9"), std::string::npos) << said;
  EXPECT_EQ(metrics(at("out/earlier_1")).size(), 12u);
}

TEST_F(FtrunTest, MetricsOfARunWithoutCheckpointsAreMovedToo) {
  std::vector<std::string> arguments{
      fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "5", "--out", at("out"), "--no-checkpoint"};
  ASSERT_EQ(run(arguments), 0) << said;
  arguments[4] = "3";
  arguments.push_back("metric_logger={_component_: torchtune.training.metric_logging.TensorBoardLogger, log_dir: " +
                      at("tokens.bin") + "}");
  ASSERT_EQ(run(arguments), 24) << said; // and what cannot begin moves nothing
  EXPECT_FALSE(fs::exists(at("out/earlier_1")));
  EXPECT_EQ(metrics(at("out")).size(), 5u);
  arguments.pop_back();
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_EQ(metrics(at("out/earlier_1")).size(), 5u);
  EXPECT_EQ(metrics(at("out")).size(), 3u);
  EXPECT_EQ(said.find("checkpoints were moved"), std::string::npos) << said;
  // It is nothing to go on from.
  arguments.push_back("resume_from_checkpoint=True");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("has no checkpoint to resume from; starting from the beginning"), std::string::npos) << said;
}

TEST_F(FtrunTest, WhatFailsOrTrainsNothingMovesNothing) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "9", "--out", at("out")}), 0) << said;
  EXPECT_NE(said.find("weights: random, of seed "), std::string::npos) << said;
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "4", "--out", at("out"),
                 "checkpointer.checkpoint_dir=/nonexistent"}),
            10)
      << said;
  ASSERT_EQ(run({fakeStep("good"), "--data", tokens, "--steps", "0", "--sample", "3", "--out", at("out"),
                 "checkpointer.checkpoint_dir=" + at("out/step_9")}),
            0)
      << said;
  EXPECT_EQ(said.find("moved"), std::string::npos) << said;
  EXPECT_EQ(said.find("wrote"), std::string::npos) << said;
  EXPECT_FALSE(fs::exists(at("out/earlier_1")));
  EXPECT_EQ(metrics(at("out")).size(), 9u);
}

TEST_F(FtrunTest, OtherStatesAreAnErrorAndOtherValuesAreTold) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokens, "--steps", "4", "--out", at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  arguments[4] = "5";
  arguments.push_back("resume_from_checkpoint=True");
  const fs::path file = at("out/step_4/training_state.json");
  nlohmann::json state = nlohmann::json::parse(readText(file));
  EXPECT_FALSE(state["recipe"]["optimizer.weight_decay"].get<std::string>().empty()) << state;
  state["recipe"]["optimizer.weight_decay"] = "0.75";
  state["recipe"]["dtype"] = "bf16";
  std::ofstream(file) << state.dump();
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(
      said.find("step_4 was written with another recipe; this one's counts from here on: dtype is fp32 (was bf16), "
                "optimizer.weight_decay is "),
      std::string::npos)
      << said;
  EXPECT_EQ(said.find("written with another", said.find("written with another") + 1), std::string::npos) << said;

  // What another optimizer keeps.
  const fs::path states = at("out/step_5/state.safetensors");
  std::string text = readText(states);
  uint64_t length = 0;
  std::memcpy(&length, text.data(), 8);
  nlohmann::json header = nlohmann::json::parse(text.substr(8, length));
  header["w.exp_avg_of_others"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
  std::string changed = header.dump();
  const uint64_t size = changed.size();
  std::ofstream(states, std::ios::binary)
      << std::string(reinterpret_cast<const char *>(&size), 8) << changed << text.substr(8 + length);
  arguments[4] = "6";
  ASSERT_EQ(run(arguments), 22) << said;
  EXPECT_NE(
      said.find("state 'w.exp_avg_of_others' has no place in the step, and going on would drop it; recompile with "
                "the optimizer that made the checkpoint, or start anew from its weights with "
                "checkpointer.checkpoint_dir=" +
                at("out/step_5") + " resume_from_checkpoint=False"),
      std::string::npos)
      << said;
}

TEST_F(FtrunTest, ARunMayStartFromTheWeightsOfTheEarlierOne) {
  const std::string tokens = tokenFile(40 * BatchTokens);
  const std::vector<std::string> arguments{fakeStep("good"), "--data", tokens, "--steps", "4", "--out", at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  const std::string weights = "checkpointer.checkpoint_dir=" + at("out/step_4");
  std::vector<std::string> more = arguments;
  more.push_back(weights);
  ASSERT_EQ(run(more), 0) << said;
  EXPECT_NE(said.find("weights from " + at("out/step_4")), std::string::npos) << said;
  EXPECT_LT(metrics(at("out"))[0]["loss"], metrics(at("out/earlier_1"))[0]["loss"]);
}

TEST_F(FtrunTest, BrokenCheckpointsAreNotGoneOnFrom) {
  std::vector<std::string> arguments{fakeStep("good"), "--data", tokenFile(40 * BatchTokens), "--steps", "3",
                                     "--out",          at("out")};
  ASSERT_EQ(run(arguments), 0) << said;
  fs::resize_file(at("out/step_3/state.safetensors"), 1000);
  arguments.push_back("resume_from_checkpoint=True");
  ASSERT_EQ(run(arguments), 22) << said;
  EXPECT_NE(said.find("none of its checkpoints is whole (see above)"), std::string::npos) << said;
  EXPECT_EQ(metrics(at("out")).size(), 3u);
  arguments.pop_back();
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_EQ(fs::file_size(at("out/earlier_1/step_3/state.safetensors")), 1000u);
  EXPECT_EQ(metrics(at("out/earlier_1")).size(), 3u);
  arguments.push_back("resume_from_checkpoint=True");
  fs::rename(at("out/step_3"), at("kept"));
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("has no checkpoint to resume from (an earlier run's are in " + at("out/earlier_1") + ": --out " +
                      at("out/earlier_1") + " goes on from them); starting from the beginning"),
            std::string::npos)
      << said;
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("after step 3; nothing is left to do, the last step is 3"), std::string::npos) << said;
}

TEST_F(FtrunTest, CheckpointsGoWhereTheirOwnKeySays) {
  std::vector<std::string> arguments{fakeStep("good"),
                                     "--data",
                                     tokenFile(40 * BatchTokens),
                                     "--steps",
                                     "4",
                                     "output_dir=" + at("logs"),
                                     "checkpointer.output_dir=" + at("weights")};
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_TRUE(fs::exists(at("weights/step_4/model.safetensors")));
  EXPECT_FALSE(fs::exists(at("logs/step_4")));
  EXPECT_EQ(metrics(at("logs")).size(), 4u);
  arguments[4] = "6";
  arguments.push_back("resume_from_checkpoint=True");
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_NE(said.find("after step 4"), std::string::npos) << said;
  EXPECT_EQ(metrics(at("logs")).size(), 6u);
  arguments.back() = "resume_from_checkpoint=False";
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_TRUE(fs::exists(at("weights/earlier_1/step_6")));
  EXPECT_EQ(metrics(at("logs/earlier_1")).size(), 6u);
  arguments.push_back("--out"); // wins over both
  arguments.push_back(at("both"));
  ASSERT_EQ(run(arguments), 0) << said;
  EXPECT_TRUE(fs::exists(at("both/step_6")));
  EXPECT_EQ(metrics(at("both")).size(), 6u);
}

TEST_F(FtrunTest, WhatItWritesIsNoData) {
  const std::string data = at("data");
  fs::create_directory(data);
  std::string text;
  for (int index = 0; index < 400; ++index)
    text += "abcd ";
  textFile(text, "data/text.txt");
  for (const char *resume : {"resume_from_checkpoint=False", "resume_from_checkpoint=True"}) {
    ASSERT_EQ(run({fakeStep("good"), "--data", data, "--steps", "4", "--out", data + "/out", resume}), 0) << said;
    EXPECT_EQ(said.find("the data changed"), std::string::npos) << said;
  }
  EXPECT_NE(said.find("skipped: is where this run writes"), std::string::npos) << said;
  // What would be trained from the second run on is refused in the first.
  ASSERT_EQ(run({fakeStep("good"), "--data", data, "--steps", "4", "--out", data + "/."}), 21) << said;
  EXPECT_NE(said.find("the run writes to this folder, so the next one would read what it wrote; choose another one"),
            std::string::npos)
      << said;
  EXPECT_FALSE(fs::exists(data + "/metrics.jsonl"));
}

TEST(OutputFolder, RoomForCheckpoints) {
  const std::string folder = testing::TempDir();
  const uint64_t free = fs::space(folder).available;
  EXPECT_EQ(checkRoom(folder, 1024, 3), "");
  EXPECT_EQ(checkRoom(folder, uint64_t(1) << 60, 0), "");
  EXPECT_NE(checkRoom(folder, free / 2, 3).find("3 checkpoints of "), std::string::npos);
  try {
    checkRoom(folder, uint64_t(1) << 60, 1);
    FAIL() << "a full disk is no error";
  } catch (const RunError &error) {
    EXPECT_EQ(error.code(), ExitCode::WriteFailed);
    EXPECT_NE(std::string(error.what()).find("a checkpoint takes 1.00 EiB, and "), std::string::npos) << error.what();
  }
}

TEST_F(FtrunTest, AProgramInCTrainsAStep) {
  Process embed(FTC_BINARY_DIR "/bin/embed", {fakeStep("good"), textFile("hello hello hello "), "40", "0.05"},
                folder / "output");
  ASSERT_EQ(embed.wait(), 0);
  said = readText(folder / "output");
  const size_t first = said.find("step 1 loss "), last = said.find("step 40 loss ");
  ASSERT_NE(last, std::string::npos) << said;
  EXPECT_NEAR(std::stod(said.substr(first + 12)), std::log(320.0), 0.05);
  EXPECT_LT(std::stod(said.substr(last + 13)), 3.0);
}

} // namespace

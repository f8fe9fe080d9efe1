//===- SessionTest.cpp - Steps opened, refused, initialized and run --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/Session.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Random.h"
#include "ftrt/host.h"

#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <random>

using namespace ftc;

namespace {

std::string fake(const std::string &name) { return FTC_BINARY_DIR "/test/support/fake_" + name + ".so"; }

/// Runs `body`, which must throw RunError(code) with `part` in its message.
void expectRefusal(ExitCode code, const std::string &part, const std::function<void()> &body) {
  try {
    body();
    ADD_FAILURE() << "not refused: " << part;
  } catch (const RunError &error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

std::unique_ptr<Session> open(const std::string &name, SessionOptions options = {.threads = 1}) {
  return std::make_unique<Session>(std::make_unique<LoadedStep>(fake(name)), options);
}

TEST(LoadedStep, RefusesWhatIsNoStep) {
  expectRefusal(ExitCode::NoFile, "No such file", [] { LoadedStep step("/nonexistent/step.so"); });
  const std::string text = testing::TempDir() + "not-a-step.so";
  std::ofstream(text) << "hello";
  expectRefusal(ExitCode::BadStep, "not a compiled step", [&] { LoadedStep step(text); });
  expectRefusal(ExitCode::BadStep, "exports no 'ftrt_step_v1'", [] { LoadedStep step(fake("unnamed")); });
  expectRefusal(ExitCode::BadAbi, "ABI version " + std::to_string(FTRT_ABI_VERSION + 1),
                [] { LoadedStep step(fake("abi")); });
  expectRefusal(ExitCode::BadStep, "manifest is damaged", [] { LoadedStep step(fake("damaged")); });
  expectRefusal(ExitCode::BadStep, "'model.embed_tokens.weight' does not lie inside slab 'arena'",
                [] { LoadedStep step(fake("outside")); });
}

TEST(LoadedStep, RefusesAStepThatWasCutOff) {
  std::ifstream from(fake("good"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(from), {}}, cut = testing::TempDir() + "cut-step.so";
  for (size_t size : {size_t(64), size_t(100), size_t(4096), whole.size() / 2, whole.size() - 4096, whole.size() - 1}) {
    std::ofstream(cut, std::ios::binary) << whole.substr(0, size);
    expectRefusal(ExitCode::BadStep, "does not end with its checksum", [&] { LoadedStep step(cut); });
  }
}

TEST(LoadedStep, RefusesAStepThatWasChanged) {
  std::ifstream from(fake("good"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(from), {}}, changed = testing::TempDir() + "changed-step.so";
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes = whole;
    bytes[4 + random() % (bytes.size() - 4)] ^= static_cast<char>(1 << random() % 8);
    std::ofstream(changed, std::ios::binary) << bytes;
    expectRefusal(ExitCode::BadStep, "checksum", [&] { LoadedStep step(changed); });
  }
  std::ofstream(changed, std::ios::binary) << whole;
  LoadedStep step(changed);
}

TEST(LoadedStep, ReadsTheManifest) {
  LoadedStep step(fake("good"));
  EXPECT_EQ(step.findEntry(manifest::EntryKind::Step), 0);
  EXPECT_EQ(step.findEntry(manifest::EntryKind::Logits), 2);
  EXPECT_EQ(step.findEntry(manifest::EntryKind::Micro), -1);
  EXPECT_EQ(step.plannedBytes(), step.manifest().slabs()->Get(0)->bytes());
  step.requireCpuFeatures();
}

TEST(Session, RefusesMissingFeaturesThreadsAndMemory) {
  expectRefusal(ExitCode::CpuFeature, "lacks avx9000", [] { open("feature"); });
  expectRefusal(ExitCode::TooManyThreads, "planned for 4", [] { open("good", {.threads = 5}); });
  expectRefusal(ExitCode::NoMemory, "the plan takes 64.0 TiB", [] { open("huge"); });
}

TEST(Session, TakesTheFarTierApart) {
  auto session = open("far", {.threads = 1, .farFolder = testing::TempDir()});
  EXPECT_EQ(session->step().plannedFarBytes(), 4096u);
  ASSERT_TRUE(session->farTier());
  EXPECT_EQ(session->farTier()->bytes(), 4096u);
  EXPECT_EQ(session->memory().bytesTaken(), session->step().plannedBytes());
  EXPECT_FALSE(open("good")->farTier());
  expectRefusal(ExitCode::NoFile, "choose another folder with --far-dir",
                [] { open("far", {.threads = 1, .farFolder = "/nonexistent"}); });
}

TEST(Session, TakesExactlyThePlan) {
  auto session = open("good");
  EXPECT_EQ(session->memory().bytesTaken(), session->step().plannedBytes());
  for (const auto *tensor : *session->manifest().tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(session->data(*tensor)) % 64, 0u) << tensor->name()->str();
}

TEST(Session, InitializesAsTheManifestSays) {
  for (unsigned threads : {1u, 3u}) {
    auto session = open("good", {.threads = threads, .fillPattern = true});
    session->initialize(99);
    const auto *weight = session->findTensor("model.embed_tokens.weight");
    ASSERT_TRUE(weight);
    const auto *values = reinterpret_cast<const float *>(session->data(*weight));
    CounterRandom random(99, "model.embed_tokens.weight");
    double sum = 0, squares = 0;
    const uint64_t count = weight->bytes() / 4;
    for (uint64_t index = 0; index < count; ++index) {
      ASSERT_EQ(values[index], random.normal(index, 0.02)) << index;
      sum += values[index];
      squares += double(values[index]) * values[index];
    }
    EXPECT_NEAR(sum / count, 0, 2e-4);
    EXPECT_NEAR(std::sqrt(squares / count), 0.02, 2e-4);
    const auto *scale = reinterpret_cast<const float *>(session->data(*session->findTensor("model.norm.weight")));
    EXPECT_EQ(scale[0], 1.0f);
    EXPECT_EQ(scale[319], 1.0f);
    const auto *mean =
        reinterpret_cast<const float *>(session->data(*session->findTensor("model.embed_tokens.weight.exp_avg")));
    EXPECT_EQ(mean[0], 0.0f);
    EXPECT_EQ(mean[count - 1], 0.0f);
    const auto *adam = reinterpret_cast<const float *>(session->data(*session->findTensor("fake.adam")));
    EXPECT_EQ(adam[1], 0.999f);
    EXPECT_EQ(session->findTensor("no.such.tensor"), nullptr);
  }
}

/// Ten steps on a fixed batch; the parameters afterwards.
std::vector<std::byte> trainTen(unsigned threads, std::vector<float> &losses) {
  auto session = open("good", {.threads = threads});
  session->initialize(1);
  for (const char *name : {"tokens", "labels", "positions", "segment_starts"}) {
    const auto *tensor = session->findInput(0, name);
    auto *values = reinterpret_cast<int32_t *>(session->data(*tensor));
    for (int32_t at = 0; at < 128; ++at)
      values[at] = std::string(name) == "labels" ? (at % 64 == 63 ? -100 : (at + 1) * 7 % 50) : at * 7 % 50;
  }
  for (uint64_t step = 1; step <= 10; ++step) {
    ftrt_scalars scalars{};
    scalars.learning_rate = 0.1f;
    scalars.inv_tokens = 1.0f / 126;
    scalars.step = step;
    session->run(0, scalars);
    losses.push_back(*reinterpret_cast<const float *>(session->data(*session->findOutput(0, "loss"))));
  }
  const auto *weight = session->findTensor("model.embed_tokens.weight");
  return {session->data(*weight), session->data(*weight) + weight->bytes()};
}

TEST(Session, TrainsTheSameWithAnyNumberOfThreads) {
  std::vector<float> one, two, four;
  auto first = trainTen(1, one);
  EXPECT_EQ(first, trainTen(2, two));
  EXPECT_EQ(first, trainTen(4, four));
  EXPECT_EQ(one, two);
  EXPECT_EQ(one, four);
  EXPECT_NEAR(one.front(), std::log(320.0), 0.05);
  EXPECT_LT(one.back(), 0.8 * one.front());
}

TEST(Session, HighestByteWrittenLiesInThePlan) {
  auto session = open("good", {.threads = 2, .fillPattern = true});
  session->initialize(1);
  ftrt_scalars scalars{};
  for (int entry : {0, 1, 2}) {
    for (const auto *tensor : *session->manifest().entries()->Get(static_cast<unsigned>(entry))->input_tensors())
      std::memset(session->data(*tensor), 0, tensor->bytes());
    session->run(entry, scalars);
  }
  const Slab &slab = session->memory().slabs()[0];
  EXPECT_GT(highestWritten(slab), slab.bytes - 320 * 4 - 64); // the logits are last
  EXPECT_LE(highestWritten(slab), slab.bytes);
}

TEST(Host, RunsAStepFromC) {
  EXPECT_EQ(ftrt_host_open("/nonexistent/step.so", 0), nullptr);
  EXPECT_NE(std::string(ftrt_host_error()).find("/nonexistent/step.so"), std::string::npos);
  EXPECT_EQ(ftrt_host_open(fake("good").c_str(), 9), nullptr);

  ftrt_host *host = ftrt_host_open(fake("good").c_str(), 2);
  ASSERT_NE(host, nullptr) << ftrt_host_error();
  EXPECT_EQ(ftrt_host_planned_bytes(host), ftrt_host_taken_bytes(host));
  EXPECT_EQ(ftrt_host_threads(host), 2u);
  EXPECT_EQ(ftrt_host_init(host, 1), 0);
  EXPECT_EQ(ftrt_host_entry(host, FTRT_ENTRY_MICRO), -1);
  int entry = ftrt_host_entry(host, FTRT_ENTRY_STEP);
  int64_t batch = 0, sequence = 0;
  EXPECT_EQ(ftrt_host_entry_shape(host, entry, &batch, &sequence), 0);
  EXPECT_EQ(ftrt_host_entry_for(host, FTRT_ENTRY_STEP, sequence), entry);
  EXPECT_EQ(ftrt_host_entry_for(host, FTRT_ENTRY_STEP, 1), entry);
  EXPECT_EQ(ftrt_host_entry_for(host, FTRT_ENTRY_STEP, sequence + 1), -1);
  EXPECT_EQ(ftrt_host_entry_for(host, FTRT_ENTRY_MICRO, 1), -1);
  EXPECT_EQ(batch, 2);
  EXPECT_EQ(sequence, 64);
  ftrt_tensor tensor;
  EXPECT_EQ(ftrt_host_input(host, entry, "tokens", &tensor), 0);
  EXPECT_EQ(tensor.type, FTRT_I32);
  EXPECT_EQ(tensor.rank, 2u);
  EXPECT_EQ(tensor.shape[1], 64);
  EXPECT_EQ(ftrt_host_tensor_count(host), 5u);
  EXPECT_EQ(ftrt_host_tensor_at(host, 1, &tensor), 0);
  EXPECT_STREQ(tensor.name, "model.embed_tokens.weight");
  EXPECT_NE(ftrt_host_tensor_at(host, 5, &tensor), 0);
  EXPECT_NE(ftrt_host_output(host, entry, "nothing", &tensor), 0);
  EXPECT_NE(ftrt_host_output(host, 77, "loss", &tensor), 0);
  ftrt_scalars scalars{};
  scalars.step = 1;
  EXPECT_EQ(ftrt_host_run(host, entry, &scalars), 0);
  EXPECT_NE(ftrt_host_run(host, -1, &scalars), 0);
  ftrt_host_close(host);
  ftrt_host_close(nullptr);
}

/// Without its constants a step would compute something else, and not say so.
TEST(Host, RefusesToRunBeforeItIsFilled) {
  ftrt_host *host = ftrt_host_open(fake("good").c_str(), 1);
  ASSERT_NE(host, nullptr) << ftrt_host_error();
  const int entry = ftrt_host_entry(host, FTRT_ENTRY_STEP);
  ftrt_scalars scalars{};
  scalars.step = 1;
  EXPECT_EQ(ftrt_host_parameters_changed(host), 0); // which fills norms alone
  EXPECT_EQ(ftrt_host_run(host, entry, &scalars), static_cast<int>(ExitCode::Usage));
  EXPECT_NE(std::string(ftrt_host_error()).find("call ftrt_host_init first"), std::string::npos) << ftrt_host_error();
  EXPECT_EQ(ftrt_host_init(host, 1), 0);
  EXPECT_EQ(ftrt_host_run(host, entry, &scalars), 0);
  ftrt_host_close(host);
}

} // namespace

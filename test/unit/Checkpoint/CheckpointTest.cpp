//===- CheckpointTest.cpp - Directories in Hugging Face layout ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AllocationCount.h"
#include "CheckpointFixture.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <sys/resource.h>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

class Checkpoint : public CheckpointFixture {
protected:
  void SetUp() override {
    CheckpointFixture::SetUp();
    model.family = "llama3_2";
    model.vocabSize = 259;
    model.numLayers = 1;
    model.numHeads = 4;
    model.numKvHeads = 2;
    model.embedDim = 8;
    model.headDim = 2;
    model.intermediateDim = 16;
    model.maxSeqLen = 64;
    model.ropeBase = 500000;
    model.tiedEmbeddings = true;
    options.outputDir = root / "out";
    options.model = model;
    weights.resize(64);
    for (size_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<float>(i) / 8;
    options.parameters = {view("model.norm.weight", {8}, 0), view("model.embed_tokens.weight", {4, 8}, 8),
                          view("lm_head.weight", {4, 8}, 8), view("b", {2, 2}, 40)};
    options.states = {view("model.norm.weight.exp_avg", {8}, 44)};
  }

  TensorView view(std::string name, std::vector<int64_t> shape, size_t offset) {
    return {{std::move(name), TensorType::F32, std::move(shape)}, weights.data() + offset};
  }
  std::vector<TensorSpec> wanted() {
    std::vector<TensorSpec> specs;
    for (const TensorView &tensor : options.parameters)
      if (tensor.spec.name != "lm_head.weight")
        specs.push_back(tensor.spec);
    return specs;
  }
  std::unique_ptr<CheckpointWriter> writer() {
    auto made = CheckpointWriter::create(options, diags);
    EXPECT_TRUE(made) << messages();
    return made;
  }
  std::set<std::string> listing(const fs::path &folder) {
    std::set<std::string> names;
    for (const auto &item : fs::directory_iterator(folder))
      names.insert(item.path().filename());
    return names;
  }

  ModelConfig model;
  CheckpointOptions options;
  std::vector<float> weights;
};

TEST_F(Checkpoint, RoundTrip) {
  auto out = writer();
  TrainingState state{12, ~uint64_t(0), 3, 4, 6, 0xFEDCBA9876543210u};
  state.scheduleSteps = 30;
  ASSERT_TRUE(out->write(state, diags)) << messages();
  EXPECT_EQ(out->tensorBytes(), (8 + 32 + 4 + 8) * 4u);
  EXPECT_EQ(listing(root / "out"), std::set<std::string>{"step_12"});
  EXPECT_EQ(listing(root / "out/step_12"),
            (std::set<std::string>{"config.json", "model.safetensors", "state.safetensors", "training_state.json"}));

  auto found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found) << messages();
  EXPECT_EQ(found->directory, root / "out/step_12");
  EXPECT_EQ(found->state.step, 12u);
  EXPECT_EQ(found->state.seed, ~uint64_t(0));
  EXPECT_EQ(found->state.epoch, 3);
  EXPECT_EQ(found->state.batch, 4);
  EXPECT_EQ(found->state.dataFingerprint, 0xFEDCBA9876543210u);
  EXPECT_EQ(found->state.scheduleSteps, 30u);
  EXPECT_EQ(found->state.batchSize, 6);

  auto reader = CheckpointReader::open(found->directory, {}, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->check(wanted(), diags)) << messages();
  EXPECT_FALSE(reader->find("lm_head.weight")); // tied: stored once
  std::vector<float> read(32);
  ASSERT_TRUE(reader->read({options.parameters[1].spec, read.data()}, diags)) << messages();
  EXPECT_EQ(read, std::vector<float>(weights.begin() + 8, weights.begin() + 40));
  auto states = openOptimizerState(found->directory, diags);
  ASSERT_TRUE(states) << messages();
  EXPECT_TRUE(states->find("model.norm.weight.exp_avg"));
  EXPECT_TRUE(checkConfigJson(found->directory + "/config.json", model, diags)) << messages();
}

TEST_F(Checkpoint, EqualInputGivesEqualBytes) {
  options.shardBytes = 40;
  ASSERT_TRUE(writer()->write({.step = 1}, diags));
  options.outputDir = root / "again";
  std::reverse(options.parameters.begin(), options.parameters.end());
  ASSERT_TRUE(writer()->write({.step = 1}, diags));
  EXPECT_EQ(listing(root / "out/step_1"), listing(root / "again/step_1"));
  for (const std::string &name : listing(root / "out/step_1"))
    EXPECT_EQ(readAll(root / "out/step_1" / name), readAll(root / "again/step_1" / name)) << name;
}

TEST_F(Checkpoint, ShardsAndIndex) {
  options.shardBytes = 60; // 16 (b); 128 alone, larger than a shard may be; 32
  ASSERT_TRUE(writer()->write({.step = 1}, diags)) << messages();
  std::string folder = root / "out/step_1";
  EXPECT_TRUE(listing(folder).contains("model-00003-of-00003.safetensors"));
  EXPECT_FALSE(listing(folder).contains("model.safetensors"));
  json index = json::parse(readAll(folder + "/model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], 176);
  EXPECT_EQ(index["weight_map"]["b"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["model.norm.weight"], "model-00003-of-00003.safetensors");
  auto reader = CheckpointReader::open(folder, {}, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->check(wanted(), diags)) << messages();
  std::vector<float> read(8);
  ASSERT_TRUE(reader->read({options.parameters[0].spec, read.data()}, diags));
  EXPECT_EQ(read, std::vector<float>(weights.begin(), weights.begin() + 8));
  EXPECT_TRUE(findNewestCheckpoint(root / "out", diags)) << messages();

  // Files by name, without the index.
  reader = CheckpointReader::open(folder, {"model-00001-of-00003.safetensors"}, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->find("b"));
  EXPECT_FALSE(reader->find("model.norm.weight"));
  EXPECT_FALSE(
      CheckpointReader::open(folder, {"model-00001-of-00003.safetensors", "model-00001-of-00003.safetensors"}, diags));
  EXPECT_TRUE(says("tensor 'b' is also in")) << messages();
}

TEST_F(Checkpoint, BrokenIndexes) {
  options.shardBytes = 60;
  ASSERT_TRUE(writer()->write({.step = 1}, diags)) << messages();
  std::string folder = root / "out/step_1";
  fs::path index = folder + "/model.safetensors.index.json";
  auto refuse = [&](std::string_view text, std::string_view message) {
    diags.clear();
    std::ofstream(index) << text;
    EXPECT_FALSE(CheckpointReader::open(folder, {}, diags));
    EXPECT_TRUE(says(message)) << messages();
  };
  refuse("{", "not an index");
  refuse(R"({"weight_map": {"b": 7}})", "the file of tensor 'b' is not a string");
  refuse(R"({"weight_map": {"b": "../step_1/model-00001-of-00003.safetensors"}})", "is not a file name");
  refuse(R"({"weight_map": {"b": "model-00002-of-00003.safetensors"}})", "tensor 'b' should be in");
  refuse(R"({"weight_map": {"b": "missing.safetensors"}})", "missing.safetensors: error: cannot open");
  refuse(R"({"weight_map": {"b": "pytorch_model.bin"}})", "pytorch_model.bin: error: cannot open");
  refuse(R"({"weight_map": {"b": "model.h5"}})", "only .safetensors files and torch.save's (.bin, .pt, .pth) are read");
}

TEST_F(Checkpoint, DirectoriesWithoutWeights) {
  EXPECT_FALSE(CheckpointReader::open(root / "missing", {}, diags));
  EXPECT_TRUE(says("no such directory")) << messages();
  EXPECT_FALSE(CheckpointReader::open(root, {}, diags));
  EXPECT_TRUE(says("has none of model.safetensors, pytorch_model.bin")) << messages();
}

TEST_F(Checkpoint, DifferencesAreListedByName) {
  ASSERT_TRUE(writer()->write({.step = 1}, diags)) << messages();
  auto reader = CheckpointReader::open(root / "out/step_1", {}, diags);
  ASSERT_TRUE(reader) << messages();
  auto specs = wanted();
  specs[0].shape = {16};
  specs[1].name = "model.embed_token.weight";
  specs.push_back({"model.layers.0.self_attn.q_proj.weight", TensorType::F32, {8, 8}});
  EXPECT_FALSE(reader->check(specs, diags));
  EXPECT_TRUE(says("tensor 'model.norm.weight' has shape [8], the model wants [16]")) << messages();
  EXPECT_TRUE(says("tensor 'model.embed_token.weight' of shape [4, 8] is missing; is it 'model.embed_tokens.weight'?"))
      << messages();
  EXPECT_TRUE(says("'model.layers.0.self_attn.q_proj.weight' of shape [8, 8] is missing\n")) << messages();
  EXPECT_TRUE(says("tensor 'model.embed_tokens.weight' of shape [4, 8] has no place")) << messages();
  EXPECT_EQ(diags.size(), 4u);
  std::vector<float> read(64);
  EXPECT_FALSE(reader->read({specs[0], read.data()}, diags));
  EXPECT_FALSE(reader->read({specs[1], read.data()}, diags));

  // A list that is too long is cut.
  diags.clear();
  for (int i = 0; i < 30; ++i)
    specs.push_back({"extra" + std::to_string(i), TensorType::F32, {1}});
  EXPECT_FALSE(reader->check(specs, diags));
  EXPECT_TRUE(says("and 22 more tensors are missing")) << messages();
}

TEST_F(Checkpoint, WhatIsPassedOver) {
  float one = 1;
  std::vector<TensorView> tensors = {{{"w", TensorType::F32, {}}, &one},
                                     {{"lm_head.weight", TensorType::F32, {}}, &one},
                                     {{"model.layers.0.self_attn.rotary_emb.inv_freq", TensorType::F32, {1}}, &one}};
  ASSERT_TRUE(writeSafetensors(root / "model.safetensors", tensors, {}, diags));
  auto reader = CheckpointReader::open(root, {}, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->check({{tensors[0].spec}}, diags)) << messages();
}

TEST_F(Checkpoint, TheNewestWholeOneIsFound) {
  auto out = writer();
  for (uint64_t step : {9, 10, 100})
    ASSERT_TRUE(out->write({.step = step}, diags)) << messages();
  fs::create_directories(root / "out/step_x");
  fs::create_directories(root / "out/.step_500.tmp");
  write("out/step_700", "a file");
  auto found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found) << messages();
  EXPECT_EQ(found->state.step, 100u);
  EXPECT_TRUE(says("step_700/training_state.json: warning: checkpoint passed over")) << messages();

  // Truncations of each file make it unwhole, whatever their length.
  for (const char *name : {"config.json", "model.safetensors", "state.safetensors", "training_state.json"}) {
    fs::path path = root / "out/step_100" / name;
    std::string whole = readAll(path);
    for (size_t length : {size_t(0), size_t(7), whole.size() / 2, whole.size() - 3}) {
      std::ofstream(path, std::ios::binary) << whole.substr(0, length);
      found = findNewestCheckpoint(root / "out", diags);
      ASSERT_TRUE(found) << messages();
      EXPECT_EQ(found->state.step, 10u) << name << " " << length;
    }
    std::ofstream(path, std::ios::binary) << whole;
  }
  fs::rename(root / "out/step_100", root / "out/step_101");
  found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state.step, 10u);
  EXPECT_TRUE(says("named for step 101, its state says 100")) << messages();
  EXPECT_FALSE(findNewestCheckpoint(root / "missing", diags));
}

TEST_F(Checkpoint, LeftoversOfAKilledRunAreRemoved) {
  write("out/.step_5.tmp/model.safetensors", "half");
  write("out/keep.txt", "mine");
  writer();
  EXPECT_EQ(listing(root / "out"), std::set<std::string>{"keep.txt"});
}

TEST_F(Checkpoint, AnExistingStepIsReplacedWhole) {
  auto out = writer();
  ASSERT_TRUE(out->write({.step = 1, .seed = 1}, diags));
  write("out/step_1/stray.txt", "old");
  ASSERT_TRUE(out->write({.step = 1, .seed = 2}, diags)) << messages();
  EXPECT_EQ(listing(root / "out"), std::set<std::string>{"step_1"});
  EXPECT_FALSE(listing(root / "out/step_1").contains("stray.txt"));
  EXPECT_EQ(readTrainingState(root / "out/step_1", diags)->seed, 2u);
}

TEST_F(Checkpoint, AFailureLeavesNothing) {
  fs::create_directories(root / "source");
  options.sourceDir = root / "source";
  write("source/tokenizer.json", "{}");
  // Llama's and Mistral's, and Qwen's.
  const char *const others[] = {"tokenizer.model", "tokenizer.model.v3", "tokenizer_config.json",
                                "vocab.json",      "merges.txt",         "chat_template.jinja"};
  for (const char *name : others)
    write(std::string("source/") + name, name);
  auto out = writer();
  ASSERT_TRUE(out->write({.step = 1}, diags)) << messages();
  EXPECT_EQ(readAll(root / "out/step_1/tokenizer.json"), "{}");
  for (const char *name : others)
    EXPECT_EQ(readAll(root / "out/step_1" / name), name);
  fs::remove(root / "source/tokenizer.json"); // it is open still
  ASSERT_TRUE(out->write({.step = 2}, diags)) << messages();
  EXPECT_EQ(readAll(root / "out/step_2/tokenizer.json"), "{}");

  // A limit on the size of files stands in for a full disk.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const bool written = out->write({.step = 3}, diags);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(written);
  EXPECT_TRUE(says("step_3: error: cannot write the checkpoint (tokenizer.json): File too large")) << messages();
  EXPECT_EQ(listing(root / "out"), (std::set<std::string>{"step_1", "step_2"}));

  options.outputDir = write("file", "");
  EXPECT_FALSE(CheckpointWriter::create(options, diags));
  EXPECT_TRUE(says("cannot make the output directory")) << messages();
}

TEST_F(Checkpoint, TheNewestAreKept) {
  write("out/step_2/model.safetensors", "of an earlier run");
  write("out/step_3/folder/file", "stays until the next run");
  options.keepLast = 2;
  auto out = writer();
  uint64_t before = allocationCount();
  bool good = out->write({.step = 10}, diags);
  EXPECT_EQ(allocationCount(), before);
  ASSERT_TRUE(good) << messages();
  EXPECT_EQ(listing(root / "out"), (std::set<std::string>{"step_3", "step_10"}));
  ASSERT_TRUE(out->write({.step = 10}, diags)); // the same once more
  ASSERT_TRUE(out->write({.step = 11}, diags));
  EXPECT_EQ(listing(root / "out"), (std::set<std::string>{".step_3.old", "step_10", "step_11"}));
  ASSERT_TRUE(out->write({.step = 12}, diags));
  out = writer();
  EXPECT_EQ(listing(root / "out"), (std::set<std::string>{"step_11", "step_12"}));
}

TEST_F(Checkpoint, WritesWhatIsInMemoryAtThatMoment) {
  auto out = writer();
  ASSERT_TRUE(out->write({.step = 1}, diags));
  weights[0] = -77;
  ASSERT_TRUE(out->write({.step = 2}, diags));
  auto reader = CheckpointReader::open(root / "out/step_2", {}, diags);
  std::vector<float> read(8);
  ASSERT_TRUE(reader->read({options.parameters[0].spec, read.data()}, diags));
  EXPECT_EQ(read[0], -77);
}

TEST_F(Checkpoint, WritingAllocatesNothing) {
  options.shardBytes = 60;
  options.sourceDir = root / "source";
  write("source/tokenizer.json", std::string(100000, 'x'));
  auto out = writer();
  uint64_t before = allocationCount();
  ASSERT_GT(before, 0u);
  bool good = out->write({.step = 123456789}, diags);
  uint64_t after = allocationCount();
  EXPECT_TRUE(good) << messages();
  EXPECT_EQ(before, after);
  EXPECT_EQ(fs::file_size(root / "out/step_123456789/tokenizer.json"), 100000u);
}

TEST_F(Checkpoint, TrainingStateFaults) {
  auto refuse = [&](std::string_view text, std::string_view message) {
    diags.clear();
    write("s/training_state.json", text);
    EXPECT_FALSE(readTrainingState(root / "s", diags));
    EXPECT_TRUE(says(message)) << messages();
  };
  refuse("", "not a JSON object");
  refuse("{}", "'format' is missing");
  refuse(R"({"format": 2})", "format 2 is not known");
  refuse(R"({"format": 1, "step": -1, "seed": 1, "epoch": 0, "batch": 0, "data_fingerprint": 0})", "'step' is missing");
  refuse(R"({"format": 1, "step": 1, "seed": 1, "epoch": 18446744073709551615, "batch": 0, "data_fingerprint": 0})",
         "out of range");
}

/// The same tensor without memory here, read and written through functions.
TensorView elsewhere(const TensorView &view, std::vector<uint64_t> *sizes = nullptr) {
  TensorView far{view.spec};
  auto *bytes = static_cast<char *>(const_cast<void *>(view.data));
  far.read = [bytes, sizes](uint64_t offset, void *to, uint64_t count) {
    if (sizes)
      sizes->push_back(count);
    std::memcpy(to, bytes + offset, count);
  };
  far.write = [bytes](uint64_t offset, const void *from, uint64_t count) { std::memcpy(bytes + offset, from, count); };
  return far;
}

std::string contents(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(Checkpoint, TensorsThatLieElsewhereAreCopiedPartByPart) {
  // One of them is longer than the buffer through which they are copied.
  std::vector<float> large((5 << 20) + 3);
  for (size_t i = 0; i < large.size(); ++i)
    large[i] = static_cast<float>(i % 1001);
  options.parameters.push_back({{"large", TensorType::F32, {static_cast<int64_t>(large.size())}}, large.data()});
  ASSERT_TRUE(writer()->write({.step = 1}, diags)) << messages();
  std::vector<uint64_t> sizes;
  for (std::vector<TensorView> *tensors : {&options.parameters, &options.states})
    for (TensorView &tensor : *tensors)
      tensor = elsewhere(tensor, &sizes);
  auto made = writer();
  sizes.reserve(100);
  const uint64_t allocations = allocationCount();
  EXPECT_TRUE(made->write({.step = 2}, diags)) << messages();
  EXPECT_EQ(allocationCount(), allocations);
  EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()), 4u << 20);
  for (const char *file : {"model.safetensors", "state.safetensors"})
    EXPECT_TRUE(contents(root / "out" / "step_1" / file) == contents(root / "out" / "step_2" / file)) << file;

  const std::vector<float> before = large;
  std::fill(large.begin(), large.end(), -1.0f);
  auto reader = CheckpointReader::open(root / "out" / "step_1", {}, diags);
  ASSERT_TRUE(reader) << messages();
  ASSERT_TRUE(reader->read(options.parameters.back(), diags)) << messages();
  EXPECT_TRUE(large == before);
}

TEST_F(Checkpoint, WhatCannotBeReadLeavesNothing) {
  options.parameters[1] = elsewhere(options.parameters[1]);
  options.parameters[1].read = [](uint64_t, void *, uint64_t) { throw std::runtime_error("the device has failed"); };
  auto made = writer();
  EXPECT_THROW(made->write({.step = 3}, diags), std::runtime_error);
  EXPECT_TRUE(fs::is_empty(root / "out"));
}

} // namespace

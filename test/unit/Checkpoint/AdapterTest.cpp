//===- AdapterTest.cpp - LoRA adapters in PEFT's format ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AllocationCount.h"
#include "CheckpointFixture.h"

#include "lib/Checkpoint/Convert.h"

#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// One projection of 3 outputs and 4 inputs with an adapter of rank 2, and one without.
class Adapter : public CheckpointFixture {
protected:
  void SetUp() override {
    CheckpointFixture::SetUp();
    options.outputDir = root / "out";
    options.model.numHeads = 1;
    options.model.embedDim = 4;
    for (size_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<float>(i % 7) / 8 - 0.25f;
    options.parameters = {view("m.q_proj.lora_A.weight", {2, 4}, 0), view("m.q_proj.lora_B.weight", {3, 2}, 8),
                          view("m.q_proj.weight", {3, 4}, 14), view("m.norm.weight", {4}, 26)};
    options.states = {view("m.q_proj.lora_A.weight.exp_avg", {2, 4}, 30)};
    lora.targets = {"q_proj"};
    lora.rank = 2;
    lora.alpha = 3;
    options.adapter = AdapterOptions{lora, "/base", false};
  }
  TensorView view(std::string name, std::vector<int64_t> shape, size_t offset) {
    return {{std::move(name), TensorType::F32, std::move(shape)}, weights.data() + offset};
  }
  std::set<std::string> write(uint64_t step) {
    auto writer = CheckpointWriter::create(options, diags);
    EXPECT_TRUE(writer) << messages();
    EXPECT_TRUE(writer->write({.step = step}, diags)) << messages();
    std::set<std::string> names;
    const fs::path folder = root / "out" / ("step_" + std::to_string(step));
    for (const auto &item : fs::recursive_directory_iterator(folder))
      names.insert(item.path().lexically_relative(folder));
    return names;
  }
  std::vector<TensorSpec> wanted() { return {options.parameters[0].spec, options.parameters[1].spec}; }

  LoraConfig lora;
  CheckpointOptions options;
  std::vector<float> weights = std::vector<float>(38);
};

TEST_F(Adapter, RoundTripAndMergedWeights) {
  EXPECT_EQ(write(5),
            (std::set<std::string>{"adapter", "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
                                   "config.json", "model.safetensors", "state.safetensors", "training_state.json"}));
  std::string folder = root / "out/step_5";
  for (const std::string &path : {folder, folder + "/adapter", folder + "/adapter/adapter_model.safetensors"}) {
    EXPECT_EQ(adapterBase(path), "/base");
    auto reader = AdapterReader::open(path, lora, {}, diags);
    ASSERT_TRUE(reader) << messages();
    EXPECT_TRUE(reader->check(wanted(), diags)) << messages();
    std::vector<float> read(6);
    ASSERT_TRUE(reader->read({wanted()[1], read.data()}, diags)) << messages();
    EXPECT_EQ(read, std::vector<float>(weights.begin() + 8, weights.begin() + 14));
  }
  auto file = SafetensorsFile::open(folder + "/adapter/adapter_model.safetensors", diags);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->find("base_model.model.m.q_proj.lora_A.weight"));
  json config = json::parse(readAll(folder + "/adapter/adapter_config.json"));
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["task_type"], "CAUSAL_LM");
  EXPECT_EQ(config["r"], 2);
  EXPECT_EQ(config["lora_alpha"], 3);
  EXPECT_EQ(config["target_modules"], json::array({"q_proj"}));
  EXPECT_EQ(config["base_model_name_or_path"], "/base");

  auto model = CheckpointReader::open(folder, {}, diags);
  ASSERT_TRUE(model) << messages();
  EXPECT_FALSE(model->find("m.q_proj.lora_A.weight"));
  std::vector<float> merged(12);
  ASSERT_TRUE(model->read({options.parameters[2].spec, merged.data()}, diags)) << messages();
  const float *a = weights.data(), *b = weights.data() + 8, *w = weights.data() + 14;
  for (int o = 0; o < 3; ++o)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(merged[o * 4 + i], w[o * 4 + i] + 1.5f * (b[o * 2] * a[i] + b[o * 2 + 1] * a[4 + i]));
  auto found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found) << messages();
  EXPECT_EQ(found->state.step, 5u);
}

TEST_F(Adapter, MergedBf16IsRoundedOnce) {
  // From 1 the next bf16 is 1 + 2^-7: a change of half of that is a tie, anything more rounds up.
  std::vector<uint16_t> one = {floatToBf16(1.0f)}, a = {floatToBf16(0x1p-8f)}, b = {floatToBf16(1.0f)};
  auto view = [](std::vector<uint16_t> &data) { return TensorView{{"x", TensorType::BF16, {1, 1}}, data.data()}; };
  uint16_t merged = 0;
  MergedWeight(view(one), view(a), view(b), 1.0).row(0, &merged);
  EXPECT_EQ(bf16ToFloat(merged), 1.0f); // a tie, to even
  MergedWeight(view(one), view(a), view(b), 1.5).row(0, &merged);
  EXPECT_EQ(bf16ToFloat(merged), 1.0f + 0x1p-7f);
}

/// Matrices that are read through functions merge to the same rows, whichever of them are.
TEST_F(Adapter, MergesMatricesThatLieElsewhere) {
  constexpr int64_t rows = 700, columns = 513, rank = 5; // more rows than are read at once
  const auto fill = [](int64_t count, uint64_t seed) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float &value : values)
      value = static_cast<float>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 40) * 0x1p-24f - 0.5f;
    return values;
  };
  const auto w = fill(rows * columns, 1), a = fill(rank * columns, 2), b = fill(rows * rank, 3);
  const auto viewOf = [](const std::vector<float> &values, int64_t height, int64_t width, bool elsewhere) {
    TensorView view{{"x", TensorType::F32, {height, width}}, elsewhere ? nullptr : values.data()};
    if (elsewhere)
      view.read = [&values](uint64_t offset, void *to, uint64_t bytes) {
        std::memcpy(to, reinterpret_cast<const char *>(values.data()) + offset, bytes);
      };
    return view;
  };
  const auto merge = [&](unsigned elsewhere) {
    MergeBuffers buffers;
    MergedWeight merged(viewOf(w, rows, columns, elsewhere & 1), viewOf(a, rank, columns, elsewhere & 2),
                        viewOf(b, rows, rank, elsewhere & 4), 0.75, nullptr, &buffers);
    std::vector<float> out(rows * columns);
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t row = 0; row < rows; ++row)
        merged.row(row, out.data() + row * columns);
    EXPECT_LT(buffers.weight.size() + buffers.a.size() + buffers.b.size(), 3u << 20);
    return out;
  };
  const std::vector<float> expected = merge(0);
  for (unsigned elsewhere : {1u, 2u, 4u, 7u})
    EXPECT_TRUE(merge(elsewhere) == expected) << elsewhere;
}

/// A weight in four bits that lies elsewhere is fetched when its first row is asked for.
TEST_F(Adapter, FetchesWeightsInFourBits) {
  constexpr int64_t rows = 8, columns = 64;
  std::vector<uint8_t> codes(rows * columns / 2), absmax(rows);
  float nested = 0, offset = 0;
  const Nf4Arrays arrays{codes.data(), absmax.data(), &nested, &offset};
  std::vector<float> values(rows * columns);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i % 37) - 18;
  int fetched = 0;
  TensorView view{{"x", TensorType::F32, {rows, columns}}};
  view.nf4 = Nf4Weight{{}, arrays};
  view.nf4->fetch = [&] {
    ++fetched;
    Nf4Encoder({}, rows * columns, arrays).append(values.data(), rows * columns);
  };
  MergedWeight decoded(view);
  std::vector<float> out(rows * columns), expected(rows * columns);
  for (int64_t row = 0; row < rows; ++row)
    decoded.row(row, out.data() + row * columns);
  nf4Decode({}, arrays, 0, rows * columns, expected.data());
  EXPECT_EQ(fetched, 1);
  EXPECT_EQ(out, expected);
}

TEST_F(Adapter, MagnitudesAreTheNormsOfMergedRows) {
  options.parameters.push_back(view("m.q_proj.lora_magnitude_vector", {3}, 3));
  options.adapter->lora.dora = lora.dora = true;
  write(7);
  std::string folder = root / "out/step_7";
  auto reader = AdapterReader::open(folder, lora, {}, diags);
  ASSERT_TRUE(reader) << messages();
  std::vector<TensorSpec> specs = wanted();
  specs.push_back(options.parameters.back().spec);
  EXPECT_TRUE(reader->check(specs, diags)) << messages();
  EXPECT_FALSE(reader->check(wanted(), diags));
  EXPECT_TRUE(says("this is an adapter of DoRA, with magnitudes, and the step was compiled for LoRA; recompile with "
                   "model.use_dora=True"))
      << messages();
  EXPECT_FALSE(says("has no place")) << messages();
  diags.clear();
  EXPECT_TRUE(isAdapterName("m.q_proj.lora_magnitude_vector"));
  EXPECT_EQ(json::parse(readAll(folder + "/adapter/adapter_config.json"))["use_dora"], true);

  auto model = CheckpointReader::open(folder, {}, diags);
  ASSERT_TRUE(model) << messages();
  std::vector<float> merged(12);
  ASSERT_TRUE(model->read({options.parameters[2].spec, merged.data()}, diags)) << messages();
  const float *a = weights.data(), *b = weights.data() + 8, *w = weights.data() + 14, *m = weights.data() + 3;
  for (int o = 0; o < 3; ++o) {
    std::array<double, 4> row;
    double squares = 0;
    for (int i = 0; i < 4; ++i) {
      row[i] = w[o * 4 + i] + 1.5 * (b[o * 2] * a[i] + b[o * 2 + 1] * a[4 + i]);
      squares += row[i] * row[i];
    }
    for (int i = 0; i < 4; ++i)
      EXPECT_NEAR(merged[o * 4 + i], row[i] * m[o] / std::sqrt(squares), 1e-6);
  }
}

TEST_F(Adapter, AdapterOnly) {
  options.adapter->adapterOnly = true;
  EXPECT_EQ(write(6), (std::set<std::string>{"adapter_config.json", "adapter_model.safetensors", "state.safetensors",
                                             "training_state.json"}));
  auto found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found) << messages();
  EXPECT_EQ(found->state.step, 6u);
  fs::resize_file(root / "out/step_6/adapter_model.safetensors", 20);
  EXPECT_FALSE(findNewestCheckpoint(root / "out", diags));
}

/// The layout of earlier versions: all in one folder.
TEST_F(Adapter, BesideTheWeights) {
  write(5);
  const fs::path folder = root / "out/step_5";
  for (const char *name : {"adapter_config.json", "adapter_model.safetensors"})
    fs::rename(folder / "adapter" / name, folder / name);
  fs::remove(folder / "adapter");
  EXPECT_EQ(adapterFile(folder), folder / "adapter_model.safetensors");
  EXPECT_TRUE(AdapterReader::open(folder, lora, {}, diags)) << messages();
  EXPECT_TRUE(findNewestCheckpoint(root / "out", diags)) << messages();
  fs::remove(folder / "adapter_model.safetensors");
  EXPECT_EQ(adapterFile(folder), "");
  EXPECT_EQ(adapterBase(folder), std::nullopt);
}

TEST_F(Adapter, NamesItsBase) {
  options.adapter->baseModel = "";
  write(5);
  EXPECT_EQ(adapterBase(root / "out/step_5"), "");
  CheckpointFixture::write("out/step_5/adapter/adapter_config.json", R"({"base_model_name_or_path": ""})");
  EXPECT_EQ(adapterBase(root / "out/step_5"), std::nullopt);
}

TEST_F(Adapter, OldCheckpointsGoWithTheirAdapters) {
  options.keepLast = 2;
  auto writer = CheckpointWriter::create(options, diags);
  for (uint64_t step : {1, 2, 3})
    ASSERT_TRUE(writer->write({.step = step}, diags)) << messages();
  std::set<std::string> names;
  for (const auto &item : fs::directory_iterator(root / "out"))
    names.insert(item.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"step_2", "step_3"}));
}

TEST_F(Adapter, TheOriginIsKept) {
  options.origin.recipe = {{"dtype", "fp32"}, {"optimizer.betas", "[0.9, 0.99]"}};
  options.origin.frozenWeights = ~uint64_t(0);
  write(5);
  TrainingOrigin origin;
  ASSERT_TRUE(readTrainingState(root / "out/step_5", diags, &origin)) << messages();
  EXPECT_EQ(origin.recipe, options.origin.recipe);
  EXPECT_EQ(origin.frozenWeights, options.origin.frozenWeights);
  options.origin = {};
  write(6);
  auto found = findNewestCheckpoint(root / "out", diags);
  ASSERT_TRUE(found) << messages();
  EXPECT_TRUE(found->origin.recipe.empty());
  EXPECT_FALSE(found->origin.frozenWeights);
}

TEST_F(Adapter, WritingAllocatesNothing) {
  auto writer = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(writer) << messages();
  uint64_t before = allocationCount();
  ASSERT_GT(before, 0u);
  bool good = writer->write({.step = 1}, diags);
  EXPECT_EQ(before, allocationCount());
  EXPECT_TRUE(good) << messages();
}

TEST_F(Adapter, DifferencesAreToldByName) {
  write(1);
  std::string folder = root / "out/step_1";
  auto refused = [&](auto change) {
    diags.clear();
    LoraConfig other = lora;
    change(other);
    EXPECT_FALSE(AdapterReader::open(folder, other, {}, diags));
    return messages();
  };
  EXPECT_NE(refused([](LoraConfig &other) {
              other.rank = 8;
            }).find("'r' is 2, the step was compiled for 8; recompile with model.lora_rank=2"),
            std::string::npos);
  EXPECT_NE(refused([](LoraConfig &other) {
              other.dora = true;
            }).find("'use_dora' is false, the step was compiled for true; recompile with model.use_dora=False"),
            std::string::npos);
  EXPECT_NE(refused([](LoraConfig &other) { other.alpha = 16; }).find("recompile with model.lora_alpha=3"),
            std::string::npos);

  auto reader = AdapterReader::open(folder, lora, {}, diags);
  ASSERT_TRUE(reader) << messages();
  std::vector<TensorSpec> specs = wanted();
  specs.push_back(view("m.q_proj.lora_magnitude_vector", {3}, 3).spec);
  EXPECT_FALSE(reader->check(specs, diags));
  EXPECT_TRUE(says("this is an adapter of LoRA, without magnitudes, and the step was compiled for DoRA")) << messages();
  EXPECT_FALSE(says("is missing")) << messages();
  EXPECT_FALSE(CheckpointReader::open(folder + "/adapter", {}, diags));
  EXPECT_TRUE(says("step_1/adapter: error: holds an adapter alone; name it with checkpointer.adapter_checkpoint=" +
                   folder + "/adapter (for a builder"))
      << messages();
  specs = wanted();
  specs[0].name = "m.k_proj.lora_A.weight";
  specs[1].shape = {4, 2};
  diags.clear();
  EXPECT_FALSE(reader->check(specs, diags));
  EXPECT_TRUE(says("adapter tensor 'base_model.model.m.k_proj.lora_A.weight' of shape [2, 4] is missing; is it "
                   "'base_model.model.m.q_proj.lora_A.weight'?"))
      << messages();
  EXPECT_TRUE(says("has shape [3, 2], the step wants [4, 2]")) << messages();
  EXPECT_TRUE(says("'base_model.model.m.q_proj.lora_A.weight' has no place in the step")) << messages();

  json config = json::parse(readAll(folder + "/adapter/adapter_config.json"));
  for (const auto &[key, value] :
       std::vector<std::pair<std::string, json>>{{"use_dora", true},
                                                 {"use_rslora", true},
                                                 {"peft_type", "LOHA"},
                                                 {"rank_pattern", json::object({{"q_proj", 3}})},
                                                 {"r", "2"}}) {
    json other = config;
    other[key] = value;
    CheckpointFixture::write("out/step_1/adapter/adapter_config.json", other.dump());
    diags.clear();
    EXPECT_FALSE(AdapterReader::open(folder, lora, {}, diags)) << key;
    EXPECT_TRUE(says("'" + key + "'")) << messages();
  }
  CheckpointFixture::write("out/step_1/adapter/adapter_config.json", "[");
  EXPECT_FALSE(AdapterReader::open(folder, lora, {}, diags));
  EXPECT_FALSE(AdapterReader::open(root / "nowhere", lora, {}, diags));
}

} // namespace

//===- FusedWeightsTest.cpp - Phi-3's projections that share a tensor -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AllocationCount.h"
#include "CheckpointFixture.h"
#include "TorchArchive.h"

#include "lib/Checkpoint/FusedWeights.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string layer = "model.layers.0.", attention = layer + "self_attn.", mlp = layer + "mlp.";

/// One layer: 2 heads of 2 columns, of keys and values one, so that q, k, v have 4, 2 and 2 rows; gate and up have 3.
class FusedWeights : public CheckpointFixture {
protected:
  void SetUp() override {
    CheckpointFixture::SetUp();
    model.architecture = ModelArchitecture::Phi3;
    model.numHeads = 2;
    model.numKvHeads = 1;
    model.embedDim = 4;
    model.headDim = 2;
    model.intermediateDim = 3;
    options.outputDir = root / "out";
    options.model = model;
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((i * 7) % 23) / 8 - 1.25f;
    options.parameters = {view(attention + "v_proj.weight", {2, 4}, 24), view(attention + "q_proj.weight", {4, 4}, 0),
                          view(attention + "k_proj.weight", {2, 4}, 16), view(attention + "o_proj.weight", {4, 4}, 32),
                          view(mlp + "up_proj.weight", {3, 4}, 60),      view(mlp + "gate_proj.weight", {3, 4}, 48)};
    options.states = {view(attention + "q_proj.weight.exp_avg", {4, 4}, 0)};
    lora.targets = {"q_proj", "v_proj", "o_proj"};
    lora.rank = 2;
    lora.alpha = 3;
  }

  TensorView view(std::string name, std::vector<int64_t> shape, size_t offset) {
    return {{std::move(name), TensorType::F32, std::move(shape)}, values.data() + offset};
  }
  /// The same, read through a function.
  TensorView elsewhere(TensorView tensor) {
    tensor.read = [from = static_cast<const char *>(tensor.data)](uint64_t offset, void *to, uint64_t bytes) {
      std::memcpy(to, from + offset, bytes);
    };
    tensor.data = nullptr;
    return tensor;
  }
  void addAdapter(bool dora = false) {
    size_t at = 72;
    for (const auto &[name, outputs] : {std::pair("q_proj", 4), {"v_proj", 2}, {"o_proj", 4}}) {
      options.parameters.push_back(view(attention + name + ".lora_A.weight", {2, 4}, at));
      options.parameters.push_back(view(attention + name + ".lora_B.weight", {outputs, 2}, at + 8));
      if (dora)
        options.parameters.push_back(view(attention + name + ".lora_magnitude_vector", {outputs}, at + 16));
      at += 20;
    }
    lora.dora = dora;
    options.adapter = AdapterOptions{lora, "", false};
  }
  std::vector<TensorSpec> adapterSpecs() {
    std::vector<TensorSpec> specs;
    for (const TensorView &tensor : options.parameters)
      if (isAdapterName(tensor.spec.name))
        specs.push_back(tensor.spec);
    return specs;
  }
  std::string written() {
    auto writer = CheckpointWriter::create(options, diags);
    EXPECT_TRUE(writer && writer->write({.step = 1}, diags)) << messages();
    return root / "out/step_1";
  }
  std::unique_ptr<CheckpointReader> open(const std::string &folder, const std::vector<std::string> &files = {}) {
    diags.clear();
    return CheckpointReader::open(folder, files, diags, &model);
  }
  std::vector<float> read(const CheckpointReader &reader, const TensorSpec &spec) {
    std::vector<float> found(static_cast<size_t>(spec.elements()), NAN);
    EXPECT_TRUE(reader.read({spec, found.data()}, diags)) << messages();
    return found;
  }
  std::vector<float> valuesOf(const TensorView &tensor) {
    const auto *from = static_cast<const float *>(tensor.data);
    return {from, from + tensor.spec.elements()};
  }
  /// A file of one adapter tensor pair of qkv_proj, [rank, 4] and [8, rank].
  std::string adapterFile(int64_t rank, const std::vector<float> &a, const std::vector<float> &b) {
    const std::string name = "base_model.model." + attention + "qkv_proj.lora_";
    const std::string path = root / "adapter.safetensors";
    const TensorView tensors[] = {{{name + "A.weight", TensorType::F32, {rank, 4}}, a.data()},
                                  {{name + "B.weight", TensorType::F32, {8, rank}}, b.data()}};
    EXPECT_TRUE(writeSafetensors(path, tensors, {}, diags));
    return path;
  }

  ModelConfig model;
  LoraConfig lora;
  CheckpointOptions options;
  std::vector<float> values = std::vector<float>(140);
};

TEST_F(FusedWeights, Names) {
  const auto parts = partsOf(attention + "qkv_proj", model);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[1].module, attention + "k_proj");
  EXPECT_EQ(parts[1].firstRow, 4);
  EXPECT_EQ(parts[2].firstRow, 6);
  EXPECT_EQ(parts[2].rows, 2);
  EXPECT_EQ(fusedModule(mlp + "up_proj", model), mlp + "gate_up_proj");
  EXPECT_EQ(fusedModule(mlp + "down_proj", model), "");
  EXPECT_TRUE(partsOf(attention + "q_proj", model).empty());
  model.architecture = ModelArchitecture::Llama;
  EXPECT_TRUE(partsOf(attention + "qkv_proj", model).empty());
  EXPECT_EQ(fusedModule(mlp + "up_proj", model), "");
}

TEST_F(FusedWeights, RoundTrip) {
  options.parameters[2] = elsewhere(options.parameters[2]);
  const std::string folder = written();
  auto file = SafetensorsFile::open(folder + "/model.safetensors", diags);
  ASSERT_TRUE(file) << messages();
  std::set<std::string> names;
  for (const auto &[name, entry] : file->entries())
    names.insert(name);
  EXPECT_EQ(names, (std::set<std::string>{attention + "qkv_proj.weight", attention + "o_proj.weight",
                                          mlp + "gate_up_proj.weight"}));
  std::vector<float> fused(32);
  ASSERT_TRUE(file->read(*file->find(attention + "qkv_proj.weight"), TensorType::F32, fused.data(), diags));
  EXPECT_EQ(fused, std::vector<float>(values.begin(), values.begin() + 32)); // q, k, v one after the other
  auto states = openOptimizerState(folder, diags);
  ASSERT_TRUE(states);
  EXPECT_TRUE(states->find(attention + "q_proj.weight.exp_avg")); // of the step's own parameters

  auto reader = open(folder);
  ASSERT_TRUE(reader) << messages();
  options.parameters[2] = view(attention + "k_proj.weight", {2, 4}, 16);
  std::vector<TensorSpec> wanted;
  for (const TensorView &tensor : options.parameters) {
    wanted.push_back(tensor.spec);
    EXPECT_EQ(read(*reader, tensor.spec), valuesOf(tensor)) << tensor.spec.name;
  }
  EXPECT_TRUE(reader->check(wanted, diags)) << messages();
  EXPECT_TRUE(findNewestCheckpoint(root / "out", diags)) << messages();
}

/// Shards name what is in them; an index is understood, and one that lies is not.
TEST_F(FusedWeights, InShards) {
  options.shardBytes = 150;
  const std::string folder = written();
  const json index = json::parse(readAll(folder + "/model.safetensors.index.json"));
  EXPECT_EQ(index["weight_map"].size(), 3u);
  EXPECT_EQ(index["weight_map"][attention + "qkv_proj.weight"], "model-00003-of-00003.safetensors");
  auto reader = open(folder);
  ASSERT_TRUE(reader) << messages();
  EXPECT_EQ(read(*reader, options.parameters[2].spec), valuesOf(options.parameters[2]));
  json wrong = index;
  wrong["weight_map"][attention + "qkv_proj.weight"] = "model-00001-of-00003.safetensors";
  write("out/step_1/model.safetensors.index.json", wrong.dump());
  EXPECT_FALSE(open(folder));
  EXPECT_TRUE(says("tensor '" + attention + "qkv_proj.weight' should be in")) << messages();
}

/// PyTorch's files may hold views: here of a transposed matrix.
TEST_F(FusedWeights, OfTorchFiles) {
  const TensorPickle pickle{.name = attention + "qkv_proj.weight", .shape = {8, 4}, .strides = {1, 8}, .elements = 32};
  std::string storage;
  for (int i = 0; i < 32; ++i)
    storage += little(std::bit_cast<uint32_t>(static_cast<float>(i)), 4);
  write("model.bin", archiveOf({{"archive/data.pkl", pickle.dictionary()},
                                {"archive/byteorder", "little"},
                                {"archive/data/0", storage},
                                {"archive/version", "3\n"}}));
  auto reader = open(root, {"model.bin"});
  ASSERT_TRUE(reader) << messages();
  EXPECT_EQ(read(*reader, options.parameters[2].spec), (std::vector<float>{4, 12, 20, 28, 5, 13, 21, 29}));
  EXPECT_EQ(read(*reader, options.parameters[0].spec), (std::vector<float>{6, 14, 22, 30, 7, 15, 23, 31}));
}

/// A slice is quantized as the same weight alone.
TEST_F(FusedWeights, AreQuantized) {
  auto quantized = [&](const std::string &folder, const ModelConfig &of) {
    auto reader = CheckpointReader::open(folder, {}, diags, &of);
    const TensorSpec wanted{attention + "k_proj.weight", TensorType::F32, {128, 128}};
    std::vector<uint8_t> codes(nf4CodeBytes(128 * 128)), absmax(nf4Blocks(128 * 128));
    std::vector<float> nested(1);
    float offset = 0;
    EXPECT_TRUE(reader && reader->quantize(wanted, {{}, {codes.data(), absmax.data(), nested.data(), &offset}}, diags))
        << messages();
    codes.insert(codes.end(), absmax.begin(), absmax.end());
    return codes;
  };
  std::vector<float> rows(512 * 128);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = std::sin(static_cast<float>(i * i % 1013));
  model.headDim = 128;
  auto file = [&](const std::string &name, std::string tensor, int64_t first, int64_t count) {
    fs::create_directory(root / name);
    EXPECT_TRUE(writeSafetensors(
        root / name / "model.safetensors",
        {{TensorView{{std::move(tensor), TensorType::F32, {count, 128}}, rows.data() + first * 128}}}, {}, diags));
    return root / name;
  };
  ModelConfig whole = model;
  whole.architecture = ModelArchitecture::Llama;
  EXPECT_EQ(quantized(file("fused", attention + "qkv_proj.weight", 0, 512), model),
            quantized(file("whole", attention + "k_proj.weight", 256, 128), whole));
}

TEST_F(FusedWeights, Errors) {
  const std::string folder = written(), name = attention + "qkv_proj.weight";
  model.numKvHeads = 2;
  EXPECT_FALSE(open(folder));
  EXPECT_TRUE(says("tensor '" + name + "' has shape [8, 4]; the rows of the recipe's model are 4 of " + attention +
                   "q_proj.weight, 4 of " + attention + "k_proj.weight, 4 of"))
      << messages();
  model.numKvHeads = 1;
  auto reader = open(folder);
  ASSERT_TRUE(reader);
  EXPECT_FALSE(
      reader->check({{options.parameters[3].spec, options.parameters[4].spec, options.parameters[5].spec}}, diags));
  EXPECT_EQ(messages(), folder + ": error: tensor '" + name +
                            "' of shape [2, 4] has no place in the recipe's model\n"); // told once
  diags.clear();
  EXPECT_FALSE(reader->check({{{"model.layers.1.self_attn.k_proj.weight", TensorType::F32, {2, 4}}}}, diags));
  EXPECT_TRUE(
      says("tensor 'model.layers.1.self_attn.qkv_proj.weight' (model.layers.1.self_attn.k_proj.weight) of shape "
           "[2, 4] is missing"))
      << messages();
  // Whole and in part.
  fs::create_directory(root / "both");
  const TensorView both[] = {view(name, {8, 4}, 0), view(attention + "k_proj.weight", {2, 4}, 0)};
  ASSERT_TRUE(writeSafetensors(root / "both/model.safetensors", both, {}, diags));
  EXPECT_FALSE(open(root / "both"));
  EXPECT_TRUE(says("is also in")) << messages();
}

TEST_F(FusedWeights, AdaptersBecomeBlocks) {
  addAdapter();
  const std::string folder = written();
  auto file = SafetensorsFile::open(folder + "/adapter/adapter_model.safetensors", diags);
  ASSERT_TRUE(file) << messages();
  EXPECT_EQ(file->entries().size(), 4u);
  const std::string name = "base_model.model." + attention + "qkv_proj.lora_";
  const auto *a = file->find(name + "A.weight"), *b = file->find(name + "B.weight");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->spec.shape, (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(b->spec.shape, (std::vector<int64_t>{8, 4}));
  std::vector<float> found(32);
  ASSERT_TRUE(file->read(*b, TensorType::F32, found.data(), diags));
  const float *q = values.data() + 80, *v = values.data() + 100;
  EXPECT_EQ(found, (std::vector<float>{q[0], q[1], 0, 0, q[2], q[3], 0, 0, q[4], q[5], 0,    0, q[6], q[7], 0,   0, 0,
                                       0,    0,    0, 0, 0,    0,    0, 0, 0,    v[0], v[1], 0, 0,    v[2], v[3]}));
  const json config = json::parse(readAll(folder + "/adapter/adapter_config.json"));
  EXPECT_EQ(config["target_modules"], (json::array({"qkv_proj", "o_proj"})));
  EXPECT_EQ(config["r"], 2);
  EXPECT_EQ(config["lora_alpha"], 3);
  EXPECT_EQ(config["rank_pattern"], (json{{"qkv_proj", 4}}));
  EXPECT_EQ(config["alpha_pattern"], (json{{"qkv_proj", 6}}));

  auto reader = AdapterReader::open(folder, lora, model, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->check(adapterSpecs(), diags)) << messages();
  for (const TensorView &tensor : options.parameters) {
    if (!isAdapterName(tensor.spec.name))
      continue;
    std::vector<float> part(static_cast<size_t>(tensor.spec.elements()));
    ASSERT_TRUE(reader->read({tensor.spec, part.data()}, diags)) << messages();
    EXPECT_EQ(part, valuesOf(tensor)) << tensor.spec.name;
  }
}

/// What a device holds is written as what lies here, and without memory that was not taken before.
TEST_F(FusedWeights, AdaptersElsewhere) {
  addAdapter(/*dora=*/true);
  const std::string here = readAll(written() + "/adapter/adapter_model.safetensors");
  for (TensorView &tensor : options.parameters)
    tensor = elsewhere(tensor);
  options.outputDir = root / "again";
  auto writer = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(writer) << messages();
  const uint64_t before = allocationCount();
  ASSERT_TRUE(writer->write({.step = 1}, diags)) << messages();
  EXPECT_EQ(allocationCount(), before);
  EXPECT_EQ(readAll(root / "again/step_1/adapter/adapter_model.safetensors"), here);
  values[72] += 1; // the next checkpoint has the values of then
  ASSERT_TRUE(writer->write({.step = 2}, diags)) << messages();
  EXPECT_NE(readAll(root / "again/step_2/adapter/adapter_model.safetensors"), here);
}

/// With DoRA, what has no adapter keeps its norms.
TEST_F(FusedWeights, Magnitudes) {
  addAdapter(/*dora=*/true);
  const std::string folder = written();
  auto file = SafetensorsFile::open(folder + "/adapter/adapter_model.safetensors", diags);
  ASSERT_TRUE(file) << messages();
  const auto *entry = file->find("base_model.model." + attention + "qkv_proj.lora_magnitude_vector");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->spec.shape, (std::vector<int64_t>{8}));
  std::vector<float> found(8);
  ASSERT_TRUE(file->read(*entry, TensorType::F32, found.data(), diags));
  EXPECT_EQ(std::vector<float>(found.begin(), found.begin() + 4),
            std::vector<float>(values.begin() + 88, values.begin() + 92));
  EXPECT_EQ(std::vector<float>(found.begin() + 6, found.end()),
            std::vector<float>(values.begin() + 108, values.begin() + 110));
  for (int row = 4; row < 6; ++row)
    EXPECT_FLOAT_EQ(found[static_cast<size_t>(row)], std::hypot(std::hypot(values[row * 4], values[row * 4 + 1]),
                                                                std::hypot(values[row * 4 + 2], values[row * 4 + 3])));
  auto reader = AdapterReader::open(folder, lora, model, diags);
  ASSERT_TRUE(reader && reader->check(adapterSpecs(), diags)) << messages();
}

/// PEFT's usual adapter of qkv_proj, of one rank for all rows, is one for each projection, with the same A.
TEST_F(FusedWeights, AnAdapterForAllRows) {
  std::vector<float> a(8), b(16);
  for (size_t i = 0; i < b.size(); ++i)
    b[i] = static_cast<float>(i + 1);
  a[3] = 5;
  const std::string path = adapterFile(2, a, b);
  lora.targets = {"q_proj", "k_proj", "v_proj"};
  auto reader = AdapterReader::open(path, lora, model, diags);
  ASSERT_TRUE(reader) << messages();
  std::vector<float> found(8), rows(4);
  ASSERT_TRUE(reader->read({{attention + "v_proj.lora_A.weight", TensorType::F32, {2, 4}}, found.data()}, diags));
  EXPECT_EQ(found, a);
  ASSERT_TRUE(reader->read({{attention + "v_proj.lora_B.weight", TensorType::F32, {2, 2}}, rows.data()}, diags));
  EXPECT_EQ(rows, (std::vector<float>{13, 14, 15, 16}));
  // Where the step has one for two of them, there is no place for the third.
  lora.targets = {"q_proj", "v_proj"};
  reader = AdapterReader::open(path, lora, model, diags);
  ASSERT_TRUE(reader) << messages();
  EXPECT_FALSE(reader->check({{{attention + "q_proj.lora_A.weight", TensorType::F32, {2, 4}}}}, diags));
  EXPECT_TRUE(says("has no place in the step; recompile with adapters for the same projections")) << messages();
}

TEST_F(FusedWeights, AdaptersThatAreNoBlocks) {
  lora.targets = {"q_proj", "v_proj"};
  std::vector<float> a(16), b(32);
  b[4 * 4 + 1] = 0.5f; // a row of keys
  EXPECT_FALSE(AdapterReader::open(adapterFile(4, a, b), lora, model, diags));
  EXPECT_TRUE(says("qkv_proj.lora_B.weight' is not made of an adapter for each projection: row 0 of " + attention +
                   "k_proj has 0.5 in column 1; such a one can be merged into the weights with PEFT"))
      << messages();
  diags.clear();
  b[4 * 4 + 1] = 0;
  b[2] = 1; // queries that read the A of values
  EXPECT_FALSE(AdapterReader::open(adapterFile(4, a, b), lora, model, diags));
  EXPECT_TRUE(says("row 0 of " + attention + "q_proj has 1 in column 2")) << messages();
  diags.clear();
  EXPECT_FALSE(AdapterReader::open(adapterFile(3, std::vector<float>(12), std::vector<float>(24)), lora, model, diags));
  EXPECT_TRUE(says("has rank 3; for the step it is 4 (2 of 3 projections have an adapter of rank 2), or 2 where all"))
      << messages();
  diags.clear();
  model.numKvHeads = 2;
  EXPECT_FALSE(AdapterReader::open(adapterFile(4, a, std::vector<float>(32)), lora, model, diags));
  EXPECT_TRUE(says("has shape [8, 4], and the fused module has 12 outputs")) << messages();
}

/// What of Phi-3's family is another model is refused by its name.
TEST_F(FusedWeights, ConfigJson) {
  const json good = json::parse(configJson(model, DType::F32, {}));
  EXPECT_EQ(good["architectures"], json::array({"Phi3ForCausalLM"}));
  EXPECT_EQ(good["model_type"], "phi3");
  auto check = [&](const char *key, const json &value) {
    json config = good;
    config[key] = value;
    diags.clear();
    return checkConfigJson(write("config.json", config.dump()), model, diags);
  };
  EXPECT_TRUE(check("rms_norm_eps", nullptr));
  EXPECT_EQ(messages(), ""); // 1e-5 is what transformers takes then
  for (const char *kind : {"longrope", "su", "yarn"}) {
    EXPECT_FALSE(check("rope_scaling", {{"type", kind}, {"long_factor", {1.0}}}));
    EXPECT_TRUE(says("rotary scaling is \"" + std::string(kind) + "\", the recipe's model has none")) << messages();
  }
  EXPECT_FALSE(check("partial_rotary_factor", 0.75));
  EXPECT_TRUE(says("'partial_rotary_factor' is 0.75, the recipe's model turns 2 of the 2 columns of a head"))
      << messages();
  EXPECT_FALSE(check("rope_parameters", {{"rope_theta", 10000.0}, {"partial_rotary_factor", 0.5}}));
  EXPECT_TRUE(check("partial_rotary_factor", 1.0)) << messages();
  // Windows.
  EXPECT_EQ(good["sliding_window"], nullptr);
  EXPECT_TRUE(check("sliding_window", 2047));
  EXPECT_TRUE(says("warning: 'sliding_window' is 2047, the recipe's model has null")) << messages();
  model.slidingWindow = 2047;
  EXPECT_TRUE(check("sliding_window", 2047));
  EXPECT_EQ(messages(), "");
  EXPECT_EQ(json::parse(configJson(model, DType::F32, {}, R"({"sliding_window": 5})"))["sliding_window"], 2047);
}

/// Phi-4 mini's part of a head, and its angles.
TEST_F(FusedWeights, ConfigJsonOfLongRope) {
  model.headDim = 8;
  model.rotaryDim = 6;
  model.maxSeqLen = 131072;
  model.tiedEmbeddings = true;
  model.ropeScaling = longRope({1, 1.5, 2}, 4096, model.maxSeqLen);
  model.longDivisors = {1, 4, 16};
  json config = json::parse(configJson(model, DType::F32, {}));
  EXPECT_EQ(config["partial_rotary_factor"], 0.75);
  EXPECT_EQ(config["original_max_position_embeddings"], 4096);
  EXPECT_EQ(config["rope_scaling"],
            (json{{"type", "longrope"}, {"short_factor", {1.0, 1.5, 2.0}}, {"long_factor", {1.0, 4.0, 16.0}}}));
  auto check = [&] {
    diags.clear();
    return checkConfigJson(write("config.json", config.dump()), model, diags);
  };
  EXPECT_TRUE(check());
  EXPECT_EQ(messages(), "");
  config["rope_scaling"]["long_factor"][1] = 5.0;
  config["max_position_embeddings"] = 8192;
  EXPECT_TRUE(check());
  EXPECT_TRUE(says("warning: 'rope_scaling.long_factor' has other numbers than the recipe's model")) << messages();
  EXPECT_TRUE(says("warning: 'max_position_embeddings' is 8192, the recipe's model has 131072")) << messages();
  config["partial_rotary_factor"] = 1.0;
  EXPECT_FALSE(check());
  EXPECT_TRUE(says("'partial_rotary_factor' is 1, the recipe's model turns 6 of the 8 columns of a head"))
      << messages();
  config.erase("rope_scaling");
  EXPECT_FALSE(check());
  EXPECT_TRUE(says("rotary scaling is null, the recipe's model has LongRoPE's")) << messages();
}

TEST_F(FusedWeights, PatternsOfAnAdapterConfig) {
  addAdapter();
  const std::string folder = written();
  json config = json::parse(readAll(folder + "/adapter/adapter_config.json"));
  auto opens = [&](const json &ranks, const json &alphas) {
    config["rank_pattern"] = ranks;
    config["alpha_pattern"] = alphas;
    write("out/step_1/adapter/adapter_config.json", config.dump());
    diags.clear();
    return AdapterReader::open(folder, lora, model, diags) != nullptr;
  };
  EXPECT_TRUE(opens({{"qkv_proj", 4}}, {{"qkv_proj", 6}})) << messages();
  EXPECT_FALSE(opens({{"qkv_proj", 4}}, {{"qkv_proj", 3}}));
  EXPECT_TRUE(says("'rank_pattern' is {\"qkv_proj\":4}, and all adapters of a step have one rank and one scale"))
      << messages();
  EXPECT_FALSE(opens({{"qkv_proj", 4}}, json::object()));
  EXPECT_FALSE(opens(json::object(), {{"qkv_proj", 6}}));
  EXPECT_FALSE(opens({{"o_proj", 2}}, {{"o_proj", 3}}));
}

} // namespace

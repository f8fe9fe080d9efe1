//===- TextPartTest.cpp - The text part of a model that reads images ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AllocationCount.h"
#include "CheckpointFixture.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A Gemma 3 with images of two tensors of text, one of its tower and one of its projector.
class TextPart : public CheckpointFixture {
protected:
  void SetUp() override {
    CheckpointFixture::SetUp();
    model.family = "gemma3";
    model.architecture = ModelArchitecture::Gemma3;
    model.vocabSize = 259;
    model.numLayers = 1;
    model.numHeads = 2;
    model.numKvHeads = 1;
    model.embedDim = 4;
    model.headDim = 2;
    model.intermediateDim = 8;
    model.maxSeqLen = 64;
    model.normEps = 1e-6;
    model.ropeBase = 1e6;
    model.localRopeBase = 1e4;
    model.windowPattern = 6;
    model.slidingWindow = 4096;
    model.queryScalar = 256;
    model.tiedEmbeddings = true;
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i) + 0.5f;
    config = {{"architectures", {"Gemma3ForConditionalGeneration"}},
              {"model_type", "gemma3"},
              {"eos_token_id", {1, 106}},
              {"image_token_index", 262144},
              {"dtype", "bfloat16"},
              {"text_config",
               {{"model_type", "gemma3_text"},
                {"hidden_size", 4},
                {"intermediate_size", 8},
                {"num_hidden_layers", 1},
                {"num_attention_heads", 2},
                {"num_key_value_heads", 1},
                {"head_dim", 2},
                {"vocab_size", 259},
                {"rope_parameters",
                 {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 1e6}}},
                  {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}}}}},
              {"vision_config", {{"hidden_size", 16}, {"model_type", "siglip_vision_model"}}}};
    options.outputDir = root / "out";
    options.sourceDir = root / "source";
    options.model = model;
    options.dtype = DType::BF16;
    options.parameters = {view("model.norm.weight", {4}, 0), view(query, {4, 4}, 4)};
    options.states = {view("model.norm.weight.exp_avg", {4}, 20)};
  }

  TensorView view(std::string name, std::vector<int64_t> shape, size_t at) {
    return {{std::move(name), TensorType::F32, std::move(shape)}, values.data() + at};
  }
  /// The files that training starts from; what is not of the text part is of types of its own.
  void writeSource(bool renamed) {
    write("source/config.json", config.dump());
    const std::string text = renamed ? "model.language_model." : "language_model.model.",
                      other = renamed ? "model." : "";
    TensorView norm = view(text + "norm.weight", {4}, 100),
               weight = view(text + "layers.0.self_attn.q_proj.weight", {4, 4}, 104);
    TensorView tower = view(other + "vision_tower.vision_model.embeddings.position_embedding.weight", {40000}, 0);
    tower.data = pixels.data();
    tower.spec.type = TensorType::F16;
    TensorView projector = view(other + "multi_modal_projector.mm_soft_emb_norm.weight", {3}, 120);
    const TensorView tensors[] = {norm, weight, tower, projector};
    ASSERT_TRUE(writeSafetensors(root / "source/model.safetensors", tensors, {}, diags)) << messages();
  }
  std::set<std::string> namesIn(const fs::path &path) {
    std::set<std::string> names;
    if (auto file = SafetensorsFile::open(path, diags))
      for (const auto &[name, entry] : file->entries())
        names.insert(name);
    return names;
  }

  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  ModelConfig model;
  json config;
  CheckpointOptions options;
  std::vector<float> values = std::vector<float>(256);
  std::vector<uint16_t> pixels = std::vector<uint16_t>(40000, 0x3555);
};

TEST_F(TextPart, IsReadByEitherNames) {
  for (bool renamed : {false, true}) {
    writeSource(renamed);
    auto reader = CheckpointReader::open(options.sourceDir, {}, diags, &model);
    ASSERT_TRUE(reader) << messages();
    const TensorSpec wanted[] = {options.parameters[0].spec, options.parameters[1].spec};
    EXPECT_TRUE(reader->check(wanted, diags)) << messages();
    EXPECT_EQ(reader->otherParts().size(), 2u);
    std::vector<float> read(16);
    ASSERT_TRUE(reader->read({wanted[1], read.data()}, diags)) << messages();
    EXPECT_EQ(read[3], values[107]);
    // Another architecture has no such part.
    ModelConfig other = model;
    other.architecture = ModelArchitecture::Gemma2;
    reader = CheckpointReader::open(options.sourceDir, {}, diags, &other);
    EXPECT_FALSE(reader->check(wanted, diags));
    EXPECT_TRUE(says("vision_tower")) << messages();
    diags.clear();
  }
}

TEST_F(TextPart, IsWrittenWithWhatStandsBesideIt) {
  for (bool renamed : {false, true}) {
    writeSource(renamed);
    options.outputDir = root / (renamed ? "renamed" : "out"); // nothing is replaced
    auto out = CheckpointWriter::create(options, diags);
    ASSERT_TRUE(out) << messages();
    EXPECT_EQ(out->tensorBytes(), (4 + 16 + 4) * 4u + 80000u + 12u);
    const uint64_t before = allocationCount();
    const bool good = out->write({.step = 1}, diags);
    EXPECT_EQ(allocationCount(), before);
    ASSERT_TRUE(good) << messages();
    const std::string step = options.outputDir + "/step_1";
    EXPECT_EQ(namesIn(step + "/model.safetensors"), namesIn(root / "source/model.safetensors"));
    auto reader = CheckpointReader::open(step, {}, diags, &model);
    ASSERT_TRUE(reader) << messages();
    std::vector<float> read(16);
    ASSERT_TRUE(reader->read({options.parameters[1].spec, read.data()}, diags)) << messages();
    EXPECT_EQ(read, std::vector<float>(values.begin() + 4, values.begin() + 20));
    for (const CheckpointReader::OtherPart &other : reader->otherParts())
      if (other.entry->spec.type == TensorType::F16) {
        std::vector<uint16_t> copied(40000);
        ASSERT_TRUE(other.file->read(*other.entry, TensorType::F16, copied.data(), diags)) << messages();
        EXPECT_EQ(copied, pixels);
      }
    EXPECT_TRUE(checkConfigJson(step + "/config.json", model, diags));
    EXPECT_EQ(messages(), "");
    const json written = json::parse(readAll(step + "/config.json"));
    EXPECT_EQ(written["architectures"], config["architectures"]);
    EXPECT_EQ(written["model_type"], "gemma3");
    EXPECT_EQ(written["vision_config"], config["vision_config"]);
    EXPECT_EQ(written["eos_token_id"], config["eos_token_id"]);
    EXPECT_EQ(written["torch_dtype"], "bfloat16");
    EXPECT_FALSE(written.contains("dtype") || written.contains("hidden_size"));
    EXPECT_EQ(written["tie_word_embeddings"], true);
    const json &text = written["text_config"];
    EXPECT_EQ(text["model_type"], "gemma3_text");
    EXPECT_FALSE(text.contains("architectures") || text.contains("eos_token_id") || text.contains("rope_parameters"));
    EXPECT_EQ(text["rope_local_base_freq"], 1e4);
    // From the checkpoint again.
    options.sourceDir = step;
    options.outputDir = root / "again";
    out = CheckpointWriter::create(options, diags);
    ASSERT_TRUE(out) << messages();
    ASSERT_TRUE(out->write({.step = 1}, diags)) << messages();
    EXPECT_EQ(readAll(root / "again/step_1/config.json"), readAll(step + "/config.json"));
    EXPECT_EQ(readAll(root / "again/step_1/model.safetensors"), readAll(step + "/model.safetensors"));
    options.sourceDir = root / "source";
  }
}

/// By a file of the text part alone, or by none, it is a model by itself.
TEST_F(TextPart, IsAModelByItselfWithoutTheFileOfTheWhole) {
  writeSource(false);
  json text = config["text_config"];
  write("source/config.json", text.dump());
  EXPECT_FALSE(isAroundTextPart(root / "source/config.json", model));
  auto out = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(out) << messages();
  ASSERT_TRUE(out->write({.step = 1}, diags)) << messages();
  EXPECT_EQ(namesIn(root / "out/step_1/model.safetensors"), (std::set<std::string>{"model.norm.weight", query}));
  EXPECT_EQ(json::parse(readAll(root / "out/step_1/config.json"))["model_type"], "gemma3_text");
}

/// A checkpoint is whole or not there: also where the files that training started from can no longer be read.
TEST_F(TextPart, AFailureLeavesNothing) {
  writeSource(false);
  auto out = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(out) << messages();
  ASSERT_TRUE(out->write({.step = 1}, diags)) << messages();
  fs::rename(root / "source/model.safetensors", root / "source/moved"); // it is open still
  ASSERT_TRUE(out->write({.step = 2}, diags)) << messages();
  fs::resize_file(root / "source/moved", 1000);
  EXPECT_FALSE(out->write({.step = 3}, diags));
  EXPECT_TRUE(
      says("step_3: error: cannot write the checkpoint (" + (root / "source/model.safetensors").native() + "): "))
      << messages();
  EXPECT_FALSE(fs::exists(root / "out/step_3"));
  EXPECT_TRUE(fs::exists(root / "out/step_2/model.safetensors"));
  // Without the weights there is nothing to copy.
  diags.clear();
  fs::remove(root / "source/moved");
  EXPECT_FALSE(CheckpointWriter::create(options, diags));
  EXPECT_TRUE(says("has none of model.safetensors")) << messages();
}

TEST_F(TextPart, AdaptersHaveTheModulesNames) {
  writeSource(false);
  const std::string module = "model.layers.0.self_attn.q_proj";
  options.parameters.push_back(view(module + ".lora_A.weight", {2, 4}, 30));
  options.parameters.push_back(view(module + ".lora_B.weight", {4, 2}, 40));
  options.adapter = AdapterOptions{LoraConfig{{"q_proj", "gate_proj"}, 2, 4}, "base"};
  auto out = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(out) << messages();
  ASSERT_TRUE(out->write({.step = 1}, diags)) << messages();
  const std::string peft = "base_model.model.model.language_model.layers.0.self_attn.q_proj";
  const fs::path folder = root / "out/step_1/adapter";
  EXPECT_EQ(namesIn(folder / "adapter_model.safetensors"),
            (std::set<std::string>{peft + ".lora_A.weight", peft + ".lora_B.weight"}));
  EXPECT_EQ(namesIn(root / "out/step_1/model.safetensors"), namesIn(root / "source/model.safetensors"));
  const std::regex targets(json::parse(readAll(folder / "adapter_config.json"))["target_modules"].get<std::string>());
  EXPECT_TRUE(std::regex_match("model.language_model.layers.0.self_attn.q_proj", targets));
  EXPECT_TRUE(std::regex_match("language_model.model.layers.11.mlp.gate_proj", targets));
  EXPECT_FALSE(std::regex_match("model.language_model.layers.0.mlp.up_proj", targets));
  EXPECT_FALSE(std::regex_match("model.vision_tower.encoder.layers.0.self_attn.q_proj", targets));
  EXPECT_FALSE(std::regex_match("lm_head", targets));

  auto reader = AdapterReader::open(folder, options.adapter->lora, model, diags);
  ASSERT_TRUE(reader) << messages();
  const TensorSpec wanted[] = {options.parameters[2].spec, options.parameters[3].spec};
  EXPECT_TRUE(reader->check(wanted, diags)) << messages();
  std::vector<float> read(8);
  ASSERT_TRUE(reader->read({wanted[1], read.data()}, diags)) << messages();
  EXPECT_EQ(read[0], values[40]);

  // Alone, they need nothing of the weights' files.
  fs::remove(root / "source/model.safetensors");
  options.adapter->adapterOnly = true;
  out = CheckpointWriter::create(options, diags);
  ASSERT_TRUE(out) << messages();
  ASSERT_TRUE(out->write({.step = 2}, diags)) << messages();
  EXPECT_TRUE(namesIn(root / "out/step_2/adapter_model.safetensors").contains(peft + ".lora_A.weight"));
}

/// A head has no place in the text part.
TEST_F(TextPart, AdaptersOfTheHead) {
  const json config = json::parse(adapterConfigJson(LoraConfig{{"q_proj", "lm_head"}, 2, 4}, "", model, true));
  const std::regex targets(config["target_modules"].get<std::string>());
  EXPECT_TRUE(std::regex_match("lm_head", targets));
  EXPECT_TRUE(std::regex_match("language_model.lm_head", targets));
  EXPECT_TRUE(std::regex_match("model.language_model.layers.0.self_attn.q_proj", targets));
  EXPECT_FALSE(std::regex_match("model.vision_tower.layers.0.self_attn.q_proj", targets));
  EXPECT_EQ(peftName("lm_head.lora_A.weight", true), "base_model.model.lm_head.lora_A.weight");
}

TEST_F(TextPart, DifferencesAreToldAsOfAModelByItself) {
  auto check = [&](const json &of) {
    diags.clear();
    return checkConfigJson(write("config.json", of.dump()), model, diags);
  };
  EXPECT_TRUE(check(config));
  EXPECT_EQ(messages(), "");
  json other = config;
  other["text_config"]["hidden_size"] = 8;
  EXPECT_FALSE(check(other));
  EXPECT_TRUE(says("'hidden_size' is 8, the recipe's model has 4")) << messages();
  other = config;
  other["text_config"].erase("num_key_value_heads"); // 4, not as many as heads
  EXPECT_FALSE(check(other));
  EXPECT_TRUE(says("'num_key_value_heads' is 4, the recipe's model has 1")) << messages();
  other = config;
  other["tie_word_embeddings"] = false;
  EXPECT_FALSE(check(other));
  other = config;
  other["text_config"]["model_type"] = "gemma2";
  EXPECT_FALSE(check(other));
  EXPECT_TRUE(says("'model_type' is \"gemma2\"")) << messages();
}

} // namespace

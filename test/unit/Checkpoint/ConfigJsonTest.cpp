//===- ConfigJsonTest.cpp - Descriptions of models beside weights ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CheckpointFixture.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <tuple>

using namespace ftc;
using nlohmann::json;

namespace {

class ConfigJson : public CheckpointFixture {
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
  }
  bool check(const json &config) {
    diags.clear();
    return checkConfigJson(write("config.json", config.dump()), model, diags);
  }

  ModelConfig model;
};

TEST_F(ConfigJson, ConfigOfAModel) {
  model.ropeScaling = {32, 1, 4, 8192};
  json config = json::parse(configJson(model, DType::BF16, {}));
  EXPECT_EQ(config["architectures"], json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["rope_scaling"]["factor"], 32);
  EXPECT_EQ(config["rope_scaling"]["rope_type"], "llama3");
  EXPECT_EQ(config["eos_token_id"], 257);
  model.ropeScaling = {};
  EXPECT_FALSE(json::parse(configJson(model, DType::F32, {})).contains("rope_scaling"));
}

TEST_F(ConfigJson, ConfigKeepsWhatItDoesNotDecide) {
  json config = json::parse(configJson(model, DType::F32, {}, R"({"eos_token_id": [7, 8], "hidden_size": 1,
      "max_position_embeddings": 131072, "rope_parameters": {"rope_theta": 1, "rope_type": "yarn"}, "dtype": "float16",
      "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}})"));
  EXPECT_EQ(config["eos_token_id"], json({7, 8}));
  EXPECT_EQ(config["hidden_size"], 8);
  EXPECT_EQ(config["max_position_embeddings"], 131072);
  EXPECT_FALSE(config.contains("rope_parameters"));
  EXPECT_FALSE(config.contains("dtype"));
  EXPECT_FALSE(config.contains("auto_map")); // code that is not written beside it
}

TEST_F(ConfigJson, ConfigDifferences) {
  model.ropeScaling = {32, 1, 4, 8192};
  json good = json::parse(configJson(model, DType::F32, {}));
  EXPECT_TRUE(check(good)) << messages();
  // As transformers 5 writes it.
  json joint = good;
  joint["rope_parameters"] = joint["rope_scaling"];
  joint["rope_parameters"]["rope_theta"] = 500000.0;
  joint.erase("rope_scaling");
  joint.erase("rope_theta");
  joint.erase("head_dim");
  EXPECT_TRUE(check(joint)) << messages();

  struct Change {
    const char *pointer;
    json value;
    const char *message;
    bool isError = false;
  };
  const Change changes[] = {
      {"/hidden_size", 16, "'hidden_size' is 16, the recipe's model has 8; name the builder", true},
      {"/num_hidden_layers", nullptr, "'num_hidden_layers' is missing"},
      {"/num_key_value_heads", nullptr, "'num_key_value_heads' is 4, the recipe's model has 2", true},
      {"/num_attention_heads", 8, "'num_attention_heads' is 8, the recipe's model has 4", true},
      {"/vocab_size", "many", "'vocab_size' is not a number"},
      {"/rope_theta", 10000, "'rope_theta' is 10000, the recipe's model has 500000, which is what is trained"},
      {"/rms_norm_eps", 1e-6, "'rms_norm_eps' is 1e-06, the recipe's model has 1e-05"},
      {"/tie_word_embeddings", false, "'tie_word_embeddings' is false, the recipe's model has true", true},
      {"/attention_bias", true, "'attention_bias' is true", true},
      {"/rope_scaling", nullptr, "has no rotary scaling, the recipe's model scales by 32"},
      {"/rope_scaling/factor", 8, "'rope_scaling.factor' is 8"},
      {"/rope_scaling/rope_type", "yarn", "rotary scaling \"yarn\" is not known"},
      {"/model_type", "gemma", "'model_type' is \"gemma\", the recipe's model is a llama; name the builder", true},
      {"/model_type", "mistral", "'model_type' is \"mistral\", the recipe's model is a llama, whose graph is the same"},
      {"/model_type", nullptr, "'model_type' is null, the recipe's model is a llama; nothing else was compared"},
  };
  for (const Change &change : changes) {
    json config = good;
    config[json::json_pointer(change.pointer)] = change.value;
    EXPECT_EQ(check(config), !change.isError) << change.pointer;
    ASSERT_EQ(diags.size(), 1u);
    EXPECT_EQ(diags[0].severity, change.isError ? Severity::Error : Severity::Warning) << change.pointer;
    EXPECT_TRUE(says(change.message)) << messages();
  }
  EXPECT_FALSE(check(json::array()));
  EXPECT_FALSE(checkConfigJson(root / "missing", model, diags));
}

/// What transformers 5.23 takes of a file that has the older and the newer name, or none.
TEST_F(ConfigJson, NamesThatCount) {
  json config = json::parse(configJson(model, DType::F32, {}));
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  config["rope_theta"] = 1.0;
  EXPECT_TRUE(check(config) && diags.empty()) << messages();
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"rope_theta", 2.0}};
  EXPECT_TRUE(check(config));
  EXPECT_TRUE(says("'rope_theta' is 2, the recipe's model has 500000")) << messages();
  EXPECT_TRUE(says("rotary scaling \"yarn\" is not known")) << messages();

  model.architecture = ModelArchitecture::Mistral;
  config = json::parse(configJson(model, DType::F32, {}));
  config.erase("num_key_value_heads");
  EXPECT_FALSE(check(config));
  EXPECT_TRUE(says("'num_key_value_heads' is 8, the recipe's model has 2")) << messages();

  model.architecture = ModelArchitecture::Gemma3;
  model.slidingWindow = 512;
  model.windowPattern = 6;
  config = json::parse(configJson(model, DType::F32, {}));
  config.erase("layer_types");
  config["_sliding_window_pattern"] = 1;
  config["hidden_act"] = "relu";
  EXPECT_TRUE(check(config) && diags.empty()) << messages();
  config["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 500000.0}}},
                               {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", model.localRopeBase}}}};
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  EXPECT_TRUE(check(config));
  EXPECT_TRUE(says("'rope_scaling.factor' is 8, the recipe's model has 1")) << messages();
  config.erase("rope_parameters");
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 8.0}};
  config["hidden_activation"] = "gelu";
  EXPECT_TRUE(check(config));
  EXPECT_TRUE(says("'rope_scaling.type' is \"linear\", which transformers 5 does not read")) << messages();
  EXPECT_TRUE(says("'hidden_activation' is \"gelu\"")) << messages();
}

TEST_F(ConfigJson, ConfigOfGemma) {
  model.architecture = ModelArchitecture::Gemma;
  json gemma = json::parse(configJson(model, DType::F32, {}, R"({"hidden_act": "gelu", "hidden_activation": null})"));
  EXPECT_EQ(gemma["architectures"], json({"GemmaForCausalLM"}));
  EXPECT_EQ(gemma["model_type"], "gemma");
  for (const char *key : {"hidden_act", "hidden_activation"})
    EXPECT_EQ(gemma[key], "gelu_pytorch_tanh");
  EXPECT_FALSE(gemma.contains("sliding_window"));
  // As Gemma 2B's was released: the activation by an older name, embeddings tied without a word.
  gemma["hidden_act"] = "gelu";
  gemma["hidden_activation"] = nullptr;
  gemma.erase("tie_word_embeddings");
  EXPECT_TRUE(check(gemma)) << messages();
  EXPECT_TRUE(diags.empty()) << messages();
  gemma["hidden_act"] = "silu";
  EXPECT_TRUE(check(gemma));
  EXPECT_TRUE(says("'hidden_act' is \"silu\", the recipe's model has gelu_pytorch_tanh")) << messages();

  model.architecture = ModelArchitecture::Gemma2;
  model.attentionCap = 50;
  model.slidingWindow = 4096;
  json good = json::parse(configJson(model, DType::F32, {}, R"({"layer_types": ["full_attention"]})"));
  EXPECT_EQ(good["architectures"], json({"Gemma2ForCausalLM"}));
  EXPECT_EQ(good["query_pre_attn_scalar"], model.headDim);
  EXPECT_EQ(good["sliding_window"], 4096);
  EXPECT_EQ(good["attn_logit_softcapping"], 50.0);
  EXPECT_EQ(good["final_logit_softcapping"], json());
  EXPECT_FALSE(good.contains("layer_types"));
  model.queryScalar = 144;
  EXPECT_EQ(json::parse(configJson(model, DType::F32, {}))["query_pre_attn_scalar"], 144);
  model.queryScalar = 0;
  EXPECT_TRUE(check(good)) << messages();
  EXPECT_TRUE(diags.empty()) << messages();
  good.erase("final_logit_softcapping");
  EXPECT_TRUE(check(good));
  EXPECT_TRUE(says("'final_logit_softcapping' is 30, the recipe's model has null")) << messages();
  good["final_logit_softcapping"] = nullptr;
  good["attn_logit_softcapping"] = nullptr;
  good["sliding_window"] = 32;
  EXPECT_TRUE(check(good));
  EXPECT_EQ(diags.size(), 2u) << messages();
  EXPECT_TRUE(says("'attn_logit_softcapping' is null, the recipe's model has 50, which is what is trained"));
  EXPECT_TRUE(says("'sliding_window' is 32, the recipe's model has 4096"));
  good = json::parse(configJson(model, DType::F32, {}));
  good["layer_types"] = json::array();
  for (int64_t layer = 0; layer < model.numLayers; ++layer)
    good["layer_types"].push_back(layer % 2 ? "full_attention" : "sliding_attention");
  EXPECT_TRUE(check(good) && diags.empty()) << messages();
  good["layer_types"][0] = "full_attention";
  EXPECT_TRUE(check(good));
  EXPECT_TRUE(says("'layer_types' does not have a window in the layers that have it")) << messages();
}

TEST_F(ConfigJson, ConfigOfGemma3) {
  model.architecture = ModelArchitecture::Gemma3;
  model.numLayers = 7;
  model.slidingWindow = 512;
  model.windowPattern = 6;
  model.ropeBase = 1e6;
  model.localRopeBase = 1e4;
  model.ropeScaling = linearScaling(8);
  const json written = json::parse(configJson(model, DType::F32, {}, R"({"_sliding_window_pattern": 3,
      "rope_parameters": {"full_attention": {"rope_type": "default"}}})"));
  EXPECT_EQ(written["architectures"], json({"Gemma3ForCausalLM"}));
  EXPECT_EQ(written["model_type"], "gemma3_text");
  EXPECT_EQ(written["rope_scaling"], json({{"rope_type", "linear"}, {"factor", 8.0}}));
  EXPECT_EQ(written["rope_local_base_freq"], 1e4);
  EXPECT_EQ(written["sliding_window_pattern"], 6);
  EXPECT_EQ(written["layer_types"][5], "full_attention");
  EXPECT_EQ(written["layer_types"][6], "sliding_attention");
  EXPECT_EQ(written["final_logit_softcapping"], json());
  EXPECT_FALSE(written.contains("rope_parameters") || written.contains("_sliding_window_pattern"));
  EXPECT_TRUE(check(written) && diags.empty()) << messages();
  // As transformers 5 writes it, and as Gemma 3 1B was released.
  json joint = written;
  joint["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
                              {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  for (const char *key : {"rope_scaling", "rope_theta", "rope_local_base_freq", "sliding_window_pattern"})
    joint.erase(key);
  EXPECT_TRUE(check(joint) && diags.empty()) << messages();
  json released = written;
  for (const char *key : {"layer_types", "tie_word_embeddings"})
    released.erase(key);
  EXPECT_TRUE(check(released) && diags.empty()) << messages();
  released["sliding_window_pattern"] = 2;
  EXPECT_TRUE(check(released));
  EXPECT_TRUE(says("'layer_types' does not have a window in the layers that have it")) << messages();
  const std::tuple<const char *, json, const char *> changes[] = {
      {"/rope_parameters/full_attention/factor", 4, "'rope_scaling.factor' is 4, the recipe's model has 8"},
      {"/rope_parameters/full_attention/rope_theta", 5, "'rope_theta' is 5"},
      {"/rope_parameters/full_attention/rope_type", "yarn", "rotary scaling \"yarn\" is not known"},
      {"/rope_parameters/sliding_attention/rope_theta", 5, "'rope_local_base_freq' is 5"},
      {"/rope_parameters/sliding_attention/rope_type", "linear", "rotary scaling \"linear\" is not known"},
      {"/sliding_window", 4, "'sliding_window' is 4"},
      {"/query_pre_attn_scalar", 168, "'query_pre_attn_scalar' is 168"},
      {"/final_logit_softcapping", 30, "'final_logit_softcapping' is 30, the recipe's model has null"},
      {"/use_bidirectional_attention", true, "'use_bidirectional_attention' is true"},
      {"/hidden_activation", "silu", "'hidden_activation' is \"silu\""}};
  for (const auto &[pointer, value, message] : changes) {
    json config = joint;
    config[json::json_pointer(pointer)] = value;
    EXPECT_TRUE(check(config)) << pointer;
    EXPECT_TRUE(says(message)) << pointer << " " << messages();
  }
}

TEST_F(ConfigJson, ConfigOfSmolLM3Olmo2AndGranite) {
  model.architecture = ModelArchitecture::SmolLM3;
  model.numLayers = 5;
  model.ropelessPattern = 4;
  json config = json::parse(configJson(model, DType::F32, {}));
  EXPECT_EQ(config["architectures"], json({"SmolLM3ForCausalLM"}));
  EXPECT_EQ(config["no_rope_layers"], json({1, 1, 1, 0, 1}));
  EXPECT_EQ(config["no_rope_layer_interval"], 4);
  EXPECT_EQ(config["use_sliding_window"], false);
  EXPECT_TRUE(check(config) && diags.empty()) << messages();
  config.erase("no_rope_layers");
  config.erase("no_rope_layer_interval");
  config.erase("tie_word_embeddings");
  EXPECT_TRUE(check(config) && diags.empty()) << messages();
  config["no_rope_layer_interval"] = 3;
  EXPECT_TRUE(check(config));
  EXPECT_TRUE(says("'no_rope_layers' does not have rotary embeddings in the layers that have it")) << messages();
  config["attention_bias"] = true;
  EXPECT_FALSE(check(config));
  EXPECT_TRUE(says("'attention_bias' is true")) << messages();

  model.architecture = ModelArchitecture::Olmo2;
  model.ropelessPattern = 0;
  model.tiedEmbeddings = false;
  model.normEps = 1e-5;
  config = json::parse(configJson(model, DType::F32, {}));
  EXPECT_EQ(config["architectures"], json({"Olmo2ForCausalLM"}));
  EXPECT_FALSE(config.contains("mlp_bias") || config.contains("no_rope_layers"));
  config.erase("rms_norm_eps");
  EXPECT_TRUE(check(config) && diags.empty()) << messages();

  model.architecture = ModelArchitecture::Granite;
  model.normEps = 1e-6;
  model.embeddingFactor = 12;
  model.residualFactor = 0.22;
  model.scoreFactor = 0.015625;
  model.logitsDivisor = 8;
  config = json::parse(configJson(model, DType::F32, {}));
  EXPECT_EQ(config["architectures"], json({"GraniteForCausalLM"}));
  EXPECT_EQ(config["residual_multiplier"], 0.22);
  EXPECT_TRUE(check(config) && diags.empty()) << messages();
  for (const char *key : {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"}) {
    json other = config;
    other.erase(key);
    EXPECT_TRUE(check(other));
    EXPECT_TRUE(says(fmt::format("'{}' is 1, the recipe's model has", key))) << messages();
  }
}

} // namespace

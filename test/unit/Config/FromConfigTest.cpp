//===- FromConfigTest.cpp - Models that a config.json names ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string oracle = FTC_SOURCE_DIR "/test/oracle/";

std::string contents(const std::string &path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string recipeOf(const std::string &path, const std::string &component = "ftc.models.from_config",
                     const std::string &rest = "") {
  return "model: {_component_: " + component + ", path: " + path + rest + "}\ntokenizer: {max_seq_len: 8}\n";
}

/// A folder with a config.json during one test.
class FromConfig : public testing::Test {
protected:
  FromConfig() { fs::create_directories(folder); }
  ~FromConfig() override { fs::remove_all(folder); }

  std::string write(const json &config) {
    std::ofstream(folder + "/config.json") << config.dump(1);
    return folder;
  }
  /// Messages without places, but for the file's last word.
  std::string errorsOf(const json &config, const std::string &component = "ftc.models.from_config") {
    std::vector<Diagnostic> diags;
    EXPECT_FALSE(parseRecipe(recipeOf(write(config), component), "r.yaml", {}, diags)) << config;
    std::string text;
    for (const Diagnostic &diag : diags)
      text += fs::path(diag.file).filename().string() + ":" + std::to_string(diag.line) + ": " + diag.message + "\n";
    return text;
  }
  json phi3() { return json::parse(contents(oracle + "checkpoints/phi3/config.json")); }
  json llama() { return json::parse(contents(oracle + "checkpoints/tied/config.json")); }

  const std::string folder =
      testing::TempDir() + "from-config-" + testing::UnitTest::GetInstance()->current_test_info()->name();
};

/// The files that transformers wrote say what the recipes beside them say.
TEST_F(FromConfig, SaysWhatTheBuilderSays) {
  for (const char *name : {"untied", "tied", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "phi4mini", "gemma3",
                           "mistral3", "smollm3", "olmo2", "granite"}) {
    ModelConfig wanted = good(contents(oracle + name + ".yaml")).model;
    const Recipe r = good(recipeOf(oracle + "checkpoints/" + name));
    EXPECT_EQ(r.model.architecture, wanted.architecture) << name;
    wanted.component = r.model.component;
    wanted.family = r.model.family; // llama3_2 for all of Llama's
    EXPECT_EQ(r.model, wanted) << name << "\n" << r.normalizedYaml;
    // The step's recipe needs no folder.
    EXPECT_EQ(r.normalizedYaml.find("from_config"), std::string::npos);
    EXPECT_EQ(good(r.normalizedYaml).model, r.model);
    // The file, or the folder of the weights.
    EXPECT_EQ(good(recipeOf(oracle + "checkpoints/" + name + "/config.json")).model, r.model);
    EXPECT_EQ(good("model: {_component_: ftc.models.from_config}\ntokenizer: {max_seq_len: 8}\n"
                   "checkpointer: {checkpoint_dir: " +
                   oracle + "checkpoints/" + name + ", output_dir: o}\n")
                  .model,
              r.model);
  }
}

/// What Microsoft's repositories say is what the builders by size say.
TEST_F(FromConfig, ReleasedPhis) {
  const json shared = {{"architectures", {"Phi3ForCausalLM"}},
                       {"model_type", "phi3"},
                       {"attention_bias", false},
                       {"hidden_act", "silu"},
                       {"rms_norm_eps", 1e-05},
                       {"rope_scaling", nullptr},
                       {"tie_word_embeddings", false},
                       {"auto_map", {{"AutoConfig", "configuration_phi3.Phi3Config"}}}};
  json mini = shared, phi4 = shared;
  mini.update({{"hidden_size", 3072},
               {"intermediate_size", 8192},
               {"max_position_embeddings", 4096},
               {"num_attention_heads", 32},
               {"num_hidden_layers", 32},
               {"num_key_value_heads", 32},
               {"rope_theta", 10000.0},
               {"sliding_window", 2047},
               {"vocab_size", 32064}});
  phi4.update({{"hidden_size", 5120},
               {"intermediate_size", 17920},
               {"max_position_embeddings", 16384},
               {"num_attention_heads", 40},
               {"num_hidden_layers", 40},
               {"num_key_value_heads", 10},
               {"rope_theta", 250000},
               {"sliding_window", nullptr},
               {"vocab_size", 100352}});
  for (const auto &[config, builder] : {std::pair(mini, "phi3.phi3_mini"), std::pair(phi4, "phi4.phi4_14b")}) {
    const std::string component = std::string("torchtune.models.") + builder;
    ModelConfig model = good(recipeOf(write(config))).model;
    model.component = component;
    EXPECT_EQ(model, good("model: {_component_: " + component + "}\ntokenizer: {max_seq_len: 8}\n").model) << builder;
  }
}

TEST_F(FromConfig, WithAdapters) {
  const std::string path = write(phi3()), rest = ", lora_attn_modules: [q_proj], quantizer: bitsandbytes";
  Recipe r = good(recipeOf(path, "ftc.models.lora_from_config", rest));
  EXPECT_EQ(r.model.component, "torchtune.models.phi3.lora_phi3");
  EXPECT_TRUE(r.lora && !r.quantizedBase);
  r = good(recipeOf(path, "ftc.models.qlora_from_config", rest));
  EXPECT_EQ(r.model.component, "torchtune.models.phi3.lora_phi3");
  EXPECT_TRUE(r.quantizedBase);
  EXPECT_FALSE(good(recipeOf(path, "ftc.models.qlora_from_config", rest + ", quantize_base: False")).quantizedBase);
}

TEST_F(FromConfig, TheRecipeCounts) {
  const Recipe r = good(recipeOf(write(phi3())), {"model.max_seq_len=100", "model.rope_base=5e4"});
  EXPECT_EQ(r.model.maxSeqLen, 100);
  EXPECT_EQ(r.model.ropeBase, 5e4);
  EXPECT_EQ(r.model.embedDim, 64);
}

TEST_F(FromConfig, OlderFiles) {
  json config = llama();
  json joint = config["rope_parameters"];
  config.erase("rope_parameters");
  config.erase("head_dim");
  config["rope_theta"] = joint["rope_theta"];
  joint.erase("rope_theta");
  joint["type"] = joint["rope_type"];
  joint.erase("rope_type");
  config["rope_scaling"] = joint;
  EXPECT_EQ(good(recipeOf(write(config))).model, good(recipeOf(write(llama()))).model);
  // What is left out is what transformers takes.
  config["rope_scaling"] = nullptr;
  for (const char *key : {"rope_theta", "num_key_value_heads", "rms_norm_eps", "tie_word_embeddings"})
    config.erase(key);
  const ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.ropeBase, 1e4);
  EXPECT_EQ(model.ropeScaling.factor, 1);
  EXPECT_EQ(model.numKvHeads, model.numHeads);
  EXPECT_EQ(model.normEps, 1e-6);
  EXPECT_FALSE(model.tiedEmbeddings);
}

/// As Google's repositories say it, in the words of transformers 4.
TEST_F(FromConfig, ReleasedGemma3) {
  json config = {{"architectures", {"Gemma3ForCausalLM"}},
                 {"attention_bias", false},
                 {"attn_logit_softcapping", nullptr},
                 {"final_logit_softcapping", nullptr},
                 {"head_dim", 256},
                 {"hidden_activation", "gelu_pytorch_tanh"},
                 {"hidden_size", 1152},
                 {"intermediate_size", 6912},
                 {"max_position_embeddings", 32768},
                 {"model_type", "gemma3_text"},
                 {"num_attention_heads", 4},
                 {"num_hidden_layers", 26},
                 {"num_key_value_heads", 1},
                 {"query_pre_attn_scalar", 256},
                 {"rms_norm_eps", 1e-06},
                 {"rope_local_base_freq", 10000},
                 {"rope_scaling", nullptr},
                 {"rope_theta", 1000000},
                 {"sliding_window", 512},
                 {"sliding_window_pattern", 6},
                 {"vocab_size", 262144}};
  const ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.component, "ftc.models.gemma3");
  EXPECT_EQ(model.architecture, ModelArchitecture::Gemma3);
  EXPECT_TRUE(model.isGemma() && model.hasOuterNorms() && model.qkNorm && model.tiedEmbeddings);
  EXPECT_EQ(model.headDim, 256); // not 1152 / 4
  EXPECT_EQ(model.queryScalar, 256);
  EXPECT_EQ(model.slidingWindow, 512);
  EXPECT_EQ(model.ropeBase, 1e6);
  EXPECT_EQ(model.localRopeBase, 1e4);
  EXPECT_EQ(model.ropeScaling.factor, 1);
  EXPECT_EQ(model.attentionCap, 0);
  for (int64_t layer = 0; layer < 26; ++layer) {
    EXPECT_EQ(model.hasWindow(layer), layer % 6 != 5) << layer;
    EXPECT_EQ(model.hasLocalRotary(layer), layer % 6 != 5) << layer;
  }
  // What is left out is what transformers takes.
  for (const char *key : {"head_dim", "query_pre_attn_scalar", "rope_local_base_freq", "rope_scaling", "rope_theta",
                          "rms_norm_eps", "sliding_window_pattern", "tie_word_embeddings"})
    config.erase(key);
  EXPECT_EQ(good(recipeOf(write(config))).model, model);
  // Of the larger ones, and by a list in place of the number.
  config["rope_scaling"] = {{"factor", 8.0}, {"rope_type", "linear"}};
  config["layer_types"] = json::array();
  for (int layer = 0; layer < 26; ++layer)
    config["layer_types"].push_back(layer % 6 == 5 ? "full_attention" : "sliding_attention");
  ModelConfig scaled = model;
  scaled.ropeScaling = linearScaling(8);
  EXPECT_EQ(good(recipeOf(write(config))).model, scaled);
  config["layer_types"] = std::vector<std::string>(26, "sliding_attention");
  EXPECT_EQ(good(recipeOf(write(config))).model.windowPattern, 0);
  config["layer_types"] = std::vector<std::string>(26, "full_attention");
  EXPECT_EQ(good(recipeOf(write(config))).model.windowPattern, 1);
  // Adapters and overrides, as of any model.
  const Recipe r = good(recipeOf(write(config), "ftc.models.qlora_from_config",
                                 ", lora_attn_modules: [q_proj, v_proj], quantizer: bitsandbytes"),
                        {"model.sliding_window_pattern=null"});
  EXPECT_EQ(r.model.component, "ftc.models.lora_gemma3");
  EXPECT_TRUE(r.lora && r.quantizedBase && r.model.hasWindow(5));
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
}

/// The 4B model's file says only what is not as transformers has it; the sizes are those of its text part.
TEST_F(FromConfig, TextPartOfGemma3) {
  json config = {{"architectures", {"Gemma3ForConditionalGeneration"}},
                 {"model_type", "gemma3"},
                 {"mm_tokens_per_image", 256},
                 {"text_config",
                  {{"hidden_size", 2560},
                   {"intermediate_size", 10240},
                   {"model_type", "gemma3_text"},
                   {"num_hidden_layers", 34},
                   {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                   {"sliding_window", 1024}}},
                 {"vision_config", {{"hidden_size", 1152}, {"model_type", "siglip_vision_model"}}}};
  const ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.component, "ftc.models.gemma3");
  EXPECT_EQ(model.vocabSize, 262208);
  EXPECT_EQ(model.embedDim, 2560);
  EXPECT_EQ(model.intermediateDim, 10240);
  EXPECT_EQ(model.numLayers, 34);
  EXPECT_EQ(model.numHeads, 8);
  EXPECT_EQ(model.numKvHeads, 4);
  EXPECT_EQ(model.headDim, 256);
  EXPECT_EQ(model.maxSeqLen, 131072);
  EXPECT_EQ(model.slidingWindow, 1024);
  EXPECT_EQ(model.windowPattern, 6);
  EXPECT_EQ(model.queryScalar, 256);
  EXPECT_EQ(model.ropeScaling, linearScaling(8));
  EXPECT_TRUE(model.tiedEmbeddings);
  // The 27B model's, whose heads are others, and not as many as the default for keys.
  config["text_config"].update({{"head_dim", 128}, {"num_attention_heads", 32}, {"num_key_value_heads", 16}});
  EXPECT_EQ(good(recipeOf(write(config))).model.headDim, 128);
  config["text_config"].erase("num_key_value_heads");
  EXPECT_EQ(good(recipeOf(write(config))).model.numKvHeads, 4);
  config["tie_word_embeddings"] = false; // of the whole model
  EXPECT_NE(errorsOf(config).find("that is not built for gemma3_text"), std::string::npos);
}

/// Its file may have the text part's keys beside the others. Three positions of a token are one for text.
TEST_F(FromConfig, TextPartOfQwen25VL) {
  json config = {{"architectures", {"Qwen2_5_VLForConditionalGeneration"}},
                 {"model_type", "qwen2_5_vl"},
                 {"hidden_size", 2048},
                 {"intermediate_size", 11008},
                 {"max_position_embeddings", 128000},
                 {"num_attention_heads", 16},
                 {"num_hidden_layers", 36},
                 {"num_key_value_heads", 2},
                 {"rms_norm_eps", 1e-06},
                 {"rope_theta", 1000000.0},
                 {"rope_scaling", {{"type", "mrope"}, {"mrope_section", {16, 24, 24}}}},
                 {"sliding_window", 32768},
                 {"tie_word_embeddings", true},
                 {"use_sliding_window", false},
                 {"vision_config", {{"depth", 32}, {"hidden_size", 1280}}},
                 {"vocab_size", 151936}};
  const ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.component, "torchtune.models.qwen2.qwen2");
  EXPECT_TRUE(model.qkvBias && model.tiedEmbeddings);
  EXPECT_EQ(model.numLayers, 36);
  EXPECT_EQ(model.ropeBase, 1e6);
  EXPECT_EQ(model.normEps, 1e-6);
  // As transformers 5 writes it.
  json nested = {{"model_type", "qwen2_5_vl"}, {"tie_word_embeddings", true}, {"text_config", config}};
  nested["text_config"].update({{"model_type", "qwen2_5_vl_text"}, {"rope_scaling", nullptr}});
  nested["text_config"]["rope_parameters"] = {
      {"rope_type", "default"}, {"type", "mrope"}, {"mrope_section", {16, 24, 24}}, {"rope_theta", 1000000.0}};
  EXPECT_EQ(good(recipeOf(write(nested))).model, model);
  for (const char *key : {"rms_norm_eps", "rope_theta"})
    config.erase(key);
  EXPECT_EQ(good(recipeOf(write(config))).model.normEps, 1e-5);
  EXPECT_EQ(good(recipeOf(write(config))).model.ropeBase, 1e6);
  config["use_sliding_window"] = true;
  EXPECT_NE(errorsOf(config).find("windows of attention are not built for qwen2"), std::string::npos);
}

/// As its file says it: LongRoPE beside the keys of the heads' part and of the old context.
TEST_F(FromConfig, Phi4Mini) {
  json config = phi3();
  config.erase("rope_parameters");
  config.update({{"hidden_size", 3072},
                 {"intermediate_size", 8192},
                 {"max_position_embeddings", 131072},
                 {"num_attention_heads", 24},
                 {"num_hidden_layers", 32},
                 {"num_key_value_heads", 8},
                 {"original_max_position_embeddings", 4096},
                 {"partial_rotary_factor", 0.75},
                 {"rope_theta", 10000.0},
                 {"rope_scaling",
                  {{"type", "longrope"},
                   {"short_factor", std::vector<double>(48, 1.0)},
                   {"long_factor", std::vector<double>(48, 32.5)}}},
                 {"sliding_window", 262144},
                 {"tie_word_embeddings", true},
                 {"vocab_size", 200064}});
  const Recipe r = good(recipeOf(write(config)));
  EXPECT_EQ(r.model.headDim, 128);
  EXPECT_EQ(r.model.rotaryDim, 96);
  EXPECT_TRUE(r.model.tiedEmbeddings);
  EXPECT_EQ(r.model.ropeScaling, longRope(std::vector<double>(48, 1.0), 4096, 131072));
  EXPECT_EQ(r.model.longDivisors, std::vector<double>(48, 32.5));
  EXPECT_EQ(r.model.longestRow(), 4096);
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  good(recipeOf(write(config)), {"tokenizer.max_seq_len=4096"});
  EXPECT_TRUE(contains(errors(recipeOf(write(config)), {"tokenizer.max_seq_len=4097"}),
                       "4096: for longer rows LongRoPE has other angles (rope_long_factor), which are not built"));
  // Its own key counts, and where it is missing transformers' default, whatever the scaling says.
  config["rope_scaling"]["original_max_position_embeddings"] = 1024;
  config.erase("original_max_position_embeddings");
  EXPECT_EQ(good(recipeOf(write(config))).model, r.model);
  config["rope_scaling"]["type"] = "su";
  EXPECT_EQ(good(recipeOf(write(config))).model, r.model);
  config["partial_rotary_factor"] = 0.01; // one column of 128
  EXPECT_NE(errorsOf(config).find("of heads of 128 columns are 1; rotary embeddings turn pairs"), std::string::npos);
}

/// Where a file has the older and the newer name, the one that transformers 5.23 takes counts.
TEST_F(FromConfig, RotaryByTwoNames) {
  const json scaled = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  json config = llama();
  auto model = [&] { return good(recipeOf(write(config))).model; };
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500.0}};
  config["rope_scaling"] = scaled;
  config["rope_theta"] = 777.0;
  EXPECT_EQ(model().ropeScaling.factor, 8);
  EXPECT_EQ(model().ropeBase, 777); // no longer the other's
  config["rope_scaling"]["rope_theta"] = 333.0;
  EXPECT_EQ(model().ropeBase, 333);
  config["rope_scaling"] = {{"rope_type", "default"}, {"rope_theta", 333.0}};
  config.erase("rope_parameters");
  EXPECT_EQ(model().ropeBase, 333);
  EXPECT_EQ(model().ropeScaling.factor, 1);
  config["rope_scaling"] = json::object();
  config["rope_parameters"] = scaled;
  EXPECT_EQ(model().ropeScaling.factor, 8);
  json qwen = json::parse(contents(oracle + "checkpoints/qwen3/config.json"));
  qwen["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_NE(errorsOf(qwen).find("'rope_scaling.rope_type' is the text \"yarn\", and this rotary scaling is not"),
            std::string::npos);
  // Of a Llama without scaling nobody reads this.
  config = llama();
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500.0}, {"partial_rotary_factor", 0.5}};
  EXPECT_EQ(model().ropeBase, 500);
  config["rope_parameters"] = scaled;
  config["partial_rotary_factor"] = 0.5;
  EXPECT_NE(errorsOf(config).find("heads of which a part alone is rotated"), std::string::npos);

  config = json::parse(contents(oracle + "checkpoints/gemma3/config.json"));
  config["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}},
                               {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 300.0}}}};
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  EXPECT_EQ(model().ropeScaling.factor, 8);
  EXPECT_EQ(model().ropeBase, 5000);
  EXPECT_EQ(model().localRopeBase, 300);
  config["rope_scaling"]["rope_theta"] = 777.0;
  EXPECT_EQ(model().ropeBase, 777);
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 8.0}};
  EXPECT_EQ(model().ropeScaling.factor, 1); // the other's rope_type
  config.erase("rope_parameters");
  EXPECT_EQ(model().ropeScaling.factor, 8);
  EXPECT_TRUE(contains(remarks(good(recipeOf(write(config)))), "'rope_scaling.type' scales positions here"));
}

TEST_F(FromConfig, WhatTransformersReads) {
  json config = json::parse(contents(oracle + "checkpoints/gemma3/config.json"));
  auto model = [&] { return good(recipeOf(write(config))).model; };
  config.erase("layer_types");
  config.erase("sliding_window_pattern");
  config["_sliding_window_pattern"] = 2;
  EXPECT_EQ(model().windowPattern, 6);
  config["sliding_window_pattern"] = 3;
  EXPECT_EQ(model().windowPattern, 3);
  // "gelu" is the approximation under the key of the first Gemma alone.
  for (const char *name : {"gemma2", "gemma3"}) {
    config = json::parse(contents(oracle + "checkpoints/" + name + "/config.json"));
    config["hidden_act"] = "relu";
    EXPECT_TRUE(model().isGemma());
    config["hidden_activation"] = "gelu";
    EXPECT_TRUE(contains(errorsOf(config), "'hidden_activation' is the text \"gelu\", and only gelu_pytorch_tanh is "));
    EXPECT_TRUE(contains(errorsOf(config), "is the exact function, with erf"));
  }
  config = json::parse(contents(oracle + "checkpoints/gemma/config.json"));
  config["hidden_act"] = "gelu";
  EXPECT_TRUE(model().isGemma());
  config["hidden_act"] = "relu";
  EXPECT_TRUE(contains(errorsOf(config), "only gelu_pytorch_tanh is built for gemma"));
  config = llama();
  config["hidden_act"] = "swish";
  EXPECT_EQ(model().architecture, ModelArchitecture::Llama);
  // As many heads of keys and values as the type has by itself; null: as there are heads.
  const std::pair<const char *, int64_t> usual[] = {{"tied", 16},  {"qwen2", 32},  {"qwen3", 32},  {"gemma", 16},
                                                    {"gemma2", 4}, {"gemma3", 4},  {"smollm3", 4}, {"phi3", 16},
                                                    {"olmo2", 16}, {"granite", 16}};
  for (const auto &[name, count] : usual) {
    config = json::parse(contents(oracle + "checkpoints/" + name + "/config.json"));
    config.erase("num_key_value_heads");
    config["num_attention_heads"] = std::max<int64_t>(count, 16);
    config["hidden_size"] = 16 * std::max<int64_t>(count, 16);
    config.erase("head_dim");
    EXPECT_EQ(model().numKvHeads, count) << name;
    config["num_key_value_heads"] = nullptr;
    if (name != std::string("gemma3")) // which transformers refuses
      EXPECT_EQ(model().numKvHeads, std::max<int64_t>(count, 16)) << name;
  }
}

/// Heads of another width than that of the model by their number, and a window of every layer.
TEST_F(FromConfig, Mistrals) {
  json config = llama();
  config.update({{"model_type", "mistral"}, {"head_dim", 24}, {"sliding_window", 32}, {"tie_word_embeddings", false}});
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.architecture, ModelArchitecture::Mistral);
  EXPECT_EQ(model.headDim, 24);
  EXPECT_EQ(model.slidingWindow, 32);
  EXPECT_EQ(model.ropeBase, 1e6);
  config["sliding_window"] = nullptr;
  model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.slidingWindow, 0);
  config.erase("sliding_window");
  EXPECT_EQ(good(recipeOf(write(config))).model.slidingWindow, 4096); // transformers' default
  config["rope_parameters"]["rope_type"] = "yarn";
  EXPECT_NE(errorsOf(config).find("this rotary scaling is not built for mistral"), std::string::npos);
}

TEST_F(FromConfig, LayersWithoutRotaryEmbedding) {
  json config = json::parse(contents(oracle + "checkpoints/smollm3/config.json"));
  auto intervalOf = [&] { return good(recipeOf(write(config))).model.ropelessPattern; };
  EXPECT_EQ(intervalOf(), 2);
  config["no_rope_layers"] = {1, 1, 1};
  EXPECT_EQ(intervalOf(), 0);
  config["no_rope_layers"] = {1, 1, 0, 1, 1}; // transformers reads as many as there are layers
  EXPECT_EQ(intervalOf(), 3);
  config["no_rope_layers"] = nullptr;
  EXPECT_EQ(intervalOf(), 2);
  config.erase("no_rope_layer_interval");
  EXPECT_EQ(intervalOf(), 4);
  config.erase("tie_word_embeddings");
  EXPECT_TRUE(good(recipeOf(write(config))).model.tiedEmbeddings);
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(good(recipeOf(write(config))).model.tiedEmbeddings);
}

TEST_F(FromConfig, GranitesFactors) {
  json config = json::parse(contents(oracle + "checkpoints/granite/config.json"));
  ModelConfig model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.residualFactor, 0.4);
  EXPECT_EQ(model.scoreFactor, 0.15);
  for (const char *key : {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"})
    config.erase(key);
  model = good(recipeOf(write(config))).model;
  EXPECT_EQ(model.embeddingFactor, 1);
  EXPECT_EQ(model.residualFactor, 1);
  EXPECT_EQ(model.scoreFactor, 1);
  EXPECT_EQ(model.logitsDivisor, 1);
  config["logits_scaling"] = 0;
  EXPECT_NE(errorsOf(config).find("'model.logits_scaling' is 0; it must be from 1e-6 to 1e6"), std::string::npos);
}

TEST_F(FromConfig, WhatIsNotBuiltIsRefusedWhereItStands) {
  auto with = [](json config, const char *pointer, const json &value) {
    config[json::json_pointer(pointer)] = value;
    return config;
  };
  auto of = [&](const char *name) { return json::parse(contents(oracle + "checkpoints/" + name + "/config.json")); };
  const std::tuple<json, const char *> cases[] = {
      {with(phi3(), "/model_type", "falcon"),
       "'model_type' is the text \"falcon\"; models of this type are not built, those of "
       "type llama, mistral, qwen2, qwen3, gemma, gemma2, phi3, gemma3_text, smollm3, olmo2, granite are"},
      {with(phi3(), "/rope_parameters/rope_type", "llama3"),
       "'rope_parameters.rope_type' is the text \"llama3\", and this rotary scaling is not built for phi3"},
      {with(phi3(), "/rope_parameters/rope_type", "longrope"),
       "'rope_parameters.short_factor' is missing; give it as model.rope_short_factor"},
      {with(of("phi4mini"), "/rope_parameters/attention_factor", 1.2), "LongRoPE is built with what follows from"},
      {with(of("phi4mini"), "/rope_parameters/short_factor", {1.0, 1.5}),
       "'model.rope_short_factor' must have a number above 0 for each of the 6 pairs"},
      {with(llama(), "/rope_parameters/partial_rotary_factor", 0.75),
       "'rope_parameters.partial_rotary_factor' is '0.75', and heads of which a part alone is rotated are not built "
       "for "
       "llama"},
      {with(phi3(), "/hidden_act", "relu"), "'hidden_act' is the text \"relu\", and only silu is built for phi3"},
      {with(llama(), "/attention_bias", true), "'attention_bias' is 'true', and such biases are not built"},
      {with(llama(), "/attention_dropout", 0.1),
       "'attention_dropout' is '0.1', and dropout is not built yet; to train without override model.attn_dropout=0"},
      {with(phi3(), "/resid_pdrop", 0.1), "'resid_pdrop' is '0.1', and dropout is not built yet"},
      {with(llama(), "/rope_parameters/low_freq_factor", 2), "'rope_parameters.low_freq_factor' is '2', and only 1 is"},
      {with(of("gemma3"), "/model_type", "gemma3"), "'text_config' is missing, which has the sizes of a gemma3's text"},
      {with(of("gemma3-images"), "/text_config", "4b"), "'text_config' is the text \"4b\", and it must be an object"},
      {with(of("mistral3"), "/text_config/model_type", "ministral3"),
       "'text_config.model_type' is the text \"ministral3\", and of a mistral3 only a text part of type mistral is "
       "built"},
      {with(of("gemma3"), "/model_type", "qwen2_5_vl_text"), "models of this type are not built"},
      {with(of("gemma3"), "/rope_parameters/full_attention/rope_type", "yarn"),
       "'rope_parameters.full_attention.rope_type' is the text \"yarn\", and only \"default\" and \"linear\" are"},
      {with(of("gemma3"), "/rope_parameters/sliding_attention/rope_type", "linear"),
       "'rope_parameters.sliding_attention.rope_type' is the text \"linear\", and only \"default\" is built"},
      {with(of("gemma3"), "/rope_parameters", json{{"rope_theta", 1e4}, {"rope_type", "default"}}),
       "'rope_parameters.full_attention' must be an object"},
      {with(of("gemma3"), "/rope_parameters/full_attention/factor", nullptr),
       "'rope_parameters.full_attention.factor' is missing; give it as model.scale_factor"},
      {with(of("gemma3"), "/layer_types", {"full_attention", "sliding_attention", "sliding_attention"}),
       "'layer_types' must be a list with"},
      {with(of("gemma3"), "/layer_types/1", "chunked_attention"), "'layer_types' must be a list with"},
      {with(of("gemma3"), "/final_logit_softcapping", 30.0), "caps are not built for gemma3_text"},
      {with(of("gemma3"), "/use_bidirectional_attention", true), "attention to what is behind a token is not built"},
      {with(of("gemma3"), "/tie_word_embeddings", false), "that is not built for gemma3_text"},
      {with(of("gemma2"), "/layer_types", {"full_attention", "sliding_attention", "full_attention"}),
       "'layer_types' must be \"sliding_attention\" and \"full_attention\" in turn"},
      {with(of("qwen3"), "/layer_types", {"full_attention", "sliding_attention", "full_attention"}),
       "'layer_types' must be \"full_attention\" for every layer"},
      {with(of("smollm3"), "/no_rope_layers", {0, 1, 1}), "'no_rope_layers' must be a list with 0 for each so many-th"},
      {with(of("smollm3"), "/no_rope_layers", {1, 0}), "'no_rope_layers' must be a list"},
      {with(of("smollm3"), "/use_sliding_window", true), "windows of attention are not built for smollm3"},
      {with(of("smollm3"), "/mlp_bias", true), "'mlp_bias' is 'true', and such biases are not built"},
      {with(of("olmo2"), "/attention_bias", true), "'attention_bias' is 'true', and such biases are not built"},
      {with(of("olmo2"), "/rope_parameters/rope_type", "yarn"), "this rotary scaling is not built for olmo2"},
      {with(of("granite"), "/rope_parameters/rope_type", "llama3"), "this rotary scaling is not built for granite"},
      {with(of("granite"), "/hidden_act", "gelu"), "only silu is built for granite"},
      {with(phi3(), "/hidden_size", "many"), "'model.embed_dim'"},
      {with(phi3(), "/num_hidden_layers", nullptr), "'num_hidden_layers' is missing; give it as model.num_layers"}};
  for (const auto &[config, message] : cases) {
    const std::string errors = errorsOf(config);
    EXPECT_NE(errors.find(message), std::string::npos) << errors;
    EXPECT_EQ(errors.find("config.json:"), 0u) << errors;
  }
  good(recipeOf(write(with(llama(), "/attention_dropout", 0.1))), {"model.attn_dropout=0"});
  EXPECT_NE(errorsOf(json::array()).find("config.json"), std::string::npos);
  std::vector<Diagnostic> diags;
  EXPECT_FALSE(parseRecipe(recipeOf("/nowhere"), "r.yaml", {}, diags));
  ASSERT_FALSE(diags.empty());
  EXPECT_EQ(diags[0].file, "r.yaml");
  EXPECT_NE(diags[0].message.find("/nowhere/config.json"), std::string::npos) << diags[0].message;
  EXPECT_NE(diags[0].message.find("name another folder with model.path"), std::string::npos) << diags[0].message;
  diags.clear();
  EXPECT_FALSE(
      parseRecipe("model: {_component_: ftc.models.from_config}\ntokenizer: {max_seq_len: 8}\n", "r.yaml", {}, diags));
  EXPECT_EQ(diags[0].message, "'model' (ftc.models.from_config) lacks the folder of its config.json; give it with "
                              "model.path or checkpointer.checkpoint_dir");
  EXPECT_NE(::errors(minimal, {"model=ftc.models.from_confg"}).find("did you mean 'ftc.models.from_config'?"),
            std::string::npos);
  EXPECT_NE(::errors(minimal, {"model.path=/m"}).find("'model.path' is not an argument of"), std::string::npos);
}

} // namespace

//===- WeightFilesTest.cpp - One model in every kind of file --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/oracle/checkpoints/files holds the same weights as safetensors, as shards of pytorch_model.bin, in Meta's and in
// torchtune's way; torchtune converted them (test/oracle/torch_files.py).
//
//===----------------------------------------------------------------------===//

#include "CheckpointFixture.h"
#include "TorchArchive.h"

#include "lib/Checkpoint/WeightNames.h"

#include <set>

using namespace ftc;
namespace fs = std::filesystem;

namespace {

const std::string files = FTC_SOURCE_DIR "/test/oracle/checkpoints/files/";

ModelConfig modelOfFiles() {
  ModelConfig model;
  model.family = "llama3";
  model.vocabSize = 40;
  model.numLayers = 2;
  model.numHeads = 2;
  model.numKvHeads = 1;
  model.embedDim = 16;
  model.headDim = 8;
  model.intermediateDim = 24;
  model.ropeBase = 500000;
  return model;
}

class WeightFiles : public CheckpointFixture {
protected:
  const ModelConfig model = modelOfFiles();

  std::unique_ptr<CheckpointReader> open(const std::string &directory, const std::vector<std::string> &names = {}) {
    diags.clear();
    return CheckpointReader::open(directory, names, diags, &model);
  }
  std::vector<uint16_t> bits(const CheckpointReader &reader, const TensorSpec &spec) {
    std::vector<uint16_t> out(static_cast<size_t>(spec.elements()));
    EXPECT_TRUE(reader.read({spec, out.data()}, diags)) << messages();
    return out;
  }
};

TEST_F(WeightFiles, HoldTheSameBits) {
  auto reference = SafetensorsFile::open(files + "hf/model.safetensors", diags);
  ASSERT_TRUE(reference) << messages();
  std::vector<TensorSpec> wanted;
  for (const auto &[name, entry] : reference->entries())
    wanted.push_back(entry.spec);
  ASSERT_EQ(wanted.size(), 21u);
  const std::pair<std::string, std::vector<std::string>> others[] = {
      {"hf", {"model.safetensors"}},
      {"hf", {"pytorch_model-00002-of-00002.bin", "pytorch_model-00001-of-00002.bin"}},
      {"meta", {"consolidated.00.pth"}},
      {"meta", {}},
      {"torchtune", {"model.pt"}},
  };
  for (const auto &[folder, names] : others) {
    auto reader = open(files + folder, names);
    ASSERT_TRUE(reader) << messages();
    EXPECT_TRUE(reader->check(wanted, diags)) << messages();
    for (const TensorSpec &spec : wanted) {
      std::vector<uint16_t> expected(static_cast<size_t>(spec.elements()));
      ASSERT_TRUE(reference->read(*reference->find(spec.name), TensorType::BF16, expected.data(), diags));
      EXPECT_EQ(bits(*reader, spec), expected) << folder << " " << spec.name;
    }
  }
}

/// A weight in another order is quantized as it is read, too.
TEST_F(WeightFiles, AreQuantizedInTheSameOrder) {
  const TensorSpec query{"model.layers.1.self_attn.q_proj.weight", TensorType::F32, {16, 16}};
  auto quantized = [&](const std::string &folder) {
    auto reader = open(files + folder);
    std::vector<uint8_t> codes(nf4CodeBytes(256)), absmax(nf4Blocks(256));
    std::vector<float> nested(1);
    float offset = 0;
    EXPECT_TRUE(reader && reader->quantize(query, {{}, {codes.data(), absmax.data(), nested.data(), &offset}}, diags))
        << messages();
    codes.insert(codes.end(), absmax.begin(), absmax.end());
    return codes;
  };
  EXPECT_EQ(quantized("meta"), quantized("hf"));
}

/// torchtune's adapter and what PEFT makes of the same one.
TEST_F(WeightFiles, AdaptersHoldTheSameBits) {
  auto reference = SafetensorsFile::open(files + "adapter-peft/adapter_model.safetensors", diags);
  ASSERT_TRUE(reference) << messages();
  LoraConfig lora;
  lora.rank = 2;
  lora.alpha = 4;
  lora.dora = true;
  std::vector<TensorSpec> wanted;
  for (const auto &[name, entry] : reference->entries()) {
    wanted.push_back(entry.spec);
    wanted.back().name = name.substr(std::string_view("base_model.model.").size());
    EXPECT_EQ(peftName(wanted.back().name), name);
  }
  ASSERT_EQ(wanted.size(), 3u * 15);
  for (const std::string &path : {files + "adapter", files + "adapter/adapter_model.pt", files + "adapter-peft"}) {
    auto reader = AdapterReader::open(path, lora, model, diags);
    ASSERT_TRUE(reader) << messages();
    EXPECT_TRUE(reader->check(wanted, diags)) << messages();
    for (const TensorSpec &spec : wanted) {
      std::vector<uint16_t> expected(static_cast<size_t>(spec.elements())), found(expected);
      ASSERT_TRUE(reference->read(*reference->find(peftName(spec.name)), TensorType::BF16, expected.data(), diags));
      ASSERT_TRUE(reader->read({spec, found.data()}, diags)) << messages();
      EXPECT_EQ(found, expected) << spec.name;
    }
  }
  auto reader = AdapterReader::open(files + "adapter", lora, model, diags);
  wanted.pop_back();
  EXPECT_FALSE(reader->check(wanted, diags));
  EXPECT_TRUE(says("adapter tensor 'layers.1.")) << messages();
  EXPECT_TRUE(says("has no place in the step")) << messages();

  // Both names of one tensor.
  diags.clear();
  const std::string ours = "base_model.model.lm_head.lora_A.weight", theirs = "output.lora_a.weight";
  write("twice.pt", torchFileOf("\x80\x02}(" + text(ours) + TensorPickle().tensor() + text(theirs) +
                                TensorPickle().tensor() + "u."));
  EXPECT_FALSE(AdapterReader::open(root / "twice.pt", lora, model, diags));
  EXPECT_TRUE(says("'" + ours + "' and '" + theirs + "' are the same one")) << messages();
}

TEST_F(WeightFiles, OfAFolder) {
  auto first = [&] {
    auto reader = open(root);
    return reader ? reader->find("w")->shape[0] : -1;
  };
  auto torch = [](int64_t rows) {
    return torchFileOf(TensorPickle{.shape = {rows, 1}, .strides = {1, 1}}.dictionary());
  };
  EXPECT_EQ(first(), -1);
  EXPECT_TRUE(says("has none of model.safetensors, pytorch_model.bin")) << messages();
  EXPECT_TRUE(says("checkpointer.checkpoint_files")) << messages();
  write("original/consolidated.00.pth", torch(1));
  EXPECT_EQ(first(), -1);
  EXPECT_TRUE(says("override checkpointer.checkpoint_dir=" + (root / "original").native())) << messages();
  write("consolidated.00.pth", torch(1));
  EXPECT_EQ(first(), 1);
  write("consolidated.01.pth", torch(1));
  EXPECT_EQ(first(), -1);
  EXPECT_TRUE(says("are parts of one model for as many devices")) << messages();
  write("shard.bin", torch(2));
  write("pytorch_model.bin.index.json", R"({"weight_map": {"w": "shard.bin"}})");
  EXPECT_EQ(first(), 2);
  write("pytorch_model.bin", torch(3));
  EXPECT_EQ(first(), 3);
  float value = 0;
  ASSERT_TRUE(
      writeSafetensors(root / "model.safetensors", {{TensorView{{"w", TensorType::F32, {}}, &value}}}, {}, diags));
  auto reader = open(root);
  ASSERT_TRUE(reader) << messages();
  EXPECT_TRUE(reader->find("w")->shape.empty());
}

TEST_F(WeightFiles, MessagesHaveTheFilesNames) {
  auto reader = open(files + "meta");
  ASSERT_TRUE(reader) << messages();
  const std::vector<TensorSpec> wanted = {{"model.norm.weight", TensorType::F32, {8}},
                                          {"model.layers.7.self_attn.q_proj.weight", TensorType::F32, {16, 16}}};
  EXPECT_FALSE(reader->check(wanted, diags));
  EXPECT_TRUE(says("tensor 'norm.weight' (model.norm.weight) has shape [16], the model wants [8]")) << messages();
  EXPECT_TRUE(
      says("tensor 'layers.7.attention.wq.weight' (model.layers.7.self_attn.q_proj.weight) of shape [16, 16] is "
           "missing; is it 'layers."))
      << messages();
  EXPECT_TRUE(says("tensor 'tok_embeddings.weight' of shape [40, 16] has no place in the recipe's model"))
      << messages();

  const std::string part = torchFileOf(TensorPickle{.name = "norm.weight"}.dictionary());
  write("consolidated.00.pth", part);
  write("consolidated.01.pth", part);
  EXPECT_FALSE(open(root, {"consolidated.00.pth", "consolidated.01.pth"}));
  EXPECT_TRUE(says("consolidated.01.pth: error: tensor 'norm.weight' is also in")) << messages();
  EXPECT_TRUE(says("are parts of one model for as many devices")) << messages();
}

TEST_F(WeightFiles, ParamsJson) {
  EXPECT_TRUE(checkParamsJson(files + "meta/params.json", model, diags));
  EXPECT_EQ(messages(), "");
  auto check = [&](std::string_view text) {
    diags.clear();
    return checkParamsJson(write("params.json", text), model, diags);
  };
  const std::string rest = R"("dim": 16, "n_layers": 2, "norm_eps": 1e-5)";
  EXPECT_TRUE(check("{" + rest + R"(, "n_heads": 2, "n_kv_heads": 1, "vocab_size": -1, "rope_theta": 500000})"));
  EXPECT_EQ(messages(), "");
  EXPECT_FALSE(check("{" + rest + R"(, "n_heads": 2, "vocab_size": 40, "rope_theta": 500000})"));
  EXPECT_TRUE(says("'n_kv_heads' is 2, the recipe's model has 1")) << messages();
  EXPECT_FALSE(check("{" + rest + R"(, "n_heads": 4, "n_kv_heads": 1, "vocab_size": 41})"));
  EXPECT_TRUE(says("'n_heads' is 4, the recipe's model has 2")) << messages();
  EXPECT_TRUE(says("'vocab_size' is 41, the recipe's model has 40")) << messages();
  EXPECT_TRUE(says("'rope_theta' is 10000, the recipe's model has 500000")) << messages();
  EXPECT_TRUE(check("{" + rest + R"(, "n_heads": 2, "n_kv_heads": 1, "vocab_size": 40, "rope_theta": 500000,
                    "use_scaled_rope": true})"));
  EXPECT_TRUE(says("warning: 'use_scaled_rope' is true, the recipe's model does not scale positions")) << messages();
  EXPECT_FALSE(check("[]"));
  EXPECT_TRUE(says("not a JSON object")) << messages();
  diags.clear();
  EXPECT_FALSE(checkParamsJson(root / "missing", model, diags));
}

constexpr ModelArchitecture llama = ModelArchitecture::Llama;

TEST(WeightNames, ThereAndBack) {
  std::set<std::string> seen;
  for (const char *name :
       {"tok_embeddings.weight", "norm.weight", "output.weight", "layers.0.attention.wq.weight",
        "layers.12.attention.wk.weight", "layers.3.attention.wv.weight", "layers.3.attention.wo.weight",
        "layers.3.feed_forward.w1.weight", "layers.3.feed_forward.w2.weight", "layers.3.feed_forward.w3.weight",
        "layers.3.attention_norm.weight", "layers.3.ffn_norm.weight"}) {
    auto known = knownWeight(name, llama);
    ASSERT_TRUE(known) << name;
    EXPECT_EQ(known->naming, Naming::Meta);
    EXPECT_EQ(nameIn(Naming::Meta, known->name, llama), name);
    EXPECT_TRUE(seen.insert(known->name).second);
    const std::string torchtunes = nameIn(Naming::Torchtune, known->name, llama);
    auto again = knownWeight(torchtunes, llama);
    ASSERT_TRUE(again) << torchtunes;
    EXPECT_EQ(again->name, known->name);
    EXPECT_EQ(again->naming, known->inBoth ? Naming::Meta : Naming::Torchtune);
    EXPECT_EQ(known->inBoth, torchtunes == name);
  }
  EXPECT_EQ(knownWeight("layers.12.feed_forward.w2.weight", llama)->name, "model.layers.12.mlp.down_proj.weight");
  EXPECT_EQ(knownWeight("layers.0.mlp.w3.weight", llama)->name, "model.layers.0.mlp.up_proj.weight");
  for (const char *name : {"", "layers.", "layers..attention.wq.weight", "layers.x.attention.wq.weight", "layers.1",
                           "layers.1.norm.weight", "layers.1.", "model.norm.weight",
                           "model.layers.0.self_attn.q_proj.weight", "rope.freqs", "layers.0.attention.wq.weight.more"})
    EXPECT_FALSE(knownWeight(name, llama)) << name;
  EXPECT_EQ(nameIn(Naming::Meta, "anything", llama), "anything");
  // Meta has no such weights.
  const std::string bias = "model.layers.2.self_attn.k_proj.bias";
  EXPECT_EQ(knownWeight("layers.2.attn.k_proj.bias", llama)->name, bias);
  EXPECT_EQ(knownWeight("layers.2.attn.q_norm.scale", llama)->name, "model.layers.2.self_attn.q_norm.weight");
  EXPECT_EQ(nameIn(Naming::Torchtune, bias, llama), "layers.2.attn.k_proj.bias");
  EXPECT_EQ(nameIn(Naming::Meta, bias, llama), bias);
}

TEST(WeightNames, OfGemma2sNorms) {
  constexpr ModelArchitecture gemma2 = ModelArchitecture::Gemma2;
  const std::string layer = "model.layers.7.";
  const std::pair<std::string, std::string> norms[] = {
      {"model.norm.weight", "norm.rms_norm.scale"},
      {layer + "input_layernorm.weight", "layers.7.sa_norm.scale"},
      {layer + "post_attention_layernorm.weight", "layers.7.sa_scale.scale"},
      {layer + "pre_feedforward_layernorm.weight", "layers.7.mlp_scale.scale"},
      {layer + "post_feedforward_layernorm.weight", "layers.7.mlp_norm.scale"},
      {layer + "mlp.up_proj.weight", "layers.7.mlp.w3.weight"},
  };
  for (const auto &[name, torchtunes] : norms) {
    EXPECT_EQ(nameIn(Naming::Torchtune, name, gemma2), torchtunes);
    auto known = knownWeight(torchtunes, gemma2);
    ASSERT_TRUE(known) << torchtunes;
    EXPECT_EQ(known->name, name);
    EXPECT_EQ(known->naming, Naming::Torchtune);
  }
  // Of all others, Gemma among them, the norm before the feed-forward block has another name.
  EXPECT_EQ(knownWeight("layers.7.mlp_norm.scale", ModelArchitecture::Gemma)->name,
            layer + "post_attention_layernorm.weight");
}

/// torchtune and Meta have no such models, so nothing is another name of their weights.
TEST(WeightNames, OfFamiliesThatTorchtuneHasNot) {
  for (ModelArchitecture architecture :
       {ModelArchitecture::Gemma3, ModelArchitecture::SmolLM3, ModelArchitecture::Olmo2, ModelArchitecture::Granite}) {
    EXPECT_FALSE(knownWeight("layers.7.mlp_norm.scale", architecture));
    EXPECT_FALSE(knownWeight("tok_embeddings.weight", architecture));
    const std::string norm = "model.layers.7.post_attention_layernorm.weight";
    EXPECT_EQ(nameIn(Naming::Torchtune, norm, architecture), norm);
  }
}

TEST(WeightNames, OfAdapters) {
  EXPECT_EQ(knownAdapter("layers.3.attn.output_proj.lora_a.weight"), "model.layers.3.self_attn.o_proj.lora_A.weight");
  EXPECT_EQ(knownAdapter("layers.3.mlp.w2.lora_b.weight"), "model.layers.3.mlp.down_proj.lora_B.weight");
  EXPECT_EQ(knownAdapter("layers.0.attn.q_proj.magnitude"), "model.layers.0.self_attn.q_proj.lora_magnitude_vector");
  EXPECT_EQ(knownAdapter("output.lora_a.weight"), "lm_head.lora_A.weight");
  for (const char *name : {"", ".magnitude", "layers.0.attn.q_proj.weight", "layers.0.attention.wq.lora_a.weight",
                           "model.layers.0.self_attn.q_proj.lora_A.weight", "layers.0.attn.x_proj.lora_a.weight"})
    EXPECT_FALSE(knownAdapter(name)) << name;
}

/// Rows of heads of 8 in Meta's order: 0 2 4 6 1 3 5 7, head by head.
TEST(WeightNames, RowsOfQueriesAndKeys) {
  TensorFile::Entry entry{{"layers.0.attention.wq.weight", TensorType::F32, {16, 16}}};
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  layOutRotary("model.layers.0.self_attn.v_proj.weight", modelOfFiles(), entry);
  EXPECT_TRUE(entry.layout.empty());
  layOutRotary(query, modelOfFiles(), entry);
  using Loops = std::vector<TensorFile::Dimension>;
  EXPECT_EQ(entry.layout, (Loops{{2, 128}, {2, 16}, {4, 32}, {16, 1}}));
  TensorFile::Entry other{{"", TensorType::F32, {8, 16}}}; // of one head
  layOutRotary(query, modelOfFiles(), other);
  EXPECT_TRUE(other.layout.empty());
  layOutRotary("model.layers.0.self_attn.k_proj.weight", modelOfFiles(), other);
  EXPECT_EQ(other.layout, (Loops{{1, 128}, {2, 16}, {4, 32}, {16, 1}}));
  TensorFile::Entry transposed{{"", TensorType::F32, {8, 16}}, 0, {{8, 1}, {16, 8}}};
  layOutRotary("model.layers.0.self_attn.k_proj.weight", modelOfFiles(), transposed);
  EXPECT_EQ(transposed.layout, (Loops{{1, 8}, {2, 1}, {4, 2}, {16, 8}}));
  TensorFile::Entry magnitude{{"", TensorType::F32, {16}}};
  layOutRotary("model.layers.0.self_attn.q_proj.lora_magnitude_vector", modelOfFiles(), magnitude);
  EXPECT_EQ(magnitude.layout, (Loops{{2, 8}, {2, 1}, {4, 2}}));
  TensorFile::Entry low{{"", TensorType::F32, {16, 16}}};
  layOutRotary("model.layers.0.self_attn.q_proj.lora_A.weight", modelOfFiles(), low);
  EXPECT_TRUE(low.layout.empty());
  ModelConfig qwen = modelOfFiles();
  qwen.architecture = ModelArchitecture::Qwen2;
  layOutRotary(query, qwen, low);
  EXPECT_TRUE(low.layout.empty());
}

} // namespace

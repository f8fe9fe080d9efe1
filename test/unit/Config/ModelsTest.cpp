//===- ModelsTest.cpp - Builders of models ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

using namespace ftc;

TEST(Models, EveryBuilderBySize) {
  struct Facts {
    const char *name;
    int64_t layers, width, intermediate, heads, kvHeads, vocab, maxSeqLen;
    double base, factor;
    bool tied;
  };
  for (const Facts &f :
       std::initializer_list<Facts>{{"llama3_2.llama3_2_1b", 16, 2048, 8192, 32, 8, 128256, 131072, 5e5, 32, true},
                                    {"llama3_2.llama3_2_3b", 28, 3072, 8192, 24, 8, 128256, 131072, 5e5, 32, true},
                                    {"llama3_1.llama3_1_8b", 32, 4096, 14336, 32, 8, 128256, 131072, 5e5, 8, false},
                                    {"llama3_1.llama3_1_70b", 80, 8192, 28672, 64, 8, 128256, 131072, 5e5, 8, false},
                                    {"llama3_3.llama3_3_70b", 80, 8192, 28672, 64, 8, 128256, 131072, 5e5, 8, false},
                                    {"llama3.llama3_8b", 32, 4096, 14336, 32, 8, 128256, 8192, 5e5, 1, false},
                                    {"llama3.llama3_70b", 80, 8192, 28672, 64, 8, 128256, 8192, 5e5, 1, false},
                                    {"llama2.llama2_7b", 32, 4096, 11008, 32, 32, 32000, 4096, 1e4, 1, false},
                                    {"llama2.llama2_13b", 40, 5120, 13824, 40, 40, 32000, 4096, 1e4, 1, false},
                                    {"llama2.llama2_70b", 80, 8192, 28672, 64, 8, 32000, 4096, 1e4, 1, false},
                                    {"mistral.mistral_7b", 32, 4096, 14336, 32, 8, 32000, 32768, 1e4, 1, false},
                                    {"qwen2.qwen2_7b", 28, 3584, 18944, 28, 4, 152064, 32768, 1e6, 1, false},
                                    {"qwen2_5.qwen2_5_0_5b", 24, 896, 4864, 14, 2, 151936, 32768, 1e6, 1, true},
                                    {"qwen2_5.qwen2_5_3b", 36, 2048, 11008, 16, 2, 151936, 32768, 1e6, 1, true},
                                    {"phi3.phi3_mini", 32, 3072, 8192, 32, 32, 32064, 4096, 1e4, 1, false},
                                    {"phi4.phi4_14b", 40, 5120, 17920, 40, 10, 100352, 16384, 25e4, 1, false}}) {
    std::string component = std::string("torchtune.models.") + f.name;
    Recipe r = good("model: {_component_: " + component + "}\ntokenizer: {max_seq_len: 8}\n");
    EXPECT_EQ(r.model.component, component);
    EXPECT_EQ(r.model.numLayers, f.layers) << f.name;
    EXPECT_EQ(r.model.embedDim, f.width) << f.name;
    EXPECT_EQ(r.model.intermediateDim, f.intermediate) << f.name;
    EXPECT_EQ(r.model.numHeads, f.heads) << f.name;
    EXPECT_EQ(r.model.numKvHeads, f.kvHeads) << f.name;
    EXPECT_EQ(r.model.headDim, f.width / f.heads) << f.name;
    EXPECT_EQ(r.model.vocabSize, f.vocab) << f.name;
    EXPECT_EQ(r.model.maxSeqLen, f.maxSeqLen) << f.name;
    EXPECT_EQ(r.model.ropeBase, f.base) << f.name;
    EXPECT_EQ(r.model.ropeScaling.factor, f.factor) << f.name;
    EXPECT_EQ(r.model.tiedEmbeddings, f.tied) << f.name;
  }
}

TEST(Models, WhatQwenAddsToLlama) {
  Recipe r = good("model: {_component_: torchtune.models.qwen2_5.qwen2_5_7b_base}\ntokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Qwen2);
  EXPECT_TRUE(r.model.qkvBias && !r.model.qkNorm);
  EXPECT_EQ(r.model.normEps, 1e-6);
  r = good("model: {_component_: torchtune.models.qwen3.lora_qwen3_0_6b_base, lora_attn_modules: [q_proj]}\n"
           "tokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Qwen3);
  EXPECT_TRUE(!r.model.qkvBias && r.model.qkNorm && r.model.tiedEmbeddings);
  EXPECT_EQ(r.model.headDim, 128); // not 1024 / 16
  r = good(minimal, {"model=torchtune.models.mistral.mistral"});
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Mistral);
  EXPECT_FALSE(r.model.qkvBias || r.model.qkNorm);
  r = good("model: {_component_: torchtune.models.phi4.qlora_phi4_14b, lora_attn_modules: [q_proj]}\n"
           "tokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Phi3);
  EXPECT_TRUE(r.quantizedBase && !r.model.qkvBias && !r.model.qkNorm);
  EXPECT_EQ(r.model.slidingWindow, 0);
}

TEST(Models, WindowsOfAttention) {
  Recipe r = good("model: {_component_: torchtune.models.phi3.phi3_mini}\ntokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.slidingWindow, 2047);
  EXPECT_TRUE(r.model.hasWindow(0) && r.model.hasWindow(1));
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  for (const char *family : {"mistral", "phi3"}) {
    const std::string model = std::string("model=torchtune.models.") + family + "." + family;
    EXPECT_EQ(good(minimal, {model}).model.slidingWindow, 0);
    r = good(minimal, {model, "model.sliding_window_size=20"});
    EXPECT_EQ(r.model.slidingWindow, 20);
    EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  }
}

TEST(Models, Gemma) {
  Recipe r = good("model: {_component_: torchtune.models.gemma.qlora_gemma_2b, lora_attn_modules: [q_proj]}\n"
                  "tokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Gemma);
  EXPECT_TRUE(r.model.isGemma() && !r.model.hasOuterNorms() && r.model.tiedEmbeddings && r.quantizedBase);
  EXPECT_EQ(r.model.numKvHeads, 1);
  EXPECT_EQ(r.model.headDim, 256);
  EXPECT_EQ(r.model.normEps, 1e-6);
  EXPECT_EQ(r.model.attentionCap, 0);
  EXPECT_EQ(r.model.slidingWindow, 0);
  r = good("model: {_component_: torchtune.models.gemma2.gemma2_27b}\ntokenizer: {max_seq_len: 8}\n");
  EXPECT_EQ(r.model.architecture, ModelArchitecture::Gemma2);
  EXPECT_TRUE(r.model.isGemma() && r.model.hasOuterNorms() && r.model.tiedEmbeddings);
  EXPECT_EQ(r.model.headDim, 128); // not 4608 / 32
  EXPECT_EQ(r.model.queryScalar, 144);
  // As released; torchtune's builders by size exchange the caps.
  EXPECT_EQ(r.model.attentionCap, 50);
  EXPECT_EQ(r.model.logitsCap, 30);
  EXPECT_EQ(r.model.slidingWindow, 4096);
  for (const char *size : {"gemma2_2b", "gemma2_9b"}) {
    r = good("model: {_component_: torchtune.models.gemma2." + std::string(size) + "}\ntokenizer: {max_seq_len: 8}\n");
    EXPECT_EQ(r.model.headDim, 256);
    EXPECT_EQ(r.model.queryScalar, 0);
  }
}

TEST(Models, GemmaWithSizesOfItsOwn) {
  const std::vector<std::string> sizes = {"model=torchtune.models.gemma2.gemma2", "model.head_dim=32",
                                          "model.intermediate_dim=96"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), sizes.begin(), sizes.end());
    return more;
  };
  Recipe r = good(minimal, sizes);
  EXPECT_EQ(r.model.attentionCap, 50);
  EXPECT_EQ(r.model.logitsCap, 30);
  EXPECT_EQ(r.model.slidingWindow, 4096);
  EXPECT_EQ(r.model.queryScalar, 0);
  EXPECT_EQ(r.model.normEps, 1e-6);
  r = good(minimal, with({"model.hidden_capping_value=null", "model.final_capping_value=2.5",
                          "model.sliding_window_size=7", "model.query_pre_attn_scalar=20"}));
  EXPECT_EQ(r.model.attentionCap, 0);
  EXPECT_EQ(r.model.logitsCap, 2.5);
  EXPECT_EQ(r.model.slidingWindow, 7);
  EXPECT_EQ(r.model.queryScalar, 20);
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.gemma.gemma"}), "lacks head_dim, intermediate_dim;"));
  EXPECT_TRUE(contains(errors(minimal, with({"model.final_capping_value=0"})),
                       "it must be above 0 and finite in fp32, or null"));
  EXPECT_TRUE(contains(errors(minimal, with({"model.sliding_window_size=0"})), "sliding_window_size"));
  EXPECT_TRUE(contains(errors(minimal, {"model.final_capping_value=30"}), "is not an argument of"));
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.gemma.gemma", "model.head_dim=32",
                                        "model.intermediate_dim=96", "model.sliding_window_size=9"}),
                       "is not an argument of"));
}

/// Which torchtune has no builders of.
TEST(Models, OfFtcsOwnBuilders) {
  Recipe r = good(minimal, {"model=ftc.models.gemma3", "model.head_dim=32", "model.intermediate_dim=96"});
  EXPECT_EQ(r.model.family, "gemma3");
  EXPECT_TRUE(r.model.qkNorm && r.model.tiedEmbeddings);
  EXPECT_EQ(r.model.ropeBase, 1e6);
  EXPECT_EQ(r.model.localRopeBase, 1e4);
  EXPECT_EQ(r.model.slidingWindow, 4096);
  EXPECT_EQ(r.model.windowPattern, 6);
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  r = good(minimal, {"model=ftc.models.smollm3"});
  EXPECT_EQ(r.model.architecture, ModelArchitecture::SmolLM3);
  EXPECT_EQ(r.model.ropeBase, 2e6);
  EXPECT_EQ(r.model.ropelessPattern, 4);
  EXPECT_TRUE(r.model.tiedEmbeddings && r.model.hasRotary(2) && !r.model.hasRotary(3));
  r = good(minimal, {"model=ftc.models.smollm3", "model.no_rope_layer_interval=null"});
  EXPECT_TRUE(r.model.hasRotary(3));
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  r = good(minimal, {"model=ftc.models.olmo2"});
  EXPECT_TRUE(r.model.qkNorm && r.model.hasOuterNorms() && !r.model.hasInnerNorms() && !r.model.tiedEmbeddings);
  EXPECT_EQ(r.model.qkNormWidth(3), 3 * r.model.headDim);
  r = good(minimal, {"model=ftc.models.lora_granite", "model.lora_attn_modules=[q_proj]",
                     "model.residual_multiplier=0.22", "model.tie_word_embeddings=True"});
  EXPECT_EQ(r.model.component, "ftc.models.lora_granite");
  EXPECT_EQ(r.model.residualFactor, 0.22);
  EXPECT_EQ(r.model.scoreFactor, 1);
  EXPECT_EQ(good(r.normalizedYaml).model, r.model);
  EXPECT_TRUE(contains(errors(minimal, {"model=ftc.models.gemma3"}), "lacks head_dim, intermediate_dim;"));
  EXPECT_TRUE(contains(errors(minimal, {"model=ftc.models.granite", "model.residual_multiplier=-1"}),
                       "'model.residual_multiplier' is -1; it must be from 1e-6 to 1e6"));
  EXPECT_TRUE(contains(errors(minimal, {"model=ftc.models.smollm3", "model.no_rope_layer_interval=0"}),
                       "no_rope_layer_interval"));
  EXPECT_TRUE(contains(errors(minimal, {"model.embedding_multiplier=2"}), "is not an argument of"));
  EXPECT_TRUE(contains(errors(minimal, {"model=ftc.models.gemma4"}), "did you mean 'ftc.models.gemma3'"));
  EXPECT_TRUE(contains(errors(minimal, {"model=torchtune.models.gemma3.gemma3_1b"}), "ftc.models.from_config"));
}

TEST(Models, ExplicitFamilies) {
  for (auto [family, base, factor, tied] :
       std::initializer_list<std::tuple<std::string, double, double, bool>>{{"llama2", 1e4, 1, false},
                                                                            {"llama3", 5e5, 1, false},
                                                                            {"llama3_1", 5e5, 8, false},
                                                                            {"llama3_2", 5e5, 32, true},
                                                                            {"mistral", 1e4, 1, false},
                                                                            {"qwen2", 1e6, 1, false},
                                                                            {"qwen3", 1e6, 1, false},
                                                                            {"phi3", 1e4, 1, false}}) {
    Recipe r = good(minimal, {"model=torchtune.models." + family + "." + family});
    EXPECT_EQ(r.model.family, family);
    EXPECT_EQ(r.model.ropeBase, base);
    EXPECT_EQ(r.model.ropeScaling.factor, factor);
    EXPECT_EQ(r.model.tiedEmbeddings, tied);
  }
  // torchtune computes 11008 for Llama 2 7B's width.
  Recipe r = good(minimal, {"model.embed_dim=4096"});
  EXPECT_EQ(r.model.intermediateDim, 11008);
  EXPECT_FALSE(good(minimal, {"model=torchtune.models.llama3_2.llama3_2", "model.tie_word_embeddings=False"})
                   .model.tiedEmbeddings);
  EXPECT_EQ(good(minimal, {"model.head_dim=32"}).model.headDim, 32);
  EXPECT_EQ(good(minimal, {"model.num_kv_heads=null"}).model.numKvHeads, 4);
  EXPECT_EQ(good(minimal, {"~model._component_"}).model.component, "torchtune.models.llama3_2.llama3_2");
}

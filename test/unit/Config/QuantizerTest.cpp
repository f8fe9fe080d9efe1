//===- QuantizerTest.cpp - Recipes of quantization-aware training ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

using namespace ftc;

static const std::string activations = "torchtune.training.quantization.Int8DynActInt4WeightQATQuantizer";
static const std::string weights = "torchtune.training.quantization.Int4WeightOnlyQATQuantizer";

/// What makes of the minimal recipe one of QAT, and `more`. Its inputs are 64, and 256 of the feed-forward block.
static std::vector<std::string> qat(const std::string &component, const std::vector<std::string> &more = {}) {
  std::vector<std::string> overrides = {"quantizer=" + component, "quantizer.groupsize=32"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

static std::vector<std::string> adapters(const std::string &component, const std::vector<std::string> &more = {}) {
  std::vector<std::string> overrides =
      qat(component, {"model=torchtune.models.llama3_1.lora_llama3_1", "model.lora_attn_modules=[q_proj,output_proj]"});
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

TEST(Quantizers, DefaultsAreTorchtunes) {
  EXPECT_FALSE(good(minimal).quantizer);
  EXPECT_FALSE(good(std::string(minimal) + "quantizer: null\nfake_quant_after_n_steps: null\n").quantizer);
  Recipe r = good(minimal, {"model.embed_dim=512", "quantizer=" + activations});
  ASSERT_TRUE(r.quantizer.has_value());
  EXPECT_EQ(*r.quantizer,
            (QuantizerConfig{QuantizerConfig::Kind::Int8DynActInt4Weight, activations, 256, false, 8, 0}));
  r = good(minimal, {"model.embed_dim=512", "quantizer=" + weights});
  EXPECT_EQ(*r.quantizer, (QuantizerConfig{QuantizerConfig::Kind::Int4WeightOnly, weights, 256, false, 8, 0}));
  // torchao's own names are the same.
  r = good(minimal, qat("torchao.quantization.qat.Int8DynActInt4WeightQATQuantizer"));
  EXPECT_EQ(r.quantizer->kind, QuantizerConfig::Kind::Int8DynActInt4Weight);
  EXPECT_EQ(good(minimal, qat(weights + "ModuleSwap", {"quantizer.inner_k_tiles=4"})).quantizer->kind,
            QuantizerConfig::Kind::Int4WeightOnly);
}

TEST(Quantizers, ValuesComeBackFromTheNormalForm) {
  for (const Recipe &r :
       {good(minimal, qat(activations, {"fake_quant_after_n_steps=1000", "quantizer.padding_allowed=True"})),
        good(minimal, qat(weights, {"quantizer.groupsize=64", "quantizer.inner_k_tiles=2"})),
        good(minimal, adapters(weights))}) {
    Recipe again = good(r.normalizedYaml);
    EXPECT_EQ(again.quantizer, r.quantizer);
    EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  }
  EXPECT_EQ(good(minimal, qat(activations, {"fake_quant_after_n_steps=1000"})).quantizer->afterSteps, 1000);
}

TEST(Quantizers, LayersThatAreNoMultiple) {
  Recipe r = good(minimal, qat(activations, {"model.intermediate_dim=80"}));
  EXPECT_TRUE(contains(remarks(r),
                       "'quantizer.groupsize' (command line) is 32, and the inputs of down_proj (80) are no "
                       "multiple of it: they are trained without fake quantization"));
  EXPECT_TRUE(
      contains(errors(minimal, qat(activations, {"model.intermediate_dim=80", "quantizer.padding_allowed=True"})),
               "and the inputs of down_proj (80) are no multiple of it; set quantizer.groupsize=32, or another "
               "divisor"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"quantizer.groupsize=48"})), "<command line>:1:"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"quantizer.groupsize=48"})),
                       "is 48, and the inputs of q_proj (64), o_proj (64) are no multiple of it"));
  // What has no adapter need not fit.
  EXPECT_EQ(remarks(good(minimal, adapters(activations, {"model.intermediate_dim=80"}))).find("groupsize"),
            std::string::npos);
  EXPECT_TRUE(contains(errors(minimal, qat(weights)), "and 'quantizer.inner_k_tiles' (absent) 8, and the inputs of "
                                                      "q_proj (64), k_proj (64)"));
  EXPECT_TRUE(contains(errors(minimal, qat(activations, {"quantizer.groupsize=1024"})), "are no multiple of it"));
}

TEST(Quantizers, WhatIsRefused) {
  EXPECT_TRUE(contains(errors(minimal, {"quantizer=torchtune.training.quantization.Int8DynActInt4WeightQuantizer"}),
                       "quantizes weights that are trained already, which is not built; training for that is: override "
                       "quantizer=" +
                           activations + ", or remove it (~quantizer)"));
  EXPECT_TRUE(contains(errors(minimal, {"quantizer=torchao.quantization.qat.Int4WeightOnlyEmbeddingQATQuantizer"}),
                       "is not built; what works: override quantizer=" + activations + " or " + weights));
  EXPECT_TRUE(contains(errors(minimal, {"quantizer=torchtune.training.quantization.Int4WeightOnlyQATQuantiser"}),
                       "did you mean '" + weights + "'?"));
  EXPECT_TRUE(
      contains(errors(minimal, {"quantizer.groupsize=32"}), "has no '_component_'; name one, such as quantizer="));
  EXPECT_TRUE(
      contains(errors(minimal, {"fake_quant_after_n_steps=9"}),
               "'fake_quant_after_n_steps' (command line) says when fake quantization begins, and 'quantizer' is "
               "absent"));
  EXPECT_TRUE(contains(errors(minimal, qat(activations, {"fake_quant_after_n_steps=0"})),
                       "is 0, with which torchtune never begins; remove it (~fake_quant_after_n_steps)"));
  EXPECT_TRUE(contains(errors(minimal, qat(activations, {"fake_quant_after_n_steps=-1"})), "it must be at least 1"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"fake_quant_after_n_steps=9"})),
                       "has a meaning only without adapters"));
  EXPECT_TRUE(
      contains(errors(minimal, qat(weights, {"quantizer.groupsize=48"})),
               "'quantizer.groupsize' (command line) is 48; Int4WeightOnlyQATQuantizer takes 32, 64, 128 or 256"));
  EXPECT_TRUE(contains(errors(minimal, qat(weights, {"quantizer.inner_k_tiles=3"})), "takes 2, 4 or 8"));
  EXPECT_TRUE(contains(errors(minimal, qat(activations, {"quantizer.inner_k_tiles=2"})),
                       "'quantizer.inner_k_tiles' is not an argument of " + activations));
  EXPECT_TRUE(contains(errors(minimal, qat(activations, {"quantizer.scales_precision=torch.bfloat16"})),
                       "unknown key 'quantizer.scales_precision'"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"model.use_dora=True"})),
                       "'quantizer' (command line) does not go with 'model.use_dora' (command line)"));
  EXPECT_TRUE(
      contains(errors(minimal, adapters(activations, {"model.quantize_base=True", "model.quantizer=bitsandbytes"})),
               "'quantizer' (command line) does not go with 'model.quantize_base' (command line)"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"loss=torchtune.rlhf.loss.DPOLoss",
                                                              "dataset=torchtune.datasets.preference_dataset"})),
                       "does not go with 'loss._component_' (command line)"));
  EXPECT_TRUE(contains(errors(minimal, adapters(activations, {"model=torchtune.models.qwen2.lora_qwen2"})),
                       "q_proj have a bias, which torchtune's linear layer for QAT with LoRA drops"));
  EXPECT_TRUE(good(minimal, qat(activations, {"model=torchtune.models.qwen2.qwen2"})).quantizer.has_value());
}

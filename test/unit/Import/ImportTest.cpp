//===- ImportTest.cpp - Recipes become verified forward graphs ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Import/Import.h"

#include "dialects/Train/IR/Train.h"
#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;
using namespace ftc;

namespace {

Recipe tinyRecipe() {
  Recipe recipe;
  recipe.model.vocabSize = 96;
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = 32;
  recipe.model.headDim = 8;
  recipe.model.intermediateDim = 48;
  recipe.model.maxSeqLen = 128;
  recipe.batchSize = 2;
  recipe.seqLen = 16;
  recipe.clipGradNorm = 1.0;
  return recipe;
}

std::vector<std::string> variableNames(ModuleOp module) {
  std::vector<std::string> names;
  for (auto variable : module.getOps<train::VariableOp>())
    names.push_back(variable.getSymName().str());
  return names;
}

train::EntryOp entryOf(ModuleOp module, StringRef name) { return module.lookupSymbol<train::EntryOp>(name); }

TEST(Import, UntiedModelHasACheckpointsNames) {
  MLIRContext context;
  auto module = importRecipe(context, tinyRecipe());
  ASSERT_TRUE(succeeded(verify(*module)));
  auto names = variableNames(*module);
  // embedding + 2 layers of 9 + final norm + head + two tables.
  EXPECT_EQ(names.size(), 1u + 2 * 9 + 1 + 1 + 2);
  EXPECT_EQ(names.front(), "model.embed_tokens.weight");
  EXPECT_NE(std::find(names.begin(), names.end(), "lm_head.weight"), names.end());
  auto k = module->lookupSymbol<train::VariableOp>("model.layers.1.self_attn.k_proj.weight");
  ASSERT_TRUE(k);
  EXPECT_EQ(k.getTensorType().getShape(), (ArrayRef<int64_t>{16, 32}));
  EXPECT_TRUE(k.getTrainable());
  EXPECT_FALSE(module->lookupSymbol<train::VariableOp>("rotary.cos").getTrainable());
}

TEST(Import, EntriesForShorterRowsFollowTheLongest) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.seqLen = 16;
  recipe.sequenceLengths = {4, 8, 16};
  recipe.gradientAccumulationSteps = 2;
  auto names = [&](const ImportOptions &options) {
    auto module = importRecipe(context, recipe, options);
    EXPECT_TRUE(succeeded(verify(*module)));
    std::vector<std::string> names;
    for (auto entry : module->getOps<train::EntryOp>()) {
      names.push_back(entry.getSymName().str() + " " + std::to_string(entry.getSequence()));
      EXPECT_EQ(entry.getBatch(), entry.getKind() == train::EntryKind::Logits ? 1 : recipe.batchSize);
    }
    return names;
  };
  EXPECT_EQ(names({}),
            (std::vector<std::string>{"micro 16", "step 16", "evaluate 16", "micro_8 8", "step_8 8", "evaluate_8 8",
                                      "micro_4 4", "step_4 4", "evaluate_4 4", "logits 16"}));
  EXPECT_EQ(names({.shorterRows = false}),
            (std::vector<std::string>{"micro 16", "step 16", "evaluate 16", "logits 16"}));
  // All of them know the same tables of positions.
  auto module = importRecipe(context, recipe);
  EXPECT_EQ(module->lookupSymbol<train::VariableOp>("rotary.cos").getTensorType().getDimSize(0), 16);
}

/// Ops of a type in the entry `step`.
template <typename Op> std::vector<Op> opsOf(ModuleOp module) {
  std::vector<Op> ops;
  entryOf(module, "step").walk([&](Op op) { ops.push_back(op); });
  return ops;
}

TEST(Import, GemmasNormsActivationAndEmbeddings) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.dtype = DType::BF16;
  recipe.model.architecture = ModelArchitecture::Gemma;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  auto norm = module->lookupSymbol<train::VariableOp>("model.layers.1.post_attention_layernorm.weight");
  EXPECT_TRUE(isa<train::ZerosInitAttr>(norm.getInit()));
  EXPECT_FALSE(module->lookupSymbol("model.layers.1.pre_feedforward_layernorm.weight"));
  EXPECT_EQ(opsOf<train::RmsNormOp>(*module).size(), 5u);
  for (train::RmsNormOp op : opsOf<train::RmsNormOp>(*module))
    EXPECT_TRUE(op.getZeroCentered());
  EXPECT_EQ(opsOf<train::GeGLUOp>(*module).size(), 2u);
  EXPECT_TRUE(opsOf<train::SwiGLUOp>(*module).empty());
  EXPECT_TRUE(opsOf<train::SoftcapOp>(*module).empty());
  auto scales = opsOf<train::ScaleOp>(*module);
  ASSERT_EQ(scales.size(), 1u);
  auto factor = scales[0].getFactor().getDefiningOp<train::ConstantOp>();
  ASSERT_TRUE(factor);
  // sqrt(32) = 5.65685, of which bf16 holds 5.65625.
  EXPECT_EQ(cast<DenseElementsAttr>(factor.getValue()).getSplatValue<APFloat>().convertToFloat(), 5.65625f);
  recipe.dtype = DType::F32;
  module = importRecipe(context, recipe);
  factor = opsOf<train::ScaleOp>(*module)[0].getFactor().getDefiningOp<train::ConstantOp>();
  EXPECT_EQ(cast<DenseElementsAttr>(factor.getValue()).getSplatValue<APFloat>().convertToFloat(), std::sqrt(32.0f));
}

TEST(Import, Gemma2sWindowsCapsAndNorms) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.architecture = ModelArchitecture::Gemma2;
  recipe.model.numLayers = 3;
  recipe.model.attentionCap = 50;
  recipe.model.logitsCap = 30;
  recipe.model.slidingWindow = 5;
  recipe.model.queryScalar = 64;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_EQ(opsOf<train::RmsNormOp>(*module).size(), 3 * 4 + 1u);
  for (const char *name : {"input", "post_attention", "pre_feedforward", "post_feedforward"})
    EXPECT_TRUE(module->lookupSymbol("model.layers.2." + std::string(name) + "_layernorm.weight")) << name;
  auto attentions = opsOf<train::AttentionOp>(*module);
  ASSERT_EQ(attentions.size(), 3u);
  for (size_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(attentions[layer].getWindow().value_or(0), layer == 1 ? 0u : 5u) << layer;
    EXPECT_EQ(attentions[layer].getSoftcap()->convertToDouble(), 50);
    EXPECT_EQ(attentions[layer].getScale().convertToDouble(), 1.0 / 8);
  }
  auto caps = opsOf<train::SoftcapOp>(*module);
  ASSERT_EQ(caps.size(), 1u);
  EXPECT_EQ(caps[0].getCap().convertToDouble(), 30);
  EXPECT_TRUE(caps[0].getInput().getDefiningOp<train::MatmulOp>());
  // A window of the whole sequence is none, and neither cap has to be.
  recipe.model.slidingWindow = recipe.seqLen;
  recipe.model.attentionCap = recipe.model.logitsCap = 0;
  recipe.model.queryScalar = 0;
  module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  for (train::AttentionOp op : opsOf<train::AttentionOp>(*module)) {
    EXPECT_FALSE(op.getWindow() || op.getSoftcap());
    EXPECT_EQ(op.getScale().convertToDouble(), 1 / std::sqrt(8.0));
  }
  EXPECT_TRUE(opsOf<train::SoftcapOp>(*module).empty());
}

TEST(Import, WindowsOfEveryLayer) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.architecture = ModelArchitecture::Phi3;
  recipe.model.slidingWindow = 5;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  for (train::AttentionOp op : opsOf<train::AttentionOp>(*module))
    EXPECT_EQ(op.getWindow().value_or(0), 5u);
}

TEST(Import, QwensBiasesAndNorms) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.qkvBias = true;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  auto bias = module->lookupSymbol<train::VariableOp>("model.layers.1.self_attn.k_proj.bias");
  ASSERT_TRUE(bias);
  EXPECT_EQ(bias.getTensorType().getShape(), (ArrayRef<int64_t>{16}));
  EXPECT_FALSE(module->lookupSymbol("model.layers.1.self_attn.o_proj.bias"));
  recipe.model.qkvBias = false;
  recipe.model.qkNorm = true;
  module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_FALSE(module->lookupSymbol("model.layers.1.self_attn.k_proj.bias"));
  auto weight = module->lookupSymbol<train::VariableOp>("model.layers.0.self_attn.q_norm.weight");
  ASSERT_TRUE(weight);
  EXPECT_EQ(weight.getTensorType().getShape(), (ArrayRef<int64_t>{recipe.model.headDim}));
}

TEST(Import, TiedModelHasNoHead) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.tiedEmbeddings = true;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_FALSE(module->lookupSymbol("lm_head.weight"));
}

TEST(Import, Bf16KeepsTablesAndLossInFp32) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.dtype = DType::BF16;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_TRUE(module->lookupSymbol<train::VariableOp>("model.norm.weight").getTensorType().getElementType().isBF16());
  EXPECT_TRUE(module->lookupSymbol<train::VariableOp>("rotary.sin").getTensorType().getElementType().isF32());
  entryOf(*module, "logits").walk([](train::ReturnOp op) {
    EXPECT_TRUE(cast<RankedTensorType>(op.getValues()[0].getType()).getElementType().isF32());
  });
}

TEST(Import, EveryParameterIsUpdatedOnce) {
  MLIRContext context;
  auto module = importRecipe(context, tinyRecipe());
  PassManager passes(&context);
  passes.addPass(train::createDifferentiatePass());
  passes.addPass(train::createClipGradientsPass());
  passes.addPass(train::createLowerOptimizerPass());
  ASSERT_TRUE(succeeded(passes.run(*module)));
  std::map<std::string, int> writes;
  entryOf(*module, "step").walk([&](train::WriteOp write) { ++writes[write.getVariable().str()]; });
  size_t expected = 0;
  for (auto variable : module->getOps<train::VariableOp>())
    if (variable.getTrainable() || variable.getRole() == train::VariableRole::State) {
      EXPECT_EQ(writes[variable.getSymName().str()], 1) << variable.getSymName().str();
      ++expected;
    }
  EXPECT_EQ(writes.size(), expected);
  EXPECT_EQ(expected, 3u * (2 * 9 + 3));
  // The evaluate and logits entries change nothing.
  for (StringRef name : {"evaluate", "logits"})
    entryOf(*module, name).walk([](train::WriteOp) { ADD_FAILURE(); });
}

TEST(Import, EntriesCanBeLeftOut) {
  MLIRContext context;
  ImportOptions options;
  options.evaluate = options.logits = false;
  auto module = importRecipe(context, tinyRecipe(), options);
  EXPECT_TRUE(entryOf(*module, "step"));
  EXPECT_FALSE(entryOf(*module, "evaluate"));
  EXPECT_FALSE(entryOf(*module, "logits"));
}

} // namespace

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

/// Reals that an initial value of rotary tables is made from: base and factor.
std::pair<double, double> anglesOf(ModuleOp module, StringRef table) {
  auto variable = module.lookupSymbol<train::VariableOp>(table);
  if (!variable)
    return {0, 0};
  auto init = cast<train::RotaryInitAttr>(variable.getInit());
  return {init.getBase().getValueAsDouble(), init.getFactor().getValueAsDouble()};
}

/// The table of cosines that each layer's queries and keys are turned by, "" for a layer without.
std::vector<std::string> tablesOf(ModuleOp module, int64_t layers) {
  std::vector<std::string> tables(static_cast<size_t>(layers));
  for (train::RotaryOp op : opsOf<train::RotaryOp>(module)) {
    auto layer = op->getAttrOfType<IntegerAttr>(train::TrainDialect::layerAttrName).getInt();
    tables[static_cast<size_t>(layer)] = op.getCos().getDefiningOp<train::ReadOp>().getVariable().str();
  }
  return tables;
}

TEST(Import, Gemma3sLayersOfTwoKinds) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  ModelConfig &model = recipe.model;
  model.architecture = ModelArchitecture::Gemma3;
  model.numLayers = 4;
  model.qkNorm = true;
  model.slidingWindow = 5;
  model.windowPattern = 3;
  model.ropeBase = 1e6;
  model.localRopeBase = 1e4;
  model.ropeScaling = linearScaling(8);
  model.queryScalar = 64;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_EQ(opsOf<train::RmsNormOp>(*module).size(), 4 * 6 + 1u);
  for (train::RmsNormOp op : opsOf<train::RmsNormOp>(*module))
    EXPECT_TRUE(op.getZeroCentered());
  auto head = module->lookupSymbol<train::VariableOp>("model.layers.3.self_attn.k_norm.weight");
  ASSERT_TRUE(head);
  EXPECT_TRUE(isa<train::ZerosInitAttr>(head.getInit()));
  EXPECT_EQ(head.getTensorType().getShape(), (ArrayRef<int64_t>{8}));
  EXPECT_EQ(opsOf<train::GeGLUOp>(*module).size(), 4u);
  EXPECT_EQ(opsOf<train::ScaleOp>(*module).size(), 1u);
  EXPECT_TRUE(opsOf<train::SoftcapOp>(*module).empty());
  auto attentions = opsOf<train::AttentionOp>(*module);
  ASSERT_EQ(attentions.size(), 4u);
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_EQ(attentions[layer].getWindow().value_or(0), layer == 2 ? 0u : 5u) << layer;
    EXPECT_EQ(attentions[layer].getScale().convertToDouble(), 1.0 / 8);
    EXPECT_FALSE(attentions[layer].getSoftcap());
  }
  const std::string local = "rotary.local.cos", global = "rotary.cos";
  EXPECT_EQ(tablesOf(*module, 4), (std::vector<std::string>{local, local, global, local}));
  EXPECT_EQ(anglesOf(*module, local), std::pair(1e4, 1.0));
  EXPECT_EQ(anglesOf(*module, global), std::pair(1e6, 8.0));
  // A window of the whole sequence is none, but the layer keeps its table.
  model.slidingWindow = 4096;
  module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_EQ(tablesOf(*module, 4), (std::vector<std::string>{local, local, global, local}));
  EXPECT_FALSE(opsOf<train::AttentionOp>(*module)[0].getWindow());
  // There are no tables for layers that are not there.
  model.windowPattern = 0;
  module = importRecipe(context, recipe);
  EXPECT_FALSE(module->lookupSymbol("rotary.cos"));
  model.windowPattern = 1;
  module = importRecipe(context, recipe);
  EXPECT_FALSE(module->lookupSymbol("rotary.local.sin"));
  ASSERT_TRUE(succeeded(verify(*module)));
}

TEST(Import, LayersWithoutRotaryEmbedding) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.architecture = ModelArchitecture::SmolLM3;
  recipe.model.numLayers = 4;
  recipe.model.ropelessPattern = 2;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_EQ(tablesOf(*module, 4), (std::vector<std::string>{"rotary.cos", "", "rotary.cos", ""}));
  EXPECT_EQ(opsOf<train::AttentionOp>(*module).size(), 4u);
  recipe.model.ropelessPattern = 0;
  module = importRecipe(context, recipe);
  EXPECT_EQ(opsOf<train::RotaryOp>(*module).size(), 8u);
  recipe.model.ropelessPattern = 1;
  module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  EXPECT_TRUE(opsOf<train::RotaryOp>(*module).empty());
  EXPECT_FALSE(module->lookupSymbol("rotary.cos"));
}

TEST(Import, Olmo2sNorms) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  recipe.model.architecture = ModelArchitecture::Olmo2;
  recipe.model.qkNorm = true;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  // Two behind the blocks, those of queries and keys, and the last one.
  EXPECT_EQ(opsOf<train::RmsNormOp>(*module).size(), 2 * 4 + 1u);
  for (train::RmsNormOp op : opsOf<train::RmsNormOp>(*module))
    EXPECT_FALSE(op.getZeroCentered());
  for (const char *name : {"input", "pre_feedforward"})
    EXPECT_FALSE(module->lookupSymbol("model.layers.1." + std::string(name) + "_layernorm.weight")) << name;
  for (const char *name : {"post_attention", "post_feedforward"})
    EXPECT_TRUE(module->lookupSymbol("model.layers.1." + std::string(name) + "_layernorm.weight")) << name;
  for (const auto &[name, width] : {std::pair("q", 32), {"k", 16}}) {
    auto norm =
        module->lookupSymbol<train::VariableOp>("model.layers.0.self_attn." + std::string(name) + "_norm.weight");
    ASSERT_TRUE(norm);
    EXPECT_EQ(norm.getTensorType().getShape(), (ArrayRef<int64_t>{width}));
  }
  // What a block adds is its norm's, and what it reads is the stream itself.
  auto sums = opsOf<train::AddOp>(*module);
  ASSERT_EQ(sums.size(), 4u);
  for (train::AddOp sum : sums)
    EXPECT_TRUE(sum.getRhs().getDefiningOp<train::RmsNormOp>());
  for (train::MatmulOp product : opsOf<train::MatmulOp>(*module))
    if (product.getB().getDefiningOp<train::ReadOp>().getVariable() == "model.layers.1.mlp.up_proj.weight")
      EXPECT_TRUE(product.getA().getDefiningOp<train::AddOp>());
}

TEST(Import, GranitesFactors) {
  MLIRContext context;
  Recipe recipe = tinyRecipe();
  ModelConfig &model = recipe.model;
  model.architecture = ModelArchitecture::Granite;
  model.embeddingFactor = 12;
  model.residualFactor = 0.22;
  model.scoreFactor = 0.015625;
  model.logitsDivisor = 16;
  auto module = importRecipe(context, recipe);
  ASSERT_TRUE(succeeded(verify(*module)));
  std::vector<float> factors;
  for (train::ScaleOp op : opsOf<train::ScaleOp>(*module)) {
    auto factor = op.getFactor().getDefiningOp<train::ConstantOp>();
    ASSERT_TRUE(factor);
    factors.push_back(cast<DenseElementsAttr>(factor.getValue()).getSplatValue<APFloat>().convertToFloat());
  }
  EXPECT_EQ(factors, (std::vector<float>{12, 0.22f, 0.22f, 0.22f, 0.22f, 1.0f / 16}));
  for (train::AttentionOp op : opsOf<train::AttentionOp>(*module))
    EXPECT_EQ(op.getScale().convertToDouble(), 0.015625);
  EXPECT_TRUE(opsOf<train::ScaleOp>(*module).back().getInput().getDefiningOp<train::MatmulOp>());
  // Factors of 1 are no ops.
  model.embeddingFactor = model.residualFactor = model.logitsDivisor = 1;
  module = importRecipe(context, recipe);
  EXPECT_TRUE(opsOf<train::ScaleOp>(*module).empty());
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

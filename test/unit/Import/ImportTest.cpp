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

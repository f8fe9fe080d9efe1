//===- CudaCases.cpp - Small recipes for an emulated GPU ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaCases.h"

#include "CompiledPlan.h"

#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

void ftc::test::PrintTo(const Case &which, std::ostream *out) { *out << which.name; }

Recipe ftc::test::recipeOf(const Case &which) {
  Recipe recipe;
  recipe.model.family = "llama3";
  recipe.model.vocabSize = 90;
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = 40;
  recipe.model.headDim = 10;
  recipe.model.intermediateDim = 52;
  recipe.model.maxSeqLen = 128;
  recipe.model.tiedEmbeddings = true;
  recipe.dtype = which.dtype;
  recipe.batchSize = 2;
  recipe.seqLen = 13;
  recipe.optimizer.weightDecay = 0.1;
  recipe.clipGradNorm = 0.5;
  which.change(recipe);
  return recipe;
}

void ftc::test::addAdapters(Recipe &recipe) {
  recipe.lora = LoraConfig{{"q_proj", "v_proj", "gate_proj", "down_proj"}, 3, 6, /*dropout=*/0.25};
  recipe.model.tiedEmbeddings = false;
}

void ftc::test::addPreference(Recipe &recipe) {
  addAdapters(recipe);
  recipe.lossComponent = "torchtune.rlhf.loss.DPOLoss";
  recipe.preference = PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.2};
}

void ftc::test::addFullPreference(Recipe &recipe) {
  recipe.lossComponent = "torchtune.rlhf.loss.DPOLoss";
  recipe.preference = PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.2};
  recipe.reference.emplace();
}

void ftc::test::addTeacher(Recipe &recipe) {
  addAdapters(recipe);
  DistillationConfig &d = recipe.distillation.emplace();
  d.teacher = recipe.model;
  d.teacher.numLayers = 1;
  d.teacher.numHeads = d.teacher.numKvHeads = 3;
  d.teacher.embedDim = 3 * d.teacher.headDim;
  d.teacher.tiedEmbeddings = false;
  d.ratio = 0.25;
}

void ftc::test::widen(Recipe &recipe, int64_t width) {
  recipe.model.embedDim = width;
  recipe.model.headDim = width / 4;
  recipe.model.numKvHeads = 4;
  recipe.model.intermediateDim = 2 * width;
}

void ftc::test::addWideAdapters(Recipe &recipe) {
  addAdapters(recipe);
  widen(recipe, 128);
  recipe.model.headDim = 8;
  recipe.model.numHeads = recipe.model.numKvHeads = 16;
  recipe.quantizedBase = Nf4Quantizer::Torchao;
}

OwningOpRef<ModuleOp> ftc::test::compileTo(Stage stage, const Case &which, const std::string &target,
                                           ByLaunch byLaunch) {
  std::vector<ftc::Diagnostic> diags;
  CompileOptions options;
  options.target = target;
  options.cpu = "x86-64-v3";
  if (target == "cuda")
    options.device = which.device;
  options.stopAfter = stage;
  options.byLaunch = byLaunch;
  std::optional<CompileResult> compiled = ftc::compile(recipeOf(which), options, diags);
  EXPECT_TRUE(compiled) << (diags.empty() ? "" : diags.front().message);
  return compiled ? parseSourceString<ModuleOp>(compiled->output, &context()) : OwningOpRef<ModuleOp>();
}

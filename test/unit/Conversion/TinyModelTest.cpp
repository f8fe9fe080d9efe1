//===- TinyModelTest.cpp - Whole models as graphs and as plans ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "ftc/Import/Import.h"
#include "ftc/Support/Random.h"
#include "ftc/Support/Reference.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::test::conversion;
using reference::NamedTensors;
using reference::Tensor;

namespace {

Recipe tinyRecipe(DType dtype, bool tied) {
  Recipe recipe;
  recipe.model.vocabSize = 96;
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = 32;
  recipe.model.headDim = 8;
  recipe.model.intermediateDim = 48;
  recipe.model.maxSeqLen = 128;
  recipe.model.tiedEmbeddings = tied;
  recipe.batchSize = 2;
  recipe.seqLen = 16;
  recipe.clipGradNorm = 1.0;
  recipe.dtype = dtype;
  return recipe;
}

/// Inputs for any entry of the tiny model: two documents a row, some labels ignored.
NamedTensors inputsOf(train::EntryOp entry) {
  NamedTensors inputs;
  CounterRandom random(11, "inputs");
  for (auto [attribute, argument] : llvm::zip(entry.getInputNames(), entry.getBody().front().getArguments())) {
    StringRef name = cast<StringAttr>(attribute).getValue();
    Tensor value(cast<RankedTensorType>(argument.getType()));
    for (int64_t i = 0; i < value.size(); ++i) {
      int64_t position = i % entry.getSequence(), second = entry.getSequence() / 2 + 1;
      bool later = position >= second;
      if (name == "tokens" || name == "labels")
        value.integers[i] = std::abs(static_cast<int64_t>(random.normal(i + (name == "labels" ? 1000 : 0)) * 30)) % 96;
      else if (name == "positions")
        value.integers[i] = later ? position - second : position;
      else if (name == "segment_starts")
        value.integers[i] = later ? second : 0;
      else if (name == "learning_rate")
        value.reals[i] = static_cast<float>(0.01);
      else if (name == "inv_tokens")
        value.reals[i] = 1.0 / 32;
      else if (name == "step")
        value.integers[i] = 3;
      else if (name == "position")
        value.integers[i] = 5;
      if (name == "labels" && i % 5 == 0)
        value.integers[i] = -100;
    }
    inputs.emplace(name.str(), std::move(value));
  }
  return inputs;
}

/// Precision, tied embeddings, chunks of the loss (0: whole).
class TinyModel : public testing::TestWithParam<std::tuple<DType, bool, int64_t>> {};

TEST_P(TinyModel, EveryEntryComputesWhatTheGraphSays) {
  auto [dtype, tied, chunks] = GetParam();
  Recipe recipe = tinyRecipe(dtype, tied);
  if (chunks) {
    recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
    recipe.lossChunks = chunks;
  }
  auto module = importRecipe(context(), recipe);
  ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
    passes.addPass(train::createDifferentiatePass());
    passes.addPass(train::createChunkLossPass());
    passes.addPass(train::createClipGradientsPass());
    passes.addPass(train::createLowerOptimizerPass());
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
  }));
  int64_t losses = 0;
  module->walk([&](train::CrossEntropyOp) { ++losses; });
  EXPECT_EQ(losses, 2 * std::max<int64_t>(1, chunks)); // step and evaluate
  std::map<std::string, std::pair<NamedTensors, Outcome>> expected;
  NamedTensors start;
  for (auto entry : module->getOps<train::EntryOp>()) {
    NamedTensors inputs = inputsOf(entry);
    expected[entry.getSymName().str()] = {inputs, runTrain(*module, entry.getSymName(), inputs, start)};
  }
  ASSERT_GE(expected.size(), 2u);
  ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
    passes.addPass(train::createFormKernelsPass());
    passes.addPass(createConvertTrainToPlanPass());
    passes.addPass(plan::createPlanAssignOffsetsPass());
    passes.addPass(plan::createPlanVerifyPass());
  }));
  for (auto &[name, run] : expected) {
    SCOPED_TRACE(name);
    Outcome actual = runPlan(*module, name, run.first, start);
    expectNear(run.second.outputs, actual.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
    expectNear(run.second.variables, actual.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
  }
  // The step changed every parameter: an entry that does nothing would not pass.
  Outcome step = runPlan(*module, "step", expected["step"].first, start);
  for (auto variable : module->getOps<plan::VariableOp>())
    if (variable.getTrainable())
      EXPECT_GT(relativeError(start.at(variable.getSymName().str()), step.variables.at(variable.getSymName().str())),
                1e-6)
          << variable.getSymName().str();
}

void addTrainPasses(PassManager &passes) {
  passes.addPass(train::createDifferentiatePass());
  passes.addPass(train::createChunkLossPass());
  passes.addPass(train::createClipGradientsPass());
  passes.addPass(train::createLowerOptimizerPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(train::createInsertRematPass());
}

TEST_P(TinyModel, ActivationCheckpointingChangesNoBit) {
  auto [dtype, tied, chunks] = GetParam();
  Recipe recipe = tinyRecipe(dtype, tied);
  recipe.model.numLayers = 3;
  if (chunks) {
    recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
    recipe.lossChunks = chunks;
  }
  using Mode = CheckpointingConfig::Mode;
  Outcome plainGraph, plainPlan;
  for (auto [mode, every] : {std::pair(Mode::None, 1), {Mode::Full, 1}, {Mode::Full, 2}, {Mode::Selective, 1}}) {
    SCOPED_TRACE("mode " + std::to_string(static_cast<int>(mode)) + " every " + std::to_string(every));
    recipe.checkpointing = {mode, every};
    auto module = importRecipe(context(), recipe);
    ASSERT_TRUE(runPasses(*module, [](PassManager &passes) { addTrainPasses(passes); }));
    int copies = 0;
    module->walk([&](Operation *op) { copies += op->hasAttr(train::TrainDialect::recomputeAttrName); });
    EXPECT_EQ(copies > 0, mode != Mode::None);
    NamedTensors start, inputs = inputsOf(module->lookupSymbol<train::EntryOp>("step"));
    Outcome graph = runTrain(*module, "step", inputs, start);
    ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createConvertTrainToPlanPass());
      passes.addPass(plan::createPlanAssignOffsetsPass());
    }));
    Outcome plan = runPlan(*module, "step", inputs, start);
    if (mode == Mode::None) {
      plainGraph = std::move(graph);
      plainPlan = std::move(plan);
      continue;
    }
    expectIdentical(plainGraph.outputs, graph.outputs);
    expectIdentical(plainGraph.variables, graph.variables);
    expectIdentical(plainPlan.outputs, plan.outputs);
    expectIdentical(plainPlan.variables, plan.variables);
  }
}

/// Gradients held, and made twice, with and without recomputation: each the same bits as the other, in graph and plan.
TEST_P(TinyModel, WhereUpdatesStandChangesNoBit) {
  auto [dtype, tied, chunks] = GetParam();
  using train::UpdatePlacement;
  for (std::optional<double> clip : {std::optional<double>(), std::optional(0.25), std::optional(double(INFINITY))})
    for (bool remat : {false, true}) {
      Outcome plainGraph, plainPlan;
      for (auto placement : {UpdatePlacement::End, UpdatePlacement::Backward, UpdatePlacement::TwoPasses}) {
        SCOPED_TRACE("clip " + std::to_string(clip.value_or(0)) + " remat " + std::to_string(remat) + " placement " +
                     train::stringifyUpdatePlacement(placement).str());
        Recipe recipe = tinyRecipe(dtype, tied);
        recipe.clipGradNorm = clip;
        if (remat)
          recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
        if (chunks) {
          recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
          recipe.lossChunks = chunks;
        }
        auto module = importRecipe(context(), recipe);
        (*module)->setAttr(train::TrainDialect::updatesAttrName, train::UpdatesAttr::get(&context(), placement));
        ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
          passes.addPass(train::createDifferentiatePass());
          passes.addPass(train::createChunkLossPass());
          passes.addPass(train::createClipGradientsPass());
          passes.addPass(createCanonicalizerPass());
          passes.addPass(createCSEPass());
          passes.addPass(train::createInsertRematPass());
          passes.addPass(train::createFuseUpdatesPass());
          passes.addPass(train::createLowerOptimizerPass());
          passes.addPass(createCanonicalizerPass());
          passes.addPass(createCSEPass());
        }));
        int products = 0;
        module->walk([&](train::MatmulOp op) {
          products += op->hasAttr(train::TrainDialect::recomputeAttrName) && op.getTransposeA();
        });
        // Gradients of weights are made again only where two passes are asked for and something is clipped.
        EXPECT_EQ(products > 0, placement == UpdatePlacement::TwoPasses && clip == 0.25);
        NamedTensors start, inputs = inputsOf(module->lookupSymbol<train::EntryOp>("step"));
        Outcome graph = runTrain(*module, "step", inputs, start);
        ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
          passes.addPass(train::createFormKernelsPass());
          passes.addPass(createConvertTrainToPlanPass());
          passes.addPass(plan::createPlanAssignOffsetsPass());
          passes.addPass(plan::createPlanVerifyPass());
        }));
        Outcome plan = runPlan(*module, "step", inputs, start);
        if (placement == UpdatePlacement::End) {
          plainGraph = std::move(graph);
          plainPlan = std::move(plan);
          continue;
        }
        expectIdentical(plainGraph.outputs, graph.outputs);
        expectIdentical(plainGraph.variables, graph.variables);
        expectIdentical(plainPlan.outputs, plan.outputs);
        expectIdentical(plainPlan.variables, plan.variables);
      }
    }
}

/// Graph and plan drop the same elements, whether activations are kept or computed again.
TEST_P(TinyModel, DropoutIsTheSameInGraphAndPlan) {
  auto [dtype, tied, chunks] = GetParam();
  if (chunks)
    return;
  Outcome plain;
  for (bool remat : {false, true}) {
    Recipe recipe = tinyRecipe(dtype, tied);
    recipe.lora = LoraConfig{{"q_proj", "o_proj", "up_proj", "down_proj"}, 4, 8, 0.3};
    if (remat)
      recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
    auto module = importRecipe(context(), recipe);
    ASSERT_TRUE(runPasses(*module, [](PassManager &passes) { passes.addPass(train::createAttachAdaptersPass()); }));
    for (auto entry : module->getOps<train::EntryOp>()) {
      auto drops = entry.getBody().front().getOps<train::DropoutOp>();
      EXPECT_EQ(std::distance(drops.begin(), drops.end()), entry.getSymName() == "step" ? 8 : 0);
    }
    ASSERT_TRUE(runPasses(*module, [](PassManager &passes) { addTrainPasses(passes); }));
    NamedTensors start, inputs = inputsOf(module->lookupSymbol<train::EntryOp>("step"));
    Outcome graph = runTrain(*module, "step", inputs, start);
    ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createConvertTrainToPlanPass());
      passes.addPass(plan::createPlanAssignOffsetsPass());
      passes.addPass(plan::createPlanVerifyPass());
    }));
    Outcome plan = runPlan(*module, "step", inputs, start);
    expectNear(graph.outputs, plan.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
    expectNear(graph.variables, plan.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
    if (remat) {
      expectIdentical(plain.outputs, graph.outputs);
      expectIdentical(plain.variables, graph.variables);
    }
    plain = std::move(graph);
  }
}

/// Graph and plan agree for pairs of answers too; where gradients are made and what is computed again changes no bit.
TEST_P(TinyModel, PreferencesAreTheSameInGraphAndPlan) {
  auto [dtype, tied, chunks] = GetParam();
  Outcome plain;
  for (bool remat : {false, true})
    for (auto placement : {train::UpdatePlacement::End, train::UpdatePlacement::TwoPasses}) {
      SCOPED_TRACE("remat " + std::to_string(remat) + " " + train::stringifyUpdatePlacement(placement).str());
      Recipe recipe = tinyRecipe(dtype, tied);
      recipe.lossComponent = "torchtune.rlhf.loss.DPOLoss";
      recipe.preference = PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.25, 0.125};
      recipe.lora = LoraConfig{{"q_proj", "o_proj", "up_proj", "down_proj"}, 4, 8, 0.3};
      if (!tied)
        recipe.lora->targets.push_back("lm_head");
      recipe.lossChunks = chunks ? chunks : 1;
      recipe.clipGradNorm = 0.25;
      if (remat)
        recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
      auto module = importRecipe(context(), recipe);
      (*module)->setAttr(train::TrainDialect::updatesAttrName, train::UpdatesAttr::get(&context(), placement));
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createAttachAdaptersPass());
        passes.addPass(train::createDifferentiatePass());
        passes.addPass(train::createChunkLossPass());
        passes.addPass(train::createClipGradientsPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
        passes.addPass(train::createInsertRematPass());
        passes.addPass(train::createFuseUpdatesPass());
        passes.addPass(train::createLowerOptimizerPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
      }));
      // Of policy and reference in two entries; and their gradient, in one, or twice where it is made twice.
      int64_t forward = 0, backward = 0, rows = 0;
      module->walk([&](train::LabelLogProbsOp op) { ++forward, rows = std::max(rows, op.getRows()); });
      module->walk([&](train::LabelLogProbsGradOp) { ++backward; });
      EXPECT_EQ(forward, 4 * std::max<int64_t>(1, chunks));
      EXPECT_EQ(backward, (placement == train::UpdatePlacement::TwoPasses ? 2 : 1) * std::max<int64_t>(1, chunks));
      if (chunks)
        EXPECT_EQ(rows, llvm::divideCeil(recipe.rowsOfBatch() * recipe.seqLen, chunks));
      for (const char *name : {"step", "evaluate"}) {
        auto entry = module->lookupSymbol<train::EntryOp>(name);
        EXPECT_EQ(static_cast<int64_t>(entry.getBatch()), 2 * recipe.batchSize);
      }
      NamedTensors start, inputs = inputsOf(module->lookupSymbol<train::EntryOp>("step"));
      NamedTensors evaluated = inputsOf(module->lookupSymbol<train::EntryOp>("evaluate"));
      Outcome evaluation = runTrain(*module, "evaluate", evaluated, start);
      // Adapters begin at zero: the model is its own reference, and each of the two pairs costs log 2.
      EXPECT_EQ(evaluation.outputs.at("pairs").integers.front(), recipe.batchSize);
      EXPECT_NEAR(evaluation.outputs.at("loss_sum").reals.front(), recipe.batchSize * std::log(2.0), 1e-6);
      start.clear();
      Outcome graph = runTrain(*module, "step", inputs, start);
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createFormKernelsPass());
        passes.addPass(createConvertTrainToPlanPass());
        passes.addPass(plan::createPlanAssignOffsetsPass());
        passes.addPass(plan::createPlanVerifyPass());
      }));
      Outcome plan = runPlan(*module, "step", inputs, start);
      expectNear(graph.outputs, plan.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
      expectNear(graph.variables, plan.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
      if (plain.outputs.empty()) {
        plain = std::move(plan);
        continue;
      }
      expectIdentical(plain.outputs, plan.outputs);
      expectIdentical(plain.variables, plan.variables);
    }
}

/// Graph and plan agree with a teacher of other sizes, whose weights stay as they are; where gradients are made and
/// what is computed again changes no bit.
TEST_P(TinyModel, DistillationIsTheSameInGraphAndPlan) {
  auto [dtype, tied, chunks] = GetParam();
  Outcome plain;
  for (bool remat : {false, true})
    for (auto placement : {train::UpdatePlacement::End, train::UpdatePlacement::TwoPasses}) {
      SCOPED_TRACE("remat " + std::to_string(remat) + " " + train::stringifyUpdatePlacement(placement).str());
      Recipe recipe = tinyRecipe(dtype, tied);
      recipe.lossComponent = "torchtune.modules.loss.CEWithChunkedOutputLoss";
      recipe.lossChunks = chunks ? chunks : 1;
      recipe.lora = LoraConfig{{"q_proj", "o_proj", "up_proj", "down_proj"}, 4, 8, 0.3};
      recipe.clipGradNorm = 0.25;
      DistillationConfig &d = recipe.distillation.emplace();
      d.teacher = recipe.model;
      d.teacher.numLayers = 1;
      d.teacher.numHeads = d.teacher.numKvHeads = 3;
      d.teacher.embedDim = d.teacher.headDim * 3;
      d.teacher.tiedEmbeddings = !tied;
      d.ratio = 0.25;
      if (remat)
        recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
      auto module = importRecipe(context(), recipe);
      (*module)->setAttr(train::TrainDialect::updatesAttrName, train::UpdatesAttr::get(&context(), placement));
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createAttachAdaptersPass());
        passes.addPass(train::createDifferentiatePass());
        passes.addPass(train::createChunkLossPass());
        passes.addPass(train::createClipGradientsPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
        passes.addPass(train::createInsertRematPass());
        passes.addPass(train::createFuseUpdatesPass());
        passes.addPass(train::createLowerOptimizerPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
      }));
      int64_t forward = 0, backward = 0, rows = 0;
      module->walk([&](train::DistillationLossOp op) { ++forward, rows = std::max(rows, op.getRows()); });
      module->walk([&](train::DistillationLossGradOp) { ++backward; });
      EXPECT_EQ(forward, 2 * std::max<int64_t>(1, chunks)); // of two entries
      EXPECT_EQ(backward, (placement == train::UpdatePlacement::TwoPasses ? 2 : 1) * std::max<int64_t>(1, chunks));
      if (chunks)
        EXPECT_EQ(rows, llvm::divideCeil(recipe.rowsOfBatch() * recipe.seqLen, chunks));
      NamedTensors start, inputs = inputsOf(module->lookupSymbol<train::EntryOp>("step"));
      Outcome evaluation =
          runTrain(*module, "evaluate", inputsOf(module->lookupSymbol<train::EntryOp>("evaluate")), start);
      const auto number = [](const Outcome &of, const char *name) { return of.outputs.at(name).reals.front(); };
      EXPECT_NEAR(number(evaluation, "loss_sum"),
                  0.75 * number(evaluation, "class_loss_sum") + 0.25 * number(evaluation, "kd_loss_sum"), 1e-4);
      EXPECT_NE(number(evaluation, "class_loss_sum"), number(evaluation, "kd_loss_sum"));
      start.clear();
      Outcome graph = runTrain(*module, "step", inputs, start);
      for (const auto &[name, value] : start)
        if (name.starts_with(teacherPrefix))
          EXPECT_EQ(graph.variables.at(name).reals, value.reals) << name;
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createFormKernelsPass());
        passes.addPass(createConvertTrainToPlanPass());
        passes.addPass(plan::createPlanAssignOffsetsPass());
        passes.addPass(plan::createPlanVerifyPass());
      }));
      Outcome plan = runPlan(*module, "step", inputs, start);
      expectNear(graph.outputs, plan.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
      expectNear(graph.variables, plan.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
      if (plain.outputs.empty()) {
        plain = std::move(plan);
        continue;
      }
      expectIdentical(plain.outputs, plan.outputs);
      expectIdentical(plain.variables, plan.variables);
    }
}

/// Graph and plan agree where layers are fake-quantized, from the fourth step on; what is computed again changes no
/// bit, and fake-quantized weights always are.
TEST_P(TinyModel, QuantizersAreTheSameInGraphAndPlan) {
  auto [dtype, tied, chunks] = GetParam();
  for (bool adapters : {false, true})
    for (auto kind : {QuantizerConfig::Kind::Int8DynActInt4Weight, QuantizerConfig::Kind::Int4WeightOnly}) {
      SCOPED_TRACE("adapters " + std::to_string(adapters) + ", kind " + std::to_string(static_cast<int>(kind)));
      Outcome plain, early;
      for (bool remat : {false, true}) {
        Recipe recipe = tinyRecipe(dtype, tied);
        // AdamW makes steps of rounding where a gradient nearly vanishes.
        recipe.optimizer.kind = OptimizerConfig::Kind::SGD;
        recipe.quantizer =
            QuantizerConfig{.kind = kind, .component = "", .groupSize = 16, .afterSteps = adapters ? 0 : 3};
        if (adapters)
          recipe.lora = LoraConfig{{"q_proj", "o_proj", "up_proj", "down_proj"}, 4, 8, 0};
        if (chunks) {
          recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
          recipe.lossChunks = chunks;
        }
        if (remat)
          recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
        auto module = importRecipe(context(), recipe);
        ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
          passes.addPass(train::createAttachAdaptersPass());
          passes.addPass(train::createFakeQuantizePass());
        }));
        ASSERT_TRUE(runPasses(*module, [](PassManager &passes) { addTrainPasses(passes); }));
        auto step = module->lookupSymbol<train::EntryOp>("step");
        int64_t again = 0;
        step.walk([&](train::FakeQuantizeOp op) { again += op->hasAttr(train::TrainDialect::recomputeAttrName); });
        EXPECT_GE(again, 7);
        NamedTensors start, inputs = inputsOf(step);
        inputs["step"].integers = {4};
        Outcome graph = runTrain(*module, "step", inputs, start);
        inputs["step"].integers = {3};
        early = runTrain(*module, "step", inputs, start);
        EXPECT_EQ(early.outputs.at("loss").isIdenticalTo(graph.outputs.at("loss")), adapters);
        inputs["step"].integers = {4};
        ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
          passes.addPass(train::createFormKernelsPass());
          passes.addPass(createConvertTrainToPlanPass());
          passes.addPass(plan::createPlanAssignOffsetsPass());
          passes.addPass(plan::createPlanVerifyPass());
        }));
        Outcome plan = runPlan(*module, "step", inputs, start);
        expectNear(graph.outputs, plan.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
        expectNear(graph.variables, plan.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
        if (remat) {
          expectIdentical(plain.outputs, plan.outputs);
          expectIdentical(plain.variables, plan.variables);
        }
        plain = std::move(plan);
      }
    }
}

/// Pairs of answers, and all weights are trained: the reference has weights of its own, which stay as they are. Graph
/// and plan agree; where gradients are made and what is computed again changes no bit; and for the same weights both
/// models give the same bits, in bf16 too, where sums of products are fused.
TEST_P(TinyModel, FullPreferenceIsTheSameInGraphAndPlan) {
  auto [dtype, tied, chunks] = GetParam();
  Outcome plain;
  for (bool remat : {false, true})
    for (auto placement : {train::UpdatePlacement::End, train::UpdatePlacement::TwoPasses}) {
      SCOPED_TRACE("remat " + std::to_string(remat) + " " + train::stringifyUpdatePlacement(placement).str());
      Recipe recipe = tinyRecipe(dtype, tied);
      recipe.lossComponent = "torchtune.rlhf.loss.DPOLoss";
      recipe.lossChunks = chunks ? chunks : 1;
      recipe.preference = PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.2};
      recipe.reference.emplace();
      recipe.clipGradNorm = 0.25;
      if (remat)
        recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
      auto module = importRecipe(context(), recipe);
      (*module)->setAttr(train::TrainDialect::updatesAttrName, train::UpdatesAttr::get(&context(), placement));
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createDifferentiatePass());
        passes.addPass(train::createChunkLossPass());
        passes.addPass(train::createClipGradientsPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
        passes.addPass(train::createFuseSumsPass());
        passes.addPass(train::createInsertRematPass());
        passes.addPass(train::createFuseUpdatesPass());
        passes.addPass(train::createLowerOptimizerPass());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
      }));
      int64_t tables = 0, fused[2] = {0, 0}; // in the forward graphs of the trained model and the reference
      for (auto variable : module->getOps<train::VariableOp>())
        tables += variable.getRole() == train::VariableRole::Constant;
      EXPECT_EQ(tables, 2); // sines and cosines, of both
      auto step = module->lookupSymbol<train::EntryOp>("step");
      step.walk([&](train::MatmulOp op) {
        if (op.getOnto() && !op->hasAttr(train::TrainDialect::backwardAttrName) &&
            !op->hasAttr(train::TrainDialect::recomputeAttrName))
          ++fused[op->hasAttr(train::TrainDialect::referenceAttrName)];
      });
      EXPECT_EQ(fused[0], 2 * recipe.model.numLayers);
      EXPECT_EQ(fused[1], fused[0]);
      NamedTensors start, inputs = inputsOf(step);
      Outcome graph = runTrain(*module, "step", inputs, start);
      int64_t copies = 0;
      for (const auto &[name, value] : start)
        if (isOfReference(name)) {
          EXPECT_EQ(graph.variables.at(name).reals, value.reals) << name;
          EXPECT_EQ(start.at(std::string(parameterOf(name))).reals, value.reals) << name;
          EXPECT_NE(graph.variables.at(std::string(parameterOf(name))).reals, value.reals) << name;
          ++copies;
        }
      EXPECT_EQ(copies, 2 + 9 * recipe.model.numLayers + (tied ? 0 : 1));
      EXPECT_EQ(graph.outputs.at("log_probs").reals, graph.outputs.at("reference_log_probs").reals);
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) {
        passes.addPass(train::createFormKernelsPass());
        passes.addPass(createConvertTrainToPlanPass());
        passes.addPass(plan::createPlanAssignOffsetsPass());
        passes.addPass(plan::createPlanVerifyPass());
      }));
      Outcome plan = runPlan(*module, "step", inputs, start);
      EXPECT_EQ(plan.outputs.at("log_probs").reals, plan.outputs.at("reference_log_probs").reals);
      expectNear(graph.outputs, plan.outputs, dtype == DType::BF16 ? 2e-2 : 1e-5);
      expectNear(graph.variables, plan.variables, dtype == DType::BF16 ? 2e-2 : 1e-4);
      if (plain.outputs.empty()) {
        plain = std::move(plan);
        continue;
      }
      expectIdentical(plain.outputs, plan.outputs);
      expectIdentical(plain.variables, plan.variables);
    }
}

INSTANTIATE_TEST_SUITE_P(DTypes, TinyModel,
                         testing::Combine(testing::Values(DType::F32, DType::BF16), testing::Bool(),
                                          testing::Values(0, 2, 3)));

} // namespace

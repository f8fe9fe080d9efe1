//===- TrainToPlanTest.cpp - A plan computes what its train graph says ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "ftc/Import/Import.h"
#include "ftc/Reference/PlanInterpreter.h"
#include "ftc/Support/Random.h"
#include "test/unit/Transforms/RandomGraph.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using reference::NamedTensors;
using reference::Tensor;

namespace {

MLIRContext &context() {
  static MLIRContext instance([] {
    DialectRegistry registry;
    registry.insert<train::TrainDialect, plan::PlanDialect>();
    return registry;
  }());
  instance.loadAllAvailableDialects();
  return instance;
}

struct Outcome {
  NamedTensors outputs, variables;
};

Outcome runTrain(ModuleOp module, StringRef entry, const NamedTensors &inputs, NamedTensors &start) {
  reference::TrainInterpreter interpreter(module);
  interpreter.initialize(5);
  start = interpreter.getVariables();
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  return {*outputs, interpreter.getVariables()};
}

Outcome runPlan(ModuleOp module, StringRef entry, const NamedTensors &inputs, const NamedTensors &start,
                bool reverse = false) {
  reference::PlanInterpreter interpreter(module);
  interpreter.setReverseTasks(reverse);
  for (auto &[name, value] : start)
    if (llvm::Error error = interpreter.set(name, value))
      ADD_FAILURE() << llvm::toString(std::move(error));
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  Outcome outcome{*outputs, {}};
  for (auto &[name, value] : start) {
    auto now = interpreter.get(name);
    if (!now)
      ADD_FAILURE() << llvm::toString(now.takeError());
    else
      outcome.variables.emplace(name, std::move(*now));
  }
  return outcome;
}

void expectIdentical(const NamedTensors &a, const NamedTensors &b) {
  ASSERT_EQ(a.size(), b.size());
  for (auto &[name, tensor] : a)
    EXPECT_TRUE(tensor.isIdenticalTo(b.at(name))) << name;
}

/// Distance of two tensors over the size of the first; integers must be equal.
double relativeError(const Tensor &expected, const Tensor &actual) {
  if (expected.integers != actual.integers || expected.type != actual.type)
    return INFINITY;
  double distance = 0, size = 1e-30;
  for (size_t i = 0; i < expected.reals.size(); ++i) {
    // No number, or an overflow, on both sides.
    if (std::isnan(expected.reals[i]) ? std::isnan(actual.reals[i])
                                      : std::isinf(expected.reals[i]) && expected.reals[i] == actual.reals[i])
      continue;
    distance += std::pow(expected.reals[i] - actual.reals[i], 2);
    size += std::pow(expected.reals[i], 2);
  }
  return std::sqrt(distance / size);
}

/// `shaken`, if given, holds the expected values for inputs that differ in their last bits: what these move by rounding
/// may move too (a hundred roundings are allowed for).
void expectNear(const NamedTensors &expected, const NamedTensors &actual, double tolerance,
                const NamedTensors *shaken = nullptr) {
  ASSERT_EQ(expected.size(), actual.size());
  for (auto &[name, tensor] : expected) {
    auto found = actual.find(name);
    ASSERT_NE(found, actual.end()) << name;
    double sensitivity = shaken ? relativeError(tensor, shaken->at(name)) : 0;
    EXPECT_LE(relativeError(tensor, found->second), std::max(tolerance, 100 * sensitivity)) << name;
  }
}

bool runPasses(ModuleOp module, function_ref<void(PassManager &)> add) {
  PassManager passes(&context());
  add(passes);
  return succeeded(passes.run(module));
}

/// Whether any tensor of the graph is bf16: roundings then differ where sums differ in the last bit of f32.
bool hasBf16(ModuleOp module) {
  bool found = false;
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        found |= tensor.getElementType().isBF16();
  });
  return found;
}

TEST(TrainToPlan, RandomGraphsKeepTheirMeaning) {
  int launches = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    // Random graphs may be badly conditioned; the tests of single ops and of a model are strict.
    double tolerance = hasBf16(*graph.module) ? 5e-2 : 1e-3;
    NamedTensors start;
    Outcome expected = runTrain(*graph.module, "step", graph.inputs, start);
    NamedTensors nearby = graph.inputs;
    for (auto &[name, tensor] : nearby)
      for (size_t i = 0; i < tensor.reals.size(); ++i)
        tensor.reals[i] *= 1 + (i % 2 ? 1 : -1) * std::ldexp(1.0, -23);
    NamedTensors sameStart;
    Outcome shaken = runTrain(*graph.module, "step", nearby, sameStart);

    OwningOpRef<ModuleOp> fused = graph.module->clone();
    const ConvertTrainToPlanPassOptions options{.partialSums = seed % 2 ? 0 : 3};
    ASSERT_TRUE(
        runPasses(*graph.module, [&](PassManager &passes) { passes.addPass(createConvertTrainToPlanPass(options)); }));
    Outcome plain = runPlan(*graph.module, "step", graph.inputs, start);
    expectNear(expected.outputs, plain.outputs, tolerance, &shaken.outputs);
    expectNear(expected.variables, plain.variables, tolerance, &shaken.variables);

    // Forming kernels and placing buffers change no bit, and neither does the order of tasks.
    ASSERT_TRUE(runPasses(*fused, [&](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createConvertTrainToPlanPass(options));
    }));
    Outcome grouped = runPlan(*fused, "step", graph.inputs, start);
    expectIdentical(plain.outputs, grouped.outputs);
    expectIdentical(plain.variables, grouped.variables);
    ASSERT_TRUE(runPasses(*fused, [](PassManager &passes) {
      passes.addPass(plan::createPlanAssignOffsetsPass());
      passes.addPass(plan::createPlanVerifyPass());
    }));
    for (bool reverse : {false, true}) {
      Outcome placed = runPlan(*fused, "step", graph.inputs, start, reverse);
      expectIdentical(plain.outputs, placed.outputs);
      expectIdentical(plain.variables, placed.variables);
    }
    fused->walk([&](plan::LaunchOp) { ++launches; });
    if (HasFailure()) {
      fused->dump();
      return;
    }
  }
  EXPECT_GT(launches, 1000); // the comparison means something
}

/// Converts, places and verifies `text`, whose entry is `step` with f32 inputs, and expects what the train graph says.
void expectSameMeaning(StringRef text, int64_t partialSums = 0) {
  auto module = parseSourceString<ModuleOp>(text, &context());
  ASSERT_TRUE(module);
  auto entry = module->lookupSymbol<train::EntryOp>("step");
  NamedTensors inputs, start;
  for (auto [name, argument] : llvm::zip(entry.getInputNames(), entry.getBody().front().getArguments())) {
    Tensor value(cast<RankedTensorType>(argument.getType()));
    CounterRandom random(3, cast<StringAttr>(name).getValue());
    for (int64_t i = 0; i < value.size(); ++i)
      if (value.isReal())
        value.set(i, random.normal(i));
      else
        value.integers[i] = i * 7 % 5;
    inputs.emplace(cast<StringAttr>(name).getValue().str(), std::move(value));
  }
  Outcome expected = runTrain(*module, "step", inputs, start);
  ASSERT_TRUE(runPasses(*module, [&](PassManager &passes) {
    passes.addPass(createConvertTrainToPlanPass({.partialSums = partialSums}));
    passes.addPass(plan::createPlanAssignOffsetsPass());
    passes.addPass(plan::createPlanVerifyPass());
  }));
  Outcome actual = runPlan(*module, "step", inputs, start);
  expectNear(expected.outputs, actual.outputs, 1e-5);
  expectNear(expected.variables, actual.variables, 1e-5);
  if (testing::Test::HasFailure())
    module->dump();
}

TEST(TrainToPlan, VariablesCanChangePlaces) {
  expectSameMeaning(R"(
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @c : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 4 inputs [] outputs [] {
      %a = train.read @a : tensor<4x2xf32>
      %b = train.read @b : tensor<4x2xf32>
      train.write @a, %b : tensor<4x2xf32>
      train.write @b, %a : tensor<4x2xf32>
      %s = train.add %a, %b : tensor<4x2xf32>
      train.write @c, %s : tensor<4x2xf32>
      train.return
    })");
}

TEST(TrainToPlan, OneValueCanGoToTwoVariablesAndOut) {
  expectSameMeaning(R"(
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 4 inputs ["x"] outputs ["s", "t", "old", "x", "one"] {
    ^bb0(%x: tensor<4x2xf32>):
      %a = train.read @a : tensor<4x2xf32>
      %s = train.add %a, %x : tensor<4x2xf32>
      train.write @a, %s : tensor<4x2xf32>
      train.write @b, %s : tensor<4x2xf32>
      %t = train.add %s, %x : tensor<4x2xf32>
      %one = train.constant dense<1.0> : tensor<3x5xf32>
      train.return %s, %t, %a, %x, %one : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<3x5xf32>
    })");
}

TEST(TrainToPlan, ConstantsAndInputsCanBeWritten) {
  expectSameMeaning(R"(
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 4 inputs ["x"] outputs ["z"] {
    ^bb0(%x: tensor<4x2xf32>):
      %two = train.constant dense<2.0> : tensor<4x2xf32>
      %a = train.read @a : tensor<4x2xf32>
      %z = train.matmul %two, %a transpose_b : tensor<4x2xf32>, tensor<4x2xf32> -> tensor<4x4xf32>
      train.write @a, %two : tensor<4x2xf32>
      train.write @b, %x : tensor<4x2xf32>
      train.return %z : tensor<4x4xf32>
    })");
}

TEST(TrainToPlan, AWeightReadByOtherRowsIsNotWrittenInPlace) {
  // The norm's weight is read whole by each row, and the variable is written by the same launch.
  expectSameMeaning(R"(
    train.variable @w : tensor<2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @x : tensor<4x2xf32> parameter init #train.normal<1.0 : f64>
    train.variable @t : tensor<5x2xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 5 inputs ["ids"] outputs ["y"] {
    ^bb0(%ids: tensor<5xi32>):
      %w = train.read @w : tensor<2xf32>
      %x = train.read @x : tensor<4x2xf32>
      %t = train.read @t : tensor<5x2xf32>
      %y = train.rms_norm %x, %w eps 1.0e-5 : tensor<4x2xf32>, tensor<2xf32>
      train.write @x, %y : tensor<4x2xf32>
      %dx, %dw = train.rms_norm_grad %y, %w, %y eps 1.0e-5 : tensor<4x2xf32>, tensor<2xf32>
      train.write @w, %dw : tensor<2xf32>
      %e = train.embedding %t, %ids : tensor<5x2xf32>, tensor<5xi32> -> tensor<5x2xf32>
      train.write @t, %e : tensor<5x2xf32>
      train.return %dx : tensor<4x2xf32>
    })");
}

TEST(TrainToPlan, OneRowAndOneColumn) {
  expectSameMeaning(R"(
    train.variable @w : tensor<1xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 1 inputs ["x", "labels", "inv_tokens"] outputs ["y", "loss", "count", "s", "d"] {
    ^bb0(%x: tensor<1x1xf32>, %l: tensor<1xi32>, %inv: tensor<f32>):
      %w = train.read @w : tensor<1xf32>
      %y = train.rms_norm %x, %w eps 1.0e-5 : tensor<1x1xf32>, tensor<1xf32>
      %loss, %count, %lse = train.cross_entropy %y, %l, %inv ignore -100 : tensor<1x1xf32>, tensor<1xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<1xf32>
      %d = train.cross_entropy_grad %y, %l, %lse, %inv, %inv ignore -100 : tensor<1x1xf32>, tensor<1xi32>, tensor<1xf32>, tensor<f32>, tensor<f32>
      %s = train.sum_squares %y onto %inv : tensor<1x1xf32>, tensor<f32> -> tensor<f32>
      train.return %y, %loss, %count, %s, %d : tensor<1x1xf32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<1x1xf32>
    })");
}

TEST(TrainToPlan, ManyTasksAddUp) {
  // 300 rows are more than the 64 partial sums that a reduction keeps by itself. 150, or one for each row, are added up
  // in groups of 64, and what is left over beside them; 128 are two groups and nothing; 64 are no group.
  for (int64_t partialSums : {0, 2048, 300, 150, 128, 64, 1}) {
    SCOPED_TRACE(partialSums);
    expectSameMeaning(R"(
    train.variable @w : tensor<700xf32> parameter init #train.normal<1.0 : f64>
    train.entry @step kind(step) batch 1 sequence 300 inputs ["x", "d", "base"] outputs ["dx", "dw", "s"] {
    ^bb0(%x: tensor<300x700xf32>, %d: tensor<300x700xf32>, %base: tensor<f32>):
      %w = train.read @w : tensor<700xf32>
      %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<300x700xf32>, tensor<700xf32>
      %s = train.sum_squares %d onto %base : tensor<300x700xf32>, tensor<f32> -> tensor<f32>
      train.return %dx, %dw, %s : tensor<300x700xf32>, tensor<700xf32>, tensor<f32>
    })",
                      partialSums);
  }
}

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

INSTANTIATE_TEST_SUITE_P(DTypes, TinyModel,
                         testing::Combine(testing::Values(DType::F32, DType::BF16), testing::Bool(),
                                          testing::Values(0, 2, 3)));

} // namespace

//===- TrainToPlanTest.cpp - A plan computes what its train graph says ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "ftc/Support/Random.h"
#include "test/unit/Transforms/RandomGraph.h"

#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::test::conversion;
using reference::NamedTensors;
using reference::Tensor;

namespace {

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
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @c : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
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
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
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
    train.variable @a : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @b : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
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
    train.variable @w : tensor<2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @x : tensor<4x2xf32> parameter init #train.normal<1.0 : f64> trainable
    train.variable @t : tensor<5x2xf32> parameter init #train.normal<1.0 : f64> trainable
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
    train.variable @w : tensor<1xf32> parameter init #train.normal<1.0 : f64> trainable
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
    train.variable @w : tensor<700xf32> parameter init #train.normal<1.0 : f64> trainable
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

} // namespace

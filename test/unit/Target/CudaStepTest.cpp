//===- CudaStepTest.cpp - Steps for a GPU in the emulation ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStep.h"

#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Random.h"

#include "mlir/Parser/Parser.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

struct Case {
  const char *name;
  DType dtype = DType::F32;
  bool lora = false;
  bool chunked = false;
  OptimizerConfig::Kind optimizer = OptimizerConfig::Kind::AdamW;
  int64_t embedDim = 40, headDim = 10, intermediateDim = 52, sequence = 13;
};

void PrintTo(const Case &which, std::ostream *out) { *out << which.name; }

Recipe recipeOf(const Case &which) {
  Recipe recipe;
  recipe.model.family = "llama3";
  recipe.model.vocabSize = 90;
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = which.embedDim;
  recipe.model.headDim = which.headDim;
  recipe.model.intermediateDim = which.intermediateDim;
  recipe.model.maxSeqLen = 128;
  recipe.model.tiedEmbeddings = !which.lora;
  recipe.dtype = which.dtype;
  recipe.batchSize = 2;
  recipe.seqLen = which.sequence;
  recipe.optimizer.kind = which.optimizer;
  recipe.optimizer.weightDecay = 0.1;
  recipe.clipGradNorm = 0.5;
  if (which.chunked)
    recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
  if (which.lora)
    recipe.lora = LoraConfig{{"q_proj", "v_proj", "gate_proj", "down_proj"}, 3, 6, /*dropout=*/0.25};
  return recipe;
}

/// The recipe for `target` after a stage.
OwningOpRef<ModuleOp> compileTo(Stage stage, const Case &which, const std::string &target) {
  std::vector<ftc::Diagnostic> diags;
  CompileOptions options;
  options.target = target;
  options.cpu = "x86-64-v3";
  if (target == "cuda")
    options.device = "h100";
  options.stopAfter = stage;
  std::optional<CompileResult> compiled = ftc::compile(recipeOf(which), options, diags);
  EXPECT_TRUE(compiled) << (diags.empty() ? "" : diags.front().message);
  return compiled ? parseSourceString<ModuleOp>(compiled->output, &context()) : OwningOpRef<ModuleOp>();
}

double normOf(const std::vector<double> &a, const std::vector<double> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

class CudaStep : public testing::TestWithParam<Case> {
protected:
  /// Inputs of an entry: random tokens, a second document from position 5 of row 1 on, labels masked here and there.
  NamedTensors inputsOf(plan::EntryOp entry, uint64_t step) const {
    const Case &which = GetParam();
    NamedTensors inputs;
    CounterRandom random(step, "tokens");
    for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
      std::string name = input.getName().str();
      auto type = cast<MemRefType>(input.getBuffer().getType());
      Tensor value(RankedTensorType::get(type.getShape(), type.getElementType()));
      for (int64_t i = 0; i < value.size() && !value.isReal(); ++i) {
        int64_t row = i / which.sequence, at = i % which.sequence, start = row == 1 && at >= 5 ? 5 : 0;
        value.integers[i] = name == "tokens"           ? random.below(i, 90)
                            : name == "labels"         ? (at % 6 == 4 ? -100 : int64_t(random.below(1000 + i, 90)))
                            : name == "positions"      ? at - start
                            : name == "segment_starts" ? start
                            : name == "step"           ? int64_t(step)
                            : name == "seed"           ? 5
                            : name == "position"       ? 7
                                                       : 0;
      }
      if (value.isReal())
        value.reals = {name == "learning_rate" ? static_cast<float>(2e-3) : static_cast<float>(1.0 / 22)};
      inputs[name] = std::move(value);
    }
    return inputs;
  }
};

/// Three steps, held-out loss and logits on the emulated GPU, on the CPU target and in the interpreter of the same
/// plan.
TEST_P(CudaStep, ComputesWhatTheInterpreterDoes) {
  OwningOpRef<ModuleOp> forGpu = compileTo(Stage::Plan, GetParam(), "cuda");
  OwningOpRef<ModuleOp> forCpu = compileTo(Stage::Plan, GetParam(), "cpu");
  OwningOpRef<ModuleOp> graph = compileTo(Stage::TrainOpt, GetParam(), "cuda");
  ASSERT_TRUE(forGpu && forCpu && graph);
  EmulatedStep gpu(*forGpu, "h100");
  CompiledPlan cpu(*forCpu, "x86-64-v3");
  ASSERT_TRUE(gpu.ok() && cpu.ok());
  EXPECT_GT(gpu.table().kernel_count, 15u);
  EXPECT_GT(gpu.table().product_count, 5u);
  reference::PlanInterpreter interpreter(*forGpu);
  const bool bf16 = GetParam().dtype == DType::BF16;

  reference::TrainInterpreter start(*graph);
  start.initialize(5);
  std::map<std::string, Tensor> before;
  for (auto variable : forGpu->getOps<plan::VariableOp>()) {
    std::string name = variable.getSymName().str();
    ASSERT_TRUE(start.find(name)) << name;
    Tensor value = *start.find(name);
    before[name] = value;
    gpu.set(name, value);
    cpu.set(name, value);
    ASSERT_FALSE(static_cast<bool>(interpreter.set(name, value)));
  }
  auto expectNear = [&](const NamedTensors &ours, const NamedTensors &theirs, const std::string &where, double bar) {
    for (auto &[name, wanted] : theirs) {
      const Tensor &got = ours.at(name);
      double largest = 0;
      for (double value : wanted.reals)
        largest = std::max(largest, std::abs(value));
      for (int64_t i = 0; i < wanted.size(); ++i)
        if (wanted.isReal())
          ASSERT_NEAR(got.reals[i], wanted.reals[i], bar * largest) << where << " " << name << "[" << i << "]";
        else
          ASSERT_EQ(got.integers[i], wanted.integers[i]) << where << " " << name;
    }
  };
  for (uint64_t step = 1; step <= 3; ++step) {
    gpu.setBackwards(step == 2);
    for (const char *name : {"step", "evaluate", "logits"}) {
      std::string where = std::string(name) + " " + std::to_string(step);
      NamedTensors inputs = inputsOf(forGpu->lookupSymbol<plan::EntryOp>(name), step);
      auto expected = interpreter.run(name, inputs);
      ASSERT_TRUE(static_cast<bool>(expected)) << llvm::toString(expected.takeError());
      NamedTensors onGpu = gpu.run(name, inputs, 1), onCpu = cpu.run(name, inputs, 1);
      double bar = bf16 ? 2e-2 : name == std::string("logits") ? 1e-4 : 1e-5;
      expectNear(onGpu, *expected, where + " against the interpreter,", bar);
      expectNear(onGpu, onCpu, where + " against the CPU,", bar);
    }
    if (HasFatalFailure())
      return;
  }
  EXPECT_GT(gpu.launches, 100);
  EXPECT_GT(gpu.products, 50);
  size_t changed = 0;
  for (auto &[name, first] : before) {
    auto wanted = interpreter.get(name);
    ASSERT_TRUE(static_cast<bool>(wanted));
    for (const Tensor &theirs : {*wanted, cpu.get(name)}) {
      Tensor ours = gpu.get(name);
      double change = normOf(theirs.reals, first.reals);
      changed += change > 0;
      if (change == 0)
        EXPECT_TRUE(ours.isIdenticalTo(theirs)) << name;
      else if (bf16)
        EXPECT_LE(normOf(ours.reals, theirs.reals), 0.25 * change) << name;
      else
        EXPECT_LE(normOf(ours.reals, theirs.reals), 1e-4 * normOf(theirs.reals, std::vector<double>(theirs.size())))
            << name;
    }
  }
  // Every parameter, and its moments; counted against both references.
  bool adamw = GetParam().optimizer == OptimizerConfig::Kind::AdamW;
  EXPECT_GE(changed, 2u * (GetParam().lora ? 16 : 20) * (adamw ? 3 : 1));
}

INSTANTIATE_TEST_SUITE_P(Recipes, CudaStep,
                         testing::Values(Case{"Fp32"}, Case{"Bf16", DType::BF16}, Case{"Lora", DType::F32, true},
                                         Case{"LoraBf16", DType::BF16, true}, Case{"Chunked", DType::BF16, false, true},
                                         Case{"Sgd", DType::F32, false, false, OptimizerConfig::Kind::SGD},
                                         Case{"SeveralTiles", DType::F32, false, false, OptimizerConfig::Kind::AdamW,
                                              48, 12, 68, 101}),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace

//===- RecipeRowsTest.cpp - The row kernels of recipes on an emulated GPU ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes every distinct row kernel of a recipe's plan, gives each buffers of its own, and runs them all on an emulated
// GPU, on the CPU target and in the interpreter. The GPU must have the CPU's bits everywhere, and the interpreter's
// wherever these are defined: exp, log and powers it takes from the C library.
//
//===----------------------------------------------------------------------===//

#include "EmulatedPlan.h"

#include "ftc/Pipelines/Pipeline.h"

#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

struct Case {
  const char *name;
  DType dtype;
  bool lora = false;
  OptimizerConfig::Kind optimizer = OptimizerConfig::Kind::AdamW;
  int64_t embedDim = 256, headDim = 64, intermediateDim = 1088, vocabSize = 320;
  bool dora = false;
  std::optional<StateFormat> states;
  bool qwen = false; ///< Qwen2's biases and Qwen3's norms of heads
  ModelArchitecture architecture = ModelArchitecture::Llama;
  int64_t rotaryDim = 0; ///< columns of a head that are turned
  std::optional<QuantizerConfig> quantizer = {};
};

Case quantized(Case which, QuantizerConfig::Kind kind, int64_t group) {
  which.quantizer =
      QuantizerConfig{.kind = kind, .component = "", .groupSize = group, .afterSteps = which.lora ? 0 : 2};
  return which;
}

void PrintTo(const Case &which, std::ostream *out) { *out << which.name; }

Recipe recipeOf(const Case &which) {
  Recipe recipe;
  recipe.model.family = "llama3";
  recipe.model.vocabSize = which.vocabSize;
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = which.embedDim;
  recipe.model.headDim = which.headDim;
  recipe.model.intermediateDim = which.intermediateDim;
  recipe.model.maxSeqLen = 64;
  recipe.model.tiedEmbeddings = true;
  recipe.dtype = which.dtype;
  recipe.batchSize = 2;
  recipe.seqLen = 13;
  recipe.optimizer.kind = which.optimizer;
  recipe.optimizer.weightDecay = 0.1;
  recipe.clipGradNorm = 0.5;
  if (which.lora)
    recipe.lora = LoraConfig{{"q_proj", "v_proj", "gate_proj", "down_proj"}, 3, 6, /*dropout=*/0.25, which.dora};
  recipe.optimizer.quantizedStates = which.states;
  recipe.quantizer = which.quantizer;
  recipe.model.qkvBias = recipe.model.qkNorm = which.qwen;
  recipe.model.architecture = which.architecture;
  recipe.model.rotaryDim = which.rotaryDim;
  if (recipe.model.hasOuterNorms())
    recipe.model.logitsCap = 2;
  return recipe;
}

/// A plan with the row kernels of the recipe, launched once each. Buffer b of kernel k is an input and an output "k/b".
std::string rowKernels(const Case &which, std::vector<std::string> &names, std::vector<bool> &exact) {
  std::vector<ftc::Diagnostic> diags;
  CompileOptions options;
  options.cpu = "x86-64-v3";
  options.stopAfter = Stage::Plan;
  std::optional<CompileResult> compiled = ftc::compile(recipeOf(which), options, diags);
  EXPECT_TRUE(compiled) << (diags.empty() ? "" : diags.front().message);
  if (!compiled)
    return "";
  OwningOpRef<ModuleOp> plan = parseSourceString<ModuleOp>(compiled->output, &context());
  EXPECT_TRUE(plan);
  std::string kernels, inputs, launches, outputs;
  for (auto kernel : plan->getOps<plan::KernelOp>()) {
    if (!isa<plan::RowsOp>(kernel.getWork()))
      continue;
    std::string name = kernel.getSymName().str(), arguments, types;
    llvm::raw_string_ostream(kernels) << *kernel.getOperation() << "\n";
    for (Value buffer : kernel.getBuffers()) {
      std::string value = "%" + name + "_b" + std::to_string(cast<BlockArgument>(buffer).getArgNumber()), type;
      llvm::raw_string_ostream(type) << buffer.getType();
      std::string label = "\"" + value.substr(1) + "\"";
      inputs += value + " = plan.input " + label + " : " + type + "\n";
      outputs += "plan.output " + label + ", " + value + " : " + type + "\n";
      arguments += (arguments.empty() ? "" : ", ") + value;
      types += (types.empty() ? "" : ", ") + type;
    }
    launches += "plan.launch @" + name + "(" + arguments + ") \"" + name + "\" : " + types + "\n";
    names.push_back(name);
    exact.push_back(true);
    kernel.walk([&](Operation *op) {
      if (isa<math::ExpOp, math::TanhOp, math::LogOp, math::FPowIOp>(op))
        exact.back() = false;
    });
  }
  return kernels + "plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {\n" + inputs + launches + outputs + "}\n";
}

class RecipeRows : public testing::TestWithParam<Case> {};

TEST_P(RecipeRows, GpuHasTheBitsOfTheCpu) {
  std::vector<std::string> names;
  std::vector<bool> exact;
  OwningOpRef<ModuleOp> module = parsePlan(rowKernels(GetParam(), names, exact));
  ASSERT_TRUE(module);
  ASSERT_GT(names.size(), 15u);
  NamedTensors inputs;
  for (auto input : module->lookupSymbol<plan::EntryOp>("step").getBody().front().getOps<plan::InputOp>()) {
    std::string name = input.getName().str();
    Tensor value = numbers(input.getBuffer().getType(), name);
    if (name.starts_with("adamw")) // second moments and corrections are not negative
      for (double &number : value.reals)
        number = std::abs(number);
    if (name.starts_with("embedding_grad")) // rows of one key follow each other
      llvm::sort(value.integers);
    inputs[name] = std::move(value);
  }

  CompiledPlan compiled(*module, "x86-64-v3");
  ASSERT_TRUE(compiled.ok());
  NamedTensors onCpu = compiled.run("step", inputs, 2);
  reference::PlanInterpreter interpreter(*module);
  auto interpreted = interpreter.run("step", inputs);
  ASSERT_TRUE(static_cast<bool>(interpreted)) << llvm::toString(interpreted.takeError());
  EmulatedPlan emulated(*module, "h100");
  ASSERT_TRUE(emulated.ok());
  for (bool backwards : {false, true}) {
    NamedTensors onGpu = emulated.run("step", inputs, backwards);
    size_t changed = 0;
    for (auto [kernel, bitsAreDefined] : llvm::zip(names, exact))
      for (auto &[name, value] : onCpu) {
        if (!StringRef(name).starts_with(kernel + "_b"))
          continue;
        changed += !value.isIdenticalTo(inputs[name]);
        EXPECT_TRUE(onGpu[name].isIdenticalTo(value)) << name << (backwards ? ", last lane first" : "");
        if (bitsAreDefined)
          EXPECT_TRUE(onGpu[name].isIdenticalTo(interpreted->at(name))) << name << " in the interpreter";
      }
    EXPECT_GE(changed, names.size()); // every kernel writes something
  }
}

INSTANTIATE_TEST_SUITE_P(
    Recipes, RecipeRows,
    testing::Values(
        Case{"Fp32", DType::F32}, Case{"Bf16", DType::BF16}, Case{"Lora", DType::F32, true},
        Case{"LoraBf16", DType::BF16, true}, Case{"Sgd", DType::F32, false, OptimizerConfig::Kind::SGD},
        Case{"Dora", DType::F32, true, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, true},
        Case{"DoraBf16", DType::BF16, true, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, true},
        Case{"EightBitStates", DType::BF16, false, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, false,
             StateFormat::Bitsandbytes8},
        Case{"FourBitStates", DType::F32, false, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, false,
             StateFormat::Torchao4},
        Case{"Qwen", DType::F32, false, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, false, {}, true},
        Case{"QwenBf16", DType::BF16, false, OptimizerConfig::Kind::AdamW, 256, 64, 1088, 320, false, {}, true},
        Case{"QwenOddSizes", DType::F32, false, OptimizerConfig::Kind::AdamW, 40, 10, 52, 90, false, {}, true},
        Case{.name = "PartOfHeads", .dtype = DType::F32, .rotaryDim = 48},
        Case{.name = "PartOfHeadsBf16", .dtype = DType::BF16, .rotaryDim = 48},
        Case{.name = "PartOfHeadsOddSizes",
             .dtype = DType::F32,
             .embedDim = 40,
             .headDim = 10,
             .intermediateDim = 52,
             .vocabSize = 90,
             .rotaryDim = 6},
        quantized({"Qat", DType::F32}, QuantizerConfig::Kind::Int8DynActInt4Weight, 64),
        quantized({"QatBf16", DType::BF16}, QuantizerConfig::Kind::Int8DynActInt4Weight, 32),
        quantized({"QatWeightsBf16", DType::BF16, true}, QuantizerConfig::Kind::Int4WeightOnly, 64),
        Case{"Gemma2",
             DType::F32,
             false,
             OptimizerConfig::Kind::AdamW,
             256,
             64,
             1088,
             320,
             false,
             {},
             false,
             ModelArchitecture::Gemma2},
        Case{"Gemma2Bf16",
             DType::BF16,
             false,
             OptimizerConfig::Kind::AdamW,
             256,
             64,
             1088,
             320,
             false,
             {},
             false,
             ModelArchitecture::Gemma2},
        Case{"Gemma2OddSizes",
             DType::F32,
             false,
             OptimizerConfig::Kind::AdamW,
             40,
             10,
             52,
             90,
             false,
             {},
             false,
             ModelArchitecture::Gemma2},
        Case{"Gemma3Bf16",
             DType::BF16,
             false,
             OptimizerConfig::Kind::AdamW,
             256,
             64,
             1088,
             320,
             false,
             {},
             true,
             ModelArchitecture::Gemma3},
        Case{"Olmo2",
             DType::F32,
             false,
             OptimizerConfig::Kind::AdamW,
             40,
             10,
             52,
             90,
             false,
             {},
             true,
             ModelArchitecture::Olmo2},
        Case{"OddSizes", DType::F32, false, OptimizerConfig::Kind::AdamW, 40, 10, 52, 90},
        Case{"OddSizesBf16", DType::BF16, false, OptimizerConfig::Kind::AdamW, 40, 10, 52, 90}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace

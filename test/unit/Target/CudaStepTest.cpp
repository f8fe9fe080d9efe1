//===- CudaStepTest.cpp - Steps for a GPU in the emulation ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaCases.h"
#include "EmulatedStep.h"
#include "Families.h"

#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Runtime/CompareBuffers.h"
#include "ftc/Support/QuantizedStates.h"
#include "ftc/Support/Random.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

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
    const int64_t sequence = recipeOf(GetParam()).seqLen;
    NamedTensors inputs;
    CounterRandom random(step, "tokens");
    for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
      std::string name = input.getName().str();
      auto type = cast<MemRefType>(input.getBuffer().getType());
      Tensor value(RankedTensorType::get(type.getShape(), type.getElementType()));
      for (int64_t i = 0; i < value.size() && !value.isReal(); ++i) {
        int64_t row = i / sequence, at = i % sequence, start = row == 1 && at >= 5 ? 5 : 0;
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

/// Whose four bits the frozen weights are in, be they the model's or its reference's.
Nf4Quantizer quantizerOf(const Recipe &recipe) {
  return recipe.quantizedBase ? *recipe.quantizedBase : *recipe.reference->quantized;
}

/// Part of a weight in four bits: any codes are one, of numbers of about the size of weights.
Tensor randomPiece(const std::string &name, MemRefType type, Nf4Quantizer quantizer) {
  Tensor piece(RankedTensorType::get(type.getShape(), type.getElementType()));
  CounterRandom random(3, name);
  bool torchao = quantizer == Nf4Quantizer::Torchao;
  for (int64_t i = 0; i < piece.size(); ++i)
    if (piece.isReal())
      piece.set(i, StringRef(name).ends_with(".offset") ? 0.08 : torchao ? 2000 + random.below(i, 999) : 0.04);
    else
      piece.integers[i] = static_cast<int64_t>(random.below(i, 256)) - 128;
  return piece;
}

/// Three steps, held-out loss and logits on the emulated GPU, on the CPU target and in the interpreter of the same
/// plan.
TEST_P(CudaStep, ComputesWhatTheInterpreterDoes) {
  OwningOpRef<ModuleOp> forGpu = compileTo(Stage::Plan, GetParam(), "cuda");
  OwningOpRef<ModuleOp> forCpu = compileTo(Stage::Plan, GetParam(), "cpu");
  OwningOpRef<ModuleOp> graph = compileTo(Stage::TrainOpt, GetParam(), "cuda");
  ASSERT_TRUE(forGpu && forCpu && graph);
  EmulatedStep gpu(*forGpu, GetParam().device);
  gpu.attendByLibrary(GetParam().library);
  CompiledPlan cpu(*forCpu, "x86-64-v3");
  ASSERT_TRUE(gpu.ok() && cpu.ok());
  EXPECT_GT(gpu.table().kernel_count, 15u);
  EXPECT_GT(gpu.table().product_count, 5u);
  reference::PlanInterpreter interpreter(*forGpu);
  const Recipe recipe = recipeOf(GetParam());
  const bool bf16 = recipe.dtype == DType::BF16;

  reference::TrainInterpreter start(*graph);
  start.initialize(5);
  std::map<std::string, Tensor> before;
  for (auto variable : forGpu->getOps<plan::VariableOp>()) {
    std::string name = variable.getSymName().str();
    bool quantized = variable.getRole() == plan::Role::Quantized;
    ASSERT_TRUE(quantized || start.find(name)) << name;
    Tensor value = quantized ? randomPiece(name, variable.getBufferType(), quantizerOf(recipe)) : *start.find(name);
    before[name] = value;
    gpu.set(name, value);
    cpu.set(name, value);
    ASSERT_FALSE(static_cast<bool>(interpreter.set(name, value)));
  }
  // Steps that follow each other move apart where a moment between two codes takes the one or the other (among 16 codes
  // that is a tenth of it, among 256 still a hundredth), and where adapters that begin at zero follow the signs of
  // gradients. There each step is judged by itself: it begins where the interpreter's
  // does.
  const bool together = GetParam().stepByStep;
  // Codes of 8 bits as the numbers that they are codes of, in units of their block's largest.
  auto numbersOf = [&](const Tensor &codes, const std::string &name) {
    const StateMap &map = stateMap(*recipe.optimizer.quantizedStates, name.find("exp_avg_sq") == std::string::npos);
    std::vector<double> numbers;
    for (int64_t code : codes.integers)
      numbers.push_back(map.values[code & 255]);
    return numbers;
  };
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
  auto expectVariables = [&] {
    for (auto variable : forGpu->getOps<plan::VariableOp>()) {
      std::string name = variable.getSymName().str();
      const Tensor &first = before[name], ours = gpu.get(name);
      auto wanted = interpreter.get(name);
      ASSERT_TRUE(static_cast<bool>(wanted));
      for (const Tensor &theirs : {*wanted, cpu.get(name)}) {
        if (!variable.getTrainable() && variable.getRole() != plan::Role::State) {
          EXPECT_TRUE(ours.isIdenticalTo(theirs)) << name;
          continue;
        }
        // A factor beside one of zeros has no gradient in the first step.
        EXPECT_TRUE((together && recipe.lora) || !theirs.isIdenticalTo(first)) << name;
        if (!theirs.isReal()) {
          // A number that lies between two codes may have either. Where attention rounds its weights, numbers are apart
          // by as much as codes of 8 bits are, so what codes stand for is compared, as other states of bf16 are.
          if (gpu.tensorProducts() > 0 && !together) {
            EXPECT_LE(normOf(numbersOf(ours, name), numbersOf(theirs, name)),
                      0.25 * normOf(numbersOf(theirs, name), numbersOf(first, name)))
                << name;
            continue;
          }
          int64_t differing = 0;
          for (int64_t i = 0; i < ours.size(); ++i)
            differing += ours.integers[i] != theirs.integers[i];
          EXPECT_LE(differing, ours.size() / (bf16 ? 4 : 50)) << name;
          continue;
        }
        double bar = bf16 ? 0.25 * normOf(theirs.reals, first.reals)
                          : 1e-4 * normOf(theirs.reals, std::vector<double>(theirs.size()));
        EXPECT_LE(normOf(ours.reals, theirs.reals), bar) << name;
      }
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
    if (together) {
      expectVariables();
      for (auto &[name, value] : before) {
        value = *interpreter.get(name);
        gpu.set(name, value);
        cpu.set(name, value);
      }
    }
    if (HasFatalFailure())
      return;
  }
  EXPECT_GT(gpu.launches, 100);
  EXPECT_GT(gpu.products, 50);
  EXPECT_EQ(gpu.copies > 0, recipe.optimizer.paged);
  EXPECT_EQ(gpu.decodedAhead > 0, GetParam().device == smallDevice);
  EXPECT_EQ(gpu.attentions > 0, GetParam().library);
  EXPECT_EQ(gpu.tensorProducts() > 0, bf16 && recipe.model.headDim % 16 == 0 && !GetParam().library);
  if (!together)
    expectVariables();
}

class CudaLaunches : public CudaStep {};

/// The same launches on the emulated GPU and on the CPU, each from the bytes that the CPU's have left: what
/// ftrun --against does with a real one. Within its bars, and row kernels in the same bits.
TEST_P(CudaLaunches, AgreeWithTheCpus) {
  OwningOpRef<ModuleOp> plan = compileTo(Stage::Plan, GetParam(), "cuda", ByLaunch::Device);
  OwningOpRef<ModuleOp> graph = compileTo(Stage::TrainOpt, GetParam(), "cuda");
  ASSERT_TRUE(plan && graph);
  EmulatedStep gpu(*plan, GetParam().device);
  gpu.attendByLibrary(GetParam().library);
  CompiledPlan cpu(*plan, "x86-64-v3");
  ASSERT_TRUE(gpu.ok() && cpu.ok());
  const Recipe recipe = recipeOf(GetParam());
  reference::TrainInterpreter start(*graph);
  start.initialize(5);
  for (auto variable : plan->getOps<plan::VariableOp>()) {
    std::string name = variable.getSymName().str();
    Tensor value = variable.getRole() == plan::Role::Quantized
                       ? randomPiece(name, variable.getBufferType(), quantizerOf(recipe))
                       : *start.find(name);
    gpu.set(name, value);
    cpu.set(name, value);
  }
  int64_t compared = 0;
  for (auto [onGpu, onCpu] :
       llvm::zip_equal(gpu.module().getOps<plan::EntryOp>(), cpu.module().getOps<plan::EntryOp>())) {
    NamedTensors inputs = inputsOf(onCpu, 2);
    cpu.run(onCpu.getSymName(), inputs, 1);
    gpu.run(onGpu.getSymName(), inputs, 1);
    auto launches = onCpu.getBody().front().getOps<plan::LaunchOp>();
    if (launches.empty())
      continue; // a copy
    plan::LaunchOp launch = *launches.begin(), other = *onGpu.getBody().front().getOps<plan::LaunchOp>().begin();
    auto kernel = cpu.module().lookupSymbol<plan::KernelOp>(launch.getKernel());
    ++compared;
    for (auto [index, buffer] : llvm::enumerate(launch.getBuffers())) {
      auto type = cast<MemRefType>(buffer.getType());
      auto *ours = gpu.place(other.getBuffers()[index]), *theirs = cpu.place(buffer);
      const auto bytes = static_cast<uint64_t>(plan::bytesOf(type));
      const bool isWorking = type.getElementType().isInteger(8) && !isa<plan::RowsOp>(kernel.getWork());
      if (kernel.writes(index) && !isWorking) {
        const auto element = type.getElementType().isF32()         ? manifest::ElementType::F32
                             : type.getElementType().isBF16()      ? manifest::ElementType::BF16
                             : type.getElementType().isInteger(32) ? manifest::ElementType::I32
                                                                   : manifest::ElementType::U8;
        const BufferDistance distance =
            distanceOf(element, reinterpret_cast<std::byte *>(ours), reinterpret_cast<std::byte *>(theirs), bytes);
        EXPECT_TRUE(isWithin(element, distance)) << onCpu.getSymName().str() << " " << launch.getKernel().str()
                                                 << " buffer " << index << ": " << describe(element, distance);
        if (isa<plan::RowsOp>(kernel.getWork()))
          EXPECT_EQ(distance.differing, 0u) << launch.getKernel().str() << " buffer " << index;
      }
      std::memcpy(ours, theirs, bytes);
    }
  }
  EXPECT_GT(compared, 50);
}

INSTANTIATE_TEST_SUITE_P(Recipes, CudaLaunches,
                         testing::Values(Case{"Dora", DType::F32,
                                              [](Recipe &recipe) {
                                                addAdapters(recipe);
                                                recipe.lora->dora = true;
                                                recipe.model.qkvBias = true;
                                              }},
                                         Case{"Gemma2", DType::F32, makeGemma2},
                                         Case{"Gemma3", DType::BF16, makeGemma3}, Case{"Olmo2", DType::F32, makeOlmo2},
                                         Case{"Granite", DType::BF16, makeGranite},
                                         Case{"StatesBf16", DType::BF16,
                                              [](Recipe &recipe) {
                                                widen(recipe, 64);
                                                recipe.optimizer.quantizedStates = StateFormat::Bitsandbytes8;
                                              }},
                                         Case{"QloraTensorCores", DType::BF16,
                                              [](Recipe &recipe) {
                                                addWideAdapters(recipe);
                                                recipe.model.headDim = 32;
                                                recipe.model.numHeads = recipe.model.numKvHeads = 4;
                                              }},
                                         Case{"LibraryAttention", DType::BF16,
                                              [](Recipe &recipe) {
                                                recipe.model.headDim = 16;
                                                recipe.model.embedDim = 64;
                                              },
                                              "b200", false, true},
                                         Case{"Paged", DType::F32,
                                              [](Recipe &recipe) {
                                                widen(recipe, 128);
                                                recipe.model.intermediateDim = 1024;
                                                recipe.optimizer.paged = true;
                                              }}),
                         [](const auto &info) { return std::string(info.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Recipes, CudaStep,
    testing::Values(
        Case{"Fp32", DType::F32}, Case{"Bf16", DType::BF16}, Case{"Lora", DType::F32, addAdapters},
        Case{"LoraBf16", DType::BF16, addAdapters},
        // In bf16: an fp32 weight at the end of its group's range lies between two codes, and a last bit decides.
        Case{"QatBf16", DType::BF16,
             [](Recipe &recipe) {
               recipe.quantizer = QuantizerConfig{.groupSize = 4, .afterSteps = 1};
               recipe.model.tiedEmbeddings = false;
             },
             "h100", true},
        Case{"QatWeightsBf16", DType::BF16,
             [](Recipe &recipe) {
               recipe.quantizer = QuantizerConfig{.kind = QuantizerConfig::Kind::Int4WeightOnly, .groupSize = 4};
             }},
        Case{"QatLoraBf16", DType::BF16,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.quantizer = QuantizerConfig{.groupSize = 4};
             },
             "h100", true},
        Case{"Chunked", DType::BF16,
             [](Recipe &recipe) { recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss"; }},
        Case{"Sgd", DType::F32, [](Recipe &recipe) { recipe.optimizer.kind = OptimizerConfig::Kind::SGD; }},
        Case{"SeveralTiles", DType::F32,
             [](Recipe &recipe) {
               recipe.model.embedDim = 48;
               recipe.model.headDim = 12;
               recipe.seqLen = 101;
             }},
        Case{"SeveralTilesBf16", DType::BF16,
             [](Recipe &recipe) {
               recipe.model.embedDim = 64;
               recipe.model.headDim = 16;
               recipe.seqLen = 150;
             }},
        Case{"Dora", DType::F32,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.lora->dora = true;
             }},
        // By SGD: AdamW makes steps of rounding where a gradient nearly vanishes, as the key bias's does.
        Case{"Biases", DType::F32,
             [](Recipe &recipe) {
               recipe.model.qkvBias = true;
               recipe.optimizer.kind = OptimizerConfig::Kind::SGD;
             }},
        Case{"BiasesBesideAdapters", DType::F32,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.model.qkvBias = true;
             }},
        Case{"NormsOfHeads", DType::F32, [](Recipe &recipe) { recipe.model.qkNorm = true; }},
        Case{"NormsOfHeadsBf16", DType::BF16, [](Recipe &recipe) { recipe.model.qkNorm = true; }},
        Case{"Gemma", DType::F32, [](Recipe &recipe) { recipe.model.architecture = ModelArchitecture::Gemma; }},
        Case{"Gemma2", DType::F32, makeGemma2}, Case{"Gemma3", DType::F32, makeGemma3},
        Case{"SmolLM3", DType::F32,
             [](Recipe &recipe) {
               recipe.model.architecture = ModelArchitecture::SmolLM3;
               recipe.model.ropelessPattern = 2;
             }},
        Case{"Olmo2", DType::F32, makeOlmo2}, Case{"Granite", DType::F32, makeGranite},
        Case{"GraniteChunked", DType::F32,
             [](Recipe &recipe) {
               makeGranite(recipe);
               recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
               recipe.lossChunks = 3;
               recipe.checkpointing.mode = CheckpointingConfig::Mode::Full;
             }},
        Case{"Gemma2Chunked", DType::F32,
             [](Recipe &recipe) {
               makeGemma2(recipe);
               recipe.lossComponent = "torchtune.modules.loss.LinearCrossEntropyLoss";
               recipe.lossChunks = 3;
               recipe.checkpointing.mode = CheckpointingConfig::Mode::Full;
             }},
        Case{"Gemma2TensorCores", DType::BF16,
             [](Recipe &recipe) {
               addAdapters(recipe);
               makeGemma2(recipe);
               // By SGD, as Biases. Norms behind each block make its rounding count as much as what it adds to: with
               // weights of chance, that of three layers is above the bar.
               recipe.model.numLayers = 1;
               recipe.optimizer.kind = OptimizerConfig::Kind::SGD;
               recipe.model.headDim = 16;
               recipe.model.tiedEmbeddings = true;
             },
             "h100", true},
        Case{"Qlora", DType::F32,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.quantizedBase = Nf4Quantizer::Bitsandbytes;
             }},
        Case{"QloraBf16", DType::BF16, addWideAdapters},
        Case{"States", DType::F32,
             [](Recipe &recipe) {
               widen(recipe, 64);
               recipe.optimizer.quantizedStates = StateFormat::Torchao8;
             },
             "h100", true},
        Case{"StatesBf16", DType::BF16,
             [](Recipe &recipe) {
               widen(recipe, 64);
               recipe.optimizer.quantizedStates = StateFormat::Bitsandbytes8;
             }},
        Case{"FourBitStates", DType::F32,
             [](Recipe &recipe) {
               widen(recipe, 64);
               recipe.optimizer.quantizedStates = StateFormat::Torchao4;
             },
             "h100", true},
        Case{"LoraTensorCores", DType::BF16,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.model.headDim = 16;
             },
             "h100", true},
        Case{"QloraTensorCores", DType::BF16,
             [](Recipe &recipe) {
               addWideAdapters(recipe);
               recipe.model.headDim = 32;
               recipe.model.numHeads = recipe.model.numKvHeads = 4;
             },
             "h100", true},
        Case{"LoraLibraryAttention", DType::BF16,
             [](Recipe &recipe) {
               addAdapters(recipe);
               recipe.model.headDim = 16;
             },
             "h100", true, true},
        Case{"LibraryAttention", DType::BF16,
             [](Recipe &recipe) {
               recipe.model.headDim = 16;
               recipe.model.embedDim = 64;
             },
             "b200", false, true},
        Case{"Preference", DType::F32, addPreference},
        Case{"PreferenceChunked", DType::F32,
             [](Recipe &recipe) {
               addPreference(recipe);
               recipe.preference->labelSmoothing = 0.25;
               recipe.lossChunks = 3;
             }},
        Case{"PreferenceBf16", DType::BF16,
             [](Recipe &recipe) {
               addPreference(recipe);
               recipe.lossChunks = 2;
             },
             "h100", true},
        Case{"PreferenceByAHinge", DType::F32,
             [](Recipe &recipe) {
               addPreference(recipe);
               recipe.preference->kind = PreferenceConfig::Kind::Hinge;
             }},
        Case{"FullPreference", DType::F32, addFullPreference},
        Case{"FullPreferenceChunked", DType::F32,
             [](Recipe &recipe) {
               addFullPreference(recipe);
               recipe.lossChunks = 3;
               recipe.checkpointing = {CheckpointingConfig::Mode::Full, 1};
             }},
        Case{"FullPreferenceBf16", DType::BF16,
             [](Recipe &recipe) {
               addFullPreference(recipe);
               recipe.lossChunks = 2;
             },
             "h100", true},
        Case{"FullPreferenceNf4", DType::F32,
             [](Recipe &recipe) {
               addFullPreference(recipe);
               widen(recipe, 128);
               recipe.reference->quantized = Nf4Quantizer::Torchao;
             }},
        Case{"Distillation", DType::F32, addTeacher},
        Case{"DistillationChunked", DType::F32,
             [](Recipe &recipe) {
               addTeacher(recipe);
               recipe.lossComponent = "torchtune.modules.loss.CEWithChunkedOutputLoss";
               recipe.lossChunks = 3;
             }},
        Case{"DistillationBf16", DType::BF16,
             [](Recipe &recipe) {
               addTeacher(recipe);
               recipe.lossComponent = "torchtune.modules.loss.CEWithChunkedOutputLoss";
               recipe.lossChunks = 2;
             },
             "h100", true},
        Case{"QloraSlabs", DType::BF16, addWideAdapters, smallDevice},
        Case{"Paged", DType::F32,
             [](Recipe &recipe) {
               widen(recipe, 128);
               recipe.model.intermediateDim = 1024;
               recipe.optimizer.paged = true;
             }}),
    [](const auto &info) { return std::string(info.param.name); });

// What the entry does when something is not as it should be.
TEST(CudaEntry, RefusesAndFails) {
  OwningOpRef<ModuleOp> plan = compileTo(Stage::Plan, {"Fp32", DType::F32}, "cuda");
  ASSERT_TRUE(plan);
  EmulatedStep gpu(*plan, "h100");
  ASSERT_TRUE(gpu.ok());
  ftrt_scalars scalars{};
  ftrt_services good = gpu.servicesFor(1);
  ftrt_services bad = good;
  bad.abi_version = 2;
  EXPECT_EQ(gpu.call(0, bad, scalars), FTRT_BAD_ABI);
  bad = good;
  bad.device = nullptr;
  EXPECT_EQ(gpu.call(0, bad, scalars), FTRT_NO_DEVICE);
  ftrt_device smaller = *good.device;
  smaller.size -= 8;
  bad.device = &smaller;
  EXPECT_EQ(gpu.call(0, bad, scalars), FTRT_NO_DEVICE);
  EXPECT_EQ(gpu.launches + gpu.products + gpu.uploads, 0);
  // The first upload, a launch, a product: nothing is queued behind what failed.
  for (int number : {0, 9, 40}) {
    int before = gpu.launches + gpu.products + gpu.uploads;
    gpu.clear(); // tokens of number 0
    gpu.failAt(number);
    good = gpu.servicesFor(1);
    EXPECT_EQ(gpu.call(0, good, scalars), FTRT_DEVICE_FAILED);
    EXPECT_EQ(gpu.launches + gpu.products + gpu.uploads - before, number + 1);
  }
}

} // namespace

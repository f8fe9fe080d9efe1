//===- FarTierTest.cpp - Compiled steps with and without the far tier ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/IR/Train.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "ftc/Import/Import.h"
#include "ftc/Pipelines/Pipeline.h"
#include "ftc/Pipelines/Register.h"
#include "ftc/Reference/PlanInterpreter.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Support/Random.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace ftc {
namespace {

constexpr uint64_t seed = 5;
using Bytes = std::map<std::string, std::vector<char>>;

/// Wide enough for states that are paged, and for activations that are worth a copy.
Recipe plainRecipe() {
  Recipe recipe;
  recipe.model.family = "llama3";
  recipe.model.vocabSize = 330;
  recipe.model.numLayers = 4;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = 328;
  recipe.model.headDim = 82;
  recipe.model.intermediateDim = 360;
  recipe.model.maxSeqLen = 64;
  recipe.model.tiedEmbeddings = true;
  recipe.batchSize = 2;
  recipe.seqLen = 48;
  recipe.optimizer.weightDecay = 0.1;
  // Without clipping, activations rather than gradients make the peak.
  return recipe;
}

/// Parameters, states and losses after three steps, and what the step took.
struct Outcome {
  Bytes tensors;
  std::vector<float> losses;
  uint64_t near = 0, far = 0;
};

Outcome train(const Recipe &recipe, unsigned threads) {
  Outcome outcome;
  std::vector<Diagnostic> diags;
  CompileOptions options;
  options.cpu = "x86-64-v3";
  std::optional<CompileResult> compiled = compile(recipe, options, diags);
  EXPECT_TRUE(compiled) << (diags.empty() ? "" : diags.front().message);
  if (!compiled)
    return outcome;
  const std::string path = testing::TempDir() + "far-" + std::to_string(getpid()) + ".so";
  std::ofstream(path, std::ios::binary) << compiled->output;
  Session session(std::make_unique<LoadedStep>(path),
                  {.threads = threads, .fillPattern = true, .farFolder = testing::TempDir()});
  std::filesystem::remove(path);
  // The plan is the truth, in both tiers.
  outcome.near = session.memory().bytesTaken();
  EXPECT_EQ(outcome.near, compiled->totalBytes);
  outcome.far = session.farTier() ? session.farTier()->bytes() : 0;
  EXPECT_EQ(outcome.far, session.step().plannedFarBytes());
  session.initialize(seed);

  const int entry = session.step().findEntry(manifest::EntryKind::Step);
  const int64_t length = recipe.seqLen, tokens = recipe.batchSize * length;
  for (uint64_t step = 1; step <= 3; ++step) {
    CounterRandom random(step, "tokens");
    auto input = [&](const char *name) {
      return reinterpret_cast<int32_t *>(session.data(*session.findInput(entry, name)));
    };
    for (int64_t i = 0; i < tokens; ++i) {
      input("tokens")[i] = static_cast<int32_t>(random.below(i, 330));
      input("labels")[i] = static_cast<int32_t>(random.below(1000 + i, 330));
      input("positions")[i] = static_cast<int32_t>(i % length);
      input("segment_starts")[i] = 0;
    }
    ftrt_scalars scalars{};
    scalars.learning_rate = 2e-3f;
    scalars.inv_tokens = 1.0f / static_cast<float>(tokens);
    scalars.step = step;
    scalars.seed = seed;
    session.run(entry, scalars);
    outcome.losses.push_back(*reinterpret_cast<const float *>(session.data(*session.findOutput(entry, "loss"))));
  }
  for (const manifest::Tensor *tensor : *session.manifest().tensors()) {
    std::vector<char> &bytes = outcome.tensors[tensor->name()->str()];
    bytes.resize(tensor->bytes());
    if (session.isFar(*tensor))
      session.farTier()->read(tensor->offset(), bytes.data(), bytes.size());
    else
      std::memcpy(bytes.data(), session.data(*tensor), bytes.size());
  }
  if (session.farTier()) {
    EXPECT_GT(session.farTier()->highestWritten(), outcome.far / 2);
    EXPECT_LE(session.farTier()->highestWritten(), outcome.far);
  }
  for (const Slab &slab : session.memory().slabs())
    EXPECT_LE(highestWritten(slab), slab.bytes);
  return outcome;
}

void expectSame(const Outcome &ours, const Outcome &plain) {
  EXPECT_EQ(ours.losses, plain.losses);
  ASSERT_EQ(ours.tensors.size(), plain.tensors.size());
  for (const auto &[name, bytes] : plain.tensors)
    EXPECT_TRUE(ours.tensors.at(name) == bytes) << name;
}

class FarTierSteps : public testing::Test {
protected:
  void SetUp() override {
    try {
      plain = train(plainRecipe(), 2);
    } catch (const RunError &error) {
      if (error.code() == ExitCode::CpuFeature)
        GTEST_SKIP() << error.what();
      throw;
    }
    ASSERT_EQ(plain.losses.size(), 3u);
    EXPECT_LT(plain.losses[2], plain.losses[0]);
    EXPECT_EQ(plain.far, 0u);
  }
  Outcome plain;
};

TEST_F(FarTierSteps, OffloadingChangesPlacesOnly) {
  Recipe recipe = plainRecipe();
  recipe.offloadActivations = true;
  Outcome offloaded = train(recipe, 2);
  expectSame(offloaded, plain);
  EXPECT_GT(offloaded.far, 0u);
  EXPECT_LT(offloaded.near, plain.near);
  expectSame(train(recipe, 1), plain);
}

TEST_F(FarTierSteps, PagingChangesPlacesOnly) {
  Recipe recipe = plainRecipe();
  recipe.optimizer.paged = true;
  Outcome paged = train(recipe, 2);
  expectSame(paged, plain);
  EXPECT_GT(paged.far, 0u);
  expectSame(train(recipe, 1), plain);
}

TEST_F(FarTierSteps, BothAndCheckpointing) {
  Recipe recipe = plainRecipe();
  recipe.checkpointing.mode = CheckpointingConfig::Mode::Full;
  Outcome again = train(recipe, 2);
  expectSame(again, plain);
  recipe.offloadActivations = true;
  recipe.optimizer.paged = true;
  Outcome all = train(recipe, 2);
  expectSame(all, plain);
  EXPECT_GT(all.far, 0u);
  recipe.checkpointing.mode = CheckpointingConfig::Mode::Selective;
  expectSame(train(recipe, 1), plain);
}

TEST_F(FarTierSteps, WithinABudgetSomeLeaveAndSomeAreComputedAgain) {
  Recipe recipe = plainRecipe();
  recipe.checkpointing.mode = CheckpointingConfig::Mode::Full;
  uint64_t least = train(recipe, 2).near;
  ASSERT_LT(least, plain.near);
  recipe.checkpointing.mode = CheckpointingConfig::Mode::Auto;
  int both = 0;
  for (uint64_t tenths : {3, 6}) {
    recipe.memoryBudget = least + (plain.near - least) * tenths / 10;
    recipe.offloadActivations = false;
    Outcome near = train(recipe, 2);
    expectSame(near, plain);
    EXPECT_EQ(near.far, 0u);
    recipe.offloadActivations = true;
    Outcome ours = train(recipe, 2);
    expectSame(ours, plain);
    EXPECT_LE(ours.near, *recipe.memoryBudget);
    both += ours.far > 0;
  }
  EXPECT_GT(both, 0);
  // Where there is room for all, nothing leaves.
  recipe.memoryBudget = plain.near;
  Outcome all = train(recipe, 1);
  expectSame(all, plain);
  EXPECT_EQ(all.far, 0u);
  EXPECT_EQ(all.near, plain.near);
}

//===----------------------------------------------------------------------===//
// The plan's interpreter before and after
//===----------------------------------------------------------------------===//

/// A step's plan with its variables after one step, interpreted.
class InterpretedPlan {
public:
  explicit InterpretedPlan(mlir::MLIRContext &context) : context(context) {
    Recipe recipe = plainRecipe();
    recipe.model.vocabSize = 90;
    recipe.model.embedDim = 40;
    recipe.model.headDim = 10;
    recipe.model.intermediateDim = 52;
    recipe.batchSize = 1;
    recipe.seqLen = 12;
    recipe.optimizer.paged = recipe.offloadActivations = true;
    module = importRecipe(context, recipe);
    run([](mlir::PassManager &passes) {
      passes.addPass(train::createDifferentiatePass());
      passes.addPass(train::createClipGradientsPass());
      passes.addPass(train::createLowerOptimizerPass());
      passes.addPass(train::createFormKernelsPass());
    });
  }

  void run(llvm::function_ref<void(mlir::PassManager &)> add) {
    mlir::PassManager passes(&context);
    add(passes);
    EXPECT_TRUE(succeeded(passes.run(*module)));
  }

  template <typename Op> int64_t count() {
    int64_t ops = 0;
    module->walk([&](Op) { ++ops; });
    return ops;
  }

  /// All variables after one step that starts from zeros but for parameters of 1/7, 2/7, 3/7, ..., and the loss.
  reference::NamedTensors step(bool lateCopies) {
    reference::PlanInterpreter interpreter(*module);
    interpreter.setLateCopies(lateCopies);
    interpreter.setReverseTasks(lateCopies);
    for (auto variable : module->getOps<plan::VariableOp>()) {
      reference::Tensor value(
          mlir::RankedTensorType::get(variable.getBufferType().getShape(), variable.getBufferType().getElementType()));
      if (variable.getRole() != plan::Role::State)
        for (int64_t i = 0; i < value.size(); ++i)
          value.set(i, (i % 11 + 1) / 70.0);
      EXPECT_FALSE(static_cast<bool>(interpreter.set(variable.getSymName(), value)));
    }
    auto entry = module->lookupSymbol<plan::EntryOp>("step");
    reference::NamedTensors inputs;
    for (auto input : entry.getBody().front().getOps<plan::InputOp>()) {
      auto type = mlir::cast<mlir::MemRefType>(input.getBuffer().getType());
      reference::Tensor value(mlir::RankedTensorType::get(type.getShape(), type.getElementType()));
      for (int64_t i = 0; i < value.size(); ++i) {
        if (value.isReal())
          value.set(i, input.getName() == "inv_tokens" ? 1.0 / 12 : 1e-2);
        else
          value.integers[i] = type.getRank() == 0 ? 1 : input.getName() == "segment_starts" ? 0 : i;
      }
      inputs[input.getName().str()] = value;
    }
    auto outputs = interpreter.run("step", inputs);
    EXPECT_TRUE(static_cast<bool>(outputs));
    if (!outputs) {
      ADD_FAILURE() << llvm::toString(outputs.takeError());
      return {};
    }
    for (auto variable : module->getOps<plan::VariableOp>())
      outputs->emplace(variable.getSymName().str(), llvm::cantFail(interpreter.get(variable.getSymName())));
    return *outputs;
  }

private:
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST(InterpretedFarTier, CopiesChangeNoBitWheneverTheyHappen) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry);
  InterpretedPlan near(context);
  near.run([](mlir::PassManager &passes) {
    passes.addPass(createConvertTrainToPlanPass());
    passes.addPass(plan::createPlanAssignOffsetsPass());
    passes.addPass(plan::createPlanVerifyPass());
  });
  reference::NamedTensors expected = near.step(false);

  InterpretedPlan far(context);
  far.run([](mlir::PassManager &passes) {
    train::PageStatesPassOptions page;
    page.minElements = 100;
    passes.addPass(train::createPageStatesPass(page));
    train::OffloadActivationsPassOptions offload;
    offload.linkRate = 1e10;
    passes.addPass(train::createOffloadActivationsPass(offload));
  });
  EXPECT_GT(far.count<train::OffloadOp>(), 10);
  far.run([](mlir::PassManager &passes) {
    passes.addPass(createConvertTrainToPlanPass());
    plan::PlanStreamFarVariablesPassOptions stream;
    stream.partBytes = 1000;
    stream.ahead = 3;
    passes.addPass(plan::createPlanStreamFarVariablesPass(stream));
    passes.addPass(plan::createPlanAssignOffsetsPass());
    passes.addPass(plan::createPlanVerifyPass());
  });
  EXPECT_GT(far.count<plan::CopyInOp>(), 80);
  for (bool late : {false, true}) {
    reference::NamedTensors got = far.step(late);
    ASSERT_EQ(got.size(), expected.size());
    for (const auto &[name, value] : expected)
      EXPECT_TRUE(got.at(name).isIdenticalTo(value)) << name << (late ? " late" : " early");
  }
}

} // namespace
} // namespace ftc

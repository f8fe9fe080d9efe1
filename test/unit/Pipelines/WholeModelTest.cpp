//===- WholeModelTest.cpp - Compiled steps against both interpreters -------===//
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

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>
#include <utility>

using namespace mlir;
using namespace ftc;
using reference::NamedTensors;
using reference::Tensor;

namespace {

constexpr uint64_t seed = 5;
constexpr int steps = 3;

struct Case {
  const char *name;
  DType dtype = DType::F32;
  bool tied = false;
  OptimizerConfig::Kind optimizer = OptimizerConfig::Kind::AdamW;
  std::optional<double> clip = 0.5;
  double dropout = 0; ///< above 0: adapters, trained with it
};

void PrintTo(const Case &which, std::ostream *out) { *out << which.name; }

Recipe recipeOf(const Case &which) {
  Recipe recipe;
  recipe.model.family = "llama3";
  recipe.model.vocabSize = 90; // none of the sizes is a multiple of a vector
  recipe.model.numLayers = 2;
  recipe.model.numHeads = 4;
  recipe.model.numKvHeads = 2;
  recipe.model.embedDim = 40;
  recipe.model.headDim = 10;
  recipe.model.intermediateDim = 52;
  recipe.model.maxSeqLen = 64;
  recipe.model.tiedEmbeddings = which.tied;
  recipe.dtype = which.dtype;
  recipe.batchSize = 2;
  recipe.seqLen = 13;
  recipe.optimizer.kind = which.optimizer;
  recipe.optimizer.weightDecay = 0.1;
  recipe.clipGradNorm = which.clip;
  if (which.dropout > 0)
    recipe.lora = LoraConfig{{"q_proj", "v_proj", "gate_proj", "down_proj"}, 3, 6, which.dropout};
  return recipe;
}

double normOfDifference(const std::vector<double> &left, const std::vector<double> &right) {
  double sum = 0;
  for (size_t i = 0; i < left.size(); ++i)
    sum += (left[i] - right[i]) * (left[i] - right[i]);
  return std::sqrt(sum);
}

double norm(const std::vector<double> &values) { return normOfDifference(values, std::vector<double>(values.size())); }

class WholeModel : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    recipe = recipeOf(GetParam());
    DialectRegistry registry;
    registerDialects(registry);
    context.appendDialectRegistry(registry);
    compileStep();
    buildGraphs();
  }
  void TearDown() override { std::filesystem::remove(path); }

  void compileStep() {
    std::vector<ftc::Diagnostic> diags;
    CompileOptions options;
    options.cpu = "x86-64-v3";
    std::optional<CompileResult> compiled = ftc::compile(recipe, options, diags);
    ASSERT_TRUE(compiled) << (diags.empty() ? "" : diags.front().message);
    path = testing::TempDir() + "whole-" + std::to_string(getpid()) + "-" + GetParam().name + ".so";
    std::ofstream(path, std::ios::binary) << compiled->output;
    try {
      session = std::make_unique<Session>(std::make_unique<LoadedStep>(path), SessionOptions{.threads = 2});
    } catch (const RunError &error) {
      if (error.code() == ExitCode::CpuFeature)
        GTEST_SKIP() << error.what();
      throw;
    }
    EXPECT_EQ(session->step().plannedBytes(), compiled->totalBytes);
    EXPECT_EQ(session->memory().bytesTaken(), compiled->totalBytes);
    session->initialize(seed);
  }

  /// The train graph, and a plan of it, each with an interpreter that starts like the session.
  void buildGraphs() {
    graph = importRecipe(context, recipe);
    PassManager passes(&context);
    passes.addPass(train::createAttachAdaptersPass());
    passes.addPass(train::createDifferentiatePass());
    passes.addPass(train::createClipGradientsPass());
    passes.addPass(train::createLowerOptimizerPass());
    ASSERT_TRUE(succeeded(passes.run(*graph)));
    trained = std::make_unique<reference::TrainInterpreter>(*graph);
    trained->initialize(seed);
    plan = OwningOpRef<ModuleOp>(graph->clone());
    PassManager lower(&context);
    lower.addPass(train::createFormKernelsPass());
    lower.addPass(createConvertTrainToPlanPass());
    lower.addPass(plan::createPlanAssignOffsetsPass());
    ASSERT_TRUE(succeeded(lower.run(*plan)));
    planned = std::make_unique<reference::PlanInterpreter>(*plan);
    for (const auto &[name, value] : trained->getVariables())
      ASSERT_FALSE(static_cast<bool>(planned->set(name, value))) << name;
  }

  /// Rows of random tokens in which a second document starts at position 5 of row 1; two labels are masked.
  void makeBatch(uint64_t step) {
    CounterRandom random(step, "tokens");
    const int64_t rows = recipe.batchSize, length = recipe.seqLen;
    valid = 0;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t at = 0; at < length; ++at) {
        const int64_t index = row * length + at, start = row == 1 && at >= 5 ? 5 : 0;
        const bool masked = at == length - 1 || (row == 1 && at == 4) || (row == 0 && at == 2);
        batch["tokens"].resize(rows * length);
        batch["labels"].resize(rows * length);
        batch["positions"].resize(rows * length);
        batch["segment_starts"].resize(rows * length);
        batch["tokens"][index] = random.below(index, static_cast<uint32_t>(recipe.model.vocabSize));
        batch["labels"][index] = masked ? -100 : int64_t(random.below(1000 + index, uint32_t(recipe.model.vocabSize)));
        batch["positions"][index] = at - start;
        batch["segment_starts"][index] = start;
        valid += !masked;
      }
    scalars = {};
    scalars.learning_rate = 2e-3f;
    scalars.inv_tokens = 1.0f / static_cast<float>(valid);
    scalars.step = step;
    scalars.seed = seed;
  }

  /// The whole batch for an entry that takes it, one row for `logits`, which takes one.
  llvm::ArrayRef<int64_t> partFor(size_t elements, llvm::ArrayRef<int64_t> values) const {
    return elements == values.size() ? values : values.slice(fedRow * elements, elements);
  }

  /// Runs one entry of the compiled step; its outputs as numbers.
  std::map<std::string, std::vector<double>> runCompiled(manifest::EntryKind kind) {
    const int entry = session->step().findEntry(kind);
    for (const auto &[name, values] : batch)
      if (const manifest::Tensor *input = session->findInput(entry, name)) {
        auto *to = reinterpret_cast<int32_t *>(session->data(*input));
        llvm::copy(partFor(input->bytes() / 4, values), to);
      }
    session->run(entry, scalars);
    std::map<std::string, std::vector<double>> outputs;
    const auto *info = session->manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(entry));
    for (const manifest::Tensor *output : *info->output_tensors())
      outputs[output->name()->str()] = read(*output);
    return outputs;
  }

  std::vector<double> read(const manifest::Tensor &tensor) {
    const std::byte *from = session->data(tensor);
    std::vector<double> values;
    for (uint64_t i = 0; i < tensor.bytes() / elementSize(tensor.type()); ++i) {
      if (tensor.type() == manifest::ElementType::I32) {
        values.push_back(reinterpret_cast<const int32_t *>(from)[i]);
      } else if (tensor.type() == manifest::ElementType::F32) {
        values.push_back(reinterpret_cast<const float *>(from)[i]);
      } else {
        EXPECT_EQ(tensor.type(), manifest::ElementType::BF16);
        const uint32_t bits = uint32_t(reinterpret_cast<const uint16_t *>(from)[i]) << 16;
        values.push_back(std::bit_cast<float>(bits));
      }
    }
    return values;
  }

  /// What the entry's graph asks for.
  NamedTensors inputsOf(llvm::StringRef name) {
    auto entry = graph->lookupSymbol<train::EntryOp>(name);
    NamedTensors inputs;
    for (auto [key, argument] : llvm::zip(entry.getInputNames(), entry.getBody().getArguments())) {
      const std::string input = cast<StringAttr>(key).str();
      Tensor tensor(cast<RankedTensorType>(argument.getType()));
      if (auto found = batch.find(input); found != batch.end())
        tensor.integers = partFor(static_cast<size_t>(tensor.size()), found->second).vec();
      else if (input == "learning_rate" || input == "inv_tokens")
        tensor.reals = {input == "inv_tokens" ? scalars.inv_tokens : scalars.learning_rate};
      else
        tensor.integers = {static_cast<int64_t>(input == "step"    ? scalars.step
                                                : input == "seed"  ? scalars.seed
                                                : input == "micro" ? scalars.micro
                                                : input == "row"   ? scalars.row
                                                                   : scalars.position)};
      inputs[input] = std::move(tensor);
    }
    return inputs;
  }

  /// Runs one entry in all three ways. Outputs agree within `relative` of the largest element, integers exactly.
  void expectAgreement(manifest::EntryKind kind, std::initializer_list<const char *> names, double relative) {
    const char *entry = entryName(kind);
    auto ours = runCompiled(kind);
    auto graphs = trained->run(entry, inputsOf(entry));
    ASSERT_TRUE(static_cast<bool>(graphs)) << llvm::toString(graphs.takeError());
    auto plans = planned->run(entry, inputsOf(entry));
    ASSERT_TRUE(static_cast<bool>(plans)) << llvm::toString(plans.takeError());
    for (const char *name : names) {
      ASSERT_TRUE(ours.contains(name) && graphs->contains(name) && plans->contains(name)) << entry << " " << name;
      for (const Tensor *theirs : {&graphs->at(name), &plans->at(name)}) {
        const char *by = theirs == &plans->at(name) ? " of the plan" : " of the graph";
        ASSERT_EQ(ours[name].size(), static_cast<size_t>(theirs->size())) << entry << " " << name;
        double largest = 0;
        for (double value : theirs->reals)
          largest = std::max(largest, std::abs(value));
        for (size_t i = 0; i < ours[name].size(); ++i) {
          if (theirs->isReal())
            ASSERT_NEAR(ours[name][i], theirs->reals[i], relative * largest)
                << entry << " " << name << "[" << i << "]" << by;
          else
            ASSERT_EQ(ours[name][i], theirs->integers[i]) << entry << " " << name << by;
        }
      }
    }
  }

  Recipe recipe;
  MLIRContext context{MLIRContext::Threading::DISABLED};
  std::string path;
  std::unique_ptr<Session> session;
  OwningOpRef<ModuleOp> graph, plan;
  std::unique_ptr<reference::TrainInterpreter> trained;
  std::unique_ptr<reference::PlanInterpreter> planned;
  std::map<std::string, std::vector<int64_t>> batch;
  ftrt_scalars scalars{};
  int64_t valid = 0;
  size_t fedRow = 0;
};

TEST_P(WholeModel, ComputesWhatBothInterpretersDo) {
  const bool bf16 = recipe.dtype == DType::BF16;
  const double lossBar = bf16 ? 2e-3 : 1e-5, logitBar = bf16 ? 2e-2 : 1e-4;
  const NamedTensors before = trained->getVariables();
  for (uint64_t step = 1; step <= steps; ++step) {
    makeBatch(step);
    if (recipe.clipGradNorm)
      expectAgreement(manifest::EntryKind::Step, {"loss", "grad_norm"}, bf16 ? 2e-2 : 1e-5);
    else
      expectAgreement(manifest::EntryKind::Step, {"loss"}, lossBar);
    expectAgreement(manifest::EntryKind::Evaluate, {"loss_sum", "valid_tokens"}, lossBar);
    for (auto [row, position] : {std::pair{0, 0}, std::pair{1, 9}}) {
      fedRow = static_cast<size_t>(row);
      scalars.position = static_cast<uint64_t>(position);
      expectAgreement(manifest::EntryKind::Logits, {"logits"}, logitBar);
    }
    if (HasFatalFailure())
      return;
    EXPECT_EQ(runCompiled(manifest::EntryKind::Evaluate)["valid_tokens"][0], static_cast<double>(valid));
  }
  unsigned changed = 0;
  for (const auto &[name, start] : before) {
    const manifest::Tensor *tensor = session->findTensor(name);
    ASSERT_TRUE(tensor) << name;
    const std::vector<double> ours = read(*tensor);
    auto ofPlan = planned->get(name);
    ASSERT_TRUE(static_cast<bool>(ofPlan)) << llvm::toString(ofPlan.takeError());
    for (const Tensor *theirs : {trained->find(name), &std::as_const(*ofPlan)}) {
      const double change = normOfDifference(theirs->reals, start.reals);
      if (change == 0)
        EXPECT_EQ(ours, theirs->reals) << name;
      else if (bf16)
        EXPECT_LE(normOfDifference(ours, theirs->reals), 0.25 * change) << name;
      else
        EXPECT_LE(normOfDifference(ours, theirs->reals), 1e-4 * norm(theirs->reals)) << name;
      changed += change > 0;
    }
  }
  // Every parameter; of adapters the two factors, and their states.
  EXPECT_GE(changed, recipe.lora ? 2u * (4 * 2 * 2) * 3 : 2u * (9 * 2 + 2));
}

INSTANTIATE_TEST_SUITE_P(Recipes, WholeModel,
                         testing::Values(Case{"adamw"}, Case{"tied", DType::F32, true},
                                         Case{"sgd", DType::F32, false, OptimizerConfig::Kind::SGD, std::nullopt},
                                         Case{"bf16", DType::BF16, true}, Case{.name = "dropout", .dropout = 0.25}),
                         [](const auto &info) { return info.param.name; });

} // namespace

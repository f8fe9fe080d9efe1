//===- LoraTest.cpp - Adapters: graphs, and 20 steps against PEFT ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The LoRA cases of test/oracle/cases.json without code generation: the train graph in the reference interpreter.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Checkpoint/Checkpoint.h"
#include "ftc/Import/Import.h"
#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Files.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace mlir;
using namespace ftc;
using nlohmann::json;
using reference::NamedTensors;

namespace {

const std::string oracle = FTC_SOURCE_DIR "/test/oracle/";

std::string textOf(const std::string &path) {
  std::string text, error;
  EXPECT_TRUE(readFile(path, text, error)) << error;
  return text;
}

std::string firstOf(const std::vector<ftc::Diagnostic> &diags) { return diags.empty() ? "" : diags[0].str(); }

/// Trains one case and compares losses and adapters with its golden.
void compareWithPeft(const std::string &name) {
  json cases = json::parse(textOf(oracle + "cases.json")),
       golden = json::parse(textOf(oracle + "goldens/" + name + ".json"));
  std::vector<ftc::Diagnostic> diags;
  std::string file = oracle + cases[name]["recipe"].get<std::string>();
  auto recipe = parseRecipe(textOf(file), file, cases[name]["overrides"].get<std::vector<std::string>>(), diags);
  ASSERT_TRUE(recipe && recipe->lora) << firstOf(diags);

  MLIRContext context;
  ImportOptions only;
  only.evaluate = only.logits = false;
  OwningOpRef<ModuleOp> module = importRecipe(context, *recipe, only);
  PassManager passes(&context);
  passes.addPass(train::createAttachAdaptersPass());
  passes.addPass(train::createDifferentiatePass());
  passes.addPass(train::createClipGradientsPass());
  passes.addPass(train::createLowerOptimizerPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  ASSERT_TRUE(succeeded(passes.run(*module)));

  reference::TrainInterpreter interpreter(*module);
  interpreter.initialize(0);
  auto base = CheckpointReader::open(FTC_SOURCE_DIR "/" + recipe->checkpointer.checkpointDir, {}, diags);
  auto adapter = AdapterReader::open(FTC_SOURCE_DIR "/" + recipe->checkpointer.adapterCheckpoint, *recipe->lora,
                                     recipe->model, diags);
  ASSERT_TRUE(base && adapter) << firstOf(diags);
  std::vector<TensorSpec> adapters;
  for (auto variable : module->getOps<train::VariableOp>()) {
    // Whatever is trained is an adapter, and only adapters have states.
    std::string symbol = variable.getSymName().str();
    EXPECT_EQ(bool(variable.getTrainable()), isAdapterName(symbol)) << symbol;
    if (variable.getRole() == train::VariableRole::State)
      EXPECT_NE(symbol.find(".lora_"), std::string::npos) << symbol;
    if (variable.getRole() != train::VariableRole::Parameter)
      continue;
    ArrayRef<int64_t> shape = variable.getTensorType().getShape();
    TensorSpec spec{symbol, ftc::TensorType::F32, {shape.begin(), shape.end()}};
    std::vector<float> values(static_cast<size_t>(spec.elements()));
    TensorView view{spec, values.data()};
    bool good = isAdapterName(symbol) ? adapter->read(view, diags) : base->read(view, diags);
    ASSERT_TRUE(good) << firstOf(diags);
    reference::Tensor tensor(variable.getTensorType());
    tensor.reals.assign(values.begin(), values.end());
    bool unknown = bool(interpreter.set(symbol, std::move(tensor)));
    ASSERT_FALSE(unknown) << symbol;
    if (isAdapterName(symbol))
      adapters.push_back(spec);
  }
  EXPECT_TRUE(adapter->check(adapters, diags)) << firstOf(diags);

  std::string tokens = textOf(oracle + "data/tokens.bin");
  const int64_t rows = recipe->batchSize, length = recipe->seqLen, count = rows * length;
  auto ids = RankedTensorType::get({count}, IntegerType::get(&context, 32));
  auto scalar = RankedTensorType::get({}, Float32Type::get(&context));
  auto number = RankedTensorType::get({}, IntegerType::get(&context, 64));
  ASSERT_EQ(golden["steps"].size(), 20u);
  ASSERT_EQ(tokens.size(), static_cast<size_t>(2 * 20 * count));
  for (int64_t step = 0; step < 20; ++step) {
    NamedTensors inputs;
    for (const char *input : {"tokens", "labels", "positions", "segment_starts"})
      inputs[input] = reference::Tensor(ids);
    for (int64_t i = 0; i < count; ++i) {
      auto id = [&](int64_t at) {
        const auto *bytes = reinterpret_cast<const unsigned char *>(tokens.data()) + 2 * (step * count + at);
        return int64_t(bytes[0] | bytes[1] << 8);
      };
      inputs["tokens"].integers[i] = id(i);
      inputs["labels"].integers[i] = i % length == length - 1 ? -100 : id(i + 1);
      inputs["positions"].integers[i] = i % length;
    }
    for (const char *input : {"learning_rate", "inv_tokens"})
      inputs[input] = reference::Tensor(scalar);
    inputs["learning_rate"].set(0, golden["steps"][step]["lr"].get<double>());
    inputs["inv_tokens"].set(0, 1.0 / static_cast<double>(rows * (length - 1)));
    inputs["step"] = reference::Tensor(number);
    inputs["step"].integers[0] = step + 1;
    auto outputs = interpreter.run("step", inputs);
    ASSERT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
    double loss = golden["steps"][step]["loss"], still = golden["losses_without_updates"][step];
    EXPECT_NEAR((*outputs)["loss"].reals[0], loss, 1e-5 * loss) << "step " << step + 1;
    if (step == 19)
      EXPECT_GT(std::abs(still - loss), 100 * 1e-5 * loss); // training shows in it
    if (auto norm = outputs->find("grad_norm"); norm != outputs->end()) {
      double theirs = golden["steps"][step]["grad_norm"];
      EXPECT_NEAR(norm->second.reals[0], theirs, 1e-3 * theirs);
    }
  }
  auto after = SafetensorsFile::open(oracle + "goldens/" + name + ".adapter.safetensors", diags);
  ASSERT_TRUE(after) << firstOf(diags);
  for (const TensorSpec &spec : adapters) {
    const SafetensorsFile::Entry *entry = after->find(peftName(spec.name));
    ASSERT_TRUE(entry) << spec.name;
    std::vector<float> theirs(static_cast<size_t>(spec.elements()));
    ASSERT_TRUE(after->read(*entry, ftc::TensorType::F32, theirs.data(), diags));
    const std::vector<double> &ours = interpreter.find(spec.name)->reals;
    double apart = 0, norm = 0;
    for (size_t i = 0; i < theirs.size(); ++i) {
      apart += (ours[i] - theirs[i]) * (ours[i] - theirs[i]);
      norm += double(theirs[i]) * theirs[i];
    }
    EXPECT_LE(std::sqrt(apart), 1e-4 * std::sqrt(norm)) << spec.name;
  }
}

TEST(Lora, TiedModelTrainsAsInPeft) { compareWithPeft("lora-tied-fp32"); }
TEST(Lora, UntiedModelWithHeadTrainsAsInPeft) { compareWithPeft("lora-untied-fp32"); }

} // namespace

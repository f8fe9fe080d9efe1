//===- FarTierTest.cpp - Random plans with and without the far tier -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/KernelRows.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "ftc/Reference/PlanInterpreter.h"
#include "test/unit/Transforms/Helpers.h"
#include "test/unit/Transforms/RandomGraph.h"

#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace ftc;
using reference::NamedTensors;

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

/// Outputs and variables of a placed plan. `late`: copies happen as late, and tasks run as differently, as they may.
test::Outcome runPlan(ModuleOp module, const NamedTensors &inputs, const NamedTensors &start, bool late) {
  reference::PlanInterpreter interpreter(module);
  interpreter.setLateCopies(late);
  interpreter.setReverseTasks(late);
  for (auto &[name, value] : start)
    EXPECT_FALSE(static_cast<bool>(interpreter.set(name, value))) << name;
  auto outputs = interpreter.run("step", inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  test::Outcome outcome{*outputs, {}};
  for (auto &[name, value] : start)
    outcome.variables.emplace(name, llvm::cantFail(interpreter.get(name)));
  return outcome;
}

/// Makes the variables states, which may live in the far tier.
void makeStates(ModuleOp module) {
  for (auto variable : module.getOps<train::VariableOp>()) {
    variable.setTrainable(false);
    variable.setRole(train::VariableRole::State);
  }
}

TEST(FarTier, RandomPlansKeepEveryBit) {
  int offloads = 0, parts = 0, farVariables = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    makeStates(*graph.module);
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createCSEPass()); }));
    test::mark(*graph.module, seed);
    reference::TrainInterpreter train(*graph.module);
    train.initialize(5);
    const NamedTensors start = train.getVariables();
    OwningOpRef<ModuleOp> far = graph.module->clone();
    const ConvertTrainToPlanPassOptions options{.partialSums = seed % 2 ? 0 : 3};

    ASSERT_TRUE(test::runPasses(*graph.module, [&](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createConvertTrainToPlanPass(options));
      passes.addPass(plan::createPlanAssignOffsetsPass());
      passes.addPass(plan::createPlanVerifyPass());
    }));
    EXPECT_EQ(test::countOps<plan::CopyInOp>(*graph.module), 0);
    const test::Outcome near = runPlan(*graph.module, graph.inputs, start, false);

    (*far)->setAttr(train::TrainDialect::pageStatesAttrName, UnitAttr::get(&context()));
    (*far)->setAttr(train::TrainDialect::offloadAttrName, UnitAttr::get(&context()));
    ASSERT_TRUE(test::runPasses(*far, [&](PassManager &passes) {
      train::PageStatesPassOptions page;
      page.minElements = 10; // all but one
      passes.addPass(train::createPageStatesPass(page));
      passes.addPass(train::createFormKernelsPass());
      train::OffloadActivationsPassOptions offload;
      offload.linkRate = seed % 3 ? 1e13 : 1e11;
      passes.addPass(train::createOffloadActivationsPass(offload));
    }));
    for (auto variable : far->getOps<train::VariableOp>()) {
      EXPECT_EQ(variable.getFar(), variable.getTensorType().getNumElements() >= 10);
      farVariables += variable.getFar();
    }
    offloads += test::countOps<train::OffloadOp>(*far);
    ASSERT_TRUE(
        test::runPasses(*far, [&](PassManager &passes) { passes.addPass(createConvertTrainToPlanPass(options)); }));
    // So small, all rows are one task, and tasks are what parts are made of.
    for (auto kernel : far->getOps<plan::KernelOp>())
      if (rowsInParts(kernel))
        cast<plan::RowsOp>(kernel.getWork()).setPerTask(1);
    ASSERT_TRUE(test::runPasses(*far, [&](PassManager &passes) {
      plan::PlanStreamFarVariablesPassOptions stream;
      stream.partBytes = 32; // a row or two
      stream.ahead = 1 + static_cast<int64_t>(seed % 3);
      passes.addPass(plan::createPlanStreamFarVariablesPass(stream));
      passes.addPass(plan::createPlanAssignOffsetsPass());
      passes.addPass(plan::createPlanVerifyPass());
    }));
    for (auto kernel : far->getOps<plan::KernelOp>())
      parts += kernel.getSymName().contains("_rows");
    for (bool late : {false, true})
      test::expectIdentical(near, runPlan(*far, graph.inputs, start, late));
    if (HasFailure()) {
      far->dump();
      return;
    }
  }
  // The comparison means something.
  EXPECT_EQ(farVariables, 150 * 3);
  EXPECT_GT(offloads, 100);
  EXPECT_GT(parts, 50);
}

} // namespace

//===- FormKernelsTest.cpp - Kernel forming changes no bit -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc;

namespace {

MLIRContext &context() {
  static MLIRContext instance([] {
    DialectRegistry registry;
    registry.insert<train::TrainDialect>();
    return registry;
  }());
  instance.loadAllAvailableDialects();
  return instance;
}

struct Outcome {
  reference::NamedTensors outputs, variables;
};

Outcome interpret(const test::RandomGraph &graph) {
  reference::TrainInterpreter interpreter(*graph.module);
  interpreter.initialize(5);
  auto outputs = interpreter.run("step", graph.inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  return {*outputs, interpreter.getVariables()};
}

void expectIdentical(const reference::NamedTensors &before, const reference::NamedTensors &after) {
  ASSERT_EQ(before.size(), after.size());
  for (const auto &[name, tensor] : before) {
    auto found = after.find(name);
    ASSERT_NE(found, after.end()) << name;
    EXPECT_TRUE(tensor.isIdenticalTo(found->second)) << name;
  }
}

struct Counts {
  int groups = 0, grouped = 0;
};

Counts countGroups(ModuleOp module) {
  Counts counts;
  module.walk([&](train::FusedOp op) {
    ++counts.groups;
    counts.grouped += op.getBody().front().getOperations().size() - 1;
  });
  return counts;
}

/// Runs `addPasses` on 300 random graphs and compares outputs and variables; returns the groups of all results.
template <typename AddPasses> Counts checkRandomGraphs(AddPasses addPasses) {
  Counts all;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    EXPECT_TRUE(succeeded(verify(*graph.module)));
    Outcome before = interpret(graph);
    EXPECT_FALSE(before.outputs.empty());
    PassManager passes(&context());
    addPasses(passes);
    if (failed(passes.run(*graph.module))) {
      ADD_FAILURE() << "the passes failed";
      return all;
    }
    Outcome after = interpret(graph);
    expectIdentical(before.outputs, after.outputs);
    expectIdentical(before.variables, after.variables);
    if (testing::Test::HasFailure()) {
      graph.module->dump();
      return all;
    }
    Counts counts = countGroups(*graph.module);
    all.groups += counts.groups;
    all.grouped += counts.grouped;
  }
  return all;
}

TEST(FormKernels, RandomGraphsKeepEveryBit) {
  Counts counts = checkRandomGraphs([](PassManager &passes) { passes.addPass(train::createFormKernelsPass()); });
  EXPECT_GT(counts.groups, 300); // enough was grouped for the comparison to mean something
  EXPECT_GT(counts.grouped, 3 * counts.groups / 2);
}

TEST(FormKernels, RandomGraphsKeepEveryBitAfterCleanUp) {
  Counts counts = checkRandomGraphs([](PassManager &passes) {
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    passes.addPass(train::createFormKernelsPass());
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
  });
  EXPECT_GT(counts.groups, 200);
}

TEST(RandomGraph, SeedsGiveDifferentGraphsAndOneSeedTheSame) {
  auto print = [](uint64_t seed) {
    test::RandomGraph graph(context(), seed);
    std::string text;
    llvm::raw_string_ostream(text) << *graph.module;
    return text;
  };
  EXPECT_EQ(print(1), print(1));
  EXPECT_NE(print(1), print(2));
}

} // namespace

//===- FormKernelsTest.cpp - Kernel forming changes no bit -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc;
using test::context;

namespace {

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
    test::Outcome before = test::interpret(*graph.module, graph.inputs);
    if (!test::runPasses(*graph.module, addPasses)) {
      ADD_FAILURE() << "the passes failed";
      return all;
    }
    test::expectIdentical(before, test::interpret(*graph.module, graph.inputs));
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

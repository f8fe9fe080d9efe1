//===- OffloadActivationsTest.cpp - Activations away and back change no bit --===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// Whether `value` is computed from a result of `from`.
bool dependsOn(Value value, Operation *from) {
  Operation *producer = value.getDefiningOp();
  return producer && (producer == from ||
                      llvm::any_of(producer->getOperands(), [&](Value operand) { return dependsOn(operand, from); }));
}

TEST(OffloadActivations, RandomGraphsKeepEveryBit) {
  int away = 0, stayed = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(test::context(), seed);
    test::Outcome before = test::interpret(*graph.module, graph.inputs);
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createCSEPass()); }));
    test::mark(*graph.module, seed);
    (*graph.module)->setAttr(TrainDialect::offloadAttrName, UnitAttr::get(&test::context()));
    OffloadActivationsPassOptions options;
    options.linkRate = std::pow(10.0, 9 + seed % 6); // from one that hides little to one that hides everything
    ASSERT_TRUE(test::runPasses(*graph.module, [&](PassManager &passes) {
      if (seed % 2)
        passes.addPass(createFormKernelsPass());
      passes.addPass(createOffloadActivationsPass(options));
    }));
    int copies = test::countOps<OffloadOp>(*graph.module);
    EXPECT_EQ(test::countOps<PrefetchOp>(*graph.module), copies);
    // What comes back waits for a gradient, and so does whoever reads it.
    graph.module->walk([&](PrefetchOp back) {
      auto offload = back.getFar().getDefiningOp<OffloadOp>();
      EXPECT_TRUE(offload);
      EXPECT_FALSE(dependsOn(offload.getValue(), back.getUntil().getDefiningOp()));
      EXPECT_FALSE(back.getResult().use_empty());
    });
    test::expectIdentical(before, test::interpret(*graph.module, graph.inputs));
    if (HasFailure()) {
      graph.module->dump();
      return;
    }
    away += copies;
    stayed += copies == 0;
  }
  EXPECT_GT(away, 300); // the comparison means something
  EXPECT_GT(stayed, 30);
}

} // namespace

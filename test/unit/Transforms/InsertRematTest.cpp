//===- InsertRematTest.cpp - Activations computed again change no bit --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc;
using test::context, test::countCopies, test::mark, test::runPasses;
using train::TrainDialect;

namespace {

class InsertRemat : public testing::TestWithParam<std::tuple<train::RematMode, int>> {};

TEST_P(InsertRemat, RandomGraphsKeepEveryBit) {
  auto [mode, every] = GetParam();
  int copies = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    test::Outcome before = test::interpret(*graph.module, graph.inputs);
    // Equal ops are one before the pass, so CSE afterwards has nothing to find but a copy and its original.
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(createCanonicalizerPass());
      passes.addPass(createCSEPass());
    }));
    mark(*graph.module, seed);
    (*graph.module)->setAttr(TrainDialect::rematAttrName, train::RematAttr::get(&context(), mode, every));
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) { passes.addPass(train::createInsertRematPass()); }));
    int inserted = countCopies(*graph.module);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createCSEPass()); }));
    EXPECT_EQ(countCopies(*graph.module), inserted);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createCanonicalizerPass());
    }));
    test::expectIdentical(before, test::interpret(*graph.module, graph.inputs));
    if (HasFailure()) {
      graph.module->dump();
      return;
    }
    copies += inserted;
  }
  EXPECT_GT(copies, 150 / every); // the comparison means something
}

INSTANTIATE_TEST_SUITE_P(Modes, InsertRemat,
                         testing::Combine(testing::Values(train::RematMode::Full, train::RematMode::Selective),
                                          testing::Values(1, 2)));

} // namespace

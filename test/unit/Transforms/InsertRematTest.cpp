//===- InsertRematTest.cpp - Activations computed again change no bit --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Support/Random.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc;
using train::TrainDialect;

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

using Outcome = std::pair<reference::NamedTensors, reference::NamedTensors>; // outputs, variables

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

bool runPasses(ModuleOp module, function_ref<void(PassManager &)> add) {
  PassManager passes(&context());
  add(passes);
  return succeeded(passes.run(module));
}

/// Calls some of the ops backward, the first ones less often than the last, and spreads layers over the others in their
/// order; some of those keep no mark.
void mark(ModuleOp module, uint64_t seed) {
  CounterRandom random(seed, "marks");
  Block &body = (*module.getOps<train::EntryOp>().begin()).getBody().front();
  int64_t count = static_cast<int64_t>(body.getOperations().size()), index = 0;
  OpBuilder builder(&context());
  for (Operation &op : body.without_terminator()) {
    ++index;
    if (isa<train::ReadOp, train::WriteOp>(op))
      continue;
    if (random.below(2 * index, count) < index / 2)
      op.setAttr(TrainDialect::backwardAttrName, builder.getUnitAttr());
    else if (random.below(2 * index + 1, 8) != 0)
      op.setAttr(TrainDialect::layerAttrName, builder.getI64IntegerAttr(4 * index / count));
  }
}

int countCopies(ModuleOp module) {
  int copies = 0;
  module.walk([&](Operation *op) { copies += op->hasAttr(TrainDialect::recomputeAttrName); });
  return copies;
}

class InsertRemat : public testing::TestWithParam<std::tuple<train::RematMode, int>> {};

TEST_P(InsertRemat, RandomGraphsKeepEveryBit) {
  auto [mode, every] = GetParam();
  int copies = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    Outcome before = interpret(graph);
    ASSERT_FALSE(before.first.empty());
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
    Outcome after = interpret(graph);
    expectIdentical(before.first, after.first);
    expectIdentical(before.second, after.second);
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

//===- Helpers.h - What the tests of passes share -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TRANSFORMS_HELPERS_H
#define FTC_TEST_UNIT_TRANSFORMS_HELPERS_H

#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Random.h"

#include "dialects/Train/IR/Train.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

namespace ftc::test {

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext instance([] {
    mlir::DialectRegistry registry;
    registry.insert<train::TrainDialect>();
    return registry;
  }());
  instance.loadAllAvailableDialects();
  return instance;
}

/// What the last run returned, and the variables behind it.
struct Outcome {
  reference::NamedTensors outputs, variables;
};

/// Runs the entry `step` so many times, from the same start.
inline Outcome interpret(mlir::ModuleOp module, const reference::NamedTensors &inputs, int runs = 1) {
  reference::TrainInterpreter interpreter(module);
  interpreter.initialize(5);
  Outcome outcome;
  for (int run = 0; run < runs; ++run) {
    auto outputs = interpreter.run("step", inputs);
    if (!outputs) {
      ADD_FAILURE() << llvm::toString(outputs.takeError());
      return {};
    }
    outcome.outputs = std::move(*outputs);
  }
  outcome.variables = interpreter.getVariables();
  EXPECT_FALSE(outcome.outputs.empty());
  return outcome;
}

inline void expectIdentical(const reference::NamedTensors &before, const reference::NamedTensors &after) {
  ASSERT_EQ(before.size(), after.size());
  for (const auto &[name, tensor] : before) {
    auto found = after.find(name);
    ASSERT_NE(found, after.end()) << name;
    EXPECT_TRUE(tensor.isIdenticalTo(found->second)) << name;
  }
}

inline void expectIdentical(const Outcome &before, const Outcome &after) {
  expectIdentical(before.outputs, after.outputs);
  expectIdentical(before.variables, after.variables);
}

inline bool runPasses(mlir::ModuleOp module, llvm::function_ref<void(mlir::PassManager &)> add) {
  mlir::PassManager passes(module.getContext());
  add(passes);
  if (mlir::succeeded(passes.run(module)))
    return true;
  module->dump();
  return false;
}

/// Calls some of the ops backward, the first ones less often than the last, and spreads layers over the others in their
/// order; some of those keep no mark.
inline void mark(mlir::ModuleOp module, uint64_t seed) {
  CounterRandom random(seed, "marks");
  mlir::Block &body = (*module.getOps<train::EntryOp>().begin()).getBody().front();
  int64_t count = static_cast<int64_t>(body.getOperations().size()), index = 0;
  mlir::OpBuilder builder(module.getContext());
  for (mlir::Operation &op : body.without_terminator()) {
    ++index;
    if (mlir::isa<train::ReadOp, train::WriteOp>(op))
      continue;
    if (random.below(2 * index, count) < index / 2)
      op.setAttr(train::TrainDialect::backwardAttrName, builder.getUnitAttr());
    else if (random.below(2 * index + 1, 8) != 0)
      op.setAttr(train::TrainDialect::layerAttrName, builder.getI64IntegerAttr(4 * index / count));
  }
}

/// How many ops passes marked as computed again.
inline int countCopies(mlir::ModuleOp module) {
  int copies = 0;
  module.walk([&](mlir::Operation *op) { copies += op->hasAttr(train::TrainDialect::recomputeAttrName); });
  return copies;
}

template <typename Op> int countOps(mlir::ModuleOp module) {
  int ops = 0;
  module.walk([&](Op) { ++ops; });
  return ops;
}

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TRANSFORMS_HELPERS_H

//===- Helpers.h - Graphs and plans, run and compared -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_CONVERSION_HELPERS_H
#define FTC_TEST_UNIT_CONVERSION_HELPERS_H

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "ftc/Reference/PlanInterpreter.h"
#include "ftc/Reference/TrainInterpreter.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

#include <cmath>

namespace ftc::test::conversion {

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext instance([] {
    mlir::DialectRegistry registry;
    registry.insert<train::TrainDialect, plan::PlanDialect>();
    return registry;
  }());
  instance.loadAllAvailableDialects();
  return instance;
}

struct Outcome {
  reference::NamedTensors outputs, variables;
};

inline Outcome runTrain(mlir::ModuleOp module, llvm::StringRef entry, const reference::NamedTensors &inputs,
                        reference::NamedTensors &start) {
  reference::TrainInterpreter interpreter(module);
  interpreter.initialize(5);
  start = interpreter.getVariables();
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  return {*outputs, interpreter.getVariables()};
}

inline Outcome runPlan(mlir::ModuleOp module, llvm::StringRef entry, const reference::NamedTensors &inputs,
                       const reference::NamedTensors &start, bool reverse = false) {
  reference::PlanInterpreter interpreter(module);
  interpreter.setReverseTasks(reverse);
  for (auto &[name, value] : start)
    if (llvm::Error error = interpreter.set(name, value))
      ADD_FAILURE() << llvm::toString(std::move(error));
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  Outcome outcome{*outputs, {}};
  for (auto &[name, value] : start) {
    auto now = interpreter.get(name);
    if (!now)
      ADD_FAILURE() << llvm::toString(now.takeError());
    else
      outcome.variables.emplace(name, std::move(*now));
  }
  return outcome;
}

inline void expectIdentical(const reference::NamedTensors &a, const reference::NamedTensors &b) {
  ASSERT_EQ(a.size(), b.size());
  for (auto &[name, tensor] : a)
    EXPECT_TRUE(tensor.isIdenticalTo(b.at(name))) << name;
}

/// Distance of two tensors over the size of the first; integers must be equal.
inline double relativeError(const reference::Tensor &expected, const reference::Tensor &actual) {
  if (expected.integers != actual.integers || expected.type != actual.type)
    return INFINITY;
  double distance = 0, size = 1e-30;
  for (size_t i = 0; i < expected.reals.size(); ++i) {
    // No number, or an overflow, on both sides.
    if (std::isnan(expected.reals[i]) ? std::isnan(actual.reals[i])
                                      : std::isinf(expected.reals[i]) && expected.reals[i] == actual.reals[i])
      continue;
    distance += std::pow(expected.reals[i] - actual.reals[i], 2);
    size += std::pow(expected.reals[i], 2);
  }
  return std::sqrt(distance / size);
}

/// `shaken`, if given, holds the expected values for inputs that differ in their last bits: what these move by rounding
/// may move too (a hundred roundings are allowed for).
inline void expectNear(const reference::NamedTensors &expected, const reference::NamedTensors &actual, double tolerance,
                       const reference::NamedTensors *shaken = nullptr) {
  ASSERT_EQ(expected.size(), actual.size());
  for (auto &[name, tensor] : expected) {
    auto found = actual.find(name);
    ASSERT_NE(found, actual.end()) << name;
    double sensitivity = shaken ? relativeError(tensor, shaken->at(name)) : 0;
    EXPECT_LE(relativeError(tensor, found->second), std::max(tolerance, 100 * sensitivity)) << name;
  }
}

inline bool runPasses(mlir::ModuleOp module, llvm::function_ref<void(mlir::PassManager &)> add) {
  mlir::PassManager passes(&context());
  add(passes);
  return mlir::succeeded(passes.run(module));
}

} // namespace ftc::test::conversion

#endif // FTC_TEST_UNIT_CONVERSION_HELPERS_H

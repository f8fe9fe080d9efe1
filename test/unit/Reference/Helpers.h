//===- Helpers.h - What the tests of the interpreters share -------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_REFERENCE_HELPERS_H
#define FTC_TEST_UNIT_REFERENCE_HELPERS_H

#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Random.h"

#include "dialects/Train/IR/Train.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

namespace ftc::reference::test {

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext instance([] {
    mlir::DialectRegistry registry;
    registry.insert<train::TrainDialect>();
    return registry;
  }());
  return instance;
}

/// Parses and verifies; a test with IR that does not parse fails.
inline mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  EXPECT_TRUE(module) << text.str();
  return module;
}

inline mlir::RankedTensorType typeOf(llvm::StringRef text) {
  return mlir::cast<mlir::RankedTensorType>(mlir::parseType(text, &context()));
}

inline Tensor integers(llvm::StringRef type, std::vector<int64_t> values) {
  Tensor tensor(typeOf(type));
  EXPECT_EQ(tensor.integers.size(), values.size());
  tensor.integers = std::move(values);
  return tensor;
}

inline Tensor reals(llvm::StringRef type, std::vector<double> values) {
  Tensor tensor(typeOf(type));
  EXPECT_EQ(tensor.reals.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i)
    tensor.set(i, values[i]);
  return tensor;
}

/// Normal numbers, the same for the same name.
inline Tensor normals(mlir::RankedTensorType type, llvm::StringRef name) {
  Tensor tensor(type);
  CounterRandom random(7, name);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.set(i, random.normal(i));
  return tensor;
}

/// Runs an entry; an error fails the test.
inline NamedTensors run(TrainInterpreter &interpreter, llvm::StringRef entry, const NamedTensors &inputs) {
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  return *outputs;
}

/// The message of a run that has to fail.
inline std::string runError(TrainInterpreter &interpreter, llvm::StringRef entry, const NamedTensors &inputs) {
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs)
    return llvm::toString(outputs.takeError());
  ADD_FAILURE() << "the run did not fail";
  return {};
}

} // namespace ftc::reference::test

#endif // FTC_TEST_UNIT_REFERENCE_HELPERS_H

//===- RandomGraph.h - Random entries for tests of passes ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TRANSFORMS_RANDOMGRAPH_H
#define FTC_TEST_UNIT_TRANSFORMS_RANDOMGRAPH_H

#include "ftc/Reference/TrainInterpreter.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace ftc::test {

/// A module with one entry `step` of a few dozen random ops over matrices of a few shapes, in f32 or bf16, and the
/// inputs to run it with. Every op of the train dialect that is row-wise occurs, between products that are not.
/// Variables are read, and some are written. The same seed gives the same graph.
struct RandomGraph {
  RandomGraph(mlir::MLIRContext &context, uint64_t seed);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  reference::NamedTensors inputs;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TRANSFORMS_RANDOMGRAPH_H

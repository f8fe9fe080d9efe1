//===- PlanBody.h - Evaluates the bodies of plan kernels --------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_REFERENCE_PLANBODY_H
#define FTC_LIB_REFERENCE_PLANBODY_H

#include "PlanMemory.h"

namespace ftc::reference {

/// A scalar (one cell) or a row value (one cell a column).
using Cells = std::vector<Cell>;

/// Evaluates one body: ops of arith, math and plan over scalars and row values.
class PlanBody {
public:
  /// `buffers` are the arguments of the kernel; `perTask` says which partial sum a row adds into.
  PlanBody(const llvm::DenseMap<mlir::Value, BufferRef> &buffers, int64_t perTask)
      : buffers(buffers), perTask(perTask) {}

  void bind(mlir::Value value, Cells cells) { values[value] = std::move(cells); }
  const Cells &get(mlir::Value value) { return values[value]; }
  void setRow(mlir::Value argument, int64_t row);

  /// Runs one op that is no terminator.
  llvm::Error run(mlir::Operation *op);

private:
  llvm::Error load(plan::LoadOp op);
  llvm::Error store(plan::StoreOp op);
  llvm::Error accumulate(plan::AccumulateOp op);
  llvm::Error scatter(plan::ScatterOp op);
  llvm::Error elementWise(mlir::Operation *op);
  void reduce(plan::ReduceOp op);
  llvm::Expected<int64_t> firstElement(mlir::MemRefType type, mlir::ValueRange indices, int64_t offset);

  const llvm::DenseMap<mlir::Value, BufferRef> &buffers;
  int64_t perTask, row = 0;
  llvm::DenseMap<mlir::Value, Cells> values;

  /// The run that plan.scatter adds up: the index (-1: none yet), the sum, and all indices that had a run.
  int64_t runIndex = -1;
  Cells runSum;
  llvm::DenseSet<int64_t> runs;
};

} // namespace ftc::reference

#endif // FTC_LIB_REFERENCE_PLANBODY_H

//===- RowBody.h - The ops of a row body, one by one --------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is the same on every target when the body of a plan.rows is written out: an op on row values becomes the same op
// on vectors of some columns (a chunk), a buffer becomes an LLVM pointer, index becomes i64. Which columns, by which
// thread and in which loops is the target's part.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_ROWBODY_H
#define FTC_LIB_TARGET_COMMON_ROWBODY_H

#include "dialects/Plan/IR/Plan.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/APFloat.h"

#include <string>

namespace ftc::target {

/// How many partial results a reduction has: part of plan.reduce's meaning.
constexpr int64_t numPartials = 128;

/// What a partial result starts from: -0.0 for sums, -inf for maxima.
llvm::APFloat partialStart(plan::ReduceKind kind, mlir::FloatType element);

/// a + b or max(a, b) for scalars or vectors.
mlir::Value combinePartials(mlir::OpBuilder &builder, mlir::Location loc, plan::ReduceKind kind, mlir::Value a,
                            mlir::Value b);

/// Emits ops of one body. Values are mapped from the body's to those of the code being written; buffers and the row
/// must be in the mapping beforehand.
class RowBody {
public:
  /// Part of a row: `width` columns from `column` (i64) on, as vectors of that width.
  struct Chunk {
    mlir::Value column;
    int64_t width = 0;
    /// Chunks start at multiples of the size of so many columns in memory, up to 16 bytes.
    int64_t alignedColumns = 1;
    /// Columns (i32 or i64) that are added to `column`, or null: what changes in a loop, apart from what does not.
    mlir::Value further = {};
  };

  /// `targetName` is for messages.
  RowBody(mlir::Location loc, std::string targetName) : loc(loc), targetName(std::move(targetName)) {}

  /// The task of the rows that follow and its first row (i64), for plan.accumulate.
  void setTask(mlir::Value task, mlir::Value first) { currentTask = task, firstRow = first; }
  /// The row that follows (i64).
  void setRow(mlir::Value row) { currentRow = row; }

  /// Emits one op, on scalars or on a chunk.
  void emitOp(mlir::OpBuilder &builder, mlir::Operation *op, mlir::IRMapping &values, const Chunk &chunk);

  /// Loads what a plan.accumulate of a chunk adds to, unless its row is the first of a task; emitOp then does not.
  void emitOldSum(mlir::OpBuilder &builder, plan::AccumulateOp op, mlir::IRMapping &values, const Chunk &chunk);

  /// Where a chunk of the row that `load` reads lies.
  mlir::Value placeOf(mlir::OpBuilder &builder, plan::LoadOp load, mlir::IRMapping &values, const Chunk &chunk) {
    return place(builder, load.getBuffer(), load.getIndices(), load.getOffset(), /*isRow=*/true, values, chunk);
  }

  /// Where a chunk of the row lies that `scatter` adds into; its index is in `values`.
  mlir::Value placeOf(mlir::OpBuilder &builder, plan::ScatterOp scatter, mlir::IRMapping &values, const Chunk &chunk) {
    return place(builder, scatter.getBuffer(), scatter.getIndex(), 0, /*isRow=*/true, values, chunk);
  }

  /// A scalar, or a chunk, in memory.
  mlir::Value load(mlir::OpBuilder &builder, mlir::Type type, mlir::Value pointer, const Chunk &chunk);
  void store(mlir::OpBuilder &builder, mlir::Value value, mlir::Value pointer, const Chunk &chunk);

  /// Whether an op was refused, with an error on it.
  bool hasFailed() const { return failedOnce; }

private:
  void emitGeneric(mlir::OpBuilder &builder, mlir::Operation *op, mlir::IRMapping &values, const Chunk &chunk);
  void emitConstant(mlir::OpBuilder &builder, mlir::arith::ConstantOp op, mlir::IRMapping &values, const Chunk &chunk);
  void emitAccumulate(mlir::OpBuilder &builder, plan::AccumulateOp op, mlir::IRMapping &values, const Chunk &chunk);
  mlir::Type convert(mlir::Type type, const Chunk &chunk);
  mlir::Value place(mlir::OpBuilder &builder, mlir::Value buffer, mlir::ValueRange indices, int64_t offset, bool isRow,
                    mlir::IRMapping &values, const Chunk &chunk);
  mlir::Value placeOfSum(mlir::OpBuilder &builder, plan::AccumulateOp op, mlir::IRMapping &values, const Chunk &chunk);
  mlir::Value addFurther(mlir::OpBuilder &builder, mlir::Value pointer, mlir::Type element, const Chunk &chunk);
  mlir::Value constant(mlir::OpBuilder &builder, int64_t value);

  mlir::Location loc;
  std::string targetName;
  mlir::Value currentTask, firstRow, currentRow;
  bool failedOnce = false;
};

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_ROWBODY_H

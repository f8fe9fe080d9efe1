//===- ScatterRuns.h - Rows that are added up into one ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// plan.scatter on every target: rows that name one index follow each other, a *run*. Whoever has the first row of a run
// and some of its columns goes through all of them, with the sum in registers; the buffer's row is read once and
// written once. Which columns, by which thread, is the target's part.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_SCATTERRUNS_H
#define FTC_LIB_TARGET_COMMON_SCATTERRUNS_H

#include "lib/Target/Common/RowBody.h"
#include "lib/Target/Common/RowProgram.h"

namespace ftc::target {

class ScatterRuns {
public:
  /// `rows` may have no plan.scatter: then nothing but the conversion to bool may be asked. All three outlive this.
  ScatterRuns(plan::RowsOp rows, const RowProgram &program, RowBody &body);

  explicit operator bool() const { return static_cast<mlir::Operation *>(op) != nullptr; }

  /// The index (i64) that row `row` (i64) names. `known` has the buffers, and the program's invariants.
  mlir::Value indexOf(mlir::OpBuilder &builder, const mlir::IRMapping &known, mlir::Value row);

  /// Whether a run that is not left out starts with row `row`, which names `index` (i1).
  mlir::Value startsAt(mlir::OpBuilder &builder, const mlir::IRMapping &known, mlir::Value row, mlir::Value index);

  /// Adds up one chunk of the run that starts with row `row` and names `index`. Of a run of several rows, `underway`
  /// are loaded before the first of them is added.
  void emitRun(mlir::OpBuilder &builder, const mlir::IRMapping &known, mlir::Value row, mlir::Value index,
               const RowBody::Chunk &chunk, int64_t underway);

private:
  mlir::Value valueAt(mlir::OpBuilder &builder, const mlir::IRMapping &known, mlir::Value row,
                      const RowBody::Chunk &chunk);
  mlir::Value isOfRun(mlir::OpBuilder &builder, const mlir::IRMapping &known, mlir::Value row, mlir::Value index);

  plan::RowsOp rows;
  plan::ScatterOp op;
  const RowProgram &program;
  RowBody &body;
  mlir::Location loc;
};

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_SCATTERRUNS_H

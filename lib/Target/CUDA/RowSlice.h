//===- RowSlice.h - What a thread does with some columns --------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ops of one phase of a row body, in the order in which a thread does them. Loads come first, so that all are on
// their way before the first is waited for: the assembler moves none across the branches of a division. Where there are
// many, as in a sum of rows, groups of them come first, as many as registers hold. No load passes a store.
//
// Sums of earlier rows come before operands, since the first row of a task goes around them. That way no bf16 is under
// way over a branch either.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_ROWSLICE_H
#define FTC_LIB_TARGET_CUDA_ROWSLICE_H

#include "lib/Target/Common/RowBody.h"

namespace ftc::cuda {

class RowSlice {
public:
  using Chunk = target::RowBody::Chunk;

  /// Of `ops`, on `width` columns at once.
  RowSlice(llvm::ArrayRef<mlir::Operation *> ops, int64_t width);

  /// Bytes that the loads at its beginning take.
  int64_t leadingBytes() const;
  /// Emits the loads at its beginning, for a chunk, and then what is behind them.
  void emitLeadingLoads(target::RowBody &body, mlir::OpBuilder &builder, mlir::IRMapping &values,
                        const Chunk &chunk) const;
  void emitRest(target::RowBody &body, mlir::OpBuilder &builder, mlir::IRMapping &values, const Chunk &chunk) const;

private:
  struct Step {
    mlir::Operation *op;
    bool isOldSum; ///< what a plan.accumulate adds to, and not yet the sum
  };
  static void emit(llvm::ArrayRef<Step> steps, target::RowBody &body, mlir::OpBuilder &builder, mlir::IRMapping &values,
                   const Chunk &chunk);

  int64_t width;
  size_t leading = 0; ///< steps that load, at the beginning
  llvm::SmallVector<Step> steps;
};

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_ROWSLICE_H

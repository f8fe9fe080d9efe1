//===- RowProgram.h - The body of plan.rows in phases -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row body is one SSA program, but a value that depends on a reduction is known only after a pass over all columns.
// The program is therefore cut into phases, each one loop over the columns:
//
//   phase 0:  what needs no reduction;  its reductions end here
//   phase 1:  what needs a reduction of phase 0;  ...
//
// A row value that several phases need is computed in each of them from its loads: the row is in the cache by then, and
// no row-sized buffer is needed. Stores all wait for the last phase, so that in-place kernels read before they write.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_ROWPROGRAM_H
#define FTC_LIB_TARGET_COMMON_ROWPROGRAM_H

#include "dialects/Plan/IR/Plan.h"

#include "llvm/ADT/DenseSet.h"

namespace ftc::target {

class RowProgram {
public:
  explicit RowProgram(plan::RowsOp rows);

  /// Number of column loops; loop p runs when `slice(p)` is not empty.
  int numPhases() const { return lastPhase + 1; }

  /// Ops that compute one scalar or more and do nothing else, in order, that can run before phase `phase` and not
  /// earlier. Those of phase numPhases() run after the last loop. Without the invariant ones.
  llvm::SmallVector<mlir::Operation *> scalars(int phase) const;

  /// Scalar ops that depend on no row, in order.
  llvm::ArrayRef<mlir::Operation *> invariants() const { return invariant; }

  /// Scalar stores and accumulations, in order. They run at the end of a row.
  llvm::ArrayRef<mlir::Operation *> scalarEffects() const { return effects; }

  /// Everything on row values that phase `phase` has to compute, in order, without its reductions.
  llvm::SmallVector<mlir::Operation *> slice(int phase) const;

  /// The reductions that end with phase `phase`.
  llvm::SmallVector<plan::ReduceOp> reductions(int phase) const;

private:
  enum class Kind { Scalar, ScalarEffect, Row, RowEffect, Reduce };
  struct Item {
    mlir::Operation *op;
    Kind kind;
    int phase; ///< first phase in which all operands are known
  };
  static Kind classify(mlir::Operation *op);
  int phaseOf(mlir::Operation *op, const llvm::DenseMap<mlir::Value, int> &known) const;

  llvm::SmallVector<Item> items;
  llvm::SmallVector<mlir::Operation *> invariant, effects;
  llvm::DenseSet<mlir::Operation *> isInvariant;
  int lastPhase = 0;
};

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_ROWPROGRAM_H

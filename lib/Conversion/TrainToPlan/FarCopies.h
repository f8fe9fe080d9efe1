//===- FarCopies.h - Copies to and from the far tier ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_TRAINTOPLAN_FARCOPIES_H
#define FTC_LIB_CONVERSION_TRAINTOPLAN_FARCOPIES_H

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Train/IR/Train.h"
#include "ftc/Analysis/Link.h"

#include "llvm/ADT/MapVector.h"

namespace ftc {

/// Writes the copies of one entry, and the waits for them. A copy in is waited for before the first op that reads what
/// it brings. A copy out is waited for before the first op that begins, by the estimate of Analysis/Link.h, after it is
/// over; before the first backward op if it says so, before the value is fetched back, and at the end of the entry. An
/// estimate that is wrong costs time or memory and never a result.
class FarCopies {
public:
  explicit FarCopies(mlir::OpBuilder &builder) : builder(builder) {}

  /// Begins to copy `near`, the buffer of what is offloaded.
  void offload(train::OffloadOp op, mlir::Value near, llvm::StringRef label);
  /// Begins to copy back; returns the near buffer.
  mlir::Value prefetch(train::PrefetchOp op);

  /// Waits for what `op` needs, and for what is over by now.
  void before(mlir::Operation *op);
  /// `op` is converted: its time has passed.
  void after(mlir::Operation *op);
  /// Waits for all that is left.
  void finish();

  /// Whether `buffer` is being copied out: it must not be written.
  bool isSource(mlir::Value buffer) const;

private:
  struct Out {
    mlir::Value near, far, event;
    std::string label;
    double over;     ///< when the copy is over, in seconds from the entry's start
    bool byBackward; ///< the first backward op waits for it
    bool waited = false;
  };
  void wait(Out &out);

  mlir::OpBuilder &builder;
  double now = 0, linkFree = 0;
  llvm::MapVector<mlir::Value, Out> outs;        ///< by far value
  llvm::MapVector<mlir::Value, mlir::Value> ins; ///< events that nobody has waited for, by the value that they bring
};

} // namespace ftc

#endif // FTC_LIB_CONVERSION_TRAINTOPLAN_FARCOPIES_H

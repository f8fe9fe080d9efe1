//===- VerifyCopies.h - Nobody meets a copy that is under way ----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_TRANSFORMS_VERIFYCOPIES_H
#define FTC_PLAN_TRANSFORMS_VERIFYCOPIES_H

#include "dialects/Plan/IR/Plan.h"

namespace ftc::plan {

/// What a buffer is: two plan.get of one variable are the same memory, and a slice is bytes of its source.
const void *memoryOf(mlir::SymbolTable &symbols, mlir::Value buffer);

/// Bytes from `begin` to before `end`.
struct Bytes {
  int64_t begin, end;
  bool meets(Bytes other) const { return begin < other.end && other.begin < end; }
};

/// The bytes that `buffer` takes of its memory.
Bytes bytesIn(mlir::Value buffer);

/// The copies of an entry that nobody has waited for yet. Between a copy and the wait for its event its source is not
/// written and its target neither read nor written, whoever does it: then it does not matter when the copy really runs.
class CopiesUnderWay {
public:
  explicit CopiesUnderWay(mlir::SymbolTable &symbols) : symbols(symbols) {}

  /// `op` reads or writes `buffer` now. False, with an error on `op`, where a copy is in the way.
  bool access(mlir::Operation *op, mlir::Value buffer, bool writes);
  /// A plan.copy_out or plan.copy_in begins.
  bool begin(mlir::Operation *copy, mlir::Value from, mlir::Value to);
  void wait(mlir::Value event);
  /// The entry is over. False, with an error each, where copies are left.
  bool finish();

private:
  struct Copy {
    mlir::Operation *op;
    mlir::Value from, to;
  };
  bool meet(mlir::Value a, mlir::Value b);

  mlir::SymbolTable &symbols;
  llvm::SmallVector<Copy> copies;
};

} // namespace ftc::plan

#endif // FTC_PLAN_TRANSFORMS_VERIFYCOPIES_H

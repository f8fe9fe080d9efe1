//===- RematBudget.h - Which recomputations a limit of bytes asks for -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_DIALECTS_TRAIN_TRANSFORMS_REMATBUDGET_H
#define FTC_DIALECTS_TRAIN_TRANSFORMS_REMATBUDGET_H

#include "ftc/Analysis/Link.h"
#include "ftc/Analysis/Remat.h"

#include "mlir/IR/BuiltinOps.h"

namespace ftc::train {

/// What a limit of bytes has led to, over all layers of an entry.
struct RematWithinBudget {
  int64_t allBytes = 0;  ///< kept from forward to backward if nothing is computed again
  int64_t keptBytes = 0; ///< kept as chosen; above the limit where not even the least fits
  double seconds = 0;    ///< of what is computed again, see secondsOf
  double bound = 0;      ///< no choice within the limit takes fewer seconds, by the same estimate
  llvm::DenseSet<mlir::Operation *> again;
};

/// Which ops are computed again so that the layers keep at most `bytes` from forward to backward, or as few as they
/// can, in the least time by the rates of `device`. Products and attention are no exception. Of layers that are alike
/// the first ones compute most again: what they keep is kept longest.
RematWithinBudget chooseWithinBudget(llvm::ArrayRef<RematCandidate> candidates, int64_t bytes, const LinkModel &device);

/// Bytes that an entry's layers keep from forward to backward if nothing is computed again; the most of all entries.
int64_t mostKeptBytes(mlir::ModuleOp module);

} // namespace ftc::train

#endif // FTC_DIALECTS_TRAIN_TRANSFORMS_REMATBUDGET_H

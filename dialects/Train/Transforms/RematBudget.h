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
#include "llvm/ADT/SetVector.h"

namespace ftc::train {

/// What a limit of bytes has led to, over all layers of an entry.
struct RematWithinBudget {
  int64_t allBytes = 0;    ///< kept from forward to backward if nothing is computed again
  int64_t keptBytes = 0;   ///< kept near as chosen; above the limit where not even the least fits
  int64_t farBytes = 0;    ///< leave for the far tier
  double seconds = 0;      ///< of what is computed again, see secondsOf
  double copySeconds = 0;  ///< what the computation loses to copies beside it
  double stallSeconds = 0; ///< what is waited for them
  double bound = 0;        ///< no choice within the limit takes fewer seconds together, by the same estimate
  llvm::DenseSet<mlir::Operation *> again;
  llvm::SetVector<mlir::Value> away;
};

/// Which ops are computed again, and with `mayOffload` which values leave for the far tier, so that the layers keep at
/// most `bytes` from forward to backward, or as few as they can, in the least time by the rates of `device`. Products
/// and attention are no exception. Of layers that are alike the first ones compute most again: what they keep is kept
/// longest; but where something leaves, it is what the first layers keep, which the link has most time for.
///
/// A value may leave if nothing in the entry stands against it (whyNear), it is not among its layer's smallest, which
/// together have a fiftieth of the bytes, and a copy of it alone is over before the backward graph begins, and back
/// before its layer's begins. All copies together have from the first such value to the backward graph, and from there
/// to the first layer's; what they take beyond that, by the times that are reserved for copies, is waited for. A copy
/// that nobody waits for costs LinkModel::hiddenCopySeconds each way.
RematWithinBudget chooseWithinBudget(llvm::ArrayRef<RematCandidate> candidates, int64_t bytes, const LinkModel &device,
                                     bool mayOffload = false);

/// Bytes that an entry's layers keep from forward to backward if nothing is computed again; the most of all entries.
int64_t mostKeptBytes(mlir::ModuleOp module);

} // namespace ftc::train

#endif // FTC_DIALECTS_TRAIN_TRANSFORMS_REMATBUDGET_H

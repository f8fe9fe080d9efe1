//===- Offload.h - Which activations go to the far tier ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_OFFLOAD_H
#define FTC_ANALYSIS_OFFLOAD_H

#include "dialects/Train/IR/Train.h"
#include "ftc/Analysis/Link.h"

#include "llvm/ADT/DenseSet.h"

#include <string>
#include <vector>

namespace ftc {

/// A value that goes to the far tier and comes back.
struct Offload {
  mlir::Value value;
  mlir::Operation *before = nullptr; ///< the op before which the copy back begins
  mlir::Value until;                 ///< a gradient that exists there
  int64_t bytes = 0;
};

/// A value that stays, and why.
struct KeptNear {
  mlir::Value value;
  std::string reason;
  int64_t bytes = 0;
};

struct OffloadChoice {
  std::vector<Offload> offloaded; ///< in the block's order; as asked for: in the order in which they come back
  std::vector<KeptNear> kept;     ///< in the same order
  double stallSeconds = 0;        ///< that the entry waits for copies, by the times that are reserved for them
  /// The ops that read what comes back instead.
  llvm::DenseSet<mlir::Operation *> backward;
};

/// Chooses what to offload of the values that a differentiated entry keeps from forward to backward: results of ops
/// that depend on no gradient, read by ops that do. The block's order is taken for the order of execution, with times
/// from Analysis/Link.h.
///
/// A value stays near where it
///   - is a variable, an input or a constant, part of a train.concat_rows, or the entry's result;
///   - is small: the smallest values, together a fiftieth of all bytes, are more trouble than they free;
///   - would come back before it is gone. Copies out run one after the other, in the order in which values are made;
///     copies in run one after the other too, each over before its reader begins. Both have to fit between the value's
///     op and that reader, with a gradient to wait for.
/// Copies in begin as late as they can. The answer depends on the block and the link alone; nothing is changed.
OffloadChoice chooseOffload(mlir::Block &block, const LinkModel &link);

/// When to copy what was asked for (`train.away`), whether the link can hide it or not. Copies out run as above; the
/// first backward op waits for all of them. Copies in run in the order in which what they bring is read, each as late
/// as it can without making anybody wait longer than the link makes him anyway. Stays near what cannot leave.
OffloadChoice scheduleOffload(mlir::Block &block, const LinkModel &link);

/// Whether the op that makes `value`, perhaps in a group, asks for it to leave.
bool isAskedAway(mlir::Value value);

/// Asks for it.
void askAway(mlir::Value value);

} // namespace ftc

#endif // FTC_ANALYSIS_OFFLOAD_H

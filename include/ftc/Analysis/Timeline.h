//===- Timeline.h - When the ops of an entry run ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_TIMELINE_H
#define FTC_ANALYSIS_TIMELINE_H

#include "dialects/Train/IR/Train.h"
#include "ftc/Analysis/Link.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

#include <string>
#include <vector>

namespace ftc {

/// Whether an op is marked `train.backward`, or a group has one that is.
bool isMarkedBackward(mlir::Operation *op);

/// The backward graph of an entry: what is marked, and all that depends on it but the terminator.
llvm::DenseSet<mlir::Operation *> backwardOps(mlir::Block &block);

/// The ops of an entry, one after the other in the block's order, with times from Analysis/Costs.h. Seconds from the
/// entry's start.
class Timeline {
public:
  /// `willGroup`: kernels are not formed yet, and what they will not read and write is not counted.
  Timeline(mlir::Block &block, const LinkModel &device, bool willGroup = false);

  int64_t numberOf(mlir::Operation *op) const { return numbers.lookup(op); }
  mlir::Operation *op(int64_t number) const { return ops[number]; }
  int64_t size() const { return static_cast<int64_t>(ops.size()); }
  double startOf(int64_t number) const { return starts[number]; } ///< that of `size()` is the entry's end
  double endOf(int64_t number) const { return starts[number + 1]; }

private:
  std::vector<mlir::Operation *> ops;
  std::vector<double> starts;
  llvm::DenseMap<mlir::Operation *, int64_t> numbers;
};

/// Why `value` cannot leave for the far tier however fast the link is; empty if it can.
std::string whyNear(mlir::Value value);

/// A value's bytes.
int64_t bytesOf(mlir::Value value);

} // namespace ftc

#endif // FTC_ANALYSIS_TIMELINE_H

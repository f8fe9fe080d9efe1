//===- KernelGroups.h - Which row-wise ops share a kernel ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_KERNELGROUPS_H
#define FTC_ANALYSIS_KERNELGROUPS_H

#include "dialects/Train/IR/Train.h"

#include <string>
#include <vector>

namespace ftc {

/// Row-wise ops of one block that become one kernel.
struct KernelGroup {
  llvm::SmallVector<mlir::Operation *> ops; ///< two or more, in the block's order
  int64_t bytesSaved = 0;                   ///< bytes of reads and writes of memory that go away
};

/// A value that still passes through memory from one row-wise op to another, and why.
struct KernelBoundary {
  mlir::Operation *producer = nullptr;
  mlir::Operation *consumer = nullptr;
  std::string reason;
};

struct KernelGroups {
  std::vector<KernelGroup> groups; ///< by their first op
  std::vector<KernelBoundary> boundaries;
};

/// Groups the row-wise ops of `block` (existing train.fused ops stay as they are). Two ops come together only over a
/// value that passes between them, which then need not be read from memory again, nor written if nobody else reads it.
/// In a group
///   - all ops have the same number of rows, and of columns;
///   - whatever one op reads of another is a row result read as a row operand;
///   - at most one op is an optimizer's, so that every parameter keeps an update of its own;
///   - no path leaves the group and comes back, so that the group can stand at one place.
/// Groups grow greedily, in the order of consumers. The answer depends on the block alone.
KernelGroups findKernelGroups(mlir::Block &block);

} // namespace ftc

#endif // FTC_ANALYSIS_KERNELGROUPS_H

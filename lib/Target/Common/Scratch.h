//===- Scratch.h - Working memory of kernels becomes part of a plan -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_SCRATCH_H
#define FTC_LIB_TARGET_COMMON_SCRATCH_H

#include "dialects/Plan/IR/Plan.h"

namespace ftc::target {

/// Working memory that a kernel needs.
struct ScratchNeed {
  int64_t bytes = 0;
  const char *library = nullptr; ///< whose workspace is the part of it below; null: nobody's
  int64_t workspaceBytes = 0;
};

/// Gives every kernel whose work is a product or attention the working memory that it needs, `needOf(work)`, as
/// its last buffer, and each launch of it a buffer for it. Kernels that have as much stay as they are; those that have
/// less get a larger buffer in its place. A buffer in which a library has its workspace says so
/// (plan::workspaceAttrName). `planned` gets each kernel that was given some, with the bytes.
void planScratch(mlir::ModuleOp module, llvm::function_ref<ScratchNeed(mlir::Operation *)> needOf,
                 llvm::function_ref<void(plan::KernelOp, int64_t)> planned);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_SCRATCH_H

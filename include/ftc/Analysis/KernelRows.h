//===- KernelRows.h - Which rows of its buffers a kernel touches --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_KERNELROWS_H
#define FTC_ANALYSIS_KERNELROWS_H

#include "dialects/Plan/IR/Plan.h"

#include <optional>

namespace ftc {

/// Whether the kernel reads what argument `index` held before the launch. Partial sums and scratch memory are written
/// first.
bool readsOldContent(plan::KernelOp kernel, unsigned index);

/// For a kernel whose rows can be computed in parts, by launches that see some rows only: for each argument whether the
/// part needs the rows of the same numbers (true) or the whole buffer (false). Nullopt for kernels that have to see all
/// rows: products, attention, sums over rows, and rows that use their own number for more than to find their place.
std::optional<llvm::SmallVector<bool>> rowsInParts(plan::KernelOp kernel);

} // namespace ftc

#endif // FTC_ANALYSIS_KERNELROWS_H

//===- VerifyKernels.h - Where a kernel reads and writes -----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_TRANSFORMS_VERIFYKERNELS_H
#define FTC_PLAN_TRANSFORMS_VERIFYKERNELS_H

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/VerifyCopies.h"

namespace ftc::plan {

/// Whether a kernel keeps to its buffers and its tasks keep out of each other's way. False, with an error, where
/// - an access is outside of its buffer (of places that are computed from the row's number and constants alone);
/// - in parallel rows, one task writes what another reads or writes (of the same places);
/// - in parallel rows, an argument is loaded behind a store to it;
/// - a product or attention reads a buffer that it writes (but for an extra that is c), or writes one twice;
/// - an op is of a dialect that could allocate.
/// Places that depend on data, an id that is loaded, cannot be known and are trusted.
bool verifyKernel(KernelOp kernel);

/// Whether one buffer may be passed as both arguments though the kernel writes one of them: each row is read, then
/// written, by the same row of a parallel plan.rows, or it is c and an extra of a product.
bool mayBeOneBuffer(KernelOp kernel, unsigned i, unsigned j);

/// The bytes of argument `index` that a launch writes, in ascending order and apart. A store to a place that depends on
/// data counts as one to all places.
llvm::SmallVector<Bytes> bytesWritten(KernelOp kernel, unsigned index);

} // namespace ftc::plan

#endif // FTC_PLAN_TRANSFORMS_VERIFYKERNELS_H

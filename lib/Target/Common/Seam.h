//===- Seam.h - Seams of a product, written out -----------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_SEAM_H
#define FTC_LIB_TARGET_COMMON_SEAM_H

#include "mlir/IR/Builders.h"

namespace ftc::target {

/// Writes out the body of a seam of plan.matmul on `inputs`, scalars or vectors of one shape; what it yields.
mlir::Value emitSeam(mlir::OpBuilder &builder, mlir::Location loc, mlir::Region &seam, mlir::ValueRange inputs);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_SEAM_H

//===- Math.h - Elementary functions of generated CPU code --------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_MATH_H
#define FTC_LIB_TARGET_CPU_MATH_H

#include "mlir/IR/PatternMatch.h"

namespace ftc::cpu {

/// log(x) for an f32 scalar or vector, under 0.51 ulp; -inf at 0, NaN below, inf and NaN kept.
mlir::Value emitLog(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// f32 of a bf16 scalar or vector, exact.
mlir::Value emitExtendBf16(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// bf16 of an f32 scalar or vector: to nearest, ties to even; NaN stays NaN, denormal numbers stay.
mlir::Value emitTruncateBf16(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// Rewrites math.exp, math.log, math.rsqrt, math.fpowi and whatever computes in bf16 into arithmetic that the CPU has.
void populateExpandMathPatterns(mlir::RewritePatternSet &patterns);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_MATH_H

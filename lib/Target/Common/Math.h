//===- Math.h - Elementary functions of generated code ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_MATH_H
#define FTC_LIB_TARGET_COMMON_MATH_H

#include "mlir/IR/PatternMatch.h"

namespace ftc::target {

/// exp(x) for an f32 scalar or vector: 2^n times a polynomial, under 1 ulp of error, exact at 0; 0 below -104, inf
/// above 88.8, NaN kept.
mlir::Value emitExp(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// tanh(x) for an f32 scalar or vector, under 3 ulps; 1 and -1 beyond 10, NaN kept.
mlir::Value emitTanh(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// log(x) for an f32 scalar or vector, under 0.51 ulp; -inf at 0, NaN below, inf and NaN kept.
mlir::Value emitLog(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// f32 of a bf16 scalar or vector, exact.
mlir::Value emitExtendBf16(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// bf16 of an f32 scalar or vector: to nearest, ties to even; NaN stays NaN, denormal numbers stay.
mlir::Value emitTruncateBf16(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// Rewrites math.exp, math.log, math.tanh, math.rsqrt, math.fpowi and whatever computes in bf16 into arithmetic that
/// every target has: all give the same bits.
void populateExpandMathPatterns(mlir::RewritePatternSet &patterns);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_MATH_H

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

/// bf16 of an f32 scalar or vector: to nearest, ties to even, denormal numbers stay. Every NaN becomes 0x7FFF, as of
/// PTX's cvt.rn.bf16x2.f32: sign and payload of an f32 NaN are the processor's that has computed it, so to keep them
/// would not give the same bits everywhere either.
mlir::Value emitTruncateBf16(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// How a target converts bf16: the two above, or what gives the same bits in other instructions.
struct Bf16Conversions {
  using Function = mlir::Value (*)(mlir::OpBuilder &, mlir::Location, mlir::Value);
  Function extend = emitExtendBf16, truncate = emitTruncateBf16;
};

/// Rewrites math.exp, math.log, math.tanh, math.rsqrt, math.fpowi and whatever computes in bf16 into arithmetic that
/// every target has, but for the conversions of bf16, which may be the target's own: all give the same bits.
void populateExpandMathPatterns(mlir::RewritePatternSet &patterns, Bf16Conversions bf16 = {});

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_MATH_H

//===- Codes.h - Codes of eight bits in rows --------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_CODES_H
#define FTC_LIB_TARGET_COMMON_CODES_H

#include "dialects/Plan/IR/Plan.h"

namespace ftc::target {

/// The numbers (vector of f32) of `codes` (vector of i8).
mlir::Value emitDecode(mlir::OpBuilder &builder, plan::DecodeOp op, mlir::Value codes);

/// The codes (vector of i8) of `numbers` (vector of f32).
mlir::Value emitEncode(mlir::OpBuilder &builder, plan::EncodeOp op, mlir::Value numbers);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_CODES_H

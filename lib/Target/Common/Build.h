//===- Build.h - Small pieces of generated code -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_BUILD_H
#define FTC_LIB_TARGET_COMMON_BUILD_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace ftc::target {

/// i64 constant.
mlir::Value constantI64(mlir::OpBuilder &builder, mlir::Location loc, int64_t value);

/// `pointer + index` elements of `elementType` (index: i64).
mlir::Value elementPointer(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value pointer, mlir::Type elementType,
                           mlir::Value index);

/// scf.for over integers of one type with step; `body` gets (builder, induction variable, iteration arguments) and
/// returns what it yields.
llvm::SmallVector<mlir::Value>
emitFor(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value lower, mlir::Value upper, int64_t step,
        mlir::ValueRange initial,
        llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::OpBuilder &, mlir::Value, mlir::ValueRange)> body);

/// `element`, shaped like `like`: itself or a vector of it.
mlir::Type shapedLike(mlir::Type like, mlir::Type element);

/// A scalar or vector in f32, and in `element`: f32 or bf16.
mlir::Value emitWiden(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value);
mlir::Value emitNarrow(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, mlir::Type element);

/// The address of the constant array `name`, made once in the module of the code being written. T: float or int32_t.
template <typename T>
mlir::Value constantTable(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name, llvm::ArrayRef<T> values);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_BUILD_H

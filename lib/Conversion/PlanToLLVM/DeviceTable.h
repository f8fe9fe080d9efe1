//===- DeviceTable.h - Calls of ftrt_device ---------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_PLANTOLLVM_DEVICETABLE_H
#define FTC_LIB_CONVERSION_PLANTOLLVM_DEVICETABLE_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace ftc {

/// Functions of ftrt_device, by the number of their field.
enum class DeviceFunction : int32_t { Launch = 3, Matmul, Upload, FarWrite, FarRead, Record, Wait, Attention };

/// ftrt_device (include/ftrt/step.h).
mlir::LLVM::LLVMStructType deviceTableType(mlir::MLIRContext *context);

/// Calls a function of the table at `device` with the table's context and `arguments`; the code that it returns (i32).
mlir::Value callDevice(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value device, DeviceFunction function,
                       mlir::ValueRange arguments);

} // namespace ftc

#endif // FTC_LIB_CONVERSION_PLANTOLLVM_DEVICETABLE_H

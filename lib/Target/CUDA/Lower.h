//===- Lower.h - One emitter for each kind of kernel ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_LOWER_H
#define FTC_LIB_TARGET_CUDA_LOWER_H

#include "lib/Target/CUDA/CudaTarget.h"
#include "lib/Target/CUDA/KernelTables.h"
#include "lib/Target/CUDA/RowMapping.h"
#include "lib/Target/Common/Scratch.h"

namespace ftc::cuda {

// Each adds what the device runs for `kernel` to the tables, and the driver that queues it. The kernel stays in place.
mlir::LogicalResult emitRows(plan::KernelOp kernel, const CudaTarget &target, const LaunchAlignments &launches,
                             KernelTables &tables);
mlir::LogicalResult emitMatmul(plan::KernelOp kernel, const CudaTarget &target, KernelTables &tables);
mlir::LogicalResult emitAttention(plan::KernelOp kernel, const CudaTarget &target, KernelTables &tables);

/// Planned memory that the work of a kernel needs beside its buffers, and whose workspace is in it.
target::ScratchNeed scratchOf(mlir::Operation *work, const CudaTarget &target);

/// Fails, with an error at the kernel that says what takes it, and a way out if there is one, where a block of the
/// device cannot have as much shared memory as the kernel's functions take. Those who plan a kernel and those who emit
/// it ask here.
mlir::LogicalResult checkSharedMemory(plan::KernelOp kernel, const CudaTarget &target);

/// Writes a function of the device: `body` gets a builder in it and its arguments, and does not return.
void emitFunction(mlir::gpu::GPUFuncOp function, llvm::function_ref<void(mlir::OpBuilder &, mlir::ValueRange)> body);

/// The number of this block (i64).
mlir::Value blockNumber(mlir::OpBuilder &builder, mlir::Location loc);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LOWER_H

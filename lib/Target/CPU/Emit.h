//===- Emit.h - Functions, tasks and fork-joins of generated CPU code -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// How generated code is laid out. A plan.kernel @k of n buffers becomes
//
//   llvm.func internal @k(%services: ptr, %buffer0: ptr, ..., %buffer<n-1>: ptr)     the driver
//   llvm.func internal @k.task<i>(%arguments: ptr, %task: i64, %thread: i32)         one for each parallel phase
//
// The driver packs what a phase needs into a struct on its stack and calls services->parallel_for. Function bodies use
// the llvm, arith, math, scf and vector dialects, with i64 (never index) for sizes and loop variables, so that block
// arguments need no conversion; cpu-lower-to-llvm brings them all to the llvm dialect.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_EMIT_H
#define FTC_LIB_TARGET_CPU_EMIT_H

#include "dialects/Plan/IR/Plan.h"
#include "lib/Target/CPU/CpuTarget.h"
#include "lib/Target/Common/Build.h"
#include "lib/Target/Common/Math.h"
#include "lib/Target/Common/Seam.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace ftc::cpu {

/// The driver of a kernel, builder positioned at its entry; the caller emits the body and ends it with llvm.return.
struct Driver {
  mlir::LLVM::LLVMFuncOp function;
  mlir::Value services;
  llvm::SmallVector<mlir::Value> buffers;
};

/// Creates the driver of `kernel` at the end of the module (internal linkage) and moves `builder` into it.
Driver createDriver(mlir::OpBuilder &builder, plan::KernelOp kernel);

/// A task function: its body sees `task` and `thread` (i64) and the captured values again as `captures`.
struct TaskFunction {
  mlir::LLVM::LLVMFuncOp function;
  mlir::Value task, thread;
  llvm::SmallVector<mlir::Value> captures;
};

/// Runs `body` for each task in [0, tasks) through services->parallel_for. Creates a task function called `name`, packs
/// `captures` (pointers, i64, f32 ...) into a struct on the driver's stack, emits the call at `builder`, and calls
/// `body` with a builder inside the task function; `body` must not emit the return. `tasks` is an i64 value.
void emitParallelFor(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value services, llvm::StringRef name,
                     mlir::Value tasks, mlir::ValueRange captures,
                     llvm::function_ref<void(mlir::OpBuilder &, TaskFunction &)> body);

/// Whether a function is one that emitParallelFor has made.
bool isTask(mlir::LLVM::LLVMFuncOp function);

/// Hands one more value to `task`, which `driver` runs through emitParallelFor and nobody else: `value` dominates the
/// driver's whole body. Returns it as the task sees it.
mlir::Value addCapture(mlir::LLVM::LLVMFuncOp driver, mlir::LLVM::LLVMFuncOp task, mlir::Value value);

using target::constantI64;
using target::elementPointer;
using target::emitExp;
using target::emitFor;
using target::emitNarrow;
using target::emitSeam;
using target::emitWiden;
using target::shapedLike;

// One emitter for each kind of work; each creates the driver of `kernel` and its task functions, and leaves the kernel
// in place.
mlir::LogicalResult emitRows(plan::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitMatmul(plan::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitAttention(plan::KernelOp kernel, const CpuTarget &target);

/// Bytes of scratch memory that the work of a kernel needs (a multiple of 64; 0 when none), for target.threads threads.
int64_t scratchBytes(mlir::Operation *work, const CpuTarget &target);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_EMIT_H

//===- KernelTables.h - What a step has for the device ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Kernels of a plan become functions of the device, and products and attention that the host's libraries compute. All
// are numbered: the tables step.kernels, step.products and step.attentions (arrays of ftrt_kernel, ftrt_matmul and
// ftrt_attention) say what the numbers stand for, and
// a *driver*, a function of the host for each plan.kernel, queues what its kernel consists of:
//
//   llvm.func @add(%device: !llvm.ptr, %address...: !llvm.ptr) -> i32   // 0, or the code of what failed
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_KERNELTABLES_H
#define FTC_LIB_TARGET_CUDA_KERNELTABLES_H

#include "dialects/Plan/IR/Plan.h"
#include "ftrt/step.h"
#include "lib/Target/CUDA/CudaTarget.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace ftc::cuda {

/// Attribute of a gpu.func: bytes of dynamic shared memory of a block.
inline constexpr const char sharedBytesAttrName[] = "plan.shared_bytes";

/// How a function is launched, always.
struct LaunchShape {
  int64_t grid = 1, block = 32; ///< blocks, and threads of a block
  int64_t sharedBytes = 0;
};

/// A kernel as the step's table has it: a function, how it is launched, and the numbers that it gets.
struct LaunchedKernel {
  std::string name, function;
  unsigned arguments; ///< addresses
  int64_t grid, block, sharedBytes;
  llvm::SmallVector<int64_t> sizes;
};

/// How functions are launched; with `share`, those that differ in numbers alone become one (ShareCode.cpp), and the
/// others are erased.
std::vector<LaunchedKernel> launchedKernels(llvm::ArrayRef<mlir::gpu::GPUFuncOp> functions, bool share);

class KernelTables {
public:
  KernelTables(mlir::ModuleOp module, const CudaTarget &target) : module(module), target(target) {}

  /// A new function of the device whose arguments are `arguments` pointers; it has an empty entry block.
  mlir::gpu::GPUFuncOp addFunction(mlir::Location loc, llvm::StringRef name, unsigned arguments,
                                   const LaunchShape &shape);

  /// The function of this name, or null.
  mlir::gpu::GPUFuncOp find(llvm::StringRef name) const;

  /// The number of a function.
  uint32_t numberOf(mlir::gpu::GPUFuncOp function) const;

  /// The number of a product; equal ones are one.
  uint32_t addProduct(const ftrt_matmul &product);

  /// The number of an attention; equal ones are one.
  uint32_t addAttention(const ftrt_attention &attention);

  /// Drivers record event `event`.
  void useEvent(uint32_t event) { events = std::max(events, event + 1); }

  /// Dynamic shared memory in the function that `builder` is in, a pointer of address space 3.
  mlir::Value sharedMemory(mlir::OpBuilder &builder, mlir::Location loc);

  /// Adds the tables to the module; functions that differ in numbers alone become one where that is asked for, and
  /// stand in up to `modules` modules. Drivers take the names of their kernels, which are erased.
  void finish(bool share, size_t modules);

private:
  mlir::gpu::GPUModuleOp functions();
  void boundRegisters();
  void writeKernels(bool share, size_t modules);
  void writeProducts();
  void writeAttentions();

  mlir::ModuleOp module;
  const CudaTarget &target;
  mlir::gpu::GPUModuleOp deviceModule;
  llvm::SmallVector<mlir::gpu::GPUFuncOp> all;
  llvm::SmallVector<ftrt_matmul> products;
  llvm::SmallVector<ftrt_attention> attentions;
  uint32_t events = 0; ///< of drivers
};

/// The driver of a kernel while it is written. finish() ends it.
class Driver {
public:
  Driver(KernelTables &tables, plan::KernelOp kernel);

  /// The address (i64) of argument `index` of the kernel.
  mlir::Value address(unsigned index);
  /// The address of a buffer of the kernel; 0 for none.
  mlir::Value address(mlir::Value buffer);
  /// `bytes` behind an address.
  mlir::Value behind(mlir::Value address, int64_t bytes);

  void launch(mlir::gpu::GPUFuncOp function, mlir::ValueRange addresses, uint32_t stream = FTRT_STREAM_COMPUTE);
  void multiply(uint32_t product, mlir::Value a, mlir::Value b, mlir::Value addend, mlir::Value d,
                mlir::Value workspace);
  /// Asks the host for an attention. What `done` queues follows where the host computes it; what is queued after this
  /// call, where it declines.
  void attend(uint32_t attention, mlir::ValueRange addresses, llvm::function_ref<void()> done);
  /// Event `event` happens when what is queued on `stream` is over; what follows on `stream` waits for it. Events are
  /// numbered from 0 in every driver, and recorded anew by each.
  void record(uint32_t stream, uint32_t event);
  void wait(uint32_t stream, uint32_t event);
  void finish();

private:
  mlir::Value storeAddresses(mlir::ValueRange addresses);
  void check(mlir::Value code);
  mlir::Value constant(mlir::Type type, int64_t value);

  KernelTables &tables;
  mlir::Location loc;
  mlir::OpBuilder builder;
  mlir::LLVM::LLVMFuncOp function;
  mlir::Block *failed = nullptr;
};

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_KERNELTABLES_H

//===- LowerKernels.cpp - Kernels for the device -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Every plan.kernel becomes what Lower.h's emitters make of it, and a driver. Assumes a plan with scratch memory and,
// for wide accesses of memory, places. Promises that no kernel is left. Refuses, by name, what its emitter refuses.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryProduct.h"
#include "lib/Target/CUDA/Lower.h"
#include "lib/Target/CUDA/LowerAttentionMma.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace ftc {
#define GEN_PASS_DEF_CUDALOWERKERNELSPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

LogicalResult cuda::checkSharedMemory(plan::KernelOp kernel, const CudaTarget &target) {
  int64_t bytes = 0;
  std::string what, wayOut;
  auto attention = [&](const AttentionShape &shape, const char *which, int64_t onTensorCores, int64_t inFp32) {
    const bool byTensorCores = whyNotOnTensorCores(shape).empty();
    bytes = byTensorCores ? onTensorCores : inFp32;
    what = which + ("attention with heads of " + std::to_string(shape.headDim) + " columns");
    wayOut = byTensorCores ? "" : wayOutOf(shape);
  };
  llvm::TypeSwitch<Operation *>(kernel.getWork())
      .Case([&](plan::MatmulOp op) {
        std::string reason;
        bytes = asLibraryProduct(op, target, reason) ? 0 : generatedProductBytes;
        what = "a product";
      })
      .Case([&](plan::AttentionOp op) {
        AttentionShape shape = attentionShape(op, target);
        attention(shape, "", mmaForwardBytes(shape), tiledForwardBytes(shape));
      })
      .Case([&](plan::AttentionGradOp op) {
        AttentionShape shape = attentionShape(op, target);
        attention(shape, "the gradient of ", std::max(mmaQueryGradientBytes(shape), mmaKeyValueGradientBytes(shape)),
                  tiledGradientBytes(shape, target));
      });
  if (bytes <= target.sharedBytesABlock)
    return success();
  return emitError(kernel.getLoc()) << what << " takes " << bytes << " bytes of shared memory, and a block of device '"
                                    << target.name << "' has " << target.sharedBytesABlock << wayOut;
}

void cuda::emitFunction(gpu::GPUFuncOp function, llvm::function_ref<void(OpBuilder &, ValueRange)> body) {
  OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
  body(builder, function.getArguments());
  gpu::ReturnOp::create(builder, function.getLoc());
}

Value cuda::blockNumber(OpBuilder &builder, Location loc) {
  Value index = gpu::BlockIdOp::create(builder, loc, gpu::Dimension::x);
  return arith::IndexCastOp::create(builder, loc, builder.getI64Type(), index);
}

namespace {
struct CudaLowerKernelsPass : ftc::impl::CudaLowerKernelsPassBase<CudaLowerKernelsPass> {
  using CudaLowerKernelsPassBase::CudaLowerKernelsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<ftc::cuda::CudaTarget> target = ftc::cuda::resolveDevice(getOperation(), device);
    if (!target)
      return signalPassFailure();
    ftc::cuda::KernelTables tables(module, *target);
    const ftc::cuda::LaunchAlignments launches(module);
    for (auto kernel : llvm::to_vector(module.getOps<plan::KernelOp>())) {
      Operation *work = kernel.getWork();
      if (failed(ftc::cuda::checkSharedMemory(kernel, *target)))
        return signalPassFailure();
      LogicalResult emitted = isa<plan::RowsOp>(work)     ? ftc::cuda::emitRows(kernel, *target, launches, tables)
                              : isa<plan::MatmulOp>(work) ? ftc::cuda::emitMatmul(kernel, *target, tables)
                                                          : ftc::cuda::emitAttention(kernel, *target, tables);
      if (failed(emitted))
        return signalPassFailure();
    }
    llvm::SmallDenseSet<uint64_t> lengths;
    for (auto entry : module.getOps<plan::EntryOp>())
      lengths.insert(entry.getSequence());
    tables.finish(share && lengths.size() > 1, modules);
  }
};
} // namespace

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

#include "lib/Target/CUDA/Lower.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace ftc {
#define GEN_PASS_DEF_CUDALOWERKERNELSPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

LogicalResult cuda::checkSharedBytes(Location loc, int64_t bytes, const CudaTarget &target, const Twine &what,
                                     StringRef wayOut) {
  if (bytes <= target.sharedBytesABlock)
    return success();
  return emitError(loc) << what << " takes " << bytes << " bytes of shared memory, and a block of device '"
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

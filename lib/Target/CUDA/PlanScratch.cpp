//===- PlanScratch.cpp - Working memory of products and attention --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Assumes kernels without scratch memory; those that have it stay as they are. Promises that every launch of a kernel
// that needs some hands it over as its last buffer, so that it is in the plan. Refuses nothing but unknown devices.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryProduct.h"
#include "lib/Target/CUDA/LowerAttention.h"
#include "lib/Target/CUDA/Passes.h"
#include "lib/Target/Common/Scratch.h"

#include "mlir/IR/Remarks.h"

namespace ftc {
#define GEN_PASS_DEF_CUDAPLANSCRATCHPASS
#include "lib/Target/CUDA/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

int64_t cuda::scratchBytes(Operation *work, const CudaTarget &target) {
  std::string reason;
  if (auto op = dyn_cast<plan::MatmulOp>(work)) {
    std::optional<LibraryProduct> product = asLibraryProduct(op, target, reason);
    return product ? static_cast<int64_t>(product->product.workspace_bytes) + product->decodedBytes() : 0;
  }
  if (auto op = dyn_cast<plan::AttentionGradOp>(work)) {
    AttentionShape shape = attentionShape(op);
    return shape.batch * shape.sequence * shape.heads * 4;
  }
  return 0;
}

namespace {
struct CudaPlanScratchPass : ftc::impl::CudaPlanScratchPassBase<CudaPlanScratchPass> {
  using CudaPlanScratchPassBase::CudaPlanScratchPassBase;

  void runOnOperation() override {
    std::optional<ftc::cuda::CudaTarget> gpu = ftc::cuda::resolveDevice(getOperation(), device);
    if (!gpu)
      return signalPassFailure();
    target::planScratch(
        getOperation(), [&](Operation *work) { return ftc::cuda::scratchBytes(work, *gpu); },
        [](plan::KernelOp kernel, int64_t bytes) {
          remark::passed(kernel.getLoc(), remark::RemarkOpts::name("scratch").category("cuda-plan-scratch"))
              << remark::add("{0} has working memory", kernel.getSymName()) << remark::metric("bytes", bytes);
        });
  }
};
} // namespace

//===- PlanScratch.cpp - Working memory of products and attention --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Assumes nothing of scratch memory that kernels have: where it is enough, it stays, and where it is less, it grows.
// Promises that every launch of a kernel that needs some hands it over, new one as its last buffer, so that it is in
// the plan. Refuses unknown devices, and kernels that take more shared memory than a block of the device has, so
// that nobody is told of a plan whose kernels cannot be made.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryAttention.h"
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

target::ScratchNeed cuda::scratchOf(Operation *work, const CudaTarget &target) {
  std::string reason;
  if (auto op = dyn_cast<plan::MatmulOp>(work)) {
    std::optional<LibraryProduct> product = asLibraryProduct(op, target, reason);
    if (!product)
      return {};
    const auto workspace = static_cast<int64_t>(product->product.workspace_bytes);
    return {workspace + product->decodedBytes(), "cuBLASLt", workspace};
  }
  // Either cuDNN's workspace is used or that of our own kernels.
  if (auto op = dyn_cast<plan::AttentionOp>(work)) {
    std::optional<ftrt_attention> attention = asLibraryAttention(op, target, reason);
    if (!attention)
      return {};
    const auto workspace = static_cast<int64_t>(attention->workspace_bytes);
    return {workspace, "cuDNN", workspace};
  }
  if (auto op = dyn_cast<plan::AttentionGradOp>(work)) {
    AttentionShape shape = attentionShape(op, target);
    std::optional<ftrt_attention> attention = asLibraryAttention(op, target, reason);
    const int64_t own = shape.batch * shape.sequence * shape.heads * 4;
    if (!attention)
      return {own};
    const auto workspace = static_cast<int64_t>(attention->workspace_bytes);
    return {std::max(own, workspace), "cuDNN", workspace};
  }
  return {};
}

/// Who computes an attention, and why.
static void tellAttention(plan::KernelOp kernel, const cuda::CudaTarget &target) {
  std::string reason;
  std::optional<ftrt_attention> attention;
  if (auto op = dyn_cast<plan::AttentionOp>(kernel.getWork()))
    attention = cuda::asLibraryAttention(op, target, reason);
  else if (auto op = dyn_cast<plan::AttentionGradOp>(kernel.getWork()))
    attention = cuda::asLibraryAttention(op, target, reason);
  else
    return;
  remark::RemarkOpts options = remark::RemarkOpts::name("attention").category("cuda-attention");
  if (attention)
    remark::passed(kernel.getLoc(), options)
        << remark::add("cuDNN is asked for {0} before our own kernels", kernel.getSymName())
        << remark::metric("workspace_bytes", static_cast<int64_t>(attention->workspace_bytes));
  else
    remark::missed(kernel.getLoc(), options)
        << remark::add("cuDNN is not asked for {0}: {1}", kernel.getSymName(), reason);
}

namespace {
struct CudaPlanScratchPass : ftc::impl::CudaPlanScratchPassBase<CudaPlanScratchPass> {
  using CudaPlanScratchPassBase::CudaPlanScratchPassBase;

  void runOnOperation() override {
    std::optional<ftc::cuda::CudaTarget> gpu = ftc::cuda::resolveDevice(getOperation(), device);
    if (!gpu)
      return signalPassFailure();
    for (auto kernel : getOperation().getOps<plan::KernelOp>()) {
      if (failed(ftc::cuda::checkSharedMemory(kernel, *gpu)))
        return signalPassFailure();
      tellAttention(kernel, *gpu);
    }
    target::planScratch(
        getOperation(), [&](Operation *work) { return ftc::cuda::scratchOf(work, *gpu); },
        [](plan::KernelOp kernel, int64_t bytes) {
          remark::passed(kernel.getLoc(), remark::RemarkOpts::name("scratch").category("cuda-plan-scratch"))
              << remark::add("{0} has working memory", kernel.getSymName()) << remark::metric("bytes", bytes);
        });
  }
};
} // namespace

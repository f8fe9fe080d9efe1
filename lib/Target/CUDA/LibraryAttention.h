//===- LibraryAttention.h - Attention that cuDNN computes -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_LIBRARYATTENTION_H
#define FTC_LIB_TARGET_CUDA_LIBRARYATTENTION_H

#include "lib/Target/CUDA/KernelTables.h"
#include "lib/Target/CUDA/LowerAttention.h"

#include <optional>

namespace ftc::cuda {

/// What ftrt_device.attention is asked for in place of a plan.attention or a plan.attention_grad, before kernels of our
/// own: attention of bf16 whose heads have a multiple of 16 columns up to 128, without a window or a cap of its scores,
/// where the device file gives it as many bytes as it may need. nullopt for any other, and `reason` says why.
std::optional<ftrt_attention> asLibraryAttention(const AttentionShape &shape, bool gradient, const CudaTarget &target,
                                                 std::string &reason);

/// The same for an op.
template <typename Op>
std::optional<ftrt_attention> asLibraryAttention(Op op, const CudaTarget &target, std::string &reason) {
  return asLibraryAttention(attentionShape(op, target), std::is_same_v<Op, plan::AttentionGradOp>, target, reason);
}

/// Bytes of working memory that cuDNN's attention may need, its own and what lies in memory between its parts:
/// statistics of the plans that cuDNN 9.19 and 9.26 make (test/unit/Cudnn), and room for more documents.
int64_t libraryWorkspaceBytes(const AttentionShape &shape, bool gradient);

/// Where the library may compute `op`, lets its driver ask for that first. What the driver queues
/// afterwards is what happens where the host declines.
void attendByLibrary(Driver &driver, plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                     KernelTables &tables);
void attendByLibrary(Driver &driver, plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                     KernelTables &tables);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LIBRARYATTENTION_H

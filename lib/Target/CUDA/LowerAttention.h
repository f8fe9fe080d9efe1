//===- LowerAttention.h - Attention by tiles --------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_LOWERATTENTION_H
#define FTC_LIB_TARGET_CUDA_LOWERATTENTION_H

#include "lib/Target/CUDA/Lower.h"
#include "lib/Target/CUDA/Tiles.h"

namespace ftc::cuda {

/// Sizes of plan.attention and plan.attention_grad.
struct AttentionShape {
  int64_t batch, sequence, heads, kvHeads, headDim;
  double scale;
  mlir::Type element;

  int64_t group() const { return heads / kvHeads; }      ///< heads that share a key head
  int64_t pitch() const { return heads * headDim; }      ///< elements of a row of queries
  int64_t keyPitch() const { return kvHeads * headDim; } ///< of a row of keys
  int64_t tiles() const { return (sequence + tileRows - 1) / tileRows; }
};

template <typename Op> AttentionShape attentionShape(Op op) {
  auto query = mlir::cast<mlir::MemRefType>(op.getQuery().getType());
  int64_t batch = op.getBatch(), heads = op.getNumHeads();
  return {batch,
          query.getDimSize(0) / batch,
          heads,
          static_cast<int64_t>(op.getNumKvHeads()),
          query.getDimSize(1) / heads,
          op.getScale().convertToDouble(),
          query.getElementType()};
}

/// The lowest segment start of the 64 tokens from position `first` of a row on whose tokens begin at `base`; every lane
/// of a warp has to come here.
mlir::Value lowestStart(TileCode &code, mlir::Value starts, mlir::Value base, mlir::Value first, int64_t sequence);

/// Position `first + place` of a row of tokens, or the row's last.
mlir::Value clampedPosition(TileCode &code, mlir::Value first, mlir::Value place, int64_t sequence);

mlir::LogicalResult emitAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                                         KernelTables &tables);
mlir::LogicalResult emitAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                                      KernelTables &tables);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LOWERATTENTION_H

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
  int64_t window = 0;      ///< keys that a query sees at most, itself included; 0: no bound below the sequence
  double softcap = 0;      ///< of scores; 0: none
  int64_t sharedBytes = 0; ///< that a block of the device may have

  int64_t group() const { return heads / kvHeads; }      ///< heads that share a key head
  int64_t pitch() const { return heads * headDim; }      ///< elements of a row of queries
  int64_t keyPitch() const { return kvHeads * headDim; } ///< of a row of keys
  int64_t tiles() const { return (sequence + tileRows - 1) / tileRows; }
};

template <typename Op> AttentionShape attentionShape(Op op, const CudaTarget &target) {
  auto query = mlir::cast<mlir::MemRefType>(op.getQuery().getType());
  int64_t batch = op.getBatch(), heads = op.getNumHeads(), sequence = query.getDimSize(0) / batch;
  int64_t window = op.getWindow().value_or(sequence);
  return {batch,
          sequence,
          heads,
          static_cast<int64_t>(op.getNumKvHeads()),
          query.getDimSize(1) / heads,
          op.getScale().convertToDouble(),
          query.getElementType(),
          window < sequence ? window : 0,
          op.getSoftcap() ? op.getSoftcap()->convertToDouble() : 0,
          target.sharedBytesABlock};
}

/// The first key (i32) that the token at `position` of a row sees, whose tokens begin at `base`: where its segment
/// starts, or its window.
mlir::Value firstKeyOf(TileCode &code, const AttentionShape &shape, mlir::Value starts, mlir::Value base,
                       mlir::Value position);

/// The lowest of these of the 64 tokens from position `first` on (i64); every lane of a warp has to come here.
mlir::Value lowestFirstKey(TileCode &code, const AttentionShape &shape, mlir::Value starts, mlir::Value base,
                           mlir::Value first);

/// Position (exclusive) up to which queries see any of the `rows` keys from position `first` on; numbers are of one
/// type.
mlir::Value endOfQueries(TileCode &code, const AttentionShape &shape, mlir::Value first, int64_t rows);

/// What of the product of a query and a key enters the softmax: scaled, and capped. With a cap, `slope` is set to what
/// it multiplies a score's gradient by, 1 - tanh^2.
mlir::Value scoreOf(TileCode &code, const AttentionShape &shape, mlir::Value product, mlir::Value *slope = nullptr);

/// Position `first + place` of a row of tokens, or the row's last.
mlir::Value clampedPosition(TileCode &code, mlir::Value first, mlir::Value place, int64_t sequence);

// Shared memory of a block, in bytes.

/// Attention in fp32: queries, keys or values, and weights.
inline int64_t tiledForwardBytes(const AttentionShape &shape) {
  return 2 * tileBytes(shape.headDim) + tileBytes(tileRows);
}
/// Its gradient: four tiles of rows, or `tiles` of them, and one of weights.
inline int64_t tiledGradientBytes(const AttentionShape &shape, int64_t tiles) {
  return tiles * tileBytes(shape.headDim) + tileBytes(tileRows);
}
/// Whether four such tiles do not fit, so that two take turns in one place.
inline bool sharesTile(const AttentionShape &shape, const CudaTarget &target) {
  return tiledGradientBytes(shape, 4) > target.sharedBytesABlock;
}
inline int64_t tiledGradientBytes(const AttentionShape &shape, const CudaTarget &target) {
  return tiledGradientBytes(shape, sharesTile(shape, target) ? 3 : 4);
}

/// For the error that heads are too wide: "; with dtype=bf16 ..." where that helps, else "".
const char *wayOutOf(const AttentionShape &shape);

mlir::LogicalResult emitAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                                         KernelTables &tables);
mlir::LogicalResult emitAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                                      KernelTables &tables);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LOWERATTENTION_H

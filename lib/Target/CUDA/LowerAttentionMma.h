//===- LowerAttentionMma.h - Attention on tensor cores ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_LOWERATTENTIONMMA_H
#define FTC_LIB_TARGET_CUDA_LOWERATTENTIONMMA_H

#include "lib/Target/CUDA/LowerAttention.h"
#include "lib/Target/CUDA/TilesMma.h"

#include "llvm/Support/MathExtras.h"

namespace ftc::cuda {

/// How a block cuts its work: it owns rows() queries (or keys) and goes through the keys (or queries) by tiles of
/// `stream` rows, of which `chunk` are multiplied at a time.
struct MmaBlock {
  int64_t warps;
  int64_t rowTiles;  ///< of 16 rows, of each warp
  int64_t parts = 1; ///< warps that share rows and have a part of the columns of the results each
  int64_t stream, chunk;

  int64_t threads() const { return 32 * warps; }
  int64_t warpRows() const { return mmaSide * rowTiles; }
  int64_t rows() const { return warpRows() * warps / parts; }
  int64_t blocks(int64_t sequence) const { return (sequence + rows() - 1) / rows(); }
};

// Shared memory of a block, in bytes.

/// A tile of queries, and one of keys and one of values.
inline int64_t forwardBytes(const MmaBlock &block, int64_t headDim) {
  return mmaBytes(block.rows() + 2 * block.stream, headDim);
}
/// Two tiles of its own rows, and two of the others for each stage of loading.
inline int64_t gradientBytes(const MmaBlock &block, int64_t headDim) {
  return 2 * mmaBytes(block.rows(), headDim) + 4 * mmaBytes(block.stream, headDim);
}
/// lse and delta of the queries that a block goes through, in $key_value.
inline int64_t numbersBytes(const MmaBlock &block) { return 2 * 4 * block.stream; }

/// Why these sizes: 32 rows a warp halve what is read from shared memory for each product, which on an A100 otherwise
/// takes as long as the product; but a thread has 255 registers, and `rowTiles * headDim / 2` of them hold the sums of
/// a result, `rowTiles * stream / 2` scores, and ptxas wants some 60 for operands that are loaded ahead. Eight warps a
/// multiprocessor, in one block or in two, hide each other's waiting; so the gradient of queries has 32 rows a warp for
/// heads of 128 columns only where two blocks of four fit (228 KiB). Tiles fit into the shared memory of data-centre
/// devices; where a block has less (99 KiB on GeForce cards and A10), the second sizes are taken, with half the rows
/// and shorter tiles. Chosen by counting and by ptxas' report; no GPU has timed them.
inline MmaBlock forwardBlock(const AttentionShape &shape) {
  const int64_t headDim = shape.headDim;
  if (headDim <= 128)
    return headDim <= 64 ? MmaBlock{4, 2, 1, 64, 64} : MmaBlock{4, 2, 1, 32, 32};
  const MmaBlock whole{8, 1, 1, 64, 64};
  return forwardBytes(whole, headDim) <= shape.sharedBytes ? whole : MmaBlock{4, 1, 1, 32, 32};
}
inline MmaBlock queryGradientBlock(const AttentionShape &shape) {
  const int64_t headDim = shape.headDim;
  if (headDim <= 64)
    return {4, 2, 1, 64, 32};
  // Eight warps of 32 rows, where two blocks have room for them.
  const MmaBlock half{4, 2, 1, 32, 32};
  if (headDim <= 128 && 2 * gradientBytes(half, headDim) <= shape.sharedBytes)
    return half;
  const MmaBlock whole = headDim <= 128 ? MmaBlock{8, 1, 1, 64, 32} : MmaBlock{4, 1, 1, 32, 32};
  if (gradientBytes(whole, headDim) <= shape.sharedBytes)
    return whole;
  return headDim <= 128 ? MmaBlock{4, 1, 1, 32, 32} : MmaBlock{2, 1, 1, 16, 16};
}
/// Two results, so twice the registers of the others; where scores are capped, each has a slope beside it.
inline MmaBlock keyValueGradientBlock(const AttentionShape &shape) {
  const int64_t headDim = shape.headDim;
  if (headDim <= 64)
    return {4, 2, 1, 64, shape.softcap != 0 ? 16 : 32};
  const MmaBlock whole = headDim <= 128 ? MmaBlock{8, 1, 1, 64, 32} : MmaBlock{8, 1, 2, 32, 32};
  if (gradientBytes(whole, headDim) + 2 * numbersBytes(whole) <= shape.sharedBytes)
    return whole;
  return headDim <= 128 ? MmaBlock{4, 1, 1, 32, 32} : MmaBlock{4, 1, 2, 16, 16};
}

inline int64_t mmaForwardBytes(const AttentionShape &shape) { return forwardBytes(forwardBlock(shape), shape.headDim); }
inline int64_t mmaQueryGradientBytes(const AttentionShape &shape) {
  return gradientBytes(queryGradientBlock(shape), shape.headDim);
}
inline int64_t mmaKeyValueGradientBytes(const AttentionShape &shape) {
  MmaBlock block = keyValueGradientBlock(shape);
  return gradientBytes(block, shape.headDim) + 2 * numbersBytes(block);
}

/// Why tensor cores cannot compute this attention: "" where they can.
std::string whyNotOnTensorCores(const AttentionShape &shape);

/// What the functions have in common. Numbers are i32; positions are those of a row of tokens.
struct MmaAttentionCode {
  AttentionShape shape;
  MmaBlock sizes;
  TileCode code;
  MmaCode mma;
  mlir::Value starts, memory;
  mlir::Value base, head, first; ///< first token of the row (i64), head or key head, first position of the block
  mlir::Value warpRow;           ///< first of the block's rows that this warp has

  MmaAttentionCode(const AttentionShape &shape, const MmaBlock &sizes, TileCode code, mlir::Value starts,
                   mlir::Value memory)
      : shape(shape), sizes(sizes), code(code), starts(starts), memory(memory) {}

  /// Which rows, head and row of tokens this block has; `lastFirst`: the last rows have most work and start first.
  /// Called once more, it computes all numbers anew (readAgain), so that none has to be kept until then.
  void place(TileCode &inner, int64_t heads, bool lastFirst);

  mlir::Value i32(TileCode &inner, int64_t value) { return inner.number(value, inner.b.getI32Type()); }
  MmaTile tile(TileCode &inner, int64_t offset, int64_t rows) {
    return {behind(inner, memory, offset), rows, shape.headDim};
  }
  /// A head of queries (`pitch` of queries), or of keys, of this row of tokens.
  MmaRows rows(TileCode &inner, mlir::Value pointer, mlir::Value head, int64_t pitch);
  /// Position of row `offset` of this thread, the warp's rows counted from 0.
  mlir::Value position(TileCode &inner, int64_t offset);
  mlir::Value clamped(TileCode &inner, mlir::Value position);
  /// The first key that a query sees.
  mlir::Value startOf(TileCode &inner, mlir::Value clampedPosition);
  /// r of a product of a query and a key, whose score is softcap (1 - 2 r), with slope 4 r (1 - r).
  mlir::Value capRest(TileCode &inner, mlir::Value product);
  /// What a score, or a product where none is capped, is multiplied by to be an exponent of 2.
  double exponentFactor() const { return (shape.softcap == 0 ? shape.scale : 1) * llvm::numbers::log2e; }
  /// Lowest and highest first key of the block's queries; every lane of a warp has to come here.
  std::pair<mlir::Value, mlir::Value> rangeOfStarts();
  /// Whether this warp, whose rows are queries, sees any key from position `key` on; whether this warp, whose rows are
  /// keys, is seen by any query before position `end`. Where not, all weights are 0, and so is what they add. The same
  /// for all lanes of a warp.
  mlir::Value seesFrom(TileCode &inner, mlir::Value key) {
    return inner.less(key, inner.add(inner.add(first, warpRow), sizes.warpRows()));
  }
  mlir::Value isSeenBefore(TileCode &inner, mlir::Value end) { return inner.less(inner.add(first, warpRow), end); }
  /// Stores sums of the block's rows by way of `through`, a tile that is no longer read.
  void storeRows(mlir::ValueRange sums, const MmaTile &through, const MmaRows &to);
};

mlir::LogicalResult emitMmaAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                                            KernelTables &tables);
mlir::LogicalResult emitMmaAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                                         KernelTables &tables);

/// A function of the device for blocks of these sizes.
mlir::gpu::GPUFuncOp addMmaFunction(mlir::Location loc, const llvm::Twine &name, unsigned arguments, int64_t grid,
                                    const MmaBlock &sizes, int64_t sharedBytes, const CudaTarget &target,
                                    KernelTables &tables);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LOWERATTENTIONMMA_H

//===- LowerAttention.h - Shapes and scratch of attention ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_LOWERATTENTION_H
#define FTC_LIB_TARGET_CPU_LOWERATTENTION_H

#include "lib/Target/CPU/LowerMatmul.h"

namespace ftc::cpu {

/// Sizes of one attention. A pair is a row of the batch with one key head; `group` query heads share it.
struct AttentionShape {
  int64_t batch, sequence, heads, kvHeads, headDim;
  double scale;
  int64_t window; ///< keys that a query sees at most, itself included; 0: no bound below the sequence
  double softcap; ///< of scores; 0: none
  int64_t group() const { return heads / kvHeads; }
  int64_t pairs() const { return batch * kvHeads; }
  int64_t queryRow() const { return heads * headDim; } ///< elements between rows of query and output
  int64_t keyRow() const { return kvHeads * headDim; } ///< elements between rows of key and value
};

/// Scratch of the forward pass, in f32 elements, each part a multiple of 16.
struct AttentionBlocks {
  AttentionBlocks(const AttentionShape &shape, const CpuTarget &target);
  int64_t keyPanels, valuePanels;           ///< panels of a packed key head, and of a packed value head, transposed
  int64_t seenPanels;                       ///< most panels of keys that a panel of queries sees
  int64_t packedKey, packedValue;           ///< of a pair
  int64_t pairsAtOnce;                      ///< pairs packed at once; all threads share them
  int64_t queries, scores, output, rows;    ///< of a thread
  int64_t starts, positions, weights, logs; ///< of a thread, one element a query of a panel
  int64_t perPair() const { return packedKey + packedValue; }
  int64_t perThread() const { return queries + scores + output + rows + starts + positions + weights + logs; }
  int64_t scratchFloats(const CpuTarget &target) const;
};

/// How the backward pass is cut, and its scratch, in f32 elements, each part a multiple of 16. A task is a query head
/// of a row with a strip of keys. Strips depend on the shape and the CPU alone; how many heads are worked on at once
/// depends on the number of threads too, and touches no sum's order.
struct AttentionGradBlocks {
  AttentionGradBlocks(const AttentionShape &shape, const CpuTarget &target);
  /// Keys [firstKey, endKey), seen by no query outside of [firstKey, endQuery); all are multiples of a block.
  struct Strip {
    int64_t firstKey, endKey, endQuery;
    int64_t sums; ///< where its sums for queries begin in a head's queryParts
  };
  int64_t block;                              ///< queries, and keys, of a block of scores
  int64_t width;                              ///< headDim rounded up to whole column panels
  int64_t count;                              ///< blocks of the sequence
  llvm::SmallVector<Strip> strips;            ///< one where there are heads enough
  int64_t pairsAtOnce, headsAtOnce;           ///< all heads of some pairs, or some heads of one pair
  int64_t packedBlock;                        ///< of keysAlong and valuesAlong, for each block
  int64_t keysAlong, valuesAlong, keysAcross; ///< a pair's keys and values, packed as the products need them
  int64_t keySums, valueSums;                 ///< a query head's part of the gradients of its keys and values
  int64_t queryParts;                         ///< a strip's part of the gradients of a head's queries; 0 for one strip
  int64_t carriedSums;                        ///< of the heads that came before; 0 where a group is done at once
  int64_t queriesA, gradientsA, queriesB, gradientsB, querySums; ///< of a thread, for a block of queries
  int64_t scores, slopes, packed; ///< of a thread, block x block: P, dS, and a packed copy
  int64_t perPair() const { return keysAlong + valuesAlong + keysAcross; }
  int64_t perHead() const { return keySums + valueSums + queryParts; }
  int64_t perThread() const {
    return queriesA + gradientsA + queriesB + gradientsB + querySums + scores + slopes + packed;
  }
  int64_t scratchFloats(const CpuTarget &target) const;
};

AttentionShape attentionShape(plan::AttentionOp op);
AttentionShape attentionShape(plan::AttentionGradOp op);

/// Where the keys of the query at `position` of a row begin, both i32: at its segment's `start`, or with the window.
mlir::Value emitFirstKey(mlir::OpBuilder &builder, mlir::Location loc, const AttentionShape &shape, mlir::Value start,
                         mlir::Value position);

/// What of products of queries and keys enters the softmax, `x` and the result f32 vectors: scaled, and capped. With a
/// cap, `tanh` is set to the tanh whose square takes the cap's slope from 1.
mlir::Value emitScore(mlir::OpBuilder &builder, mlir::Location loc, const AttentionShape &shape, mlir::Value x,
                      mlir::Value *tanh = nullptr);

void emitAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CpuTarget &target);
void emitAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CpuTarget &target);

/// Runs `body` over [0, count) in vectors of `lanes`, then one by one; `body` gets the number of elements and the
/// first.
void emitElements(mlir::OpBuilder &builder, mlir::Location loc, int64_t count, int64_t lanes,
                  llvm::function_ref<void(mlir::OpBuilder &, int64_t, mlir::Value)> body);

/// `element`, or a vector of `lanes` of it when lanes > 1.
inline mlir::Type someOf(mlir::Type element, int64_t lanes) {
  return lanes == 1 ? element : mlir::VectorType::get({lanes}, element);
}
/// A scalar in every lane of `type` (itself when `type` is a scalar).
mlir::Value emitSpread(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value scalar);
/// A constant of `type`, an f32 scalar or vector.
mlir::Value emitConstant(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, double value);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_LOWERATTENTION_H

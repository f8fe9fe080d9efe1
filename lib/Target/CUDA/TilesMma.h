//===- TilesMma.h - Products of tiles on tensor cores -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What attention in bf16 is made of. Tiles lie in shared memory as bf16, filled by cp.async; a warp multiplies 16 x 16
// by 16 x 8 numbers with one mma.sync, whose operands it takes from tiles by ldmatrix, and whose fp32 sums stay in its
// registers. Layouts of fragments: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type" and
// "ldmatrix". With lane = 4 group + quad, a thread has of a product of 16 x 8 the elements
//
//   e = 0, 1:  row group,      columns 2 quad and 2 quad + 1
//   e = 2, 3:  row group + 8,  the same columns
//
// Two such products, side by side and rounded to bf16, are the left operand of the next product as they are: that is
// why attention needs no memory for its weights.
//
// Rows of a tile are 16 bytes longer than their elements. For a multiple of 16 columns, the eight rows that one phase
// of ldmatrix reads then lie in different banks.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_TILESMMA_H
#define FTC_LIB_TARGET_CUDA_TILESMMA_H

#include "lib/Target/CUDA/Tiles.h"

namespace ftc::cuda {

/// Rows of a left operand, and terms of the sums, of one mma.sync; columns of two.
constexpr int64_t mmaSide = 16;

/// Bytes between rows of a tile of bf16 in shared memory.
constexpr int64_t mmaPitch(int64_t columns) { return 2 * columns + 16; }
constexpr int64_t mmaBytes(int64_t rows, int64_t columns) { return rows * mmaPitch(columns); }

/// A tile of bf16 in shared memory; columns: a multiple of 16.
struct MmaTile {
  mlir::Value base; ///< pointer of address space 3, at a multiple of 16 bytes
  int64_t rows, columns;

  int64_t pitch() const { return mmaPitch(columns); }
};

/// Rows of a bf16 matrix that tiles are filled from and stored to.
struct MmaRows {
  mlir::Value pointer; ///< the first element of row 0 that a tile has
  int64_t pitch;       ///< elements between rows, a multiple of 8
  int64_t rows;        ///< tiles that go on behind the last row repeat it, and store nothing there
};

/// Writes code of a warp, as one of its lanes; all numbers are i32.
class MmaCode {
public:
  MmaCode() = default;
  /// `thread` (i32) of `threads`.
  MmaCode(TileCode code, mlir::Value thread, int64_t threads);

  int64_t threads = 0; ///< of the block
  mlir::Value thread, warp, lane, group, quad;

  /// Starts to fill a tile with rows from `firstRow` on. All threads of the block take part; each has to wait for its
  /// copies (`wait`), and all to meet, before the tile is read.
  void fill(TileCode &code, const MmaTile &tile, const MmaRows &from, mlir::Value firstRow) const;
  /// Starts to copy one f32.
  void copyNumber(TileCode &code, mlir::Value to, mlir::Value from) const;
  /// Copies started so far are one group.
  void commit(TileCode &code) const;
  /// Waits for all groups of this thread.
  void wait(TileCode &code) const;

  /// Where this lane reads 16 x 16 elements of a tile from: a left operand, or, `transposed`, a right one whose rows
  /// are terms. The address for row 0 and column 0.
  mlir::Value byRows(TileCode &code, const MmaTile &tile) const;
  /// The same for a right operand whose columns are rows of the tile.
  mlir::Value byColumns(TileCode &code, const MmaTile &tile) const;

  /// left * right^T: products of `rowTiles` times 16 rows of `left` (byRows) and `columns` rows of `right` (byColumns)
  /// over all columns of the tiles. Element 4 (n + r columns / 8) + e is number e of row tile r and columns 8 n to 8 n
  /// +
  /// 7. Terms are added in ascending order.
  Numbers products(TileCode &code, mlir::Value left, mlir::Value right, int64_t depth, int64_t rowTiles,
                   int64_t columns) const;

  /// Such numbers rounded to bf16 (to nearest, ties to even), as left operands: register 4 (t + r columns / 16) + i is
  /// number i of row tile r and terms 16 t to 16 t + 15.
  Numbers round(TileCode &code, mlir::ValueRange numbers) const;

  /// sums + left * right: `left` of round(), `right` (byRows, of a tile with `pitch`) with a row for each term, and
  /// `columns` columns.
  Numbers accumulate(TileCode &code, mlir::ValueRange left, mlir::Value right, int64_t pitch, int64_t columns,
                     int64_t rowTiles, mlir::ValueRange sums) const;

  /// Rounds `sums` of `columns` columns to bf16 and stores them in rows of a tile, from the element at `place` on.
  void put(TileCode &code, mlir::ValueRange sums, mlir::Value place, int64_t pitch, int64_t columns,
           int64_t rowTiles) const;
  /// Copies a tile to rows from `firstRow` on; all threads of the block.
  void store(TileCode &code, const MmaTile &tile, const MmaRows &to, mlir::Value firstRow) const;

  /// 2^x, by the GPU's own instruction (ex2.approx.ftz: within 2 ulp, 0 where the result is below 2^-126).
  mlir::Value exp2(TileCode &code, mlir::Value x) const;
  /// 1 / x, likewise (rcp.approx.ftz: within 1 ulp).
  mlir::Value reciprocal(TileCode &code, mlir::Value x) const;
  /// log2(x), likewise (lg2.approx.ftz: within 2^-22, absolutely near 1 and relatively elsewhere).
  mlir::Value log2(TileCode &code, mlir::Value x) const;

  /// Row of element `half` (0: e = 0, 1; 1: e = 2, 3) of row tile r, of the warp's rows.
  static int64_t rowOffset(int64_t r, int64_t half) { return mmaSide * r + 8 * half; }

private:
  /// Calls `visit(row of the tile, byte of the row)` for this thread's parts of 16 bytes.
  void forEachPart(TileCode &code, const MmaTile &tile,
                   llvm::function_ref<void(TileCode &, mlir::Value, mlir::Value)> visit) const;
  Numbers loadMatrices(TileCode &code, mlir::Value address, int64_t offset, bool transposed) const;
  void multiply(TileCode &code, mlir::ValueRange left, mlir::ValueRange right,
                llvm::MutableArrayRef<mlir::Value> sums) const;
  mlir::Value pair(TileCode &code, mlir::Value low, mlir::Value high) const;
};

/// `bytes` behind a pointer: a number or a value.
mlir::Value behind(TileCode &code, mlir::Value pointer, int64_t bytes);
mlir::Value behind(TileCode &code, mlir::Value pointer, mlir::Value bytes);

/// The number (i32) of this thread or block, read at this place: what is computed from it is not what was computed from
/// another reading, so ptxas keeps nothing of it in registers over a loop between the two.
mlir::Value readAgain(TileCode &code, bool ofBlock);

/// i32 to i64, of numbers from 0 on.
mlir::Value wide(TileCode &code, mlir::Value number);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_TILESMMA_H

//===- Tiles.h - Products of tiles in shared memory -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What attention and the generated matrix product are made of. A block of 256 threads works on tiles of 64 rows that
// lie in shared memory as f32. Thread t is (y, x) = (t / 16, t mod 16). Of a product of two tiles it has 4 x 4 numbers:
// rows 4y to 4y + 3, columns x, x + 16, x + 32 and x + 48, so that the 16 threads of half a warp share their rows, and
// what they read of the second tile lies in different banks. Sums run over their terms in ascending order, in one chain
// of fma each: the order depends on nothing.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_TILES_H
#define FTC_LIB_TARGET_CUDA_TILES_H

#include "lib/Target/Common/Build.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace ftc::cuda {

/// Rows of a tile, threads of its block, threads along a row, and rows as well as columns of one thread.
constexpr int64_t tileRows = 64, tileThreads = 256, tileSide = 16, perThread = 4;

/// Elements between rows of a tile of `columns` columns. Columns are filled up with zeros to a multiple of 64; four
/// more move each row to other banks.
constexpr int64_t tilePitch(int64_t columns) { return (columns + 63) / 64 * 64 + 4; }
constexpr int64_t tileBytes(int64_t columns) { return tileRows * tilePitch(columns) * 4; }

/// Shared memory of a block of a generated product: a tile of each operand.
constexpr int64_t generatedProductBytes = 2 * tileBytes(tileRows);

/// A tile in shared memory.
struct Tile {
  mlir::Value base; ///< pointer of address space 3
  int64_t columns;
};

/// A row-major matrix in memory.
struct Matrix {
  mlir::Value pointer;
  mlir::Type element; ///< f32 or bf16
  int64_t pitch;      ///< elements between rows
};

/// Which rows and columns of a matrix a tile holds.
struct Window {
  mlir::Value firstRow, firstColumn; ///< i64
  mlir::Value rows;                  ///< i64; rows of the tile from this one on are outside: zeros, never stored
  int64_t columns;
};

/// 4 x 4 numbers of a thread, or 4 rows of any kind.
using Numbers = llvm::SmallVector<mlir::Value>;

/// Writes code of one thread; everything at the builder's place.
class TileCode {
public:
  TileCode(mlir::OpBuilder &builder, mlir::Location loc);

  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Value thread, x, y; ///< i64

  /// The same thread's code at another place.
  TileCode at(mlir::OpBuilder &other) const { return {other, loc, thread, x, y}; }

  // Arithmetic on integers (i64, or i32: a number beside a value has its type) and f32.
  mlir::Value number(int64_t value); ///< i64
  mlir::Value number(int64_t value, mlir::Type type);
  mlir::Value real(double value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value times(mlir::Value a, int64_t b);
  mlir::Value div(mlir::Value a, int64_t b);
  mlir::Value rem(mlir::Value a, int64_t b);
  mlir::Value min(mlir::Value a, mlir::Value b);
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value less(mlir::Value a, mlir::Value b);
  mlir::Value both(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value addf(mlir::Value a, mlir::Value b);
  mlir::Value subf(mlir::Value a, mlir::Value b);
  mlir::Value mulf(mlir::Value a, mlir::Value b);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value widen(mlir::Value value);                      ///< bf16 to f32; f32 stays
  mlir::Value narrow(mlir::Value value, mlir::Type element); ///< the reverse

  mlir::Value load(mlir::Type type, mlir::Value pointer, mlir::Value index, unsigned alignment = 0);
  void store(mlir::Value value, mlir::Value pointer, mlir::Value index, unsigned alignment = 0);
  /// The value of the lane whose number differs by `distance` in one bit.
  mlir::Value fromLane(mlir::Value value, int32_t distance);
  /// All threads of the block have come here, and see what the others have stored.
  void barrier();
  /// Where `condition`, runs `then` and gives its values; `otherwise` elsewhere.
  Numbers choose(mlir::Value condition, mlir::ValueRange otherwise, llvm::function_ref<Numbers(TileCode)> then);
  void when(mlir::Value condition, llvm::function_ref<void(TileCode)> then);
  /// `from` and `to` are i64 or i32, and so is the number that `body` gets.
  Numbers loop(mlir::Value from, mlir::Value to, int64_t step, mlir::ValueRange initial,
               llvm::function_ref<Numbers(TileCode, mlir::Value, mlir::ValueRange)> body);

  /// The tile at byte `offset` of `memory`.
  Tile tile(mlir::Value memory, int64_t offset, int64_t columns);
  /// Row number `i` of this thread, in a tile.
  mlir::Value row(int64_t i) { return add(times(y, perThread), i); }
  /// Column number `j` of this thread, of a product of tiles.
  mlir::Value column(int64_t j) { return add(x, j * tileSide); }

  /// Fills a tile; its threads have to meet before they read it.
  void fill(const Tile &tile, const Matrix &matrix, const Window &window);
  /// sums[4 i + j] + the inner product of row i of a and row j of b, over columns `from` 0 to the tiles' last.
  Numbers dot(const Tile &a, const Tile &b, mlir::ValueRange sums);
  /// Stores 4 x 4 numbers in a tile of 64 columns.
  void put(const Tile &tile, mlir::ValueRange numbers);
  /// Sums of accumulate(), all zero.
  Numbers zeros(int64_t columns);
  /// sums + weights * rows: `weights` has 64 columns, one for each row of `rows`. Sum 4 i + g holds four columns,
  /// from 4 x + 64 g on, of row i.
  Numbers accumulate(const Tile &weights, const Tile &rows, mlir::ValueRange sums);
  /// Stores such sums where the window is, converted to the matrix' element.
  void storeSums(mlir::ValueRange sums, const Matrix &matrix, const Window &window);

private:
  TileCode(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value thread, mlir::Value x, mlir::Value y)
      : b(builder), loc(loc), thread(thread), x(x), y(y) {}
};

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_TILES_H

//===- LowerMatmul.h - The packed matrix product, in pieces -------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The blocked product of Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008) with the
// register-level loops of BLIS (Van Zee and van de Geijn 2015), as functions of the generated module:
//
//   @ftc.pack.*   copies part of a matrix into panels: `width` rows of op(A) or columns of op(B), for each k side by
//   side
//   @ftc.macro.*  multiplies packed panels; its inner loop holds an mr x nr tile of sums in registers
//
// One function serves every kernel of a module whose elements are stored alike. Products and attention are made of
// them.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_LOWERMATMUL_H
#define FTC_LIB_TARGET_CPU_LOWERMATMUL_H

#include "lib/Target/CPU/Emit.h"

namespace ftc::cpu {

/// The register tile: `mr` rows of op(A) by `nr` columns of op(B), vectors of `lanes` f32.
struct ProductTile {
  int64_t mr, nr, lanes;
};
ProductTile productTile(const CpuTarget &target);
/// The tile for a product of `columns` columns: where they fit into one vector, a narrow tile of twice as many rows
/// does no work on columns that are not there (the products of low-rank adapters).
ProductTile productTile(const CpuTarget &target, int64_t columns);

/// How a panel lies in memory before packing. Element (i, k), i counting rows of op(A) or columns of op(B), is at
/// i * ld + k (AlongK) or at k * ld + i (AcrossK).
enum class PanelForm { AlongK, AcrossK };

/// How stored elements of type `element` become f32: through `seam` (a seam of plan.matmul; null or empty: f32 as it
/// is, bf16 widened). `owner` names the kernel that the seam belongs to.
struct PanelSource {
  PanelForm form;
  mlir::Type element;
  mlir::Region *seam = nullptr;
  llvm::StringRef owner = {};
};

/// Stored elements as f32.
mlir::Value emitDecode(mlir::OpBuilder &builder, mlir::Location loc, const PanelSource &source, mlir::Value value);

/// A function (source ptr, destination ptr, ld i64, valid i64, k i64, panel stride i64) that packs all of `valid` rows
/// or columns, in ceil(valid / width) panels of k * width f32, one every `panel stride` elements. `source` points at
/// element (0, 0). Places of a last, partial panel past `valid` get unspecified numbers. With AlongK, may write up to
/// one vector (64 bytes) past a panel, before it writes the next.
mlir::LLVM::LLVMFuncOp packFunction(mlir::ModuleOp module, const CpuTarget &target, int64_t width,
                                    const PanelSource &source);

/// Calls it. Panels are dense, k * width elements, unless `panelStride` says otherwise.
void emitPack(mlir::OpBuilder &builder, mlir::Location loc, const CpuTarget &target, int64_t width,
              const PanelSource &source, mlir::Value from, mlir::Value to, mlir::Value ld, mlir::Value valid,
              mlir::Value k, mlir::Value panelStride = {});

/// A matrix in four bits: its codes, absmax, their scales and their offset; the way it is decoded; elements of a row in
/// memory.
struct Nf4Source {
  PanelForm form;
  plan::Nf4Attr encoding;
  int64_t inputs;
  llvm::SmallVector<mlir::Value, 4> buffers;
};

/// As emitPack, decoding. `first` is the number of element (0, 0) in the matrix, row-major; with rows that are
/// multiples of a vector, it is one too.
void emitPackNf4(mlir::OpBuilder &builder, mlir::Location loc, const CpuTarget &target, int64_t width,
                 const Nf4Source &source, mlir::Value first, mlir::Value to, mlir::Value ld, mlir::Value valid,
                 mlir::Value k, mlir::Value panelStride);

/// Transposes `rows` (lanes vectors of lanes f32; null ones count as zero): result[c][r] = rows[r][c].
llvm::SmallVector<mlir::Value> emitTranspose(mlir::OpBuilder &builder, mlir::Location loc,
                                             llvm::ArrayRef<mlir::Value> rows, mlir::VectorType type);

/// Operands of @ftc.macro: for every pair of panels (i, j), the tile c(i, j) = a(i) * b(j), or is added to if
/// `accumulate`. Strides are in f32 elements: panel i of a is at i * aStride, panel j of b at j * bStride; element (r,
/// s) of tile (i, j) is at i * cStrideI + j * cStrideJ + r * cRow + s. b must be aligned to a vector, and bStride be a
/// multiple of its lanes.
struct MacroOperands {
  mlir::Value a, b, c;
  mlir::Value panelsA, panelsB, k, aStride, bStride, cStrideI, cStrideJ, cRow;
  mlir::Value accumulate; ///< i1
  mlir::Value row; ///< which row of tiles this is, where a caller goes through them one by one (for fetching ahead)
};
void emitMacro(mlir::OpBuilder &builder, mlir::Location loc, const ProductTile &tile, const MacroOperands &operands);

/// i64 arithmetic, short to write.
struct SizeMath {
  mlir::OpBuilder &builder;
  mlir::Location loc;
  mlir::Value constant(int64_t value) { return constantI64(builder, loc, value); }
  mlir::Value add(mlir::Value x, mlir::Value y) { return mlir::arith::AddIOp::create(builder, loc, x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return mlir::arith::SubIOp::create(builder, loc, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return mlir::arith::MulIOp::create(builder, loc, x, y); }
  mlir::Value mul(mlir::Value x, int64_t y) { return mul(x, constant(y)); }
  mlir::Value div(mlir::Value x, int64_t y) { return mlir::arith::DivSIOp::create(builder, loc, x, constant(y)); }
  mlir::Value divCeil(mlir::Value x, int64_t y) { return div(add(x, constant(y - 1)), y); }
  mlir::Value rem(mlir::Value x, int64_t y) { return mlir::arith::RemSIOp::create(builder, loc, x, constant(y)); }
  mlir::Value min(mlir::Value x, mlir::Value y) { return mlir::arith::MinSIOp::create(builder, loc, x, y); }
  mlir::Value max(mlir::Value x, mlir::Value y) { return mlir::arith::MaxSIOp::create(builder, loc, x, y); }
  mlir::Value equal(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(builder, loc, mlir::arith::CmpIPredicate::eq, x, y);
  }
  mlir::Value greater(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(builder, loc, mlir::arith::CmpIPredicate::sgt, x, y);
  }
  mlir::Value at(mlir::Value pointer, mlir::Type element, mlir::Value index) {
    return elementPointer(builder, loc, pointer, element, index);
  }
  /// Start of part `part` of `whole` cut into `parts` nearly equal parts.
  mlir::Value cut(mlir::Value whole, mlir::Value part, int64_t parts) { return div(mul(whole, part), parts); }
};

/// Type of the elements of a buffer.
inline mlir::Type elementOf(mlir::Value buffer) {
  return mlir::cast<mlir::MemRefType>(buffer.getType()).getElementType();
}

/// Loads or stores a scalar or vector of `type` at `pointer`, aligned to `alignment` bytes (0: to its element).
mlir::Value emitLoad(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value pointer,
                     unsigned alignment = 0);
void emitStore(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, mlir::Value pointer,
               unsigned alignment = 0);

/// Blocks of one product, all functions of its sizes (and, for `nc` alone, of the planned number of threads; it does
/// not touch the order of sums). Sizes in elements, scratch in f32 elements.
struct ProductBlocks {
  ProductTile tile;
  int64_t m, n, k;
  int64_t pairK;          ///< terms of a second product; 0 without one
  int64_t kc;             ///< a sum over k is cut every kc; partial sums are added in order
  int64_t kSuper;         ///< k packed at once, a multiple of kc, or k
  int64_t nc;             ///< columns packed at once
  int64_t mSuper;         ///< rows done before op(B) is packed again (m unless kSuper < k)
  int64_t rowBlocks;      ///< tasks along the rows of mSuper
  int64_t columnBlocks;   ///< tasks along the columns of nc
  int64_t rowPanels;      ///< most panels of op(A) of a task
  int64_t columnPanels;   ///< most panels of op(B) of a task
  int64_t packGroup;      ///< of op(B), for a packing task: panels, or steps of k where it lies across k
  int64_t packedB;        ///< scratch for op(B)
  int64_t packedA, tileC; ///< scratch of a thread (of a task, for tileC, when kSuper < k)
  int64_t pairB, pairA;   ///< scratch for the factors of a second product: of all threads, of each
  bool keepsTiles() const { return kSuper < k; }
  int64_t scratchFloats(const CpuTarget &target) const;
};
ProductBlocks productBlocks(int64_t m, int64_t n, int64_t k, bool transposeB, const CpuTarget &target,
                            int64_t pairK = 0);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_LOWERMATMUL_H

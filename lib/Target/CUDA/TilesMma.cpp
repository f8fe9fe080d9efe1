//===- TilesMma.cpp - Products of tiles on tensor cores ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/TilesMma.h"

#include "lib/Target/CUDA/CudaTarget.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ftc;
using cuda::MmaCode;
using cuda::mmaSide;
using cuda::Numbers;
using cuda::TileCode;

static constexpr int64_t partBytes = 16; ///< of an access to memory: eight bf16

Value cuda::behind(TileCode &code, Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(code.b, code.loc, pointer.getType(), code.b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value cuda::behind(TileCode &code, Value pointer, Value bytes) {
  return LLVM::GEPOp::create(code.b, code.loc, pointer.getType(), code.b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value cuda::wide(TileCode &code, Value number) {
  return arith::ExtUIOp::create(code.b, code.loc, code.b.getI64Type(), number);
}

Value cuda::readAgain(TileCode &code, bool ofBlock) {
  return LLVM::InlineAsmOp::create(code.b, code.loc, code.b.getI32Type(), ValueRange(),
                                   ofBlock ? "mov.u32 $0, %ctaid.x;" : "mov.u32 $0, %tid.x;", "=r",
                                   /*has_side_effects=*/true, /*is_align_stack=*/false,
                                   LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

MmaCode::MmaCode(TileCode code, Value thread, int64_t threads) : threads(threads), thread(thread) {
  warp = code.div(thread, CudaTarget::warp);
  lane = code.rem(thread, CudaTarget::warp);
  group = code.div(lane, 4);
  quad = code.rem(lane, 4);
}

//===----------------------------------------------------------------------===//
// Between memory and tiles
//===----------------------------------------------------------------------===//

void MmaCode::forEachPart(TileCode &code, const MmaTile &tile,
                          function_ref<void(TileCode &, Value, Value)> visit) const {
  const int64_t partsARow = 2 * tile.columns / partBytes, parts = tile.rows * partsARow;
  for (int64_t first = 0; first < parts; first += threads) {
    auto part = [&](TileCode inner) {
      Value row, column;
      if (threads % partsARow == 0) {
        // All parts of a thread are below each other: one division for all.
        row = inner.add(inner.div(thread, partsARow), first / partsARow);
        column = inner.rem(thread, partsARow);
      } else {
        Value number = inner.add(thread, first);
        row = inner.div(number, partsARow);
        column = inner.rem(number, partsARow);
      }
      visit(inner, row, inner.times(column, partBytes));
    };
    if (first + threads <= parts)
      part(code);
    else
      code.when(code.less(thread, code.number(parts - first, thread.getType())), part);
  }
}

static Value inGlobalMemory(TileCode &code, Value pointer) {
  auto global = LLVM::LLVMPointerType::get(code.b.getContext(), static_cast<unsigned>(NVVM::NVVMMemorySpace::Global));
  return LLVM::AddrSpaceCastOp::create(code.b, code.loc, global, pointer);
}

void MmaCode::fill(TileCode &code, const MmaTile &tile, const MmaRows &from, Value firstRow) const {
  Value last = code.number(from.rows - 1, thread.getType()), source = inGlobalMemory(code, from.pointer);
  forEachPart(code, tile, [&](TileCode &inner, Value row, Value byte) {
    Value target = behind(inner, tile.base, inner.add(inner.times(row, tile.pitch()), byte));
    Value place = wide(inner, inner.min(inner.add(firstRow, row), last));
    Value at = behind(inner, source, inner.add(inner.times(place, 2 * from.pitch), wide(inner, byte)));
    NVVM::CpAsyncOp::create(inner.b, inner.loc, target, at, partBytes, NVVM::LoadCacheModifierKind::CG, Value());
  });
}

void MmaCode::copyNumber(TileCode &code, Value to, Value from) const {
  NVVM::CpAsyncOp::create(code.b, code.loc, to, inGlobalMemory(code, from), 4, NVVM::LoadCacheModifierKind::CA,
                          Value());
}

void MmaCode::commit(TileCode &code) const { NVVM::CpAsyncCommitGroupOp::create(code.b, code.loc); }
void MmaCode::wait(TileCode &code) const { NVVM::CpAsyncWaitGroupOp::create(code.b, code.loc, 0); }

void MmaCode::put(TileCode &code, ValueRange sums, Value place, int64_t pitch, int64_t columns,
                  int64_t rowTiles) const {
  Value own = behind(code, place, code.add(code.times(group, pitch), code.times(quad, 4)));
  for (int64_t r = 0; r < rowTiles; ++r)
    for (int64_t n = 0; n < columns / 8; ++n)
      for (int64_t half = 0; half < 2; ++half) {
        size_t first = 4 * (n + r * columns / 8) + 2 * half;
        Value to = behind(code, own, rowOffset(r, half) * pitch + 16 * n);
        LLVM::StoreOp::create(code.b, code.loc, pair(code, sums[first], sums[first + 1]), to, /*alignment=*/4);
      }
}

void MmaCode::store(TileCode &code, const MmaTile &tile, const MmaRows &to, Value firstRow) const {
  auto part = VectorType::get({4}, code.b.getI32Type());
  Value end = code.number(to.rows, thread.getType());
  forEachPart(code, tile, [&](TileCode &inner, Value row, Value byte) {
    Value place = inner.add(firstRow, row);
    inner.when(inner.less(place, end), [&](TileCode then) {
      Value from = behind(then, tile.base, then.add(then.times(row, tile.pitch()), byte));
      Value target = behind(then, to.pointer, then.add(then.times(wide(then, place), 2 * to.pitch), wide(then, byte)));
      Value value = LLVM::LoadOp::create(then.b, then.loc, part, from, partBytes);
      LLVM::StoreOp::create(then.b, then.loc, value, target, partBytes);
    });
  });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Value MmaCode::byRows(TileCode &code, const MmaTile &tile) const {
  Value row = code.rem(lane, mmaSide), column = code.div(lane, mmaSide);
  return behind(code, tile.base, code.add(code.times(row, tile.pitch()), code.times(column, 16)));
}

Value MmaCode::byColumns(TileCode &code, const MmaTile &tile) const {
  Value row = code.add(code.rem(lane, 8), code.times(code.div(lane, 16), 8)), column = code.rem(code.div(lane, 8), 2);
  return behind(code, tile.base, code.add(code.times(row, tile.pitch()), code.times(column, 16)));
}

Numbers MmaCode::loadMatrices(TileCode &code, Value address, int64_t offset, bool transposed) const {
  OpBuilder &b = code.b;
  SmallVector<Type> four(4, b.getI32Type());
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), four);
  Value all = NVVM::LdMatrixOp::create(
      b, code.loc, type, behind(code, address, offset), 4, transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  Numbers registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(b, code.loc, all, i));
  return registers;
}

void MmaCode::multiply(TileCode &code, ValueRange left, ValueRange right, MutableArrayRef<Value> sums) const {
  OpBuilder &b = code.b;
  SmallVector<Type> four(4, b.getF32Type());
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), four);
  std::array types{NVVM::MMATypes::bf16, NVVM::MMATypes::bf16};
  std::array layouts{NVVM::MMALayout::row, NVVM::MMALayout::col};
  SmallVector<Value> before(sums.begin(), sums.end());
  Value after = NVVM::MmaOp::create(b, code.loc, type, left, right, before, {mmaSide, 8, mmaSide}, std::nullopt,
                                    std::nullopt, types, layouts);
  for (int64_t i = 0; i < 4; ++i)
    sums[i] = LLVM::ExtractValueOp::create(b, code.loc, after, i);
}

Numbers MmaCode::products(TileCode &code, Value left, Value right, int64_t depth, int64_t rowTiles,
                          int64_t columns) const {
  const int64_t pitch = mmaPitch(depth);
  Numbers sums(rowTiles * columns / 2, code.real(0));
  for (int64_t k = 0; k < depth; k += mmaSide) {
    SmallVector<Numbers> lefts;
    for (int64_t r = 0; r < rowTiles; ++r)
      lefts.push_back(loadMatrices(code, left, mmaSide * r * pitch + 2 * k, /*transposed=*/false));
    for (int64_t n = 0; n < columns; n += mmaSide) {
      Numbers two = loadMatrices(code, right, n * pitch + 2 * k, /*transposed=*/false);
      for (int64_t r = 0; r < rowTiles; ++r) {
        auto here = MutableArrayRef(sums).slice((r * columns + n) / 2, 8);
        multiply(code, lefts[r], ArrayRef(two).take_front(2), here.take_front(4));
        multiply(code, lefts[r], ArrayRef(two).drop_front(2), here.drop_front(4));
      }
    }
  }
  return sums;
}

Value MmaCode::pair(TileCode &code, Value low, Value high) const {
  auto two = VectorType::get({2}, code.b.getBF16Type());
  Value rounded =
      NVVM::ConvertF32x2ToBF16x2Op::create(code.b, code.loc, two, high, low, Value(), NVVM::FPRoundingMode::RN);
  return LLVM::BitcastOp::create(code.b, code.loc, code.b.getI32Type(), rounded);
}

Numbers MmaCode::round(TileCode &code, ValueRange numbers) const {
  Numbers registers;
  for (size_t i = 0; i < numbers.size(); i += 2)
    registers.push_back(pair(code, numbers[i], numbers[i + 1]));
  return registers;
}

Numbers MmaCode::accumulate(TileCode &code, ValueRange left, Value right, int64_t pitch, int64_t columns,
                            int64_t rowTiles, ValueRange sums) const {
  Numbers after(sums);
  const int64_t terms = static_cast<int64_t>(left.size()) / rowTiles / 4;
  for (int64_t t = 0; t < terms; ++t)
    for (int64_t n = 0; n < columns; n += mmaSide) {
      Numbers two = loadMatrices(code, right, mmaSide * t * pitch + 2 * n, /*transposed=*/true);
      for (int64_t r = 0; r < rowTiles; ++r) {
        ValueRange own = left.slice(4 * (r * terms + t), 4);
        auto here = MutableArrayRef(after).slice((r * columns + n) / 2, 8);
        multiply(code, own, ArrayRef(two).take_front(2), here.take_front(4));
        multiply(code, own, ArrayRef(two).drop_front(2), here.drop_front(4));
      }
    }
  return after;
}

static Value callIntrinsic(TileCode &code, StringRef name, Value x) {
  return LLVM::CallIntrinsicOp::create(code.b, code.loc, code.b.getF32Type(), code.b.getStringAttr(name), ValueRange(x))
      .getResult(0);
}

Value MmaCode::exp2(TileCode &code, Value x) const { return callIntrinsic(code, "llvm.nvvm.ex2.approx.ftz.f32", x); }
Value MmaCode::reciprocal(TileCode &code, Value x) const {
  return callIntrinsic(code, "llvm.nvvm.rcp.approx.ftz.f", x);
}
Value MmaCode::log2(TileCode &code, Value x) const { return callIntrinsic(code, "llvm.nvvm.lg2.approx.ftz.f", x); }

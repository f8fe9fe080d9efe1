//===- Tiles.cpp - Products of tiles in shared memory --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/Tiles.h"

#include "lib/Target/CUDA/CudaTarget.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;
using cuda::Numbers;
using cuda::Tile;
using cuda::TileCode;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

TileCode::TileCode(OpBuilder &builder, Location loc) : b(builder), loc(loc) {
  Value index = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
  thread = arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
  x = rem(thread, tileSide);
  y = div(thread, tileSide);
}

Value TileCode::number(int64_t value) { return target::constantI64(b, loc, value); }
Value TileCode::number(int64_t value, Type type) {
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value));
}
Value TileCode::real(double value) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); }
Value TileCode::add(Value a, Value c) { return arith::AddIOp::create(b, loc, a, c); }
Value TileCode::add(Value a, int64_t c) { return c == 0 ? a : add(a, number(c, a.getType())); }
Value TileCode::sub(Value a, Value c) { return arith::SubIOp::create(b, loc, a, c); }
Value TileCode::times(Value a, int64_t c) { return arith::MulIOp::create(b, loc, a, number(c, a.getType())); }
Value TileCode::div(Value a, int64_t c) { return arith::DivUIOp::create(b, loc, a, number(c, a.getType())); }
Value TileCode::rem(Value a, int64_t c) { return arith::RemUIOp::create(b, loc, a, number(c, a.getType())); }
Value TileCode::min(Value a, Value c) { return arith::MinSIOp::create(b, loc, a, c); }
Value TileCode::max(Value a, Value c) { return arith::MaxSIOp::create(b, loc, a, c); }
Value TileCode::less(Value a, Value c) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, a, c); }
Value TileCode::both(Value a, Value c) { return arith::AndIOp::create(b, loc, a, c); }
Value TileCode::fma(Value a, Value c, Value d) { return math::FmaOp::create(b, loc, a, c, d); }
Value TileCode::addf(Value a, Value c) { return arith::AddFOp::create(b, loc, a, c); }
Value TileCode::subf(Value a, Value c) { return arith::SubFOp::create(b, loc, a, c); }
Value TileCode::mulf(Value a, Value c) { return arith::MulFOp::create(b, loc, a, c); }
Value TileCode::select(Value condition, Value a, Value c) { return arith::SelectOp::create(b, loc, condition, a, c); }

Value TileCode::widen(Value value) { return target::emitWiden(b, loc, value); }
Value TileCode::narrow(Value value, Type element) { return target::emitNarrow(b, loc, value, element); }

static unsigned bytesOfElement(Type type) { return getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8; }

Value TileCode::load(Type type, Value pointer, Value index, unsigned alignment) {
  Value place = LLVM::GEPOp::create(b, loc, pointer.getType(), getElementTypeOrSelf(type), pointer,
                                    ArrayRef<LLVM::GEPArg>{index});
  return LLVM::LoadOp::create(b, loc, type, place, alignment ? alignment : bytesOfElement(type));
}

void TileCode::store(Value value, Value pointer, Value index, unsigned alignment) {
  Value place = LLVM::GEPOp::create(b, loc, pointer.getType(), getElementTypeOrSelf(value.getType()), pointer,
                                    ArrayRef<LLVM::GEPArg>{index});
  LLVM::StoreOp::create(b, loc, value, place, alignment ? alignment : bytesOfElement(value.getType()));
}

Value TileCode::fromLane(Value value, int32_t distance) {
  return gpu::ShuffleOp::create(b, loc, value, distance, CudaTarget::warp, gpu::ShuffleMode::XOR).getShuffleResult();
}

void TileCode::barrier() { gpu::BarrierOp::create(b, loc); }

Numbers TileCode::choose(Value condition, ValueRange otherwise, llvm::function_ref<Numbers(TileCode)> then) {
  auto some = scf::IfOp::create(b, loc, otherwise.getTypes(), condition, /*withElseRegion=*/true);
  OpBuilder inside = some.getThenBodyBuilder(), outside = some.getElseBodyBuilder();
  scf::YieldOp::create(inside, loc, then(at(inside)));
  scf::YieldOp::create(outside, loc, otherwise);
  return Numbers(some.getResults());
}

void TileCode::when(Value condition, llvm::function_ref<void(TileCode)> then) {
  auto some = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder inside = some.getThenBodyBuilder();
  then(at(inside));
}

Numbers TileCode::loop(Value from, Value to, int64_t step, ValueRange initial,
                       llvm::function_ref<Numbers(TileCode, Value, ValueRange)> body) {
  // The loop is in place before its body is made: bodies look up the module and the function that they are in.
  auto loop = scf::ForOp::create(b, loc, from, to, number(step, from.getType()), initial);
  Block *block = loop.getBody();
  if (!block->empty())
    block->back().erase();
  OpBuilder inner = OpBuilder::atBlockEnd(block);
  Numbers results = body(at(inner), loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(inner, loc, results);
  return Numbers(loop.getResults());
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

Tile TileCode::tile(Value memory, int64_t offset, int64_t columns) {
  Value base = LLVM::GEPOp::create(b, loc, memory.getType(), b.getI8Type(), memory,
                                   ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  return {base, columns};
}

void TileCode::fill(const Tile &tile, const Matrix &matrix, const Window &window) {
  const int64_t padded = llvm::alignTo(window.columns, 64), chunks = padded / 4;
  auto four = VectorType::get({4}, b.getF32Type()), stored = VectorType::get({4}, matrix.element);
  bool whole = window.columns % 4 == 0 && matrix.pitch % 4 == 0;
  loop(thread, number(tileRows * chunks), tileThreads, {}, [&](TileCode code, Value chunk, ValueRange) {
    Value row = code.div(chunk, chunks), column = code.times(code.rem(chunk, chunks), 4);
    Value start =
        code.add(code.times(code.add(window.firstRow, row), matrix.pitch), code.add(window.firstColumn, column));
    Value zero = arith::ConstantOp::create(code.b, loc, code.b.getZeroAttr(four));
    Value inside = code.less(row, window.rows);
    Value value;
    if (whole) {
      if (window.columns != padded)
        inside = code.both(inside, code.less(column, code.number(window.columns)));
      value = code.choose(inside, zero, [&](TileCode then) {
        return Numbers{then.widen(then.load(stored, matrix.pointer, start, 4 * bytesOfElement(matrix.element)))};
      })[0];
    } else {
      value = zero;
      for (int64_t i = 0; i < 4; ++i) {
        Value within = code.both(inside, code.less(code.add(column, i), code.number(window.columns)));
        Value element = code.choose(within, code.real(0), [&](TileCode then) {
          return Numbers{then.widen(then.load(matrix.element, matrix.pointer, then.add(start, i)))};
        })[0];
        value = vector::InsertOp::create(code.b, loc, element, value, ArrayRef<int64_t>{i});
      }
    }
    code.store(value, tile.base, code.add(code.times(row, tilePitch(tile.columns)), column), 16);
    return Numbers();
  });
}

Numbers TileCode::dot(const Tile &a, const Tile &c, ValueRange sums) {
  auto four = VectorType::get({4}, b.getF32Type());
  return loop(number(0), number(llvm::alignTo(a.columns, 4)), 4, sums, [&](TileCode code, Value k, ValueRange before) {
    Numbers left, right, after(before);
    for (int64_t i = 0; i < perThread; ++i)
      left.push_back(code.load(four, a.base, code.add(code.times(code.row(i), tilePitch(a.columns)), k), 16));
    for (int64_t j = 0; j < perThread; ++j)
      right.push_back(code.load(four, c.base, code.add(code.times(code.column(j), tilePitch(c.columns)), k), 16));
    auto element = [&](Value vector, int64_t index) -> Value {
      return vector::ExtractOp::create(code.b, loc, vector, ArrayRef<int64_t>{index});
    };
    for (int64_t e = 0; e < 4; ++e)
      for (int64_t i = 0; i < perThread; ++i)
        for (int64_t j = 0; j < perThread; ++j) {
          Value &sum = after[i * perThread + j];
          sum = code.fma(element(left[i], e), element(right[j], e), sum);
        }
    return after;
  });
}

void TileCode::put(const Tile &tile, ValueRange numbers) {
  for (int64_t i = 0; i < perThread; ++i)
    for (int64_t j = 0; j < perThread; ++j)
      store(numbers[i * perThread + j], tile.base, add(times(row(i), tilePitch(tile.columns)), column(j)));
}

Numbers TileCode::zeros(int64_t columns) {
  auto four = VectorType::get({4}, b.getF32Type());
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(four));
  return Numbers(perThread * llvm::divideCeil(columns, 64), zero);
}

Numbers TileCode::accumulate(const Tile &weights, const Tile &rows, ValueRange sums) {
  auto four = VectorType::get({4}, b.getF32Type());
  const int64_t groups = static_cast<int64_t>(sums.size()) / perThread;
  return loop(number(0), number(tileRows), 4, sums, [&](TileCode code, Value k, ValueRange before) {
    Numbers factors, after(before);
    for (int64_t i = 0; i < perThread; ++i)
      factors.push_back(
          code.load(four, weights.base, code.add(code.times(code.row(i), tilePitch(weights.columns)), k), 16));
    for (int64_t e = 0; e < 4; ++e) {
      Value start = code.add(code.times(code.add(k, e), tilePitch(rows.columns)), code.times(x, 4));
      for (int64_t g = 0; g < groups; ++g) {
        Value columns = code.load(four, rows.base, code.add(start, 64 * g), 16);
        for (int64_t i = 0; i < perThread; ++i) {
          Value factor = vector::ExtractOp::create(code.b, loc, factors[i], ArrayRef<int64_t>{e});
          Value &sum = after[i * groups + g];
          sum = code.fma(vector::BroadcastOp::create(code.b, loc, four, factor), columns, sum);
        }
      }
    }
    return after;
  });
}

void TileCode::storeSums(ValueRange sums, const Matrix &matrix, const Window &window) {
  const int64_t groups = static_cast<int64_t>(sums.size()) / perThread;
  bool whole = window.columns % 4 == 0 && matrix.pitch % 4 == 0;
  for (int64_t i = 0; i < perThread; ++i)
    when(less(row(i), window.rows), [&](TileCode code) {
      Value start = code.add(code.times(code.add(window.firstRow, code.row(i)), matrix.pitch), window.firstColumn);
      for (int64_t g = 0; g < groups; ++g) {
        Value column = code.add(code.times(x, 4), 64 * g), value = sums[i * groups + g];
        auto storeFour = [&](TileCode inner) {
          if (whole)
            return inner.store(inner.narrow(value, matrix.element), matrix.pointer, inner.add(start, column),
                               4 * bytesOfElement(matrix.element));
          for (int64_t e = 0; e < 4; ++e) {
            Value place = inner.add(column, e);
            inner.when(inner.less(place, inner.number(window.columns)), [&](TileCode last) {
              Value element = vector::ExtractOp::create(last.b, loc, value, ArrayRef<int64_t>{e});
              last.store(last.narrow(element, matrix.element), matrix.pointer, last.add(start, place));
            });
          }
        };
        if (64 * (g + 1) <= window.columns)
          storeFour(code);
        else
          code.when(code.less(column, code.number(window.columns)), storeFour);
      }
    });
}

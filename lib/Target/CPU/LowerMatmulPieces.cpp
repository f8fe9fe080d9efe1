//===- LowerMatmulPieces.cpp - Packing and the macro-kernel ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerMatmul.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

/// k steps a turn of the register loop.
static constexpr int64_t kUnroll = 4;

/// How many rows ahead packing across k fetches.
static constexpr int64_t prefetchRows = 16;

ProductTile cpu::productTile(const CpuTarget &target) { return {target.mr, target.nr, target.lanes()}; }

ProductTile cpu::productTile(const CpuTarget &target, int64_t columns) {
  if (columns > target.lanes())
    return productTile(target);
  return {target.mr * target.nr / target.lanes(), target.lanes(), target.lanes()};
}

//===----------------------------------------------------------------------===//
// Loads, stores, seams
//===----------------------------------------------------------------------===//

static unsigned bytesOfElement(Type type) { return getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8; }

Value cpu::emitLoad(OpBuilder &builder, Location loc, Type type, Value pointer, unsigned alignment) {
  return LLVM::LoadOp::create(builder, loc, type, pointer, alignment ? alignment : bytesOfElement(type));
}

void cpu::emitStore(OpBuilder &builder, Location loc, Value value, Value pointer, unsigned alignment) {
  LLVM::StoreOp::create(builder, loc, value, pointer, alignment ? alignment : bytesOfElement(value.getType()));
}

/// Whether a seam does no more than widen its element.
static bool isPlain(Region *seam) {
  if (!seam || seam->empty())
    return true;
  Block &block = seam->front();
  Value yielded = cast<plan::YieldOp>(block.getTerminator()).getValue();
  if (yielded == block.getArgument(0))
    return true;
  auto extend = yielded.getDefiningOp<arith::ExtFOp>();
  return extend && extend.getIn() == block.getArgument(0);
}

Value cpu::emitDecode(OpBuilder &builder, Location loc, const PanelSource &source, Value value) {
  if (isPlain(source.seam))
    return emitWiden(builder, loc, value);
  return emitSeam(builder, loc, *source.seam, value);
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

static Value offsetPointer(OpBuilder &builder, Location loc, Value pointer, Type element, int64_t elements) {
  if (elements == 0)
    return pointer;
  return LLVM::GEPOp::create(builder, loc, pointer.getType(), element, pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(elements)});
}

/// First 4 × 4 blocks within 128-bit parts, then the parts: shuffles that AVX2 and AVX-512 have as single instructions.
SmallVector<Value> cpu::emitTranspose(OpBuilder &builder, Location loc, ArrayRef<Value> rows, VectorType type) {
  int64_t lanes = type.getDimSize(0), parts = lanes / 4;
  auto shuffle = [&](Value x, Value y, function_ref<int64_t(int64_t part, int64_t i)> from) -> Value {
    if (!x)
      return nullptr;
    SmallVector<int64_t> mask;
    for (int64_t part = 0; part < parts; ++part)
      for (int64_t i = 0; i < 4; ++i)
        mask.push_back(from(part, i));
    return vector::ShuffleOp::create(builder, loc, x, y ? y : x, mask);
  };
  // unpacklo / unpackhi of single and double words, part by part. `word`: size of what is interleaved, in f32.
  auto unpack = [&](Value x, Value y, int64_t word, int64_t high) {
    return shuffle(x, y, [&](int64_t part, int64_t i) {
      int64_t pair = i / word; // which word of the result's part
      return (pair % 2 ? lanes : 0) + 4 * part + (high ? 2 : 0) + (word == 2 ? 0 : pair / 2) + i % word;
    });
  };
  // quads[g][j], part q: column 4q + j of rows 4g .. 4g+3.
  SmallVector<std::array<Value, 4>> quads;
  for (int64_t g = 0; g < parts; ++g) {
    Value a = rows[4 * g], b = rows[4 * g + 1], c = rows[4 * g + 2], d = rows[4 * g + 3];
    Value ab0 = unpack(a, b, 1, 0), ab1 = unpack(a, b, 1, 1), cd0 = unpack(c, d, 1, 0), cd1 = unpack(c, d, 1, 1);
    quads.push_back({unpack(ab0, cd0, 2, 0), unpack(ab0, cd0, 2, 1), unpack(ab1, cd1, 2, 0), unpack(ab1, cd1, 2, 1)});
  }
  SmallVector<Value> result(lanes);
  // Even or odd parts of x, then of y.
  auto parity = [&](Value x, Value y, int64_t odd) {
    return shuffle(x, y, [&](int64_t part, int64_t i) {
      int64_t half = parts / 2;
      return (part >= half ? lanes : 0) + 4 * (2 * (part % half) + odd) + i;
    });
  };
  for (int64_t j = 0; j < 4; ++j) {
    if (parts == 2) {
      for (int64_t q = 0; q < 2; ++q)
        result[4 * q + j] = parity(quads[0][j], quads[1][j], q);
      continue;
    }
    for (int64_t odd = 0; odd < 2; ++odd) {
      Value low = parity(quads[0][j], quads[1][j], odd), high = parity(quads[2][j], quads[3][j], odd);
      result[4 * odd + j] = parity(low, high, 0);
      result[4 * (odd + 2) + j] = parity(low, high, 1);
    }
  }
  return result;
}

/// The body for elements that lie along k: `lanes` steps of k of all rows are read, transposed and written.
static void emitPackAlongK(OpBuilder &builder, Location loc, LLVM::LLVMFuncOp function, int64_t width, int64_t lanes,
                           const PanelSource &source) {
  Block &entry = function.getBody().front();
  Value src = entry.getArgument(0), dst = entry.getArgument(1), ld = entry.getArgument(2), valid = entry.getArgument(3),
        k = entry.getArgument(4), panelSize = entry.getArgument(5);
  Type f32 = builder.getF32Type();
  auto row = VectorType::get({lanes}, f32), stored = VectorType::get({lanes}, source.element);
  Value zero = constantI64(builder, loc, 0), one = constantI64(builder, loc, 1);
  Value kWhole = arith::AndIOp::create(builder, loc, k, constantI64(builder, loc, -lanes));
  Value nextPanel = arith::MulIOp::create(builder, loc, ld, constantI64(builder, loc, width));

  emitFor(builder, loc, zero, valid, width, dst, [&](OpBuilder &panel, Value first, ValueRange state) {
    Value out = state.front();
    // Rows past the last are read from the last: their products are never stored.
    Value left = arith::SubIOp::create(panel, loc, valid, first);
    Value last = arith::SubIOp::create(panel, loc, left, one);
    Value base = elementPointer(panel, loc, src, source.element, arith::MulIOp::create(panel, loc, first, ld));
    // From the last group of rows to the first: what a partial group writes past its own elements, the first group puts
    // right. Within a group the same holds from one k to the next.
    for (int64_t group = (width - 1) / lanes * lanes; group >= 0; group -= lanes) {
      int64_t rows = std::min(lanes, width - group);
      SmallVector<Value> pointers;
      for (int64_t r = 0; r < rows; ++r) {
        Value index = arith::MinSIOp::create(panel, loc, constantI64(panel, loc, group + r), last);
        pointers.push_back(
            elementPointer(panel, loc, base, source.element, arith::MulIOp::create(panel, loc, index, ld)));
      }
      Value groupOut = offsetPointer(panel, loc, out, f32, group);
      emitFor(panel, loc, zero, kWhole, lanes, {}, [&](OpBuilder &inner, Value step, ValueRange) {
        SmallVector<Value> loaded(lanes);
        for (int64_t r = 0; r < rows; ++r) {
          // The same place of the next panel: too many short streams for the hardware to fetch ahead.
          LLVM::Prefetch::create(inner, loc,
                                 elementPointer(inner, loc, pointers[r], source.element,
                                                arith::AddIOp::create(inner, loc, nextPanel, step)),
                                 /*rw=*/0, /*hint=*/3, /*cache=*/1);
          Value place = elementPointer(inner, loc, pointers[r], source.element, step);
          loaded[r] = emitDecode(inner, loc, source, emitLoad(inner, loc, stored, place));
        }
        // A group of four rows is there or not; missing rows of a partial group repeat its first.
        for (int64_t r = rows; r < (rows + 3) / 4 * 4; ++r)
          loaded[r] = loaded[r / 4 * 4];
        SmallVector<Value> columns = emitTranspose(inner, loc, loaded, row);
        Value place = elementPointer(inner, loc, groupOut, f32,
                                     arith::MulIOp::create(inner, loc, step, constantI64(inner, loc, width)));
        for (int64_t c = 0; c < lanes; ++c)
          emitStore(inner, loc, columns[c], offsetPointer(inner, loc, place, f32, c * width));
        return SmallVector<Value>{};
      });
      emitFor(panel, loc, kWhole, k, 1, {}, [&](OpBuilder &inner, Value step, ValueRange) {
        Value place = elementPointer(inner, loc, groupOut, f32,
                                     arith::MulIOp::create(inner, loc, step, constantI64(inner, loc, width)));
        for (int64_t r = 0; r < rows; ++r) {
          Value from = elementPointer(inner, loc, pointers[r], source.element, step);
          Value value = emitDecode(inner, loc, source, emitLoad(inner, loc, source.element, from));
          emitStore(inner, loc, value, offsetPointer(inner, loc, place, f32, r));
        }
        return SmallVector<Value>{};
      });
    }
    return SmallVector<Value>{elementPointer(panel, loc, out, f32, panelSize)};
  });
}

/// The body for elements that lie across k: for each k a run of elements is cut into the panels. Memory is read in
/// the order in which it lies.
static void emitPackAcrossK(OpBuilder &builder, Location loc, LLVM::LLVMFuncOp function, int64_t width, int64_t lanes,
                            const PanelSource &source) {
  Block &entry = function.getBody().front();
  Value src = entry.getArgument(0), dst = entry.getArgument(1), ld = entry.getArgument(2), valid = entry.getArgument(3),
        k = entry.getArgument(4), panelSize = entry.getArgument(5);
  Type f32 = builder.getF32Type();
  Value zero = constantI64(builder, loc, 0), widthValue = constantI64(builder, loc, width);
  Value whole = arith::SubIOp::create(builder, loc, valid, arith::RemSIOp::create(builder, loc, valid, widthValue));
  Value ahead = arith::MulIOp::create(builder, loc, ld, constantI64(builder, loc, prefetchRows));
  SmallVector<int64_t> pieces; // a panel's width as vectors: full ones, then halves
  for (int64_t left = width, piece = lanes; left > 0; left -= piece) {
    while (piece > left)
      piece /= 2;
    pieces.push_back(piece);
  }
  emitFor(builder, loc, zero, k, 1, {}, [&](OpBuilder &step, Value index, ValueRange) {
    Value from = elementPointer(step, loc, src, source.element, arith::MulIOp::create(step, loc, index, ld));
    Value to = elementPointer(step, loc, dst, f32, arith::MulIOp::create(step, loc, index, widthValue));
    SmallVector<Value> end =
        emitFor(step, loc, zero, whole, width, to, [&](OpBuilder &panel, Value first, ValueRange state) {
          Value out = state.front(), in = elementPointer(panel, loc, from, source.element, first);
          // Runs are short and far apart: too irregular for the hardware to fetch ahead. Past the end is harmless.
          LLVM::Prefetch::create(panel, loc, elementPointer(panel, loc, in, source.element, ahead), /*rw=*/0,
                                 /*hint=*/3, /*cache=*/1);
          int64_t at = 0;
          for (int64_t piece : pieces) {
            Value place = offsetPointer(panel, loc, in, source.element, at);
            Value value = emitLoad(panel, loc, VectorType::get({piece}, source.element), place);
            emitStore(panel, loc, emitDecode(panel, loc, source, value), offsetPointer(panel, loc, out, f32, at));
            at += piece;
          }
          return SmallVector<Value>{elementPointer(panel, loc, out, f32, panelSize)};
        });
    emitFor(step, loc, whole, valid, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
      Value value = emitLoad(inner, loc, source.element, elementPointer(inner, loc, from, source.element, i));
      Value place = elementPointer(inner, loc, end.front(), f32, arith::SubIOp::create(inner, loc, i, whole));
      emitStore(inner, loc, emitDecode(inner, loc, source, value), place);
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
}

LLVM::LLVMFuncOp cpu::packFunction(ModuleOp module, const CpuTarget &target, int64_t width, const PanelSource &source) {
  std::string elementName;
  llvm::raw_string_ostream(elementName) << source.element;
  std::string name = ("ftc.pack." + Twine(source.form == PanelForm::AlongK ? "along" : "across") + "." + Twine(width) +
                      "." + elementName)
                         .str();
  if (!isPlain(source.seam))
    name += ("." + source.owner).str();
  if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return known;

  MLIRContext *context = module.getContext();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type i64 = builder.getI64Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), {pointer, pointer, i64, i64, i64, i64});
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name, type, LLVM::Linkage::Internal);
  // Calls are few and long; inlined, its loops would be compiled anew for every product of a step.
  function.setNoInline(true);
  for (unsigned argument : {0, 1})
    function.setArgAttr(argument, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  if (source.form == PanelForm::AlongK)
    emitPackAlongK(builder, loc, function, width, target.lanes(), source);
  else
    emitPackAcrossK(builder, loc, function, width, target.lanes(), source);
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
  return function;
}

void cpu::emitPack(OpBuilder &builder, Location loc, const CpuTarget &target, int64_t width, const PanelSource &source,
                   Value from, Value to, Value ld, Value valid, Value k, Value panelStride) {
  auto module = builder.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  if (!panelStride)
    panelStride = SizeMath{builder, loc}.mul(k, width);
  LLVM::CallOp::create(builder, loc, packFunction(module, target, width, source),
                       ValueRange{from, to, ld, valid, k, panelStride});
}

//===----------------------------------------------------------------------===//
// The macro-kernel
//===----------------------------------------------------------------------===//

/// One tile: sums over k in registers, then stored or added to c.
static void emitTile(OpBuilder &builder, Location loc, const ProductTile &tile, Value a, Value b, Value c, Value k,
                     Value cRow, Value accumulate, Value fetch) {
  Type f32 = builder.getF32Type();
  auto vector = VectorType::get({tile.lanes}, f32);
  int64_t columns = tile.nr / tile.lanes;
  Value zero = constantI64(builder, loc, 0);

  SmallVector<Value> rows(tile.mr);
  rows[0] = c;
  for (int64_t r = 1; r < tile.mr; ++r)
    rows[r] = elementPointer(builder, loc, rows[r - 1], f32, cRow);
  for (Value row : rows)
    for (int64_t s = 0; s < tile.nr; s += 16)
      LLVM::Prefetch::create(builder, loc, offsetPointer(builder, loc, row, f32, s), /*rw=*/1, /*hint=*/3, /*cache=*/1);

  auto multiply = [&](OpBuilder &inner, Value first, int64_t steps, ValueRange sums) {
    SmallVector<Value> next(sums.begin(), sums.end());
    Value pa =
        elementPointer(inner, loc, a, f32, arith::MulIOp::create(inner, loc, first, constantI64(inner, loc, tile.mr)));
    Value pb =
        elementPointer(inner, loc, b, f32, arith::MulIOp::create(inner, loc, first, constantI64(inner, loc, tile.nr)));
    for (int64_t step = 0; step < steps; ++step) {
      SmallVector<Value> rowOfB;
      for (int64_t s = 0; s < columns; ++s)
        rowOfB.push_back(emitLoad(inner, loc, vector,
                                  offsetPointer(inner, loc, pb, f32, step * tile.nr + s * tile.lanes), tile.lanes * 4));
      for (int64_t r = 0; r < tile.mr; ++r) {
        Value element = emitLoad(inner, loc, f32, offsetPointer(inner, loc, pa, f32, step * tile.mr + r));
        Value spread = vector::BroadcastOp::create(inner, loc, vector, element);
        for (int64_t s = 0; s < columns; ++s) {
          Value &sum = next[r * columns + s];
          sum = vector::FMAOp::create(inner, loc, spread, rowOfB[s], sum);
        }
      }
    }
    return next;
  };
  Value none = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vector, 0.0f));
  SmallVector<Value> sums(tile.mr * columns, none);
  Value whole = arith::AndIOp::create(builder, loc, k, constantI64(builder, loc, -kUnroll));
  sums = emitFor(builder, loc, zero, whole, kUnroll, sums, [&](OpBuilder &inner, Value first, ValueRange state) {
    // One line of what comes next for every turn; a column of tiles together fetches a panel of b.
    Value line = arith::MulIOp::create(inner, loc, first, constantI64(inner, loc, 16 / kUnroll));
    LLVM::Prefetch::create(inner, loc, elementPointer(inner, loc, fetch, f32, line), /*rw=*/0, /*hint=*/2, /*cache=*/1);
    return multiply(inner, first, kUnroll, state);
  });
  sums = emitFor(builder, loc, whole, k, 1, sums,
                 [&](OpBuilder &inner, Value first, ValueRange state) { return multiply(inner, first, 1, state); });

  auto write = [&](OpBuilder &inner, bool add) {
    for (int64_t r = 0; r < tile.mr; ++r)
      for (int64_t s = 0; s < columns; ++s) {
        Value place = offsetPointer(inner, loc, rows[r], f32, s * tile.lanes);
        Value sum = sums[r * columns + s];
        if (add)
          sum = arith::AddFOp::create(inner, loc, emitLoad(inner, loc, vector, place), sum);
        emitStore(inner, loc, sum, place);
      }
  };
  scf::IfOp::create(
      builder, loc, accumulate,
      [&](OpBuilder &inner, Location) {
        write(inner, true);
        scf::YieldOp::create(inner, loc);
      },
      [&](OpBuilder &inner, Location) {
        write(inner, false);
        scf::YieldOp::create(inner, loc);
      });
}

static LLVM::LLVMFuncOp macroFunction(ModuleOp module, const ProductTile &tile) {
  std::string name = ("ftc.macro." + Twine(tile.mr) + "x" + Twine(tile.nr)).str();
  if (auto known = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return known;
  MLIRContext *context = module.getContext();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> inputs{pointer, pointer, pointer};
  inputs.append(8, builder.getI64Type());
  inputs.push_back(builder.getI1Type());
  inputs.push_back(pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), inputs);
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name, type, LLVM::Linkage::Internal);
  for (unsigned argument : {0, 1, 2})
    function.setArgAttr(argument, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  Value panelsA = entry->getArgument(3), panelsB = entry->getArgument(4), k = entry->getArgument(5),
        aStride = entry->getArgument(6), bStride = entry->getArgument(7), cStrideI = entry->getArgument(8),
        cStrideJ = entry->getArgument(9), cRow = entry->getArgument(10), accumulate = entry->getArgument(11);
  Type f32 = builder.getF32Type();
  Value zero = constantI64(builder, loc, 0);
  emitFor(builder, loc, zero, panelsB, 1, {}, [&](OpBuilder &outer, Value j, ValueRange) {
    Value b = elementPointer(outer, loc, entry->getArgument(1), f32, arith::MulIOp::create(outer, loc, j, bStride));
    Value fetchJ =
        elementPointer(outer, loc, entry->getArgument(12), f32, arith::MulIOp::create(outer, loc, j, bStride));
    Value cj = elementPointer(outer, loc, entry->getArgument(2), f32, arith::MulIOp::create(outer, loc, j, cStrideJ));
    emitFor(outer, loc, zero, panelsA, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
      Value a = elementPointer(inner, loc, entry->getArgument(0), f32, arith::MulIOp::create(inner, loc, i, aStride));
      Value c = elementPointer(inner, loc, cj, f32, arith::MulIOp::create(inner, loc, i, cStrideI));
      Value lines = SizeMath{inner, loc}.mul(arith::MulIOp::create(inner, loc, i, k), 16 / kUnroll);
      emitTile(inner, loc, tile, a, b, c, k, cRow, accumulate, elementPointer(inner, loc, fetchJ, f32, lines));
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
  return function;
}

void cpu::emitMacro(OpBuilder &builder, Location loc, const ProductTile &tile, const MacroOperands &o) {
  auto module = builder.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  SizeMath s{builder, loc};
  Value fetch = s.at(o.b, builder.getF32Type(), o.bStride);
  if (o.row)
    fetch = s.at(fetch, builder.getF32Type(), s.mul(s.mul(o.row, o.k), 16 / kUnroll));
  LLVM::CallOp::create(builder, loc, macroFunction(module, tile),
                       ValueRange{o.a, o.b, o.c, o.panelsA, o.panelsB, o.k, o.aStride, o.bStride, o.cStrideI,
                                  o.cStrideJ, o.cRow, o.accumulate, fetch});
}

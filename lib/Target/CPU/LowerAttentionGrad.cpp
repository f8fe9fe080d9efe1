//===- LowerAttentionGrad.cpp - plan.attention_grad to packed products -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A task is a pair (row of the batch, key head). It takes the query heads of the pair in order, their queries in
// blocks, and for each the blocks of keys that they see, in order:
//
//   S = Q K^T, P = exp(scale S - lse), dP = dO V^T, dS = P (dP - D)     block x block; with a cap, dS (1 - tanh^2)
//   dV += P^T dO,  dK += dS^T Q,  dQ += dS K                            summed in fp32 in the thread's scratch
//
// so that every sum has one order, whatever the number of threads. `scale` of dQ and dK is applied once, at the end.
// Blocks of keys before the window of all of a block's queries are left out; within a block keys that a query does not
// see have P = dS = 0.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerAttention.h"

#include <numeric>

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

AttentionGradBlocks::AttentionGradBlocks(const AttentionShape &shape, const CpuTarget &target) {
  ProductTile tile = productTile(target);
  auto part = [](int64_t floats) { return static_cast<int64_t>(llvm::alignTo(floats + 16, 16)); };
  // Whole panels of both kinds, about 96.
  int64_t common = std::lcm(tile.mr, tile.nr);
  block = llvm::alignTo(96, common);
  width = llvm::alignTo(shape.headDim, tile.nr);
  length = llvm::alignTo(shape.sequence, block);
  keysAlong = valuesAlong = part(length * shape.headDim);
  keysAcross = part(length * width);
  keySums = valueSums = part(length * width);
  queriesA = gradientsA = part(block * shape.headDim);
  queriesB = gradientsB = querySums = part(block * width);
  scores = slopes = packed = part(block * block);
}

namespace {

struct GradEmitter {
  plan::KernelOp kernel;
  plan::AttentionGradOp op;
  const CpuTarget &target;
  AttentionShape shape;
  AttentionGradBlocks blocks;
  ProductTile tile;
  Location loc;
  Type f32, i32;

  // What a task works with; set by emitTask.
  Value query, key, value, segmentStarts, output, lse, gradient, queryGradient, keyGradient, valueGradient;
  Value keysAlong, valuesAlong, keysAcross, keySums, valueSums, queriesA, gradientsA, queriesB, gradientsB, querySums,
      scores, slopes, packed;
  Value zero, one, isTrue;

  GradEmitter(plan::KernelOp kernel, plan::AttentionGradOp op, const CpuTarget &target)
      : kernel(kernel), op(op), target(target), shape(attentionShape(op)), blocks(shape, target),
        tile(productTile(target)), loc(op.getLoc()), f32(Float32Type::get(op.getContext())),
        i32(IntegerType::get(op.getContext(), 32)) {}

  void emit();
  void emitTask(OpBuilder &builder, TaskFunction &task);
  void emitQueryBlock(OpBuilder &builder, Value rowOfBatch, Value queryHead, Value first);
  void emitKeyBlock(OpBuilder &builder, Value row, Value queryHead, Value first, Value count, Value firstKey,
                    Value accumulate);
  void emitSlopes(OpBuilder &builder, Value row, Value queryHead, Value first, Value count, Value firstKey);
  void emitOut(OpBuilder &builder, Value sums, Value count, Value destination, Type element, Value place, int64_t ld,
               double factor);
  Value emitDot(OpBuilder &builder, Value place);
  void emitPack(OpBuilder &builder, int64_t width, PanelForm form, Type element, Value from, Value to, Value ld,
                Value valid, Value k) {
    cpu::emitPack(builder, loc, target, width, {form, element}, from, to, ld, valid, k);
  }
};

} // namespace

void GradEmitter::emit() {
  OpBuilder builder(op.getContext());
  Driver driver = createDriver(builder, kernel);
  SmallVector<Value> captures;
  for (Value operand :
       {op.getQuery(), op.getKey(), op.getValue(), op.getSegmentStarts(), op.getOutput(), op.getLse(), op.getGradient(),
        op.getQueryGradient(), op.getKeyGradient(), op.getValueGradient(), op.getScratch()})
    captures.push_back(driver.buffers[cast<BlockArgument>(operand).getArgNumber()]);
  emitParallelFor(builder, loc, driver.services, kernel.getSymName().str() + ".task0",
                  constantI64(builder, loc, shape.pairs()), captures,
                  [&](OpBuilder &body, TaskFunction &task) { emitTask(body, task); });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
}

void GradEmitter::emitTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value *inputs[] = {&query, &key,      &value,         &segmentStarts, &output,
                     &lse,   &gradient, &queryGradient, &keyGradient,   &valueGradient};
  for (auto [input, capture] : llvm::zip_first(inputs, task.captures))
    *input = capture;
  Value next = s.at(task.captures.back(), f32, s.mul(task.thread, blocks.perThread()));
  std::pair<Value *, int64_t> parts[] = {
      {&keysAlong, blocks.keysAlong},   {&valuesAlong, blocks.valuesAlong}, {&keysAcross, blocks.keysAcross},
      {&keySums, blocks.keySums},       {&valueSums, blocks.valueSums},     {&queriesA, blocks.queriesA},
      {&gradientsA, blocks.gradientsA}, {&queriesB, blocks.queriesB},       {&gradientsB, blocks.gradientsB},
      {&querySums, blocks.querySums},   {&scores, blocks.scores},           {&slopes, blocks.slopes},
      {&packed, blocks.packed}};
  for (auto [part, floats] : parts) {
    *part = next;
    next = s.at(next, f32, s.constant(floats));
  }
  zero = s.constant(0);
  one = s.constant(1);
  isTrue = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));

  Value kvHead = s.rem(task.task, shape.kvHeads);
  Value rowOfBatch = s.mul(s.div(task.task, shape.kvHeads), shape.sequence);
  Value place = s.add(s.mul(rowOfBatch, shape.keyRow()), s.mul(kvHead, shape.headDim));
  Value ld = s.constant(shape.keyRow()), depth = s.constant(shape.headDim), sequence = s.constant(shape.sequence);
  Type keyType = elementOf(op.getKey()), valueType = elementOf(op.getValue());
  Value keyHead = s.at(key, keyType, place), valueHead = s.at(value, valueType, place);
  emitPack(builder, tile.nr, PanelForm::AlongK, keyType, keyHead, keysAlong, ld, sequence, depth);
  emitPack(builder, tile.nr, PanelForm::AlongK, valueType, valueHead, valuesAlong, ld, sequence, depth);
  emitPack(builder, tile.nr, PanelForm::AcrossK, keyType, keyHead, keysAcross, ld, depth, sequence);
  auto vector = VectorType::get({tile.lanes}, f32);
  Value none = emitConstant(builder, loc, vector, 0.0);
  emitFor(builder, loc, zero, s.constant(blocks.length * blocks.width), tile.lanes, {},
          [&](OpBuilder &inner, Value i, ValueRange) {
            emitStore(inner, loc, none, elementPointer(inner, loc, keySums, f32, i));
            emitStore(inner, loc, none, elementPointer(inner, loc, valueSums, f32, i));
            return SmallVector<Value>{};
          });

  Value firstHead = s.mul(kvHead, shape.group());
  emitFor(builder, loc, firstHead, s.add(firstHead, s.constant(shape.group())), 1, {},
          [&](OpBuilder &heads, Value queryHead, ValueRange) {
            emitFor(heads, loc, zero, sequence, blocks.block, {}, [&](OpBuilder &inner, Value first, ValueRange) {
              emitQueryBlock(inner, rowOfBatch, queryHead, first);
              return SmallVector<Value>{};
            });
            return SmallVector<Value>{};
          });

  emitOut(builder, keySums, sequence, keyGradient, elementOf(op.getKeyGradient()), place, shape.keyRow(), shape.scale);
  emitOut(builder, valueSums, sequence, valueGradient, elementOf(op.getValueGradient()), place, shape.keyRow(), 1.0);
}

void GradEmitter::emitQueryBlock(OpBuilder &builder, Value rowOfBatch, Value queryHead, Value first) {
  SizeMath s{builder, loc};
  Value count = s.min(s.constant(blocks.block), s.sub(s.constant(shape.sequence), first));
  Value row = s.add(rowOfBatch, first);
  Value place = s.add(s.mul(row, shape.queryRow()), s.mul(queryHead, shape.headDim));
  Value ld = s.constant(shape.queryRow()), depth = s.constant(shape.headDim);
  Type queryType = elementOf(op.getQuery()), gradientType = elementOf(op.getGradient());
  Value queries = s.at(query, queryType, place), gradients = s.at(gradient, gradientType, place);
  emitPack(builder, tile.mr, PanelForm::AlongK, queryType, queries, queriesA, ld, count, depth);
  emitPack(builder, tile.mr, PanelForm::AlongK, gradientType, gradients, gradientsA, ld, count, depth);
  emitPack(builder, tile.nr, PanelForm::AcrossK, queryType, queries, queriesB, ld, depth, count);
  emitPack(builder, tile.nr, PanelForm::AcrossK, gradientType, gradients, gradientsB, ld, depth, count);

  // The first block of keys that any of these queries sees.
  SmallVector<Value> earliest =
      emitFor(builder, loc, zero, count, 1, first, [&](OpBuilder &inner, Value i, ValueRange state) {
        SizeMath t{inner, loc};
        Value start = emitLoad(inner, loc, i32, t.at(segmentStarts, i32, t.add(row, i)));
        if (shape.window != 0)
          start = emitFirstKey(inner, loc, shape, start, arith::TruncIOp::create(inner, loc, i32, t.add(first, i)));
        return SmallVector<Value>{t.min(state.front(), arith::ExtSIOp::create(inner, loc, inner.getI64Type(), start))};
      });
  Value from = s.mul(s.div(s.max(earliest.front(), zero), blocks.block), blocks.block);
  emitFor(builder, loc, from, s.add(first, count), blocks.block, {}, [&](OpBuilder &inner, Value firstKey, ValueRange) {
    emitKeyBlock(inner, row, queryHead, first, count, firstKey, SizeMath{inner, loc}.greater(firstKey, from));
    return SmallVector<Value>{};
  });
  emitOut(builder, querySums, count, queryGradient, elementOf(op.getQueryGradient()), place, shape.queryRow(),
          shape.scale);
}

/// One block of queries with one block of keys. Queries before a key do not see it: products leave out panels of them.
void GradEmitter::emitKeyBlock(OpBuilder &builder, Value row, Value queryHead, Value first, Value count, Value firstKey,
                               Value accumulate) {
  SizeMath s{builder, loc};
  Value depth = s.constant(shape.headDim), block = s.constant(blocks.block);
  Value isFalse = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));
  Value keys = s.min(block, s.sub(s.add(first, count), firstKey));
  Value queryPanels = s.divCeil(count, tile.mr), keyPanels = s.divCeil(keys, tile.nr);
  // Keys minus queries: how far the diagonal is into this block; negative left of it.
  Value ahead = s.sub(firstKey, first);

  // S and dP, a panel of keys at a time, from the first panel of queries that sees one of them.
  emitFor(builder, loc, zero, keyPanels, 1, {}, [&](OpBuilder &inner, Value j, ValueRange) {
    SizeMath t{inner, loc};
    Value firstPanel = t.div(t.max(t.add(ahead, t.mul(j, tile.nr)), zero), tile.mr);
    Value skipped = t.mul(firstPanel, tile.mr * shape.headDim);
    Value place = t.add(t.mul(firstPanel, tile.mr * blocks.block), t.mul(j, tile.nr));
    Value keyPlace = t.mul(t.add(firstKey, t.mul(j, tile.nr)), shape.headDim);
    MacroOperands product;
    product.panelsA = t.max(t.sub(queryPanels, firstPanel), zero);
    product.panelsB = one;
    product.k = depth;
    product.aStride = t.constant(tile.mr * shape.headDim);
    product.bStride = product.cStrideJ = zero;
    product.cStrideI = t.constant(tile.mr * blocks.block);
    product.cRow = t.constant(blocks.block);
    product.accumulate = isFalse;
    product.a = t.at(queriesA, f32, skipped);
    product.b = t.at(keysAlong, f32, keyPlace);
    product.c = t.at(scores, f32, place);
    emitMacro(inner, loc, tile, product);
    product.a = t.at(gradientsA, f32, skipped);
    product.b = t.at(valuesAlong, f32, keyPlace);
    product.c = t.at(slopes, f32, place);
    emitMacro(inner, loc, tile, product);
    return SmallVector<Value>{};
  });

  emitSlopes(builder, row, queryHead, first, count, firstKey);

  // dV += P^T dO and dK += dS^T Q: a panel of keys, the queries from the first that sees one of them.
  auto addToKeys = [&](Value weights, Value right, Value sums) {
    emitPack(builder, tile.mr, PanelForm::AcrossK, f32, weights, packed, block, keys, count);
    emitFor(builder, loc, zero, s.divCeil(keys, tile.mr), 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
      SizeMath t{inner, loc};
      Value key = t.mul(i, tile.mr);
      Value skipped = t.min(t.max(t.add(ahead, key), zero), count);
      MacroOperands product;
      product.a = t.at(packed, f32, t.mul(t.add(t.mul(i, count), skipped), tile.mr));
      product.b = t.at(right, f32, t.mul(skipped, tile.nr));
      product.c = t.at(sums, f32, t.mul(t.add(firstKey, key), blocks.width));
      product.panelsA = one;
      product.panelsB = t.constant(blocks.width / tile.nr);
      product.k = t.sub(count, skipped);
      product.aStride = product.cStrideI = zero;
      product.bStride = t.mul(count, tile.nr);
      product.cStrideJ = t.constant(tile.nr);
      product.cRow = t.constant(blocks.width);
      product.accumulate = isTrue;
      emitMacro(inner, loc, tile, product);
      return SmallVector<Value>{};
    });
  };
  addToKeys(scores, gradientsB, valueSums);
  addToKeys(slopes, queriesB, keySums);

  // dQ += dS K: a panel of queries, the keys up to the last that one of them sees.
  emitPack(builder, tile.mr, PanelForm::AlongK, f32, slopes, packed, block, count, keys);
  emitFor(builder, loc, zero, queryPanels, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
    SizeMath t{inner, loc};
    MacroOperands product;
    product.a = t.at(packed, f32, t.mul(t.mul(i, keys), tile.mr));
    product.b = t.at(keysAcross, f32, t.mul(firstKey, tile.nr));
    product.c = t.at(querySums, f32, t.mul(i, tile.mr * blocks.width));
    product.panelsA = one;
    product.panelsB = t.constant(blocks.width / tile.nr);
    product.k = t.max(t.min(keys, t.sub(t.mul(t.add(i, one), tile.mr), ahead)), zero);
    product.aStride = product.cStrideI = zero;
    product.bStride = t.constant(shape.sequence * tile.nr);
    product.cStrideJ = t.constant(tile.nr);
    product.cRow = t.constant(blocks.width);
    product.accumulate = accumulate;
    emitMacro(inner, loc, tile, product);
    return SmallVector<Value>{};
  });
}

/// Scores become P and dP becomes dS, 0 where a query does not see a key.
void GradEmitter::emitSlopes(OpBuilder &builder, Value row, Value queryHead, Value first, Value count, Value firstKey) {
  auto floats = VectorType::get({tile.lanes}, f32), integers = VectorType::get({tile.lanes}, i32);
  SmallVector<int32_t> numbers(tile.lanes);
  std::iota(numbers.begin(), numbers.end(), 0);
  Value lanes = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(integers, ArrayRef<int32_t>(numbers)));
  Value none = emitConstant(builder, loc, floats, 0.0), unit = emitConstant(builder, loc, floats, 1.0);
  Value columns = constantI64(builder, loc, blocks.block);
  emitFor(builder, loc, zero, count, 1, {}, [&](OpBuilder &l0, Value i, ValueRange) {
    SizeMath s{l0, loc};
    Value here = s.add(row, i);
    Value place = s.add(s.mul(here, shape.queryRow()), s.mul(queryHead, shape.headDim));
    Value dot = emitSpread(l0, loc, floats, emitDot(l0, place));
    Value log = emitLoad(l0, loc, f32, s.at(lse, f32, s.add(s.mul(here, shape.heads), queryHead)));
    Value logs = emitSpread(l0, loc, floats, log);
    Value ownStart = emitLoad(l0, loc, i32, s.at(segmentStarts, i32, here));
    if (shape.window != 0)
      ownStart = emitFirstKey(l0, loc, shape, ownStart, arith::TruncIOp::create(l0, loc, i32, s.add(first, i)));
    Value start = emitSpread(l0, loc, integers, ownStart);
    Value position = emitSpread(l0, loc, integers, arith::TruncIOp::create(l0, loc, i32, s.add(first, i)));
    Value rowPlace = s.mul(i, blocks.block);
    // Whole vectors up to the last key that this query sees, zeros from there on.
    Value seen = s.min(columns, s.max(s.sub(s.add(s.add(first, i), one), firstKey), zero));
    seen = s.mul(s.divCeil(seen, tile.lanes), tile.lanes);
    emitFor(l0, loc, zero, seen, tile.lanes, {}, [&](OpBuilder &inner, Value j, ValueRange) {
      SizeMath t{inner, loc};
      Value at = t.add(rowPlace, j);
      Value scorePlace = t.at(scores, f32, at), slopePlace = t.at(slopes, f32, at);
      Value number = arith::TruncIOp::create(inner, loc, i32, t.add(firstKey, j));
      Value keyNumbers = arith::AddIOp::create(inner, loc, emitSpread(inner, loc, integers, number), lanes);
      Value sees = arith::AndIOp::create(
          inner, loc, arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::sle, start, keyNumbers),
          arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::sle, keyNumbers, position));
      Value tanh, x = emitScore(inner, loc, shape, emitLoad(inner, loc, floats, scorePlace), &tanh);
      Value p = emitExp(inner, loc, arith::SubFOp::create(inner, loc, x, logs));
      Value d = arith::SubFOp::create(inner, loc, emitLoad(inner, loc, floats, slopePlace), dot);
      Value slope = arith::MulFOp::create(inner, loc, p, d);
      if (tanh) {
        Value square = arith::MulFOp::create(inner, loc, tanh, tanh);
        slope = arith::MulFOp::create(inner, loc, slope, arith::SubFOp::create(inner, loc, unit, square));
      }
      emitStore(inner, loc, arith::SelectOp::create(inner, loc, sees, p, none), scorePlace);
      emitStore(inner, loc, arith::SelectOp::create(inner, loc, sees, slope, none), slopePlace);
      return SmallVector<Value>{};
    });
    emitFor(l0, loc, seen, columns, tile.lanes, {}, [&](OpBuilder &inner, Value j, ValueRange) {
      SizeMath t{inner, loc};
      Value at = t.add(rowPlace, j);
      emitStore(inner, loc, none, t.at(scores, f32, at));
      emitStore(inner, loc, none, t.at(slopes, f32, at));
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
}

/// sum(gradient * output) over the head's elements at `place`, in a fixed order.
Value GradEmitter::emitDot(OpBuilder &builder, Value place) {
  Type gradientType = elementOf(op.getGradient()), outputType = elementOf(op.getOutput());
  auto multiply = [&](OpBuilder &inner, int64_t lanes, Value i, Value sum) -> Value {
    SizeMath t{inner, loc};
    Value at = t.add(place, i);
    Value x =
        emitWiden(inner, loc, emitLoad(inner, loc, someOf(gradientType, lanes), t.at(gradient, gradientType, at)));
    Value y = emitWiden(inner, loc, emitLoad(inner, loc, someOf(outputType, lanes), t.at(output, outputType, at)));
    return math::FmaOp::create(inner, loc, x, y, sum);
  };
  int64_t whole = shape.headDim / tile.lanes * tile.lanes;
  Value none = emitConstant(builder, loc, f32, 0.0);
  SmallVector<Value> sum{none};
  if (whole > 0) {
    auto floats = VectorType::get({tile.lanes}, f32);
    SmallVector<Value> sums =
        emitFor(builder, loc, zero, constantI64(builder, loc, whole), tile.lanes,
                emitConstant(builder, loc, floats, 0.0), [&](OpBuilder &inner, Value i, ValueRange state) {
                  return SmallVector<Value>{multiply(inner, tile.lanes, i, state.front())};
                });
    // Halves are added until one element is left.
    Value parts = sums.front();
    for (int64_t lanes = tile.lanes / 2; lanes >= 1; lanes /= 2) {
      SmallVector<int64_t> low(lanes), high(lanes);
      std::iota(low.begin(), low.end(), 0);
      std::iota(high.begin(), high.end(), lanes);
      parts = arith::AddFOp::create(builder, loc, vector::ShuffleOp::create(builder, loc, parts, parts, low),
                                    vector::ShuffleOp::create(builder, loc, parts, parts, high));
    }
    sum = {vector::ExtractOp::create(builder, loc, parts, 0)};
  }
  if (whole < shape.headDim)
    sum = emitFor(builder, loc, constantI64(builder, loc, whole), constantI64(builder, loc, shape.headDim), 1, sum,
                  [&](OpBuilder &inner, Value i, ValueRange state) {
                    return SmallVector<Value>{multiply(inner, 1, i, state.front())};
                  });
  return sum.front();
}

/// Rows of sums, times a factor, to `count` rows of `destination` from element `place` on.
void GradEmitter::emitOut(OpBuilder &builder, Value sums, Value count, Value destination, Type element, Value place,
                          int64_t ld, double factor) {
  emitFor(builder, loc, zero, count, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
    SizeMath s{inner, loc};
    Value from = s.mul(i, blocks.width), to = s.add(place, s.mul(i, ld));
    emitElements(inner, loc, shape.headDim, tile.lanes, [&](OpBuilder &body, int64_t lanes, Value at) {
      SizeMath t{body, loc};
      Type type = someOf(f32, lanes);
      Value x = emitLoad(body, loc, type, t.at(sums, f32, t.add(from, at)));
      if (factor != 1.0)
        x = arith::MulFOp::create(body, loc, x, emitConstant(body, loc, type, factor));
      emitStore(body, loc, emitNarrow(body, loc, x, element), t.at(destination, element, t.add(to, at)));
    });
    return SmallVector<Value>{};
  });
}

void cpu::emitAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CpuTarget &target) {
  GradEmitter(kernel, op, target).emit();
}

//===- LowerAttentionGrad.cpp - plan.attention_grad to packed products -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The gradient of a query head takes its queries in blocks, and for each the blocks of keys that they see, in order:
//
//   S = Q K^T, P = exp(scale S - lse), dP = dO V^T, dS = P (dP - D)     block x block; with a cap, dS (1 - tanh^2)
//   dV += P^T dO,  dK += dS^T Q,  dQ += dS K                            summed in fp32
//
// A pair (row of the batch, key head) has a group of query heads, whose dK and dV are added up. Where there are few
// heads, the keys are cut into strips of about the same work. So a gradient takes three fork-joins:
//
//   over pairs and blocks of keys:  pack K and V
//   over query heads and strips:    the products above; dK and dV of the head's strip, and the strip's part of dQ
//   over blocks of keys:            dK and dV are summed over the heads of the group, in order, and stored
//   and, with several strips, over heads and blocks of queries: dQ is summed over strips, in order, and stored
//
// With one strip dQ is stored at once. The alternatives: strips of queries would have to sum dK and dV of all keys
// before them, twice the memory of dQ and more for every strip; a dQ of its own pass would compute S and dP twice,
// seven products instead of five. A narrow strip costs: each packs the queries again that see it.
//
// Sums of heads and strips wait in memory until they are added up. Only as many heads are worked on at once as keep the
// planned threads busy; what the heads before them gave is carried on, so the order of sums is the same for any number.
// Strips, blocks and orders are functions of the shape and the CPU alone. `scale` of dQ and dK is applied once, at the
// end. Blocks of keys before the window of all of a block's queries are left out; within a block keys that a query does
// not see have P = dS = 0.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerAttention.h"

#include <numeric>

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

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

  // What a task works with. Set by enter:
  Value query, key, value, segmentStarts, output, lse, gradient, queryGradient, keyGradient, valueGradient;
  Value packs, headSums, carriedSums, queriesA, gradientsA, queriesB, gradientsB, querySums, scores, slopes, packed;
  Value firstPair, pairs, firstHead, heads; ///< those worked on at once; heads are numbered within their group
  Value zero, one;
  // By enterPair:
  Value kvHead, rowOfBatch, keysAlong, valuesAlong, keysAcross;
  // By emitStripTask:
  Value queryHead, stripStart, stripEnd, keySums, valueSums, queryParts;

  GradEmitter(plan::KernelOp kernel, plan::AttentionGradOp op, const CpuTarget &target)
      : kernel(kernel), op(op), target(target), shape(attentionShape(op)), blocks(shape, target),
        tile(productTile(target)), loc(op.getLoc()), f32(Float32Type::get(op.getContext())),
        i32(IntegerType::get(op.getContext(), 32)) {}

  void emit();
  void enter(OpBuilder &builder, TaskFunction &task);
  void enterPair(OpBuilder &builder, Value pair);
  void emitPackTask(OpBuilder &builder, TaskFunction &task);
  void emitStripTask(OpBuilder &builder, TaskFunction &task);
  void emitQueryBlock(OpBuilder &builder, Value first);
  void emitKeyBlock(OpBuilder &builder, Value row, Value first, Value count, Value firstKey, Value accumulate);
  void emitSlopes(OpBuilder &builder, Value row, Value first, Value count, Value firstKey);
  void emitSumTask(OpBuilder &builder, TaskFunction &task);
  void emitSumOfHeads(OpBuilder &builder, Value index);
  void emitSumOfStrips(OpBuilder &builder, Value index);
  void emitZero(OpBuilder &builder, Value sums, Value rows);
  void emitAdd(OpBuilder &builder, Value sums, Value more, Value rows);
  void emitOut(OpBuilder &builder, Value sums, Value count, Value destination, Type element, Value place, int64_t ld,
               double factor);
  Value emitDot(OpBuilder &builder, Value place);
  /// A number of a strip.
  Value ofStrip(OpBuilder &builder, Value strip, int64_t AttentionGradBlocks::Strip::*number);
  void emitPack(OpBuilder &builder, int64_t width, PanelForm form, Type element, Value from, Value to, Value ld,
                Value valid, Value k, Value panelStride = {}) {
    cpu::emitPack(builder, loc, target, width, {form, element}, from, to, ld, valid, k, panelStride);
  }
  void emitIf(OpBuilder &builder, Value condition, function_ref<void(OpBuilder &)> then,
              function_ref<void(OpBuilder &)> otherwise) {
    auto choice = scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/true);
    OpBuilder first = OpBuilder::atBlockBegin(&choice.getThenRegion().front());
    then(first);
    OpBuilder second = OpBuilder::atBlockBegin(&choice.getElseRegion().front());
    otherwise(second);
  }
  bool hasStrips() const { return blocks.strips.size() > 1; }
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
  SizeMath s{builder, loc};
  Value from = s.constant(0), allPairs = s.constant(shape.pairs()), group = s.constant(shape.group());
  std::string name = kernel.getSymName().str();
  emitFor(builder, loc, from, allPairs, blocks.pairsAtOnce, {}, [&](OpBuilder &outer, Value pair, ValueRange) {
    SizeMath t{outer, loc};
    Value count = t.min(t.constant(blocks.pairsAtOnce), t.sub(allPairs, pair));
    Value keyBlocks = t.mul(count, blocks.count);
    SmallVector<Value> outerCaptures = captures;
    outerCaptures.append({pair, count, from, group});
    emitParallelFor(outer, loc, driver.services, name + ".task0", keyBlocks, outerCaptures,
                    [&](OpBuilder &body, TaskFunction &task) { emitPackTask(body, task); });
    emitFor(outer, loc, from, group, blocks.headsAtOnce, {}, [&](OpBuilder &inner, Value head, ValueRange) {
      SizeMath u{inner, loc};
      Value some = u.min(u.constant(blocks.headsAtOnce), u.sub(group, head)), headCount = u.mul(count, some);
      SmallVector<Value> innerCaptures = captures;
      innerCaptures.append({pair, count, head, some});
      emitParallelFor(inner, loc, driver.services, name + ".task1", u.mul(headCount, blocks.strips.size()),
                      innerCaptures, [&](OpBuilder &body, TaskFunction &task) { emitStripTask(body, task); });
      Value sums = hasStrips() ? u.add(keyBlocks, u.mul(headCount, blocks.count)) : keyBlocks;
      emitParallelFor(inner, loc, driver.services, name + ".task2", sums, innerCaptures,
                      [&](OpBuilder &body, TaskFunction &task) { emitSumTask(body, task); });
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
}

/// Takes what the driver gave, and this thread's scratch.
void GradEmitter::enter(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value *inputs[] = {&query, &key,       &value,         &segmentStarts, &output,
                     &lse,   &gradient,  &queryGradient, &keyGradient,   &valueGradient,
                     &packs, &firstPair, &pairs,         &firstHead,     &heads};
  for (auto [input, capture] : llvm::zip_equal(inputs, task.captures))
    *input = capture;
  headSums = s.at(packs, f32, s.constant(blocks.pairsAtOnce * blocks.perPair()));
  carriedSums = s.at(headSums, f32, s.constant(blocks.pairsAtOnce * blocks.headsAtOnce * blocks.perHead()));
  Value own = s.at(carriedSums, f32, s.constant(blocks.carriedSums));
  Value next = s.at(own, f32, s.mul(task.thread, blocks.perThread()));
  std::pair<Value *, int64_t> parts[] = {{&queriesA, blocks.queriesA},   {&gradientsA, blocks.gradientsA},
                                         {&queriesB, blocks.queriesB},   {&gradientsB, blocks.gradientsB},
                                         {&querySums, blocks.querySums}, {&scores, blocks.scores},
                                         {&slopes, blocks.slopes},       {&packed, blocks.packed}};
  for (auto [part, floats] : parts) {
    *part = next;
    next = s.at(next, f32, s.constant(floats));
  }
  zero = s.constant(0);
  one = s.constant(1);
}

/// `pair` counts those worked on at once.
void GradEmitter::enterPair(OpBuilder &builder, Value pair) {
  SizeMath s{builder, loc};
  Value number = s.add(firstPair, pair);
  kvHead = s.rem(number, shape.kvHeads);
  rowOfBatch = s.mul(s.div(number, shape.kvHeads), shape.sequence);
  keysAlong = s.at(packs, f32, s.mul(pair, blocks.perPair()));
  valuesAlong = s.at(keysAlong, f32, s.constant(blocks.keysAlong));
  keysAcross = s.at(valuesAlong, f32, s.constant(blocks.valuesAlong));
}

Value GradEmitter::ofStrip(OpBuilder &builder, Value strip, int64_t AttentionGradBlocks::Strip::*number) {
  SizeMath s{builder, loc};
  Value result = s.constant(blocks.strips.back().*number);
  for (size_t i = 0; i + 1 < blocks.strips.size(); ++i)
    result = arith::SelectOp::create(builder, loc, s.equal(strip, s.constant(i)), s.constant(blocks.strips[i].*number),
                                     result);
  return result;
}

/// Packs a block of keys and values. Only packing along k may write past its end, so only there blocks lie apart.
void GradEmitter::emitPackTask(OpBuilder &builder, TaskFunction &task) {
  enter(builder, task);
  SizeMath s{builder, loc};
  enterPair(builder, s.div(task.task, blocks.count));
  Value number = s.rem(task.task, blocks.count), first = s.mul(number, blocks.block);
  Value rows = s.min(s.constant(blocks.block), s.sub(s.constant(shape.sequence), first));
  Value place = s.add(s.mul(s.add(rowOfBatch, first), shape.keyRow()), s.mul(kvHead, shape.headDim));
  Value ld = s.constant(shape.keyRow()), depth = s.constant(shape.headDim), to = s.mul(number, blocks.packedBlock);
  Type keyType = elementOf(op.getKey()), valueType = elementOf(op.getValue());
  Value keys = s.at(key, keyType, place), values = s.at(value, valueType, place);
  emitPack(builder, tile.nr, PanelForm::AlongK, keyType, keys, s.at(keysAlong, f32, to), ld, rows, depth);
  emitPack(builder, tile.nr, PanelForm::AlongK, valueType, values, s.at(valuesAlong, f32, to), ld, rows, depth);
  emitPack(builder, tile.nr, PanelForm::AcrossK, keyType, keys, s.at(keysAcross, f32, s.mul(first, tile.nr)), ld, depth,
           rows, s.constant(shape.sequence * tile.nr));
}

void GradEmitter::emitStripTask(OpBuilder &builder, TaskFunction &task) {
  enter(builder, task);
  SizeMath s{builder, loc};
  int64_t strips = blocks.strips.size();
  Value strip = s.rem(task.task, strips), head = s.div(task.task, strips);
  Value pair = arith::DivSIOp::create(builder, loc, head, heads);
  enterPair(builder, pair);
  queryHead = s.add(s.mul(kvHead, shape.group()), s.add(firstHead, s.sub(head, s.mul(pair, heads))));
  keySums = s.at(headSums, f32, s.mul(head, blocks.perHead()));
  valueSums = s.at(keySums, f32, s.constant(blocks.keySums));
  stripStart = ofStrip(builder, strip, &AttentionGradBlocks::Strip::firstKey);
  stripEnd = ofStrip(builder, strip, &AttentionGradBlocks::Strip::endKey);
  Value place = ofStrip(builder, strip, &AttentionGradBlocks::Strip::sums);
  queryParts = s.at(valueSums, f32, s.add(s.constant(blocks.valueSums), place));
  Value end = ofStrip(builder, strip, &AttentionGradBlocks::Strip::endQuery);
  emitFor(builder, loc, stripStart, end, blocks.block, {}, [&](OpBuilder &inner, Value first, ValueRange) {
    emitQueryBlock(inner, first);
    return SmallVector<Value>{};
  });
}

void GradEmitter::emitQueryBlock(OpBuilder &builder, Value first) {
  SizeMath s{builder, loc};
  Value count = s.min(s.constant(blocks.block), s.sub(s.constant(shape.sequence), first));
  Value row = s.add(rowOfBatch, first);
  // The first block of keys that any of these queries sees.
  SmallVector<Value> earliest =
      emitFor(builder, loc, zero, count, 1, first, [&](OpBuilder &inner, Value i, ValueRange state) {
        SizeMath t{inner, loc};
        Value start = emitLoad(inner, loc, i32, t.at(segmentStarts, i32, t.add(row, i)));
        if (shape.window != 0)
          start = emitFirstKey(inner, loc, shape, start, arith::TruncIOp::create(inner, loc, i32, t.add(first, i)));
        return SmallVector<Value>{t.min(state.front(), arith::ExtSIOp::create(inner, loc, inner.getI64Type(), start))};
      });
  Value from = s.max(s.mul(s.div(s.max(earliest.front(), zero), blocks.block), blocks.block), stripStart);
  Value to = s.min(s.add(first, count), stripEnd);

  Value place = s.add(s.mul(row, shape.queryRow()), s.mul(queryHead, shape.headDim));
  auto emitProducts = [&](OpBuilder &body) {
    SizeMath t{body, loc};
    Value ld = t.constant(shape.queryRow()), depth = t.constant(shape.headDim);
    Type queryType = elementOf(op.getQuery()), gradientType = elementOf(op.getGradient());
    Value queries = t.at(query, queryType, place), gradients = t.at(gradient, gradientType, place);
    emitPack(body, tile.mr, PanelForm::AlongK, queryType, queries, queriesA, ld, count, depth);
    emitPack(body, tile.mr, PanelForm::AlongK, gradientType, gradients, gradientsA, ld, count, depth);
    emitPack(body, tile.nr, PanelForm::AcrossK, queryType, queries, queriesB, ld, depth, count);
    emitPack(body, tile.nr, PanelForm::AcrossK, gradientType, gradients, gradientsB, ld, depth, count);
    emitFor(body, loc, from, to, blocks.block, {}, [&](OpBuilder &inner, Value firstKey, ValueRange) {
      emitKeyBlock(inner, row, first, count, firstKey, SizeMath{inner, loc}.greater(firstKey, from));
      return SmallVector<Value>{};
    });
  };
  if (!hasStrips()) {
    emitProducts(builder);
    emitOut(builder, querySums, count, queryGradient, elementOf(op.getQueryGradient()), place, shape.queryRow(),
            shape.scale);
    return;
  }
  Value part = s.at(queryParts, f32, s.mul(s.sub(first, stripStart), blocks.width));
  emitIf(
      builder, s.greater(to, from),
      [&](OpBuilder &body) {
        emitProducts(body);
        emitOut(body, querySums, count, part, f32, zero, blocks.width, 1.0);
      },
      [&](OpBuilder &body) { emitZero(body, part, count); });
}

/// One block of queries with one block of keys. Queries before a key do not see it: products leave out panels of them.
/// `accumulate`: these queries have met keys before.
void GradEmitter::emitKeyBlock(OpBuilder &builder, Value row, Value first, Value count, Value firstKey,
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
    Value keyPlace = t.add(t.mul(t.div(firstKey, blocks.block), blocks.packedBlock), t.mul(j, tile.nr * shape.headDim));
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

  emitSlopes(builder, row, first, count, firstKey);

  // dV += P^T dO and dK += dS^T Q: a panel of keys, the queries from the first that sees one of them. The first block
  // of queries that meets a block of keys is its own.
  Value accumulateKeys = s.greater(first, firstKey);
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
      product.accumulate = accumulateKeys;
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
void GradEmitter::emitSlopes(OpBuilder &builder, Value row, Value first, Value count, Value firstKey) {
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

/// A block of keys, or with strips, of queries.
void GradEmitter::emitSumTask(OpBuilder &builder, TaskFunction &task) {
  enter(builder, task);
  if (!hasStrips())
    return emitSumOfHeads(builder, task.task);
  SizeMath s{builder, loc};
  Value keyBlocks = s.mul(pairs, blocks.count);
  emitIf(
      builder, s.greater(keyBlocks, task.task), [&](OpBuilder &body) { emitSumOfHeads(body, task.task); },
      [&](OpBuilder &body) { emitSumOfStrips(body, SizeMath{body, loc}.sub(task.task, keyBlocks)); });
}

/// dK and dV of a block of keys: what the heads before gave, then each head's in order; stored, or carried on.
void GradEmitter::emitSumOfHeads(OpBuilder &builder, Value index) {
  SizeMath s{builder, loc};
  Value pair = s.div(index, blocks.count), first = s.mul(s.rem(index, blocks.count), blocks.block);
  Value rows = s.min(s.constant(blocks.block), s.sub(s.constant(shape.sequence), first));
  enterPair(builder, pair);
  Value place = s.add(s.mul(s.add(rowOfBatch, first), shape.keyRow()), s.mul(kvHead, shape.headDim));
  Value firstSums = s.at(headSums, f32, s.mul(s.mul(pair, heads), blocks.perHead()));
  auto emitSum = [&](int64_t offset, Value destination, double factor) {
    Value at = s.add(s.constant(offset), s.mul(first, blocks.width)), carried = s.at(carriedSums, f32, at);
    emitZero(builder, querySums, rows);
    if (blocks.carriedSums)
      emitIf(
          builder, s.greater(firstHead, zero), [&](OpBuilder &body) { emitAdd(body, querySums, carried, rows); },
          [](OpBuilder &) {});
    Value own = s.at(firstSums, f32, at);
    emitFor(builder, loc, zero, heads, 1, {}, [&](OpBuilder &inner, Value head, ValueRange) {
      SizeMath t{inner, loc};
      emitAdd(inner, querySums, t.at(own, f32, t.mul(head, blocks.perHead())), rows);
      return SmallVector<Value>{};
    });
    auto store = [&](OpBuilder &body) {
      emitOut(body, querySums, rows, destination,
              elementOf(destination == keyGradient ? op.getKeyGradient() : op.getValueGradient()), place,
              shape.keyRow(), factor);
    };
    if (!blocks.carriedSums)
      return store(builder);
    emitIf(builder, s.equal(s.add(firstHead, heads), s.constant(shape.group())), store,
           [&](OpBuilder &body) { emitOut(body, querySums, rows, carried, f32, zero, blocks.width, 1.0); });
  };
  emitSum(0, keyGradient, shape.scale);
  emitSum(blocks.keySums, valueGradient, 1.0);
}

/// dQ of a block of queries: each strip's in order.
void GradEmitter::emitSumOfStrips(OpBuilder &builder, Value index) {
  SizeMath s{builder, loc};
  Value head = s.div(index, blocks.count), first = s.mul(s.rem(index, blocks.count), blocks.block);
  Value rows = s.min(s.constant(blocks.block), s.sub(s.constant(shape.sequence), first));
  Value pair = arith::DivSIOp::create(builder, loc, head, heads);
  enterPair(builder, pair);
  Value number = s.add(s.mul(kvHead, shape.group()), s.add(firstHead, s.sub(head, s.mul(pair, heads))));
  // Strips whose keys begin at or before these queries, without those whose last key is too far before them.
  Value from = zero, to = zero;
  for (const AttentionGradBlocks::Strip &strip : blocks.strips) {
    auto countIf = [&](Value sum, int64_t bound) {
      Value reached = s.greater(s.add(first, one), s.constant(bound));
      return s.add(sum, arith::ExtUIOp::create(builder, loc, builder.getI64Type(), reached));
    };
    from = countIf(from, strip.endQuery);
    to = countIf(to, strip.firstKey);
  }
  Value parts =
      s.at(headSums, f32, s.add(s.mul(head, blocks.perHead()), s.constant(blocks.keySums + blocks.valueSums)));
  emitZero(builder, querySums, rows);
  emitFor(builder, loc, from, to, 1, {}, [&](OpBuilder &inner, Value strip, ValueRange) {
    SizeMath t{inner, loc};
    Value row = t.sub(first, ofStrip(inner, strip, &AttentionGradBlocks::Strip::firstKey));
    Value place = t.add(ofStrip(inner, strip, &AttentionGradBlocks::Strip::sums), t.mul(row, blocks.width));
    emitAdd(inner, querySums, t.at(parts, f32, place), rows);
    return SmallVector<Value>{};
  });
  Value place = s.add(s.mul(s.add(rowOfBatch, first), shape.queryRow()), s.mul(number, shape.headDim));
  emitOut(builder, querySums, rows, queryGradient, elementOf(op.getQueryGradient()), place, shape.queryRow(),
          shape.scale);
}

void GradEmitter::emitZero(OpBuilder &builder, Value sums, Value rows) {
  Value none = emitConstant(builder, loc, VectorType::get({tile.lanes}, f32), 0.0);
  Value floats = SizeMath{builder, loc}.mul(rows, blocks.width);
  emitFor(builder, loc, zero, floats, tile.lanes, {}, [&](OpBuilder &inner, Value i, ValueRange) {
    emitStore(inner, loc, none, elementPointer(inner, loc, sums, f32, i));
    return SmallVector<Value>{};
  });
}

void GradEmitter::emitAdd(OpBuilder &builder, Value sums, Value more, Value rows) {
  auto vector = VectorType::get({tile.lanes}, f32);
  Value floats = SizeMath{builder, loc}.mul(rows, blocks.width);
  emitFor(builder, loc, zero, floats, tile.lanes, {}, [&](OpBuilder &inner, Value i, ValueRange) {
    Value place = elementPointer(inner, loc, sums, f32, i);
    Value x = emitLoad(inner, loc, vector, place);
    Value y = emitLoad(inner, loc, vector, elementPointer(inner, loc, more, f32, i));
    emitStore(inner, loc, arith::AddFOp::create(inner, loc, x, y), place);
    return SmallVector<Value>{};
  });
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

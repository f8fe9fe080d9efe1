//===- LowerAttention.cpp - plan.attention to packed products ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Forward. Scores are made transposed, keys by queries, for one panel of nr queries at a time and all keys that they
// see:
//
//   fork-join over pairs:            pack K (rows) and V (columns)
//   fork-join over panels of queries: S^T = K Q^T; softmax down the columns, one query a lane; O^T = V^T P^T
//
// P^T comes out of the first product in the layout in which the second one reads it, so it is never packed, and the
// softmax needs no sum across lanes. A thread holds sequence x nr scores, or with a window, about window x nr.
//
// A window is a later start: a query's keys begin at its segment or `window - 1` before it, whichever is later, and
// panels of keys before the first of any query of the task are left out of both products. A cap is applied while the
// largest score is looked for, and what it gives is stored, so that each score costs one tanh.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerAttention.h"
#include "lib/Target/Common/Math.h"

#include <limits>

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

//===----------------------------------------------------------------------===//
// Small pieces
//===----------------------------------------------------------------------===//

void cpu::emitElements(OpBuilder &builder, Location loc, int64_t count, int64_t lanes,
                       function_ref<void(OpBuilder &, int64_t, Value)> body) {
  int64_t whole = count / lanes * lanes;
  auto loop = [&](int64_t from, int64_t to, int64_t step) {
    if (from == to)
      return;
    emitFor(builder, loc, constantI64(builder, loc, from), constantI64(builder, loc, to), step, {},
            [&](OpBuilder &inner, Value i, ValueRange) {
              body(inner, step, i);
              return SmallVector<Value>{};
            });
  };
  loop(0, whole, lanes);
  loop(whole, count, 1);
}

Value cpu::emitSpread(OpBuilder &builder, Location loc, Type type, Value scalar) {
  if (scalar.getType() == type)
    return scalar;
  return vector::BroadcastOp::create(builder, loc, type, scalar);
}

Value cpu::emitConstant(OpBuilder &builder, Location loc, Type type, double value) {
  Attribute scalar = builder.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vector, scalar));
  return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(scalar));
}

Value cpu::emitFirstKey(OpBuilder &builder, Location loc, const AttentionShape &shape, Value start, Value position) {
  if (shape.window == 0)
    return start;
  Value before = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(shape.window - 1));
  return arith::MaxSIOp::create(builder, loc, start, arith::SubIOp::create(builder, loc, position, before));
}

Value cpu::emitScore(OpBuilder &builder, Location loc, const AttentionShape &shape, Value x, Value *tanh) {
  auto times = [&](Value value, double factor) -> Value {
    return arith::MulFOp::create(builder, loc, value, emitConstant(builder, loc, x.getType(), factor));
  };
  if (shape.softcap == 0)
    return times(x, shape.scale);
  Value ratio = target::emitTanh(builder, loc, times(x, shape.scale / shape.softcap));
  if (tanh)
    *tanh = ratio;
  return times(ratio, shape.softcap);
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

namespace {

struct ForwardEmitter {
  plan::KernelOp kernel;
  plan::AttentionOp op;
  const CpuTarget &target;
  AttentionShape shape;
  AttentionBlocks blocks;
  ProductTile tile;
  Location loc;
  Type f32, i32;

  ForwardEmitter(plan::KernelOp kernel, plan::AttentionOp op, const CpuTarget &target)
      : kernel(kernel), op(op), target(target), shape(attentionShape(op)), blocks(shape, target),
        tile(productTile(target)), loc(op.getLoc()), f32(Float32Type::get(op.getContext())),
        i32(IntegerType::get(op.getContext(), 32)) {}

  void emit();
  void emitPackTask(OpBuilder &builder, TaskFunction &task);
  void emitQueryTask(OpBuilder &builder, TaskFunction &task);
  void emitSoftmax(OpBuilder &builder, Value scores, Value firstKey, Value keys, Value starts, Value positions,
                   Value weights, Value logs);
};

} // namespace

void ForwardEmitter::emit() {
  OpBuilder builder(op.getContext());
  Driver driver = createDriver(builder, kernel);
  auto bufferOf = [&](Value value) { return driver.buffers[cast<BlockArgument>(value).getArgNumber()]; };
  SizeMath s{builder, loc};
  Value packed = bufferOf(op.getScratch());
  Value own = s.at(packed, f32, s.constant(blocks.pairsAtOnce * blocks.perPair()));
  Value zero = s.constant(0), pairs = s.constant(shape.pairs());
  std::string name = kernel.getSymName().str();
  emitFor(builder, loc, zero, pairs, blocks.pairsAtOnce, {}, [&](OpBuilder &inner, Value pair, ValueRange) {
    SizeMath t{inner, loc};
    Value count = t.min(t.constant(blocks.pairsAtOnce), t.sub(pairs, pair));
    emitParallelFor(inner, loc, driver.services, name + ".task0", count,
                    {bufferOf(op.getKey()), bufferOf(op.getValue()), packed, pair},
                    [&](OpBuilder &body, TaskFunction &task) { emitPackTask(body, task); });
    int64_t panels = llvm::divideCeil(shape.sequence, tile.nr);
    emitParallelFor(inner, loc, driver.services, name + ".task1", t.mul(count, shape.group() * panels),
                    {bufferOf(op.getQuery()), bufferOf(op.getSegmentStarts()), bufferOf(op.getOutput()),
                     bufferOf(op.getLse()), packed, own, pair, count},
                    [&](OpBuilder &body, TaskFunction &task) { emitQueryTask(body, task); });
    return SmallVector<Value>{};
  });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
}

void ForwardEmitter::emitPackTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value key = task.captures[0], value = task.captures[1];
  Value pair = s.add(task.captures[3], task.task);
  Value row = s.mul(s.div(pair, shape.kvHeads), shape.sequence);
  Value place = s.add(s.mul(row, shape.keyRow()), s.mul(s.rem(pair, shape.kvHeads), shape.headDim));
  Value to = s.at(task.captures[2], f32, s.mul(task.task, blocks.perPair()));
  Type keyType = elementOf(op.getKey()), valueType = elementOf(op.getValue());
  Value ld = s.constant(shape.keyRow()), sequence = s.constant(shape.sequence), depth = s.constant(shape.headDim);
  emitPack(builder, loc, target, tile.mr, {PanelForm::AlongK, keyType}, s.at(key, keyType, place), to, ld, sequence,
           depth);
  emitPack(builder, loc, target, tile.mr, {PanelForm::AcrossK, valueType}, s.at(value, valueType, place),
           s.at(to, f32, s.constant(blocks.packedKey)), ld, depth, sequence);
}

void ForwardEmitter::emitQueryTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value query = task.captures[0], segmentStarts = task.captures[1], out = task.captures[2], lse = task.captures[3];
  Value packed = task.captures[4], own = task.captures[5], firstPair = task.captures[6], pairs = task.captures[7];
  Value zero = s.constant(0), one = s.constant(1);
  Value isFalse = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));

  // The last panels see most keys: they come first, so that no thread ends with a long task.
  Value heads = s.mul(pairs, shape.group());
  Value turn = arith::DivSIOp::create(builder, loc, task.task, heads);
  Value head = s.sub(task.task, s.mul(turn, heads));
  Value panel = s.sub(s.constant(llvm::divideCeil(shape.sequence, tile.nr) - 1), turn);
  Value localPair = s.div(head, shape.group());
  Value pair = s.add(firstPair, localPair);
  Value queryHead = s.add(s.mul(s.rem(pair, shape.kvHeads), shape.group()), s.rem(head, shape.group()));
  Value first = s.mul(panel, tile.nr);
  Value count = s.min(s.constant(tile.nr), s.sub(s.constant(shape.sequence), first));
  Value row = s.add(s.mul(s.div(pair, shape.kvHeads), shape.sequence), first);

  // This thread's scratch.
  Value next = s.at(own, f32, s.mul(task.thread, blocks.perThread()));
  auto take = [&](int64_t floats) {
    Value part = next;
    next = s.at(next, f32, s.constant(floats));
    return part;
  };
  Value queries = take(blocks.queries), scores = take(blocks.scores), output = take(blocks.output),
        rows = take(blocks.rows), starts = take(blocks.starts), positions = take(blocks.positions),
        weights = take(blocks.weights), logs = take(blocks.logs);

  Value queryPlace = s.add(s.mul(row, shape.queryRow()), s.mul(queryHead, shape.headDim));
  Type queryType = elementOf(op.getQuery()), outType = elementOf(op.getOutput());
  Value depth = s.constant(shape.headDim);
  emitPack(builder, loc, target, tile.nr, {PanelForm::AlongK, queryType}, s.at(query, queryType, queryPlace), queries,
           s.constant(shape.queryRow()), count, depth);

  // What each lane sees; lanes past the last query repeat it.
  Value last = s.sub(count, one);
  SmallVector<Value> earliest =
      emitFor(builder, loc, zero, s.constant(tile.nr), 1, first, [&](OpBuilder &inner, Value lane, ValueRange state) {
        SizeMath t{inner, loc};
        Value index = t.min(lane, last);
        Value start = emitLoad(inner, loc, i32, t.at(segmentStarts, i32, t.add(row, index)));
        Value position = arith::TruncIOp::create(inner, loc, i32, t.add(first, index));
        start = emitFirstKey(inner, loc, shape, start, position);
        emitStore(inner, loc, start, t.at(starts, i32, lane));
        emitStore(inner, loc, position, t.at(positions, i32, lane));
        return SmallVector<Value>{t.min(state.front(), arith::ExtSIOp::create(inner, loc, inner.getI64Type(), start))};
      });
  Value firstPanel = s.div(s.max(earliest.front(), zero), tile.mr);
  Value firstKey = s.mul(firstPanel, tile.mr);
  Value keys = s.sub(s.add(first, count), firstKey);

  Value packedKey = s.at(packed, f32, s.mul(localPair, blocks.perPair()));
  Value packedValue = s.at(packedKey, f32, s.constant(blocks.packedKey));
  MacroOperands product;
  product.a = s.at(packedKey, f32, s.mul(firstPanel, tile.mr * shape.headDim));
  product.b = queries;
  product.c = scores;
  product.panelsA = s.divCeil(keys, tile.mr);
  product.panelsB = one;
  product.k = depth;
  product.aStride = s.constant(tile.mr * shape.headDim);
  product.bStride = product.cStrideJ = zero;
  product.cStrideI = s.constant(tile.mr * tile.nr);
  product.cRow = s.constant(tile.nr);
  product.accumulate = isFalse;
  emitMacro(builder, loc, tile, product);

  emitSoftmax(builder, scores, firstKey, keys, starts, positions, weights, logs);

  // O^T: rows of a panel of V^T times the panel of P^T.
  Value valueStart = s.at(packedValue, f32, s.mul(firstKey, tile.mr));
  emitFor(builder, loc, zero, keys, target.kc, {}, [&](OpBuilder &inner, Value step, ValueRange) {
    SizeMath t{inner, loc};
    MacroOperands sum = product;
    sum.a = t.at(valueStart, f32, t.mul(step, tile.mr));
    sum.b = t.at(scores, f32, t.mul(step, tile.nr));
    sum.c = output;
    sum.panelsA = t.constant(blocks.valuePanels);
    sum.k = t.min(t.constant(target.kc), t.sub(keys, step));
    sum.aStride = t.constant(shape.sequence * tile.mr);
    sum.accumulate = t.greater(step, zero);
    emitMacro(inner, loc, tile, sum);
    return SmallVector<Value>{};
  });

  // Back to one row a query, divided by the sum of its weights.
  emitPack(builder, loc, target, shape.headDim, {PanelForm::AlongK, f32}, output, rows, s.constant(tile.nr), depth,
           count);
  emitFor(builder, loc, zero, count, 1, {}, [&](OpBuilder &inner, Value i, ValueRange) {
    SizeMath t{inner, loc};
    Value weight = emitLoad(inner, loc, f32, t.at(weights, f32, i));
    Value place = t.add(queryPlace, t.mul(i, shape.queryRow()));
    Value from = t.mul(i, shape.headDim);
    emitElements(inner, loc, shape.headDim, tile.lanes, [&](OpBuilder &body, int64_t lanes, Value at) {
      SizeMath u{body, loc};
      Type type = someOf(f32, lanes);
      Value value = emitLoad(body, loc, type, u.at(rows, f32, u.add(from, at)));
      value = arith::MulFOp::create(body, loc, value, emitSpread(body, loc, type, weight));
      emitStore(body, loc, emitNarrow(body, loc, value, outType), u.at(out, outType, u.add(place, at)));
    });
    Value log = emitLoad(inner, loc, f32, t.at(logs, f32, i));
    emitStore(inner, loc, log, t.at(lse, f32, t.add(t.mul(t.add(row, i), shape.heads), queryHead)));
    return SmallVector<Value>{};
  });
}

/// Turns products [key][query] into exp(score - maximum), 0 where the query does not see the key. Writes
/// 1 / sum to `weights` and the log-sum-exp to `logs`.
void ForwardEmitter::emitSoftmax(OpBuilder &builder, Value scores, Value firstKey, Value keys, Value starts,
                                 Value positions, Value weights, Value logs) {
  SizeMath s{builder, loc};
  int64_t columns = tile.nr / tile.lanes;
  auto floats = VectorType::get({tile.lanes}, f32), integers = VectorType::get({tile.lanes}, i32);
  auto column = [&](OpBuilder &inner, Value pointer, int64_t c) {
    return elementPointer(inner, loc, pointer, f32, constantI64(inner, loc, c * tile.lanes));
  };
  SmallVector<Value> start, position;
  for (int64_t c = 0; c < columns; ++c) {
    start.push_back(emitLoad(builder, loc, integers, column(builder, starts, c)));
    position.push_back(emitLoad(builder, loc, integers, column(builder, positions, c)));
  }
  Value nothing = emitConstant(builder, loc, floats, -std::numeric_limits<double>::infinity());
  Value none = emitConstant(builder, loc, floats, 0.0);
  Value zero = s.constant(0);

  // Whether the queries of column c see this key.
  auto sees = [&](OpBuilder &inner, Value key, int64_t c) -> Value {
    Value number = arith::TruncIOp::create(inner, loc, i32, arith::AddIOp::create(inner, loc, firstKey, key));
    Value spread = emitSpread(inner, loc, integers, number);
    Value from = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::sle, start[c], spread);
    Value to = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::sle, spread, position[c]);
    return arith::AndIOp::create(inner, loc, from, to);
  };
  SmallVector<Value> maxima(columns, nothing);
  maxima = emitFor(builder, loc, zero, keys, 1, maxima, [&](OpBuilder &inner, Value key, ValueRange state) {
    Value row = elementPointer(inner, loc, scores, f32, SizeMath{inner, loc}.mul(key, tile.nr));
    SmallVector<Value> next;
    for (int64_t c = 0; c < columns; ++c) {
      Value place = column(inner, row, c);
      Value x = emitScore(inner, loc, shape, emitLoad(inner, loc, floats, place));
      if (shape.softcap != 0)
        emitStore(inner, loc, x, place);
      x = arith::SelectOp::create(inner, loc, sees(inner, key, c), x, nothing);
      Value above = arith::CmpFOp::create(inner, loc, arith::CmpFPredicate::OGT, x, state[c]);
      next.push_back(arith::SelectOp::create(inner, loc, above, x, state[c]));
    }
    return next;
  });
  SmallVector<Value> sums(columns, none);
  sums = emitFor(builder, loc, zero, keys, 1, sums, [&](OpBuilder &inner, Value key, ValueRange state) {
    Value row = elementPointer(inner, loc, scores, f32, SizeMath{inner, loc}.mul(key, tile.nr));
    SmallVector<Value> next;
    for (int64_t c = 0; c < columns; ++c) {
      Value place = column(inner, row, c);
      Value x = emitLoad(inner, loc, floats, place);
      if (shape.softcap == 0)
        x = emitScore(inner, loc, shape, x);
      Value p = emitExp(inner, loc, arith::SubFOp::create(inner, loc, x, maxima[c]));
      p = arith::SelectOp::create(inner, loc, sees(inner, key, c), p, none);
      emitStore(inner, loc, p, place);
      next.push_back(arith::AddFOp::create(inner, loc, state[c], p));
    }
    return next;
  });
  Value one = emitConstant(builder, loc, floats, 1.0);
  for (int64_t c = 0; c < columns; ++c) {
    emitStore(builder, loc, arith::DivFOp::create(builder, loc, one, sums[c]), column(builder, weights, c));
    Value log = arith::AddFOp::create(builder, loc, maxima[c], target::emitLog(builder, loc, sums[c]));
    emitStore(builder, loc, log, column(builder, logs, c));
  }
}

void cpu::emitAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CpuTarget &target) {
  ForwardEmitter(kernel, op, target).emit();
}

LogicalResult cpu::emitAttention(plan::KernelOp kernel, const CpuTarget &target) {
  Operation *work = kernel.getWork();
  int64_t needed = scratchBytes(work, target);
  auto forward = dyn_cast<plan::AttentionOp>(work);
  Value scratch = forward ? forward.getScratch() : cast<plan::AttentionGradOp>(work).getScratch();
  if (!scratch || plan::bytesOf(scratch.getType()) < needed)
    return work->emitOpError("needs ") << needed << " bytes of scratch memory; run the pass that plans it first";
  if (forward)
    emitAttentionForward(kernel, forward, target);
  else
    emitAttentionGrad(kernel, cast<plan::AttentionGradOp>(work), target);
  return success();
}

//===- LowerAttention.cpp - Attention by tiles ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A block takes 64 queries of one head and goes through the keys that any of them may attend to, 64 at a time: scores
// by tiles (Tiles.h), a softmax that is corrected whenever a larger score comes (Milakov and Gimelshein 2018, "Online
// normalizer calculation for softmax"; Dao et al. 2022, "FlashAttention"), and the values weighted by it. No score is
// ever in memory beyond the 64 x 64 of a tile.
//
// A window is a later start: a query's keys begin at its segment or `window - 1` before it, whichever is later; tiles
// before the first key of all of a block's queries are not visited.
//
// Assumes verified plan IR and that each token attends to itself. Promises an order of additions that depends on sizes
// and segments only: keys ascending, tile by tile. Arithmetic is fp32, exp, log and tanh those of all targets. Refuses
// heads whose tiles do not fit into the shared memory of a block.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LowerAttention.h"

#include "lib/Target/CUDA/LowerAttentionMma.h"
#include "lib/Target/Common/Math.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;
using cuda::AttentionShape;
using cuda::Numbers;
using cuda::perThread;
using cuda::TileCode;
using cuda::tileRows;
using cuda::tileSide;

static constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("attention").category("cuda-lower-kernels");

const char *cuda::wayOutOf(const AttentionShape &shape) {
  AttentionShape rounded = shape;
  rounded.element = BFloat16Type::get(shape.element.getContext());
  bool isRoom = !shape.element.isBF16() && whyNotOnTensorCores(rounded).empty();
  return isRoom ? "; with dtype=bf16 tensor cores compute it, in less" : "";
}

Value cuda::clampedPosition(TileCode &code, Value first, Value place, int64_t sequence) {
  return code.min(code.add(first, place), code.number(sequence - 1));
}

Value cuda::firstKeyOf(TileCode &code, const AttentionShape &shape, Value starts, Value base, Value position) {
  Type i32 = code.b.getI32Type();
  Value start = code.load(i32, starts, code.add(base, position));
  if (shape.window == 0)
    return start;
  Value narrow = arith::TruncIOp::create(code.b, code.loc, i32, position);
  return code.max(start, code.add(narrow, 1 - shape.window));
}

Value cuda::endOfQueries(TileCode &code, const AttentionShape &shape, Value first, int64_t rows) {
  Value sequence = code.number(shape.sequence, first.getType());
  return shape.window == 0 ? sequence : code.min(sequence, code.add(first, rows + shape.window - 1));
}

Value cuda::scoreOf(TileCode &code, const AttentionShape &shape, Value product, Value *slope) {
  if (shape.softcap == 0)
    return code.mulf(product, code.real(shape.scale));
  Value ratio = target::emitTanh(code.b, code.loc, code.mulf(product, code.real(shape.scale / shape.softcap)));
  if (slope)
    *slope = code.subf(code.real(1), code.mulf(ratio, ratio));
  return code.mulf(ratio, code.real(shape.softcap));
}

Value cuda::lowestFirstKey(TileCode &code, const AttentionShape &shape, Value starts, Value base, Value first) {
  Value lane = code.rem(code.thread, CudaTarget::warp), lowest;
  for (int64_t half = 0; half < 2; ++half) {
    Value position = clampedPosition(code, first, code.add(lane, half * CudaTarget::warp), shape.sequence);
    Value start = firstKeyOf(code, shape, starts, base, position);
    lowest = lowest ? arith::MinSIOp::create(code.b, code.loc, lowest, start).getResult() : start;
  }
  for (int32_t distance = CudaTarget::warp / 2; distance >= 1; distance /= 2)
    lowest = arith::MinSIOp::create(code.b, code.loc, lowest, code.fromLane(lowest, distance));
  return arith::ExtSIOp::create(code.b, code.loc, code.b.getI64Type(), lowest);
}

/// Combines the values of the 16 threads that share a row.
static Value acrossRow(TileCode &code, Value value, llvm::function_ref<Value(Value, Value)> combine) {
  for (int32_t distance = tileSide / 2; distance >= 1; distance /= 2)
    value = combine(value, code.fromLane(value, distance));
  return value;
}

namespace {
/// The code of a block of plan.attention.
struct ForwardBlock {
  plan::AttentionOp op;
  AttentionShape shape;
  TileCode code;
  Value query, key, value, starts, output, lse, memory;
  Value base, head, first; ///< first token of the row, head, first query's position in the row
  cuda::Tile queries, keys, weights;

  void emit();
  Numbers emitKeys(TileCode inner, Value firstKey, ValueRange state, ArrayRef<Value> ownStarts);
};
} // namespace

/// One tile of keys. The state is, for the thread's four rows, the largest score so far, the sum of exp(score -
/// largest), and the weighted values.
Numbers ForwardBlock::emitKeys(TileCode inner, Value firstKey, ValueRange state, ArrayRef<Value> ownStarts) {
  Location loc = inner.loc;
  Value head = inner.div(this->head, shape.group());
  cuda::Matrix keyMatrix{key, shape.element, shape.keyPitch()}, valueMatrix{value, shape.element, shape.keyPitch()};
  cuda::Window window{inner.add(base, firstKey), inner.times(head, shape.headDim),
                      inner.sub(inner.number(shape.sequence), firstKey), shape.headDim};
  inner.barrier();
  inner.fill(keys, keyMatrix, window);
  inner.barrier();
  Numbers scores = inner.dot(queries, keys, Numbers(perThread * perThread, inner.real(0)));

  Numbers after(state);
  Value lowest = inner.real(-INFINITY);
  for (int64_t i = 0; i < perThread; ++i) {
    Value position = inner.add(first, inner.row(i));
    Value largest = state[i];
    for (int64_t j = 0; j < perThread; ++j) {
      Value &score = scores[i * perThread + j];
      Value place = inner.add(firstKey, inner.column(j));
      Value valid =
          inner.both(inner.less(place, inner.add(position, 1)), inner.less(ownStarts[i], inner.add(place, 1)));
      score = inner.select(valid, cuda::scoreOf(inner, shape, score), lowest);
      largest = arith::MaximumFOp::create(inner.b, loc, largest, score);
    }
    largest = acrossRow(inner, largest,
                        [&](Value a, Value c) -> Value { return arith::MaximumFOp::create(inner.b, loc, a, c); });
    // Before the row's first key there is nothing: exp(-inf - 0) is 0, where exp(-inf + inf) would be no number.
    Value none = arith::CmpFOp::create(inner.b, loc, arith::CmpFPredicate::OEQ, largest, lowest);
    Value shift = inner.select(none, inner.real(0), largest);
    Value sum = inner.real(0);
    for (int64_t j = 0; j < perThread; ++j) {
      Value &score = scores[i * perThread + j];
      score = target::emitExp(inner.b, loc, inner.subf(score, shift));
      sum = inner.addf(sum, score);
    }
    sum = acrossRow(inner, sum, [&](Value a, Value c) { return inner.addf(a, c); });
    Value correction = target::emitExp(inner.b, loc, inner.subf(state[i], shift));
    after[i] = largest;
    after[perThread + i] = inner.fma(state[perThread + i], correction, sum);
    int64_t groups = static_cast<int64_t>(state.size()) / perThread - 2;
    for (int64_t g = 0; g < groups; ++g) {
      Value &mixed = after[2 * perThread + i * groups + g];
      Value factor = vector::BroadcastOp::create(inner.b, loc, mixed.getType(), correction);
      mixed = inner.mulf(mixed, factor);
    }
  }
  inner.barrier(); // the keys have been read
  inner.fill(keys, valueMatrix, window);
  inner.put(weights, scores);
  inner.barrier();
  Numbers sums = inner.accumulate(weights, keys, ArrayRef(after).drop_front(2 * perThread));
  std::copy(sums.begin(), sums.end(), after.begin() + 2 * perThread);
  return after;
}

void ForwardBlock::emit() {
  Location loc = code.loc;
  Value block = cuda::blockNumber(code.b, loc);
  // The last queries have most keys: they start first, those of all heads.
  Value tile = code.sub(code.number(shape.tiles() - 1), code.div(block, shape.batch * shape.heads));
  Value rest = code.rem(block, shape.batch * shape.heads);
  head = code.rem(rest, shape.heads);
  base = code.times(code.div(rest, shape.heads), shape.sequence);
  first = code.times(tile, tileRows);
  int64_t tileBytes = cuda::tileBytes(shape.headDim);
  queries = code.tile(memory, 0, shape.headDim);
  keys = code.tile(memory, tileBytes, shape.headDim);
  weights = code.tile(memory, 2 * tileBytes, tileRows);

  cuda::Window window{code.add(base, first), code.times(head, shape.headDim),
                      code.sub(code.number(shape.sequence), first), shape.headDim};
  code.fill(queries, {query, shape.element, shape.pitch()}, window);
  SmallVector<Value> ownStarts;
  for (int64_t i = 0; i < perThread; ++i) {
    Value position = cuda::clampedPosition(code, first, code.row(i), shape.sequence);
    Value start = cuda::firstKeyOf(code, shape, starts, base, position);
    ownStarts.push_back(arith::ExtSIOp::create(code.b, loc, code.b.getI64Type(), start));
  }
  Value lowest = cuda::lowestFirstKey(code, shape, starts, base, first);
  Value firstKey = code.times(code.div(lowest, tileRows), tileRows);
  Numbers state(perThread, code.real(-INFINITY));
  state.append(perThread, code.real(0));
  state.append(code.zeros(shape.headDim));
  state = code.loop(
      firstKey, code.add(first, tileRows), tileRows, state,
      [&](TileCode inner, Value place, ValueRange before) { return emitKeys(inner, place, before, ownStarts); });

  int64_t groups = static_cast<int64_t>(state.size()) / perThread - 2;
  for (int64_t i = 0; i < perThread; ++i) {
    for (int64_t g = 0; g < groups; ++g) {
      Value &mixed = state[2 * perThread + i * groups + g];
      Value sum = vector::BroadcastOp::create(code.b, loc, mixed.getType(), state[perThread + i]);
      mixed = arith::DivFOp::create(code.b, loc, mixed, sum);
    }
    Value mine = code.both(arith::CmpIOp::create(code.b, loc, arith::CmpIPredicate::eq, code.x, code.number(0)),
                           code.less(code.row(i), window.rows));
    code.when(mine, [&](TileCode then) {
      Value logSum = then.addf(state[i], target::emitLog(then.b, loc, state[perThread + i]));
      Value token = then.add(window.firstRow, then.row(i));
      then.store(logSum, lse, then.add(then.times(token, shape.heads), head));
    });
  }
  code.storeSums(ArrayRef(state).drop_front(2 * perThread), {output, shape.element, shape.pitch()}, window);
}

LogicalResult cuda::emitAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                                         KernelTables &tables) {
  AttentionShape shape = attentionShape(op, target);
  Location loc = kernel.getLoc();
  Value buffers[] = {op.getQuery(), op.getKey(), op.getValue(), op.getSegmentStarts(), op.getOutput(), op.getLse()};
  gpu::GPUFuncOp function =
      tables.addFunction(loc, kernel.getSymName(), std::size(buffers),
                         {shape.batch * shape.heads * shape.tiles(), tileThreads, tiledForwardBytes(shape)});
  emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    TileCode code(builder, loc);
    ForwardBlock block{op,           shape,
                       code,         arguments[0],
                       arguments[1], arguments[2],
                       arguments[3], arguments[4],
                       arguments[5], tables.sharedMemory(builder, loc),
                       {},           {},
                       {},           {},
                       {},           {}};
    block.emit();
  });
  Driver driver(tables, kernel);
  SmallVector<Value> addresses;
  for (Value buffer : buffers)
    addresses.push_back(driver.address(buffer));
  driver.launch(function, addresses);
  driver.finish();
  return success();
}

template <typename Op>
static LogicalResult
emitEither(plan::KernelOp kernel, Op op, const cuda::CudaTarget &target, cuda::KernelTables &tables,
           LogicalResult (*onTensorCores)(plan::KernelOp, Op, const cuda::CudaTarget &, cuda::KernelTables &),
           LogicalResult (*inFp32)(plan::KernelOp, Op, const cuda::CudaTarget &, cuda::KernelTables &)) {
  std::string reason = cuda::whyNotOnTensorCores(cuda::attentionShape(op, target));
  if (reason.empty()) {
    remark::passed(kernel.getLoc(), remarkOpts) << remark::add("{0} is computed on tensor cores", kernel.getSymName());
    return onTensorCores(kernel, op, target, tables);
  }
  remark::missed(kernel.getLoc(), remarkOpts)
      << remark::add("{0} is computed in fp32, not on tensor cores: {1}", kernel.getSymName(), reason);
  return inFp32(kernel, op, target, tables);
}

LogicalResult cuda::emitAttention(plan::KernelOp kernel, const CudaTarget &target, KernelTables &tables) {
  if (auto op = dyn_cast<plan::AttentionOp>(kernel.getWork()))
    return emitEither(kernel, op, target, tables, emitMmaAttentionForward, emitAttentionForward);
  return emitEither(kernel, cast<plan::AttentionGradOp>(kernel.getWork()), target, tables, emitMmaAttentionGrad,
                    emitAttentionGrad);
}

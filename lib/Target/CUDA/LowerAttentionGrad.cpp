//===- LowerAttentionGrad.cpp - Gradients of attention by tiles ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// With p = exp(scale q k - lse), delta = the inner product of output and its gradient, and ds = p (do v - delta) scale:
// dq = ds k, dk = ds^T q, dv = p^T do (Dao et al. 2022, "FlashAttention", appendix B); where scores are capped, ds has
// the cap's slope 1 - tanh^2 as a factor too. Three functions, one after the
// other:
//
//   NAME$delta        a warp for each token and head
//   NAME$query        a block for each 64 queries of a head: goes through their keys
//   NAME$key_value    a block for each 64 keys of a key head: goes through its heads, and the queries of each
//
// So every number is summed up by one thread, in an order that depends on sizes and segments only; nothing is added
// atomically. Where four tiles of heads so wide do not fit into the shared memory of a block, three have to do: the two
// that a block goes through take turns. Assumes and refuses what the forward pass does. `scratch` holds delta.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LowerAttention.h"

#include "lib/Target/Common/Math.h"

using namespace mlir;
using namespace ftc;
using cuda::AttentionShape;
using cuda::Numbers;
using cuda::perThread;
using cuda::Tile;
using cuda::TileCode;
using cuda::tileRows;

static constexpr int64_t deltaThreads = 128;

namespace {
/// What all three functions have.
struct GradientCode {
  AttentionShape shape;
  TileCode code;
  Value query, key, value, starts, output, lse, gradient, delta, memory;

  Value base, head, first; ///< first token of the row; the head, or the key head; first position of the block's tile
  Tile tiles[4], weights;
  /// The tiles that a block goes through share one place, since four do not fit: each is filled right before it is
  /// read, one of them twice.
  bool sharesTile;

  cuda::Matrix rows(Value pointer) const { return {pointer, shape.element, shape.pitch()}; }
  cuda::Matrix keyRows(Value pointer) const { return {pointer, shape.element, shape.keyPitch()}; }
  cuda::Window window(TileCode inner, Value position, Value column) const {
    return {inner.add(base, position), inner.times(column, shape.headDim),
            inner.sub(inner.number(shape.sequence), position), shape.headDim};
  }
  void place(int64_t heads, bool lastFirst);
  /// Where tiles share a place, fills it with another one; its threads have to meet before they read it.
  void reload(TileCode inner, const Tile &tile, const cuda::Matrix &matrix, const cuda::Window &window) {
    if (!sharesTile)
      return;
    inner.barrier();
    inner.fill(tile, matrix, window);
  }
  Value startOf(TileCode inner, Value position);
  /// lse and delta of a query.
  std::pair<Value, Value> numbersOf(TileCode inner, Value position, Value head);
  Value probability(TileCode inner, Value product, Value lse, Value query, Value start, Value key, Value &slope);

  void emitDelta();
  void emitQuery(Value queryGradient);
  void emitKeyValue(Value keyGradient, Value valueGradient);
  Numbers emitQueries(TileCode inner, Value head, Value position, ValueRange sums);
};
} // namespace

/// Which tile, head and row of tokens this block has; `lastFirst`: the tiles with most work are the last ones. They
/// start first, those of all heads: the short ones fill what is left at the end.
void GradientCode::place(int64_t heads, bool lastFirst) {
  Value block = cuda::blockNumber(code.b, code.loc);
  Value tile = code.div(block, shape.batch * heads), rest = code.rem(block, shape.batch * heads);
  if (lastFirst)
    tile = code.sub(code.number(shape.tiles() - 1), tile);
  head = code.rem(rest, heads);
  base = code.times(code.div(rest, heads), shape.sequence);
  first = code.times(tile, tileRows);
  int64_t bytes = cuda::tileBytes(shape.headDim);
  const int64_t places = sharesTile ? 3 : 4;
  for (int64_t i = 0; i < 4; ++i)
    tiles[i] = code.tile(memory, std::min(i, places - 1) * bytes, shape.headDim);
  weights = code.tile(memory, places * bytes, tileRows);
}

Value GradientCode::startOf(TileCode inner, Value position) {
  Value start = cuda::firstKeyOf(inner, shape, starts, base, position);
  return arith::ExtSIOp::create(inner.b, inner.loc, inner.b.getI64Type(), start);
}

std::pair<Value, Value> GradientCode::numbersOf(TileCode inner, Value position, Value head) {
  Value place = inner.add(inner.times(inner.add(base, position), shape.heads), head);
  return {inner.load(inner.b.getF32Type(), lse, place), inner.load(inner.b.getF32Type(), delta, place)};
}

/// exp(score - lse) where the query may attend to the key, else 0. `slope` is set where scores are capped.
Value GradientCode::probability(TileCode inner, Value product, Value logSum, Value query, Value start, Value key,
                                Value &slope) {
  Value valid = inner.both(inner.less(key, inner.add(query, 1)), inner.less(start, inner.add(key, 1)));
  valid = inner.both(valid, inner.less(query, inner.number(shape.sequence)));
  Value exponent = inner.subf(cuda::scoreOf(inner, shape, product, &slope), logSum);
  return inner.select(valid, target::emitExp(inner.b, inner.loc, exponent), inner.real(0));
}

//===----------------------------------------------------------------------===//
// Delta
//===----------------------------------------------------------------------===//

void GradientCode::emitDelta() {
  constexpr int64_t warp = cuda::CudaTarget::warp;
  Value lane = code.rem(code.thread, warp);
  Value unit =
      code.add(code.times(cuda::blockNumber(code.b, code.loc), deltaThreads / warp), code.div(code.thread, warp));
  Value count = code.number(shape.batch * shape.sequence * shape.heads);
  // All lanes of a warp are inside or none.
  code.when(code.less(unit, count), [&](TileCode inner) {
    Value start = inner.times(unit, shape.headDim);
    Value sum = inner.loop(lane, inner.number(llvm::alignTo(shape.headDim, warp)), warp, inner.real(0),
                           [&](TileCode deep, Value column, ValueRange before) {
                             Value inside = deep.less(column, deep.number(shape.headDim));
                             return deep.choose(inside, before, [&](TileCode then) {
                               Value place = then.add(start, column);
                               Value a = then.widen(then.load(shape.element, output, place));
                               Value c = then.widen(then.load(shape.element, gradient, place));
                               return Numbers{then.fma(a, c, before[0])};
                             });
                           })[0];
    for (int32_t distance = warp / 2; distance >= 1; distance /= 2)
      sum = inner.addf(sum, inner.fromLane(sum, distance));
    Value isFirst = arith::CmpIOp::create(inner.b, inner.loc, arith::CmpIPredicate::eq, lane, inner.number(0));
    inner.when(isFirst, [&](TileCode then) { then.store(sum, delta, unit); });
  });
}

//===----------------------------------------------------------------------===//
// Gradient of queries
//===----------------------------------------------------------------------===//

void GradientCode::emitQuery(Value queryGradient) {
  place(shape.heads, /*lastFirst=*/true);
  auto &[queries, gradients, keys, values] = tiles;
  cuda::Window own = window(code, first, head);
  code.fill(queries, rows(query), own);
  code.fill(gradients, rows(gradient), own);
  SmallVector<Value> position, start, logSum, inner;
  for (int64_t i = 0; i < perThread; ++i) {
    Value clamped = cuda::clampedPosition(code, first, code.row(i), shape.sequence);
    position.push_back(code.add(first, code.row(i)));
    start.push_back(startOf(code, clamped));
    auto [l, d] = numbersOf(code, clamped, head);
    logSum.push_back(l);
    inner.push_back(d);
  }
  Value lowest = cuda::lowestFirstKey(code, shape, starts, base, first);
  Value firstKey = code.times(code.div(lowest, tileRows), tileRows);
  Value keyHead = code.div(head, shape.group());
  Numbers sums = code.loop(firstKey, code.add(first, tileRows), tileRows, code.zeros(shape.headDim),
                           [&](TileCode deep, Value keyPosition, ValueRange before) {
                             cuda::Window other = window(deep, keyPosition, keyHead);
                             deep.barrier();
                             deep.fill(keys, keyRows(key), other);
                             if (!sharesTile)
                               deep.fill(values, keyRows(value), other);
                             deep.barrier();
                             Numbers none(perThread * perThread, deep.real(0));
                             Numbers score = deep.dot(queries, keys, none);
                             for (int64_t i = 0; i < perThread; ++i)
                               for (int64_t j = 0; j < perThread; ++j) {
                                 Value &number = score[i * perThread + j];
                                 Value place = deep.add(keyPosition, deep.column(j));
                                 Value slope;
                                 number = probability(deep, number, logSum[i], position[i], start[i], place, slope);
                                 if (slope)
                                   number = deep.mulf(number, slope);
                                 number = deep.mulf(number, deep.real(shape.scale));
                               }
                             reload(deep, values, keyRows(value), other);
                             if (sharesTile)
                               deep.barrier();
                             Numbers product = deep.dot(gradients, values, none);
                             for (int64_t i = 0; i < perThread; ++i)
                               for (int64_t j = 0; j < perThread; ++j) {
                                 Value &number = score[i * perThread + j];
                                 number = deep.mulf(number, deep.subf(product[i * perThread + j], inner[i]));
                               }
                             deep.put(weights, score);
                             reload(deep, keys, keyRows(key), other);
                             deep.barrier();
                             return deep.accumulate(weights, keys, before);
                           });
  code.storeSums(sums, rows(queryGradient), own);
}

//===----------------------------------------------------------------------===//
// Gradients of keys and values
//===----------------------------------------------------------------------===//

/// Adds what the 64 queries from `position` on give; rows of a product are keys, its columns queries. `sums` are those
/// of keys, then those of values.
Numbers GradientCode::emitQueries(TileCode inner, Value queryHead, Value position, ValueRange sums) {
  auto &[keys, values, queries, gradients] = tiles;
  cuda::Window other = window(inner, position, queryHead);
  inner.barrier();
  inner.fill(queries, rows(query), other);
  if (!sharesTile)
    inner.fill(gradients, rows(gradient), other);
  inner.barrier();
  // First all of p, then all of ds: a thread has not registers enough for both.
  Numbers none(perThread * perThread, inner.real(0));
  Numbers weight = inner.dot(keys, queries, none), differences, slopes(weight.size());
  for (int64_t j = 0; j < perThread; ++j) {
    Value clamped = cuda::clampedPosition(inner, position, inner.column(j), shape.sequence);
    auto [logSum, delta] = numbersOf(inner, clamped, queryHead);
    Value start = startOf(inner, clamped), own = inner.add(position, inner.column(j));
    differences.push_back(delta);
    for (int64_t i = 0; i < perThread; ++i) {
      Value &number = weight[i * perThread + j];
      number =
          probability(inner, number, logSum, own, start, inner.add(first, inner.row(i)), slopes[i * perThread + j]);
    }
  }
  size_t half = sums.size() / 2;
  inner.put(weights, weight);
  if (shape.softcap != 0)
    for (auto [number, slope] : llvm::zip_equal(weight, slopes))
      number = inner.mulf(number, slope);
  reload(inner, gradients, rows(gradient), other);
  inner.barrier();
  Numbers ofValues = inner.accumulate(weights, gradients, sums.drop_front(half));
  Numbers product = inner.dot(values, gradients, none);
  for (int64_t i = 0; i < perThread; ++i)
    for (int64_t j = 0; j < perThread; ++j) {
      Value &number = product[i * perThread + j];
      number = inner.mulf(weight[i * perThread + j], inner.subf(number, differences[j]));
      number = inner.mulf(number, inner.real(shape.scale));
    }
  inner.barrier();
  inner.put(weights, product);
  reload(inner, queries, rows(query), other);
  inner.barrier();
  Numbers both = inner.accumulate(weights, queries, sums.take_front(half));
  both.append(ofValues);
  return both;
}

void GradientCode::emitKeyValue(Value keyGradient, Value valueGradient) {
  place(shape.kvHeads, /*lastFirst=*/false);
  cuda::Window own = window(code, first, head);
  code.fill(tiles[0], keyRows(key), own);
  code.fill(tiles[1], keyRows(value), own);
  Numbers sums = code.zeros(shape.headDim);
  sums.append(code.zeros(shape.headDim));
  Value behind = code.add(first, tileRows);
  sums = code.loop(code.number(0), code.number(shape.group()), 1, sums, [&](TileCode outer, Value g, ValueRange all) {
    Value queryHead = outer.add(outer.times(head, shape.group()), g);
    return outer.loop(first, cuda::endOfQueries(outer, shape, first, tileRows), tileRows, all,
                      [&](TileCode deep, Value position, ValueRange before) {
                        // Segments that begin behind these keys have nothing to do with them.
                        Value lowest = cuda::lowestFirstKey(deep, shape, starts, base, position);
                        return deep.choose(deep.less(lowest, behind), before, [&](TileCode then) {
                          return emitQueries(then, queryHead, position, before);
                        });
                      });
  });
  size_t half = sums.size() / 2;
  code.storeSums(ArrayRef(sums).take_front(half), keyRows(keyGradient), own);
  code.storeSums(ArrayRef(sums).drop_front(half), keyRows(valueGradient), own);
}

LogicalResult cuda::emitAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                                      KernelTables &tables) {
  AttentionShape shape = attentionShape(op, target);
  Location loc = kernel.getLoc();
  const int64_t shared = tiledGradientBytes(shape, target);
  if (!op.getScratch())
    return op.emitError("has no scratch memory; run cuda-plan-scratch first");
  Driver driver(tables, kernel);
  auto emit = [&](const char *suffix, ArrayRef<Value> buffers, const LaunchShape &launch,
                  llvm::function_ref<void(GradientCode &, const IRMapping &)> body) {
    gpu::GPUFuncOp function = tables.addFunction(loc, (kernel.getSymName() + suffix).str(), buffers.size(), launch);
    emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
      IRMapping map;
      for (auto [buffer, argument] : llvm::zip(buffers, arguments))
        map.map(buffer, argument);
      auto at = [&](Value buffer) { return map.lookupOrNull(buffer); };
      TileCode code(builder, loc);
      GradientCode inside{shape,
                          code,
                          at(op.getQuery()),
                          at(op.getKey()),
                          at(op.getValue()),
                          at(op.getSegmentStarts()),
                          at(op.getOutput()),
                          at(op.getLse()),
                          at(op.getGradient()),
                          at(op.getScratch()),
                          launch.sharedBytes ? tables.sharedMemory(builder, loc) : Value(),
                          {},
                          {},
                          {},
                          {},
                          {},
                          sharesTile(shape, target)};
      body(inside, map);
    });
    SmallVector<Value> addresses;
    for (Value buffer : buffers)
      addresses.push_back(driver.address(buffer));
    driver.launch(function, addresses);
  };
  int64_t warpsABlock = deltaThreads / CudaTarget::warp;
  int64_t deltaBlocks = (shape.batch * shape.sequence * shape.heads + warpsABlock - 1) / warpsABlock;
  emit("$delta", {op.getOutput(), op.getGradient(), op.getScratch()}, {deltaBlocks, deltaThreads, 0},
       [&](GradientCode &code, const IRMapping &) { code.emitDelta(); });
  SmallVector<Value> read{op.getQuery(), op.getKey(),      op.getValue(),  op.getSegmentStarts(),
                          op.getLse(),   op.getGradient(), op.getScratch()};
  SmallVector<Value> forQuery = read, forKeyValue = read;
  forQuery.push_back(op.getQueryGradient());
  forKeyValue.append({op.getKeyGradient(), op.getValueGradient()});
  int64_t blocks = shape.batch * shape.tiles();
  emit("$query", forQuery, {blocks * shape.heads, tileThreads, shared},
       [&](GradientCode &code, const IRMapping &map) { code.emitQuery(map.lookup(op.getQueryGradient())); });
  emit("$key_value", forKeyValue, {blocks * shape.kvHeads, tileThreads, shared},
       [&](GradientCode &code, const IRMapping &map) {
         code.emitKeyValue(map.lookup(op.getKeyGradient()), map.lookup(op.getValueGradient()));
       });
  driver.finish();
  return success();
}

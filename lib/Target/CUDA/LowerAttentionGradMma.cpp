//===- LowerAttentionGradMma.cpp - Gradients of attention on tensor cores -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// The three functions of LowerAttentionGrad.cpp for bf16, on tensor cores (TilesMma.h):
//
//   NAME$delta        some lanes for each token and head, 16 bytes each
//   NAME$query        a block for some queries of a head: goes through their keys
//   NAME$key_value    a block for some keys of a key head: goes through its heads, and the queries of each
//
// In $query rows of a product are queries, in $key_value keys: either way p and ds = p (do v - delta), times the slope
// of a soft cap, leave a product as the left operand of the next one, and never a thread's registers. p and ds are
// rounded to bf16 for their products; the scale is applied to the sums. Scores are computed in both functions: seven
// products where five would do, which is what it costs that nothing is added atomically and every sum has one order.
//
// Tiles that a block goes through are loaded a step ahead, into the second of two places each. $key_value first looks
// through the segment starts for the last query that sees its keys, and for the first one that does not see all; no
// other tile is loaded, and masks are computed only on the diagonal and behind that query.
//
// Assumes, promises and refuses what the forward form does. `scratch` holds delta.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryAttention.h"
#include "lib/Target/CUDA/LowerAttentionMma.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;
using namespace ftc;
using cuda::MmaAttentionCode;
using cuda::MmaBlock;
using cuda::MmaRows;
using cuda::MmaTile;
using cuda::Numbers;
using cuda::TileCode;

static constexpr int64_t deltaThreads = 128;

namespace {
struct GradientMma : MmaAttentionCode {
  Value query, key, value, lse, gradient, delta;
  Value exponentScale; ///< of scores, for powers of 2

  using MmaAttentionCode::MmaAttentionCode;

  int64_t threadRows() const { return 2 * sizes.rowTiles; }
  /// Two tiles that are loaded together; two tiles of the block's own rows.
  int64_t tilesBytes() const { return 2 * cuda::mmaBytes(sizes.stream, shape.headDim); }
  int64_t ownBytes() const { return 2 * cuda::mmaBytes(sizes.rows(), shape.headDim); }
  int64_t stageBytes = 0; ///< what is loaded together in all

  /// The left operand for this warp's rows of a tile.
  Value ownRows(TileCode &inner, const MmaTile &tile) {
    return behind(inner, mma.byRows(inner, tile), inner.times(warpRow, tile.pitch()));
  }
  MmaTile streamed(TileCode &inner, Value stage, int64_t number) {
    return {behind(inner, behind(inner, memory, stage), number * cuda::mmaBytes(sizes.stream, shape.headDim)),
            sizes.stream, shape.headDim};
  }
  Value firstStage(TileCode &inner) { return i32(inner, ownBytes()); }
  Value otherStage(TileCode &inner, Value stage) { return inner.sub(i32(inner, 2 * ownBytes() + stageBytes), stage); }
  Numbers scaled(ValueRange sums) {
    Numbers after;
    for (Value sum : sums)
      after.push_back(code.mulf(sum, code.real(shape.scale)));
    return after;
  }
  /// The weight of a key, 2^(exponent of its score + shift). Where scores are capped, `slope` is what the gradient of
  /// the score is multiplied by.
  Value weightOf(TileCode &inner, Value product, Value shift, Value &slope) {
    if (shape.softcap == 0)
      return mma.exp2(inner, inner.fma(product, exponentScale, shift));
    Value rest = capRest(inner, product);
    slope = inner.fma(inner.mulf(rest, inner.real(-4)), rest, inner.mulf(rest, inner.real(4)));
    Value score = inner.fma(rest, inner.real(-2 * shape.softcap), inner.real(shape.softcap));
    return mma.exp2(inner, inner.fma(score, exponentScale, shift));
  }
  /// Numbers times slopes, where there are any.
  void multiply(TileCode &inner, Numbers &numbers, ValueRange slopes) {
    if (shape.softcap != 0)
      for (auto [number, slope] : llvm::zip_equal(numbers, slopes))
        number = inner.mulf(number, slope);
  }
  /// Where a product's element (n, e) of row `row` of this thread is, of `columns`.
  static int64_t element(int64_t row, int64_t n, int64_t e, int64_t columns) {
    return 4 * (n + row / 2 * columns / 8) + row % 2 * 2 + e;
  }

  void emitDelta(Value output);
  void emitQuery(Value queryGradient);
  Numbers emitKeys(TileCode inner, Value firstKey, Value stage, Value some, ValueRange sums);
  void emitKeyValue(Value keyGradient, Value valueGradient);
  std::pair<Value, Value> rangeOfQueries();
  Numbers emitQueries(TileCode inner, Value position, Value stage, Value some, ValueRange sums);

  // Of $query, for each row of the thread.
  SmallVector<Value> positions, ownStarts, logSums, deltas;
};
} // namespace

//===----------------------------------------------------------------------===//
// Delta
//===----------------------------------------------------------------------===//

/// Lanes that share a token and head: a power of two, so that their sums meet by shuffles.
static int64_t deltaLanes(const cuda::AttentionShape &shape) { return llvm::PowerOf2Ceil(shape.headDim / 8); }

void GradientMma::emitDelta(Value output) {
  const int64_t lanes = deltaLanes(shape), units = deltaThreads / lanes;
  auto eight = VectorType::get({8}, shape.element);
  Value lane = code.rem(code.thread, lanes);
  Value unit = code.add(code.times(cuda::blockNumber(code.b, code.loc), units), code.div(code.thread, lanes));
  Value count = code.number(shape.batch * shape.sequence * shape.heads);
  Value inside = code.both(code.less(unit, count), code.less(lane, code.number(shape.headDim / 8)));
  Value sum = code.choose(inside, code.real(0), [&](TileCode then) {
    Value start = then.add(then.times(unit, shape.headDim), then.times(lane, 8));
    Value a = then.widen(then.load(eight, output, start, 16)), c = then.widen(then.load(eight, gradient, start, 16));
    Value total = then.real(0);
    for (int64_t i = 0; i < 8; ++i) {
      auto element = [&](Value vector) -> Value {
        return vector::ExtractOp::create(then.b, then.loc, vector, ArrayRef<int64_t>{i});
      };
      total = then.fma(element(a), element(c), total);
    }
    return Numbers{total};
  })[0];
  for (auto distance = static_cast<int32_t>(lanes / 2); distance >= 1; distance /= 2)
    sum = code.addf(sum, code.fromLane(sum, distance));
  Value isFirst = arith::CmpIOp::create(code.b, code.loc, arith::CmpIPredicate::eq, lane, code.number(0));
  code.when(code.both(isFirst, inside), [&](TileCode then) { then.store(sum, delta, unit); });
}

//===----------------------------------------------------------------------===//
// Gradient of queries
//===----------------------------------------------------------------------===//

/// One tile of keys, of which `some` may be hidden.
Numbers GradientMma::emitKeys(TileCode inner, Value firstKey, Value stage, Value some, ValueRange sums) {
  MmaTile queries = tile(inner, 0, sizes.rows()), gradients = tile(inner, ownBytes() / 2, sizes.rows());
  MmaTile keys = streamed(inner, stage, 0), values = streamed(inner, stage, 1);
  const int64_t columns = sizes.chunk;
  return inner.loop(
      i32(inner, 0), i32(inner, sizes.stream), columns, sums, [&](TileCode deep, Value chunk, ValueRange before) {
        Value down = deep.times(chunk, keys.pitch());
        Numbers weights = mma.products(deep, ownRows(deep, queries), behind(deep, mma.byColumns(deep, keys), down),
                                       shape.headDim, sizes.rowTiles, columns);
        Numbers slopes(weights.size());
        for (int64_t row = 0; row < threadRows(); ++row)
          for (int64_t i = 0; i < columns / 4; ++i) {
            int64_t at = element(row, i / 2, i % 2, columns);
            weights[at] = weightOf(deep, weights[at], logSums[row], slopes[at]);
          }
        multiply(deep, weights, slopes);
        weights = deep.choose(some, weights, [&](TileCode then) {
          Numbers masked(weights);
          Value own = then.add(then.add(firstKey, chunk), then.times(mma.quad, 2));
          for (int64_t row = 0; row < threadRows(); ++row) {
            Value behindLast = then.add(then.sub(positions[row], own), 1), begin = then.sub(ownStarts[row], own);
            for (int64_t i = 0; i < columns / 4; ++i) {
              Value &weight = masked[element(row, i / 2, i % 2, columns)];
              Value column = i32(then, 8 * (i / 2) + i % 2);
              Value seen = then.both(then.less(column, behindLast), then.less(begin, then.add(column, 1)));
              weight = then.select(seen, weight, then.real(0));
            }
          }
          return masked;
        });
        Numbers products = mma.products(deep, ownRows(deep, gradients), behind(deep, mma.byColumns(deep, values), down),
                                        shape.headDim, sizes.rowTiles, columns);
        for (int64_t row = 0; row < threadRows(); ++row)
          for (int64_t i = 0; i < columns / 4; ++i) {
            int64_t at = element(row, i / 2, i % 2, columns);
            products[at] = deep.mulf(weights[at], deep.subf(products[at], deltas[row]));
          }
        return mma.accumulate(deep, mma.round(deep, products), behind(deep, mma.byRows(deep, keys), down), keys.pitch(),
                              shape.headDim, sizes.rowTiles, before);
      });
}

void GradientMma::emitQuery(Value queryGradient) {
  place(code, shape.heads, /*lastFirst=*/true);
  stageBytes = tilesBytes();
  exponentScale = code.real(exponentFactor());
  MmaTile queries = tile(code, 0, sizes.rows()), gradients = tile(code, ownBytes() / 2, sizes.rows());
  Value keyHead = code.div(head, shape.group());
  MmaRows keyRows = rows(code, key, keyHead, shape.keyPitch()),
          valueRows = rows(code, value, keyHead, shape.keyPitch());
  auto load = [&](TileCode &inner, Value stage, Value firstKey) {
    mma.fill(inner, streamed(inner, stage, 0), keyRows, firstKey);
    mma.fill(inner, streamed(inner, stage, 1), valueRows, firstKey);
  };
  mma.fill(code, queries, rows(code, query, head, shape.pitch()), first);
  mma.fill(code, gradients, rows(code, gradient, head, shape.pitch()), first);
  auto [lowest, highest] = rangeOfStarts();
  Value firstKey = code.times(code.div(lowest, sizes.stream), sizes.stream);
  load(code, firstStage(code), firstKey);
  mma.commit(code);
  for (int64_t row = 0; row < threadRows(); ++row) {
    Value own = position(code, mma.rowOffset(row / 2, row % 2)), token = clamped(code, own);
    Value number = code.add(code.times(code.add(base, wide(code, token)), shape.heads), wide(code, head));
    positions.push_back(own);
    ownStarts.push_back(startOf(code, token));
    logSums.push_back(code.mulf(code.load(code.b.getF32Type(), lse, number), code.real(-llvm::numbers::log2e)));
    deltas.push_back(code.load(code.b.getF32Type(), delta, number));
  }
  Value end = code.min(code.add(first, sizes.rows()), i32(code, shape.sequence));
  Numbers state{firstStage(code)};
  state.append(sizes.rowTiles * shape.headDim / 2, code.real(0));
  state = code.loop(firstKey, end, sizes.stream, state, [&](TileCode inner, Value place, ValueRange before) {
    Value stage = before.front(), next = otherStage(inner, stage), behindLast = inner.add(place, sizes.stream);
    mma.wait(inner);
    inner.barrier();
    inner.when(inner.less(behindLast, end), [&](TileCode then) { load(then, next, behindLast); });
    mma.commit(inner);
    Value all = inner.both(inner.less(behindLast, inner.add(first, 2)), inner.less(highest, inner.add(place, 1)));
    Value some = arith::XOrIOp::create(inner.b, inner.loc, all, inner.number(1, inner.b.getI1Type()));
    Numbers after{next};
    after.append(inner.choose(seesFrom(inner, place), before.drop_front(),
                              [&](TileCode then) { return emitKeys(then, place, stage, some, before.drop_front()); }));
    return after;
  });
  place(code, shape.heads, /*lastFirst=*/true);
  // A warp's queries were its own; each of its lanes has read those of others.
  code.barrier();
  storeRows(scaled(ArrayRef(state).drop_front()), queries, rows(code, queryGradient, head, shape.pitch()));
}

//===----------------------------------------------------------------------===//
// Gradients of keys and values
//===----------------------------------------------------------------------===//

/// The last query that sees any of the block's keys, and the first one (from them on) that does not see all that come
/// before it; the largest number where there is none.
std::pair<Value, Value> GradientMma::rangeOfQueries() {
  constexpr int64_t none = std::numeric_limits<int32_t>::max();
  Value end = endOfQueries(code, shape, first, sizes.rows()), behindKeys = code.add(first, sizes.rows());
  Numbers range =
      code.loop(code.add(first, mma.thread), end, sizes.threads(), {i32(code, 0), i32(code, none)},
                [&](TileCode inner, Value position, ValueRange before) {
                  Value start = startOf(inner, position);
                  Value sees = inner.less(start, behindKeys), seesAll = inner.less(start, inner.add(first, 1));
                  Value last = inner.max(before[0], position), hidden = inner.min(before[1], position);
                  return Numbers{inner.select(sees, last, before[0]), inner.select(seesAll, before[1], hidden)};
                });
  auto combine = [&](Value last, Value hidden) {
    range[0] = code.max(range[0], last);
    range[1] = code.min(range[1], hidden);
  };
  for (int32_t distance = cuda::CudaTarget::warp / 2; distance >= 1; distance /= 2)
    combine(code.fromLane(range[0], distance), code.fromLane(range[1], distance));
  // Between warps by way of the second stage, which nothing is loaded into yet.
  Value place = behind(code, memory, otherStage(code, firstStage(code)));
  Type i32Type = code.b.getI32Type();
  for (int64_t i = 0; i < 2; ++i)
    code.store(range[i], place, code.add(code.times(mma.warp, 2), i));
  code.barrier();
  for (int64_t warp = 0; warp < sizes.warps; ++warp)
    combine(code.load(i32Type, place, i32(code, 2 * warp)), code.load(i32Type, place, i32(code, 2 * warp + 1)));
  return {range[0], range[1]};
}

/// One tile of queries from `position` on, of which `some` do not see all keys. `sums` are those of keys, then those of
/// values; rows of products are keys, columns queries.
Numbers GradientMma::emitQueries(TileCode inner, Value position, Value stage, Value some, ValueRange sums) {
  MmaTile keys = tile(inner, 0, sizes.rows()), values = tile(inner, ownBytes() / 2, sizes.rows());
  MmaTile queries = streamed(inner, stage, 0), gradients = streamed(inner, stage, 1);
  const int64_t columns = sizes.chunk, resultColumns = shape.headDim / sizes.parts;
  Value numbers = behind(inner, memory, stage);
  numbers = behind(inner, numbers, tilesBytes());
  auto two = VectorType::get({2}, inner.b.getF32Type());
  return inner.loop(
      i32(inner, 0), i32(inner, sizes.stream), columns, sums, [&](TileCode deep, Value chunk, ValueRange before) {
        Value down = deep.times(chunk, queries.pitch()), right = down;
        if (sizes.parts > 1)
          right = deep.add(right, deep.times(deep.rem(mma.warp, sizes.parts), 2 * resultColumns));
        Value own = deep.add(chunk, deep.times(mma.quad, 2)); // this thread's first column of the tile
        // lse and delta of its columns.
        auto numbersOf = [&](int64_t offset) {
          Numbers found;
          for (int64_t n = 0; n < columns / 8; ++n) {
            Value pair = deep.load(two, behind(deep, numbers, offset + 32 * n), own, 8);
            for (int64_t e = 0; e < 2; ++e)
              found.push_back(vector::ExtractOp::create(deep.b, deep.loc, pair, ArrayRef<int64_t>{e}));
          }
          return found;
        };
        Numbers weights = mma.products(deep, ownRows(deep, keys), behind(deep, mma.byColumns(deep, queries), down),
                                       shape.headDim, sizes.rowTiles, columns);
        Numbers logSums = numbersOf(0), slopes(weights.size());
        for (int64_t i = 0; i < columns / 4; ++i) {
          Value shift = deep.mulf(logSums[i], deep.real(-llvm::numbers::log2e));
          for (int64_t row = 0; row < threadRows(); ++row) {
            int64_t at = element(row, i / 2, i % 2, columns);
            weights[at] = weightOf(deep, weights[at], shift, slopes[at]);
          }
        }
        weights = deep.choose(some, weights, [&](TileCode then) {
          Numbers masked(weights);
          for (int64_t i = 0; i < columns / 4; ++i) {
            Value query = then.add(then.add(position, own), 8 * (i / 2) + i % 2);
            Value start = startOf(then, clamped(then, query)),
                  inside = then.less(query, this->i32(then, shape.sequence));
            for (int64_t row = 0; row < threadRows(); ++row) {
              Value place = this->position(then, mma.rowOffset(row / 2, row % 2));
              Value &weight = masked[element(row, i / 2, i % 2, columns)];
              Value seen = then.both(then.less(place, then.add(query, 1)), then.less(start, then.add(place, 1)));
              weight = then.select(then.both(seen, inside), weight, then.real(0));
            }
          }
          return masked;
        });
        size_t half = before.size() / 2;
        Numbers rounded = mma.round(deep, weights);
        multiply(deep, weights, slopes);
        Numbers ofValues = mma.accumulate(deep, rounded, behind(deep, mma.byRows(deep, gradients), right),
                                          gradients.pitch(), resultColumns, sizes.rowTiles, before.drop_front(half));
        Numbers products = mma.products(deep, ownRows(deep, values), behind(deep, mma.byColumns(deep, gradients), down),
                                        shape.headDim, sizes.rowTiles, columns);
        Numbers deltas = numbersOf(4 * sizes.stream);
        for (int64_t row = 0; row < threadRows(); ++row)
          for (int64_t i = 0; i < columns / 4; ++i) {
            int64_t at = element(row, i / 2, i % 2, columns);
            products[at] = deep.mulf(weights[at], deep.subf(products[at], deltas[i]));
          }
        Numbers both = mma.accumulate(deep, mma.round(deep, products), behind(deep, mma.byRows(deep, queries), right),
                                      queries.pitch(), resultColumns, sizes.rowTiles, before.take_front(half));
        both.append(ofValues);
        return both;
      });
}

void GradientMma::emitKeyValue(Value keyGradient, Value valueGradient) {
  place(code, shape.kvHeads, /*lastFirst=*/false);
  stageBytes = tilesBytes() + numbersBytes(sizes);
  exponentScale = code.real(exponentFactor());
  MmaTile keys = tile(code, 0, sizes.rows()), values = tile(code, ownBytes() / 2, sizes.rows());
  mma.fill(code, keys, rows(code, key, head, shape.keyPitch()), first);
  mma.fill(code, values, rows(code, value, head, shape.keyPitch()), first);
  // Queries `position` to position + stream - 1 of head number `g` of this key head.
  auto load = [&](TileCode &inner, Value stage, Value g, Value position) {
    Value queryHead = inner.add(inner.times(head, shape.group()), g);
    mma.fill(inner, streamed(inner, stage, 0), rows(inner, query, queryHead, shape.pitch()), position);
    mma.fill(inner, streamed(inner, stage, 1), rows(inner, gradient, queryHead, shape.pitch()), position);
    inner.when(inner.less(mma.thread, i32(inner, sizes.stream)), [&](TileCode then) {
      Value token = then.add(base, wide(then, clamped(then, then.add(position, mma.thread))));
      Value place = then.times(then.add(then.times(token, shape.heads), wide(then, queryHead)), 4);
      Value to = behind(then, behind(then, memory, stage), then.times(mma.thread, 4));
      mma.copyNumber(then, behind(then, to, tilesBytes()), behind(then, lse, place));
      mma.copyNumber(then, behind(then, to, tilesBytes() + 4 * sizes.stream), behind(then, delta, place));
    });
  };
  Value stage = firstStage(code), zero = i32(code, 0);
  load(code, stage, zero, first);
  mma.commit(code);
  auto [last, firstHidden] = rangeOfQueries();
  // Head by head, and each from the keys on: one loop, so that loading goes on from one head to the next.
  Value tiles = code.add(code.div(code.sub(last, first), sizes.stream), 1);
  Numbers state{stage, zero, first};
  state.append(sizes.rowTiles * shape.headDim / sizes.parts, code.real(0));
  Value count = arith::MulIOp::create(code.b, code.loc, tiles, i32(code, shape.group()));
  state = code.loop(zero, count, 1, state, [&](TileCode inner, Value number, ValueRange before) {
    Value stage = before[0], g = before[1], position = before[2];
    Value next = otherStage(inner, stage), behindLast = inner.add(position, sizes.stream);
    Value goesOn = inner.less(behindLast, inner.add(last, 1));
    Value nextHead = inner.select(goesOn, g, inner.add(g, 1)), nextPosition = inner.select(goesOn, behindLast, first);
    mma.wait(inner);
    inner.barrier();
    inner.when(inner.less(inner.add(number, 1), count),
               [&](TileCode then) { load(then, next, nextHead, nextPosition); });
    mma.commit(inner);
    Value all = inner.both(inner.less(inner.add(first, sizes.rows()), inner.add(position, 2)),
                           inner.less(behindLast, inner.add(firstHidden, 1)));
    all = inner.both(all, inner.less(behindLast, i32(inner, shape.sequence + 1)));
    Value some = arith::XOrIOp::create(inner.b, inner.loc, all, inner.number(1, inner.b.getI1Type()));
    Numbers after{next, nextHead, nextPosition};
    after.append(inner.choose(isSeenBefore(inner, behindLast), before.drop_front(3), [&](TileCode then) {
      return emitQueries(then, position, stage, some, before.drop_front(3));
    }));
    return after;
  });
  place(code, shape.kvHeads, /*lastFirst=*/false);
  code.barrier(); // keys and values have been read
  ArrayRef<Value> sums = ArrayRef(state).drop_front(3);
  size_t half = sums.size() / 2;
  storeRows(scaled(sums.take_front(half)), keys, rows(code, keyGradient, head, shape.keyPitch()));
  storeRows(sums.drop_front(half), values, rows(code, valueGradient, head, shape.keyPitch()));
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

LogicalResult cuda::emitMmaAttentionGrad(plan::KernelOp kernel, plan::AttentionGradOp op, const CudaTarget &target,
                                         KernelTables &tables) {
  AttentionShape shape = attentionShape(op, target);
  Location loc = kernel.getLoc();
  MmaBlock ofQuery = queryGradientBlock(shape), ofKeyValue = keyValueGradientBlock(shape);
  if (!op.getScratch())
    return op.emitError("has no scratch memory; run cuda-plan-scratch first");
  Driver driver(tables, kernel);
  attendByLibrary(driver, kernel, op, target, tables);
  auto emit = [&](gpu::GPUFuncOp function, const MmaBlock &sizes, ArrayRef<Value> buffers,
                  llvm::function_ref<void(GradientMma &, const IRMapping &)> body) {
    emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
      IRMapping map;
      for (auto [buffer, argument] : llvm::zip(buffers, arguments))
        map.map(buffer, argument);
      Value memory = function->hasAttr(sharedBytesAttrName) ? tables.sharedMemory(builder, loc) : Value();
      GradientMma inside(shape, sizes, TileCode(builder, loc), map.lookupOrNull(op.getSegmentStarts()), memory);
      inside.query = map.lookupOrNull(op.getQuery());
      inside.key = map.lookupOrNull(op.getKey());
      inside.value = map.lookupOrNull(op.getValue());
      inside.lse = map.lookupOrNull(op.getLse());
      inside.gradient = map.lookupOrNull(op.getGradient());
      inside.delta = map.lookupOrNull(op.getScratch());
      body(inside, map);
    });
    SmallVector<Value> addresses;
    for (Value buffer : buffers)
      addresses.push_back(driver.address(buffer));
    driver.launch(function, addresses);
  };
  std::string name = kernel.getSymName().str();
  int64_t units = shape.batch * shape.sequence * shape.heads, unitsABlock = deltaThreads / deltaLanes(shape);
  emit(tables.addFunction(loc, name + "$delta", 3, {(units + unitsABlock - 1) / unitsABlock, deltaThreads, 0}),
       {/*warps=*/deltaThreads / CudaTarget::warp, 1, 1, 0, 0}, {op.getOutput(), op.getGradient(), op.getScratch()},
       [&](GradientMma &code, const IRMapping &map) { code.emitDelta(map.lookup(op.getOutput())); });
  SmallVector<Value> read{op.getQuery(), op.getKey(),      op.getValue(),  op.getSegmentStarts(),
                          op.getLse(),   op.getGradient(), op.getScratch()};
  SmallVector<Value> forQuery = read, forKeyValue = read;
  forQuery.push_back(op.getQueryGradient());
  forKeyValue.append({op.getKeyGradient(), op.getValueGradient()});
  auto blocks = [&](const MmaBlock &sizes, int64_t heads) {
    return shape.batch * heads * sizes.blocks(shape.sequence);
  };
  emit(addMmaFunction(loc, name + "$query", forQuery.size(), blocks(ofQuery, shape.heads), ofQuery,
                      mmaQueryGradientBytes(shape), target, tables),
       ofQuery, forQuery,
       [&](GradientMma &code, const IRMapping &map) { code.emitQuery(map.lookup(op.getQueryGradient())); });
  emit(addMmaFunction(loc, name + "$key_value", forKeyValue.size(), blocks(ofKeyValue, shape.kvHeads), ofKeyValue,
                      mmaKeyValueGradientBytes(shape), target, tables),
       ofKeyValue, forKeyValue, [&](GradientMma &code, const IRMapping &map) {
         code.emitKeyValue(map.lookup(op.getKeyGradient()), map.lookup(op.getValueGradient()));
       });
  driver.finish();
  return success();
}

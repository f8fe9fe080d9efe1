//===- LowerAttentionMma.cpp - Attention on tensor cores -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Attention of bf16, as FlashAttention-2 cuts it (Dao 2023, "FlashAttention-2: Faster Attention with Better Parallelism
// and Work Partitioning"): a block has 128 queries of a head, a warp 32 or 16 of them with all their keys, so warps
// exchange nothing; scores, weights and sums stay in registers (TilesMma.h).
//
// A window is a later start: a query's keys begin at its segment or `window - 1` before it, whichever is later. A soft
// cap c makes s = c tanh(x / c) of a scaled score x, as s = c - 2 c r with r = 1 / (1 + e^(2 x / c)), by the GPU's own
// 2^x and 1 / x: within 1e-6 c, which is 5e-5 of a weight for Gemma 2's cap of 50.
//
// Scores and sums are fp32. A weight p is rounded to bf16 for its product with the values, and summed up before that;
// exp and log are the GPU's own 2^x and log2. So results differ from those of the fp32 form (LowerAttention.cpp) by
// roundings of p, 2^-8 of each term, which is what one rounding of the output costs.
//
// Loading overlaps with work, with one tile of keys and one of values: values arrive while scores are computed, the
// next keys while values are mixed. Masks are computed only where a tile of keys reaches over the diagonal or over the
// start of a segment; tiles before the first segment of all queries are skipped. In a block's last tiles, a warp whose
// queries all come before the keys multiplies nothing: its weights would be 0, and leave every sum as it is. It still
// loads its share and meets the others at their barriers.
//
// mma.sync runs on every GPU from sm_80 on; on Hopper it reaches about 63 % of what wgmma does (Luo et al. 2024,
// "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via Microbenchmarking").
//
// Assumes verified plan IR, that each token attends to itself, and buffers at multiples of 16 bytes. Promises an order
// of additions that depends on sizes and segments only: keys ascending, tile by tile; a row's sum of weights is four
// sums, one a lane, added at the end. Refuses nothing: what it cannot do is left to the fp32 form, with a remark why.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LowerAttentionMma.h"

#include "lib/Target/CUDA/LibraryAttention.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ftc;
using cuda::AttentionShape;
using cuda::MmaAttentionCode;
using cuda::MmaBlock;
using cuda::MmaRows;
using cuda::MmaTile;
using cuda::Numbers;
using cuda::TileCode;

std::string cuda::whyNotOnTensorCores(const AttentionShape &shape) {
  if (!shape.element.isBF16())
    return "its elements are not bf16";
  if (shape.headDim % mmaSide != 0)
    return "heads of " + std::to_string(shape.headDim) + " columns are no multiple of 16";
  if (shape.headDim > 256 || (shape.headDim > 128 && shape.headDim % 32 != 0))
    return "heads of " + std::to_string(shape.headDim) + " columns are above 256, or above 128 and no multiple of 32";
  if (shape.scale <= 0)
    return "its scale is not above 0";
  return "";
}

//===----------------------------------------------------------------------===//
// What the functions have in common
//===----------------------------------------------------------------------===//

void MmaAttentionCode::place(TileCode &inner, int64_t heads, bool lastFirst) {
  mma = MmaCode(inner, readAgain(inner, /*ofBlock=*/false), sizes.threads());
  Value block = readAgain(inner, /*ofBlock=*/true);
  // Blocks start in the order of their numbers: those with most work first, of all heads and rows of tokens, so that
  // the short ones fill what is left at the end.
  const int64_t others = shape.batch * heads;
  Value tile = inner.div(block, others), rest = inner.rem(block, others);
  if (lastFirst)
    tile = inner.sub(i32(inner, sizes.blocks(shape.sequence) - 1), tile);
  head = inner.rem(rest, heads);
  base = inner.times(wide(inner, inner.div(rest, heads)), shape.sequence);
  first = inner.times(tile, sizes.rows());
  warpRow = inner.times(inner.div(mma.warp, sizes.parts), sizes.warpRows());
}

MmaRows MmaAttentionCode::rows(TileCode &inner, Value pointer, Value head, int64_t pitch) {
  Value element = inner.add(inner.times(base, pitch), inner.times(wide(inner, head), shape.headDim));
  return {behind(inner, pointer, inner.times(element, 2)), pitch, shape.sequence};
}

Value MmaAttentionCode::position(TileCode &inner, int64_t offset) {
  return inner.add(inner.add(inner.add(first, warpRow), mma.group), offset);
}

Value MmaAttentionCode::clamped(TileCode &inner, Value position) {
  return inner.min(position, i32(inner, shape.sequence - 1));
}

Value MmaAttentionCode::startOf(TileCode &inner, Value position) {
  Value start = inner.load(inner.b.getI32Type(), starts, inner.add(base, wide(inner, position)));
  return shape.window == 0 ? start : inner.max(start, inner.add(position, 1 - shape.window));
}

Value MmaAttentionCode::capRest(TileCode &inner, Value product) {
  Value power =
      mma.exp2(inner, inner.mulf(product, inner.real(2 * shape.scale * llvm::numbers::log2e / shape.softcap)));
  return mma.reciprocal(inner, inner.addf(power, inner.real(1)));
}

std::pair<Value, Value> MmaAttentionCode::rangeOfStarts() {
  Value lowest, highest;
  for (int64_t from = 0; from < sizes.rows(); from += CudaTarget::warp) {
    Value start = startOf(code, clamped(code, code.add(code.add(first, mma.lane), from)));
    lowest = lowest ? code.min(lowest, start) : start;
    highest = highest ? code.max(highest, start) : start;
  }
  for (int32_t distance = CudaTarget::warp / 2; distance >= 1; distance /= 2) {
    lowest = code.min(lowest, code.fromLane(lowest, distance));
    highest = code.max(highest, code.fromLane(highest, distance));
  }
  return {lowest, highest};
}

void MmaAttentionCode::storeRows(ValueRange sums, const MmaTile &through, const MmaRows &to) {
  const int64_t columns = shape.headDim / sizes.parts;
  Value place = code.times(warpRow, through.pitch());
  if (sizes.parts > 1)
    place = code.add(place, code.times(code.rem(mma.warp, sizes.parts), 2 * columns));
  mma.put(code, sums, behind(code, through.base, place), through.pitch(), columns, sizes.rowTiles);
  code.barrier();
  mma.store(code, through, to, first);
}

gpu::GPUFuncOp cuda::addMmaFunction(Location loc, const Twine &name, unsigned arguments, int64_t grid,
                                    const MmaBlock &sizes, int64_t sharedBytes, const CudaTarget &target,
                                    KernelTables &tables) {
  gpu::GPUFuncOp function = tables.addFunction(loc, name.str(), arguments, {grid, sizes.threads(), sharedBytes});
  // Sums fill the registers: ptxas is told of no more blocks than a thread's 255 leave room for.
  int64_t blocks = std::clamp<int64_t>(target.sharedBytesABlock / sharedBytes, 1, 256 / sizes.threads());
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    IntegerAttr::get(IntegerType::get(loc.getContext(), 32), blocks));
  return function;
}

//===----------------------------------------------------------------------===//
// Forward
//===----------------------------------------------------------------------===//

namespace {
struct ForwardMma : MmaAttentionCode {
  Value query, key, value, output, lse;
  MmaTile queries, keys, values;
  MmaRows keyRows, valueRows;
  Value highestStart, end, exponentScale;

  using MmaAttentionCode::MmaAttentionCode;

  int64_t threadRows() const { return 2 * sizes.rowTiles; }
  void emit();
  Numbers emitKeys(TileCode inner, Value firstKey, ValueRange state);
  Numbers masked(TileCode inner, ValueRange scores, Value firstKey);
  void emitWeights(TileCode &inner, Numbers &scores, Numbers &state);
  void emitResult(Numbers &state);
};
} // namespace

/// Scores of keys that a query must not see become -inf.
Numbers ForwardMma::masked(TileCode inner, ValueRange scores, Value firstKey) {
  Numbers after(scores);
  // Masks are seldom: what they need is computed here, since registers are full.
  MmaAttentionCode here = *this;
  here.place(inner, shape.heads, /*lastFirst=*/true);
  Value lowest = inner.real(-INFINITY), own = inner.add(firstKey, inner.times(here.mma.quad, 2));
  for (int64_t row = 0; row < threadRows(); ++row) {
    // Column 8 n + e of the tile is key `own` + 8 n + e.
    Value query = here.position(inner, mma.rowOffset(row / 2, row % 2));
    Value start = here.startOf(inner, clamped(inner, query));
    Value behindLast = inner.add(inner.sub(query, own), 1), begin = inner.sub(start, own);
    for (int64_t n = 0; n < sizes.stream / 8; ++n)
      for (int64_t e = 0; e < 2; ++e) {
        Value &score = after[4 * (n + row / 2 * sizes.stream / 8) + row % 2 * 2 + e];
        Value column = i32(inner, 8 * n + e);
        Value hidden = arith::CmpIOp::create(inner.b, inner.loc, arith::CmpIPredicate::slt, column, begin);
        score = inner.select(inner.less(column, behindLast), score, lowest);
        score = inner.select(hidden, lowest, score);
      }
  }
  return after;
}

/// Turns scores (or products, which the softmax scales) into weights. The state is, for each row of the thread, a score
/// that stands for the largest one; then this lane's sum of exp(scale (score - that)); then the weighted values. That
/// score follows the largest one only when a weight would be above 2^8: floating-point numbers are as exact there as
/// below 1, and sums that nothing has to be taken out of can stay as they are, which they mostly do from a row's second
/// tile on.
void ForwardMma::emitWeights(TileCode &inner, Numbers &scores, Numbers &state) {
  const int64_t groups = sizes.stream / 8, results = shape.headDim / 8;
  OpBuilder &b = inner.b;
  Value lowest = inner.real(-INFINITY), slack = inner.real(8 / exponentFactor()), someFollow;
  SmallVector<SmallVector<Value *>> own(threadRows());
  SmallVector<Value> references, follows, shifts;
  for (int64_t row = 0; row < threadRows(); ++row) {
    for (int64_t n = 0; n < groups; ++n)
      for (int64_t e = 0; e < 2; ++e)
        own[row].push_back(&scores[4 * (n + row / 2 * groups) + row % 2 * 2 + e]);
    Value largest = *own[row].front();
    for (Value *score : ArrayRef(own[row]).drop_front())
      largest = arith::MaximumFOp::create(b, inner.loc, largest, *score);
    for (int32_t distance : {1, 2})
      largest = arith::MaximumFOp::create(b, inner.loc, largest, inner.fromLane(largest, distance));
    auto compare = [&](arith::CmpFPredicate predicate, Value a, Value c) -> Value {
      return arith::CmpFOp::create(b, inner.loc, predicate, a, c);
    };
    follows.push_back(compare(arith::CmpFPredicate::OGT, largest, inner.addf(state[row], slack)));
    references.push_back(inner.select(follows.back(), largest, state[row]));
    // Before the row's first key there is nothing: exp(-inf - 0) is 0, where exp(-inf + inf) would be no number.
    Value none = compare(arith::CmpFPredicate::OEQ, references.back(), lowest);
    Value scaled = inner.mulf(references.back(), exponentScale);
    shifts.push_back(arith::NegFOp::create(b, inner.loc, inner.select(none, inner.real(0), scaled)));
    someFollow = someFollow ? arith::OrIOp::create(b, inner.loc, someFollow, follows.back()).getResult() : follows[0];
  }
  Numbers sums = inner.choose(someFollow, ArrayRef(state).drop_front(threadRows()), [&](TileCode then) {
    Numbers after(ArrayRef(state).drop_front(threadRows()));
    for (int64_t row = 0; row < threadRows(); ++row) {
      Value factor = mma.exp2(then, then.fma(state[row], exponentScale, shifts[row]));
      factor = then.select(follows[row], factor, then.real(1));
      after[row] = then.mulf(after[row], factor);
      for (int64_t n = 0; n < results; ++n)
        for (int64_t e = 0; e < 2; ++e) {
          Value &mixed = after[threadRows() + 4 * (n + row / 2 * results) + row % 2 * 2 + e];
          mixed = then.mulf(mixed, factor);
        }
    }
    return after;
  });
  llvm::copy(sums, state.begin() + threadRows());
  for (int64_t row = 0; row < threadRows(); ++row) {
    Value sum = state[threadRows() + row];
    for (Value *score : own[row]) {
      *score = mma.exp2(inner, inner.fma(*score, exponentScale, shifts[row]));
      sum = inner.addf(sum, *score);
    }
    state[row] = references[row];
    state[threadRows() + row] = sum;
  }
}

Numbers ForwardMma::emitKeys(TileCode inner, Value firstKey, ValueRange before) {
  // The keys are there, and nobody reads the values before them any more.
  mma.wait(inner);
  inner.barrier();
  mma.fill(inner, values, valueRows, firstKey);
  mma.commit(inner);

  const int64_t scoreCount = sizes.rowTiles * sizes.stream / 2;
  Value behindLast = inner.add(firstKey, sizes.stream), sees = seesFrom(inner, firstKey);
  Numbers none(scoreCount, inner.real(0));
  none.append(before.begin(), before.end());
  Numbers weighted = inner.choose(sees, none, [&](TileCode seen) {
    Value left = behind(seen, mma.byRows(seen, queries), seen.times(warpRow, queries.pitch()));
    Numbers scores = mma.products(seen, left, mma.byColumns(seen, keys), shape.headDim, sizes.rowTiles, sizes.stream);
    if (shape.softcap != 0)
      for (Value &score : scores)
        score = seen.fma(capRest(seen, score), seen.real(-2 * shape.softcap), seen.real(shape.softcap));
    Value all = seen.both(seen.less(behindLast, seen.add(first, 2)), seen.less(highestStart, seen.add(firstKey, 1)));
    Value some = arith::XOrIOp::create(seen.b, seen.loc, all, seen.number(1, seen.b.getI1Type()));
    scores = seen.choose(some, scores, [&](TileCode then) { return masked(then, scores, firstKey); });
    Numbers state(before);
    emitWeights(seen, scores, state);
    scores.append(state);
    return scores;
  });
  Numbers scores(ArrayRef(weighted).take_front(scoreCount)), state(ArrayRef(weighted).drop_front(scoreCount));

  mma.wait(inner);
  inner.barrier();
  inner.when(inner.less(behindLast, end), [&](TileCode then) { mma.fill(then, keys, keyRows, behindLast); });
  mma.commit(inner);
  ArrayRef<Value> sums = ArrayRef(state).drop_front(2 * threadRows());
  Numbers mixed = inner.choose(sees, sums, [&](TileCode seen) {
    return mma.accumulate(seen, mma.round(seen, scores), mma.byRows(seen, values), values.pitch(), shape.headDim,
                          sizes.rowTiles, sums);
  });
  llvm::copy(mixed, state.begin() + 2 * threadRows());
  return state;
}

void ForwardMma::emitResult(Numbers &state) {
  const int64_t results = shape.headDim / 8;
  place(code, shape.heads, /*lastFirst=*/true);
  for (int64_t row = 0; row < threadRows(); ++row) {
    Value own = position(code, mma.rowOffset(row / 2, row % 2));
    Value sum = state[threadRows() + row];
    for (int32_t distance : {1, 2})
      sum = code.addf(sum, code.fromLane(sum, distance));
    Value inverse = arith::DivFOp::create(code.b, code.loc, code.real(1), sum);
    for (int64_t n = 0; n < results; ++n)
      for (int64_t e = 0; e < 2; ++e) {
        Value &mixed = state[2 * threadRows() + 4 * (n + row / 2 * results) + row % 2 * 2 + e];
        mixed = code.mulf(mixed, inverse);
      }
    Value mine = code.both(arith::CmpIOp::create(code.b, code.loc, arith::CmpIPredicate::eq, mma.quad, i32(code, 0)),
                           code.less(own, i32(code, shape.sequence)));
    code.when(mine, [&](TileCode then) {
      Value logSum = then.mulf(then.fma(state[row], exponentScale, mma.log2(then, sum)), then.real(llvm::numbers::ln2));
      Value token = then.add(base, wide(then, own));
      then.store(logSum, lse, then.add(then.times(token, shape.heads), wide(then, head)));
    });
  }
}

void ForwardMma::emit() {
  place(code, shape.heads, /*lastFirst=*/true);
  const int64_t ownBytes = cuda::mmaBytes(sizes.rows(), shape.headDim),
                keyBytes = cuda::mmaBytes(sizes.stream, shape.headDim);
  queries = tile(code, 0, sizes.rows());
  keys = tile(code, ownBytes, sizes.stream);
  values = tile(code, ownBytes + keyBytes, sizes.stream);
  Value keyHead = code.div(head, shape.group());
  keyRows = rows(code, key, keyHead, shape.keyPitch());
  valueRows = rows(code, value, keyHead, shape.keyPitch());
  exponentScale = code.real(exponentFactor());

  mma.fill(code, queries, rows(code, query, head, shape.pitch()), first);
  auto [lowest, highest] = rangeOfStarts();
  highestStart = highest;
  Value firstKey = code.times(code.div(lowest, sizes.stream), sizes.stream);
  mma.fill(code, keys, keyRows, firstKey);
  mma.commit(code);
  end = code.min(code.add(first, sizes.rows()), i32(code, shape.sequence));
  Numbers state(threadRows(), code.real(-INFINITY));
  state.append(threadRows() + sizes.rowTiles * shape.headDim / 2, code.real(0));
  state = code.loop(firstKey, end, sizes.stream, state,
                    [&](TileCode inner, Value place, ValueRange before) { return emitKeys(inner, place, before); });
  emitResult(state);
  // A warp's queries were its own, and it has read them all.
  storeRows(ArrayRef(state).drop_front(2 * threadRows()), queries, rows(code, output, head, shape.pitch()));
}

LogicalResult cuda::emitMmaAttentionForward(plan::KernelOp kernel, plan::AttentionOp op, const CudaTarget &target,
                                            KernelTables &tables) {
  AttentionShape shape = attentionShape(op, target);
  MmaBlock sizes = forwardBlock(shape);
  Location loc = kernel.getLoc();
  int64_t shared = mmaForwardBytes(shape);
  Value buffers[] = {op.getQuery(), op.getKey(), op.getValue(), op.getSegmentStarts(), op.getOutput(), op.getLse()};
  gpu::GPUFuncOp function =
      addMmaFunction(loc, kernel.getSymName(), std::size(buffers),
                     shape.batch * shape.heads * sizes.blocks(shape.sequence), sizes, shared, target, tables);
  emitFunction(function, [&](OpBuilder &builder, ValueRange arguments) {
    ForwardMma block(shape, sizes, TileCode(builder, loc), arguments[3], tables.sharedMemory(builder, loc));
    block.query = arguments[0];
    block.key = arguments[1];
    block.value = arguments[2];
    block.output = arguments[4];
    block.lse = arguments[5];
    block.emit();
  });
  Driver driver(tables, kernel);
  attendByLibrary(driver, kernel, op, target, tables);
  SmallVector<Value> addresses;
  for (Value buffer : buffers)
    addresses.push_back(driver.address(buffer));
  driver.launch(function, addresses);
  driver.finish();
  return success();
}

//===- LowerNarrowMatmul.cpp - Products with one narrow side -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A product with at most 16 rows or columns does too little with each element of its large factor x to be worth packing
// it. Two forms, both read x by rows, once:
//
//   Rows   c = x b: an inner product for each element of c. Lanes run along the terms; a vector of sums for each column
//          (and for more than one row, where columns are few), which one transposition adds up across lanes.
//   Sums   c = s^T x: for each row of x an outer product. Lanes run along the columns of x. A task has some columns
//          and goes through all rows, 64 at a time, so that they stay in the first-level cache for every column.
//
// The narrow factor is read where it lies if that is row by row in f32, else copied so by tasks of its own.
//
// Assumes verified plan IR and scratch memory as asked for. Promises an order of additions that depends on sizes and
// the length of a vector alone: sums over a chunk of terms are made in registers and added in ascending order. Leaves
// to the packed nest what has a second product or weights in four bits, and factors that lie the other way.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerNarrowMatmul.h"

#include "lib/Target/CPU/LowerMatmul.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

/// Rows or columns of c at most.
static constexpr int64_t mostNarrow = 16;
/// Rows of x that a chunk of Sums has, and terms that a chunk of Rows has: with 8 columns of b, 24 KiB.
static constexpr int64_t chunkRows = 64, chunkTerms = 768;
/// Terms a turn of the inner loop of Sums.
static constexpr int64_t unroll = 4;

static bool isPlainF32(Value factor, Region &seam) { return elementOf(factor).isF32() && seam.empty(); }

std::optional<NarrowProduct> cpu::asNarrowProduct(plan::MatmulOp op, const CpuTarget &target) {
  int64_t m = op.getM(), n = op.getN(), k = op.getK(), lanes = target.lanes();
  if (op.getDecodeB() || !op.getPair().empty() || std::min(m, n) > mostNarrow || k < lanes)
    return std::nullopt;
  NarrowProduct product{};
  product.terms = k;
  if (!op.getTransposeA() && n <= mostNarrow) {
    product.form = NarrowProduct::Form::Rows;
    product.narrow = n;
    product.wide = m;
    product.wideIsA = true;
    product.step = std::clamp<int64_t>(llvm::divideCeil(m, 16), std::min<int64_t>(8, m), 64);
    product.packed =
        op.getTransposeB() && isPlainF32(op.getB(), op.getReadB()) ? 0 : llvm::alignTo(product.narrow * k, 16);
    // Rows a turn may go past the task's.
    product.sums = (product.step + lanes) * llvm::alignTo(n, lanes);
  } else if (op.getTransposeA() && !op.getTransposeB()) {
    product.form = NarrowProduct::Form::Sums;
    product.wideIsA = n <= m;
    product.narrow = std::min(m, n);
    product.wide = std::max(m, n);
    int64_t strips = std::max<int64_t>(llvm::divideCeil(product.wide, 96), std::min<int64_t>(product.wide / 16, 8));
    product.step = llvm::alignTo(llvm::divideCeil(product.wide, std::max<int64_t>(strips, 1)), 16);
    bool plain = product.wideIsA ? isPlainF32(op.getB(), op.getReadB()) : isPlainF32(op.getA(), op.getReadA());
    product.packed = plain ? 0 : llvm::alignTo(product.narrow * k, 16);
    product.sums = product.narrow * product.step;
  } else {
    return std::nullopt;
  }
  product.sums = llvm::alignTo(product.sums, 16);
  product.tasks = llvm::divideCeil(product.wide, product.step);
  return product;
}

namespace {
/// Emits one narrow product.
struct NarrowEmitter {
  plan::KernelOp kernel;
  plan::MatmulOp op;
  const NarrowProduct &p;
  int64_t lanes;
  Location loc;
  Type f32;
  VectorType vector;
  PanelSource wideSource, narrowSource;

  NarrowEmitter(plan::KernelOp kernel, plan::MatmulOp op, const NarrowProduct &product, const CpuTarget &target)
      : kernel(kernel), op(op), p(product), lanes(target.lanes()), loc(op.getLoc()),
        f32(Float32Type::get(op.getContext())), vector(VectorType::get({lanes}, f32)),
        wideSource{PanelForm::AlongK, elementOf(wide()), p.wideIsA ? &op.getReadA() : &op.getReadB(),
                   kernel.getSymName()},
        narrowSource{PanelForm::AlongK, elementOf(narrow()), p.wideIsA ? &op.getReadB() : &op.getReadA(),
                     kernel.getSymName()} {}

  Value wide() { return p.wideIsA ? op.getA() : op.getB(); }
  Value narrow() { return p.wideIsA ? op.getB() : op.getA(); }

  void emit();
  void emitPackTask(OpBuilder &builder, TaskFunction &task);
  void emitRowsTask(OpBuilder &builder, TaskFunction &task);
  void emitSumsTask(OpBuilder &builder, TaskFunction &task);
  void emitRowsGroup(OpBuilder &builder, Value x, Value b, Value sums, Value firstRow, Value rows, Value term,
                     Value terms, int64_t firstColumn, int64_t columns);
  void emitSumsBlock(OpBuilder &builder, Value x, Value s, Value sums, Value terms, int64_t first, int64_t count,
                     int64_t vectors);
  void emitStored(OpBuilder &builder, ArrayRef<Value> buffers, int64_t width, Value sums, Value at);

  Value at(OpBuilder &builder, Value pointer, Type element, Value index) const {
    return elementPointer(builder, loc, pointer, element, index);
  }
  Value zeros(OpBuilder &builder) const {
    return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(vector, 0.0f));
  }
  /// `width` elements of x as f32.
  Value readWide(OpBuilder &builder, Value pointer, int64_t width) const {
    Type type = width == 1 ? wideSource.element : Type(VectorType::get({width}, wideSource.element));
    return emitDecode(builder, loc, wideSource, emitLoad(builder, loc, type, pointer));
  }
  void clear(OpBuilder &builder, Value sums) const;
};
} // namespace

void NarrowEmitter::emit() {
  OpBuilder builder(op.getContext());
  Driver driver = createDriver(builder, kernel);
  auto bufferOf = [&](Value value) { return driver.buffers[cast<BlockArgument>(value).getArgNumber()]; };
  SizeMath s{builder, loc};
  Value scratch = bufferOf(op.getScratch()), factor = bufferOf(narrow());
  std::string name = kernel.getSymName().str();
  if (p.packed) {
    // A task for each column of op(b), or for each 512 rows of s.
    int64_t tasks = p.form == NarrowProduct::Form::Rows ? p.narrow : llvm::divideCeil(p.terms, 512);
    emitParallelFor(builder, loc, driver.services, name + ".task0", s.constant(tasks), {factor, scratch},
                    [&](OpBuilder &body, TaskFunction &task) { emitPackTask(body, task); });
    factor = scratch;
  }
  SmallVector<Value> captures{bufferOf(wide()), factor, at(builder, scratch, f32, s.constant(p.packed)),
                              bufferOf(op.getC())};
  for (Value extra : op.getExtras())
    captures.push_back(bufferOf(extra));
  emitParallelFor(builder, loc, driver.services, name + ".task1", s.constant(p.tasks), captures,
                  [&](OpBuilder &body, TaskFunction &task) {
                    p.form == NarrowProduct::Form::Rows ? emitRowsTask(body, task) : emitSumsTask(body, task);
                  });
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
}

/// Copies part of the narrow factor: as `[narrow, terms]` for Rows, as `[terms, narrow]` for Sums.
void NarrowEmitter::emitPackTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value from = task.captures[0], to = task.captures[1], zero = s.constant(0);
  auto copy = [&](OpBuilder &inner, Value source, Value target) {
    Value stored = emitLoad(inner, loc, narrowSource.element, at(inner, from, narrowSource.element, source));
    emitStore(inner, loc, emitDecode(inner, loc, narrowSource, stored), at(inner, to, f32, target));
  };
  if (p.form == NarrowProduct::Form::Rows) {
    emitFor(builder, loc, zero, s.constant(p.terms), 1, {}, [&](OpBuilder &inner, Value term, ValueRange) {
      SizeMath t{inner, loc};
      Value target = t.add(t.mul(task.task, p.terms), term);
      copy(inner, op.getTransposeB() ? target : t.add(t.mul(term, p.narrow), task.task), target);
      return SmallVector<Value>{};
    });
    return;
  }
  Value first = s.mul(task.task, 512 * p.narrow);
  Value end = s.min(s.add(first, s.constant(512 * p.narrow)), s.constant(p.terms * p.narrow));
  emitFor(builder, loc, first, end, 1, {}, [&](OpBuilder &inner, Value place, ValueRange) {
    copy(inner, place, place);
    return SmallVector<Value>{};
  });
}

void NarrowEmitter::clear(OpBuilder &builder, Value sums) const {
  Value zero = constantI64(builder, loc, 0), all = constantI64(builder, loc, p.sums);
  emitFor(builder, loc, zero, all, lanes, {}, [&](OpBuilder &inner, Value place, ValueRange) {
    emitStore(inner, loc, zeros(inner), at(inner, sums, f32, place));
    return SmallVector<Value>{};
  });
}

/// Stores what the seam makes of `width` sums to elements `at` and following of c. `buffers`: c, then the extras.
void NarrowEmitter::emitStored(OpBuilder &builder, ArrayRef<Value> buffers, int64_t width, Value sums, Value place) {
  auto typed = [&](Type element) -> Type { return width == 1 ? element : VectorType::get({width}, element); };
  SmallVector<Value> inputs{emitLoad(builder, loc, typed(f32), sums)};
  for (auto [extra, buffer] : llvm::zip(op.getExtras(), buffers.drop_front())) {
    Type element = elementOf(extra);
    inputs.push_back(emitLoad(builder, loc, typed(element), at(builder, buffer, element, place)));
  }
  Value stored = op.getStoreC().empty() ? inputs.front() : emitSeam(builder, loc, op.getStoreC(), inputs);
  emitStore(builder, loc, stored, at(builder, buffers.front(), elementOf(op.getC()), place));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Adds to the task's sums what `terms` terms from `term` on give for some columns.
void NarrowEmitter::emitRowsGroup(OpBuilder &builder, Value x, Value b, Value sums, Value firstRow, Value rows,
                                  Value term, Value terms, int64_t firstColumn, int64_t columns) {
  int64_t pitch = llvm::alignTo(p.narrow, lanes), rowsATurn = std::max<int64_t>(1, lanes / columns);
  Value zero = constantI64(builder, loc, 0);
  Value whole = arith::AndIOp::create(builder, loc, terms, constantI64(builder, loc, -lanes));
  emitFor(builder, loc, zero, rows, rowsATurn, {}, [&](OpBuilder &turn, Value row, ValueRange) {
    SizeMath s{turn, loc};
    Value last = s.sub(rows, s.constant(1));
    SmallVector<Value> left, right;
    for (int64_t r = 0; r < rowsATurn; ++r) { // past the last row it is the last once more, and nobody reads the sums
      Value here = s.add(firstRow, s.min(s.add(row, s.constant(r)), last));
      left.push_back(at(turn, x, wideSource.element, s.add(s.mul(here, p.terms), term)));
    }
    for (int64_t c = 0; c < columns; ++c)
      right.push_back(at(turn, b, f32, s.add(s.constant((firstColumn + c) * p.terms), term)));
    SmallVector<Value> partial =
        emitFor(turn, loc, zero, whole, lanes, SmallVector<Value>(rowsATurn * columns, zeros(turn)),
                [&](OpBuilder &inner, Value i, ValueRange state) {
                  SmallVector<Value> next, factors;
                  for (Value pointer : right)
                    factors.push_back(emitLoad(inner, loc, vector, at(inner, pointer, f32, i)));
                  for (int64_t r = 0; r < rowsATurn; ++r) {
                    Value element = readWide(inner, at(inner, left[r], wideSource.element, i), lanes);
                    for (int64_t c = 0; c < columns; ++c)
                      next.push_back(vector::FMAOp::create(inner, loc, element, factors[c], state[r * columns + c]));
                  }
                  return next;
                });
    // Lane i of the total: the sum of partial[i] across lanes, by halves.
    partial.resize(lanes);
    SmallVector<Value> across = emitTranspose(turn, loc, partial, vector);
    for (size_t half = across.size() / 2; half > 0; half /= 2)
      for (size_t i = 0; i < half; ++i)
        across[i] = arith::AddFOp::create(turn, loc, across[i], across[i + half]);
    // What is left of a sum whose length is no multiple of a vector.
    Value total = emitFor(turn, loc, whole, terms, 1, across.front(), [&](OpBuilder &inner, Value i, ValueRange state) {
                    Value lefts = zeros(inner), rights = zeros(inner);
                    for (int64_t slot = 0; slot < rowsATurn * columns; ++slot) {
                      Value element = readWide(inner, at(inner, left[slot / columns], wideSource.element, i), 1);
                      Value factor = emitLoad(inner, loc, f32, at(inner, right[slot % columns], f32, i));
                      lefts = vector::InsertOp::create(inner, loc, element, lefts, ArrayRef<int64_t>{slot});
                      rights = vector::InsertOp::create(inner, loc, factor, rights, ArrayRef<int64_t>{slot});
                    }
                    return SmallVector<Value>{vector::FMAOp::create(inner, loc, lefts, rights, state.front())};
                  }).front();
    Value place = at(turn, sums, f32, s.add(s.mul(row, pitch), s.constant(firstColumn)));
    if (rowsATurn == 1) {
      Value sum = arith::AddFOp::create(turn, loc, emitLoad(turn, loc, vector, place), total);
      emitStore(turn, loc, sum, place);
      return SmallVector<Value>{};
    }
    for (int64_t slot = 0; slot < rowsATurn * columns; ++slot) {
      Value mine = at(turn, place, f32, s.constant(slot / columns * pitch + slot % columns));
      Value one = vector::ExtractOp::create(turn, loc, total, ArrayRef<int64_t>{slot});
      emitStore(turn, loc, arith::AddFOp::create(turn, loc, emitLoad(turn, loc, f32, mine), one), mine);
    }
    return SmallVector<Value>{};
  });
}

void NarrowEmitter::emitRowsTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value x = task.captures[0], b = task.captures[1];
  Value sums = at(builder, task.captures[2], f32, s.mul(task.thread, p.sums));
  Value firstRow = s.mul(task.task, p.step), rows = s.min(s.constant(p.step), s.sub(s.constant(p.wide), firstRow));
  Value zero = s.constant(0);
  clear(builder, sums);
  emitFor(builder, loc, zero, s.constant(p.terms), chunkTerms, {}, [&](OpBuilder &inner, Value term, ValueRange) {
    SizeMath t{inner, loc};
    Value terms = t.min(t.constant(chunkTerms), t.sub(t.constant(p.terms), term));
    for (int64_t column = 0; column < p.narrow; column += lanes)
      emitRowsGroup(inner, x, b, sums, firstRow, rows, term, terms, column, std::min(lanes, p.narrow - column));
    return SmallVector<Value>{};
  });
  ArrayRef<Value> buffers = ArrayRef(task.captures).drop_front(3);
  int64_t pitch = llvm::alignTo(p.narrow, lanes), width = p.narrow % lanes == 0 ? lanes : 1;
  emitFor(builder, loc, zero, rows, 1, {}, [&](OpBuilder &outer, Value row, ValueRange) {
    SizeMath t{outer, loc};
    Value from = t.mul(row, pitch), to = t.mul(t.add(firstRow, row), p.narrow);
    emitFor(outer, loc, t.constant(0), t.constant(p.narrow), width, {},
            [&](OpBuilder &inner, Value column, ValueRange) {
              SizeMath u{inner, loc};
              emitStored(inner, buffers, width, at(inner, sums, f32, u.add(from, column)), u.add(to, column));
              return SmallVector<Value>{};
            });
    return SmallVector<Value>{};
  });
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Adds to the sums of `count` rows of c from `first` on, `vectors` vectors of columns (0: one column), what `terms`
/// rows of x give. `x` and `sums` point at the first column, `s` at the first row.
void NarrowEmitter::emitSumsBlock(OpBuilder &builder, Value x, Value s, Value sums, Value terms, int64_t first,
                                  int64_t count, int64_t vectors) {
  int64_t width = vectors ? lanes : 1, parts = std::max<int64_t>(vectors, 1);
  Type type = vectors ? Type(vector) : f32;
  auto step = [&](OpBuilder &inner, Value term, ValueRange state) {
    SizeMath t{inner, loc};
    SmallVector<Value> next(state), elements;
    Value row = at(inner, x, wideSource.element, t.mul(term, p.wide));
    for (int64_t v = 0; v < parts; ++v) {
      Value place = at(inner, row, wideSource.element, t.constant(v * width));
      // The same columns of the next chunk: past the end is harmless.
      Value ahead = at(inner, place, wideSource.element, t.constant(chunkRows * p.wide));
      if (vectors)
        LLVM::Prefetch::create(inner, loc, ahead, /*rw=*/0, /*hint=*/2, /*cache=*/1);
      elements.push_back(readWide(inner, place, width));
    }
    Value factors = at(inner, s, f32, t.add(t.mul(term, p.narrow), t.constant(first)));
    for (int64_t i = 0; i < count; ++i) {
      Value factor = emitLoad(inner, loc, f32, at(inner, factors, f32, t.constant(i)));
      if (vectors)
        factor = vector::BroadcastOp::create(inner, loc, vector, factor);
      for (int64_t v = 0; v < parts; ++v)
        next[i * parts + v] = math::FmaOp::create(inner, loc, factor, elements[v], next[i * parts + v]);
    }
    return next;
  };
  Value zero = constantI64(builder, loc, 0);
  Value none = vectors ? zeros(builder) : arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0));
  Value whole = arith::AndIOp::create(builder, loc, terms, constantI64(builder, loc, -unroll));
  SmallVector<Value> totals =
      emitFor(builder, loc, zero, whole, unroll, SmallVector<Value>(count * parts, none),
              [&](OpBuilder &inner, Value term, ValueRange state) {
                SmallVector<Value> next(state);
                for (int64_t u = 0; u < unroll; ++u)
                  next = step(inner, SizeMath{inner, loc}.add(term, constantI64(inner, loc, u)), next);
                return next;
              });
  totals = emitFor(builder, loc, whole, terms, 1, totals, step);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t v = 0; v < parts; ++v) {
      Value place = at(builder, sums, f32, constantI64(builder, loc, (first + i) * p.step + v * width));
      Value sum = arith::AddFOp::create(builder, loc, emitLoad(builder, loc, type, place), totals[i * parts + v]);
      emitStore(builder, loc, sum, place);
    }
}

void NarrowEmitter::emitSumsTask(OpBuilder &builder, TaskFunction &task) {
  SizeMath s{builder, loc};
  Value sums = at(builder, task.captures[2], f32, s.mul(task.thread, p.sums));
  Value first = s.mul(task.task, p.step), columns = s.min(s.constant(p.step), s.sub(s.constant(p.wide), first));
  Value x = at(builder, task.captures[0], wideSource.element, first), zero = s.constant(0);
  Value inVectors = arith::AndIOp::create(builder, loc, columns, s.constant(-lanes));
  clear(builder, sums);
  emitFor(builder, loc, zero, s.constant(p.terms), chunkRows, {}, [&](OpBuilder &outer, Value term, ValueRange) {
    SizeMath t{outer, loc};
    Value terms = t.min(t.constant(chunkRows), t.sub(t.constant(p.terms), term));
    Value here = at(outer, x, wideSource.element, t.mul(term, p.wide));
    Value factors = at(outer, task.captures[1], f32, t.mul(term, p.narrow));
    for (int64_t row = 0; row < p.narrow; row += lanes) {
      int64_t count = std::min(lanes, p.narrow - row);
      // Enough sums side by side to hide the time of one addition; no more than there are registers.
      int64_t vectors = count > 6 ? 1 : count > 3 ? 2 : 3;
      auto blocks = [&](Value from, Value to, int64_t each) {
        emitFor(outer, loc, from, to, std::max<int64_t>(each * lanes, 1), {},
                [&](OpBuilder &inner, Value column, ValueRange) {
                  emitSumsBlock(inner, at(inner, here, wideSource.element, column), factors,
                                at(inner, sums, f32, column), terms, row, count, each);
                  return SmallVector<Value>{};
                });
      };
      Value inBlocks = vectors == 1 ? inVectors : t.mul(t.div(columns, vectors * lanes), vectors * lanes);
      blocks(zero, inBlocks, vectors);
      if (vectors > 1)
        blocks(inBlocks, inVectors, 1);
      blocks(inVectors, columns, 0);
    }
    return SmallVector<Value>{};
  });
  // Rows of c are rows of the sums, or its columns.
  ArrayRef<Value> buffers = ArrayRef(task.captures).drop_front(3);
  auto store = [&](Value from, Value to, int64_t width) {
    emitFor(builder, loc, from, to, width, {}, [&](OpBuilder &inner, Value column, ValueRange) {
      SizeMath t{inner, loc};
      for (int64_t row = 0; row < p.narrow; ++row) {
        Value global = t.add(first, column);
        Value place =
            p.wideIsA ? t.add(t.mul(global, p.narrow), t.constant(row)) : t.add(t.constant(row * p.wide), global);
        emitStored(inner, buffers, width, at(inner, sums, f32, t.add(t.constant(row * p.step), column)), place);
      }
      return SmallVector<Value>{};
    });
  };
  if (!p.wideIsA)
    store(zero, inVectors, lanes);
  store(p.wideIsA ? zero : inVectors, columns, 1);
}

void cpu::emitNarrowMatmul(plan::KernelOp kernel, plan::MatmulOp op, const NarrowProduct &product,
                           const CpuTarget &target) {
  NarrowEmitter(kernel, op, product, target).emit();
}

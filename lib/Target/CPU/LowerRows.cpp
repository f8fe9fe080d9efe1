//===- LowerRows.cpp - Row kernels to loops over vectors ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/Common/RowBody.h"
#include "lib/Target/Common/RowProgram.h"

using namespace mlir;
using namespace ftc;

namespace {
using target::numPartials;
using Chunk = target::RowBody::Chunk;

class RowsEmitter {
public:
  RowsEmitter(plan::KernelOp kernel, const cpu::CpuTarget &target)
      : kernel(kernel), rows(cast<plan::RowsOp>(kernel.getWork())), program(rows), loc(kernel.getLoc()),
        columns(rows.getColumns()), lanes(target.lanes()), body(loc, "CPU") {}

  LogicalResult emit();

private:
  /// Where a column loop runs: from `begin` to `end` (multiples of the step), and the rest of the columns where `rest`
  /// is true (always, when null).
  struct Range {
    Value begin, end, rest;
  };

  void emitParallel(OpBuilder &builder, Value services, ValueRange buffers);
  void emitSequential(OpBuilder &builder, Value services, ValueRange buffers);
  void emitTask(OpBuilder &builder, Value task);
  void emitRow(OpBuilder &builder, Value row, Value ownsScalars, std::optional<Range> range);
  void emitPhase(OpBuilder &builder, int phase, std::optional<Range> range);
  void emitPrefetches(OpBuilder &builder, ArrayRef<Operation *> slice, int phase, Value column, int64_t width);
  Value finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials);
  Value combine(OpBuilder &builder, plan::ReduceKind kind, Value a, Value b) {
    return target::combinePartials(builder, loc, kind, a, b);
  }

  int64_t step(bool reduces) const { return reduces ? numPartials : std::min(numPartials, 2 * lanes); }
  Value constant(OpBuilder &builder, int64_t value) { return cpu::constantI64(builder, loc, value); }

  plan::KernelOp kernel;
  plan::RowsOp rows;
  target::RowProgram program;
  Location loc;
  int64_t columns, lanes;
  target::RowBody body;
  /// Buffers, the row, and scalars that are known so far in the function being written.
  IRMapping known;
};
} // namespace

//===----------------------------------------------------------------------===//
// Column loops
//===----------------------------------------------------------------------===//

Value RowsEmitter::finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials) {
  while (partials.size() > 1) {
    size_t half = partials.size() / 2;
    for (size_t j = 0; j < half; ++j)
      partials[j] = combine(builder, reduce.getKind(), partials[j], partials[j + half]);
    partials.resize(half);
  }
  Value vector = partials.front();
  for (int64_t half = lanes / 2; half >= 1; half /= 2) {
    auto part = [&](int64_t from) -> Value {
      return vector::ExtractStridedSliceOp::create(builder, loc, vector, ArrayRef<int64_t>{from},
                                                   ArrayRef<int64_t>{half}, ArrayRef<int64_t>{1});
    };
    Value low = part(0), high = part(half);
    vector = combine(builder, reduce.getKind(), low, high);
  }
  return vector::ExtractOp::create(builder, loc, vector, ArrayRef<int64_t>{0});
}

// Loads are fetched 2 KiB ahead. Element-wise bodies with an exponential or a division fill the core's window of
// instructions with a few vectors, so the core itself looks only a few hundred bytes ahead (SwiGLU on a Zen 3: 8 %
// faster). Only where rows follow each other in memory, and only in the first loop over a row: later ones find it in
// the cache.
void RowsEmitter::emitPrefetches(OpBuilder &builder, ArrayRef<Operation *> slice, int phase, Value column,
                                 int64_t width) {
  constexpr int64_t ahead = 2048, line = 64;
  if (phase > 0 || rows.getOrder() != plan::RowOrder::Parallel)
    return;
  for (Operation *op : slice) {
    auto load = dyn_cast<plan::LoadOp>(op);
    auto row = load ? dyn_cast<RankedTensorType>(load.getType()) : RankedTensorType();
    if (!row || load.getIndices().size() != 1 || load.getIndices().front() != rows.getRow())
      continue;
    int64_t bits = row.getElementType().getIntOrFloatBitWidth();
    if (bits < 8)
      continue;
    for (int64_t byte = 0; byte < width * bits / 8; byte += line) {
      Value at = arith::AddIOp::create(builder, loc, column, constant(builder, (ahead + byte) * 8 / bits));
      Value pointer = body.placeOf(builder, load, known, Chunk{at, 1});
      LLVM::Prefetch::create(builder, loc, pointer, /*rw=*/0, /*hint=*/3, /*cache=*/1);
    }
  }
}

void RowsEmitter::emitPhase(OpBuilder &builder, int phase, std::optional<Range> range) {
  SmallVector<Operation *> slice = program.slice(phase);
  SmallVector<plan::ReduceOp> reductions = program.reductions(phase);
  if (slice.empty() && reductions.empty())
    return;
  // Partials of one reduction: numPartials / lanes vectors, side by side in `partials`.
  int64_t perReduction = numPartials / lanes;
  SmallVector<Value> partials;
  for (plan::ReduceOp reduce : reductions) {
    auto element = cast<FloatType>(reduce.getType());
    auto type = VectorType::get({lanes}, element);
    APFloat start = target::partialStart(reduce.getKind(), element);
    Value initial = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, start));
    partials.append(perReduction, initial);
  }

  // Emits `width` columns from `column` on; they are number `part` of the vectors of a step.
  auto emitChunk = [&](OpBuilder &inner, Value column, int64_t width, int64_t part, SmallVectorImpl<Value> &sums) {
    IRMapping values = known;
    Chunk chunk{column, width};
    for (Operation *op : slice)
      body.emitOp(inner, op, values, chunk);
    if (body.hasFailed())
      return;
    for (auto [number, reduce] : llvm::enumerate(reductions)) {
      Value &sum = sums[number * perReduction + part];
      Value input = values.lookup(reduce.getInput());
      if (width == lanes) {
        sum = combine(inner, reduce.getKind(), sum, input);
        continue;
      }
      Value some = vector::ExtractStridedSliceOp::create(inner, loc, sum, ArrayRef<int64_t>{0},
                                                         ArrayRef<int64_t>{width}, ArrayRef<int64_t>{1});
      some = combine(inner, reduce.getKind(), some, input);
      sum = vector::InsertStridedSliceOp::create(inner, loc, some, sum, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{1});
    }
  };
  auto emitRest = [&](OpBuilder &inner, int64_t from, SmallVectorImpl<Value> &sums) {
    for (int64_t column = from, part = 0; column < columns; column += lanes, ++part)
      emitChunk(inner, constant(inner, column), std::min(lanes, columns - column), part, sums);
  };

  int64_t width = step(!reductions.empty());
  int64_t whole = columns / width * width;
  if (whole > 0) {
    Value begin = range ? range->begin : constant(builder, 0);
    Value end = range ? range->end : constant(builder, whole);
    partials = cpu::emitFor(builder, loc, begin, end, width, partials,
                            [&](OpBuilder &inner, Value column, ValueRange arguments) {
                              SmallVector<Value> sums(arguments);
                              emitPrefetches(inner, slice, phase, column, width);
                              for (int64_t part = 0; part < width / lanes; ++part) {
                                Value at = column;
                                if (part > 0)
                                  at = arith::AddIOp::create(inner, loc, column, constant(inner, part * lanes));
                                emitChunk(inner, at, lanes, part, sums);
                              }
                              return sums;
                            });
  }
  if (whole < columns && !range) {
    emitRest(builder, whole, partials);
  } else if (whole < columns) {
    scf::IfOp::create(builder, loc, range->rest, [&](OpBuilder &inner, Location) {
      SmallVector<Value> none;
      emitRest(inner, whole, none);
      scf::YieldOp::create(inner, loc);
    });
  }
  if (body.hasFailed())
    return;
  for (auto [number, reduce] : llvm::enumerate(reductions)) {
    SmallVector<Value> own(ArrayRef<Value>(partials).slice(number * perReduction, perReduction));
    known.map(reduce.getResult(), finish(builder, reduce, std::move(own)));
  }
}

//===----------------------------------------------------------------------===//
// Rows and tasks
//===----------------------------------------------------------------------===//

void RowsEmitter::emitRow(OpBuilder &builder, Value row, Value ownsScalars, std::optional<Range> range) {
  body.setRow(row);
  known.map(rows.getRow(), row);
  Chunk scalar;
  for (int phase = 0; phase < program.numPhases(); ++phase) {
    for (Operation *op : program.scalars(phase))
      body.emitOp(builder, op, known, scalar);
    emitPhase(builder, phase, range);
    if (body.hasFailed())
      return;
  }
  for (Operation *op : program.scalars(program.numPhases()))
    body.emitOp(builder, op, known, scalar);
  if (program.scalarEffects().empty())
    return;
  auto effects = [&](OpBuilder &inner) {
    for (Operation *op : program.scalarEffects())
      body.emitOp(inner, op, known, scalar);
  };
  if (!ownsScalars)
    return effects(builder);
  scf::IfOp::create(builder, loc, ownsScalars, [&](OpBuilder &inner, Location) {
    effects(inner);
    scf::YieldOp::create(inner, loc);
  });
}

void RowsEmitter::emitTask(OpBuilder &builder, Value task) {
  int64_t perTask = rows.getPerTask(), count = rows.getRows();
  Value first = arith::MulIOp::create(builder, loc, task, constant(builder, perTask));
  Value last = arith::AddIOp::create(builder, loc, first, constant(builder, perTask));
  if (count % perTask)
    last = arith::MinSIOp::create(builder, loc, last, constant(builder, count));
  body.setTask(task, first);
  for (Operation *op : program.invariants())
    body.emitOp(builder, op, known, Chunk());
  cpu::emitFor(builder, loc, first, last, 1, {}, [&](OpBuilder &inner, Value row, ValueRange) {
    emitRow(inner, row, /*ownsScalars=*/Value(), /*range=*/std::nullopt);
    return SmallVector<Value>();
  });
}

void RowsEmitter::emitParallel(OpBuilder &builder, Value services, ValueRange buffers) {
  if (rows.getTasks() == 1) {
    known.map(kernel.getBuffers(), buffers);
    return emitTask(builder, constant(builder, 0));
  }
  cpu::emitParallelFor(builder, loc, services, (kernel.getSymName() + ".task0").str(),
                       constant(builder, rows.getTasks()), buffers, [&](OpBuilder &inner, cpu::TaskFunction &task) {
                         known.map(kernel.getBuffers(), task.captures);
                         emitTask(inner, task.task);
                       });
}

void RowsEmitter::emitSequential(OpBuilder &builder, Value services, ValueRange buffers) {
  // Columns are independent of each other: blocks of them are the tasks, whatever the number of threads.
  int64_t width = step(/*reduces=*/false);
  int64_t block = std::max<int64_t>(64, llvm::divideCeil(columns, 16 * numPartials) * numPartials);
  int64_t tasks = llvm::divideCeil(columns, block);
  auto emitBlock = [&](OpBuilder &inner, Value task) {
    for (Operation *op : program.invariants())
      body.emitOp(inner, op, known, Chunk());
    Range range;
    range.begin = arith::MulIOp::create(inner, loc, task, constant(inner, block));
    Value end = arith::AddIOp::create(inner, loc, range.begin, constant(inner, block));
    range.end = arith::MinSIOp::create(inner, loc, end, constant(inner, columns / width * width));
    range.rest = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::eq, task, constant(inner, tasks - 1));
    Value owns = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::eq, task, constant(inner, 0));
    cpu::emitFor(inner, loc, constant(inner, 0), constant(inner, rows.getRows()), 1, {},
                 [&](OpBuilder &nested, Value row, ValueRange) {
                   emitRow(nested, row, owns, range);
                   return SmallVector<Value>();
                 });
  };
  if (tasks == 1) {
    known.map(kernel.getBuffers(), buffers);
    return emitBlock(builder, constant(builder, 0));
  }
  cpu::emitParallelFor(builder, loc, services, (kernel.getSymName() + ".task0").str(), constant(builder, tasks),
                       buffers, [&](OpBuilder &inner, cpu::TaskFunction &task) {
                         known.map(kernel.getBuffers(), task.captures);
                         emitBlock(inner, task.task);
                       });
}

LogicalResult RowsEmitter::emit() {
  OpBuilder builder(kernel.getContext());
  cpu::Driver driver = cpu::createDriver(builder, kernel);
  if (rows.getOrder() == plan::RowOrder::Parallel)
    emitParallel(builder, driver.services, driver.buffers);
  else
    emitSequential(builder, driver.services, driver.buffers);
  LLVM::ReturnOp::create(builder, loc, ValueRange{});
  return failure(body.hasFailed());
}

LogicalResult cpu::emitRows(plan::KernelOp kernel, const CpuTarget &target) {
  return RowsEmitter(kernel, target).emit();
}

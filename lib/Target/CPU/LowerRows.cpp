//===- LowerRows.cpp - Row kernels to loops over vectors ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/Common/RowBody.h"
#include "lib/Target/Common/RowProgram.h"
#include "lib/Target/Common/ScatterRuns.h"

using namespace mlir;
using namespace ftc;

namespace {
using target::numPartials;
using Chunk = target::RowBody::Chunk;

class RowsEmitter {
public:
  RowsEmitter(plan::KernelOp kernel, const cpu::CpuTarget &target)
      : kernel(kernel), rows(cast<plan::RowsOp>(kernel.getWork())), program(rows), loc(kernel.getLoc()),
        columns(rows.getColumns()), lanes(target.lanes()), body(loc, "CPU"), scatter(rows, program, body) {}

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
  void emitRuns(OpBuilder &builder, const Range &range);
  void emitRow(OpBuilder &builder, Value row, Value ownsScalars, std::optional<Range> range);
  void emitPhase(OpBuilder &builder, int phase, std::optional<Range> range);
  void emitReducing(OpBuilder &builder, ArrayRef<Operation *> slice, ArrayRef<plan::ReduceOp> reductions, int phase);
  void emitPrefetches(OpBuilder &builder, ArrayRef<Operation *> slice, int phase, Value column, int64_t width);
  Value startOf(OpBuilder &builder, plan::ReduceOp reduce);
  Value finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials);
  Value combine(OpBuilder &builder, plan::ReduceKind kind, Value a, Value b) {
    return target::combinePartials(builder, loc, kind, a, b);
  }

  /// Columns that are added up at once over a run of rows: sums in two registers of AVX-512, or four of AVX2.
  static constexpr int64_t runColumns = 32;

  /// Columns that a loop takes at once where nothing is reduced.
  int64_t step() const { return std::min<int64_t>(32, 2 * lanes); }
  Value constant(OpBuilder &builder, int64_t value) { return cpu::constantI64(builder, loc, value); }

  plan::KernelOp kernel;
  plan::RowsOp rows;
  target::RowProgram program;
  Location loc;
  int64_t columns, lanes;
  target::RowBody body;
  target::ScatterRuns scatter;
  /// Buffers, the row, and scalars that are known so far in the function being written.
  IRMapping known;
};
} // namespace

//===----------------------------------------------------------------------===//
// Column loops
//===----------------------------------------------------------------------===//

/// A vector of what a partial result starts from.
Value RowsEmitter::startOf(OpBuilder &builder, plan::ReduceOp reduce) {
  auto element = cast<FloatType>(reduce.getType());
  APFloat start = target::partialStart(reduce.getKind(), element);
  return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(VectorType::get({lanes}, element), start));
}

/// Combines partial results in halves: vectors, then lanes of the last one.
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

/// Room for partial results on the stack of the function that is being written.
static Value allocate(OpBuilder &builder, Location loc, Type element, int64_t count) {
  Operation *parent = builder.getInsertionBlock()->getParentOp();
  auto function = dyn_cast<LLVM::LLVMFuncOp>(parent);
  if (!function)
    function = parent->getParentOfType<LLVM::LLVMFuncOp>();
  OpBuilder start = OpBuilder::atBlockBegin(&function.getBody().front());
  return LLVM::AllocaOp::create(start, loc, LLVM::LLVMPointerType::get(builder.getContext()), element,
                                cpu::constantI64(start, loc, count), /*alignment=*/64);
}

// The partial results of one reduction are 16 registers of AVX2, as many as there are, or 8 of AVX-512. So they lie on
// the stack, and a turn of the loop, over 32 columns, adds to the quarter of them that it meets: an operand in the
// cache and a store for each vector, and a quarter of the code that a turn over all of them would be. (Two turns at
// once, for 32 columns and those 128 further on, would save half of these, but leave the order in which rows are
// fetched from memory: 15 % slower there.) A row of one column for each at most needs none of it: its columns are the
// partial results. Of the widest rows there are 4096, which still lie in the L1 cache, and are combined there until 128
// are left.
void RowsEmitter::emitReducing(OpBuilder &builder, ArrayRef<Operation *> slice, ArrayRef<plan::ReduceOp> reductions,
                               int phase) {
  // What each reduction adds of `width` columns from `column` on; behind the end of the row, what changes nothing.
  auto emitChunk = [&](OpBuilder &inner, Value column, int64_t width) {
    IRMapping values = known;
    for (Operation *op : slice)
      body.emitOp(inner, op, values, {column, width});
    SmallVector<Value> inputs;
    for (size_t i = 0; i < reductions.size() && !body.hasFailed(); ++i) {
      Value input = values.lookup(reductions[i]->getOperand(0));
      if (width < lanes)
        input = vector::InsertStridedSliceOp::create(inner, loc, input, startOf(inner, reductions[i]),
                                                     ArrayRef<int64_t>{0}, ArrayRef<int64_t>{1});
      inputs.push_back(input);
    }
    return inputs;
  };
  SmallVector<SmallVector<Value>> partials(reductions.size());
  if (columns <= numPartials) {
    for (int64_t column = 0; column < columns && !body.hasFailed(); column += lanes)
      for (auto [i, input] :
           llvm::enumerate(emitChunk(builder, constant(builder, column), std::min(lanes, columns - column))))
        partials[i].push_back(input);
    for (auto [own, reduce] : llvm::zip(partials, reductions))
      own.resize(llvm::PowerOf2Ceil(own.size()), startOf(builder, reduce));
  } else {
    const int64_t count = plan::partialsOf(columns), width = 32, whole = columns / width * width;
    SmallVector<Value> places;
    auto placeOf = [&](OpBuilder &inner, size_t i, Value number) {
      return cpu::elementPointer(inner, loc, places[i], reductions[i]->getResult(0).getType(), number);
    };
    auto load = [&](OpBuilder &inner, size_t i, Value number) -> Value {
      auto type = VectorType::get({lanes}, reductions[i]->getResult(0).getType());
      return LLVM::LoadOp::create(inner, loc, type, placeOf(inner, i, number), /*alignment=*/32);
    };
    auto addChunk = [&](OpBuilder &inner, Value column, Value number, int64_t chunkWidth) {
      for (auto [i, input] : llvm::enumerate(emitChunk(inner, column, chunkWidth))) {
        plan::ReduceOp reduce = reductions[i];
        Value sum = combine(inner, reduce.getKind(), load(inner, i, number), input);
        LLVM::StoreOp::create(inner, loc, sum, placeOf(inner, i, number), /*alignment=*/32);
      }
    };
    // The numbers of `most` partial results, by vectors of them: one after the other where they are few.
    auto forVectors = [&](OpBuilder &outer, int64_t most, llvm::function_ref<void(OpBuilder &, Value)> emit) {
      if (most > numPartials) {
        cpu::emitFor(outer, loc, constant(outer, 0), constant(outer, most), lanes, {},
                     [&](OpBuilder &inner, Value number, ValueRange) {
                       emit(inner, number);
                       return SmallVector<Value>();
                     });
        return;
      }
      for (int64_t number = 0; number < most; number += lanes)
        emit(outer, constant(outer, number));
    };
    for (auto [i, op] : llvm::enumerate(reductions)) {
      plan::ReduceOp reduce = op;
      places.push_back(allocate(builder, loc, reduce.getType(), count));
      forVectors(builder, count, [&, i = i](OpBuilder &inner, Value number) {
        LLVM::StoreOp::create(inner, loc, startOf(inner, reduce), placeOf(inner, i, number), /*alignment=*/32);
      });
    }
    cpu::emitFor(builder, loc, constant(builder, 0), constant(builder, whole), width, {},
                 [&](OpBuilder &inner, Value column, ValueRange) {
                   emitPrefetches(inner, slice, phase, column, width);
                   Value first = arith::AndIOp::create(inner, loc, column, constant(inner, count - 1));
                   for (int64_t done = 0; done < width && !body.hasFailed(); done += lanes) {
                     auto behind = [&](Value from) -> Value {
                       return done ? arith::AddIOp::create(inner, loc, from, constant(inner, done)).getResult() : from;
                     };
                     addChunk(inner, behind(column), behind(first), lanes);
                   }
                   return SmallVector<Value>();
                 });
    for (int64_t column = whole; column < columns && !body.hasFailed(); column += lanes)
      addChunk(builder, constant(builder, column), constant(builder, column % count),
               std::min(lanes, columns - column));
    for (size_t i = 0; i < reductions.size(); ++i) {
      plan::ReduceOp reduce = reductions[i];
      for (int64_t half = count / 2; half >= numPartials; half /= 2)
        forVectors(builder, half, [&](OpBuilder &inner, Value number) {
          Value other = load(inner, i, arith::AddIOp::create(inner, loc, number, constant(inner, half)));
          Value sum = combine(inner, reduce.getKind(), load(inner, i, number), other);
          LLVM::StoreOp::create(inner, loc, sum, placeOf(inner, i, number), /*alignment=*/32);
        });
      for (int64_t vector = 0; vector < numPartials; vector += lanes)
        partials[i].push_back(load(builder, i, constant(builder, vector)));
    }
  }
  if (body.hasFailed())
    return;
  for (auto [own, op] : llvm::zip(partials, reductions)) {
    plan::ReduceOp reduce = op;
    known.map(reduce.getResult(), finish(builder, reduce, std::move(own)));
  }
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
  if (!reductions.empty())
    return emitReducing(builder, slice, reductions, phase);
  if (slice.empty())
    return;
  auto emitChunk = [&](OpBuilder &inner, Value column, int64_t width) {
    IRMapping values = known;
    for (Operation *op : slice)
      body.emitOp(inner, op, values, {column, width});
  };
  int64_t width = step(), whole = columns / width * width;
  if (whole > 0) {
    Value begin = range ? range->begin : constant(builder, 0);
    Value end = range ? range->end : constant(builder, whole);
    cpu::emitFor(builder, loc, begin, end, width, {}, [&](OpBuilder &inner, Value column, ValueRange) {
      emitPrefetches(inner, slice, phase, column, width);
      emitChunk(inner, column, lanes);
      for (int64_t done = lanes; done < width; done += lanes)
        emitChunk(inner, arith::AddIOp::create(inner, loc, column, constant(inner, done)), lanes);
      return SmallVector<Value>();
    });
  }
  if (whole == columns)
    return;
  auto emitRest = [&](OpBuilder &inner) {
    for (int64_t column = whole; column < columns; column += lanes)
      emitChunk(inner, constant(inner, column), std::min(lanes, columns - column));
  };
  if (!range)
    return emitRest(builder);
  scf::IfOp::create(builder, loc, range->rest, [&](OpBuilder &inner, Location) {
    emitRest(inner);
    scf::YieldOp::create(inner, loc);
  });
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

/// Rows that are added up into those of a table: each run of them where it starts, some columns at a time.
void RowsEmitter::emitRuns(OpBuilder &builder, const Range &range) {
  auto emitAll = [&](OpBuilder &inner, Value row, Value index) {
    auto emitChunk = [&](OpBuilder &nested, Value column, int64_t width) {
      scatter.emitRun(nested, known, row, index, {column, width}, /*underway=*/1);
    };
    const int64_t whole = columns / runColumns * runColumns;
    if (whole > 0)
      cpu::emitFor(inner, loc, range.begin, range.end, runColumns, {},
                   [&](OpBuilder &nested, Value column, ValueRange) {
                     emitChunk(nested, column, runColumns);
                     return SmallVector<Value>();
                   });
    if (whole == columns || body.hasFailed())
      return;
    OpBuilder rest = scf::IfOp::create(inner, loc, range.rest, /*withElseRegion=*/false).getThenBodyBuilder();
    for (int64_t column = whole; column < columns && !body.hasFailed(); column += lanes)
      emitChunk(rest, constant(rest, column), std::min(lanes, columns - column));
  };
  cpu::emitFor(builder, loc, constant(builder, 0), constant(builder, rows.getRows()), 1, {},
               [&](OpBuilder &inner, Value row, ValueRange) {
                 Value index = scatter.indexOf(inner, known, row);
                 Value starts = scatter.startsAt(inner, known, row, index);
                 OpBuilder nested =
                     scf::IfOp::create(inner, loc, starts, /*withElseRegion=*/false).getThenBodyBuilder();
                 emitAll(nested, row, index);
                 return SmallVector<Value>();
               });
}

void RowsEmitter::emitSequential(OpBuilder &builder, Value services, ValueRange buffers) {
  // Columns are independent of each other: blocks of them are the tasks, whatever the number of threads.
  int64_t width = scatter ? runColumns : step();
  int64_t block = std::max<int64_t>(64, llvm::divideCeil(columns, 16 * 32) * 32);
  int64_t tasks = llvm::divideCeil(columns, block);
  auto emitBlock = [&](OpBuilder &inner, Value task) {
    for (Operation *op : program.invariants())
      body.emitOp(inner, op, known, Chunk());
    Range range;
    range.begin = arith::MulIOp::create(inner, loc, task, constant(inner, block));
    Value end = arith::AddIOp::create(inner, loc, range.begin, constant(inner, block));
    range.end = arith::MinSIOp::create(inner, loc, end, constant(inner, columns / width * width));
    range.rest = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::eq, task, constant(inner, tasks - 1));
    if (scatter)
      return emitRuns(inner, range);
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

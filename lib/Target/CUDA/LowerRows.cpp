//===- LowerRows.cpp - Row kernels to GPU functions -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// RowMapping.h says which thread takes which columns; here is the code of one thread. It assumes verified plan IR, and
// promises the CPU's bits: the ops of a body are written out by the same RowBody, its phases are those of the same
// RowProgram, and a reduction adds in the order that plan.reduce states.
//
// Why lanes need not wait for each other where a row is rewritten in place: a lane stores only columns that it has
// loaded itself in the same phase, and what other lanes loaded in earlier phases went into reductions, whose shuffles
// every lane has been through. Scalars read from a buffer that is written are the one exception, and get a barrier of
// the warp.
//
// Refuses, by name, what RowBody refuses.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/Lower.h"
#include "lib/Target/CUDA/RowMapping.h"
#include "lib/Target/CUDA/RowSlice.h"
#include "lib/Target/Common/Build.h"
#include "lib/Target/Common/RowBody.h"
#include "lib/Target/Common/RowProgram.h"
#include "lib/Target/Common/ScatterRuns.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;
using namespace ftc;
using target::constantI64;
using target::numPartials;
using Chunk = target::RowBody::Chunk;

namespace {
constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("rows").category("cuda-lower-kernels");

constexpr int64_t ownPartials = cuda::RowMapping::ownPartials;
static_assert(numPartials == cuda::CudaTarget::warp * ownPartials, "all partial results have a lane");

/// Numbers from the partial results of one warp in shared memory to those of the next. Four more than there are, so
/// that lanes that read those of all warps meet different banks.
constexpr int64_t warpPitch = numPartials + ownPartials;
/// Bytes before them for the sums over warps, of f64 at most.
constexpr int64_t sumBytes = numPartials * 8;

/// Rows of a run that a thread loads together. A frequent token's run is thousands of rows, one after the other: what
/// takes time is how long a load takes.
constexpr int64_t runUnderway = 8;

/// While a row is reduced, most bytes that are loaded together, and how many times a lane's own columns: two at least.
constexpr int64_t reducedBytesUnderway = 96, mostUnderway = 8;

class RowsEmitter {
public:
  RowsEmitter(plan::KernelOp kernel, const cuda::RowMapping &mapping, cuda::KernelTables &tables)
      : tables(tables), kernel(kernel), rows(cast<plan::RowsOp>(kernel.getWork())), program(rows), mapping(mapping),
        loc(kernel.getLoc()), columns(rows.getColumns()), body(loc, "CUDA"), scatter(rows, program, body) {}

  LogicalResult emit(gpu::GPUFuncOp function);

private:
  void emitUnit(OpBuilder &builder);
  void emitRun(OpBuilder &builder);
  void emitRow(OpBuilder &builder, Value row);
  using EmitTurn = llvm::function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)>;
  SmallVector<Value> emitColumnLoop(OpBuilder &builder, int64_t end, int64_t step, ValueRange initial, EmitTurn turn);
  void emitColumns(OpBuilder &builder, ArrayRef<Operation *> ops);
  void emitReducing(OpBuilder &builder, ArrayRef<Operation *> ops, ArrayRef<plan::ReduceOp> reductions);
  void emitEffects(OpBuilder &builder);
  void emitFence(OpBuilder &builder);
  Value finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials);
  SmallVector<Value> acrossWarps(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials);
  Value trade(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials, Value number, int64_t lanes);
  Value hasBit(OpBuilder &builder, Value number, int64_t bit);
  Value fromLane(OpBuilder &builder, Value value, int32_t distance);

  Value constant(OpBuilder &builder, int64_t value) { return constantI64(builder, loc, value); }
  Value add(OpBuilder &builder, Value a, Value b) { return arith::AddIOp::create(builder, loc, a, b); }
  Value times(OpBuilder &builder, Value a, int64_t b) {
    return arith::MulIOp::create(builder, loc, a, constant(builder, b));
  }
  Value below(OpBuilder &builder, Value a, int64_t bound) {
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, constant(builder, bound));
  }

  cuda::KernelTables &tables;
  plan::KernelOp kernel;
  plan::RowsOp rows;
  target::RowProgram program;
  cuda::RowMapping mapping;
  Location loc;
  int64_t columns;
  target::RowBody body;
  target::ScatterRuns scatter;
  /// Buffers, the row, and scalars that are known so far.
  IRMapping known;
  /// The thread's place (i64): its lane in the unit, the unit's part of the row, the part's first column, its row or
  /// task.
  Value lane, part, firstColumn, rowUnit;
};
} // namespace

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

/// A loop over columns from 0 to `end`. What it counts has 32 bits where the columns of a row do: then it is one
/// register, and one instruction adds it to an address (IMAD.WIDE). LLVM must not see through it, or it would keep a
/// pointer for each buffer instead, each two registers to add to and, for ptxas, two more to copy.
SmallVector<Value> RowsEmitter::emitColumnLoop(OpBuilder &builder, int64_t end, int64_t step, ValueRange initial,
                                               EmitTurn turn) {
  // Lanes of a last turn may look at a place beyond the row, before they see that it is.
  const bool isNarrow = columns + mapping.span + step <= std::numeric_limits<int32_t>::max();
  Type type = isNarrow ? builder.getI32Type() : builder.getI64Type();
  Value zero = arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(type, 0));
  Value last = arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(type, end));
  return target::emitFor(builder, loc, zero, last, step, initial, [&](OpBuilder &inner, Value base, ValueRange values) {
    if (isNarrow && end > step)
      base = LLVM::InlineAsmOp::create(inner, loc, type, ValueRange(base), "mov.b32 $0, $1;", "=r,r",
                                       /*has_side_effects=*/false, /*is_align_stack=*/false,
                                       LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
                 .getResult(0);
    return turn(inner, base, values);
  });
}

void RowsEmitter::emitColumns(OpBuilder &builder, ArrayRef<Operation *> ops) {
  const cuda::RowSlice slice(ops, mapping.vector);
  const int64_t step = mapping.lanes * mapping.vector, aligned = std::min(mapping.vector, mapping.alignedColumns);
  Value own = add(builder, firstColumn, times(builder, lane, mapping.vector));
  auto emitChunk = [&](OpBuilder &inner, Value further) {
    IRMapping values = known;
    const Chunk chunk{own, mapping.vector, aligned, further};
    slice.emitLeadingLoads(body, inner, values, chunk);
    slice.emitRest(body, inner, values, chunk);
  };
  auto emitStep = [&](OpBuilder &inner, Value further) {
    if (mapping.span * mapping.parts == columns)
      return emitChunk(inner, further);
    // A chunk is inside of the row or outside: the vector divides the row.
    Value column = own;
    if (further)
      column = add(inner, own,
                   further.getType() == own.getType()
                       ? further
                       : arith::ExtUIOp::create(inner, loc, own.getType(), further).getResult());
    auto inside = scf::IfOp::create(inner, loc, below(inner, column, columns), /*withElseRegion=*/false);
    OpBuilder nested = inside.getThenBodyBuilder();
    emitChunk(nested, further);
  };
  if (mapping.span == step)
    return emitStep(builder, Value());
  emitColumnLoop(builder, mapping.span, step, {}, [&](OpBuilder &inner, Value further, ValueRange) {
    emitStep(inner, further);
    return SmallVector<Value>();
  });
}

void RowsEmitter::emitReducing(OpBuilder &builder, ArrayRef<Operation *> ops, ArrayRef<plan::ReduceOp> reductions) {
  // Those of one reduction side by side.
  SmallVector<Value> partials;
  for (plan::ReduceOp reduce : reductions) {
    auto element = cast<FloatType>(reduce.getType());
    auto start = FloatAttr::get(element, target::partialStart(reduce.getKind(), element));
    Value initial = arith::ConstantOp::create(builder, loc, start);
    partials.append(ownPartials, initial);
  }
  const cuda::RowSlice slice(ops, ownPartials);
  const int64_t aligned = std::min(ownPartials, mapping.alignedColumns), width = mapping.lanes * ownPartials;
  // A block of 1024 threads has 64 registers for each, and its threads are enough.
  int64_t underway = mapping.isBlock() ? 4 : 2;
  while (!mapping.isBlock() && underway < mostUnderway && 2 * underway * slice.leadingBytes() <= reducedBytesUnderway &&
         2 * underway * width <= columns)
    underway *= 2;
  auto combine = [&](OpBuilder &inner, ArrayRef<Value> sums, const IRMapping &values) {
    SmallVector<Value> next(sums);
    for (auto [i, op] : llvm::enumerate(reductions)) {
      plan::ReduceOp reduce = op;
      Value input = values.lookup(reduce->getOperand(0));
      for (int64_t k = 0; k < cast<VectorType>(input.getType()).getNumElements(); ++k) {
        Value &sum = next[i * ownPartials + k];
        Value number = vector::ExtractOp::create(inner, loc, input, ArrayRef<int64_t>{k});
        sum = target::combinePartials(inner, loc, reduce.getKind(), sum, number);
      }
    }
    return next;
  };
  // Emits columns of a lane, `count` times four of its own or, at the end of a row, the first of them. `column` is its
  // first.
  auto emitChunks = [&](OpBuilder &inner, Value column, Value further, int64_t count, ArrayRef<Value> sums,
                        int64_t chunkWidth = ownPartials) {
    SmallVector<IRMapping> values(count, known);
    SmallVector<Chunk> chunks;
    for (int64_t i = 0; i < count; ++i)
      chunks.push_back({add(inner, column, constant(inner, i * width)), chunkWidth, aligned, further});
    for (auto [chunk, own] : llvm::zip(chunks, values))
      slice.emitLeadingLoads(body, inner, own, chunk);
    SmallVector<Value> next(sums);
    for (auto [chunk, own] : llvm::zip(chunks, values)) {
      slice.emitRest(body, inner, own, chunk);
      if (body.hasFailed())
        break;
      next = combine(inner, next, own);
    }
    return next;
  };

  const int64_t step = underway * width, whole = columns / step * step;
  Value ownColumn = times(builder, lane, ownPartials);
  if (whole > 0)
    partials = emitColumnLoop(builder, whole, step, partials, [&](OpBuilder &inner, Value further, ValueRange sums) {
      return emitChunks(inner, ownColumn, further, underway, SmallVector<Value>(sums));
    });
  // Emits columns for the lanes for which `has` is true.
  auto emitSome = [&](Value has, Value column, int64_t chunkWidth) {
    auto some = scf::IfOp::create(builder, loc, ValueRange(partials).getTypes(), has, /*withElseRegion=*/true);
    OpBuilder inner = some.getThenBodyBuilder(), outside = some.getElseBodyBuilder();
    scf::YieldOp::create(inner, loc, emitChunks(inner, column, Value(), 1, partials, chunkWidth));
    scf::YieldOp::create(outside, loc, partials);
    partials.assign(some.getResults().begin(), some.getResults().end());
  };
  const int64_t more = (columns - whole) / width;
  if (more > 0 && !body.hasFailed())
    partials = emitChunks(builder, add(builder, constant(builder, whole), ownColumn), Value(), more, partials);
  if (const int64_t base = whole + more * width; base < columns && !body.hasFailed()) {
    Value column = add(builder, constant(builder, base), ownColumn);
    // Lanes with all of their columns, then the one whose columns the row's end cuts.
    const int64_t wholeLanes = (columns - base) / ownPartials, rest = columns % ownPartials;
    if (wholeLanes > 0)
      emitSome(below(builder, lane, wholeLanes), column, ownPartials);
    if (rest > 0 && !body.hasFailed()) {
      Value cut = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, lane, constant(builder, wholeLanes));
      emitSome(cut, column, rest);
    }
  }
  if (body.hasFailed())
    return;
  for (auto [i, op] : llvm::enumerate(reductions)) {
    plan::ReduceOp reduce = op;
    auto own = ArrayRef<Value>(partials).slice(i * ownPartials, ownPartials);
    known.map(reduce.getResult(), finish(builder, reduce, SmallVector<Value>(own)));
  }
}

/// The value of the lane whose number differs by `distance` in one bit. Registers have 32 bits: an f64 goes in two.
Value RowsEmitter::fromLane(OpBuilder &builder, Value value, int32_t distance) {
  auto shuffle = [&](Value part) -> Value {
    return gpu::ShuffleOp::create(builder, loc, part, distance, cuda::CudaTarget::warp, gpu::ShuffleMode::XOR)
        .getShuffleResult();
  };
  if (!value.getType().isF64())
    return shuffle(value);
  Type i32 = builder.getI32Type(), i64 = builder.getI64Type();
  Value bits = arith::BitcastOp::create(builder, loc, i64, value), half = constant(builder, 32);
  Value high = arith::TruncIOp::create(builder, loc, i32, arith::ShRUIOp::create(builder, loc, bits, half));
  Value low = arith::ExtUIOp::create(builder, loc, i64, shuffle(arith::TruncIOp::create(builder, loc, i32, bits)));
  high = arith::ShLIOp::create(builder, loc, arith::ExtUIOp::create(builder, loc, i64, shuffle(high)), half);
  return arith::BitcastOp::create(builder, loc, value.getType(), arith::OrIOp::create(builder, loc, high, low));
}

/// Whether `number` has a bit that is a power of two.
Value RowsEmitter::hasBit(OpBuilder &builder, Value number, int64_t bit) {
  Value masked = arith::AndIOp::create(builder, loc, number, constant(builder, bit));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, masked, constant(builder, 0));
}

/// Combines the partial results of `lanes` lanes, in halves; `number` is the lane's among them. The first two times a
/// lane has more than one: it keeps a half of its own, by one bit of its number, and gives the other to the lane that
/// keeps that one. Then each has one, of lanes with the same two bits, until one is left for each pair of bits.
Value RowsEmitter::trade(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials, Value number,
                         int64_t lanes) {
  auto combine = [&](Value own, Value sent, int64_t distance) {
    Value other = fromLane(builder, sent, static_cast<int32_t>(distance));
    return target::combinePartials(builder, loc, reduce.getKind(), own, other);
  };
  for (int64_t distance : {lanes / 2, lanes / 4}) {
    Value upper = hasBit(builder, number, distance);
    const size_t half = partials.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      Value low = partials[i], high = partials[i + half];
      Value keep = arith::SelectOp::create(builder, loc, upper, high, low);
      partials[i] = combine(keep, arith::SelectOp::create(builder, loc, upper, low, high), distance);
    }
    partials.resize(half);
  }
  Value partial = partials.front();
  for (int64_t distance = lanes / 8; distance >= 1; distance /= 2)
    partial = combine(partial, partial, distance);
  return partial;
}

/// Combines the partial results of a unit's lanes. Every lane ends with the result: those with other bits add the same
/// two numbers the other way round, which is the same sum. A unit has fewer lanes where the others' partial results
/// would be of no column, and change nothing.
Value RowsEmitter::finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials) {
  int64_t lanes = mapping.lanes;
  Value number = lane;
  if (mapping.isBlock()) {
    partials = acrossWarps(builder, reduce, std::move(partials));
    lanes = cuda::CudaTarget::warp;
    number = arith::AndIOp::create(builder, loc, lane, constant(builder, lanes - 1));
  }
  Value partial = trade(builder, reduce, std::move(partials), number, lanes);
  for (int64_t distance : {lanes / 2, lanes / 4}) {
    Value other = fromLane(builder, partial, static_cast<int32_t>(distance));
    partial = target::combinePartials(builder, loc, reduce.getKind(), partial, other);
  }
  return partial;
}

/// Combines those partial results of a block that are multiples of 128 apart: the 32 warps have one of each. Lane k of
/// warp w gets number 4w to 4w + 3 of warp k, so that they are combined in a warp, and then each warp has all 128 sums.
///
/// Two barriers are enough for one reduction after the other. What is written before the first was read before the
/// second of the reduction before, and the sums were read by whoever has come to the first: so they have bytes of their
/// own, whatever the types of both.
SmallVector<Value> RowsEmitter::acrossWarps(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials) {
  constexpr int64_t warp = cuda::CudaTarget::warp;
  Type element = reduce.getType();
  auto four = VectorType::get({ownPartials}, element);
  const auto bytes = static_cast<unsigned>(element.getIntOrFloatBitWidth() / 8);
  Value sums = tables.sharedMemory(builder, loc);
  Value shared = target::elementPointer(builder, loc, sums, builder.getI8Type(), constant(builder, sumBytes));
  auto place = [&](Value from, Value number) { return target::elementPointer(builder, loc, from, element, number); };
  auto load = [&](Value pointer) {
    Value loaded = LLVM::LoadOp::create(builder, loc, four, pointer, std::min<unsigned>(16, 4 * bytes));
    SmallVector<Value> values;
    for (int64_t i = 0; i < ownPartials; ++i)
      values.push_back(vector::ExtractOp::create(builder, loc, loaded, ArrayRef<int64_t>{i}));
    return values;
  };
  Value inWarp = arith::AndIOp::create(builder, loc, lane, constant(builder, warp - 1));
  Value ofWarp = arith::DivUIOp::create(builder, loc, lane, constant(builder, warp));
  Value own = vector::FromElementsOp::create(builder, loc, four, partials);
  LLVM::StoreOp::create(
      builder, loc, own,
      place(shared, add(builder, times(builder, ofWarp, warpPitch), times(builder, inWarp, ownPartials))),
      std::min<unsigned>(16, 4 * bytes));
  gpu::BarrierOp::create(builder, loc);
  Value first = times(builder, ofWarp, ownPartials);
  Value sum =
      trade(builder, reduce, load(place(shared, add(builder, times(builder, inWarp, warpPitch), first))), inWarp, warp);
  // Which of the four a lane has is told by the bits by which they were traded.
  auto bit = [&](int64_t of, int64_t number) {
    return arith::SelectOp::create(builder, loc, hasBit(builder, inWarp, of), constant(builder, number),
                                   constant(builder, 0))
        .getResult();
  };
  Value number = add(builder, first, add(builder, bit(warp / 2, 2), bit(warp / 4, 1)));
  Value rest = arith::AndIOp::create(builder, loc, inWarp, constant(builder, warp / 4 - 1));
  Value stores = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, rest, constant(builder, 0));
  OpBuilder inner = scf::IfOp::create(builder, loc, stores, /*withElseRegion=*/false).getThenBodyBuilder();
  LLVM::StoreOp::create(inner, loc, sum, target::elementPointer(inner, loc, sums, element, number), bytes);
  gpu::BarrierOp::create(builder, loc);
  return load(place(sums, times(builder, inWarp, ownPartials)));
}

/// Bytes of shared memory that acrossWarps needs, over all reductions of a kernel.
static int64_t sharedBytes(plan::RowsOp rows, const cuda::RowMapping &mapping) {
  int64_t bytes = 0;
  if (mapping.isBlock())
    rows.walk([&](plan::ReduceOp reduce) {
      const int64_t numbers = cuda::CudaTarget::warp * warpPitch;
      bytes = std::max<int64_t>(bytes, sumBytes + numbers * reduce.getType().getIntOrFloatBitWidth() / 8);
    });
  return bytes;
}

//===----------------------------------------------------------------------===//
// Rows and units
//===----------------------------------------------------------------------===//

void RowsEmitter::emitFence(OpBuilder &builder) {
  if (!mapping.fence)
    return;
  if (mapping.isBlock()) {
    gpu::BarrierOp::create(builder, loc);
    return;
  }
  Value all = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(builder, loc, all);
}

void RowsEmitter::emitEffects(OpBuilder &builder) {
  if (program.scalarEffects().empty())
    return;
  // One lane of the first part stores for all.
  Value zero = constant(builder, 0);
  Value owns = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                     arith::OrIOp::create(builder, loc, lane, part), zero);
  OpBuilder inner = scf::IfOp::create(builder, loc, owns, /*withElseRegion=*/false).getThenBodyBuilder();
  for (Operation *op : program.scalarEffects())
    body.emitOp(inner, op, known, Chunk());
}

void RowsEmitter::emitRow(OpBuilder &builder, Value row) {
  body.setRow(row);
  known.map(rows.getRow(), row);
  for (int phase = 0; phase < program.numPhases(); ++phase) {
    for (Operation *op : program.scalars(phase))
      body.emitOp(builder, op, known, Chunk());
    if (phase == program.numPhases() - 1)
      emitFence(builder);
    SmallVector<Operation *> slice = program.slice(phase);
    SmallVector<plan::ReduceOp> reductions = program.reductions(phase);
    if (!reductions.empty())
      emitReducing(builder, slice, reductions);
    else if (!slice.empty())
      emitColumns(builder, slice);
    if (body.hasFailed())
      return;
  }
  for (Operation *op : program.scalars(program.numPhases()))
    body.emitOp(builder, op, known, Chunk());
  emitEffects(builder);
  // The next row of the unit may read what this one wrote.
  if (mapping.wholeTask)
    emitFence(builder);
}

void RowsEmitter::emitUnit(OpBuilder &builder) {
  for (Operation *op : program.invariants())
    body.emitOp(builder, op, known, Chunk());
  if (scatter)
    return emitRun(builder);
  if (!mapping.wholeTask && !mapping.allRows) {
    body.setTask(rowUnit, rowUnit);
    return emitRow(builder, rowUnit);
  }
  int64_t count = rows.getRows(), each = mapping.allRows ? count : rows.getPerTask();
  Value first = times(builder, rowUnit, each), last = add(builder, first, constant(builder, each));
  if (count % each)
    last = arith::MinSIOp::create(builder, loc, last, constant(builder, count));
  body.setTask(rowUnit, first);
  target::emitFor(builder, loc, first, last, 1, {}, [&](OpBuilder &inner, Value row, ValueRange) {
    emitRow(inner, row);
    return SmallVector<Value>();
  });
}

/// The rows of a run are one unit's, that of the first.
void RowsEmitter::emitRun(OpBuilder &builder) {
  Value index = scatter.indexOf(builder, known, rowUnit);
  Value starts = scatter.startsAt(builder, known, rowUnit, index);
  Value column = add(builder, firstColumn, times(builder, lane, mapping.vector));
  if (mapping.span * mapping.parts != columns)
    starts = arith::AndIOp::create(builder, loc, starts, below(builder, column, columns));
  OpBuilder inner = scf::IfOp::create(builder, loc, starts, /*withElseRegion=*/false).getThenBodyBuilder();
  scatter.emitRun(inner, known, rowUnit, index, {column, mapping.vector, mapping.vector}, runUnderway);
}

LogicalResult RowsEmitter::emit(gpu::GPUFuncOp function) {
  OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
  known.map(kernel.getBuffers(), function.getArguments());

  auto number = [&](Value index) -> Value {
    return arith::IndexCastOp::create(builder, loc, builder.getI64Type(), index);
  };
  Value inBlock = number(gpu::ThreadIdOp::create(builder, loc, gpu::Dimension::x));
  Value thread = add(
      builder, times(builder, number(gpu::BlockIdOp::create(builder, loc, gpu::Dimension::x)), mapping.block), inBlock);
  auto split = [&](Value value, int64_t size, Value &quotient, Value &rest) {
    Value divisor = constant(builder, size);
    quotient = arith::DivUIOp::create(builder, loc, value, divisor);
    rest = arith::RemUIOp::create(builder, loc, value, divisor);
  };
  Value unit;
  split(thread, mapping.lanes, unit, lane);
  split(unit, mapping.parts, rowUnit, part);
  firstColumn = times(builder, part, mapping.span);
  if (mapping.units * mapping.lanes == mapping.grid * mapping.block) {
    emitUnit(builder);
  } else {
    // Where lanes look at each other, units are a warp or fill it, so all of its lanes are inside or none.
    auto inside = scf::IfOp::create(builder, loc, below(builder, unit, mapping.units), /*withElseRegion=*/false);
    OpBuilder inner = OpBuilder::atBlockBegin(inside.thenBlock());
    emitUnit(inner);
  }
  gpu::ReturnOp::create(builder, loc);
  return failure(body.hasFailed());
}

LogicalResult cuda::emitRows(plan::KernelOp kernel, const CudaTarget &target, const LaunchAlignments &launches,
                             KernelTables &tables) {
  FailureOr<RowMapping> mapping = mapRows(kernel, target, launches);
  if (failed(mapping))
    return failure();
  gpu::GPUFuncOp function =
      tables.addFunction(kernel.getLoc(), kernel.getSymName(), kernel.getBuffers().size(),
                         {mapping->grid, mapping->block, sharedBytes(cast<plan::RowsOp>(kernel.getWork()), *mapping)});
  if (!kernel.walk([](plan::EncodeOp) { return WalkResult::interrupt(); }).wasInterrupted())
    function->setAttr(fewRegistersAttrName, OpBuilder(kernel.getContext()).getUnitAttr());
  if (failed(RowsEmitter(kernel, *mapping, tables).emit(function)))
    return failure();
  // For 64 registers: to save them for more threads, ptxas would wait for one row after the other.
  if (mapping->runs)
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                      Builder(function.getContext()).getI32IntegerAttr(static_cast<int32_t>(1024 / mapping->block)));
  remark::passed(kernel.getLoc(), remarkOpts)
      << remark::add("{0} has {1} lanes a unit, {2} columns a lane, {3} parts a row{4}", kernel.getSymName(),
                     mapping->lanes, mapping->vector, mapping->parts, mapping->runs ? ", runs of rows" : "")
      << remark::metric("blocks", mapping->grid) << remark::metric("threads", mapping->block);
  Driver driver(tables, kernel);
  SmallVector<Value> addresses;
  for (unsigned index = 0; index < kernel.getBuffers().size(); ++index)
    addresses.push_back(driver.address(index));
  driver.launch(function, addresses);
  driver.finish();
  return success();
}

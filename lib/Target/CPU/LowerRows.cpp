//===- LowerRows.cpp - Row kernels to loops over vectors ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/CPU/LowerCodes.h"
#include "lib/Target/CPU/RowProgram.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace ftc;

namespace {
/// How many partial results a reduction has: part of plan.reduce's meaning.
constexpr int64_t numPartials = 32;

class RowsEmitter {
public:
  RowsEmitter(plan::KernelOp kernel, const cpu::CpuTarget &target)
      : kernel(kernel), rows(cast<plan::RowsOp>(kernel.getWork())), program(rows), loc(kernel.getLoc()),
        columns(rows.getColumns()), lanes(target.lanes()) {}

  LogicalResult emit();

private:
  /// Part of a row: `width` columns from `column` on, computed in vectors of that width.
  struct Chunk {
    Value column;
    int64_t width = 0;
  };
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
  Value finish(OpBuilder &builder, plan::ReduceOp reduce, SmallVector<Value> partials);
  Value combine(OpBuilder &builder, plan::ReduceKind kind, Value a, Value b);

  // One op of the body, on scalars or on a chunk.
  void emitOp(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk);
  void emitGeneric(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk);
  void emitConstant(OpBuilder &builder, arith::ConstantOp op, IRMapping &values, const Chunk &chunk);
  void emitAccumulate(OpBuilder &builder, plan::AccumulateOp op, IRMapping &values, const Chunk &chunk);
  Type convert(Type type, const Chunk &chunk);
  Value place(OpBuilder &builder, Value buffer, ValueRange indices, int64_t offset, bool isRow, IRMapping &values,
              const Chunk &chunk);
  Value load(OpBuilder &builder, Type type, Value pointer);
  void store(OpBuilder &builder, Value value, Value pointer);

  int64_t step(bool reduces) const { return reduces ? numPartials : std::min(numPartials, 2 * lanes); }
  Value constant(OpBuilder &builder, int64_t value) { return cpu::constantI64(builder, loc, value); }

  plan::KernelOp kernel;
  plan::RowsOp rows;
  cpu::RowProgram program;
  Location loc;
  int64_t columns, lanes;
  /// Buffers, the row, and scalars that are known so far in the function being written.
  IRMapping known;
  /// The task of the row being written, and its first row.
  Value currentTask, firstRow, currentRow;
  bool failedOnce = false;
};
} // namespace

//===----------------------------------------------------------------------===//
// Ops of the body
//===----------------------------------------------------------------------===//

Type RowsEmitter::convert(Type type, const Chunk &chunk) {
  if (auto row = dyn_cast<RankedTensorType>(type))
    return VectorType::get({chunk.width}, row.getElementType());
  if (type.isIndex())
    return IntegerType::get(type.getContext(), 64);
  return type;
}

Value RowsEmitter::place(OpBuilder &builder, Value buffer, ValueRange indices, int64_t offset, bool isRow,
                         IRMapping &values, const Chunk &chunk) {
  auto type = cast<MemRefType>(buffer.getType());
  // Horner over the dimensions, last one fastest.
  Value linear;
  for (auto [dimension, index] : llvm::enumerate(indices)) {
    Value mapped = values.lookup(index);
    if (linear) {
      linear = arith::MulIOp::create(builder, loc, linear, constant(builder, type.getDimSize(dimension)));
      linear = arith::AddIOp::create(builder, loc, linear, mapped);
    } else {
      linear = mapped;
    }
  }
  if (isRow) {
    int64_t pitch = type.getShape().back();
    linear = linear ? arith::MulIOp::create(builder, loc, linear, constant(builder, pitch)).getResult()
                    : constant(builder, 0);
    Value start = cpu::elementPointer(builder, loc, values.lookup(buffer), type.getElementType(), linear);
    Value column = chunk.column;
    if (offset != 0)
      column = arith::AddIOp::create(builder, loc, column, constant(builder, offset));
    return cpu::elementPointer(builder, loc, start, type.getElementType(), column);
  }
  if (!linear)
    return values.lookup(buffer);
  return cpu::elementPointer(builder, loc, values.lookup(buffer), type.getElementType(), linear);
}

/// Bytes to which an element of `type` is aligned; rows may start at any element.
static unsigned alignmentOf(Type type) {
  return llvm::divideCeil(getElementTypeOrSelf(type).getIntOrFloatBitWidth(), 8);
}

Value RowsEmitter::load(OpBuilder &builder, Type type, Value pointer) {
  return LLVM::LoadOp::create(builder, loc, type, pointer, alignmentOf(type));
}

void RowsEmitter::store(OpBuilder &builder, Value value, Value pointer) {
  LLVM::StoreOp::create(builder, loc, value, pointer, alignmentOf(value.getType()));
}

void RowsEmitter::emitConstant(OpBuilder &builder, arith::ConstantOp op, IRMapping &values, const Chunk &chunk) {
  Type type = convert(op.getType(), chunk);
  TypedAttr attribute;
  if (auto dense = dyn_cast<DenseElementsAttr>(op.getValue())) {
    if (!dense.isSplat()) {
      op.emitError("a row constant must hold one number in every column");
      failedOnce = true;
      return;
    }
    attribute = DenseElementsAttr::get(cast<ShapedType>(type), dense.getSplatValue<Attribute>());
  } else if (op.getType().isIndex()) {
    attribute = builder.getI64IntegerAttr(cast<IntegerAttr>(op.getValue()).getInt());
  } else {
    attribute = cast<TypedAttr>(op.getValue());
  }
  values.map(op.getResult(), arith::ConstantOp::create(builder, loc, attribute).getResult());
}

void RowsEmitter::emitAccumulate(OpBuilder &builder, plan::AccumulateOp op, IRMapping &values, const Chunk &chunk) {
  auto type = cast<MemRefType>(op.getBuffer().getType());
  Value value = values.lookup(op.getValue());
  Value linear = currentTask;
  bool isRow = isa<RankedTensorType>(op.getValue().getType());
  if (isRow) {
    linear = arith::MulIOp::create(builder, loc, linear, constant(builder, type.getShape().back()));
    linear = arith::AddIOp::create(builder, loc, linear, chunk.column);
  }
  Value pointer = cpu::elementPointer(builder, loc, values.lookup(op.getBuffer()), type.getElementType(), linear);
  // The first row of a task overwrites. What it reads then may be anything, and is not used.
  Value old = load(builder, value.getType(), pointer);
  Value sum = isa<FloatType>(type.getElementType()) ? arith::AddFOp::create(builder, loc, old, value).getResult()
                                                    : arith::AddIOp::create(builder, loc, old, value).getResult();
  Value first = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, currentRow, firstRow);
  store(builder, arith::SelectOp::create(builder, loc, first, value, sum), pointer);
}

void RowsEmitter::emitGeneric(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk) {
  StringRef dialect = op->getName().getDialectNamespace();
  if (dialect != "arith" && dialect != "math" && dialect != "scf") {
    op->emitError("the CPU target cannot run this inside plan.rows");
    failedOnce = true;
    return;
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(values.lookup(operand));
  SmallVector<Type> types;
  for (Type type : op->getResultTypes())
    types.push_back(convert(type, chunk));
  Operation *copy = Operation::create(op->getLoc(), op->getName(), types, operands, op->getDiscardableAttrDictionary(),
                                      op->getPropertiesStorage(), {}, op->getNumRegions());
  builder.insert(copy);
  for (auto [from, to] : llvm::zip(op->getRegions(), copy->getRegions())) {
    for (Block &block : from) {
      OpBuilder inner(builder.getContext());
      Block *body = inner.createBlock(&to);
      for (BlockArgument argument : block.getArguments())
        values.map(argument, body->addArgument(convert(argument.getType(), chunk), argument.getLoc()));
      for (Operation &nested : block)
        emitOp(inner, &nested, values, chunk);
    }
  }
  for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults()))
    values.map(from, to);
}

void RowsEmitter::emitOp(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk) {
  if (failedOnce)
    return;
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](plan::LoadOp load) {
        bool isRow = isa<RankedTensorType>(load.getType());
        Value pointer = place(builder, load.getBuffer(), load.getIndices(), load.getOffset(), isRow, values, chunk);
        values.map(load.getResult(), this->load(builder, convert(load.getType(), chunk), pointer));
      })
      .Case([&](plan::StoreOp store) {
        bool isRow = isa<RankedTensorType>(store.getValue().getType());
        Value pointer = place(builder, store.getBuffer(), store.getIndices(), store.getOffset(), isRow, values, chunk);
        this->store(builder, values.lookup(store.getValue()), pointer);
      })
      .Case([&](plan::AccumulateOp accumulate) { emitAccumulate(builder, accumulate, values, chunk); })
      .Case([&](plan::BroadcastOp broadcast) {
        values.map(broadcast.getResult(), vector::BroadcastOp::create(builder, loc, convert(broadcast.getType(), chunk),
                                                                      values.lookup(broadcast.getValue()))
                                              .getResult());
      })
      .Case([&](plan::ColumnOp column) {
        auto type = cast<VectorType>(convert(column.getType(), chunk));
        Value start = arith::TruncIOp::create(builder, loc, builder.getI32Type(), chunk.column);
        auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, static_cast<int32_t>(chunk.width)));
        Value own = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
        Value base = vector::BroadcastOp::create(builder, loc, type, start);
        values.map(column.getResult(), arith::AddIOp::create(builder, loc, base, own).getResult());
      })
      .Case([&](plan::DecodeOp decode) {
        values.map(decode.getResult(), cpu::emitDecode(builder, decode, values.lookup(decode.getCodes())));
      })
      .Case([&](plan::EncodeOp encode) {
        values.map(encode.getResult(), cpu::emitEncode(builder, encode, values.lookup(encode.getInput())));
      })
      .Case([&](arith::ConstantOp constant) { emitConstant(builder, constant, values, chunk); })
      .Case<arith::IndexCastOp, arith::IndexCastUIOp>([&](auto cast) {
        // index is i64 here.
        Value in = values.lookup(cast.getIn());
        Type to = convert(cast.getType(), chunk);
        unsigned fromBits = getElementTypeOrSelf(in.getType()).getIntOrFloatBitWidth();
        unsigned toBits = getElementTypeOrSelf(to).getIntOrFloatBitWidth();
        bool isSigned = isa<arith::IndexCastOp>(cast.getOperation());
        if (fromBits > toBits)
          in = arith::TruncIOp::create(builder, loc, to, in);
        else if (fromBits < toBits && isSigned)
          in = arith::ExtSIOp::create(builder, loc, to, in);
        else if (fromBits < toBits)
          in = arith::ExtUIOp::create(builder, loc, to, in);
        values.map(cast.getResult(), in);
      })
      .Default([&](Operation *) { emitGeneric(builder, op, values, chunk); });
}

//===----------------------------------------------------------------------===//
// Column loops
//===----------------------------------------------------------------------===//

Value RowsEmitter::combine(OpBuilder &builder, plan::ReduceKind kind, Value a, Value b) {
  if (kind == plan::ReduceKind::Add)
    return arith::AddFOp::create(builder, loc, a, b);
  return arith::MaximumFOp::create(builder, loc, a, b);
}

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
    bool add = reduce.getKind() == plan::ReduceKind::Add;
    APFloat start = add ? APFloat::getZero(element.getFloatSemantics(), /*Negative=*/true)
                        : APFloat::getInf(element.getFloatSemantics(), /*Negative=*/true);
    Value initial = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, start));
    partials.append(perReduction, initial);
  }

  // Emits `width` columns from `column` on; they are number `part` of the vectors of a step.
  auto emitChunk = [&](OpBuilder &inner, Value column, int64_t width, int64_t part, SmallVectorImpl<Value> &sums) {
    IRMapping values = known;
    Chunk chunk{column, width};
    for (Operation *op : slice)
      emitOp(inner, op, values, chunk);
    if (failedOnce)
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
  if (failedOnce)
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
  currentRow = row;
  known.map(rows.getRow(), row);
  Chunk scalar;
  for (int phase = 0; phase < program.numPhases(); ++phase) {
    for (Operation *op : program.scalars(phase))
      emitOp(builder, op, known, scalar);
    emitPhase(builder, phase, range);
    if (failedOnce)
      return;
  }
  for (Operation *op : program.scalars(program.numPhases()))
    emitOp(builder, op, known, scalar);
  if (program.scalarEffects().empty())
    return;
  auto effects = [&](OpBuilder &inner) {
    for (Operation *op : program.scalarEffects())
      emitOp(inner, op, known, scalar);
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
  currentTask = task;
  firstRow = first;
  for (Operation *op : program.invariants())
    emitOp(builder, op, known, Chunk());
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
      emitOp(inner, op, known, Chunk());
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
  return failure(failedOnce);
}

LogicalResult cpu::emitRows(plan::KernelOp kernel, const CpuTarget &target) {
  return RowsEmitter(kernel, target).emit();
}

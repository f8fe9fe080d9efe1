//===- Tables.cpp - Rows chosen by number, from train to plan -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The gradient of an embedding adds rows, in order, into rows of a table, which is far larger than they are. Three
// launches do it, and none of them waits for as many rows as a token has:
//
//   keys    of each row, its id; -1 where its gradient is zero, as that of padding is: it has nothing to add
//   order   the rows sorted by key, those of one key as they were: a row's place is the number of rows before it, which
//   it
//           counts. That is quadratic, and yet a small part of the whole: some 60 us on an H200 for 16384 rows
//   sums    a run of one key after another, in fp32, rounded once (plan.scatter)
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

namespace {
/// Buffers of the sorted rows: a key and a row's number for each place, both i32.
struct SortedRows {
  Value keys, numbers;
};
} // namespace

/// A key for each row of `gradient`, i32: its id, or -1 where its gradient is zero in all columns. A NaN is not zero.
static Value emitKeys(KernelTable &kernels, OpBuilder &entry, Location loc, Value ids, Value gradient,
                      const std::string &label) {
  auto type = cast<MemRefType>(gradient.getType());
  const int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  Type i32 = entry.getI32Type();
  Value keys = plan::AllocOp::create(entry, loc, MemRefType::get({rows}, i32), entry.getStringAttr(label + " keys"));
  RowLaunch launch(kernels, entry, loc, rows, chooseRowsPerTask(rows, columns));
  OpBuilder &b = launch.body();
  RowMath math(b, loc);
  Value g = launch.loadRow(gradient);
  if (type.getElementType().isBF16())
    g = math.convert(g, b.getF32Type());
  Value size = math.reduce(ReduceKind::Max, arith::MaximumFOp::create(b, loc, g, math.neg(g)));
  Value counts = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, size, math.constant(0.0, size.getType()));
  Value none = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  launch.storeRow(math.select(counts, launch.loadElement(ids, launch.row()), none), keys);
  launch.finish("row_keys_" + shapeName(type), label + " keys");
  return keys;
}

/// Rows sorted by their keys (i32), those of one key in their order.
static SortedRows emitOrder(KernelTable &kernels, OpBuilder &entry, Location loc, Value keys,
                            const std::string &label) {
  auto type = cast<MemRefType>(keys.getType());
  const int64_t rows = type.getDimSize(0);
  auto alloc = [&](const char *what) -> Value {
    return plan::AllocOp::create(entry, loc, type, entry.getStringAttr(label + what));
  };
  SortedRows sorted{alloc(" sorted keys"), alloc(" sorted rows")};
  RowLaunch launch(kernels, entry, loc, rows, chooseRowsPerTask(rows, rows));
  OpBuilder &b = launch.body();
  RowMath math(b, loc);
  Type i32 = b.getI32Type();
  auto rowType = RankedTensorType::get({rows}, i32);
  Value own = launch.loadElement(keys, launch.row());
  Value all = plan::LoadOp::create(b, loc, rowType, launch.argument(keys), ValueRange(), 0);
  Value number = arith::IndexCastOp::create(b, loc, i32, launch.row());
  // Before this row come smaller keys, and of those before it in memory the equal ones: less than key + 1.
  auto less = [&](Value x, Value y) -> Value { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y); };
  Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
  Value isEarlier = less(plan::ColumnOp::create(b, loc, rowType), math.broadcast(number, rowType));
  Value bound = math.select(isEarlier, math.broadcast(arith::AddIOp::create(b, loc, own, one), rowType),
                            math.broadcast(own, rowType));
  // Counted in floating point, where whole numbers add exactly: up to 2^24 in fp32.
  Type real = rows <= (1 << 24) ? Type(b.getF32Type()) : Type(b.getF64Type());
  auto realRow = RankedTensorType::get({rows}, real);
  Value isBefore = math.select(less(all, bound), math.broadcast(math.constant(1.0, real), realRow),
                               math.broadcast(math.constant(0.0, real), realRow));
  Value place = arith::FPToSIOp::create(b, loc, i32, math.reduce(ReduceKind::Add, isBefore));
  place = arith::IndexCastOp::create(b, loc, b.getIndexType(), place);
  launch.storeAt(own, launch.argument(sorted.keys), place);
  launch.storeAt(number, launch.argument(sorted.numbers), place);
  launch.finish("order_rows_" + std::to_string(rows), label + " order");
  return sorted;
}

void EntryConverter::convertEmbeddingGrad(train::EmbeddingGradOp op) {
  std::string label = labelOf(op);
  Location loc = op.getLoc();
  auto type = op.getResult().getType();
  auto result = cast<OpResult>(op.getResult());
  Value ids = bufferOf(op.getIds()), gradient = bufferOf(op.getGradient());
  SmallVector<Value> reusable;
  if (op.getBase() && op.getBase() != op.getGradient())
    reusable.push_back(op.getBase());
  Value table = resultBuffer(result, reusable, label);
  places[result].buffer = table;
  if (!op.getBase())
    emitFill(loc, builder.getZeroAttr(type.getElementType()), table, label + " zeros");
  else if (bufferOf(op.getBase()) != table)
    emitCopy(loc, bufferOf(op.getBase()), table, label + " base");

  SortedRows sorted = emitOrder(kernels, builder, loc, emitKeys(kernels, builder, loc, ids, gradient, label), label);
  int64_t rows = train::rowsOf(op.getGradient().getType());
  RowLaunch launch(kernels, builder, loc, rows, rows, plan::RowOrder::Sequential);
  OpBuilder &b = launch.body();
  RowMath math(b, loc);
  auto index = [&](Value numbers) -> Value {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), launch.loadElement(numbers, launch.row()));
  };
  Value key = index(sorted.keys), row = index(sorted.numbers);
  auto rowType = RankedTensorType::get({type.getDimSize(1)}, type.getElementType());
  Value g = plan::LoadOp::create(b, loc, rowType, launch.argument(gradient), ValueRange(row), 0);
  g = math.convert(g, type.getElementType().isF64() ? Type(b.getF64Type()) : Type(b.getF32Type()));
  plan::ScatterOp::create(b, loc, g, launch.argument(table), key);
  launch.finish(
      "embedding_grad_" + shapeName(op.getGradient().getType()) + "_into_" + std::to_string(type.getDimSize(0)), label);
}

void EntryConverter::convertGatherRow(train::GatherRowOp op) {
  std::string label = labelOf(op);
  Value input = bufferOf(op.getInput()), index = bufferOf(op.getIndex());
  Value output = resultBuffer(cast<OpResult>(op.getResult()), {}, label);
  places[op.getResult()].buffer = output;
  RowLaunch launch(kernels, builder, op.getLoc(), 1, 1);
  OpBuilder &b = launch.body();
  Value i = arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(), launch.loadElement(index, {}));
  auto type = op.getInput().getType();
  Value row = plan::LoadOp::create(b, op.getLoc(), RankedTensorType::get({type.getDimSize(1)}, type.getElementType()),
                                   launch.argument(input), ValueRange(i), 0);
  launch.storeRow(row, output);
  launch.finish("gather_row_" + shapeName(type), label);
}

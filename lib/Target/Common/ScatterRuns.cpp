//===- ScatterRuns.cpp - Rows that are added up into one ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/ScatterRuns.h"

#include "lib/Target/Common/Build.h"

using namespace mlir;
using namespace ftc;
using target::RowBody;
using target::RowProgram;
using target::ScatterRuns;

ScatterRuns::ScatterRuns(plan::RowsOp rows, const RowProgram &program, RowBody &body)
    : rows(rows), program(program), body(body), loc(rows.getLoc()) {
  rows.walk([&](plan::ScatterOp scatter) { op = scatter; });
}

Value ScatterRuns::indexOf(OpBuilder &builder, const IRMapping &known, Value row) {
  IRMapping values = known;
  values.map(rows.getRow(), row);
  for (Operation *scalar : program.scalars(0))
    body.emitOp(builder, scalar, values, RowBody::Chunk());
  return body.hasFailed() ? row : values.lookup(op.getIndex());
}

Value ScatterRuns::startsAt(OpBuilder &builder, const IRMapping &known, Value row, Value index) {
  auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
    return arith::CmpIOp::create(builder, loc, predicate, x, y);
  };
  Value zero = constantI64(builder, loc, 0), one = constantI64(builder, loc, 1);
  Value isFirst = compare(arith::CmpIPredicate::eq, row, zero);
  Value before = arith::SelectOp::create(builder, loc, isFirst, row, arith::SubIOp::create(builder, loc, row, one));
  Value other = compare(arith::CmpIPredicate::ne, indexOf(builder, known, before), index);
  Value starts = arith::OrIOp::create(builder, loc, isFirst, other);
  return arith::AndIOp::create(builder, loc, starts, compare(arith::CmpIPredicate::sge, index, zero));
}

/// Whether `row` is one, and names `index`.
Value ScatterRuns::isOfRun(OpBuilder &builder, const IRMapping &known, Value row, Value index) {
  const auto count = static_cast<int64_t>(rows.getRows());
  Value last = constantI64(builder, loc, count - 1);
  Value inside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sle, row, last);
  Value named = indexOf(builder, known, arith::MinSIOp::create(builder, loc, row, last));
  Value same = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, named, index);
  return arith::AndIOp::create(builder, loc, inside, same);
}

/// What `row` adds.
Value ScatterRuns::valueAt(OpBuilder &builder, const IRMapping &known, Value row, const RowBody::Chunk &chunk) {
  IRMapping values = known;
  values.map(rows.getRow(), row);
  for (Operation *scalar : program.scalars(0))
    body.emitOp(builder, scalar, values, RowBody::Chunk());
  for (Operation *part : program.slice(0))
    if (part != op.getOperation())
      body.emitOp(builder, part, values, chunk);
  return values.lookupOrNull(op.getValue());
}

void ScatterRuns::emitRun(OpBuilder &builder, const IRMapping &known, Value row, Value index,
                          const RowBody::Chunk &chunk, int64_t underway) {
  Type element = cast<MemRefType>(op.getBuffer().getType()).getElementType();
  auto stored = VectorType::get({chunk.width}, element);
  auto wide = VectorType::get({chunk.width}, cast<RankedTensorType>(op.getValue().getType()).getElementType());
  IRMapping values = known;
  values.map(op.getIndex(), index);
  Value place = body.placeOf(builder, op, values, chunk), old = body.load(builder, stored, place, chunk);
  if (stored != wide)
    old = arith::ExtFOp::create(builder, loc, wide, old);
  Value first = valueAt(builder, known, row, chunk);
  if (body.hasFailed())
    return;
  Value sum = arith::AddFOp::create(builder, loc, old, first);
  Value second = arith::AddIOp::create(builder, loc, row, constantI64(builder, loc, 1));
  // Runs of one row, which are most of them, come no further than the condition. The loop is in place before its body
  // is made, as target::emitFor's.
  Type types[] = {second.getType(), wide};
  Location places[] = {loc, loc};
  auto more = scf::WhileOp::create(builder, loc, TypeRange(types), ValueRange{second, sum});
  OpBuilder before(builder.getContext()), after(builder.getContext());
  Block *condition = before.createBlock(&more.getBefore(), {}, types, places);
  Block *loop = after.createBlock(&more.getAfter(), {}, types, places);
  Value another = isOfRun(before, known, condition->getArgument(0), index);
  scf::ConditionOp::create(before, loc, another, condition->getArguments());

  Value next = loop->getArgument(0), total = loop->getArgument(1);
  // Behind the end of the run the first of these rows is loaded again, from the cache.
  SmallVector<Value> is{Value()}, numbers{next}, added;
  for (int64_t i = 1; i < underway; ++i) {
    Value number = arith::AddIOp::create(after, loc, next, constantI64(after, loc, i));
    is.push_back(isOfRun(after, known, number, index));
    numbers.push_back(arith::SelectOp::create(after, loc, is.back(), number, next));
  }
  for (Value number : numbers)
    added.push_back(valueAt(after, known, number, chunk));
  for (int64_t i = 0; i < underway && !body.hasFailed(); ++i) {
    Value with = arith::AddFOp::create(after, loc, total, added[i]);
    total = i ? arith::SelectOp::create(after, loc, is[i], with, total).getResult() : with;
  }
  next = arith::AddIOp::create(after, loc, next, constantI64(after, loc, underway));
  scf::YieldOp::create(after, loc, ValueRange{next, total});

  Value rounded = more.getResult(1);
  if (stored != wide)
    rounded = arith::TruncFOp::create(builder, loc, stored, rounded);
  body.store(builder, rounded, place, chunk);
}

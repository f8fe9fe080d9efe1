//===- RowProgram.cpp - The body of plan.rows in phases ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/RowProgram.h"

using namespace mlir;
using namespace ftc;
using target::RowProgram;

RowProgram::Kind RowProgram::classify(Operation *op) {
  if (isa<plan::ReduceOp>(op))
    return Kind::Reduce;
  bool row = false, effect = false;
  op->walk([&](Operation *inner) {
    auto isRow = [](Type type) { return isa<RankedTensorType>(type); };
    row |= llvm::any_of(inner->getOperandTypes(), isRow) || llvm::any_of(inner->getResultTypes(), isRow);
    effect |= isa<plan::StoreOp, plan::AccumulateOp, plan::ScatterOp>(inner);
  });
  if (row)
    return effect ? Kind::RowEffect : Kind::Row;
  return effect ? Kind::ScalarEffect : Kind::Scalar;
}

int RowProgram::phaseOf(Operation *op, const llvm::DenseMap<Value, int> &known) const {
  int phase = 0;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      phase = std::max(phase, known.lookup(operand));
  });
  return phase;
}

RowProgram::RowProgram(plan::RowsOp rows) {
  llvm::DenseMap<Value, int> known;
  llvm::DenseSet<Value> varying{rows.getRow()};
  // Rows that run in order may read what an earlier row stored, so there a load does not move.
  bool loadsMove = rows.getOrder() == plan::RowOrder::Parallel;

  SmallVector<Operation *> ops;
  for (Operation &op : rows->getBlock()->without_terminator())
    if (&op != rows.getOperation())
      ops.push_back(&op);
  for (Operation &op : rows.getBody().front())
    ops.push_back(&op);

  for (Operation *op : ops) {
    Kind kind = classify(op);
    int phase = phaseOf(op, known);
    items.push_back({op, kind, phase});
    for (Value result : op->getResults())
      known[result] = phase + (kind == Kind::Reduce ? 1 : 0);

    bool moves = kind == Kind::Scalar && phase == 0;
    op->walk([&](Operation *inner) {
      moves &= loadsMove || !isa<plan::LoadOp>(inner);
      for (Value operand : inner->getOperands())
        moves &= !varying.contains(operand);
    });
    if (moves) {
      invariant.push_back(op);
      isInvariant.insert(op);
    } else {
      varying.insert(op->result_begin(), op->result_end());
    }
    if (kind == Kind::ScalarEffect)
      effects.push_back(op);

    // The loop that stores is not before any that reads, reductions included.
    bool reads = false;
    op->walk([&](plan::LoadOp) { reads = true; });
    if (kind == Kind::RowEffect || kind == Kind::Reduce || (kind == Kind::Scalar && reads))
      lastPhase = std::max(lastPhase, phase);
  }
}

SmallVector<Operation *> RowProgram::scalars(int phase) const {
  SmallVector<Operation *> found;
  for (const Item &item : items)
    if (item.kind == Kind::Scalar && !isInvariant.contains(item.op) &&
        (item.phase == phase || (phase > lastPhase && item.phase > lastPhase)))
      found.push_back(item.op);
  return found;
}

SmallVector<plan::ReduceOp> RowProgram::reductions(int phase) const {
  SmallVector<plan::ReduceOp> found;
  for (const Item &item : items)
    if (item.kind == Kind::Reduce && item.phase == phase)
      found.push_back(cast<plan::ReduceOp>(item.op));
  return found;
}

SmallVector<Operation *> RowProgram::slice(int phase) const {
  llvm::DenseSet<Value> needed;
  auto need = [&](Operation *op) {
    op->walk([&](Operation *inner) { needed.insert(inner->operand_begin(), inner->operand_end()); });
  };
  for (plan::ReduceOp reduce : reductions(phase))
    need(reduce);
  SmallVector<Operation *> found;
  for (const Item &item : llvm::reverse(items)) {
    bool target = item.kind == Kind::RowEffect && phase == lastPhase;
    bool wanted = item.kind == Kind::Row &&
                  llvm::any_of(item.op->getResults(), [&](Value result) { return needed.contains(result); });
    if (!target && !wanted)
      continue;
    need(item.op);
    found.push_back(item.op);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

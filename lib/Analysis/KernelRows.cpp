//===- KernelRows.cpp - Which rows of its buffers a kernel touches --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/KernelRows.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

bool ftc::readsOldContent(plan::KernelOp kernel, unsigned index) {
  return llvm::any_of(kernel.getBuffers()[index].getUses(), [](OpOperand &use) {
    unsigned number = use.getOperandNumber();
    return llvm::TypeSwitch<Operation *, bool>(use.getOwner())
        .Case<plan::LoadOp, plan::ScatterOp>([](auto) { return true; })
        .Case([&](plan::MatmulOp op) { return number != 2 && use.get() != op.getScratch(); })
        .Case([&](plan::AttentionOp) { return number < 4; })
        .Case([&](plan::AttentionGradOp) { return number < 7; })
        .Default(false);
  });
}

/// The indices of a load or store; nullopt for other ops.
static std::optional<ValueRange> indicesOf(Operation *op) {
  if (auto load = dyn_cast<plan::LoadOp>(op))
    return load.getIndices();
  if (auto store = dyn_cast<plan::StoreOp>(op))
    return store.getIndices();
  return std::nullopt;
}

std::optional<SmallVector<bool>> ftc::rowsInParts(plan::KernelOp kernel) {
  auto rows = dyn_cast<plan::RowsOp>(kernel.getWork());
  if (!rows || rows.getOrder() != plan::RowOrder::Parallel)
    return std::nullopt;
  // The number of a row changes in a part: it may only say where the row is.
  for (OpOperand &use : rows.getRow().getUses()) {
    auto indices = indicesOf(use.getOwner());
    if (!indices || indices->front() != rows.getRow() || llvm::count(*indices, rows.getRow()) != 1)
      return std::nullopt;
  }
  SmallVector<bool> parts;
  for (BlockArgument argument : kernel.getBuffers()) {
    auto type = cast<MemRefType>(argument.getType());
    bool byRow = false, whole = false;
    for (Operation *user : argument.getUsers()) {
      auto indices = indicesOf(user);
      if (!indices)
        return std::nullopt;
      bool own = !indices->empty() && indices->front() == rows.getRow();
      (own ? byRow : whole) = true;
      if (!own && isa<plan::StoreOp>(user))
        return std::nullopt;
    }
    if (byRow && (whole || type.getDimSize(0) != static_cast<int64_t>(rows.getRows())))
      return std::nullopt;
    parts.push_back(byRow);
  }
  return parts;
}

//===- SquareSums.cpp - The norm of all gradients, from train to plan -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Clipping chains a train.sum_squares for each parameter, onto the sum of those before it. Nobody wants the sums
// between: all partial sums of a chain go into one buffer, in the chain's order, and the last launch adds them up at
// once. One launch for each parameter, of one warp, waiting for the one before it, would take a GPU of a model with 290
// parameters half a millisecond.
//
// A chain starts from a constant. Whatever else is wanted of it, or does not follow it in a straight line, ends it.
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

using namespace mlir;
using namespace ftc;

/// What the values of a group are outside of it: of an argument the operand, of a value that is only yielded, once, the
/// result. Null for other values of a group.
static Value outsideOfGroup(Value value) {
  auto group = dyn_cast<train::FusedOp>(value.getParentBlock()->getParentOp());
  if (!group)
    return value;
  if (auto argument = dyn_cast<BlockArgument>(value))
    return group.getInputs()[argument.getArgNumber()];
  if (!value.hasOneUse() || value.use_begin()->getOwner() != group.getBody().front().getTerminator())
    return {};
  return group->getResult(value.use_begin()->getOperandNumber());
}

/// The sum that is added onto `sum`, and onto nothing else that wants it; null if there is none.
static train::SumSquaresOp nextOf(train::SumSquaresOp sum) {
  Value result = outsideOfGroup(sum.getResult());
  if (!result || !result.hasOneUse())
    return {};
  OpOperand *use = &*result.use_begin();
  if (auto group = dyn_cast<train::FusedOp>(use->getOwner())) {
    BlockArgument argument = group.getBody().front().getArgument(use->getOperandNumber());
    if (!argument.hasOneUse())
      return {};
    use = &*argument.use_begin();
  }
  auto next = dyn_cast<train::SumSquaresOp>(use->getOwner());
  bool isLink = next && use->get() == next.getBase() && use->get() != next.getInput() &&
                computeType(elementOf(next.getInput())) == computeType(elementOf(sum.getInput()));
  return isLink ? next : train::SumSquaresOp();
}

void EntryConverter::findSquareSums() {
  llvm::DenseSet<Operation *> chained;
  source.getBody().walk([&](train::SumSquaresOp first) {
    if (chained.contains(first) || !outsideOfGroup(first.getBase()))
      return;
    auto start = outsideOfGroup(first.getBase()).getDefiningOp<train::ConstantOp>();
    if (!start)
      return;
    SmallVector<train::SumSquaresOp> chain{first};
    while (train::SumSquaresOp next = nextOf(chain.back()))
      chain.push_back(next);
    if (chain.size() == 1)
      return;
    auto sums = std::make_shared<SquareSums>();
    sums->base.constant = start.getValue();
    for (train::SumSquaresOp sum : chain) {
      Operation *launched = sum->getParentOp() == source.getOperation() ? sum.getOperation() : sum->getParentOp();
      chained.insert(sum);
      squareSums[sum] = {sums, sums->count};
      sums->count += tasksOf(launched);
      if (sum != chain.back())
        unwantedSums.insert(outsideOfGroup(sum.getResult()));
    }
  });
}

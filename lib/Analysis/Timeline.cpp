//===- Timeline.cpp - When the ops of an entry run ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Timeline.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/KernelGroups.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

bool ftc::isMarkedBackward(Operation *op) {
  if (auto group = dyn_cast<FusedOp>(op))
    return llvm::any_of(group.getBody().front(), [](Operation &inner) { return isMarkedBackward(&inner); });
  return op->hasAttr(TrainDialect::backwardAttrName);
}

llvm::DenseSet<Operation *> ftc::backwardOps(Block &block) {
  llvm::DenseSet<Operation *> backward;
  for (Operation &op : block) {
    bool is = isMarkedBackward(&op);
    for (Value operand : op.getOperands())
      is |= operand.getDefiningOp() && backward.contains(operand.getDefiningOp());
    // What an entry returns stays to the end of it anyway.
    if (is && !op.hasTrait<OpTrait::IsTerminator>())
      backward.insert(&op);
  }
  return backward;
}

Timeline::Timeline(Block &block, const LinkModel &device, bool willGroup) {
  llvm::DenseMap<Operation *, double> spared;
  if (willGroup)
    for (const KernelGroup &group : findKernelGroups(block).groups) {
      double left = static_cast<double>(group.bytesSaved) / device.nearBytesPerSecond;
      for (Operation *op : group.ops) {
        spared[op] = std::min(left, secondsOf(op, device));
        left -= spared[op];
      }
    }
  double now = 0;
  for (Operation &op : block) {
    numbers[&op] = size();
    ops.push_back(&op);
    starts.push_back(now);
    now += secondsOf(&op, device) - spared.lookup(&op);
  }
  starts.push_back(now);
}

std::string ftc::whyNear(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || isa<ReadOp, SliceRowsOp, OffloadOp>(op) || op->hasTrait<OpTrait::ConstantLike>())
    return "it is a variable, an input, a constant or a part of another value";
  if (llvm::any_of(value.getUsers(), [](Operation *user) { return isa<ReturnOp, WriteOp>(user); }))
    return "the entry returns it or writes it to a variable";
  if (llvm::any_of(value.getUsers(), [](Operation *user) { return isa<ConcatRowsOp>(user); }))
    return "it is part of a larger value";
  return {};
}

int64_t ftc::bytesOf(Value value) {
  if (isa<FarType>(value.getType()))
    return 0;
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
}

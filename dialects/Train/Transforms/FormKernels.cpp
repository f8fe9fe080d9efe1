//===- FormKernels.cpp - Groups row-wise ops into kernels --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Analysis/KernelGroups.h decides; this file moves ops.
//
// Assumes: ops of an entry are pure but for train.read, train.write, train.update and train.loss, whose places do not
// matter as long as values are defined before (train.read gives the value at the start of the entry).
//
// Promises: the same ops with the same operands; no value changes in any bit. Ops keep their order as far as
// dependences allow: a group stands where its last op stood, and what reads its results moves behind it.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/KernelGroups.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_FORMKERNELSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("kernel").category("train-form-kernels");

/// Moves every op between the first and the last of the group that depends on the group behind the last.
void moveDependentsBehind(ArrayRef<Operation *> group) {
  llvm::SmallPtrSet<Operation *, 16> grouped(group.begin(), group.end()), dependent(group.begin(), group.end());
  Operation *end = group.back();
  for (Operation *op = group.front(); op != group.back();) {
    Operation *next = op->getNextNode();
    bool depends = llvm::any_of(op->getOperands(), [&](Value operand) {
      Operation *producer = operand.getDefiningOp();
      return producer && dependent.contains(producer);
    });
    if (depends && !grouped.contains(op)) {
      dependent.insert(op);
      op->moveAfter(end);
      end = op;
    }
    op = next;
  }
}

FusedOp fuse(SmallVector<Operation *> group) {
  // Groups made before may have moved some of the ops.
  llvm::sort(group, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  moveDependentsBehind(group);
  llvm::SmallPtrSet<Operation *, 16> grouped(group.begin(), group.end());
  auto isOutside = [&](Operation *user) { return !grouped.contains(user); };
  llvm::SetVector<Value> inputs, outputs;
  SmallVector<Location> locations;
  for (Operation *op : group) {
    locations.push_back(op->getLoc());
    for (Value operand : op->getOperands())
      if (!operand.getDefiningOp() || isOutside(operand.getDefiningOp()))
        inputs.insert(operand);
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), isOutside))
        outputs.insert(result);
  }

  SmallVector<Value> yielded = llvm::to_vector(outputs);
  OpBuilder builder(group.back());
  Location loc = builder.getFusedLoc(locations);
  auto types = [](ArrayRef<Value> values) { return llvm::to_vector(ValueRange(values).getTypes()); };
  auto fused = FusedOp::create(builder, loc, types(yielded), inputs.getArrayRef());
  Block &body = fused.getBody().emplaceBlock();
  for (Value input : inputs)
    body.addArgument(input.getType(), input.getLoc());
  for (auto [output, result] : llvm::zip(yielded, fused.getOutputs()))
    output.replaceUsesWithIf(result, [&](OpOperand &use) { return isOutside(use.getOwner()); });
  for (Operation *op : group) {
    op->moveBefore(&body, body.end());
    for (OpOperand &operand : op->getOpOperands())
      if (auto input = llvm::find(inputs, operand.get()); input != inputs.end())
        operand.set(body.getArgument(input - inputs.begin()));
  }
  builder.setInsertionPointToEnd(&body);
  YieldOp::create(builder, loc, yielded);
  return fused;
}

/// "train.rms_norm_grad, 3 x train.add": each name once, in the order in which they come up.
std::string namesOf(ArrayRef<Operation *> ops) {
  llvm::MapVector<StringRef, size_t> counts;
  for (Operation *op : ops)
    ++counts[op->getName().getStringRef()];
  std::string names;
  for (auto [name, count] : counts)
    names += (names.empty() ? "" : ", ") + (count > 1 ? std::to_string(count) + " x " : "") + name.str();
  return names;
}

struct FormKernelsPass : impl::FormKernelsPassBase<FormKernelsPass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<EntryOp>()) {
      KernelGroups found = findKernelGroups(entry.getBody().front());
      for (const KernelBoundary &boundary : found.boundaries)
        remark::missed(boundary.consumer->getLoc(), remarkOpts)
            << remark::add("{0} does not join {1}: {2}", boundary.consumer->getName().getStringRef().str(),
                           boundary.producer->getName().getStringRef().str(), boundary.reason);
      for (const KernelGroup &group : found.groups) {
        std::string names = namesOf(group.ops);
        FusedOp fused = fuse(group.ops);
        remark::passed(fused.getLoc(), remarkOpts)
            << remark::add("one kernel of {0}", names) << remark::metric("traffic_saved", group.bytesSaved);
      }
    }
  }
};

} // namespace
} // namespace ftc::train

//===- FuseUpdates.cpp - Updates among the gradients -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A gradient lives from the op that makes it to its update (Lv et al. 2023, "Full Parameter Fine-tuning for Large
// Language Models with Limited Resources"), so where updates stand decides how many gradients are alive at once. Under
// clipping by global norm every update waits for every gradient; a second backward pass pays for that with time instead
// of memory.
//
// Assumes: train-differentiate marked the backward graph, train-clip-gradients ran, optimizers are not lowered. Reads
// give values of the entry's start, so an update may stand in front of later reads of its variable.
//
// Promises: no value changes in any bit. The second pass copies every op between forward values and gradients, each
// once, in order; the first pass only loses the updates. What the copies read of the forward graph was kept for the
// first pass, but for what train-chunk-loss makes chunk by chunk: that is made again, except for statistics of rows.
//
// Refuses: two passes where gradients are summed over micro-batches, since an accumulator changes in between; ops with
// effects between a forward value and a gradient; updates scaled by something other than a clipping factor.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/Costs.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_FUSEUPDATESPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("update").category("train-fuse-updates");

int64_t bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
}

/// Moves `op` right behind the last of its operands' definitions, and of `others`.
void moveBehindOperands(Operation *op, ArrayRef<Operation *> others = {}) {
  SmallVector<Operation *> before(others);
  for (Value operand : op->getOperands())
    if (Operation *producer = operand.getDefiningOp())
      before.push_back(producer);
  Operation *last = nullptr;
  for (Operation *other : before)
    if (!last || last->isBeforeInBlock(other))
      last = other;
  if (last)
    op->moveAfter(last);
}

/// The backward graph of an entry, to be copied behind the clipping factor.
class SecondPass {
public:
  SecondPass(Block &block, ClipFactorOp factor) : block(block), factor(factor), builder(block.getParentOp()) {}

  /// Fails, with an error, where an op cannot happen twice.
  LogicalResult find(ArrayRef<UpdateOp> updates) {
    llvm::DenseSet<Operation *> again; // what may have to be copied
    for (Operation &op : block) {
      auto dependsOn = [&](auto isIt) {
        return llvm::any_of(op.getOperands(), [&](Value operand) {
          Operation *producer = operand.getDefiningOp();
          return producer && isIt(producer);
        });
      };
      bool backward = op.hasAttr(TrainDialect::backwardAttrName) ||
                      dependsOn([&](Operation *producer) { return gradients.contains(producer); });
      bool ofChunk = isa<SliceRowsOp>(op) || dependsOn([&](Operation *producer) { return chunks.contains(producer); });
      if (backward)
        gradients.insert(&op);
      // Statistics of rows are kept: they are small, and the losses with them would be computed twice.
      else if (ofChunk && !isa<CrossEntropyOp, DistillationLossOp, LabelLogProbsOp>(op))
        chunks.insert(&op);
      if (backward || chunks.contains(&op))
        again.insert(&op);
    }
    llvm::DenseSet<Operation *> needed;
    for (UpdateOp update : updates)
      if (Operation *producer = update.getGradient().getDefiningOp())
        needed.insert(producer);
    for (Operation &op : llvm::reverse(block)) {
      if (!needed.contains(&op) || !again.contains(&op))
        continue;
      if (!isMemoryEffectFree(&op))
        return op.emitOpError("leads to a gradient but has effects that must not happen twice");
      ops.push_back(&op);
      for (Value operand : op.getOperands())
        if (Operation *producer = operand.getDefiningOp())
          needed.insert(producer);
    }
    std::reverse(ops.begin(), ops.end());
    return success();
  }

  /// Copies the graph behind the factor.
  void copy() {
    builder.setInsertionPointAfter(factor);
    for (Operation *op : ops) {
      flops += flopsOf(op);
      bool waits = llvm::any_of(op->getOperands(), [&](Value operand) { return copies.contains(operand); });
      IRMapping mapping = copies;
      // One operand that waits is enough to keep a copy behind the factor, and apart from the original.
      if (!waits && op->getNumOperands() > 0)
        mapping.map(op->getOperand(0), DelayOp::create(builder, op->getLoc(), op->getOperand(0), factor.getFactor()));
      Operation *copy = builder.clone(*op, mapping);
      copy->setAttr(TrainDialect::recomputeAttrName, builder.getUnitAttr());
      copy->setAttr(TrainDialect::backwardAttrName, builder.getUnitAttr());
      copy->removeAttr(TrainDialect::layerAttrName);
      for (auto [result, again] : llvm::zip(op->getResults(), copy->getResults()))
        copies.map(result, again);
    }
  }

  Value copyOf(Value value) const { return copies.lookupOrNull(value); }
  double getFlops() const { return flops; }

private:
  Block &block;
  ClipFactorOp factor;
  OpBuilder builder;
  llvm::DenseSet<Operation *> gradients, chunks;
  std::vector<Operation *> ops; ///< in the block's order
  IRMapping copies;
  double flops = 0;
};

/// The updates of one entry.
class Placement {
public:
  Placement(EntryOp entry, UpdatePlacement placement)
      : entry(entry), block(entry.getBody().front()), placement(placement), updates(block.getOps<UpdateOp>()) {}

  LogicalResult run() {
    if (placement == UpdatePlacement::End)
      return holdAll(), success();
    // Squares are summed where a gradient is made, not where all of them are there.
    for (auto squares : llvm::make_early_inc_range(block.getOps<SumSquaresOp>()))
      moveBehindOperands(squares);
    SmallVector<UpdateOp> scaled;
    for (UpdateOp update : updates) {
      if (update.getScale())
        scaled.push_back(update);
      else
        follow(update);
    }
    if (placement == UpdatePlacement::TwoPasses)
      return runTwice(scaled);
    for (UpdateOp update : scaled)
      tell(update, false, "a gradient is held: clipping needs the norm of all gradients before the first update");
    return success();
  }

private:
  void tell(UpdateOp update, bool fused, StringRef what) {
    if (fused)
      remark::passed(update.getLoc(), remarkOpts)
          << remark::add("{0}", what.str()) << remark::metric("bytes_saved", bytesOf(update.getGradient()));
    else
      remark::missed(update.getLoc(), remarkOpts)
          << remark::add("{0}", what.str()) << remark::metric("bytes", bytesOf(update.getGradient()));
  }

  /// Moves `update` behind its gradient, and behind whoever reads the variable: then its new value can take the old
  /// one's place.
  void moveUpdate(UpdateOp update) {
    SmallVector<Operation *> readers;
    for (auto read : block.getOps<ReadOp>())
      if (read.getVariableAttr() == update.getVariableAttr())
        llvm::append_range(readers, read->getUsers());
    for (size_t i = 0; i < readers.size(); ++i) // a slice of the variable is the variable's memory
      if (isa<SliceRowsOp, DelayOp>(readers[i]))
        llvm::append_range(readers, readers[i]->getUsers());
    llvm::erase_if(readers, [](Operation *reader) { return isa<UpdateOp, ReturnOp>(reader); });
    moveBehindOperands(update, readers);
  }

  void follow(UpdateOp update) {
    moveUpdate(update);
    tell(update, true, "an update follows its gradient, which need not be held");
  }

  void holdAll() {
    for (UpdateOp update : updates) {
      update->moveBefore(block.getTerminator());
      tell(update, false, "a gradient is held to the end of the step, as the recipe asks");
    }
  }

  LogicalResult runTwice(ArrayRef<UpdateOp> scaled) {
    if (scaled.empty())
      return success();
    UpdateOp first = scaled.front();
    auto factor = first.getScale().getDefiningOp<ClipFactorOp>();
    for (UpdateOp update : scaled)
      if (!factor || update.getScale() != factor.getFactor())
        return update.emitOpError("is not scaled by the one factor of train.clip_factor that two passes need");
    if (auto sums = block.getOps<AccumulateOp>(); !sums.empty())
      return (*sums.begin()).emitOpError("changes an accumulator, so that the backward graph cannot run twice");
    SecondPass second(block, factor);
    if (failed(second.find(scaled)))
      return failure();
    second.copy();
    int64_t largest = 0, all = 0;
    for (UpdateOp update : scaled) {
      largest = std::max(largest, bytesOf(update.getGradient()));
      all += bytesOf(update.getGradient());
      if (Value again = second.copyOf(update.getGradient()))
        update.getGradientMutable().assign(again);
      moveUpdate(update);
      remark::analysis(update.getLoc(), remarkOpts)
          << remark::add("a gradient is made for the norm, dropped, and made again for its update")
          << remark::metric("bytes", bytesOf(update.getGradient()));
    }
    remark::passed(factor.getLoc(), remarkOpts)
        << remark::add("the backward pass runs twice, so that clipping holds no gradient")
        << remark::metric("bytes_saved", all - largest)
        << remark::metric("flops", static_cast<int64_t>(second.getFlops()));
    return success();
  }

  EntryOp entry;
  Block &block;
  UpdatePlacement placement;
  SmallVector<UpdateOp> updates;
};

struct FuseUpdatesPass : impl::FuseUpdatesPassBase<FuseUpdatesPass> {
  void runOnOperation() override {
    auto updates = getOperation()->getAttrOfType<UpdatesAttr>(TrainDialect::updatesAttrName);
    if (!updates)
      return markAllAnalysesPreserved();
    for (auto entry : getOperation().getOps<EntryOp>())
      if (failed(Placement(entry, updates.getPlacement()).run()))
        return signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train

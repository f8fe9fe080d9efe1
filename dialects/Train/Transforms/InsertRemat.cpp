//===- InsertRemat.cpp - Activations computed again in backward --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Analysis/Remat.h and, within a budget, RematBudget.h decide; this file copies ops (Chen et al. 2016, "Training Deep
// Nets with Sublinear Memory Cost").
//
// Within a budget and with `train.offload_activations`, some values leave for the far tier instead. When they are
// copied is seen once kernels are formed; so they are marked here (`train.away`), for train-offload-activations.
//
// Assumes: a differentiated entry, whose forward ops have `train.layer` and whose backward ops `train.backward`.
//
// Promises: forward ops are untouched; backward ops read copies of the same ops on the same values, so no bit changes.
// Every copy depends on a gradient, directly through train.delay or through another copy.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "dialects/Train/Transforms/RematBudget.h"
#include "ftc/Analysis/Offload.h"
#include "ftc/Analysis/Remat.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

#include <limits>

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_INSERTREMATPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("remat").category("train-insert-remat");

class Copier {
public:
  explicit Copier(MLIRContext *context) : builder(context) {}

  void copy(const Recomputation &choice) {
    builder.setInsertionPoint(choice.before);
    IRMapping mapping;
    bool waits = false;
    for (Value operand : choice.op->getOperands()) {
      Operation *producer = operand.getDefiningOp();
      if (Value again = copies.lookup(operand)) {
        mapping.map(operand, again);
        waits = true;
      } else if (producer && !isa<ReadOp>(producer) && !producer->hasTrait<OpTrait::ConstantLike>()) {
        mapping.map(operand, delayed(operand, choice.until));
        waits = true;
      }
    }
    // An op of inputs and variables alone has to wait as well.
    if (!waits && choice.op->getNumOperands() > 0)
      mapping.map(choice.op->getOperand(0), delayed(choice.op->getOperand(0), choice.until));
    Operation *copy = builder.clone(*choice.op, mapping);
    copy->removeAttr(TrainDialect::layerAttrName);
    copy->removeAttr(TrainDialect::awayAttrName);
    copy->setAttr(TrainDialect::recomputeAttrName, builder.getUnitAttr());
    if (auto named = dyn_cast<NameLoc>(copy->getLoc()))
      copy->setLoc(NameLoc::get(builder.getStringAttr(named.getName().getValue() + " again"), named.getChildLoc()));
    for (auto [result, again] : llvm::zip(choice.op->getResults(), copy->getResults()))
      copies[result] = again;
  }

  Value copyOf(Value value) const { return copies.lookup(value); }

private:
  Value delayed(Value value, Value until) {
    Value &result = delays[{value, until}];
    if (!result)
      result = DelayOp::create(builder, value.getLoc(), value, until);
    return result;
  }

  OpBuilder builder;
  DenseMap<Value, Value> copies;
  DenseMap<std::pair<Value, Value>, Value> delays;
};

std::string nameOf(Operation *op) { return op->getName().getStringRef().str(); }

void tell(EntryOp entry, const RematWithinBudget &budget) {
  auto microseconds = [](double seconds) { return static_cast<int64_t>(seconds * 1e6); };
  if (!budget.away.empty()) {
    remark::passed(entry.getLoc(), remarkOpts)
        << remark::add("what is computed again and what leaves for the far tier is what costs least within the budget")
        << remark::metric("bytes_saved", budget.allBytes - budget.keptBytes)
        << remark::metric("kept_bytes", budget.keptBytes) << remark::metric("far_bytes", budget.farBytes)
        << remark::metric("recompute_microseconds", microseconds(budget.seconds))
        << remark::metric("copy_microseconds", microseconds(budget.copySeconds))
        << remark::metric("stall_microseconds", microseconds(budget.stallSeconds))
        << remark::metric("bound_microseconds", microseconds(budget.bound));
    return;
  }
  if (budget.again.empty()) {
    remark::missed(entry.getLoc(), remarkOpts)
        << remark::add("nothing is computed again: all that the backward pass reads is within the budget")
        << remark::metric("bytes", budget.keptBytes);
    return;
  }
  remark::passed(entry.getLoc(), remarkOpts)
      << remark::add("what is computed again is what costs least within the budget")
      << remark::metric("bytes_saved", budget.allBytes - budget.keptBytes)
      << remark::metric("kept_bytes", budget.keptBytes)
      << remark::metric("recompute_microseconds", microseconds(budget.seconds))
      << remark::metric("bound_microseconds", microseconds(budget.bound));
}

struct InsertRematPass : impl::InsertRematPassBase<InsertRematPass> {
  void runOnOperation() override {
    auto remat = getOperation()->getAttrOfType<RematAttr>(TrainDialect::rematAttrName);
    // Without it nothing is asked for; what is fake-quantized of a variable is computed again still.
    if (!remat && !getOperation()->hasAttr(TrainDialect::fakeQuantizeAttrName))
      return markAllAnalysesPreserved();
    const RematMode mode = remat ? remat.getMode() : RematMode::Selective;
    const int64_t every = remat ? remat.getEvery() : std::numeric_limits<int64_t>::max();
    LinkModel device = LinkModel::of(getOperation());
    bool mayOffload = getOperation()->hasAttr(TrainDialect::offloadAttrName);
    for (auto entry : getOperation().getOps<EntryOp>()) {
      std::optional<RematWithinBudget> budget;
      RematChoice choice = chooseRemat(entry.getBody().front(), mode, every, [&](ArrayRef<RematCandidate> candidates) {
        budget = chooseWithinBudget(candidates, remat.getBytes(), device, mayOffload);
        return budget->again;
      });
      if (budget && budget->allBytes > 0)
        tell(entry, *budget);
      Copier copier(&getContext());
      for (const Recomputation &recomputation : choice.recomputed) {
        copier.copy(recomputation);
        remark::passed(recomputation.op->getLoc(), remarkOpts)
            << remark::add("{0} is computed again", nameOf(recomputation.op))
            << remark::metric("bytes_saved", recomputation.bytesFreed)
            << remark::metric("flops", static_cast<int64_t>(recomputation.flops));
      }
      for (const Recomputation &recomputation : choice.recomputed)
        for (Value result : recomputation.op->getResults())
          result.replaceUsesWithIf(copier.copyOf(result),
                                   [&](OpOperand &use) { return choice.backward.contains(use.getOwner()); });
      if (budget)
        for (Value value : budget->away)
          askAway(value);
      for (const KeptActivation &kept : choice.kept) {
        if (budget && budget->away.contains(kept.value))
          continue; // train-offload-activations tells of it
        remark::missed(kept.value.getLoc(), remarkOpts)
            << remark::add("a result of {0} is kept: {1}", nameOf(kept.value.getDefiningOp()), kept.reason)
            << remark::metric("bytes", kept.bytes) << remark::metric("flops", static_cast<int64_t>(kept.flops));
      }
    }
  }
};

} // namespace
} // namespace ftc::train

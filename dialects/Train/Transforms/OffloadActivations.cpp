//===- OffloadActivations.cpp - Activations away and back --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Activation offloading (torchtune's `enable_activation_offloading`; Rhu et al. 2016, "vDNN"). Analysis/Offload.h
// decides; this file inserts ops.
//
// Assumes: a differentiated entry whose ops stand in the order of their launches: train-form-kernels ran.
//
// Without a budget, what the link hides leaves. Within one (`train.remat`), train-insert-remat has chosen and marked
// what leaves, and this pass only finds the times.
//
// Promises: forward ops are untouched; backward ops read the same values, some by way of the far tier. Every
// train.prefetch waits for a gradient.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Analysis/Offload.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_OFFLOADACTIVATIONSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("offload").category("train-offload-activations");

std::string nameOf(Value value) { return value.getDefiningOp()->getName().getStringRef().str(); }

struct OffloadActivationsPass : impl::OffloadActivationsPassBase<OffloadActivationsPass> {
  using OffloadActivationsPassBase::OffloadActivationsPassBase;

  void runOnOperation() override {
    if (!getOperation()->hasAttr(TrainDialect::offloadAttrName))
      return markAllAnalysesPreserved();
    LinkModel link = LinkModel::of(getOperation());
    if (linkRate > 0)
      link.linkBytesPerSecond = linkRate;
    auto remat = getOperation()->getAttrOfType<RematAttr>(TrainDialect::rematAttrName);
    bool withinBudget = remat && remat.getMode() == RematMode::Budget;
    OpBuilder builder(&getContext());
    for (auto entry : getOperation().getOps<EntryOp>()) {
      if (!entry.getBody().front().getOps<OffloadOp>().empty())
        continue; // done before
      OffloadChoice choice =
          withinBudget ? scheduleOffload(entry.getBody().front(), link) : chooseOffload(entry.getBody().front(), link);
      int64_t bytes = 0;
      for (Offload &offload : choice.offloaded) {
        Location loc = offload.value.getLoc();
        builder.setInsertionPointAfterValue(offload.value);
        auto away = OffloadOp::create(builder, loc, offload.value, withinBudget);
        bytes += offload.bytes;
        builder.setInsertionPoint(offload.before);
        auto back = PrefetchOp::create(builder, loc, offload.value.getType(), away.getResult(), offload.until);
        offload.value.replaceUsesWithIf(back.getResult(),
                                        [&](OpOperand &use) { return choice.backward.contains(use.getOwner()); });
        remark::passed(loc, remarkOpts) << remark::add("a result of {0} goes to the far tier", nameOf(offload.value))
                                        << remark::metric("bytes_saved", offload.bytes)
                                        << remark::metric("microseconds", link.copyMicroseconds(offload.bytes));
      }
      if (withinBudget && bytes > 0)
        remark::analysis(entry.getLoc(), remarkOpts)
            << remark::add("waits for the link, by the time that is reserved for copies")
            << remark::metric("bytes", bytes)
            << remark::metric("stall_microseconds", static_cast<int64_t>(choice.stallSeconds * 1e6));
      for (const KeptNear &kept : choice.kept)
        remark::missed(kept.value.getLoc(), remarkOpts)
            << remark::add("a result of {0} stays near: {1}", nameOf(kept.value), kept.reason)
            << remark::metric("bytes", kept.bytes) << remark::metric("microseconds", link.copyMicroseconds(kept.bytes));
    }
  }
};

} // namespace
} // namespace ftc::train

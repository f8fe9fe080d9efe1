//===- SplitLaunches.cpp - Each launch becomes an entry of its own -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two targets that compute one plan can be compared launch by launch, each from the same bytes, when a host can call
// each launch alone (ftrun --against).
//
// Assumes: buffers have their places.
//
// Promises: called in their order, the entries made of one do to memory what that one did. A copy of the far tier is
// over when its entry is; it begins where it did, when nobody writes its source or uses its target any more, so nothing
// that waited for it later can tell. Kernels, slabs and variables stay as they are.
//
// Refuses: buffers without a place, which would not be the same one in two entries.
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANSPLITLAUNCHESPASS
#include "dialects/Plan/Transforms/Passes.h.inc"

namespace {

/// Clones what declares `buffer` in front of what `builder` adds next, once for each map.
void declare(OpBuilder &builder, IRMapping &map, Value buffer) {
  if (map.contains(buffer))
    return;
  if (auto slice = buffer.getDefiningOp<SliceOp>())
    declare(builder, map, slice.getSource());
  builder.clone(*buffer.getDefiningOp(), map);
}

struct PlanSplitLaunchesPass : impl::PlanSplitLaunchesPassBase<PlanSplitLaunchesPass> {
  void runOnOperation() override {
    for (auto entry : llvm::to_vector(getOperation().getOps<EntryOp>())) {
      for (auto alloc : entry.getBody().front().getOps<AllocOp>()) {
        alloc.emitOpError("has no place in a slab; run plan-assign-offsets first");
        return signalPassFailure();
      }
      if (entry->hasAttr(partOfAttrName))
        continue; // is one already
      int64_t count = split(entry);
      remark::passed(entry.getLoc(), remark::RemarkOpts::name("split-launches").category("plan-split-launches"))
          << remark::add("launches and copies of {0} are entries of their own", entry.getSymName())
          << remark::metric("entries", count);
      entry.erase();
    }
  }

  int64_t split(EntryOp entry) {
    int64_t count = 0;
    OpBuilder builder(entry);
    for (Operation &op : entry.getBody().front()) {
      if (!isa<LaunchOp, CopyInOp, CopyOutOp>(op))
        continue;
      builder.setInsertionPoint(entry);
      auto part = EntryOp::create(builder, op.getLoc(), (entry.getSymName() + "." + Twine(count++)).str(),
                                  entry.getKind(), entry.getBatch(), entry.getSequence(), APFloat(0.0));
      part->setAttr(partOfAttrName, entry.getSymNameAttr());
      builder.setInsertionPointToStart(&part.getBody().emplaceBlock());
      IRMapping map;
      for (Value buffer : op.getOperands())
        declare(builder, map, buffer);
      Operation *added = builder.clone(op, map);
      if (!isa<LaunchOp>(op))
        WaitOp::create(builder, op.getLoc(), added->getResult(0));
    }
    return count;
  }
};

} // namespace
} // namespace ftc::plan

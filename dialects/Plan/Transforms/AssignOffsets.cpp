//===- AssignOffsets.cpp - A slab and an offset for every buffer ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "ftc/Analysis/PlanMemory.h"
#include "ftc/Planning/Offsets.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANASSIGNOFFSETSPASS
#include "dialects/Plan/Transforms/Passes.h.inc"
} // namespace ftc::plan

namespace {
constexpr int64_t alignment = 64;
constexpr StringLiteral slabName = "near";

struct AssignOffsetsPass : ftc::plan::impl::PlanAssignOffsetsPassBase<AssignOffsetsPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto variables = llvm::to_vector(module.getOps<plan::VariableOp>());
    auto entries = llvm::to_vector(module.getOps<plan::EntryOp>());
    if (variables.empty() && entries.empty())
      return markAllAnalysesPreserved();
    if (auto old = module.lookupSymbol(slabName)) {
      old->emitError("is already in the module; plan-assign-offsets runs once, on buffers without a place");
      return signalPassFailure();
    }
    auto slab = FlatSymbolRefAttr::get(&getContext(), slabName);
    int64_t bytes = placeVariables(variables, slab);
    int64_t transient = 0;
    for (plan::EntryOp entry : entries)
      transient = std::max(transient, placeEntry(entry, slab, bytes));
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    plan::SlabOp::create(builder, module.getLoc(), slabName, bytes + transient, alignment);
    remark::passed(module.getLoc(), remark::RemarkOpts::name("slab").category("memory"))
        << remark::add("placed all buffers") << remark::metric("persistent_bytes", bytes)
        << remark::metric("transient_bytes", transient) << remark::metric("bytes", bytes + transient);
  }

  /// Parameters, then states, then constants, one after the other. Returns the bytes they take.
  int64_t placeVariables(ArrayRef<plan::VariableOp> variables, FlatSymbolRefAttr slab) {
    Builder builder(&getContext());
    int64_t next = 0;
    for (plan::Role role : {plan::Role::Parameter, plan::Role::State, plan::Role::Accumulator, plan::Role::Constant})
      for (plan::VariableOp variable : variables) {
        if (variable.getRole() != role)
          continue;
        variable.setSlabAttr(slab);
        variable.setOffsetAttr(builder.getI64IntegerAttr(next));
        remark::passed(variable.getLoc(), remark::RemarkOpts::name("place").category("memory"))
            << remark::add("variable {0}", variable.getSymName().str()) << remark::metric("offset", next)
            << remark::metric("bytes", plan::bytesOf(variable.getType()));
        next += llvm::alignTo(plan::bytesOf(variable.getType()), alignment);
      }
    return next;
  }

  /// Places the buffers of `entry` from `base` on. Returns the bytes they take.
  int64_t placeEntry(plan::EntryOp entry, FlatSymbolRefAttr slab, int64_t base) {
    PlanLiveness liveness(entry);
    SmallVector<LiveInterval> intervals;
    for (const LiveBuffer &buffer : liveness.buffers())
      intervals.push_back({buffer.bytes, buffer.first, buffer.last});
    OffsetAssignment places = assignOffsets(intervals, alignment);
    int64_t peakMoment = 0;
    liveBound(intervals, alignment, &peakMoment);

    OpBuilder builder(&getContext());
    for (auto [buffer, offset] : llvm::zip(liveness.buffers(), places.offsets)) {
      IntegerAttr place = builder.getI64IntegerAttr(base + offset);
      Operation *op = buffer.buffer.getDefiningOp();
      remark::passed(op->getLoc(), remark::RemarkOpts::name("place").category("memory"))
          << remark::add("{0}: {1}", entry.getSymName().str(), buffer.label) << remark::metric("offset", base + offset)
          << remark::metric("bytes", buffer.bytes) << remark::metric("first_launch", buffer.first)
          << remark::metric("last_launch", buffer.last);
      if (auto input = dyn_cast<plan::InputOp>(op)) {
        input.setSlabAttr(slab);
        input.setOffsetAttr(place);
        continue;
      }
      auto alloc = dyn_cast<plan::AllocOp>(op);
      if (!alloc)
        continue;
      if (alloc.getBuffer().use_empty()) {
        alloc.erase();
        continue;
      }
      builder.setInsertionPoint(alloc);
      auto view = plan::ViewOp::create(builder, alloc.getLoc(), alloc.getType(), slab, place, alloc.getLabelAttr());
      view->setDiscardableAttrs(alloc->getDiscardableAttrDictionary());
      alloc.getBuffer().replaceAllUsesWith(view.getBuffer());
      alloc.erase();
    }
    entry->setAttr("plan.transient_bytes", builder.getI64IntegerAttr(places.peak));
    entry->setAttr("plan.transient_bound", builder.getI64IntegerAttr(places.bound));
    entry->setAttr("plan.peak_launch", builder.getStringAttr(liveness.describe(peakMoment)));
    remark::analysis(entry.getLoc(), remark::RemarkOpts::name("peak").category("memory"))
        << remark::add("{0} peaks at {1}", entry.getSymName().str(), liveness.describe(peakMoment))
        << remark::metric("bytes", places.peak) << remark::metric("bound", places.bound)
        << remark::metric("launch", peakMoment);
    return places.peak;
  }
};
} // namespace

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
#include "ftc/Support/Parallel.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace ftc;

namespace ftc::plan {
#define GEN_PASS_DEF_PLANASSIGNOFFSETSPASS
#include "dialects/Plan/Transforms/Passes.h.inc"
} // namespace ftc::plan

namespace {
/// One of the two slabs while it grows: variables first, then the transient bytes of the entry that needs most.
struct Region {
  StringLiteral name;
  int64_t alignment;
  int64_t persistent = 0, transient = 0;
};

/// Buffers of an entry in one of the slabs, and where they lie in its transient part.
struct RegionPlaces {
  SmallVector<const LiveBuffer *> buffers;
  SmallVector<LiveInterval> intervals;
  OffsetAssignment assigned;
};

struct EntryPlaces {
  std::unique_ptr<PlanLiveness> liveness;
  RegionPlaces near, far;
};

struct AssignOffsetsPass : ftc::plan::impl::PlanAssignOffsetsPassBase<AssignOffsetsPass> {
  using PlanAssignOffsetsPassBase::PlanAssignOffsetsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto variables = llvm::to_vector(module.getOps<plan::VariableOp>());
    auto entries = llvm::to_vector(module.getOps<plan::EntryOp>());
    if (variables.empty() && entries.empty())
      return markAllAnalysesPreserved();
    if (!llvm::isPowerOf2_32(alignment)) {
      module.emitError("alignment must be a power of two, not ") << alignment.getValue();
      return signalPassFailure();
    }
    // A page of the file holds bytes of one buffer: writing one never makes the system read another.
    Region near{"near", alignment}, far{"far", 4096};
    for (const Region &region : {near, far})
      if (auto old = module.lookupSymbol(region.name)) {
        old->emitError("is already in the module; plan-assign-offsets runs once, on buffers without a place");
        return signalPassFailure();
      }
    for (Region *region : {&near, &far})
      placeVariables(variables, *region, region == &far);
    // Entries share nothing but where they begin: places are found for all of them at once, and written in their order.
    std::vector<EntryPlaces> found(entries.size());
    parallelFor(entries.size(), [&](size_t index) { found[index] = findPlaces(entries[index], near, far); });
    for (auto [entry, places] : llvm::zip(entries, found)) {
      placeEntry(entry, *places.liveness, places.near, near, /*isFar=*/false);
      placeEntry(entry, *places.liveness, places.far, far, /*isFar=*/true);
      eraseUnused(entry);
    }
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    for (const Region &region : {near, far}) {
      bool isFar = region.name == far.name;
      int64_t bytes = region.persistent + region.transient;
      if (isFar && bytes == 0)
        continue;
      plan::SlabOp::create(builder, module.getLoc(), region.name, bytes, region.alignment, isFar);
      remark::passed(module.getLoc(), remark::RemarkOpts::name(isFar ? "far slab" : "slab").category("memory"))
          << remark::add(isFar ? "placed all buffers of the far tier" : "placed all buffers")
          << remark::metric("persistent_bytes", region.persistent)
          << remark::metric("transient_bytes", region.transient) << remark::metric("bytes", bytes);
    }
  }

  /// Parameters, then states, then constants, one after the other.
  void placeVariables(ArrayRef<plan::VariableOp> variables, Region &region, bool isFar) {
    Builder builder(&getContext());
    int64_t next = 0;
    for (plan::Role role : {plan::Role::Parameter, plan::Role::Quantized, plan::Role::Teacher, plan::Role::Reference,
                            plan::Role::State, plan::Role::Accumulator, plan::Role::Constant})
      for (plan::VariableOp variable : variables) {
        if (variable.getRole() != role || variable.getFar() != isFar)
          continue;
        variable.setSlabAttr(FlatSymbolRefAttr::get(&getContext(), region.name));
        variable.setOffsetAttr(builder.getI64IntegerAttr(next));
        remark::passed(variable.getLoc(), remark::RemarkOpts::name("place").category("memory"))
            << remark::add("variable {0}", variable.getSymName().str()) << remark::metric("offset", next)
            << remark::metric("bytes", plan::bytesOf(variable.getType()));
        next += llvm::alignTo(plan::bytesOf(variable.getType()), region.alignment);
      }
    region.persistent = next;
  }

  /// Finds places for the buffers of `entry`. Reads the IR only: this runs beside the same for others.
  static EntryPlaces findPlaces(plan::EntryOp entry, const Region &near, const Region &far) {
    EntryPlaces places;
    places.liveness = std::make_unique<PlanLiveness>(entry);
    for (const LiveBuffer &buffer : places.liveness->buffers()) {
      RegionPlaces &region = buffer.far ? places.far : places.near;
      region.buffers.push_back(&buffer);
      region.intervals.push_back({buffer.bytes, buffer.first, buffer.last});
    }
    places.near.assigned = assignOffsets(places.near.intervals, near.alignment);
    places.far.assigned = assignOffsets(places.far.intervals, far.alignment);
    return places;
  }

  /// Gives the buffers of `entry` that are of this region their places, behind the variables.
  void placeEntry(plan::EntryOp entry, const PlanLiveness &liveness, const RegionPlaces &found, Region &region,
                  bool isFar) {
    if (isFar && found.buffers.empty())
      return;
    auto slab = FlatSymbolRefAttr::get(&getContext(), region.name);
    const OffsetAssignment &places = found.assigned;
    region.transient = std::max(region.transient, places.peak);
    int64_t peakMoment = 0;
    liveBound(found.intervals, region.alignment, &peakMoment);

    OpBuilder builder(&getContext());
    for (auto [buffer, offset] : llvm::zip(found.buffers, places.offsets)) {
      int64_t at = region.persistent + offset;
      IntegerAttr place = builder.getI64IntegerAttr(at);
      Operation *op = buffer->buffer.getDefiningOp();
      remark::passed(op->getLoc(), remark::RemarkOpts::name("place").category("memory"))
          << remark::add("{0}: {1}", entry.getSymName().str(), buffer->label) << remark::metric("offset", at)
          << remark::metric("bytes", buffer->bytes) << remark::metric("first_launch", buffer->first)
          << remark::metric("last_launch", buffer->last);
      if (auto input = dyn_cast<plan::InputOp>(op)) {
        input.setSlabAttr(slab);
        input.setOffsetAttr(place);
        continue;
      }
      auto alloc = dyn_cast<plan::AllocOp>(op);
      if (!alloc || alloc.getBuffer().use_empty())
        continue;
      builder.setInsertionPoint(alloc);
      auto view = plan::ViewOp::create(builder, alloc.getLoc(), alloc.getType(), slab, place, alloc.getLabelAttr());
      view->setDiscardableAttrs(alloc->getDiscardableAttrDictionary());
      alloc.getBuffer().replaceAllUsesWith(view.getBuffer());
      alloc.erase();
    }
    if (isFar) {
      entry->setAttr("plan.far_transient_bytes", builder.getI64IntegerAttr(places.peak));
      return;
    }
    entry->setAttr("plan.transient_bytes", builder.getI64IntegerAttr(places.peak));
    entry->setAttr("plan.transient_bound", builder.getI64IntegerAttr(places.bound));
    entry->setAttr("plan.peak_launch", builder.getStringAttr(liveness.describe(peakMoment)));
    remark::analysis(entry.getLoc(), remark::RemarkOpts::name("peak").category("memory"))
        << remark::add("{0} peaks at {1}", entry.getSymName().str(), liveness.describe(peakMoment))
        << remark::metric("bytes", places.peak) << remark::metric("bound", places.bound)
        << remark::metric("launch", peakMoment);
  }

  void eraseUnused(plan::EntryOp entry) {
    for (auto alloc : llvm::make_early_inc_range(entry.getBody().front().getOps<plan::AllocOp>()))
      if (alloc.getBuffer().use_empty())
        alloc.erase();
  }
};
} // namespace

//===- PlanScratch.cpp - Working memory of products and attention ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/CPU/Passes.h"

namespace ftc {
#define GEN_PASS_DEF_CPUPLANSCRATCHPASS
#include "lib/Target/CPU/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

/// The optional scratch operand of `work`; null when this kind of work has none.
static MutableOperandRange *scratchOf(Operation *work, std::optional<MutableOperandRange> &storage) {
  llvm::TypeSwitch<Operation *>(work).Case<plan::MatmulOp, plan::AttentionOp, plan::AttentionGradOp>(
      [&](auto op) { storage.emplace(op.getScratchMutable()); });
  return storage ? &*storage : nullptr;
}

namespace {
struct CpuPlanScratchPass : ftc::impl::CpuPlanScratchPassBase<CpuPlanScratchPass> {
  using CpuPlanScratchPassBase::CpuPlanScratchPassBase;

  void runOnOperation() override {
    std::string error;
    std::optional<cpu::CpuTarget> target = ftc::cpu::resolveCpu(cpu, threads, error);
    if (!target) {
      getOperation().emitError(error);
      return signalPassFailure();
    }
    llvm::StringMap<MemRefType> needs;
    Type byte = IntegerType::get(&getContext(), 8);
    for (auto kernel : getOperation().getOps<plan::KernelOp>()) {
      Operation *work = kernel.getWork();
      std::optional<MutableOperandRange> storage;
      MutableOperandRange *scratch = scratchOf(work, storage);
      if (!scratch || !scratch->empty())
        continue;
      int64_t bytes = scratchBytes(work, *target);
      if (bytes == 0)
        continue;
      auto type = MemRefType::get({bytes}, byte);
      scratch->assign(kernel.getBody().front().addArgument(type, work->getLoc()));
      needs.try_emplace(kernel.getSymName(), type);
    }
    getOperation().walk([&](plan::LaunchOp launch) {
      auto found = needs.find(launch.getKernel());
      if (found == needs.end())
        return;
      OpBuilder builder(launch);
      Value buffer =
          plan::AllocOp::create(builder, launch.getLoc(), found->second, ("scratch of " + launch.getLabel()).str());
      launch.getBuffersMutable().append(buffer);
    });
  }
};
} // namespace

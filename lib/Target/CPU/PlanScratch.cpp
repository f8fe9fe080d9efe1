//===- PlanScratch.cpp - Working memory of products and attention ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/CPU/Passes.h"
#include "lib/Target/Common/Scratch.h"

namespace ftc {
#define GEN_PASS_DEF_CPUPLANSCRATCHPASS
#include "lib/Target/CPU/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

namespace {
struct CpuPlanScratchPass : ftc::impl::CpuPlanScratchPassBase<CpuPlanScratchPass> {
  using CpuPlanScratchPassBase::CpuPlanScratchPassBase;

  void runOnOperation() override {
    std::string error;
    std::optional<cpu::CpuTarget> machine = ftc::cpu::resolveCpu(cpu, threads, error);
    if (!machine) {
      getOperation().emitError(error);
      return signalPassFailure();
    }
    target::planScratch(
        getOperation(), [&](Operation *work) { return target::ScratchNeed{scratchBytes(work, *machine)}; },
        [](plan::KernelOp, int64_t) {});
  }
};
} // namespace

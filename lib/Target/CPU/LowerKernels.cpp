//===- LowerKernels.cpp - Kernels to CPU functions ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/Emit.h"
#include "lib/Target/CPU/Passes.h"

namespace ftc {
#define GEN_PASS_DEF_CPULOWERKERNELSPASS
#include "lib/Target/CPU/Passes.h.inc"
} // namespace ftc

using namespace mlir;
using namespace ftc;

namespace {
struct CpuLowerKernelsPass : ftc::impl::CpuLowerKernelsPassBase<CpuLowerKernelsPass> {
  using CpuLowerKernelsPassBase::CpuLowerKernelsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::string error;
    std::optional<cpu::CpuTarget> target = ftc::cpu::resolveCpu(cpu, threads, error);
    if (!target) {
      module.emitError(error);
      return signalPassFailure();
    }
    for (auto kernel : llvm::to_vector(module.getOps<plan::KernelOp>())) {
      Operation *work = kernel.getWork();
      LogicalResult emitted = isa<plan::RowsOp>(work)     ? ftc::cpu::emitRows(kernel, *target)
                              : isa<plan::MatmulOp>(work) ? ftc::cpu::emitMatmul(kernel, *target)
                                                          : ftc::cpu::emitAttention(kernel, *target);
      if (failed(emitted))
        return signalPassFailure();
    }
    // Drivers take over the names of their kernels.
    SymbolTable symbols(module);
    for (auto kernel : llvm::to_vector(module.getOps<plan::KernelOp>())) {
      std::string name = kernel.getSymName().str();
      auto driver = symbols.lookup<LLVM::LLVMFuncOp>(name + ".driver");
      kernel.erase();
      driver.setSymName(name);
    }
  }
};
} // namespace

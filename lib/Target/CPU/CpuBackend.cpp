//===- CpuBackend.cpp - The CPU target as the pipeline sees it ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Target/TargetBackend.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CPU/Codegen.h"
#include "lib/Target/CPU/Passes.h"

using namespace mlir;
using namespace ftc;

namespace {
class CpuBackend final : public TargetBackend {
public:
  explicit CpuBackend(cpu::CpuTarget target, bool native) : target(std::move(target)), native(native) {}

  TargetDescription describe() const override {
    return {"cpu", target.cpu, target.features, target.threads, "", "", 0};
  }

  bool pairsProducts() const override { return true; }

  void addPlanPasses(OpPassManager &passes) const override {
    passes.addPass(createCpuPlanScratchPass({.cpu = name(), .threads = target.threads}));
  }

  void addLoweringPasses(OpPassManager &passes) const override {
    passes.addPass(createCpuLowerKernelsPass({.cpu = name(), .threads = target.threads}));
    passes.addPass(createCpuShareCodePass());
    passes.addPass(createConvertPlanToLLVMPass({.threads = target.threads}));
    passes.addPass(createCpuLowerToLLVMPass());
  }

  FailureOr<std::string> emitLLVM(ModuleOp module) const override { return cpu::emitLLVMText(module, target); }
  FailureOr<std::string> emitObject(ModuleOp module) const override { return cpu::emitObject(module, target); }
  FailureOr<std::string> link(Location loc, llvm::StringRef object) const override {
    return cpu::linkShared(loc, object);
  }

private:
  /// What passes resolve again: a native CPU may lack features that its name implies.
  std::string name() const { return native ? "native" : target.cpu; }

  cpu::CpuTarget target;
  bool native;
};
} // namespace

std::unique_ptr<TargetBackend> ftc::createCpuBackend(const std::string &cpu, unsigned threads, std::string &error) {
  std::optional<ftc::cpu::CpuTarget> target = ftc::cpu::resolveCpu(cpu, threads, error);
  if (!target)
    return nullptr;
  return std::make_unique<CpuBackend>(std::move(*target), cpu == "native");
}

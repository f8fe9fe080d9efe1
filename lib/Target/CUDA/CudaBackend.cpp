//===- CudaBackend.cpp - The CUDA target as the pipeline sees it ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Target/TargetBackend.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CUDA/Cubin.h"
#include "lib/Target/CUDA/CudaTarget.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace ftc;

namespace {
/// The device's part of a step is made here; the host's part, entries that call ftrt_device, by the backend of the CPU.
class CudaBackend final : public TargetBackend {
public:
  CudaBackend(const std::string &device, cuda::CudaTarget target, std::unique_ptr<TargetBackend> host)
      : device(device), target(std::move(target)), host(std::move(host)) {}

  TargetDescription describe() const override {
    TargetDescription description = host->describe();
    description.target = "cuda";
    description.device = target.name;
    description.architecture = target.architecture;
    description.deviceFile = target.yaml();
    description.assembler = cuda::assemblerName();
    description.memoryBytes = target.memoryBytes;
    return description;
  }

  unsigned slabAlignment() const override { return cuda::CudaTarget::slabAlignment; }

  /// A partial sum has a warp. So many have enough loads under way to keep any GPU's memory busy, and take little time
  /// to add up: as rows of fp32, a fraction of what a step's activations take.
  int64_t partialSums() const override { return 4096; }

  void addPlanPasses(OpPassManager &passes) const override {
    passes.addPass(createCudaPlanScratchPass({.device = device}));
  }

  void addLoweringPasses(OpPassManager &passes) const override {
    addPtxPasses(passes, modules);
    passes.addPass(createCudaEmbedBinaryPass({.device = device}));
    passes.addPass(createConvertPlanToLLVMPass({.device = true}));
  }

  FailureOr<std::string> emitDeviceText(ModuleOp module) const override {
    PassManager passes(module.getContext());
    addPtxPasses(passes, /*modules=*/1); // one text, that any assembler takes
    if (failed(passes.run(module)))
      return failure();
    std::string text;
    for (auto binary : module.getOps<gpu::BinaryOp>())
      text += cast<gpu::ObjectAttr>(binary.getObjects()[0]).getObject().getValue();
    return text;
  }

  FailureOr<std::string> emitLLVM(ModuleOp module) const override { return host->emitLLVM(module); }
  FailureOr<std::string> emitObject(ModuleOp module) const override { return host->emitObject(module); }
  FailureOr<std::string> link(Location loc, llvm::StringRef object) const override { return host->link(loc, object); }

private:
  /// Into so many modules the kernels of a step may be cut: as many cores can compile at once, and more would be in
  /// each other's way for memory.
  static constexpr unsigned modules = 8;

  void addPtxPasses(OpPassManager &passes, unsigned modules) const {
    passes.addPass(createCudaLowerKernelsPass({device, /*share=*/true, modules}));
    passes.addPass(createCudaLowerToNvvmPass());
    passes.addPass(createCudaEmitPtxPass({.device = device}));
  }

  std::string device; ///< as given: what passes resolve again
  cuda::CudaTarget target;
  std::unique_ptr<TargetBackend> host;
};
} // namespace

std::unique_ptr<TargetBackend> ftc::createCudaBackend(const std::string &device, std::unique_ptr<TargetBackend> host,
                                                      std::string &error) {
  std::optional<ftc::cuda::CudaTarget> target = ftc::cuda::resolveDevice(device, error);
  if (!target)
    return nullptr;
  return std::make_unique<CudaBackend>(device, std::move(*target), std::move(host));
}

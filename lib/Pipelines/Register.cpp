//===- Register.cpp - Every dialect and pass of ftc --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Pipelines/Register.h"

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/IR/Train.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Pipelines/Stages.h"
#include "lib/Target/CPU/Passes.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace ftc;

namespace {
struct TrainPipelineOptions : PassPipelineOptions<TrainPipelineOptions> {
  Option<bool> pairProducts{*this, "pair-products",
                            llvm::cl::desc("a narrow product rides in a wide one of the same operand, as for a CPU"),
                            llvm::cl::init(true)};
};

struct PlanPipelineOptions : PassPipelineOptions<PlanPipelineOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("as ftc's --mcpu"), llvm::cl::init("native")};
  Option<unsigned> threads{*this, "threads", llvm::cl::desc("as ftc's --threads"), llvm::cl::init(2)};
  Option<std::string> device{*this, "device", llvm::cl::desc("as ftc's --device; empty: plan for the CPU"),
                             llvm::cl::init("")};
};

void addAll(OpPassManager &passes, ArrayRef<PassStage> stages) {
  for (const PassStage &stage : stages)
    stage.add(passes);
}
} // namespace

void ftc::registerPipelines() {
  PassPipelineRegistration<TrainPipelineOptions>(
      "train-pipeline", "All passes over train, in ftc's order: from --emit=train to --emit=train-opt",
      [](OpPassManager &passes, const TrainPipelineOptions &options) {
        addAll(passes, firstTrainStages(options.pairProducts));
        addAll(passes, lastTrainStages());
      });
  PassPipelineRegistration<PlanPipelineOptions>(
      "plan-pipeline", "From train to a proven plan, in ftc's order: from --emit=train-opt to --emit=plan",
      [](OpPassManager &passes, const PlanPipelineOptions &options) {
        std::string error;
        std::unique_ptr<TargetBackend> backend = createBackend(options.device, options.cpu, options.threads, error);
        if (!backend)
          llvm::reportFatalUsageError(StringRef(error));
        addAll(passes, planStages(*backend, nullptr));
        passes.addPass(plan::createPlanVerifyPass());
      });
}

void ftc::registerDialects(DialectRegistry &registry) {
  registry.insert<train::TrainDialect, plan::PlanDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                  vector::VectorDialect, LLVM::LLVMDialect, gpu::GPUDialect, NVVM::NVVMDialect>();
}

void ftc::registerPasses() {
  registerCanonicalizer();
  registerCSE();
  train::registerFtcTrainPasses();
  registerFtcTrainToPlanPasses();
  plan::registerFtcPlanPasses();
  registerFtcCpuPasses();
  registerFtcCudaPasses();
  registerFtcPlanToLLVMPasses();
}

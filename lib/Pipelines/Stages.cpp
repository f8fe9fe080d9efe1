//===- Stages.cpp - The order of passes, as lists ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Stages.h"

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Conversion/TrainToPlan/Passes.h"

#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace ftc;

std::unique_ptr<TargetBackend> ftc::createBackend(const std::string &device, const std::string &cpu, unsigned threads,
                                                  std::string &error) {
  if (device.empty())
    return createCpuBackend(cpu, threads, error);
  auto host = createCpuBackend(cpu == "native" ? "x86-64-v3" : cpu, /*threads=*/1, error);
  return host ? createCudaBackend(device, std::move(host), error) : nullptr;
}

namespace {
/// A stage of one pass.
template <std::unique_ptr<Pass> (*create)()> PassStage one(const char *name) {
  return {name, [](OpPassManager &passes) { passes.addPass(create()); }};
}
} // namespace

std::vector<PassStage> ftc::firstTrainStages(bool pairsProducts) {
  std::vector<PassStage> stages{
      one<train::createAttachAdaptersPass>("train-attach-adapters"),
      one<train::createFakeQuantizePass>("train-fake-quantize"),
      one<train::createQuantizeFrozenPass>("train-quantize-frozen"),
      one<train::createDifferentiatePass>("train-differentiate"),
      one<train::createChunkLossPass>("train-chunk-loss"),
      one<train::createAccumulateGradientsPass>("train-accumulate-gradients"),
      one<train::createClipGradientsPass>("train-clip-gradients"),
      {"train-clean",
       [](OpPassManager &passes) {
         passes.addPass(createCanonicalizerPass());
         passes.addPass(createCSEPass());
       }},
      one<train::createFuseSumsPass>("train-fuse-sums"),
  };
  if (pairsProducts)
    stages.push_back(one<train::createPairProductsPass>("train-pair-products"));
  return stages;
}

std::vector<PassStage> ftc::lastTrainStages() {
  return {
      one<train::createInsertRematPass>("train-insert-remat"),
      one<train::createFuseUpdatesPass>("train-fuse-updates"),
      {"train-lower-optimizer",
       [](OpPassManager &passes) {
         passes.addPass(train::createLowerOptimizerPass());
         passes.addPass(createCSEPass());
       }},
      one<train::createPageStatesPass>("train-page-states"),
      one<train::createFormKernelsPass>("train-form-kernels"),
      one<train::createOffloadActivationsPass>("train-offload-activations"),
  };
}

std::vector<PassStage> ftc::planStages(const TargetBackend &backend, const TargetBackend *host) {
  return {
      {"convert-train-to-plan",
       [&backend](OpPassManager &passes) { passes.addPass(createConvertTrainToPlanPass({backend.partialSums()})); }},
      one<plan::createPlanStreamFarVariablesPass>("plan-stream-far-variables"),
      {"target-plan",
       [&backend, host](OpPassManager &passes) {
         if (host)
           host->addPlanPasses(passes);
         backend.addPlanPasses(passes);
       }},
      {"plan-assign-offsets",
       [&backend](OpPassManager &passes) {
         passes.addPass(plan::createPlanAssignOffsetsPass({backend.slabAlignment()}));
       }},
  };
}

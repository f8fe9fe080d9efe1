//===- KernelModule.cpp - Kernels compiled and loaded for timing -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelModule.h"

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Plan/Transforms/Passes.h"
#include "ftc/Target/TargetBackend.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;
using namespace ftc;
using namespace ftc::bench;

[[noreturn]] static void stop(const std::string &message) {
  fprintf(stderr, "bench-cpu: error: %s\n", message.c_str());
  exit(1);
}

/// The shared object's bytes, loaded through a file that lives in memory.
static void *load(const std::string &bytes) {
  int file = memfd_create("kernels", 0);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    stop("cannot write a file in memory");
  void *library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    stop(dlerror());
  close(file);
  return library;
}

KernelModule::KernelModule(const std::vector<KernelText> &kernels, const std::string &cpu, unsigned threads) {
  auto start = std::chrono::steady_clock::now();
  std::string error;
  std::unique_ptr<TargetBackend> backend = createCpuBackend(cpu, threads, error);
  if (!backend)
    stop(error);
  std::string text;
  for (const KernelText &kernel : kernels) {
    text += kernel.text + "\nplan.entry @run_" + kernel.name + " kind(step) batch 1 sequence 1 flops 0.0 {\n";
    std::string names, types;
    for (auto [i, type] : llvm::enumerate(kernel.buffers)) {
      std::string name = "%" + std::to_string(i);
      text += "  " + name + " = plan.input \"" + kernel.name + "." + std::to_string(i) + "\" : " + type + "\n";
      names += (i ? ", " : "") + name;
      types += (i ? ", " : "") + type;
    }
    text += "  plan.launch @" + kernel.name + "(" + names + ") \"" + kernel.name + "\" : " + types + "\n}\n";
  }

  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<plan::PlanDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect, LLVM::LLVMDialect,
                      vector::VectorDialect>();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    stop("the kernels' text is invalid");
  PassManager plans(&context);
  backend->addPlanPasses(plans);
  plans.addPass(plan::createPlanAssignOffsetsPass());
  if (failed(plans.run(*module)))
    stop("the plan's passes failed");
  for (auto entry : module->getOps<plan::EntryOp>()) {
    std::vector<size_t> &places = offsets.emplace_back();
    for (auto input : entry.getBody().front().getOps<plan::InputOp>())
      places.push_back(*input.getOffset());
  }
  size_t bytes = 0;
  for (auto slabOp : module->getOps<plan::SlabOp>())
    bytes = slabOp.getBytes();

  PassManager lowering(&context);
  backend->addLoweringPasses(lowering);
  if (failed(lowering.run(*module)))
    stop("lowering failed");
  FailureOr<std::string> object = backend->emitObject(*module);
  if (failed(object))
    stop("code generation failed");
  FailureOr<std::string> linked = backend->link(module->getLoc(), *object);
  if (failed(linked))
    stop("linking failed");
  library = load(*linked);
  step = static_cast<const ftrt_step *>(dlsym(library, FTRT_STEP_SYMBOL));
  if (!step)
    stop("the shared object has no step");
  constexpr size_t page = size_t(2) << 20;
  slab = aligned_alloc(page, (bytes + page - 1) / page * page);
  madvise(slab, bytes, MADV_HUGEPAGE); // as the runtime does
  // Small normal numbers everywhere: timing must not meet denormal numbers or NaN.
  for (size_t i = 0; i < bytes / 4; ++i)
    static_cast<float *>(slab)[i] = 0.01f + static_cast<float>(i % 1013) * 1e-4f;
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

KernelModule::~KernelModule() {
  free(slab);
  dlclose(library);
}

void KernelModule::run(size_t index, ThreadPool &pool) const {
  ftrt_scalars scalars{};
  int32_t status = step->entries[index](pool.services(), &slab, &scalars);
  if (status != FTRT_OK)
    stop("an entry returned " + std::to_string(status));
}

void *KernelModule::buffer(size_t index, size_t buffer) const {
  return static_cast<uint8_t *>(slab) + offsets[index][buffer];
}

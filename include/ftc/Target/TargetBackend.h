//===- TargetBackend.h - What a target does for the pipeline ------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TARGET_TARGETBACKEND_H
#define FTC_TARGET_TARGETBACKEND_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <memory>
#include <string>
#include <vector>

namespace ftc {

/// What the manifest records of a target.
struct TargetDescription {
  std::string target; ///< "cpu" or "cuda"
  std::string cpu;    ///< resolved name, never "native"
  std::vector<std::string> features;
  unsigned threads = 1;
  std::string device;       ///< of a GPU, as --device names it; empty otherwise
  std::string architecture; ///< its instruction set, LLVM's name; empty otherwise
  int64_t memoryBytes = 0;  ///< what near slabs have to fit into, where the target knows it; else 0
  std::string deviceFile{}; ///< of a GPU: the normal form of its device file; empty otherwise
  std::string assembler{};  ///< of a GPU's code, with its version; empty otherwise
};

/// One per target. Everything the pipeline needs to go from a plan to a step.so.
class TargetBackend {
public:
  virtual ~TargetBackend() = default;

  virtual TargetDescription describe() const = 0;

  /// Bytes to which buffers in near memory are aligned; a power of two.
  virtual unsigned slabAlignment() const { return 64; }

  /// Whether its products take a second, narrow one (plan.matmul with `pair`).
  virtual bool pairsProducts() const { return false; }

  /// How many partial sums of a reduction over rows it computes side by side; 0: few, as convert-train-to-plan chooses.
  virtual int64_t partialSums() const { return 0; }

  /// Adds the passes that ask for scratch memory; they run before plan-assign-offsets.
  virtual void addPlanPasses(mlir::OpPassManager &passes) const = 0;

  /// Adds the passes that bring a verified plan to the llvm dialect.
  virtual void addLoweringPasses(mlir::OpPassManager &passes) const = 0;

  /// The code of the device, as text, made from a verified plan (for --emit=ptx). An error on the module for a target
  /// without one.
  virtual mlir::FailureOr<std::string> emitDeviceText(mlir::ModuleOp module) const {
    return module.emitError("the target has no device, so there is no code for one"), mlir::failure();
  }

  /// Translates the llvm dialect to LLVM IR text (for --emit=llvm), after optimization. Failure is reported on the
  /// module.
  virtual mlir::FailureOr<std::string> emitLLVM(mlir::ModuleOp module) const = 0;

  /// Compiles the llvm dialect to a relocatable object.
  virtual mlir::FailureOr<std::string> emitObject(mlir::ModuleOp module) const = 0;

  /// Links an object into a freestanding shared object.
  virtual mlir::FailureOr<std::string> link(mlir::Location loc, llvm::StringRef object) const = 0;
};

/// The CPU backend. `cpu` is "native" or an LLVM name; on an unknown name returns null and says so in `error`.
std::unique_ptr<TargetBackend> createCpuBackend(const std::string &cpu, unsigned threads, std::string &error);

/// The CUDA backend for a GPU that a device file, or the name of a built-in one, describes; `host` makes the code that
/// runs beside it. Where the device is unknown or its file is wrong, returns null and says so in `error`.
std::unique_ptr<TargetBackend> createCudaBackend(const std::string &device, std::unique_ptr<TargetBackend> host,
                                                 std::string &error);

} // namespace ftc

#endif // FTC_TARGET_TARGETBACKEND_H

//===- Passes.td - From plan to the llvm dialect -----------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLANTOLLVM_PASSES_TD
#define FTC_PLANTOLLVM_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertPlanToLLVMPass : Pass<"convert-plan-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Entries become functions of the step's C ABI";
  let description = [{
    Runs after the target's kernels are functions and every buffer has a place. Each `plan.entry` becomes an internal
    function `(services, slabs, scalars) -> i32` that checks the services, copies scalar inputs to their places and calls
    the kernels in order. The constant `ftrt_step_v1` (include/ftrt/step.h) lists the entries and holds the manifest:
    the bytes of the module's attribute `plan.manifest`, none when it is absent.
  }];
  let options = [Option<"threads", "threads", "unsigned", "2", "most threads that an entry accepts">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif

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
    function `(services, slabs, scalars) -> i32` that checks the services, copies scalar inputs to their places and runs
    its launches in order. They are data (LaunchList.h): which driver, and where its buffers lie; thousands of calls would
    be most of what a step takes to compile. The constant `ftrt_step_v1` (include/ftrt/step.h) lists the entries and holds the manifest:
    the bytes of the module's attribute `plan.manifest`, none when it is absent.

    With `device`, the entries are those of a step for a GPU: kernels are functions `(ftrt_device, addresses...) -> i32`,
    and scalars, copies and events go through `ftrt_device` too. The globals `step.modules`, `step.kernels`,
    `step.products` and `step.attentions`, where the target has made them, become the step's tables.

    Before:
    ```mlir
    llvm.func internal @add(!llvm.ptr, !llvm.ptr, !llvm.ptr)
    plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
      %a = plan.view @near[64] "a" : memref<4xf32>
      plan.launch @add(%a, %a) "add" : memref<4xf32>, memref<4xf32>
    }
    ```
    After:
    ```mlir
    llvm.func internal @step.entry(%services: !llvm.ptr, %slabs: !llvm.ptr, %scalars: !llvm.ptr) -> i32 {
      ... // services->abi_version, size and threads
      llvm.call @step.run(%services, %slabs, %first, %end) : (!llvm.ptr, !llvm.ptr, i64, i64) -> i32
      ...
    }
    llvm.mlir.global internal constant @step.places(dense<[0, 64]> : tensor<2xi64>)          // slab 0, byte 64
    llvm.mlir.global internal constant @step.launches(dense<[0, 2, 0, 0]> : tensor<4xi32>)   // driver 0, 2 buffers
    llvm.mlir.global internal constant @step.drivers() : !llvm.array<1 x ptr> { ... }        // @add
    llvm.func internal @step.run(...) -> i32 { ... }
    ```
  }];
  let options = [Option<"threads", "threads", "unsigned", "2", "most threads that an entry accepts">,
                 Option<"device", "device", "bool", "false", "entries queue their work on a device">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif

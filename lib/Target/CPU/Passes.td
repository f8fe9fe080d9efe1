//===- Passes.td - Passes of the CPU target ----------------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TARGET_CPU_PASSES_TD
#define FTC_TARGET_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

class CpuPass<string name> : Pass<name, "::mlir::ModuleOp"> {
  let options = [
    Option<"cpu", "cpu", "std::string", "\"native\"", "LLVM's name of the CPU, or native">,
    Option<"threads", "threads", "unsigned", "2", "most threads that run a kernel">];
}

def CpuPlanScratchPass : CpuPass<"cpu-plan-scratch"> {
  let summary = "Gives products and attention the working memory that their CPU code needs";
  let description = [{
    A kernel whose work needs scratch memory gets one more argument, and each of its launches a `plan.alloc` of bytes for
    it, so that `plan-assign-offsets` places it like any other buffer.
  }];
}

def CpuLowerKernelsPass : CpuPass<"cpu-lower-kernels"> {
  let summary = "Turns each plan.kernel into CPU functions";
  let description = [{
    Row bodies become loops over rows and vectors of columns; products and attention become packed nests. Each kernel is a
    driver function under the kernel's name, and a task function for each parallel phase. Bodies are still in `arith`,
    `math`, `scf` and `vector`.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def CpuLowerToLLVMPass : Pass<"cpu-lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Brings function bodies to the llvm dialect";
  let description = [{
    Expands exp, log, rsqrt, powers and bf16 into arithmetic, then converts `scf`, `vector`, `arith`, `math` and `cf`.
    What is left then and would need a library is an error.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

#endif

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

    Before:

    ```mlir
    plan.kernel @product {
    ^bb0(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>):
      plan.matmul %a, %b, %c : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32> read_a {} read_b {} store_c {}
    }
    ...
    plan.launch @product(%a, %b, %c) "product" : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>
    ```

    After (`cpu=x86-64-v3`):

    ```mlir
    plan.kernel @product {
    ^bb0(%a: memref<64x64xf32>, %b: memref<64x64xf32>, %c: memref<64x64xf32>, %s: memref<53376xi8>):
      plan.matmul %a, %b, %c scratch(%s : memref<53376xi8>) : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>
        read_a {} read_b {} store_c {}
    }
    ...
    %s = plan.alloc "scratch of product" : memref<53376xi8>
    plan.launch @product(%a, %b, %c, %s) "product"
      : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>, memref<53376xi8>
    ```
  }];
}

def CpuLowerKernelsPass : CpuPass<"cpu-lower-kernels"> {
  let summary = "Turns each plan.kernel into CPU functions";
  let description = [{
    Row bodies become loops over rows and vectors of columns; products and attention become packed nests. Each kernel is a
    driver function under the kernel's name, and a task function for each parallel phase. Bodies are still in `arith`,
    `math`, `scf` and `vector`.

    Before:

    ```mlir
    plan.kernel @double_64x16 {
    ^bb0(%a: memref<64x16xf32>, %b: memref<64x16xf32>):
      plan.rows 64 per_task 32 parallel {
      ^bb0(%r: index):
        %x = plan.load %a[%r] : memref<64x16xf32> -> tensor<16xf32>
        %y = arith.addf %x, %x : tensor<16xf32>
        plan.store %y, %b[%r] : tensor<16xf32>, memref<64x16xf32>
      }
    }
    ```

    After (`cpu=x86-64-v3`: vectors of 8): the driver asks the host for two tasks of 32 rows.

    ```mlir
    llvm.func internal @double_64x16(%services: !llvm.ptr, %a: !llvm.ptr, %b: !llvm.ptr) {
      %task = llvm.mlir.addressof @double_64x16.task0 : !llvm.ptr
      %tasks = arith.constant 2 : i64
      ...
      llvm.call %parallel(%pool, %task, %buffers, %tasks) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
      llvm.return
    }
    llvm.func internal @double_64x16.task0(%buffers: !llvm.ptr, %task: i64, %thread: i32) {
      ...
      scf.for %row = %first to %end step %one : i64 {
        ...
        %x = llvm.load %from {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
        %y = arith.addf %x, %x : vector<8xf32>
        llvm.store %y, %to {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
        ...
      }
      llvm.return
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def CpuShareCodePass : Pass<"cpu-share-code", "::mlir::ModuleOp"> {
  let summary = "Compiles kernels that differ in numbers alone once";
  let description = [{
    Kernels whose driver and tasks are the same ops on the same types, but for constants of type i64, become one code that
    loads those constants, its sizes, where its functions begin. Each keeps a driver under its name, which hands the
    shared one a constant with its own. A step for several lengths of rows has most of its kernels once for each length;
    this compiles them once. Nothing else changes: shared code has the bits of each kernel's own. A divisor in a loop of a
    task stays a constant: kernels that differ in one are not shared.

    Before: two tasks of 32 rows, and four.

    ```mlir
    llvm.func internal @double_64x16(%services: !llvm.ptr, %a: !llvm.ptr, %b: !llvm.ptr) {
      %task = llvm.mlir.addressof @double_64x16.task0 : !llvm.ptr
      %tasks = arith.constant 2 : i64
      ...
    }
    llvm.func internal @double_128x16(%services: !llvm.ptr, %a: !llvm.ptr, %b: !llvm.ptr) {
      %task = llvm.mlir.addressof @double_128x16.task0 : !llvm.ptr
      %tasks = arith.constant 4 : i64
      ...
    }
    ```

    After:

    ```mlir
    llvm.mlir.global internal constant @double_64x16.sizes(dense<2> : tensor<1xi64>) : !llvm.array<1 x i64>
    llvm.func internal @double_64x16(%services: !llvm.ptr, %a: !llvm.ptr, %b: !llvm.ptr) {
      %sizes = llvm.mlir.addressof @double_64x16.sizes : !llvm.ptr
      llvm.call @double_64x16.shared(%services, %a, %b, %sizes) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
      llvm.return
    }
    ... // the same for @double_128x16, with 4
    llvm.func internal @double_64x16.shared(%services: !llvm.ptr, %a: !llvm.ptr, %b: !llvm.ptr, %sizes: !llvm.ptr) {
      %tasks = llvm.load %sizes invariant {alignment = 8 : i64} : !llvm.ptr -> i64
      %task = llvm.mlir.addressof @double_64x16.task0 : !llvm.ptr
      ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def CpuLowerToLLVMPass : Pass<"cpu-lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Brings function bodies to the llvm dialect";
  let description = [{
    Expands exp, log, rsqrt, powers and bf16 into arithmetic, then converts `scf`, `vector`, `arith`, `math` and `cf`.
    What is left then and would need a library is an error.

    Before:

    ```mlir
    %x = llvm.load %a {alignment = 2 : i64} : !llvm.ptr -> vector<8xbf16>
    %wide = arith.extf %x : vector<8xbf16> to vector<8xf32>
    %y = arith.mulf %wide, %half : vector<8xf32>
    llvm.store %y, %b {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
    ```

    After:

    ```mlir
    %x = llvm.load %a {alignment = 2 : i64} : !llvm.ptr -> vector<8xbf16>
    %bits = llvm.bitcast %x : vector<8xbf16> to vector<8xi16>
    %low = llvm.zext %bits : vector<8xi16> to vector<8xi32>
    %high = llvm.shl %low, %sixteen : vector<8xi32>
    %wide = llvm.bitcast %high : vector<8xi32> to vector<8xf32>
    %y = llvm.fmul %wide, %half : vector<8xf32>
    llvm.store %y, %b {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

#endif

//===- Passes.td - Passes of the CUDA target ---------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TARGET_CUDA_PASSES_TD
#define FTC_TARGET_CUDA_PASSES_TD

include "mlir/Pass/PassBase.td"

def DeviceOption : Option<"device", "device", "std::string", "\"h100\"", "the GPU, as ftc's --device names it: h100 or another that is known, or a device file">;

class CudaPass<string name> : Pass<name, "::mlir::ModuleOp"> {
  let options = [DeviceOption];
}

def CudaPlanScratchPass : CudaPass<"cuda-plan-scratch"> {
  let summary = "Plans the working memory of products and attention";
  let description = [{
    Runs before `plan-assign-offsets`. A product that the library computes gets its workspace, whose bytes the device
    says; attention that cuDNN is asked for gets what that may need; another gradient of attention gets a number for each
    token and head. `plan.workspace` says how much of a buffer is whose, for the memory table. A kernel that takes more shared
    memory than a block of the device has is refused here, before anything is made of the plan.

    Before:
    ```mlir
    plan.kernel @p {
    ^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>):
      plan.matmul %a, %b, %c : memref<4x8xf32>, memref<8x6xf32>, memref<4x6xf32> read_a {} read_b {} store_c {}
    }
    ```
    After:
    ```mlir
    plan.kernel @p {
    ^bb0(%a: memref<4x8xf32>, %b: memref<8x6xf32>, %c: memref<4x6xf32>, %s: memref<33554432xi8>):
      plan.matmul %a, %b, %c scratch(%s : memref<33554432xi8>) : ...
    }
    // each launch: %0 = plan.alloc "scratch of ..." : memref<33554432xi8> {plan.workspace = {cuBLASLt = 33554432}}
    ```
  }];
  let dependentDialects = ["::ftc::plan::PlanDialect"];
}

def CudaLowerKernelsPass : CudaPass<"cuda-lower-kernels"> {
  let summary = "Turns each kernel into functions of the device and a driver";
  let description = [{
    What the device runs are functions of one `gpu.module @kernels`; block and grid are fixed by the sizes and stand on the
    function. Bodies are in `arith`, `math`, `scf` and `vector`; buffers are pointers.

    - `plan.rows`: a row, or a part of one, is spread over the lanes of a warp or of less (RowMapping.h).
    - `plan.matmul`: a product of the library where its seams only convert and add; else a generated one, by tiles in
      shared memory.
    - `plan.attention`, `plan.attention_grad`: by tiles, with a softmax that is corrected on the way; of bf16 on tensor cores
      (TilesMma.h), where head sizes allow it. Its driver asks the host first where there is workspace for that; what cuDNN
      leaves out is in NAME$alone.

    With `share`, and where entries have rows of several lengths, functions that differ in numbers alone become one, which
    takes the numbers behind its addresses; the table of kernels has them, and each kernel's name and grid (ShareCode.cpp).

    With `modules`, functions stand in several modules, `@kernels`, `@kernels_1` and so on, which are compiled at once
    (CutModule.cpp): up to so many, fewer where there is little code. The table of kernels says where each is.

    Each kernel leaves a driver, a function `(ftrt_device, addresses...) -> i32` of the host that queues it. The globals
    `step.kernels`, `step.products` and `step.attentions` say what the numbers in drivers stand for (include/ftrt/step.h).

    Before:
    ```mlir
    plan.kernel @add {
    ^bb0(%x: memref<8x128xf32>, %y: memref<8x128xf32>):
      plan.rows 8 per_task 2 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<8x128xf32> -> tensor<128xf32>
        %1 = arith.addf %0, %0 : tensor<128xf32>
        plan.store %1, %y[%r] : tensor<128xf32>, memref<8x128xf32>
      }
    }
    ```
    After: a warp a row, four columns a lane; eight blocks of a warp, since there are more multiprocessors than rows.
    ```mlir
    llvm.func internal @add(%device: !llvm.ptr, %x: !llvm.ptr, %y: !llvm.ptr) -> i32 {
      ... // device->launch(context, stream 0, kernel 0, addresses)
    }
    gpu.module @kernels {
      gpu.func @add(%x: !llvm.ptr, %y: !llvm.ptr) kernel
          attributes {known_block_size = array<i32: 32, 1, 1>, known_grid_size = array<i32: 8, 1, 1>} {
        ... // %row = (block * 32 + thread) / 32, %column = (thread mod 32) * 4
        %4 = llvm.load %3 {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
        %5 = arith.addf %4, %4 : vector<4xf32>
        ...
        gpu.return
      }
    }
    llvm.mlir.global internal constant @step.kernels() : !llvm.array<1 x struct<(ptr, ptr, i32, i32, ...)>> { ... }
    ```
  }];
  let options = [DeviceOption,
                 Option<"share", "share", "bool", "false", "functions that differ in numbers alone become one">,
                 Option<"modules", "modules", "unsigned", "1", "into how many modules functions may be cut">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect", "::mlir::gpu::GPUDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

def CudaLowerToNvvmPass : Pass<"cuda-lower-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Brings GPU functions to the llvm and nvvm dialects";
  let description = [{
    In every `gpu.module`: expands exp, log, rsqrt, powers and bf16 into the same arithmetic as on the CPU, then converts
    `gpu`, `scf`, `vector`, `arith`, `math` and `cf`. What would then need NVIDIA's libdevice is an error: its results differ
    from the CPU's.

    Before:
    ```mlir
    %t = gpu.thread_id x
    %e = math.exp %x : f32
    %s, %valid = gpu.shuffle xor %e, %c16, %c32 : f32
    ```
    After:
    ```mlir
    %t = nvvm.read.ptx.sreg.tid.x range <i32, 0, 32> : i32
    %p = llvm.intr.fma(...)  // 2^n times a polynomial
    %s = nvvm.shfl.sync bfly %mask, %e, %c16, %c31 : f32 -> f32
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect", "::mlir::NVVM::NVVMDialect"];
}

def CudaEmitPtxPass : CudaPass<"cuda-emit-ptx"> {
  let summary = "Compiles GPU modules to PTX";
  let description = [{
    Each `gpu.module` in the llvm and nvvm dialects becomes a `gpu.binary` of the same name that holds its PTX text.
    Modules are compiled at once, on as many threads as there are cores; the text does not depend on that.

    Before:
    ```mlir
    gpu.module @kernels { llvm.func @add(...) attributes {gpu.kernel, nvvm.kernel} { ... } }
    ```
    After:
    ```mlir
    gpu.binary @kernels [#gpu.object<#nvvm.target<chip = "sm_90a", features = "+ptx80">, assembly = ".version 8.0 ...">]
    ```
  }];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::NVVM::NVVMDialect"];
}

def CudaEmbedBinaryPass : CudaPass<"cuda-embed-binary"> {
  let summary = "Assembles PTX and puts the machine code into the step";
  let description = [{
    NVIDIA's libnvJitLink assembles in this process, or `ptxas` where it is missing; no GPU is needed. Each cubin becomes
    a constant, and its PTX another, for drivers that are older than the assembler; the table `step.modules` names them, in
    their order. Several are assembled at once.

    Before:
    ```mlir
    gpu.binary @kernels [#gpu.object<#nvvm.target<chip = "sm_90a">, assembly = ".version 8.0 ...">]
    ```
    After:
    ```mlir
    llvm.mlir.global internal constant @step.image.0(dense<...> : tensor<8192xi8>) : !llvm.array<8192 x i8>
    llvm.mlir.global internal constant @step.text.0(dense<...> : tensor<24577xi8>) : !llvm.array<24577 x i8>
    llvm.mlir.global internal constant @step.modules() : !llvm.array<1 x struct<(ptr, i64, ptr, i64)>> { ... }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif

//===- Passes.td - Passes of the CUDA target ---------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TARGET_CUDA_PASSES_TD
#define FTC_TARGET_CUDA_PASSES_TD

include "mlir/Pass/PassBase.td"

class CudaPass<string name> : Pass<name, "::mlir::ModuleOp"> {
  let options = [Option<"device", "device", "std::string", "\"h100\"", "name of the GPU: a100, h100, h200 or b200">];
}

def CudaLowerRowsPass : CudaPass<"cuda-lower-rows"> {
  let summary = "Turns each row kernel into a GPU function";
  let description = [{
    Each `plan.kernel` whose work is `plan.rows` becomes a kernel of one `gpu.module @kernels`. A row, or a part of one, is
    spread over the lanes of a warp or of less; block and grid are fixed by the sizes and stand on the function. Bodies are in
    `arith`, `math`, `scf` and `vector`; buffers are pointers. Other kernels and the entries are left as they are.

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
    ```
  }];
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

#endif

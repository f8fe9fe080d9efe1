//===- Passes.td - From train to plan ----------------------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONVERSION_TRAINTOPLAN_PASSES_TD
#define FTC_CONVERSION_TRAINTOPLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertTrainToPlanPass : Pass<"convert-train-to-plan", "::mlir::ModuleOp"> {
  let summary = "turns the graph of each entry into launches over buffers";
  let description = [{
    Variables become `plan.variable`, entries `plan.entry`. Each op of an entry, or each `train.fused` group, becomes one
    launch of a kernel (a few need a second small one that adds partial sums up); kernels with the same body are one symbol.

    Values get a buffer each, with three exceptions that save memory and change no result:
    - what `train.write` writes is computed straight into the variable where every read of the old value is over by then, or
      happens in the same row of the same kernel; else it is copied at the end of the entry;
    - a row-wise kernel writes a result over an operand of the same type that nothing reads afterwards;
    - the gradient of an embedding is added onto its base where the base is not needed any more.

    A far variable stays one, used as if it were near: see `plan-stream-far-variables`. `train.offload` begins a copy into a
    far buffer, `train.prefetch` one out of it; waits stand before the first reader, and where a copy out is estimated to be
    over.

    Buffers that hold the gradient of a parameter carry `plan.gradient`, for the memory table.

    A sum over rows keeps a partial sum for each task. `partial-sums` says how many a target wants side by side: with 0,
    64 at most, of tasks that are worth a thread's while; else about that many, however small the tasks. More than 64 of
    whole rows are added up in two steps.

    How many rows a task holds depends on sizes and `partial-sums` only: so does the order of every sum.

    Before:
    ```mlir
    train.variable @w : tensor<8x4xf32> parameter init #train.ones trainable
    train.entry @step kind(step) batch 2 sequence 8 inputs ["x"] outputs ["y"] {
    ^bb0(%x: tensor<16x4xf32>):
      %w = train.read @w : tensor<8x4xf32>
      %y = train.matmul %x, %w transpose_b : tensor<16x4xf32>, tensor<8x4xf32> -> tensor<16x8xf32>
      train.return %y : tensor<16x8xf32>
    }
    ```
    After:
    ```mlir
    plan.variable @w : memref<8x4xf32> parameter init #train.ones trainable
    plan.kernel @matmul_nt_16x8x4 { ... }
    plan.entry @step kind(step) batch 2 sequence 8 flops 1.024e+03 {
      %0 = plan.input "x" : memref<16x4xf32>
      %1 = plan.get @w : memref<8x4xf32>
      %2 = plan.alloc "matmul" : memref<16x8xf32>
      plan.launch @matmul_nt_16x8x4(%0, %1, %2) "matmul" : memref<16x4xf32>, memref<8x4xf32>, memref<16x8xf32>
      plan.output "y", %2 : memref<16x8xf32>
    }
    ```
  }];
  let options = [Option<"partialSums", "partial-sums", "int64_t", "0",
                        "partial sums of a reduction over rows that run side by side; 0: 64 at most, of large tasks">];
  let dependentDialects = ["::ftc::plan::PlanDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

#endif

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

    How many rows a task holds depends on sizes only: so does the order of every sum.
  }];
  let dependentDialects = ["::ftc::plan::PlanDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

#endif

//===- Passes.td - Passes over the plan dialect ------------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_TRANSFORMS_PASSES_TD
#define FTC_PLAN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanAssignOffsetsPass : Pass<"plan-assign-offsets", "::mlir::ModuleOp"> {
  let summary = "gives every buffer a slab and an offset";
  let description = [{
    One slab, `@near`, and one more, `@far`, where there are buffers of the far tier. In each: variables first (parameters,
    states, constants), each at a multiple of `alignment` bytes (far: 4096); after them one transient region that all entries share,
    since they never run at the same time. In it, buffers of an entry that are live at the same moment (a launch, a copy or a
    wait; a copy uses its buffers until somebody waits for it) get disjoint places (greedy best fit, see ftc/Planning/Offsets.h). `plan.alloc` becomes
    `plan.view`; variables and inputs get their `at`.

    Each entry records `plan.transient_bytes`, the bound below which no assignment can go (`plan.transient_bound`) and the launch
    where the most bytes are live (`plan.peak_launch`); with far buffers also `plan.far_transient_bytes`. One remark a place is emitted in the category `memory`.

    Before:

    ```mlir
    plan.variable @w : memref<16x4xf32> parameter init #train.zeros
    plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
      %w = plan.get @w : memref<16x4xf32>
      %x = plan.input "x" : memref<16x4xf32>
      %t = plan.alloc "t" : memref<16x4xf32>
      %y = plan.alloc "y" : memref<16x4xf32>
      plan.launch @copy_16x4(%x, %t) "t" : memref<16x4xf32>, memref<16x4xf32>
      plan.launch @copy_16x4(%t, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
      plan.launch @copy_16x4(%y, %w) "write w" : memref<16x4xf32>, memref<16x4xf32>
      plan.output "y", %y : memref<16x4xf32>
    }
    ```

    After: `y` takes the place of `x`, which nobody reads any more.

    ```mlir
    plan.slab @near bytes 768 alignment 64
    plan.variable @w : memref<16x4xf32> parameter init #train.zeros at @near[0]
    plan.entry @step kind(step) batch 1 sequence 16 flops 0.0
        attributes {plan.peak_launch = "t", plan.transient_bound = 512 : i64, plan.transient_bytes = 512 : i64} {
      %w = plan.get @w : memref<16x4xf32>
      %x = plan.input "x" : memref<16x4xf32> at @near[256]
      %t = plan.view @near[512] "t" : memref<16x4xf32>
      %y = plan.view @near[256] "y" : memref<16x4xf32>
      plan.launch @copy_16x4(%x, %t) "t" : memref<16x4xf32>, memref<16x4xf32>
      plan.launch @copy_16x4(%t, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
      plan.launch @copy_16x4(%y, %w) "write w" : memref<16x4xf32>, memref<16x4xf32>
      plan.output "y", %y : memref<16x4xf32>
    }
    ```
  }];
  let options = [Option<"alignment", "alignment", "unsigned", "64", "bytes to which near buffers are aligned">];
  let dependentDialects = ["::ftc::plan::PlanDialect"];
}

def PlanVerifyPass : Pass<"plan-verify", "::mlir::ModuleOp"> {
  let summary = "proves that the plan is all the memory there is";
  let description = [{
    Fails unless
    - entries hold nothing but buffers, launches, copies, waits and outputs, and kernels nothing that could allocate;
    - kernels stay inside of their buffers, and in parallel `plan.rows` no task writes what another one reads or writes, nor
      does a row load from a buffer behind a store to it; a product or attention reads nothing that it writes, but for an
      extra that is c;
    - every launch names a kernel and fits it: as many buffers, each with the element type and the number of elements of the
      argument (the shape may differ);
    - a launch passes a buffer that its kernel writes only once, except where each row is read and written by the same row of a
      parallel `plan.rows`, or where it is c and an extra of a product;
    - constants, parameters that are not `trainable`, weights of a teacher or a reference and quantized ones are written by
      nobody, and no variable is where an entry does not train (`evaluate`, `logits`);
    - every buffer has a place (no `plan.alloc` is left): a slab of the module, inside its bytes, at a multiple of its
      alignment, which is one of the bytes of an element;
    - inputs of an entry have names of their own, and so have outputs;
    - no two buffers overlap that are live at the same time: variables always are, transient buffers of an entry during their
      launches, inputs from the start, outputs to the end;
    - every buffer that a launch or a copy reads, or that the host reads afterwards, was written before, every byte of it: by
      the host (inputs, variables), by an earlier launch or by an earlier copy;
    - launches, inputs and outputs use near memory only, and copies go from one tier to the other;
    - from a copy to the wait for its event nobody writes its source and nobody reads or writes its target, another copy
      included; every copy is waited for.

    Not proven is that launches compute what they should: one that changes its buffer in place may be missing, or be there twice.
    Nor are places that depend on data, such as the row of a table that an id names: they are taken to be inside, and where they are
    stored to, to be all and each another.

    Nothing changes: behind this pass is what was in front of it, proven. In a plan that does not pass,

    ```mlir
    %t = plan.view @near[512] "t" : memref<16x4xf32>
    %y = plan.view @near[512] "y" : memref<16x4xf32>
    plan.launch @copy_16x4(%x, %t) "t" : memref<16x4xf32>, memref<16x4xf32>
    plan.launch @copy_16x4(%t, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
    ```

    the second view has the error `buffer "y" overlaps buffer "t" in bytes 512 to 768 while both are live`, and a note is at
    the first.
  }];
}

def PlanStreamFarVariablesPass : Pass<"plan-stream-far-variables", "::mlir::ModuleOp"> {
  let summary = "puts near buffers between far variables and the launches that use them";
  let description = [{
    Paged optimizer states. A launch that uses a variable of the far tier gets near buffers instead: copied in some launches
    ahead, copied out behind, so that the copies run beside the launches. Near memory holds a few such buffers at a time,
    however large the variables are.

    A kernel whose rows are independent (`plan.rows` in parallel, which uses the number of a row for nothing but to find its
    place) is launched in parts of about `part-bytes` of each far variable, or a 2048th of all far variables where that is
    more (a plan of a hundred thousand small copies helps nobody), a multiple of `per_task` rows. Rows are computed as
    before, so no bit changes. Other kernels get whole buffers.

    Parts are numbered in the order of their launches. The copies in of part n begin before part n - `ahead`, its copies out
    are waited for before part n + `ahead`: at most 2 `ahead` parts have near buffers at once. A part whose variable an
    earlier part writes waits for that one first. Without a far variable the pass does nothing. A launch that does not fit its
    kernel, or uses a far buffer that is no variable, is an error. Each variable is told as a
    remark with the bytes that leave near memory and the microseconds that the link is busy with it.

    Before:

    ```mlir
    plan.variable @w.exp_avg : memref<512x64xf32> state init #train.zeros far
    %w = plan.get @w : memref<512x64xf32>
    %m = plan.get @w.exp_avg : memref<512x64xf32>
    plan.launch @sgd_512x64(%w, %g, %m) "w" : memref<512x64xf32>, memref<512x64xf32>, memref<512x64xf32>
    ```

    After (`part-bytes=65536 ahead=1`):

    ```mlir
    %m0 = plan.slice %m[0] : memref<512x64xf32> to memref<256x64xf32>
    %n0 = plan.alloc "w.exp_avg" : memref<256x64xf32>
    %e0 = plan.copy_in %m0 to %n0 : memref<256x64xf32>
    plan.wait %e0
    %m1 = plan.slice %m[256] : memref<512x64xf32> to memref<256x64xf32>
    %n1 = plan.alloc "w.exp_avg" : memref<256x64xf32>
    %e1 = plan.copy_in %m1 to %n1 : memref<256x64xf32>
    %w0 = plan.slice %w[0] : memref<512x64xf32> to memref<256x64xf32>
    %g0 = plan.slice %g[0] : memref<512x64xf32> to memref<256x64xf32>
    plan.launch @sgd_512x64_rows256(%w0, %g0, %n0) "w" : memref<256x64xf32>, memref<256x64xf32>, memref<256x64xf32>
    %o0 = plan.copy_out %n0 to %m0 : memref<256x64xf32>
    ...
    plan.wait %o0
    plan.wait %e1
    plan.launch @sgd_512x64_rows256(%w1, %g1, %n1) "w" : ...
    %o1 = plan.copy_out %n1 to %m1 : memref<256x64xf32>
    plan.wait %o1
    ```
  }];
  let options = [Option<"partBytes", "part-bytes", "int64_t", "1 << 20", "bytes of a far variable that a launch gets at once">,
                 Option<"ahead", "ahead", "int64_t", "4", "launches between a copy and the launch that it is for">];
  let dependentDialects = ["::ftc::plan::PlanDialect"];
}

def PlanSplitLaunchesPass : Pass<"plan-split-launches", "::mlir::ModuleOp"> {
  let summary = "makes an entry of each launch and each copy";
  let description = [{
    For two targets that compute one plan and are compared launch by launch (`ftc compile --by-launch`). An entry's launches
    become entries `ENTRY.0`, `ENTRY.1` and so on, each with the buffers of its launch; `plan.part_of` names the entry that they
    are of. A copy of the far tier and the wait for it are one of them. Entries that are such parts already stay as they
    are. Outputs are not named any more: a host that runs launches one by one looks at what they write.

    Before:

    ```mlir
    plan.entry @step kind(step) batch 1 sequence 16 flops 1.0e3 {
      %x = plan.input "x" : memref<16x4xf32> at @near[256]
      %t = plan.view @near[512] "t" : memref<16x4xf32>
      %y = plan.view @near[256] "y" : memref<16x4xf32>
      plan.launch @copy_16x4(%x, %t) "t" : memref<16x4xf32>, memref<16x4xf32>
      plan.launch @copy_16x4(%t, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
      plan.output "y", %y : memref<16x4xf32>
    }
    ```

    After:

    ```mlir
    plan.entry @step.0 kind(step) batch 1 sequence 16 flops 0.0 attributes {plan.part_of = "step"} {
      %x = plan.input "x" : memref<16x4xf32> at @near[256]
      %t = plan.view @near[512] "t" : memref<16x4xf32>
      plan.launch @copy_16x4(%x, %t) "t" : memref<16x4xf32>, memref<16x4xf32>
    }
    plan.entry @step.1 kind(step) batch 1 sequence 16 flops 0.0 attributes {plan.part_of = "step"} {
      %t = plan.view @near[512] "t" : memref<16x4xf32>
      %y = plan.view @near[256] "y" : memref<16x4xf32>
      plan.launch @copy_16x4(%t, %y) "y" : memref<16x4xf32>, memref<16x4xf32>
    }
    ```
  }];
  let dependentDialects = ["::ftc::plan::PlanDialect"];
}

#endif

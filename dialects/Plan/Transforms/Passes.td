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
    One slab, `@near`: variables first (parameters, states, constants), each at a multiple of 64 bytes; after them one
    transient region that all entries share, since they never run at the same time. In it, buffers of an entry that are live
    at the same launch get disjoint places (greedy best fit, see ftc/Planning/Offsets.h). `plan.alloc` becomes
    `plan.view`; variables and inputs get their `at`.

    Each entry records `plan.transient_bytes`, the bound below which no assignment can go (`plan.transient_bound`) and the launch
    where the most bytes are live (`plan.peak_launch`). One remark a place is emitted in the category `memory`.
  }];
  let dependentDialects = ["::ftc::plan::PlanDialect"];
}

def PlanVerifyPass : Pass<"plan-verify", "::mlir::ModuleOp"> {
  let summary = "proves that the plan is all the memory there is";
  let description = [{
    Fails unless
    - entries hold nothing but buffers, launches and outputs, and kernels nothing that could allocate;
    - every launch names a kernel and fits it: as many buffers, each with the element type and the number of elements of the
      argument (the shape may differ);
    - a launch passes a buffer that its kernel writes only once, except where each row is read and written by the same row of a
      parallel `plan.rows`, or where it is c and an extra of a product; it writes no constant;
    - every buffer has a place (no `plan.alloc` is left): a slab of the module, inside its bytes, at a multiple of its alignment;
    - no two buffers overlap that are live at the same time: variables always are, transient buffers of an entry during their
      launches, inputs from the start, outputs to the end;
    - every buffer that a launch reads, or that the host reads afterwards, was written before: by the host (inputs, variables)
      or by an earlier launch.
  }];
}

#endif

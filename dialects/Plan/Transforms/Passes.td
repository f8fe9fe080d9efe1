//===- Passes.td - Passes over the plan dialect ------------------*- tablegen -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_TRANSFORMS_PASSES_TD
#define FTC_PLAN_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

#endif

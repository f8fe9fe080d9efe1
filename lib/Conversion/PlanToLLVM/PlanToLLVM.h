//===- PlanToLLVM.h - Entries of a plan as functions --------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_PLANTOLLVM_PLANTOLLVM_H
#define FTC_LIB_CONVERSION_PLANTOLLVM_PLANTOLLVM_H

#include "mlir/Pass/Pass.h"

namespace ftc {

/// Attribute of a module of plan ops, tensor<Nxi8>: the manifest's bytes, which convert-plan-to-llvm puts into the
/// step.
inline constexpr const char manifestAttrName[] = "plan.manifest";

/// Globals, arrays of ftrt_module, ftrt_kernel, ftrt_matmul and ftrt_attention, that a target for a device leaves in
/// the module.
inline constexpr const char modulesName[] = "step.modules", kernelsName[] = "step.kernels",
                            productsName[] = "step.products", attentionsName[] = "step.attentions";

/// Attribute (i32) of a module whose drivers record events themselves: they have the numbers below this one.
inline constexpr const char driverEventsAttrName[] = "step.driver_events";

#define GEN_PASS_DECL
#include "lib/Conversion/PlanToLLVM/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "lib/Conversion/PlanToLLVM/Passes.h.inc"

} // namespace ftc

#endif // FTC_LIB_CONVERSION_PLANTOLLVM_PLANTOLLVM_H

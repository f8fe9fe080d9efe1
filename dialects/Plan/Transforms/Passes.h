//===- Passes.h - Passes over the plan dialect ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_TRANSFORMS_PASSES_H
#define FTC_PLAN_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace ftc::plan {

/// Attribute (string) of an entry that plan-split-launches has made: the entry whose launch or copy it is.
inline constexpr const char partOfAttrName[] = "plan.part_of";

#define GEN_PASS_DECL
#include "dialects/Plan/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "dialects/Plan/Transforms/Passes.h.inc"

} // namespace ftc::plan

#endif // FTC_PLAN_TRANSFORMS_PASSES_H

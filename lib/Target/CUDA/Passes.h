//===- Passes.h - Passes of the CUDA target ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_PASSES_H
#define FTC_LIB_TARGET_CUDA_PASSES_H

#include "mlir/Pass/Pass.h"

namespace ftc {

#define GEN_PASS_DECL
#include "lib/Target/CUDA/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "lib/Target/CUDA/Passes.h.inc"

} // namespace ftc

#endif // FTC_LIB_TARGET_CUDA_PASSES_H

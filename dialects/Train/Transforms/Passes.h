//===- Passes.h - Passes over the train dialect -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_TRANSFORMS_PASSES_H
#define FTC_TRAIN_TRANSFORMS_PASSES_H

#include "dialects/Train/IR/Train.h"

#include "mlir/Pass/Pass.h"

#include <memory>

namespace ftc::train {

#define GEN_PASS_DECL
#include "dialects/Train/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "dialects/Train/Transforms/Passes.h.inc"

} // namespace ftc::train

#endif // FTC_TRAIN_TRANSFORMS_PASSES_H

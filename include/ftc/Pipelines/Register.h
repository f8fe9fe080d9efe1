//===- Register.h - Every dialect and pass of ftc -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PIPELINES_REGISTER_H
#define FTC_PIPELINES_REGISTER_H

#include "mlir/IR/DialectRegistry.h"

namespace ftc {

/// Dialects that appear between a recipe and a step.so.
void registerDialects(mlir::DialectRegistry &registry);

/// Every pass, under its name, for ftc-opt.
void registerPasses();

/// ftc's own order of passes, for ftc-opt: train-pipeline and plan-pipeline.
void registerPipelines();

} // namespace ftc

#endif // FTC_PIPELINES_REGISTER_H

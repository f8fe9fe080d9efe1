//===- Messages.h - MLIR's diagnostics as ours --------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_MESSAGES_H
#define FTC_LIB_PIPELINES_MESSAGES_H

#include "ftc/Support/Diagnostics.h"

#include "mlir/IR/Diagnostics.h"

namespace ftc {

/// An error or a warning of MLIR's, with the name that its location carries before the text, and the place in a file
/// where it has one.
Diagnostic fromMlir(mlir::Diagnostic &message);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_MESSAGES_H

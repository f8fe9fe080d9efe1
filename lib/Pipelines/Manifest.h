//===- Manifest.h - What a step tells its host --------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_MANIFEST_H
#define FTC_LIB_PIPELINES_MANIFEST_H

#include "ftc/Analysis/PlanMemory.h"
#include "ftc/Target/TargetBackend.h"
#include "lib/Pipelines/Remarks.h"

namespace ftc {

/// A decision that a pass told.

/// The manifest (lib/Schema/manifest.fbs) of a module of plan ops whose buffers have their places. Fails, with an error
/// on the op, where something has no place or no known initialization.
mlir::FailureOr<std::string> buildManifest(mlir::ModuleOp module, const TargetDescription &target,
                                           const MemoryTable &memory, const std::string &recipeYaml,
                                           llvm::ArrayRef<RemarkRecord> remarks);

/// The same as JSON, for people; contents of constants are left out.
std::string manifestAsJson(llvm::StringRef manifest);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_MANIFEST_H

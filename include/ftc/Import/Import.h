//===- Import.h - Recipe to the train dialect ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_IMPORT_IMPORT_H
#define FTC_IMPORT_IMPORT_H

#include "ftc/Config/Recipe.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace ftc {

/// Which entries a step gets besides `step`.
struct ImportOptions {
  bool evaluate = true;
  bool logits = true;
  bool shorterRows = true; ///< entries for all of Recipe::sequenceLengths, not for the longest alone
};

/// Builds the forward graphs of a recipe's entries, with variables under their Hugging Face names. The `step` entry
/// ends in train.loss, and so does `micro`, which recipes with gradient accumulation get; no gradients yet. The module
/// keeps the optimizer as `train.optimizer`, clipping as `train.clip_grad_norm` and LoRA as `train.adapters`, for the
/// passes that lower them. Loads the dialects it needs into `context`.
mlir::OwningOpRef<mlir::ModuleOp> importRecipe(mlir::MLIRContext &context, const Recipe &recipe,
                                               const ImportOptions &options = {});

} // namespace ftc

#endif // FTC_IMPORT_IMPORT_H

//===- Messages.cpp - MLIR's diagnostics as ours -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Messages.h"

#include "mlir/IR/Location.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

ftc::Diagnostic ftc::fromMlir(mlir::Diagnostic &message) {
  ftc::Diagnostic own;
  own.severity = message.getSeverity() == DiagnosticSeverity::Error ? Severity::Error : Severity::Warning;
  Location place = message.getLocation();
  llvm::raw_string_ostream stream(own.message);
  if (auto named = dyn_cast<NameLoc>(place))
    stream << named.getName().getValue() << ": ";
  stream << message;
  if (auto file = place->findInstanceOf<FileLineColLoc>()) {
    own.file = file.getFilename().str();
    own.line = static_cast<int>(file.getLine());
    own.column = static_cast<int>(file.getColumn());
  }
  return own;
}

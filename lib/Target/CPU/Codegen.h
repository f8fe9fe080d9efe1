//===- Codegen.h - Machine code and shared objects ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_CODEGEN_H
#define FTC_LIB_TARGET_CPU_CODEGEN_H

#include "lib/Target/CPU/CpuTarget.h"

#include "mlir/IR/BuiltinOps.h"

namespace ftc::cpu {

/// Optimized LLVM IR of a module of the llvm dialect, as text. Failures are reported on the module.
mlir::FailureOr<std::string> emitLLVMText(mlir::ModuleOp module, const CpuTarget &target);

/// A relocatable ELF object. Failures are reported on the module.
mlir::FailureOr<std::string> emitObject(mlir::ModuleOp module, const CpuTarget &target);

/// One relocatable object with the contents of several.
mlir::FailureOr<std::string> mergeObjects(mlir::Location loc, llvm::ArrayRef<llvm::StringRef> objects);

/// Links an object into a shared object that needs nothing: no library, no symbol. An undefined symbol is an error that
/// names it. Same object, same bytes.
mlir::FailureOr<std::string> linkShared(mlir::Location loc, llvm::StringRef object);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_CODEGEN_H

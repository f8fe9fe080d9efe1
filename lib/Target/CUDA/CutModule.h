//===- CutModule.h - Device code in pieces -------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_CUTMODULE_H
#define FTC_LIB_TARGET_CUDA_CUTMODULE_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/ADT/StringMap.h"

namespace ftc::cuda {

/// Cuts a module of kernels into `most` modules, or fewer where there is little code. The first is `module` itself, the
/// others stand behind it. Returns in which of them, in this order, each function is.
llvm::StringMap<uint32_t> cutModule(mlir::gpu::GPUModuleOp module, size_t most);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_CUTMODULE_H

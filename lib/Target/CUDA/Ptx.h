//===- Ptx.h - GPU modules to PTX -------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_PTX_H
#define FTC_LIB_TARGET_CUDA_PTX_H

#include "lib/Target/CUDA/CudaTarget.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace ftc::cuda {

/// LLVM's feature string for a device, e.g. "+ptx80".
std::string featuresOf(const CudaTarget &target);

/// The PTX text of each module, all in the llvm and nvvm dialects. LLVM's NVPTX backend makes it: no CUDA toolkit is
/// needed. Modules are compiled at once, and the text of each depends on that module alone. Sums and products are never
/// fused. Failures are reported on the module.
mlir::FailureOr<std::vector<std::string>> emitPtx(llvm::ArrayRef<mlir::gpu::GPUModuleOp> modules,
                                                  const CudaTarget &target);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_PTX_H

//===- CudaTarget.h - What the CUDA target knows of a GPU -------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_CUDATARGET_H
#define FTC_LIB_TARGET_CUDA_CUDATARGET_H

#include "ftc/Config/Device.h"

#include "mlir/IR/BuiltinOps.h"

namespace ftc::cuda {

/// A GPU, with what code generation takes from its device file. Nothing is asked of a driver: the same file gives the
/// same bytes.
struct CudaTarget : DeviceFile {
  static constexpr int64_t warp = 32;            ///< threads
  static constexpr unsigned slabAlignment = 256; ///< bytes: what cuBLAS asks of workspaces, and cudaMalloc gives
};

/// The GPU that a device file, or the name of a built-in one, describes. nullopt where it is unknown or wrong; `error`
/// then says so, with the place in the file.
std::optional<CudaTarget> resolveDevice(const std::string &device, std::string &error);

/// The same for a pass with option `device`: what is wrong is an error at the module.
std::optional<CudaTarget> resolveDevice(mlir::ModuleOp module, const std::string &device);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_CUDATARGET_H

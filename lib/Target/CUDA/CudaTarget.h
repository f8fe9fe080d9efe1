//===- CudaTarget.h - What the CUDA target knows of a GPU -------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_CUDATARGET_H
#define FTC_LIB_TARGET_CUDA_CUDATARGET_H

#include <cstdint>
#include <optional>
#include <string>

namespace ftc::cuda {

/// A GPU by name, with what code generation takes from it. Nothing is asked of a driver: the same name gives the same
/// bytes.
struct CudaTarget {
  std::string name;              ///< as given with --device: "a100", "h100", "h200", "b200"
  std::string chip;              ///< LLVM's name of the instruction set, e.g. "sm_90a"
  unsigned ptxVersion = 0;       ///< of the text, major * 10 + minor: the oldest that has the chip
  int64_t multiprocessors = 0;   ///< streaming multiprocessors
  int64_t sharedBytesABlock = 0; ///< most shared memory that one block can have, in bytes
  /// Planned memory that the library may use for one product, in bytes: what NVIDIA recommends for cuBLAS.
  int64_t productWorkspaceBytes = 0;
  int64_t memoryBytes = 0; ///< of the board, as nvidia-smi tells; a context and libraries take some of it

  static constexpr int64_t warp = 32;            ///< threads
  static constexpr unsigned slabAlignment = 256; ///< bytes: what cuBLAS asks of workspaces, and cudaMalloc gives
};

/// The GPU called `name`. nullopt when it is unknown; `error` then says so and names the nearest one, or all.
std::optional<CudaTarget> resolveDevice(const std::string &name, std::string &error);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_CUDATARGET_H

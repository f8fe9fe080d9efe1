//===- CudaTarget.cpp - What the CUDA target knows of a GPU ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/CudaTarget.h"

#include <vector>

using namespace ftc;

std::optional<cuda::CudaTarget> cuda::resolveDevice(const std::string &device, std::string &error) {
  std::vector<Diagnostic> diagnostics;
  if (std::optional<DeviceFile> file = readDevice(device, diagnostics))
    return CudaTarget{*file};
  const Diagnostic &first = diagnostics.front();
  error =
      (first.file.empty() ? ""
                          : first.file + ":" + std::to_string(first.line) + ":" + std::to_string(first.column) + ": ") +
      first.message;
  return std::nullopt;
}

std::optional<cuda::CudaTarget> cuda::resolveDevice(mlir::ModuleOp module, const std::string &device) {
  std::string error;
  std::optional<CudaTarget> target = resolveDevice(device, error);
  if (!target)
    module.emitError(error);
  return target;
}

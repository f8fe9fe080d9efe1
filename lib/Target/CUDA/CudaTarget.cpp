//===- CudaTarget.cpp - What the CUDA target knows of a GPU ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/CudaTarget.h"

#include "ftc/Support/Suggest.h"

#include <vector>

using namespace ftc;

// Figures: NVIDIA's CUDA programming guide, table of compute capabilities (8.0, 9.0 and 10.0), and the data sheets of
// the SXM boards. Workspaces: cuBLAS library documentation, cublasSetWorkspace (32 MiB for Hopper and later, 4 MiB
// before).
static const std::vector<cuda::CudaTarget> &devices() {
  static const std::vector<cuda::CudaTarget> table = {
      {"a100", "sm_80", 80, 108, 163 * 1024, 4 << 20, 81920ll << 20},
      {"h100", "sm_90a", 80, 132, 227 * 1024, 32 << 20, 81559ll << 20},
      {"h200", "sm_90a", 80, 132, 227 * 1024, 32 << 20, 143771ll << 20},
      {"b200", "sm_100", 86, 148, 227 * 1024, 32 << 20, 183359ll << 20}};
  return table;
}

std::optional<cuda::CudaTarget> cuda::resolveDevice(const std::string &name, std::string &error) {
  std::vector<std::string> names;
  std::string all;
  for (const CudaTarget &device : devices()) {
    if (device.name == name)
      return device;
    names.push_back(device.name);
    all += (all.empty() ? "'" : ", '") + device.name + "'";
  }
  error = "unknown device '" + name + "'; ";
  if (std::optional<std::string> near = nearest(name, names))
    error += "did you mean '" + *near + "'? ";
  error += "known are " + all;
  return std::nullopt;
}

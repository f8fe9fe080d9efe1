//===- Cubin.h - PTX to machine code of a GPU -------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_CUBIN_H
#define FTC_LIB_TARGET_CUDA_CUBIN_H

#include "lib/Target/CUDA/CudaTarget.h"

#include <optional>
#include <string>

namespace ftc::cuda {

/// Assembles PTX text for `target`: by NVIDIA's libnvJitLink in this process, or, where it is missing, by `ptxas`. Both
/// are looked for in $CUDA_HOME, where the loader and PATH look, and in /usr/local/cuda. nullopt on failure; `error`
/// then has the assembler's words, or says what to install.
std::optional<std::string> assemble(const std::string &ptx, const CudaTarget &target, std::string &error);

/// What assemble() uses, with its version: "libnvJitLink 13.0", "ptxas V13.0.88". Empty where there is neither.
const std::string &assemblerName();

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_CUBIN_H

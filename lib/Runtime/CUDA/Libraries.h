//===- Libraries.h - NVIDIA's libraries, opened at run time ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_LIBRARIES_H
#define FTC_LIB_RUNTIME_CUDA_LIBRARIES_H

#include "CudnnApi.h"

#include <string>

namespace ftc::cuda {

/// The driver (libcuda.so.1). Looked for in the folders of FTRT_CUDA_LIBS (separated by ':'), then on the loader's
/// path. Stays open until the process ends. Throws RunError(NoDevice) with the places.
const DriverFunctions &openDriver();

struct Lt {
  LtFunctions functions;
  std::string path; ///< of the file that was opened
};

/// cuBLASLt, of CUDA 13 or 12: in FTRT_CUDA_LIBS, on the loader's path, in the toolkit's folder (/usr/local/cuda), in
/// the nvidia/*/lib folders of python3's packages. Throws RunError(NoDevice) with the places.
const Lt &openLt();

struct Dnn {
  DnnFunctions functions;
  std::string path; ///< of the file that was opened
};

/// cuDNN 9, looked for where cuBLASLt is. Null where there is none that can be used; `missing` then says why. Stays
/// open until the process ends.
const Dnn *openDnn(std::string &missing);

/// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"
std::string errorText(const DriverFunctions &driver, Result result);

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_LIBRARIES_H

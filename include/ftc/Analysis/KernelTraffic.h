//===- KernelTraffic.h - What a row kernel has to move -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_KERNELTRAFFIC_H
#define FTC_ANALYSIS_KERNELTRAFFIC_H

#include "dialects/Plan/IR/Plan.h"

#include <optional>

namespace ftc {

/// Bytes that one launch of a kernel has to read from memory and to write to it, at least.
struct KernelTraffic {
  int64_t read = 0, written = 0;
  bool whole = true; ///< false: whole rows have places that depend on data, and are not counted
};

/// That of a kernel whose work is plan.rows: what its rows load and store, each place once, however many rows share it
/// (a buffer is never counted for more than its size). Places that depend on data are not counted: all rows might have
/// the same. Nullopt for other kernels.
std::optional<KernelTraffic> trafficOfRows(plan::KernelOp kernel);

} // namespace ftc

#endif // FTC_ANALYSIS_KERNELTRAFFIC_H

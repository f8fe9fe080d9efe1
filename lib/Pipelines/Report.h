//===- Report.h - The memory table as people read it --------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_REPORT_H
#define FTC_LIB_PIPELINES_REPORT_H

#include "ftc/Analysis/PlanMemory.h"

namespace ftc {

/// What, bytes and share of the total, a line each; then where the peak is and the largest buffers that live there.
std::string formatMemoryTable(const MemoryTable &table);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_REPORT_H

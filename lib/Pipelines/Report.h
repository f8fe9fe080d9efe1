//===- Report.h - The memory table as people read it --------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_REPORT_H
#define FTC_LIB_PIPELINES_REPORT_H

#include "ftc/Analysis/PlanMemory.h"
#include "ftc/Analysis/PlanWork.h"

namespace ftc {

/// What, bytes and share of the total, a line each; then that it fits into `most` bytes, those of `owner` (nothing
/// where it does not, or where 0 are known), where the peak is, and the largest buffers that live there.
std::string formatMemoryTable(const MemoryTable &table, int64_t most, const std::string &owner);

/// What a step of so many tokens (padding with them) computes, moves and copies, a line each; with the name of a device
/// whose rates `work` was added up for, how long that takes at best.
std::string formatWork(const PlanWork &work, int64_t tokens, llvm::StringRef device);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_REPORT_H

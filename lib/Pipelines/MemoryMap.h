//===- MemoryMap.h - A plan's buffers over time, as a page ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_MEMORYMAP_H
#define FTC_LIB_PIPELINES_MEMORYMAP_H

#include "ftc/Analysis/PlanMap.h"

namespace ftc {

/// An HTML page on its own that draws the map: offsets up, moments to the right. It opens at the entry called `start`.
std::string memoryMapPage(const PlanMap &map, llvm::StringRef start);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_MEMORYMAP_H

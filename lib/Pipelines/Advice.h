//===- Advice.h - What would make a step fit -----------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_ADVICE_H
#define FTC_LIB_PIPELINES_ADVICE_H

#include "ftc/Analysis/PlanMemory.h"
#include "ftc/Pipelines/Pipeline.h"

namespace ftc {

/// What a person can change in `recipe`, whose step is larger than `budget` bytes, so that it fits: overrides as they
/// are written on the command line, each with the bytes that the step then takes. Every answer was planned. Changes
/// that cost little come first; where no single one is enough, they are joined in that order until they are. `memory`:
/// of the step as it is.
std::string adviceToFit(const Recipe &recipe, const CompileOptions &options, int64_t budget, const MemoryTable &memory);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_ADVICE_H

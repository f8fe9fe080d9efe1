//===- Stages.h - The order of passes, as lists -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each level's passes in their order, under the names by which --dump-ir, --timing and a crash call them. The compiler
// runs them one by one, since between two of them it may stop, search or write a file; ftc-opt has the same lists as
// pipelines (Register.h).
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_PIPELINES_STAGES_H
#define FTC_LIB_PIPELINES_STAGES_H

#include "ftc/Target/TargetBackend.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ftc {

/// The CPU's backend; where a `device` is named, that GPU's, beside a host that "native" leaves open: it only queues
/// work, and nothing is won by what this machine's CPU may have beyond others. Null, with an `error`, for a name that
/// is not known.
std::unique_ptr<TargetBackend> createBackend(const std::string &device, const std::string &cpu, unsigned threads,
                                             std::string &error);

/// Some passes that are one step of compilation: usually one.
struct PassStage {
  const char *name;
  std::function<void(mlir::OpPassManager &)> add;
};

/// From forward graphs up to what is computed again and what is held: what a search for room does not change.
/// `pairsProducts`: as the target does.
std::vector<PassStage> firstTrainStages(bool pairsProducts);

/// The rest of the passes over `train`.
std::vector<PassStage> lastTrainStages();

/// From `train` to a plan for `backend`, which plan-verify then proves; what `host`, if there is one, needs is planned
/// too.
std::vector<PassStage> planStages(const TargetBackend &backend, const TargetBackend *host);

} // namespace ftc

#endif // FTC_LIB_PIPELINES_STAGES_H

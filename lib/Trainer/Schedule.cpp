//===- Schedule.cpp - The learning rate of a step --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/Schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ftc {

double learningRate(const SchedulerConfig &scheduler, double peak, uint64_t step, uint64_t totalSteps) {
  if (scheduler.kind == SchedulerConfig::Kind::Constant)
    return peak;
  const double done = static_cast<double>(step - 1);
  const double warmup = static_cast<double>(scheduler.numWarmupSteps);
  if (done < warmup)
    return peak * (done / std::max(1.0, warmup));
  const double progress = (done - warmup) / std::max(1.0, static_cast<double>(totalSteps) - warmup);
  return peak * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * scheduler.numCycles * 2.0 * progress)));
}

} // namespace ftc

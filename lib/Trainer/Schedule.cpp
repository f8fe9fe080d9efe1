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

/// From 0 to 1, or from 1 to 0 where it goes `down`, as `progress` goes from 0 to 1.
static double alongCurve(SchedulerConfig::Curve curve, double progress, bool down, double numCycles) {
  switch (curve) {
  case SchedulerConfig::Curve::Linear:
    return down ? 1.0 - progress : progress;
  case SchedulerConfig::Curve::Cosine:
    return down ? 0.5 * (1.0 + std::cos(std::numbers::pi * numCycles * 2.0 * progress))
                : 0.5 * (1.0 - std::cos(std::numbers::pi * progress));
  case SchedulerConfig::Curve::OneMinusRoot:
    return 1.0 - std::sqrt(down ? progress : 1.0 - progress);
  }
  return 0;
}

/// transformers' get_wsd_schedule: the share of the peak after `done` steps.
static double warmupStableDecay(const SchedulerConfig &s, double done, double total) {
  const double warmup = static_cast<double>(s.numWarmupSteps), decay = static_cast<double>(s.numDecaySteps);
  const double stable = s.numStableSteps ? static_cast<double>(*s.numStableSteps) : total - warmup - decay;
  double share = 0;
  if (done < warmup)
    share = alongCurve(s.warmupCurve, done / std::max(1.0, warmup), false, 0);
  else if (done < warmup + stable)
    return 1;
  else if (done < warmup + stable + decay)
    share = alongCurve(s.decayCurve, (done - warmup - stable) / std::max(1.0, decay), true, s.numCycles);
  return std::max(0.0, share * (1.0 - s.minLrRate) + s.minLrRate);
}

double learningRate(const SchedulerConfig &scheduler, double peak, uint64_t step, uint64_t totalSteps) {
  using Kind = SchedulerConfig::Kind;
  if (scheduler.kind == Kind::Constant)
    return peak;
  const double done = static_cast<double>(step - 1), total = static_cast<double>(totalSteps);
  if (scheduler.kind == Kind::WarmupStableDecay)
    return peak * warmupStableDecay(scheduler, done, total);
  const double warmup = static_cast<double>(scheduler.numWarmupSteps);
  if (done < warmup)
    return peak * (done / std::max(1.0, warmup));
  const double progress = (done - warmup) / std::max(1.0, total - warmup);
  const auto wave = [](double angle) { return 0.5 * (1.0 + std::cos(angle)); };
  switch (scheduler.kind) {
  case Kind::Constant:
  case Kind::WarmupStableDecay:
  case Kind::ConstantWithWarmup:
    return peak;
  case Kind::LinearWithWarmup:
    return peak * std::max(0.0, (total - done) / std::max(1.0, total - warmup));
  case Kind::CosineWithWarmup: {
    const double low = !scheduler.minLr ? scheduler.minLrRate : peak > 0 ? *scheduler.minLr / peak : 0;
    return peak * std::max(0.0, wave(std::numbers::pi * scheduler.numCycles * 2.0 * progress) * (1.0 - low) + low);
  }
  case Kind::HardRestarts:
    return progress >= 1.0
               ? 0.0
               : peak * std::max(0.0, wave(std::numbers::pi * std::fmod(scheduler.numCycles * progress, 1.0)));
  case Kind::Polynomial:
    if (done > total)
      return scheduler.lrEnd;
    return (peak - scheduler.lrEnd) * std::pow(1.0 - progress, scheduler.power) + scheduler.lrEnd;
  }
  return peak;
}

} // namespace ftc

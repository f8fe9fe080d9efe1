//===- Schedule.h - The learning rate of a step ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_SCHEDULE_H
#define FTC_TRAINER_SCHEDULE_H

#include "ftc/Config/Recipe.h"

#include <cstdint>

namespace ftc {

/// The learning rate of update `step` (counts from 1) of a run of `totalSteps` updates.
///
/// Cosine with warm-up is torchtune's get_cosine_schedule_with_warmup: with s = step - 1 and w warm-up steps,
/// lr * s / max(1, w) while s < w, then lr * max(0, (1 + cos(2 pi cycles (s - w) / max(1, totalSteps - w))) / 2). So
/// with warm-up the first update has learning rate 0.
///
/// The others are the functions of transformers (5.23) that SchedulerConfig names, at current_step = step - 1 and
/// num_training_steps = totalSteps.
double learningRate(const SchedulerConfig &scheduler, double peak, uint64_t step, uint64_t totalSteps);

} // namespace ftc

#endif // FTC_TRAINER_SCHEDULE_H

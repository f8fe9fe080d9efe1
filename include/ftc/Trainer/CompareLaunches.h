//===- CompareLaunches.h - Two targets compared launch by launch -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_COMPARELAUNCHES_H
#define FTC_TRAINER_COMPARELAUNCHES_H

#include "ftc/Trainer/Trainer.h"

namespace ftc {

/// Runs each launch of `options.step` on the operands that the launches of `options.against` before it have left, and
/// compares what both write (ftc/Runtime/CompareBuffers.h). Both are made by `ftc compile --by-launch` of one plan; the
/// second runs on the host. Inputs are random tokens in several documents, weights those of `options.seed`. Prints what
/// differs, and how far the others are apart at most. Throws RunError: StepFailed where a launch differs or fails,
/// Unsupported for steps of other kinds or of two plans, and what opening a step throws.
ExitCode compareLaunches(const RunOptions &options);

} // namespace ftc

#endif // FTC_TRAINER_COMPARELAUNCHES_H

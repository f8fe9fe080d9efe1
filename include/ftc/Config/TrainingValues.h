//===- TrainingValues.h - What of a recipe decides an update -----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_TRAININGVALUES_H
#define FTC_CONFIG_TRAININGVALUES_H

#include "ftc/Config/Recipe.h"

#include <map>
#include <string>

namespace ftc {

/// The values that decide what an update is, by key ("optimizer.betas", "dtype"), as Recipe::normalizedYaml has them:
/// what a run has in common with the one that it goes on from, unless somebody wants it otherwise.
std::map<std::string, std::string> trainingValues(const Recipe &recipe);

} // namespace ftc

#endif // FTC_CONFIG_TRAININGVALUES_H

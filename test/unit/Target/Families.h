//===- Families.h - Small models of several families ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_FAMILIES_H
#define FTC_TEST_UNIT_TARGET_FAMILIES_H

#include "ftc/Config/Recipe.h"

namespace ftc::test {

/// Three layers of Gemma 2 with rows longer than the window, and caps that scores and logits come close to.
inline void makeGemma2(Recipe &recipe) {
  ModelConfig &model = recipe.model;
  model.architecture = ModelArchitecture::Gemma2;
  model.numLayers = 3;
  model.numKvHeads = 1;
  model.normEps = 1e-6;
  model.attentionCap = model.logitsCap = 2;
  model.slidingWindow = 5;
  model.queryScalar = 6;
}

/// Three layers of Gemma 3: a window and rotary tables of their own in the first two, divided positions in the third.
inline void makeGemma3(Recipe &recipe) {
  ModelConfig &model = recipe.model;
  model.architecture = ModelArchitecture::Gemma3;
  model.numLayers = 3;
  model.normEps = 1e-6;
  model.qkNorm = true;
  model.slidingWindow = 5;
  model.windowPattern = 3;
  model.ropeBase = 1e6;
  model.localRopeBase = 1e4;
  model.ropeScaling = linearScaling(8);
  model.queryScalar = 6;
}

/// OLMo 2: norms behind each block alone, and over all heads of queries and of keys.
inline void makeOlmo2(Recipe &recipe) {
  recipe.model.architecture = ModelArchitecture::Olmo2;
  recipe.model.qkNorm = true;
  recipe.model.tiedEmbeddings = false;
}

/// Granite, with factors that are no powers of two.
inline void makeGranite(Recipe &recipe) {
  ModelConfig &model = recipe.model;
  model.architecture = ModelArchitecture::Granite;
  model.embeddingFactor = 3;
  model.residualFactor = 0.4;
  model.scoreFactor = 0.15;
  model.logitsDivisor = 2.5;
}

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_FAMILIES_H

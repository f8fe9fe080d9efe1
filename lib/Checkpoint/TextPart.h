//===- TextPart.h - The text part of a model that reads images ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step knows the text part of such a model (ftc/Config/Multimodal.h) as a model by itself, and so it calls its
// weights. In files these stand beside those of the tower that reads images and of the projector behind it, under one
// of two names: transformers has renamed the modules (4.52), and opens both.
//
//   a step               files since the first release     files with the modules' own names
//   model.layers.0…      language_model.model.layers.0…    model.language_model.layers.0…
//   lm_head.weight       language_model.lm_head.weight     lm_head.weight
//                        vision_tower.…                    model.vision_tower.…
//                        multi_modal_projector.…           model.multi_modal_projector.…
//
// Of a Qwen2.5-VL the first are model.layers.0… and visual.…
//
// What is written keeps the names of the files that a run started from, and their other tensors, byte for byte.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_TEXTPART_H
#define FTC_LIB_CHECKPOINT_TEXTPART_H

#include "ftc/Config/Multimodal.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// The kind of models that a config.json describes, if their text part is of `model`'s architecture; else null.
const MultimodalFamily *multimodalOf(const nlohmann::json &config, const ModelConfig &model);

/// A step's name for a weight, or an adapter's tensor, of the text part; any other name as it is.
std::string nameInTextPart(std::string_view name);

/// The name that transformers' modules give to what a step calls `name`.
std::string nameAroundTextPart(std::string_view name);

/// Whether a name in a file is that of a tensor beside the text part.
bool isBesideTextPart(std::string_view name);

/// The text part of a config.json as that of a model by itself, of type `type`. What transformers takes for keys that
/// are missing there, and only there, is filled in.
nlohmann::json textPartOf(const nlohmann::json &config, const MultimodalFamily &family, const char *type);

/// PEFT's target_modules: an expression for the modules with these last words in the text part, and not in the tower,
/// which may have some of the same.
std::string targetsInTextPart(const std::vector<std::string> &words);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_TEXTPART_H

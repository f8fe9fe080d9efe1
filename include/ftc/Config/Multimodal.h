//===- Multimodal.h - Models of text and images ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Some models of ours are also part of larger ones, which read images too: their config.json has a `text_config`, and
// their weights other names and more tensors. The text part is trained by itself; what there is besides stays what it
// is.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_MULTIMODAL_H
#define FTC_CONFIG_MULTIMODAL_H

#include "ftc/Config/Recipe.h"

#include <span>
#include <string_view>
#include <utility>

namespace ftc {

/// A kind of such models, in transformers' words.
struct MultimodalFamily {
  const char *type;     ///< model_type of config.json
  const char *textType; ///< model_type of its text_config
  ModelArchitecture architecture;
  const char *tower; ///< module of what reads images, inside of the model
  bool mayBeFlat;    ///< config.json may have the keys of text_config beside its own, and no such object

  /// Whether queries and keys are turned by three positions of each token (of a video, by time, height and width),
  /// which are one and the same for text.
  bool hasThreePositions() const { return architecture == ModelArchitecture::Qwen2; }
};

/// The kind of a model_type; null where there is none.
const MultimodalFamily *multimodalFamily(std::string_view type);
/// The kind whose text part is of this architecture; null where there is none.
const MultimodalFamily *multimodalFamily(ModelArchitecture architecture);

/// Sizes that transformers takes where a config.json of this architecture has none, by its keys. Empty but for Gemma 3,
/// whose models with images leave out what is as here.
std::span<const std::pair<const char *, int64_t>> usualSizes(ModelArchitecture architecture);

} // namespace ftc

#endif // FTC_CONFIG_MULTIMODAL_H

//===- Multimodal.cpp - Models of text and images -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Multimodal.h"

using namespace ftc;

static constexpr MultimodalFamily families[] = {
    {"gemma3", "gemma3_text", ModelArchitecture::Gemma3, "vision_tower", false},
    {"mistral3", "mistral", ModelArchitecture::Mistral, "vision_tower", false},
    {"qwen2_5_vl", "qwen2_5_vl_text", ModelArchitecture::Qwen2, "visual", true},
};

const MultimodalFamily *ftc::multimodalFamily(std::string_view type) {
  for (const MultimodalFamily &family : families)
    if (type == family.type)
      return &family;
  return nullptr;
}

const MultimodalFamily *ftc::multimodalFamily(ModelArchitecture architecture) {
  for (const MultimodalFamily &family : families)
    if (architecture == family.architecture)
      return &family;
  return nullptr;
}

static constexpr std::pair<const char *, int64_t> gemma3Sizes[] = {{"vocab_size", 262208},
                                                                   {"hidden_size", 2304},
                                                                   {"intermediate_size", 9216},
                                                                   {"num_hidden_layers", 26},
                                                                   {"num_attention_heads", 8},
                                                                   {"num_key_value_heads", 4},
                                                                   {"max_position_embeddings", 131072}};

std::span<const std::pair<const char *, int64_t>> ftc::usualSizes(ModelArchitecture architecture) {
  if (architecture == ModelArchitecture::Gemma3)
    return gemma3Sizes;
  return {};
}

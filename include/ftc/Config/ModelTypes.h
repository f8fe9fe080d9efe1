//===- ModelTypes.h - What config.json leaves to transformers ---*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_MODELTYPES_H
#define FTC_CONFIG_MODELTYPES_H

#include <cstdint>
#include <string_view>
#include <utility>

namespace ftc {

/// How many heads of keys and values transformers gives a model of `modelType` whose config.json does not have
/// 'num_key_value_heads'. Of all other types, and where the key is null, as many as there are heads, `heads`.
inline int64_t usualKvHeads(std::string_view modelType, int64_t heads) {
  constexpr std::pair<std::string_view, int64_t> usual[] = {{"mistral", 8},     {"qwen2", 32}, {"qwen2_5_vl_text", 8},
                                                            {"qwen3", 32},      {"gemma", 16}, {"gemma2", 4},
                                                            {"gemma3_text", 4}, {"smollm3", 4}};
  for (const auto &[type, count] : usual)
    if (type == modelType)
      return count;
  return heads;
}

} // namespace ftc

#endif // FTC_CONFIG_MODELTYPES_H

//===- Convert.h - Between floating-point formats -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_CONVERT_H
#define FTC_LIB_CHECKPOINT_CONVERT_H

#include "ftc/Checkpoint/Safetensors.h"

#include <bit>
#include <cstdint>

namespace ftc {

inline float bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

/// To nearest, ties to even. A NaN stays a NaN (quiet).
inline uint16_t floatToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float f16ToFloat(uint16_t bits);
/// To nearest, ties to even; beyond the largest finite value to infinity. A NaN stays a NaN (quiet).
uint16_t floatToF16(float value);

/// True for F32, F16, BF16.
inline bool isConvertible(TensorType type) {
  return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16;
}

/// Converts `count` elements; the arrays do not overlap. Both types are convertible.
void convertElements(const void *from, TensorType fromType, void *to, TensorType toType, int64_t count);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_CONVERT_H

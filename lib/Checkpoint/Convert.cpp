//===- Convert.cpp - Between floating-point formats -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Convert.h"

#include <cstring>

using namespace ftc;

float ftc::f16ToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
  if (exponent == 0x1F) // infinity, NaN
    return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent == 0) { // zero, subnormal: fraction · 2^-24, exact in fp32
    float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

uint16_t ftc::floatToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u)
    return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000u) // from halfway above the largest finite value, 65520
    return sign | 0x7C00;
  if (magnitude < 0x38800000u) {
    // Below 2^-14, subnormal. Adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded by the processor.
    float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3F000000u));
  }
  uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - ((127u - 15u) << 23)) >> 13);
}

void ftc::convertElements(const void *from, TensorType fromType, void *to, TensorType toType, int64_t count) {
  if (fromType == toType) {
    std::memcpy(to, from, count * typeBytes(toType));
    return;
  }
  const char *in = static_cast<const char *>(from);
  char *out = static_cast<char *>(to);
  for (int64_t i = 0; i < count; ++i) {
    float value;
    uint16_t half;
    if (fromType == TensorType::F32) {
      std::memcpy(&value, in + i * 4, 4);
    } else {
      std::memcpy(&half, in + i * 2, 2);
      value = fromType == TensorType::BF16 ? bf16ToFloat(half) : f16ToFloat(half);
    }
    if (toType == TensorType::F32) {
      std::memcpy(out + i * 4, &value, 4);
    } else {
      half = toType == TensorType::BF16 ? floatToBf16(value) : floatToF16(value);
      std::memcpy(out + i * 2, &half, 2);
    }
  }
}

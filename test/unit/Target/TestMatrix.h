//===- TestMatrix.h - Buffers of f32 or bf16 for kernel tests -----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_TESTMATRIX_H
#define FTC_TEST_UNIT_TARGET_TESTMATRIX_H

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace ftc::test {

inline float fromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

/// Round to nearest, ties to even (finite numbers).
inline uint16_t toBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// A buffer of f32 or bf16 elements, NaN at first.
struct Matrix {
  bool bf16;
  std::vector<float> f32;
  std::vector<uint16_t> halves;
  Matrix(bool bf16, int64_t count) : bf16(bf16) {
    if (bf16)
      halves.assign(count, 0x7FC0);
    else
      f32.assign(count, NAN);
  }
  void set(int64_t i, float value) {
    if (bf16)
      halves[i] = toBf16(value);
    else
      f32[i] = value;
  }
  /// Uniform in [-1, 1).
  void fill(std::mt19937 &random) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int64_t i = 0; i < size(); ++i)
      set(i, uniform(random));
  }
  int64_t size() const { return bf16 ? halves.size() : f32.size(); }
  double operator[](int64_t i) const { return bf16 ? fromBf16(halves[i]) : f32[i]; }
  void *data() { return bf16 ? static_cast<void *>(halves.data()) : static_cast<void *>(f32.data()); }
  bool operator==(const Matrix &other) const {
    return bf16 ? halves == other.halves : !memcmp(f32.data(), other.f32.data(), f32.size() * 4);
  }
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_TESTMATRIX_H

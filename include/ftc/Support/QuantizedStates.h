//===- QuantizedStates.h - Moments of few bits ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Quantized optimizer states: the elements of a moment, row-major, in blocks. Each is one of some numbers in [-1, 1]
// (or [0, 1], for a moment that has no sign) times the block's largest magnitude, in fp32.
//
// Eight bits (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022): blocks of 256, 8.125 bits an
// element. The numbers are the paper's dynamic map: decades down to 1e-7, each in twice as many linear parts as the one
// below. Two libraries use the same numbers and choose among them differently:
//
//   bitsandbytes (0.50, for CPUs) rounds to the nearest of 65536 evenly spaced numbers in [-1, 1], and takes the number
//                nearest to that.
//   torchao      (0.18) takes the nearest number, the upper one of two; a largest magnitude is at least 1e-12.
//
// Four bits (Li et al., "Memory Efficient Optimizers with 4-bit States", 2023), as torchao: blocks of 128, 4.25 bits an
// element. A moment with a sign has a dynamic map of three decades, one without it 1/16, 2/16, ... 1: it is never zero.
//
// Both are step functions that never fall, so a map is told by its numbers and by where each begins.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_QUANTIZEDSTATES_H
#define FTC_SUPPORT_QUANTIZEDSTATES_H

#include <array>
#include <cstdint>
#include <vector>

namespace ftc {

enum class StateFormat : uint8_t { Bitsandbytes8, Torchao8, Torchao4 };

/// Elements that share a largest magnitude.
constexpr int64_t stateBlock(StateFormat format) { return format == StateFormat::Torchao4 ? 128 : 256; }
/// Bytes of codes for them.
constexpr int64_t stateBlockBytes(StateFormat format) { return format == StateFormat::Torchao4 ? 64 : 256; }
/// Moments of smaller parameters are not quantized, in either library.
constexpr int64_t minQuantizedState = 4096;

/// The numbers of a moment, 256 or 16, and how a number in [-1, 1] finds its own.
struct StateMap {
  int32_t count = 256;
  std::array<float, 256> values; ///< ascending; 1 from `count` on
  /// The smallest f32 with code i or above; `starts[0]` is -infinity, and what no f32 reaches +infinity.
  std::array<float, 256> starts;

  /// How many of `starts` are at most `x`, less one: the code. 0 for a NaN.
  uint8_t code(float x) const;
};

/// One of the six maps; made at the first call.
const StateMap &stateMap(StateFormat format, bool isSigned);

/// A StateMap for look-up by bits: numbers with the same sign, exponent and leading seven bits of the mantissa share a
/// bucket, and a bucket holds at most one place where the code changes. So code(x) is the lower eight bits of codes[b],
/// or the eight above them where x >= starts[b].
struct StateBuckets {
  static constexpr int32_t firstKey = 103 << 7; ///< |x| below 2^-24 falls into one bucket
  static constexpr int32_t perSign = (127 << 7) - firstKey + 1;
  /// Magnitudes first; `perSign` later those of negative numbers.
  std::vector<int32_t> codes;
  std::vector<float> starts; ///< +infinity where the whole bucket has one code

  /// The bucket of a number in [-1, 1]; others count as the end that they lie beyond.
  static int32_t bucket(float x);
};

StateBuckets bucketsOf(const StateMap &map);

} // namespace ftc

#endif // FTC_SUPPORT_QUANTIZEDSTATES_H

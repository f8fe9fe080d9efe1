//===- Random.h - Counter-based random numbers ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A random number here is a pure function of (seed, name, element): no state, any order, any number of threads, the
// same on every machine and every target.
//
//   block(b)   = Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
//                with key (seed mod 2^32, seed div 2^32)
//                and counter (b mod 2^32, b div 2^32, h mod 2^32, h div 2^32), h = FNV-1a 64 of the name's bytes.
//   bits(i)    = word i mod 4 of block(i div 4).
//   uniform(i) = (bits(i) + 1/2) / 2^32, in the open interval (0, 1).
//   normal(i)  : Box-Muller in double on the pair (u, v) = (uniform(j), uniform(j + 1)), j = i rounded down to even:
//                r = sqrt(-2 ln u); r cos(2 pi v) for even i, r sin(2 pi v) for odd i. Logarithm, sine and cosine
//                are lib/Support/PlainMath.h's. Scaled by the standard deviation in double, then rounded once to float.
//
// Dropout is in the innermost loop of a step, so its bits are cheaper: a key a row, then 32-bit arithmetic a column.
//
//   key(row)   = mix64(row + mix64(micro + mix64(step + mix64(seed xor h)))), mix64 being the finalizer of SplitMix64
//   (Steele,
//                Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014); sums mod 2^64.
//   bits(c)    = mix32(mix32(c * 0x9E3779B9 + key mod 2^32) xor key div 2^32), mix32 being C. Wellons' "lowbias32".
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_RANDOM_H
#define FTC_SUPPORT_RANDOM_H

#include <array>
#include <cstdint>
#include <string_view>

namespace ftc {

/// Philox4x32 with 10 rounds.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// FNV-1a, 64 bits, of the bytes of `name`.
uint64_t hashName(std::string_view name);

/// Bijections of 64 and 32 bits in which every bit of the argument reaches every bit of the result.
uint64_t mix64(uint64_t bits);
uint32_t mix32(uint32_t bits);

/// Key of a row's bits for dropout; `stream` is hashName of the op's name. See the top of this file.
uint64_t dropoutKey(uint64_t seed, uint64_t stream, uint64_t step, uint64_t micro, uint64_t row);

/// Elements whose bits are below it are dropped: `probability` * 2^32, rounded down, for a probability in [0, 1).
uint32_t dropoutThreshold(double probability);

/// Whether the element in column `column` of the row with this key is kept.
bool keepsElement(uint64_t key, uint32_t column, uint32_t threshold);

/// 16 random bits for rounding one element of a tensor at one step: a function of nothing else, and cheap enough to be
/// computed wherever the element is. 64-bit words are mixed by mix64, M (splitmix64's finalizer, Steele et al. 2014):
/// key = M(M(M(M(seed + G) + step) ^ stream) + G * row), G = 0x9e3779b97f4a7c15; then in 32 bits
/// x = column * 0x9e3779b9 + low(key), mixed with high(key) in the middle as in lowbias32 (Wellons 2018).
uint32_t roundingBits(uint64_t seed, uint64_t step, uint64_t stream, uint64_t row, uint32_t column);

/// The stream of one (seed, name), e.g. of one parameter. See the top of this file for the exact definition.
class CounterRandom {
public:
  CounterRandom(uint64_t seed, std::string_view name) : seed(seed), stream(hashName(name)) {}

  std::array<uint32_t, 4> block(uint64_t index) const;
  uint32_t bits(uint64_t element) const { return block(element / 4)[element % 4]; }
  /// In (0, 1); never 0 or 1.
  double uniform(uint64_t element) const { return (bits(element) + 0.5) * 0x1p-32; }
  /// In (-bound, bound): (2 uniform - 1) bound in double, rounded once.
  float symmetric(uint64_t element, double bound) const {
    return static_cast<float>((2.0 * uniform(element) - 1.0) * bound);
  }
  /// A whole number in [0, bound), bound > 0, with a bias below bound / 2^32.
  uint32_t below(uint64_t element, uint32_t bound) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(bits(element)) * bound) >> 32);
  }
  /// Mean 0, standard deviation `deviation`.
  float normal(uint64_t element, double deviation = 1.0) const;
  /// out[k] = normal(first + k, deviation) for k below `count`; four times faster than one by one.
  void fillNormal(float *out, uint64_t first, uint64_t count, double deviation = 1.0) const;

private:
  uint64_t seed, stream;
};

} // namespace ftc

#endif // FTC_SUPPORT_RANDOM_H

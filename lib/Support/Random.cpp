//===- Random.cpp - Counter-based random numbers -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Random.h"
#include "ftc/Support/PlainMath.h"

#include <cmath>

#pragma STDC FP_CONTRACT OFF

namespace ftc {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = uint64_t(0xD2511F53u) * counter[0];
    uint64_t product1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u; // the golden ratio
    key[1] += 0xBB67AE85u; // sqrt(3) - 1
  }
  return counter;
}

uint64_t hashName(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char byte : name)
    hash = (hash ^ byte) * 0x100000001b3ull;
  return hash;
}

uint64_t mix64(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  return bits ^ (bits >> 31);
}

uint32_t mix32(uint32_t bits) {
  bits = (bits ^ (bits >> 16)) * 0x7FEB352Du;
  bits = (bits ^ (bits >> 15)) * 0x846CA68Bu;
  return bits ^ (bits >> 16);
}

uint64_t dropoutKey(uint64_t seed, uint64_t stream, uint64_t step, uint64_t micro, uint64_t row) {
  return mix64(row + mix64(micro + mix64(step + mix64(seed ^ stream))));
}

uint32_t dropoutThreshold(double probability) { return static_cast<uint32_t>(probability * 0x1p32); }

bool keepsElement(uint64_t key, uint32_t column, uint32_t threshold) {
  const uint32_t bits = mix32(column * 0x9E3779B9u + static_cast<uint32_t>(key));
  return mix32(bits ^ static_cast<uint32_t>(key >> 32)) >= threshold;
}

uint32_t roundingBits(uint64_t seed, uint64_t step, uint64_t stream, uint64_t row, uint32_t column) {
  constexpr uint64_t golden = 0x9e3779b97f4a7c15ull;
  uint64_t key = mix64(mix64(mix64(mix64(seed + golden) + step) ^ stream) + golden * row);
  uint32_t x = column * 0x9e3779b9u + static_cast<uint32_t>(key);
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15) ^ static_cast<uint32_t>(key >> 32)) * 0x846ca68bu;
  return (x ^ (x >> 16)) >> 16;
}

std::array<uint32_t, 4> CounterRandom::block(uint64_t index) const {
  return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), static_cast<uint32_t>(stream),
                     static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

/// Two independent normal numbers from two words.
static void boxMuller(uint32_t first, uint32_t second, double &even, double &odd) {
  double radius = std::sqrt(-2.0 * plainLog((first + 0.5) * 0x1p-32));
  double sine, cosine;
  plainSinCos(0x1.921fb54442d18p+2 * ((second + 0.5) * 0x1p-32), sine, cosine);
  even = radius * cosine;
  odd = radius * sine;
}

float CounterRandom::normal(uint64_t element, double deviation) const {
  std::array<uint32_t, 4> words = block(element / 4);
  size_t pair = element % 4 & ~size_t(1);
  double even, odd;
  boxMuller(words[pair], words[pair + 1], even, odd);
  return static_cast<float>(deviation * (element % 2 == 0 ? even : odd));
}

void CounterRandom::fillNormal(float *out, uint64_t first, uint64_t count, double deviation) const {
  uint64_t done = 0;
  while (done < count && (first + done) % 4 != 0) {
    out[done] = normal(first + done, deviation);
    ++done;
  }
  for (; count - done >= 4; done += 4) {
    std::array<uint32_t, 4> words = block((first + done) / 4);
    for (int pair = 0; pair < 4; pair += 2) {
      double even, odd;
      boxMuller(words[pair], words[pair + 1], even, odd);
      out[done + pair] = static_cast<float>(deviation * even);
      out[done + pair + 1] = static_cast<float>(deviation * odd);
    }
  }
  for (; done < count; ++done)
    out[done] = normal(first + done, deviation);
}

} // namespace ftc

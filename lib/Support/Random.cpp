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

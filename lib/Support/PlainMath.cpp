//===- PlainMath.cpp - Elementary functions with the same bits everywhere ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/PlainMath.h"

#include <bit>
#include <cmath>
#include <cstdint>

#pragma STDC FP_CONTRACT OFF

namespace ftc {

// ln 2 in two parts; the first has 32 trailing zero bits, so that its products with small integers are exact.
static constexpr double ln2High = 0x1.62e42feep-1;
static constexpr double ln2Low = 0x1.a39ef35793c76p-33;

double plainLog(double x) {
  // x = 2^e · m with m in (sqrt(1/2), sqrt(2)]; ln m = 2 artanh(s), s = (m - 1) / (m + 1).
  uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  double f = m - 1.0;
  double s = f / (m + 1.0);
  double z = s * s;
  double sum = 0.0;
  for (int k = 23; k >= 3; k -= 2)
    sum = sum * z + 2.0 / k;
  double n = static_cast<double>(exponent);
  // 2s = f - s·f exactly in the reals: keeps the leading term free of the division's rounding.
  return n * ln2High + (f - (s * f - s * (z * sum) - n * ln2Low));
}

double plainExp(double x) {
  // x = n·ln 2 + r with |r| <= ln(2)/2, then 16 terms of the Taylor series.
  double n = std::floor(x * 0x1.71547652b82fep+0 + 0.5);
  double r = (x - n * ln2High) - n * ln2Low;
  double sum = 1.0;
  for (int k = 16; k >= 1; --k)
    sum = 1.0 + r / k * sum;
  uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52;
  return sum * std::bit_cast<double>(bits);
}

void plainSinCos(double x, double &sine, double &cosine) {
  // x = n·pi/2 + r with |r| <= pi/4. pi/2 in three parts, the first two of 33 bits: exact products for n below 2^20.
  double n = std::floor(x * 0x1.45f306dc9c883p-1 + 0.5);
  double r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  double z = r * r;
  double s = 1.0, c = 1.0;
  for (int k = 18; k >= 2; k -= 2) {
    s = 1.0 - z / (k * (k + 1)) * s;
    c = 1.0 - z / (k * (k - 1)) * c;
  }
  s *= r;
  switch (static_cast<int64_t>(n) & 3) {
  case 0:
    sine = s, cosine = c;
    break;
  case 1:
    sine = c, cosine = -s;
    break;
  case 2:
    sine = -s, cosine = -c;
    break;
  default:
    sine = -c, cosine = s;
    break;
  }
}

} // namespace ftc

//===- Rotary.cpp - Tables of rotary position embeddings -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Rotary.h"
#include "ftc/Support/PlainMath.h"

#include <cmath>
#include <cstddef>
#include <utility>

#pragma STDC FP_CONTRACT OFF

namespace ftc {

RopeScaling longRope(std::vector<double> divisors, int64_t oldContext, int64_t newContext) {
  RopeScaling scaling;
  scaling.divisors = std::move(divisors);
  scaling.oldContext = oldContext;
  const double ratio = static_cast<double>(newContext) / static_cast<double>(oldContext);
  if (ratio > 1)
    scaling.amplitude = std::sqrt(1 + plainLog(ratio) / plainLog(static_cast<double>(oldContext)));
  return scaling;
}

std::vector<double> rotaryFrequencies(int64_t headDim, double theta, const RopeScaling &scaling) {
  std::vector<double> result(static_cast<size_t>(headDim / 2));
  double logTheta = plainLog(theta);
  double oldContext = static_cast<double>(scaling.oldContext);
  for (size_t i = 0; i < result.size(); ++i) {
    double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(headDim);
    double frequency = i == 0 ? 1.0 : plainExp(-exponent * logTheta);
    if (!scaling.divisors.empty()) {
      frequency /= scaling.divisors[i];
    } else if (scaling.factor != 1.0) {
      double wavelength = 0x1.921fb54442d18p+2 / frequency; // 2 pi / frequency
      if (wavelength > oldContext / scaling.lowFactor) {
        frequency /= scaling.factor;
      } else if (wavelength >= oldContext / scaling.highFactor) {
        double smooth = (oldContext / wavelength - scaling.lowFactor) / (scaling.highFactor - scaling.lowFactor);
        frequency = (1.0 - smooth) * frequency / scaling.factor + smooth * frequency;
      }
    }
    result[i] = frequency;
  }
  return result;
}

RotaryTables rotaryTables(int64_t positions, int64_t headDim, double theta, const RopeScaling &scaling) {
  std::vector<double> frequencies = rotaryFrequencies(headDim, theta, scaling);
  RotaryTables tables;
  tables.positions = positions;
  tables.columns = static_cast<int64_t>(frequencies.size());
  tables.cos.reserve(static_cast<size_t>(positions) * frequencies.size());
  tables.sin.reserve(static_cast<size_t>(positions) * frequencies.size());
  for (int64_t t = 0; t < positions; ++t) {
    for (double frequency : frequencies) {
      double sine, cosine;
      plainSinCos(static_cast<double>(t) * frequency, sine, cosine);
      tables.cos.push_back(static_cast<float>(scaling.amplitude * cosine));
      tables.sin.push_back(static_cast<float>(scaling.amplitude * sine));
    }
  }
  return tables;
}

} // namespace ftc

//===- Rotary.h - Tables of rotary position embeddings -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_ROTARY_H
#define FTC_SUPPORT_ROTARY_H

#include <cstdint>
#include <vector>

namespace ftc {

/// Llama 3's rotary scaling: wavelengths below oldContext/highFactor are kept, above oldContext/lowFactor divided by
/// `factor`, smooth between.
struct RopeScaling {
  double factor = 1.0; ///< 1: no scaling
  double lowFactor = 1.0;
  double highFactor = 4.0;
  int64_t oldContext = 8192;
  /// LongRoPE instead (see longRope): what each frequency is divided by. Empty: none of that.
  std::vector<double> divisors = {};
  double amplitude = 1.0; ///< of cosines and sines

  friend bool operator==(const RopeScaling &, const RopeScaling &) = default;
};

/// Positions are divided by `factor` (position interpolation, Chen et al., arXiv 2306.15595): the scaling of which
/// every wavelength, 2 pi or more, is above the old context.
inline RopeScaling linearScaling(double factor) { return {factor, 1.0, 4.0, 1}; }

/// LongRoPE (Ding et al., arXiv 2402.13753) as Phi-3's models have it: each frequency is divided by a number of its
/// own, and cosines and sines are multiplied by sqrt(1 + ln(s) / ln(oldContext)), where s = newContext / oldContext, or
/// by 1 where s is not above 1. `divisors` are those of rows of up to oldContext positions; oldContext is above 1.
RopeScaling longRope(std::vector<double> divisors, int64_t oldContext, int64_t newContext);

/// Angle per position, in radians, of each of the headDim / 2 pairs: theta^(-2i / headDim), scaled as `scaling` says,
/// which has no divisors or headDim / 2 of them. `headDim` is even and positive, `theta` positive.
/// Sources: Su et al., "RoFormer" (arXiv 2104.09864); the scaling is Llama 3.1's.
std::vector<double> rotaryFrequencies(int64_t headDim, double theta, const RopeScaling &scaling = {});

/// Cosines and sines of position × frequency times the amplitude, row-major `positions` × `columns`, computed in double
/// and rounded to float; the same bits on every machine. Half-split layout, as in Hugging Face's checkpoints: column i
/// turns the pair of elements (i, i + headDim / 2):
///   y[i]               = x[i] · cos[t][i] - x[i + headDim / 2] · sin[t][i]
///   y[i + headDim / 2] = x[i + headDim / 2] · cos[t][i] + x[i] · sin[t][i]
struct RotaryTables {
  int64_t positions = 0; ///< T
  int64_t columns = 0;   ///< headDim / 2
  std::vector<float> cos, sin;
};

/// Tables for positions 0 .. positions - 1, at most 2^20 of them.
RotaryTables rotaryTables(int64_t positions, int64_t headDim, double theta, const RopeScaling &scaling = {});

} // namespace ftc

#endif // FTC_SUPPORT_ROTARY_H

//===- TrainQuantization.cpp - Fake quantization, plainly --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The formulas of train.fake_quantize, one group after the other. `rounded` is T(x) of the op's description, `Real`
// what the rest is computed in.
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include <algorithm>
#include <cmath>
#include <span>

#pragma STDC FP_CONTRACT OFF

using namespace mlir;
using namespace ftc::train;

namespace ftc::reference {

namespace {

template <typename Real> class Group {
public:
  Group(Type element, std::span<const double> x) : element(element), x(x) {
    auto [least, most] = std::minmax_element(x.begin(), x.end());
    low = static_cast<Real>(*least);
    high = static_cast<Real>(*most);
    // A number that is none makes all of them so.
    for (double value : x)
      if (std::isnan(value))
        low = high = static_cast<Real>(value);
  }

  void int4Symmetric(std::span<double> result) const {
    const Real largest = std::max(-low, high);
    const Real scale = atLeast(rounded(largest / Real(7.5)), leastScale);
    for (size_t i = 0; i < x.size(); ++i)
      result[i] = rounded(clamp(std::nearbyint(at(i) * (1 / scale)) + 0, -8, 7) * scale); // whole numbers have no -0
  }

  void int8Asymmetric(std::span<double> result) const {
    const Real a = std::isnan(low) ? low : std::min(low, Real(0)),
               b = std::isnan(high) ? high : std::max(high, Real(0));
    const Real scale = atLeast(rounded(rounded(b - a) / 255), leastScale);
    const Real down = rounded(a / scale), up = rounded(b / scale);
    const bool fromLow = rounded(rounded(-128 + down) + rounded(127 + up)) > 0;
    const Real zero = std::nearbyint(clamp(fromLow ? rounded(-128 - down) : rounded(127 - up), -128, 127));
    for (size_t i = 0; i < x.size(); ++i)
      result[i] = rounded((clamp(std::nearbyint(at(i) * (1 / scale)) + zero, -128, 127) - zero) * scale);
  }

  void int4Asymmetric(std::span<double> result) const {
    const Real wide = atLeast(rounded(rounded(high - low) / 15), rounded(Real(1e-6)));
    const Real scale = toBf16(wide), zero = toBf16(rounded(low + rounded(8 * wide)));
    const Real start = toBf16(zero - toBf16(8 * scale));
    for (size_t i = 0; i < x.size(); ++i) {
      const Real code = clamp(std::nearbyint(rounded(rounded(at(i) - start) / scale)), 0, 15);
      result[i] = rounded(rounded((code - 8) * scale) + zero);
    }
  }

private:
  static constexpr Real leastScale = 0x1p-23;

  Real at(size_t i) const { return static_cast<Real>(x[i]); }
  Real rounded(Real value) const { return static_cast<Real>(roundTo(element, value)); }
  /// Of fp64, which exists to check formulas, all is left as exact as it is.
  Real toBf16(Real value) const {
    return element.isF64() ? value : static_cast<Real>(roundTo(BFloat16Type::get(element.getContext()), value));
  }
  static Real atLeast(Real value, Real least) { return value < least ? least : value; }
  static Real clamp(Real value, Real least, Real most) { return value < least ? least : value > most ? most : value; }

  Type element;
  std::span<const double> x;
  Real low, high;
};

template <typename Real> void fakeQuantize(FakeQuantizeOp op, const Tensor &input, Tensor &result) {
  const size_t size = op.getGroup();
  for (size_t first = 0; first < input.reals.size(); first += size) {
    Group<Real> group(input.type.getElementType(), std::span(input.reals).subspan(first, size));
    std::span<double> to = std::span(result.reals).subspan(first, size);
    switch (op.getScheme()) {
    case FakeQuantization::Int8Asymmetric:
      group.int8Asymmetric(to);
      break;
    case FakeQuantization::Int4Symmetric:
      group.int4Symmetric(to);
      break;
    case FakeQuantization::Int4Asymmetric:
      group.int4Asymmetric(to);
      break;
    }
  }
}

} // namespace

llvm::Error evaluateFakeQuantize(FakeQuantizeOp op, Operands x, Results results) {
  if (op.getAfter() && x[1]->integers[0] <= static_cast<int64_t>(*op.getAfter()))
    results[0] = *x[0];
  else if (op.getType().getElementType().isF64())
    fakeQuantize<double>(op, *x[0], results[0]);
  else
    fakeQuantize<float>(op, *x[0], results[0]);
  return llvm::Error::success();
}

} // namespace ftc::reference

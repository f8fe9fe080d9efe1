//===- Tensor.cpp - Values of the reference interpreters ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Reference/Tensor.h"

#include "dialects/Train/IR/Train.h"

#include <bit>
#include <cmath>

using namespace mlir;

namespace ftc::reference {

double roundTo(Type element, double value) {
  if (auto nf4 = dyn_cast<train::Nf4Type>(element))
    element = nf4.getDecoded();
  if (element.isF64())
    return value;
  float single = static_cast<float>(value);
  if (element.isF32())
    return single;
  // One NaN for all.
  if (std::isnan(single))
    return std::bit_cast<float>(0x7fff0000u);
  // bf16 is the upper half of an f32. Adding 0x7fff plus the lowest kept bit rounds to nearest even; a carry out of the
  // mantissa moves on into the exponent, up to infinity.
  uint32_t bits = std::bit_cast<uint32_t>(single);
  bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
  return std::bit_cast<float>(bits);
}

bool Tensor::isReal() const { return isa<FloatType, train::Nf4Type>(type.getElementType()); }

Tensor::Tensor(RankedTensorType type) : type(type) {
  if (isReal())
    reals.assign(type.getNumElements(), 0.0);
  else
    integers.assign(type.getNumElements(), 0);
}

bool Tensor::isIdenticalTo(const Tensor &other) const {
  if (type != other.type || integers != other.integers || reals.size() != other.reals.size())
    return false;
  for (size_t i = 0; i < reals.size(); ++i)
    if (std::bit_cast<uint64_t>(reals[i]) != std::bit_cast<uint64_t>(other.reals[i]) &&
        !(std::isnan(reals[i]) && std::isnan(other.reals[i])))
      return false;
  return true;
}

} // namespace ftc::reference

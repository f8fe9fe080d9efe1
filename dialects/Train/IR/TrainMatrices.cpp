//===- TrainMatrices.cpp - Verifiers of matrix products ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

/// What is wrong with `op(a) * op(b)` as a part of `result`, in words; nothing if all is right.
static std::optional<std::string> wrongProduct(ShapedType a, bool transposeA, ShapedType b, bool transposeB,
                                               RankedTensorType result) {
  std::string text;
  llvm::raw_string_ostream words(text);
  int64_t m = a.getDimSize(transposeA ? 1 : 0), k = a.getDimSize(transposeA ? 0 : 1);
  int64_t kb = b.getDimSize(transposeB ? 1 : 0), n = b.getDimSize(transposeB ? 0 : 1);
  Type element = a.getElementType(), factor = b.getElementType(), sum = result.getElementType();
  if (auto nf4 = dyn_cast<Nf4Type>(factor))
    factor = nf4.getDecoded();
  if (k != kb)
    words << "sums over " << k << " elements of a but " << kb << " of b";
  else if (result.getDimSize(0) != m || result.getDimSize(1) != n)
    words << "gives " << m << " x " << n << " but its result is '" << result << '\'';
  else if (factor != element || (sum != element && !(element.isBF16() && sum.isF32())))
    words << "multiplies '" << element << "' and '" << b.getElementType() << "' into '" << sum << '\'';
  else
    return std::nullopt;
  return text;
}

LogicalResult MatmulOp::verify() {
  RankedTensorType c = getResult().getType();
  if (auto wrong = wrongProduct(getA().getType(), getTransposeA(), getB().getType(), getTransposeB(), c))
    return emitOpError(*wrong);
  if (getOnto() && getOnto().getType() != c)
    return emitOpError("adds onto ") << getOnto().getType() << ", which is not of the result's type " << c;
  return success();
}

LogicalResult MatmulPairOp::verify() {
  RankedTensorType result = getResult().getType();
  if (auto wrong = wrongProduct(getA().getType(), getTransposeA(), getB().getType(), getTransposeB(), result))
    return emitOpError(*wrong);
  if (auto wrong = wrongProduct(getC().getType(), false, getD().getType(), getTransposeD(), result))
    return emitOpError("in its second product ") << *wrong;
  if (getOnto() && getOnto().getType() != result)
    return emitOpError("adds onto ") << getOnto().getType() << ", which is not of the result's type " << result;
  return success();
}

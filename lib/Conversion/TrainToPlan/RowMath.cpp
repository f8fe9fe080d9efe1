//===- RowMath.cpp - Arithmetic of row bodies -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

Value RowMath::broadcast(Value scalar, Type like) {
  auto row = dyn_cast<RankedTensorType>(like);
  if (!row || isa<RankedTensorType>(scalar.getType()))
    return scalar;
  return plan::BroadcastOp::create(builder, loc, row.clone(scalar.getType()), scalar);
}

void RowMath::match(Value &x, Value &y) {
  x = broadcast(x, y.getType());
  y = broadcast(y, x.getType());
}

Value RowMath::constant(double value, Type like) {
  Type element = getElementTypeOrSelf(like);
  return arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, value));
}

Value RowMath::add(Value x, Value y) {
  match(x, y);
  return arith::AddFOp::create(builder, loc, x, y);
}

Value RowMath::sub(Value x, Value y) {
  match(x, y);
  return arith::SubFOp::create(builder, loc, x, y);
}

Value RowMath::mul(Value x, Value y) {
  match(x, y);
  return arith::MulFOp::create(builder, loc, x, y);
}

Value RowMath::div(Value x, Value y) {
  match(x, y);
  return arith::DivFOp::create(builder, loc, x, y);
}

Value RowMath::neg(Value x) { return arith::NegFOp::create(builder, loc, x); }

Value RowMath::fma(Value x, Value y, Value z) {
  match(x, y);
  match(x, z);
  match(y, z);
  return math::FmaOp::create(builder, loc, x, y, z);
}

Value RowMath::exp(Value x) { return math::ExpOp::create(builder, loc, x); }
Value RowMath::log(Value x) { return math::LogOp::create(builder, loc, x); }
Value RowMath::sqrt(Value x) { return math::SqrtOp::create(builder, loc, x); }
Value RowMath::tanh(Value x) { return math::TanhOp::create(builder, loc, x); }

Value RowMath::sigmoid(Value x) {
  Value one = constant(1.0, x.getType());
  return div(one, add(one, exp(neg(x))));
}

Value RowMath::roundEven(Value x) {
  // Beside so large a number, of which the last digit is 1, nothing is left behind the point.
  Value large = constant(getElementTypeOrSelf(x.getType()).isF64() ? 0x1.8p52 : 0x1.8p23, x.getType());
  return sub(add(x, large), large);
}

Value RowMath::atLeast(Value x, double least) {
  Value bound = broadcast(constant(least, x.getType()), x.getType());
  Value below = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, bound);
  return select(below, bound, x);
}

Value RowMath::atMost(Value x, double most) {
  Value bound = broadcast(constant(most, x.getType()), x.getType());
  Value above = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, x, bound);
  return select(above, bound, x);
}

Value RowMath::reduce(plan::ReduceKind kind, Value x) {
  auto row = dyn_cast<RankedTensorType>(x.getType());
  if (!row)
    return x;
  return plan::ReduceOp::create(builder, loc, row.getElementType(), kind, x);
}

Value RowMath::convert(Value x, Type element) {
  Type from = getElementTypeOrSelf(x.getType());
  if (from == element)
    return x;
  Type type = element;
  if (auto row = dyn_cast<RankedTensorType>(x.getType()))
    type = row.clone(element);
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, type, x);
  return arith::TruncFOp::create(builder, loc, type, x);
}

Value RowMath::select(Value condition, Value chosen, Value other) {
  match(chosen, other);
  return arith::SelectOp::create(builder, loc, condition, chosen, other);
}

//===- TrainVjp.cpp - Vector-Jacobian products of train ops ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One function an op, by the formulas in TrainOps.td. Each is checked against finite differences in fp64
// (test/unit/Reference), but that of fake quantization, which is not its derivative.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

using Gradients = SmallVector<Value>;

Gradients AddOp::buildVjp(OpBuilder &, ValueRange gradients, ArrayRef<bool>) { return {gradients[0], gradients[0]}; }

Gradients MultiplyOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool> needed) {
  Gradients result(2);
  for (unsigned side : {0, 1})
    if (needed[side])
      result[side] = MultiplyOp::create(builder, getLoc(), gradients[0], getOperand(1 - side));
  return result;
}

Gradients ScaleColumnsOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  auto grad = ScaleColumnsGradOp::create(builder, getLoc(), TypeRange{getInput().getType(), getFactors().getType()},
                                         getInput(), getFactors(), gradients[0]);
  return {grad.getInputGradient(), grad.getFactorGradients()};
}

Gradients AddBiasOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool> needed) {
  Value bias;
  if (needed[1])
    bias = ColumnSumsOp::create(builder, getLoc(), getBias().getType(), gradients[0]);
  return {gradients[0], bias};
}

Gradients InverseNormOp::buildVjp(OpBuilder &, ValueRange, ArrayRef<bool>) { return Gradients(4); }

Gradients CastOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  return {CastOp::create(builder, getLoc(), getInput().getType(), gradients[0])};
}

Gradients ScaleOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  return {ScaleOp::create(builder, getLoc(), gradients[0].getType(), gradients[0], getFactor()), Value()};
}

Gradients DropoutOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Value gradient = DropoutOp::create(builder, getLoc(), gradients[0].getType(), gradients[0], getProbabilityAttr(),
                                     getStreamAttr(), getSeed(), getStep(), getMicro());
  return {gradient, Value(), Value(), Value()};
}

Gradients FakeQuantizeOp::buildVjp(OpBuilder &, ValueRange gradients, ArrayRef<bool>) {
  Gradients result(getNumOperands());
  result[0] = gradients[0];
  return result;
}

Gradients SwiGLUOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Type type = getResult().getType();
  auto grad = SwiGLUGradOp::create(builder, getLoc(), TypeRange{type, type}, getGate(), getUp(), gradients[0]);
  return {grad.getGateGradient(), grad.getUpGradient()};
}

Gradients GeGLUOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Type type = getResult().getType();
  auto grad = GeGLUGradOp::create(builder, getLoc(), TypeRange{type, type}, getGate(), getUp(), gradients[0]);
  return {grad.getGateGradient(), grad.getUpGradient()};
}

Gradients SoftcapOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  return {SoftcapGradOp::create(builder, getLoc(), getResult(), gradients[0], getCapAttr())};
}

Gradients MatmulOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool> needed) {
  Value d = gradients[0];
  // An f32 result of bf16 operands: the products of the backward pass take bf16 too.
  if (Type element = getA().getType().getElementType(); getResult().getType().getElementType() != element)
    d = CastOp::create(builder, getLoc(), getResult().getType().clone(element), d);
  bool ta = getTransposeA(), tb = getTransposeB();
  Gradients result(getNumOperands());
  if (getOnto())
    result[2] = gradients[0];
  // C = A' B' with A' = op(A), B' = op(B): dA' = dC B'^T and dB' = A'^T dC; transposed once more where op transposes.
  if (needed[0])
    result[0] = ta ? MatmulOp::create(builder, getLoc(), getA().getType(), getB(), d, tb, true).getResult()
                   : MatmulOp::create(builder, getLoc(), getA().getType(), d, getB(), false, !tb).getResult();
  if (needed[1])
    result[1] = tb ? MatmulOp::create(builder, getLoc(), getB().getType(), d, getA(), true, ta).getResult()
                   : MatmulOp::create(builder, getLoc(), getB().getType(), getA(), d, !ta, false).getResult();
  return result;
}

Gradients EmbeddingOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool> needed) {
  if (!needed[0])
    return Gradients(2);
  return {EmbeddingGradOp::create(builder, getLoc(), getTable().getType(), getIds(), gradients[0], Value()), Value()};
}

Gradients RmsNormOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  auto grad = RmsNormGradOp::create(builder, getLoc(), TypeRange{getInput().getType(), getWeight().getType()},
                                    getInput(), getWeight(), gradients[0], getEpsAttr(), getZeroCenteredAttr());
  return {grad.getInputGradient(), grad.getWeightGradient()};
}

Gradients RotaryOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Gradients result(4);
  result[0] = RotaryOp::create(builder, getLoc(), getInput().getType(), gradients[0], getPositions(), getCos(),
                               getSin(), getHeadDimAttr(), getInverse() ? UnitAttr() : builder.getUnitAttr());
  return result;
}

Gradients AttentionOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Type query = getQuery().getType(), key = getKey().getType();
  auto grad = AttentionGradOp::create(builder, getLoc(), TypeRange{query, key, key}, getQuery(), getKey(), getValue(),
                                      getSegmentStarts(), getResult(), getLse(), gradients[0], getBatchAttr(),
                                      getNumHeadsAttr(), getNumKvHeadsAttr(), getScaleAttr(), getWindowAttr(),
                                      getSoftcapAttr());
  return {grad.getQueryGradient(), grad.getKeyGradient(), grad.getValueGradient(), Value()};
}

Gradients CrossEntropyOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Gradients result(3);
  result[0] = CrossEntropyGradOp::create(builder, getLoc(), getLogits().getType(), getLogits(), getLabels(), getLse(),
                                         getInvTokens(), gradients[0], getIgnoreIndexAttr());
  return result;
}

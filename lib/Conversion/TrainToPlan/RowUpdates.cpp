//===- RowUpdates.cpp - What optimizers compute in a row ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

Value RowEmitter::isFirstStep(Value step) {
  OpBuilder &b = launch.body();
  Value one = arith::ConstantOp::create(b, launch.loc(), b.getI64IntegerAttr(1));
  return arith::CmpIOp::create(b, launch.loc(), arith::CmpIPredicate::eq, scalar(step), one);
}

//===----------------------------------------------------------------------===//
// SGD with momentum
//===----------------------------------------------------------------------===//

void RowEmitter::emitSGDMomentum(train::SGDMomentumOp op) {
  Value p = row(op.getParameter()), g = row(op.getGradient());
  Type element = getElementTypeOrSelf(p.getType());
  auto number = [&](FloatAttr value) { return math.constant(value.getValueAsDouble(), element); };
  train::SGDMomentumAttr sgd = op.getOptimizer();
  Value lr = math.convert(scalar(op.getLearningRate()), element);
  Value scale = math.convert(scalar(op.getScale()), element);
  Value change = math.fma(number(sgd.getWeightDecay()), p, math.mul(scale, g));
  Value kept = math.mul(number(sgd.getMomentum()), math.convert(row(op.getBuffer()), element));
  Value share = math.constant(1.0 - sgd.getDampening().getValueAsDouble(), element);
  Value later = math.fma(share, change, kept);
  Value buffer = math.select(isFirstStep(op.getStep()), change, later);
  Value direction = sgd.getNesterov() ? math.fma(number(sgd.getMomentum()), buffer, change) : buffer;
  set(op.getNewBuffer(), buffer);
  set(op.getResult(), math.fma(math.neg(lr), direction, p));
}

//===----------------------------------------------------------------------===//
// AdamW
//===----------------------------------------------------------------------===//

Value ftc::emitAdamWScalars(KernelTable &kernels, OpBuilder &entry, Location loc, Type element, train::AdamWAttr adamw,
                            Place learningRate, Place step) {
  auto f64 = entry.getF64Type();
  Value scalars =
      plan::AllocOp::create(entry, loc, MemRefType::get({3}, element), entry.getStringAttr("adamw scalars"));
  RowLaunch launch(kernels, entry, loc, 1, 1);
  RowMath math(launch.body(), launch.loc());
  Value lr = math.convert(loadScalar(launch, learningRate), f64), t = loadScalar(launch, step);
  Value one = math.constant(1.0, f64);
  auto number = [&](FloatAttr value) { return math.constant(value.getValueAsDouble(), f64); };
  auto correction = [&](FloatAttr beta) -> Value {
    return math.sub(one, math::FPowIOp::create(launch.body(), launch.loc(), number(beta), t));
  };
  Value values[] = {math.sub(one, math.mul(lr, number(adamw.getWeightDecay()))),
                    math.div(lr, correction(adamw.getBeta1())), math.div(one, math.sqrt(correction(adamw.getBeta2())))};
  for (auto [index, value] : llvm::enumerate(values)) {
    Value place = arith::ConstantIndexOp::create(launch.body(), launch.loc(), index);
    launch.storeAt(math.convert(value, element), launch.argument(scalars), place);
  }
  launch.finish(element.isF32() ? "adamw_scalars" : "adamw_scalars_f64", "adamw scalars");
  return scalars;
}

AdamWElement ftc::emitAdamWFormula(RowMath &math, AdamWElement old, Value gradient, ArrayRef<Value> scalars,
                                   train::AdamWAttr adamw) {
  Type element = getElementTypeOrSelf(old.parameter.getType());
  Value decay = scalars[0], stepSize = scalars[1], inverseRoot = scalars[2], g = gradient;
  double beta1 = adamw.getBeta1().getValueAsDouble(), beta2 = adamw.getBeta2().getValueAsDouble();
  Value m = math.fma(math.constant(1.0 - beta1, element), math.sub(g, old.expAvg), old.expAvg);
  Value v = math.fma(math.constant(beta2, element), old.expAvgSq,
                     math.mul(math.constant(1.0 - beta2, element), math.mul(g, g)));
  Value root = math.fma(math.sqrt(v), inverseRoot, math.constant(adamw.getEps().getValueAsDouble(), element));
  return {math.sub(math.mul(old.parameter, decay), math.mul(stepSize, math.div(m, root))), m, v};
}

void RowEmitter::emitAdamW(train::AdamWOp op) {
  OpBuilder &b = launch.body();
  Value scalars = context.adamwScalars(op);
  SmallVector<Value> prepared;
  for (int64_t index : {0, 1, 2})
    prepared.push_back(launch.loadElement(scalars, arith::ConstantIndexOp::create(b, launch.loc(), index).getResult()));
  Value p = row(op.getParameter());
  Type element = getElementTypeOrSelf(p.getType());
  Value scale = math.convert(scalar(op.getScale()), element);
  Value g = math.mul(scale, row(op.getGradient()));
  Value m = math.convert(row(op.getExpAvg()), element), v = math.convert(row(op.getExpAvgSq()), element);
  AdamWElement updated = emitAdamWFormula(math, {p, m, v}, g, prepared, op.getOptimizer());
  set(op.getNewExpAvg(), updated.expAvg);
  set(op.getNewExpAvgSq(), updated.expAvgSq);
  set(op.getResult(), updated.parameter);
}

//===----------------------------------------------------------------------===//
// Stochastic rounding
//===----------------------------------------------------------------------===//

namespace {
/// Whole numbers in a body: `roundingBits` of lib/Support/Random.h is written with it. Constants have the other
/// operand's type; a scalar meeting a row is broadcast.
class Bits {
public:
  Bits(OpBuilder &builder, Location loc, RowMath &math) : builder(builder), loc(loc), math(math) {}

  Value constant(uint64_t value, Value like) {
    Type element = getElementTypeOrSelf(like.getType());
    unsigned width = element.getIntOrFloatBitWidth();
    Value scalar = arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(element, APInt(width, value)));
    return math.broadcast(scalar, like.getType());
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(builder, loc, x, math.broadcast(y, x.getType())); }
  Value mul(Value x, uint64_t factor) { return arith::MulIOp::create(builder, loc, x, constant(factor, x)); }
  Value bitXor(Value x, Value y) { return arith::XOrIOp::create(builder, loc, x, math.broadcast(y, x.getType())); }
  Value bitAnd(Value x, uint64_t mask) { return arith::AndIOp::create(builder, loc, x, constant(mask, x)); }
  Value shift(Value x, uint64_t places) { return arith::ShRUIOp::create(builder, loc, x, constant(places, x)); }
  Value fold(Value x, uint64_t places) { return bitXor(x, shift(x, places)); }
  /// splitmix64's finalizer.
  Value mix(Value x) {
    x = mul(fold(x, 30), 0xbf58476d1ce4e5b9ull);
    x = mul(fold(x, 27), 0x94d049bb133111ebull);
    return fold(x, 31);
  }

private:
  OpBuilder &builder;
  Location loc;
  RowMath &math;
};
} // namespace

void RowEmitter::emitStochasticRound(train::StochasticRoundOp op) {
  OpBuilder &b = launch.body();
  Location loc = launch.loc();
  constexpr uint64_t golden = 0x9e3779b97f4a7c15ull;
  Bits bits(b, loc, math);
  Value x = row(op.getInput()), seed = scalar(op.getSeed()), step = scalar(op.getStep());
  Type i32 = b.getI32Type();
  auto columnType = cast<RankedTensorType>(x.getType()).clone(i32);

  // The key of the row, then the bits of each column.
  Value run = bits.add(bits.mix(bits.add(seed, bits.constant(golden, seed))), step);
  Value tensor = bits.bitXor(bits.mix(run), bits.constant(op.getStream(), step));
  Value number = arith::IndexCastOp::create(b, loc, b.getI64Type(), launch.row());
  Value key = bits.mix(bits.add(bits.mix(tensor), bits.mul(number, golden)));
  Value low = arith::TruncIOp::create(b, loc, i32, key);
  Value high = arith::TruncIOp::create(b, loc, i32, bits.shift(key, 32));
  Value column = plan::ColumnOp::create(b, loc, columnType);
  Value random = bits.add(bits.mul(column, 0x9e3779b9u), low);
  random = bits.mul(bits.fold(random, 16), 0x7feb352du);
  random = bits.mul(bits.bitXor(bits.fold(random, 15), high), 0x846ca68bu);
  random = bits.shift(bits.fold(random, 16), 16);

  Value whole = arith::BitcastOp::create(b, loc, columnType, x);
  Value below = bits.bitAnd(whole, 0xffff0000u), cut = bits.bitAnd(whole, 0xffffu);
  Value above = bits.add(below, bits.constant(0x10000u, below));
  Value up = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, random, cut);
  Value rounded = arith::BitcastOp::create(b, loc, x.getType(), math.select(up, above, below));
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, x, x);
  set(op.getResult(), math.select(isNaN, x, rounded));
}

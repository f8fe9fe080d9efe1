//===- RowQuantization.cpp - Fake quantization of a row -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row is a group, whose range is known behind one pass over it, and scale and zero point are scalars; the second pass
// rounds. Where torchao computes in the type of the tensor, what is computed here is rounded to it.
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

namespace {

/// Emits the formulas of train.fake_quantize for the group `x`, in f32 or f64; `element` is the type of the tensor.
struct GroupEmitter {
  OpBuilder &builder;
  Location loc;
  RowMath &math;
  Type element;
  Value x;

  Type real() const { return getElementTypeOrSelf(x.getType()); }
  Value number(double value) { return math.constant(value, real()); }
  Value rounded(Value value) { return math.convert(math.convert(value, element), real()); }
  Value toBf16(Value value) {
    // fp64 is there to check formulas, and has nothing to lose in another type.
    return element.isF64() ? value : math.convert(math.convert(value, builder.getBF16Type()), real());
  }
  Value isAbove(Value value, double bound) {
    Value other = math.broadcast(number(bound), value.getType());
    return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, value, other);
  }

  Value largest() { return math.reduce(ReduceKind::Max, x); }
  Value least() { return math.neg(math.reduce(ReduceKind::Max, math.neg(x))); }

  static constexpr double leastScale = 0x1p-23;

  Value int4Symmetric() {
    Value magnitude = math.select(isAbove(x, 0), x, math.neg(x));
    Value scale = math.atLeast(rounded(math.div(math.reduce(ReduceKind::Max, magnitude), number(7.5))), leastScale);
    Value code = math.roundEven(math.mul(x, math.div(number(1), scale)));
    return math.mul(math.atMost(math.atLeast(code, -8), 7), scale);
  }

  Value int8Asymmetric() {
    Value low = math.atMost(least(), 0), high = math.atLeast(largest(), 0);
    Value scale = math.atLeast(rounded(math.div(rounded(math.sub(high, low)), number(255))), leastScale);
    Value down = rounded(math.div(low, scale)), up = rounded(math.div(high, scale));
    Value errors = rounded(math.add(rounded(math.add(number(-128), down)), rounded(math.add(number(127), up))));
    Value zero =
        math.select(isAbove(errors, 0), rounded(math.sub(number(-128), down)), rounded(math.sub(number(127), up)));
    zero = math.roundEven(math.atMost(math.atLeast(zero, -128), 127));
    Value code = math.add(math.roundEven(math.mul(x, math.div(number(1), scale))), zero);
    return math.mul(math.sub(math.atMost(math.atLeast(code, -128), 127), zero), scale);
  }

  Value int4Asymmetric() {
    Value low = least(), range = rounded(math.sub(largest(), low));
    APFloat tiny(1e-6);
    bool inexact;
    tiny.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven, &inexact);
    tiny.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &inexact);
    Value wide = math.atLeast(rounded(math.div(range, number(15))), tiny.convertToDouble());
    Value scale = toBf16(wide), zero = toBf16(rounded(math.add(low, rounded(math.mul(number(8), wide)))));
    Value start = toBf16(math.sub(zero, toBf16(math.mul(number(8), scale))));
    Value code = math.roundEven(rounded(math.div(rounded(math.sub(x, start)), scale)));
    code = math.sub(math.atMost(math.atLeast(code, 0), 15), number(8));
    return math.add(rounded(math.mul(code, scale)), zero);
  }
};

} // namespace

void RowEmitter::emitFakeQuantize(train::FakeQuantizeOp op) {
  OpBuilder &b = launch.body();
  Value x = row(op.getInput());
  GroupEmitter group{b, launch.loc(), math, op.getType().getElementType(), x};
  Value result;
  switch (op.getScheme()) {
  case train::FakeQuantization::Int8Asymmetric:
    result = group.int8Asymmetric();
    break;
  case train::FakeQuantization::Int4Symmetric:
    result = group.int4Symmetric();
    break;
  case train::FakeQuantization::Int4Asymmetric:
    result = group.int4Asymmetric();
    break;
  }
  if (op.getAfter()) {
    Value after = arith::ConstantOp::create(b, launch.loc(), b.getI64IntegerAttr(static_cast<int64_t>(*op.getAfter())));
    Value begun = arith::CmpIOp::create(b, launch.loc(), arith::CmpIPredicate::sgt, scalar(op.getStep()), after);
    result = math.select(begun, result, x);
  }
  set(op.getResult(), result);
}

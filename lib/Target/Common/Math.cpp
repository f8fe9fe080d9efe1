//===- Math.cpp - Elementary functions of generated code ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step calls no library, so exp, tanh and log are emitted as arithmetic, the same for a scalar, for each lane of a
// vector, and on every target.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Math.h"

#include "lib/Target/Common/Build.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

namespace {
/// Emits arithmetic on values shaped like one given value, scalar or vector.
class Shaped {
public:
  Shaped(OpBuilder &builder, Location loc, Type like) : builder(builder), loc(loc), like(like) {}

  Type of(Type element) const {
    if (auto vector = dyn_cast<VectorType>(like))
      return vector.clone(element);
    return element;
  }
  Value constant(Type element, double value) { return splat(builder.getFloatAttr(element, value)); }
  Value constantInt(Type element, int64_t value) { return splat(builder.getIntegerAttr(element, value)); }

  Value fma(Value a, Value b, Value c) { return math::FmaOp::create(builder, loc, a, b, c); }
  template <typename Op> Value make(Value a, Value b) { return Op::create(builder, loc, a, b); }
  template <typename Op> Value cast(Type element, Value a) { return Op::create(builder, loc, of(element), a); }
  Value compare(arith::CmpFPredicate predicate, Value a, Value b) {
    return arith::CmpFOp::create(builder, loc, predicate, a, b);
  }
  Value select(Value condition, Value a, Value b) { return arith::SelectOp::create(builder, loc, condition, a, b); }

private:
  Value splat(TypedAttr attribute) {
    if (auto vector = dyn_cast<VectorType>(like)) {
      auto type = vector.clone(attribute.getType());
      return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, Attribute(attribute)));
    }
    return arith::ConstantOp::create(builder, loc, attribute);
  }

  OpBuilder &builder;
  Location loc;
  Type like;
};
} // namespace

namespace {
/// x = n ln 2 + r with n = round(x / ln 2), |r| <= ln 2 / 2: the sum of n and a bias in the low bits of `shifted`, and
/// e^r - 1.
struct ExpParts {
  Value shifted, rest;
};
} // namespace

// e^r = 1 + r + r^2 q(r), q of degree 5 with the least largest relative error on the interval (Remez' exchange):
// 4.9e-10, before rounding.
static ExpParts emitExpParts(Shaped &on, Type f32, Value x, double bias) {
  // Adding 1.5 * 2^23 leaves the rounded quotient in the low bits; unlike a conversion it is defined for NaN.
  Value magic = on.constant(f32, 12582912.0 + bias);
  Value shifted = on.fma(x, on.constant(f32, 1.44269504088896341), magic);
  Value n = on.make<arith::SubFOp>(shifted, magic);
  // ln 2 in two parts, the first of so few digits that its product and the difference are exact.
  Value r = on.fma(n, on.constant(f32, -0.693145751953125), x);
  r = on.fma(n, on.constant(f32, -1.428606765330187e-06), r);

  Value q = on.constant(f32, 1.736597915e-04);
  for (double coefficient : {1.393334591e-03, 8.337824605e-03, 4.166648164e-02, 1.666664779e-01, 0.5})
    q = on.fma(q, r, on.constant(f32, coefficient));
  return {shifted, on.fma(on.make<arith::MulFOp>(r, r), q, r)};
}

// e^x = 2^n e^r.
Value target::emitExp(OpBuilder &builder, Location loc, Value x) {
  Type f32 = builder.getF32Type(), i32 = builder.getI32Type();
  Shaped on(builder, loc, x.getType());
  // Written so that a NaN goes through: both comparisons are false for it. Within these bounds n fits the two scalings.
  Value low = on.constant(f32, -105.0), high = on.constant(f32, 89.0);
  Value bounded = on.select(on.compare(arith::CmpFPredicate::OLT, high, x), high, x);
  bounded = on.select(on.compare(arith::CmpFPredicate::OGT, low, bounded), low, bounded);

  // 254: the biases of the two powers of two below.
  auto [shifted, below] = emitExpParts(on, f32, bounded, 254);
  Value p = on.make<arith::AddFOp>(below, on.constant(f32, 1.0));

  // 2^n as a product of two powers: one alone has no exponent for results below 2^-126 or above 2^127. Half of n + 254
  // and the other half are their biased exponents; what stands above them is shifted out.
  Value whole = on.cast<arith::BitcastOp>(i32, shifted);
  Value half = on.make<arith::ShRUIOp>(whole, on.constantInt(i32, 1));
  Value rest = on.make<arith::SubIOp>(whole, half);
  auto power = [&](Value exponent) {
    return on.cast<arith::BitcastOp>(f32, on.make<arith::ShLIOp>(exponent, on.constantInt(i32, 23)));
  };
  return on.make<arith::MulFOp>(on.make<arith::MulFOp>(p, power(half)), power(rest));
}

// As above, with less to compute, because what is below 2^-126 changes no bit of a sum with such a constant: one power
// of two then reaches down far enough. Up to where the sum is infinite the power is halved, for which the polynomial is
// doubled, and the constant is added in the rounding of the product. The remainder is taken in units of ln 2, f = x /
// ln 2 - n, by two terms of 1 / ln 2, so that one constant serves both lines; 2^f = 1 + f g(f), g of degree 5 as above:
// 3.0e-9. A negated x costs nothing: its sign joins those of the products.
//
// Few constants matter as much as few operations: a loop has 16 registers for both on AVX2.
static Value emitExpPlus(OpBuilder &builder, Location loc, Value x, bool negated, double constant) {
  Type f32 = builder.getF32Type(), i32 = builder.getI32Type();
  Shaped on(builder, loc, x.getType());
  // Both comparisons are false for a NaN, which every operation below keeps.
  double sign = negated ? -1 : 1;
  Value one = on.constant(f32, sign * -86.5), other = on.constant(f32, sign * 89.0);
  Value low = negated ? other : one, high = negated ? one : other;
  Value bounded = on.select(on.compare(arith::CmpFPredicate::OLT, high, x), high, x);
  bounded = on.select(on.compare(arith::CmpFPredicate::OGT, low, bounded), low, bounded);
  if (negated)
    bounded = arith::NegFOp::create(builder, loc, bounded);

  // 126: the bias of an exponent, less one for the half.
  Value magic = on.constant(f32, 12582912.0 + 126.0), scale = on.constant(f32, 1.44269504088896341);
  Value shifted = on.fma(bounded, scale, magic);
  Value n = on.make<arith::SubFOp>(shifted, magic);
  Value f = on.fma(bounded, scale, arith::NegFOp::create(builder, loc, n));
  f = on.fma(bounded, on.constant(f32, 1.925963034e-08), f);

  Value g = on.constant(f32, 2 * 1.532880269e-04);
  for (double coefficient : {1.339097507e-03, 9.618500248e-03, 5.550359562e-02, 2.402264774e-01, 6.931471825e-01, 1.0})
    g = on.fma(g, f, on.constant(f32, 2 * coefficient));
  Value exponent = on.make<arith::ShLIOp>(on.cast<arith::BitcastOp>(i32, shifted), on.constantInt(i32, 23));
  return on.fma(g, on.cast<arith::BitcastOp>(f32, exponent), on.constant(f32, constant));
}

// tanh x = m / (m + 2) with m = e^2x - 1 = 2^n (e^r - 1) + (2^n - 1), in which nothing cancels: where n is 0, m is the
// polynomial, whose relative error stays small down to 0, and 2^n - 1 is exact. Beyond 10 the quotient is 1 or -1.
Value target::emitTanh(OpBuilder &builder, Location loc, Value x) {
  Type f32 = builder.getF32Type(), i32 = builder.getI32Type();
  Shaped on(builder, loc, x.getType());
  // Both comparisons are false for a NaN.
  Value low = on.constant(f32, -20.0), high = on.constant(f32, 20.0);
  Value twice = on.make<arith::AddFOp>(x, x);
  twice = on.select(on.compare(arith::CmpFPredicate::OLT, high, twice), high, twice);
  twice = on.select(on.compare(arith::CmpFPredicate::OGT, low, twice), low, twice);
  auto [shifted, rest] = emitExpParts(on, f32, twice, 127);
  Value exponent = on.make<arith::ShLIOp>(on.cast<arith::BitcastOp>(i32, shifted), on.constantInt(i32, 23));
  Value power = on.cast<arith::BitcastOp>(f32, exponent);
  Value m = on.fma(power, rest, on.make<arith::SubFOp>(power, on.constant(f32, 1.0)));
  return on.make<arith::DivFOp>(m, on.make<arith::AddFOp>(m, on.constant(f32, 2.0)));
}

// In double, so that the one rounding to float is all the error that is left: x = 2^e m with m in [sqrt(1/2), sqrt(2)),
// ln x = e ln 2 + 2 artanh(s), s = (m - 1) / (m + 1), artanh as its series up to s^15 (|s| < 0.172: 1e-14 relative).
Value target::emitLog(OpBuilder &builder, Location loc, Value x) {
  Type f32 = builder.getF32Type(), f64 = builder.getF64Type(), i64 = builder.getI64Type();
  Shaped on(builder, loc, x.getType());
  Value wide = on.cast<arith::ExtFOp>(f64, x);
  Value bits = on.cast<arith::BitcastOp>(i64, wide);
  // Subtracting the bits of sqrt(1/2) moves the exponent's step there.
  Value offset = on.constantInt(i64, 0x3FE6A09E667F3BCD);
  Value e = on.make<arith::ShRSIOp>(on.make<arith::SubIOp>(bits, offset), on.constantInt(i64, 52));
  Value m =
      on.cast<arith::BitcastOp>(f64, on.make<arith::SubIOp>(bits, on.make<arith::ShLIOp>(e, on.constantInt(i64, 52))));
  Value one = on.constant(f64, 1.0);
  Value s = on.make<arith::DivFOp>(on.make<arith::SubFOp>(m, one), on.make<arith::AddFOp>(m, one));
  Value s2 = on.make<arith::MulFOp>(s, s);
  Value series = on.constant(f64, 1.0 / 15);
  for (int odd = 13; odd >= 1; odd -= 2)
    series = on.fma(series, s2, on.constant(f64, 1.0 / odd));
  Value twice = on.make<arith::AddFOp>(s, s);
  Value exponent = on.cast<arith::SIToFPOp>(f64, e);
  Value result = on.fma(twice, series, on.make<arith::MulFOp>(exponent, on.constant(f64, 0.693147180559945309)));
  Value rounded = on.cast<arith::TruncFOp>(f32, result);

  // 0 -> -inf, below 0 -> NaN, inf and NaN -> themselves.
  Value zero = on.constant(f32, 0.0), infinity = on.constant(f32, std::numeric_limits<double>::infinity());
  rounded = on.select(on.compare(arith::CmpFPredicate::OEQ, x, zero),
                      on.constant(f32, -std::numeric_limits<double>::infinity()), rounded);
  rounded = on.select(on.compare(arith::CmpFPredicate::OLT, x, zero),
                      on.constant(f32, std::numeric_limits<double>::quiet_NaN()), rounded);
  rounded = on.select(on.compare(arith::CmpFPredicate::OEQ, x, infinity), infinity, rounded);
  return on.select(on.compare(arith::CmpFPredicate::UNO, x, x), x, rounded);
}

Value target::emitExtendBf16(OpBuilder &builder, Location loc, Value x) {
  Shaped on(builder, loc, x.getType());
  Type i32 = builder.getI32Type();
  Value bits = on.cast<arith::ExtUIOp>(i32, on.cast<arith::BitcastOp>(builder.getI16Type(), x));
  return on.cast<arith::BitcastOp>(builder.getF32Type(), on.make<arith::ShLIOp>(bits, on.constantInt(i32, 16)));
}

Value target::emitTruncateBf16(OpBuilder &builder, Location loc, Value x) {
  Shaped on(builder, loc, x.getType());
  Type i32 = builder.getI32Type();
  Value bits = on.cast<arith::BitcastOp>(i32, x);
  // To nearest, ties to even: add 0x7fff, and one more where the last bit that stays is odd. Infinity and the step
  // from the largest number to it come out right by themselves.
  Value shift = on.constantInt(i32, 16);
  Value high = on.make<arith::ShRUIOp>(bits, shift);
  Value odd = on.make<arith::AndIOp>(high, on.constantInt(i32, 1));
  Value rounded = on.make<arith::AddIOp>(bits, on.make<arith::AddIOp>(odd, on.constantInt(i32, 0x7fff)));
  rounded = on.make<arith::ShRUIOp>(rounded, shift);
  // Every NaN becomes one: which it was depends on who has computed it.
  Value kept = on.select(on.compare(arith::CmpFPredicate::UNO, x, x), on.constantInt(i32, 0x7fff), rounded);
  return on.cast<arith::BitcastOp>(builder.getBF16Type(), on.cast<arith::TruncIOp>(builder.getI16Type(), kept));
}

// x^n by squaring: as many multiplications as n has bits, twice; a negative n takes the reciprocal at the end.
static Value emitPower(OpBuilder &builder, Location loc, Value base, Value exponent) {
  Type type = base.getType(), integer = builder.getI64Type();
  if (exponent.getType() != integer)
    exponent = arith::ExtSIOp::create(builder, loc, integer, exponent);
  Value zero = target::constantI64(builder, loc, 0), oneI = target::constantI64(builder, loc, 1);
  Value one = arith::ConstantOp::create(builder, loc, builder.getFloatAttr(type, 1.0));
  Value negative = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, exponent, zero);
  Value minus = arith::SubIOp::create(builder, loc, zero, exponent);
  Value magnitude = arith::SelectOp::create(builder, loc, negative, minus, exponent);
  auto loop = scf::WhileOp::create(
      builder, loc, TypeRange{integer, type, type}, ValueRange{magnitude, base, one},
      [&](OpBuilder &inner, Location, ValueRange state) {
        // Unsigned: the magnitude of the smallest integer is 2^63.
        Value more = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::ne, state[0], zero);
        scf::ConditionOp::create(inner, loc, more, state);
      },
      [&](OpBuilder &inner, Location, ValueRange state) {
        Value bit = arith::AndIOp::create(inner, loc, state[0], oneI);
        Value set = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::ne, bit, zero);
        Value product = arith::MulFOp::create(inner, loc, state[2], state[1]);
        Value result = arith::SelectOp::create(inner, loc, set, product, state[2]);
        Value rest = arith::ShRUIOp::create(inner, loc, state[0], oneI);
        Value square = arith::MulFOp::create(inner, loc, state[1], state[1]);
        scf::YieldOp::create(inner, loc, ValueRange{rest, square, result});
      });
  Value power = loop.getResult(2);
  Value inverse = arith::DivFOp::create(builder, loc, one, power);
  return arith::SelectOp::create(builder, loc, negative, inverse, power);
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {
using target::Bf16Conversions;

bool isF32(Type type) { return getElementTypeOrSelf(type).isF32(); }
bool isBf16(Type type) { return getElementTypeOrSelf(type).isBF16(); }

template <typename Op, Value (*emit)(OpBuilder &, Location, Value)> struct ExpandUnary : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!isF32(op.getType()))
      return rewriter.notifyMatchFailure(op, "only f32 has an expansion");
    rewriter.replaceOp(op, emit(rewriter, op.getLoc(), op.getOperand()));
    return success();
  }
};

/// The constant that `value` holds in every element.
std::optional<double> splatOf(Value value) {
  if (auto broadcast = value.getDefiningOp<vector::BroadcastOp>())
    value = broadcast.getSource();
  Attribute constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return std::nullopt;
  if (auto dense = dyn_cast<SplatElementsAttr>(constant))
    constant = dense.getSplatValue<Attribute>();
  if (auto number = dyn_cast<FloatAttr>(constant))
    return number.getValueAsDouble();
  return std::nullopt;
}

/// c + exp(x) or c + exp(-x), as in a sigmoid. Half a unit in the last place of every c from 2^-101 on is above 2^-126.
struct ExpandExpPlus : OpRewritePattern<math::ExpOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const override {
    if (!isF32(op.getType()) || !op->hasOneUse())
      return failure();
    auto sum = dyn_cast<arith::AddFOp>(*op->user_begin());
    if (!sum)
      return failure();
    std::optional<double> constant = splatOf(sum.getLhs() == op.getResult() ? sum.getRhs() : sum.getLhs());
    if (!constant || std::abs(*constant) < 0x1p-101)
      return failure();
    Value x = op.getOperand();
    auto negation = x.getDefiningOp<arith::NegFOp>();
    rewriter.setInsertionPoint(sum);
    rewriter.replaceOp(sum, emitExpPlus(rewriter, op.getLoc(), negation ? negation.getOperand() : x,
                                        static_cast<bool>(negation), *constant));
    rewriter.eraseOp(op);
    return success();
  }
};

struct ExpandRsqrt : OpRewritePattern<math::RsqrtOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::RsqrtOp op, PatternRewriter &rewriter) const override {
    Type element = getElementTypeOrSelf(op.getType());
    if (!element.isF32() && !element.isF64())
      return rewriter.notifyMatchFailure(op, "only f32 and f64 have an expansion");
    Shaped on(rewriter, op.getLoc(), op.getType());
    Value root = math::SqrtOp::create(rewriter, op.getLoc(), op.getOperand());
    rewriter.replaceOpWithNewOp<arith::DivFOp>(op, on.constant(element, 1.0), root);
    return success();
  }
};

struct ExpandFpowi : OpRewritePattern<math::FPowIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::FPowIOp op, PatternRewriter &rewriter) const override {
    if (isa<VectorType>(op.getType()) || op.getType().isBF16())
      return rewriter.notifyMatchFailure(op, "only f32 and f64 scalars have an expansion");
    rewriter.replaceOp(op, emitPower(rewriter, op.getLoc(), op.getLhs(), op.getRhs()));
    return success();
  }
};

struct ExpandExtend : OpRewritePattern<arith::ExtFOp> {
  ExpandExtend(MLIRContext *context, Bf16Conversions bf16) : OpRewritePattern(context), bf16(bf16) {}
  Bf16Conversions bf16;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &rewriter) const override {
    if (!isBf16(op.getIn().getType()))
      return failure();
    Value wide = bf16.extend(rewriter, op.getLoc(), op.getIn());
    if (!isF32(op.getType()))
      wide = arith::ExtFOp::create(rewriter, op.getLoc(), op.getType(), wide);
    rewriter.replaceOp(op, wide);
    return success();
  }
};

struct ExpandTruncate : OpRewritePattern<arith::TruncFOp> {
  ExpandTruncate(MLIRContext *context, Bf16Conversions bf16) : OpRewritePattern(context), bf16(bf16) {}
  Bf16Conversions bf16;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!isBf16(op.getType()) || !isF32(op.getIn().getType()))
      return failure();
    rewriter.replaceOp(op, bf16.truncate(rewriter, op.getLoc(), op.getIn()));
    return success();
  }
};

/// Arithmetic on bf16 values: in f32, then rounded. For one operation that equals rounding once, since f32 has more
/// than twice bf16's digits.
template <typename Op> struct ExpandBf16 : OpRewritePattern<Op> {
  ExpandBf16(MLIRContext *context, Bf16Conversions bf16) : OpRewritePattern<Op>(context), bf16(bf16) {}
  Bf16Conversions bf16;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!isBf16(op->getOperand(0).getType()))
      return failure();
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(bf16.extend(rewriter, op.getLoc(), operand));
    if constexpr (std::is_same_v<Op, arith::CmpFOp>) {
      rewriter.replaceOpWithNewOp<arith::CmpFOp>(op, op.getPredicate(), operands[0], operands[1]);
    } else {
      Value result = Op::create(rewriter, op.getLoc(), TypeRange{operands[0].getType()}, operands)->getResult(0);
      rewriter.replaceOp(op, bf16.truncate(rewriter, op.getLoc(), result));
    }
    return success();
  }
};
} // namespace

void target::populateExpandMathPatterns(RewritePatternSet &patterns, Bf16Conversions bf16) {
  MLIRContext *context = patterns.getContext();
  patterns.add<ExpandExpPlus>(context, /*benefit=*/2);
  patterns.add<ExpandUnary<math::ExpOp, emitExp>, ExpandUnary<math::LogOp, emitLog>,
               ExpandUnary<math::TanhOp, emitTanh>, ExpandRsqrt, ExpandFpowi>(context);
  patterns.add<ExpandExtend, ExpandTruncate, ExpandBf16<arith::AddFOp>, ExpandBf16<arith::SubFOp>,
               ExpandBf16<arith::MulFOp>, ExpandBf16<arith::DivFOp>, ExpandBf16<arith::NegFOp>,
               ExpandBf16<arith::MaximumFOp>, ExpandBf16<arith::MinimumFOp>, ExpandBf16<arith::CmpFOp>,
               ExpandBf16<math::SqrtOp>>(context, bf16);
}

//===- RowBodies.cpp - What each row-wise op computes in its row ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "ftc/Support/Random.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

Type ftc::computeType(Type element) { return element.isF64() ? element : Float32Type::get(element.getContext()); }

Type ftc::elementOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); }

Value ftc::loadScalar(RowLaunch &launch, Place place) {
  if (!place.constant)
    return launch.loadElement(place.buffer, {});
  return arith::ConstantOp::create(launch.body(), launch.loc(),
                                   cast<TypedAttr>(place.constant.getSplatValue<Attribute>()));
}

bool ftc::accumulates(Operation *op) {
  auto rowWise = dyn_cast<train::RowWiseOpInterface>(op);
  return rowWise && llvm::any_of(llvm::seq(op->getNumResults()), [&](unsigned i) { return !rowWise.isRowResult(i); });
}

//===----------------------------------------------------------------------===//
// Values in and out of a row
//===----------------------------------------------------------------------===//

/// The row of `tensor` in its own element type.
Value RowEmitter::stored(Value tensor) {
  if (Value value = values.lookup(tensor))
    return value;
  Place place = context.places.lookup(tensor);
  if (place.constant) {
    Value splat = arith::ConstantOp::create(launch.body(), launch.loc(),
                                            cast<TypedAttr>(place.constant.getSplatValue<Attribute>()));
    auto type = cast<RankedTensorType>(tensor.getType());
    if (type.getRank() == 0)
      return splat;
    return math.broadcast(splat, RankedTensorType::get({type.getShape().back()}, type.getElementType()));
  }
  return launch.loadRow(place.buffer);
}

/// The row of `tensor` in the precision of arithmetic.
Value RowEmitter::row(Value tensor) { return math.convert(stored(tensor), computeType(elementOf(tensor))); }

/// Element `row` of a rank-1 tensor: a label, a row's statistic.
Value RowEmitter::element(Value tensor) {
  if (Value value = values.lookup(tensor))
    return value;
  Place place = context.places.lookup(tensor);
  if (place.constant)
    return loadScalar(launch, place);
  return launch.loadElement(place.buffer, launch.row());
}

/// A rank-0 tensor.
Value RowEmitter::scalar(Value tensor) {
  if (Value value = values.lookup(tensor))
    return value;
  return loadScalar(launch, context.places.lookup(tensor));
}

void RowEmitter::set(Value tensor, Value value) { values[tensor] = math.convert(value, elementOf(tensor)); }

void RowEmitter::storeResults(Value value) {
  auto wanted = context.destinations.find(value);
  if (wanted == context.destinations.end())
    return;
  for (Value buffer : wanted->second) {
    // A group may yield one of its inputs.
    Value row = values.contains(value) ? values[value] : stored(value);
    launch.storeRow(row, buffer);
  }
}

/// A buffer with one element (columns 0) or one row for each task.
Value RowEmitter::partial(Type element, int64_t columns, StringRef what) {
  SmallVector<int64_t> shape{launch.tasks()};
  if (columns)
    shape.push_back(columns);
  return plan::AllocOp::create(context.entry, launch.loc(), MemRefType::get(shape, element),
                               context.entry.getStringAttr(context.label + " " + what));
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

LogicalResult RowEmitter::emit(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](train::AddOp op) {
        if (elementOf(op.getResult()).isInteger())
          values[op.getResult()] =
              arith::AddIOp::create(launch.body(), launch.loc(), stored(op.getLhs()), stored(op.getRhs()));
        else
          set(op.getResult(), math.add(row(op.getLhs()), row(op.getRhs())));
        return success();
      })
      .Case([&](train::AddBiasOp op) {
        set(op.getResult(), math.add(row(op.getInput()), row(op.getBias())));
        return success();
      })
      .Case([&](train::ColumnSumsOp op) {
        if (context.destinations.contains(op.getResult()))
          sumOverRows(row(op.getInput()), op.getResult(), "bias");
        return success();
      })
      .Case([&](train::MultiplyOp op) {
        set(op.getResult(), math.mul(row(op.getLhs()), row(op.getRhs())));
        return success();
      })
      .Case([&](train::ScaleColumnsOp op) {
        set(op.getResult(), math.mul(row(op.getInput()), row(op.getFactors())));
        return success();
      })
      .Case([&](train::ScaleColumnsGradOp op) { return emitScaleColumnsGrad(op), success(); })
      .Case([&](train::CastOp op) {
        // From bf16 to fp64 and back through the compute type of the wider side.
        set(op.getResult(), row(op.getInput()));
        return success();
      })
      .Case([&](train::ScaleOp op) {
        Value input = row(op.getInput());
        set(op.getResult(),
            math.mul(input, math.convert(scalar(op.getFactor()), getElementTypeOrSelf(input.getType()))));
        return success();
      })
      .Case([&](train::DropoutOp op) { return emitDropout(op), success(); })
      .Case([&](train::FakeQuantizeOp op) { return emitFakeQuantize(op), success(); })
      .Case([&](train::AccumulateOp op) {
        Value gradient = row(op.getGradient()), micro = scalar(op.getMicro());
        Value zero = arith::ConstantOp::create(launch.body(), launch.loc(), launch.body().getI64IntegerAttr(0));
        Value first = arith::CmpIOp::create(launch.body(), launch.loc(), arith::CmpIPredicate::eq, micro, zero);
        set(op.getResult(), math.select(first, gradient, math.add(row(op.getSum()), gradient)));
        return success();
      })
      .Case([&](train::SwiGLUOp op) {
        Value gate = row(op.getGate()), one = math.constant(1.0, gate.getType());
        Value silu = math.div(gate, math.add(one, math.exp(math.neg(gate))));
        set(op.getResult(), math.mul(silu, row(op.getUp())));
        return success();
      })
      .Case([&](train::SwiGLUGradOp op) {
        Value gate = row(op.getGate()), up = row(op.getUp()), d = row(op.getGradient());
        Value one = math.constant(1.0, gate.getType()), s = math.sigmoid(gate);
        Value slope = math.mul(s, math.fma(gate, math.sub(one, s), one));
        set(op.getGateGradient(), math.mul(math.mul(d, up), slope));
        set(op.getUpGradient(), math.mul(math.mul(d, gate), s));
        return success();
      })
      .Case([&](train::GeGLUOp op) {
        Value gate = row(op.getGate()), one = math.constant(1.0, gate.getType());
        Value gelu = math.div(gate, math.add(one, math.exp(math.neg(geluArgument(gate)))));
        set(op.getResult(), math.mul(gelu, row(op.getUp())));
        return success();
      })
      .Case([&](train::GeGLUGradOp op) { return emitGeGLUGrad(op), success(); })
      .Case([&](train::SoftcapOp op) {
        Value x = row(op.getInput());
        const double cap = op.getCap().convertToDouble();
        Value share = math.tanh(math.div(x, math.constant(cap, x.getType())));
        set(op.getResult(), math.mul(share, math.constant(cap, x.getType())));
        return success();
      })
      .Case([&](train::SoftcapGradOp op) {
        Value y = row(op.getOutput()), d = row(op.getGradient()), one = math.constant(1.0, y.getType());
        Value share = math.div(y, math.constant(op.getCap().convertToDouble(), y.getType()));
        set(op.getResult(), math.mul(d, math.fma(math.neg(share), share, one)));
        return success();
      })
      .Case([&](train::EmbeddingOp op) {
        Value id =
            arith::IndexCastOp::create(launch.body(), launch.loc(), launch.body().getIndexType(), element(op.getIds()));
        auto table = op.getTable().getType();
        Value argument = launch.argument(context.places.lookup(op.getTable()).buffer);
        auto type = RankedTensorType::get({table.getDimSize(1)}, table.getElementType());
        values[op.getResult()] = plan::LoadOp::create(launch.body(), launch.loc(), type, argument, ValueRange(id), 0);
        return success();
      })
      .Case([&](train::RmsNormOp op) {
        Value x = row(op.getInput()), weight = row(op.getWeight());
        Type type = x.getType();
        Value squares = math.reduce(ReduceKind::Add, math.mul(x, x));
        Value mean = math.div(squares, math.constant(op.getWeight().getType().getDimSize(0), type));
        Value root = math.sqrt(math.add(mean, math.constant(op.getEps().convertToDouble(), type)));
        Value inverse = math.div(math.constant(1.0, type), root);
        Value normed = math.mul(x, inverse);
        if (op.getZeroCentered())
          weight = math.add(weight, math.constant(1.0, type));
        else
          normed = math.convert(math.convert(normed, elementOf(op.getInput())), getElementTypeOrSelf(type));
        set(op.getResult(), math.mul(normed, weight));
        return success();
      })
      .Case([&](train::RmsNormGradOp op) { return emitRmsNormGrad(op), success(); })
      .Case([&](train::CrossEntropyOp op) { return emitCrossEntropy(op), success(); })
      .Case([&](train::CrossEntropyGradOp op) { return emitCrossEntropyGrad(op), success(); })
      .Case([&](train::DistillationLossOp op) { return emitDistillationLoss(op), success(); })
      .Case([&](train::DistillationLossGradOp op) { return emitDistillationLossGrad(op), success(); })
      .Case([&](train::LabelLogProbsOp op) { return emitLabelLogProbs(op), success(); })
      .Case([&](train::LabelLogProbsGradOp op) { return emitLabelLogProbsGrad(op), success(); })
      .Case([&](train::SumSquaresOp op) {
        if (!context.destinations.contains(op.getResult()))
          return success();
        Value x = row(op.getInput());
        Type element = getElementTypeOrSelf(x.getType());
        Value sums = partial(element, 0, "partial sums");
        launch.accumulate(math.reduce(ReduceKind::Add, math.mul(x, x)), sums);
        Place base = context.places.lookup(op.getBase());
        reductions.push_back([=, this, result = op.getResult()] {
          RowLaunch total(context.kernels, context.entry, launch.loc(), 1, 1);
          RowMath sum(total.body(), total.loc());
          Value all =
              sum.add(sum.convert(loadScalar(total, base), element), sum.reduce(ReduceKind::Add, total.loadRow(sums)));
          for (Value buffer : context.destinations[result])
            total.storeRow(sum.convert(all, elementOf(result)), buffer);
          total.finish("sum_squares_total_" + shapeName(sums.getType()), context.label + " total");
        });
        return success();
      })
      .Case([&](train::ClipFactorOp op) {
        Value squares = scalar(op.getSumSquares());
        Type type = squares.getType();
        Value norm = math.sqrt(squares), one = math.constant(1.0, type);
        set(op.getNorm(), norm);
        if (std::isinf(op.getMaxNorm().convertToDouble())) {
          set(op.getFactor(), one);
          return success();
        }
        Value factor =
            math.div(math.constant(op.getMaxNorm().convertToDouble(), type), math.add(norm, math.constant(1e-6, type)));
        // min(1, factor) that keeps a NaN, as torch.clamp does.
        Value over = arith::CmpFOp::create(launch.body(), launch.loc(), arith::CmpFPredicate::OGT, factor, one);
        set(op.getFactor(), math.select(over, one, factor));
        return success();
      })
      .Case([&](train::SGDOp op) {
        Value p = row(op.getParameter()), g = row(op.getGradient());
        Type element = getElementTypeOrSelf(p.getType());
        Value lr = math.convert(scalar(op.getLearningRate()), element);
        Value scale = math.convert(scalar(op.getScale()), element);
        Value decay = math.constant(op.getOptimizer().getWeightDecay().getValueAsDouble(), element);
        Value change = math.fma(decay, p, math.mul(scale, g));
        set(op.getResult(), math.fma(math.neg(lr), change, p));
        return success();
      })
      .Case([&](train::SGDMomentumOp op) { return emitSGDMomentum(op), success(); })
      .Case([&](train::AdamWOp op) { return emitAdamW(op), success(); })
      .Case([&](train::FirstStepOp op) {
        set(op.getResult(), math.select(isFirstStep(op.getStep()), row(op.getInitial()), row(op.getKept())));
        return success();
      })
      .Case([&](train::StochasticRoundOp op) { return emitStochasticRound(op), success(); })
      .Default([](Operation *op) { return op->emitError("has no row body; it cannot be part of a row kernel"); });
}

/// The bits of ftc/Support/Random.h's keepsElement: what is the same for all rows first, then the row's key, then
/// columns.
void RowEmitter::emitDropout(train::DropoutOp op) {
  OpBuilder &b = launch.body();
  Location loc = launch.loc();
  auto number = [&](Type type, uint64_t bits) -> Value {
    unsigned width = getElementTypeOrSelf(type).getIntOrFloatBitWidth();
    Value scalar = arith::ConstantOp::create(
        b, loc, b.getIntegerAttr(getElementTypeOrSelf(type), APInt(64, bits).zextOrTrunc(width)));
    return math.broadcast(scalar, type);
  };
  auto add = [&](Value x, Value y) -> Value { return arith::AddIOp::create(b, loc, x, y); };
  auto mix = [&](Value x, std::initializer_list<uint64_t> shifts, std::initializer_list<uint64_t> factors) -> Value {
    auto factor = factors.begin();
    for (uint64_t shift : shifts) {
      x = arith::XOrIOp::create(b, loc, x, arith::ShRUIOp::create(b, loc, x, number(x.getType(), shift)));
      if (factor != factors.end())
        x = arith::MulIOp::create(b, loc, x, number(x.getType(), *factor++));
    }
    return x;
  };
  auto mix64 = [&](Value x) { return mix(x, {30, 27, 31}, {0xBF58476D1CE4E5B9u, 0x94D049BB133111EBu}); };
  auto mix32 = [&](Value x) { return mix(x, {16, 15, 16}, {0x7FEB352Du, 0x846CA68Bu}); };

  Type i64 = b.getI64Type(), i32 = b.getI32Type();
  Value key = arith::XOrIOp::create(b, loc, scalar(op.getSeed()), number(i64, hashName(op.getStream().str())));
  key = add(scalar(op.getStep()), mix64(key));
  key = add(scalar(op.getMicro()), mix64(key));
  key = mix64(add(arith::IndexCastOp::create(b, loc, i64, launch.row()), mix64(key)));
  Value low = arith::TruncIOp::create(b, loc, i32, key);
  Value high = arith::TruncIOp::create(b, loc, i32, arith::ShRUIOp::create(b, loc, key, number(i64, 32)));

  Value x = row(op.getInput());
  auto rowType = cast<RankedTensorType>(x.getType());
  auto bitsType = rowType.clone(i32);
  Value column = plan::ColumnOp::create(b, loc, bitsType);
  Value bits = arith::MulIOp::create(b, loc, column, number(bitsType, 0x9E3779B9u));
  bits = mix32(add(bits, math.broadcast(low, bitsType)));
  bits = mix32(arith::XOrIOp::create(b, loc, bits, math.broadcast(high, bitsType)));
  double probability = op.getProbability().convertToDouble();
  Value kept =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, bits, number(bitsType, dropoutThreshold(probability)));
  Value scale = math.constant(static_cast<float>(1.0 / (1.0 - probability)), rowType);
  set(op.getResult(), math.select(kept, math.mul(x, scale), math.constant(0.0, rowType)));
}

// sqrt(2 / pi), and the factor of the cube.
static constexpr double geluRoot = 0.797884560802865355880, geluCubic = 0.044715;

/// Twice the argument of the tanh in train.geglu, which is the argument of a sigmoid: x * (2 root + 2 root cubic x^2).
Value RowEmitter::geluArgument(Value x) {
  Value linear = math.constant(2 * geluRoot, x.getType()), cube = math.constant(2 * geluRoot * geluCubic, x.getType());
  return math.mul(x, math.fma(cube, math.mul(x, x), linear));
}

void RowEmitter::emitGeGLUGrad(train::GeGLUGradOp op) {
  Value x = row(op.getGate()), up = row(op.getUp()), d = row(op.getGradient()), one = math.constant(1.0, x.getType());
  Value s = math.sigmoid(geluArgument(x));
  // The argument's own slope, times x: x * (2 root + 6 root cubic x^2).
  Value linear = math.constant(2 * geluRoot, x.getType()), cube = math.constant(6 * geluRoot * geluCubic, x.getType());
  Value slope = math.mul(x, math.fma(cube, math.mul(x, x), linear));
  slope = math.mul(s, math.fma(slope, math.sub(one, s), one));
  set(op.getGateGradient(), math.mul(math.mul(d, up), slope));
  set(op.getUpGradient(), math.mul(math.mul(d, x), s));
}

void RowEmitter::emitRmsNormGrad(train::RmsNormGradOp op) {
  Value x = row(op.getInput()), weight = row(op.getWeight()), d = row(op.getGradient());
  Type type = x.getType();
  Value columns = math.constant(op.getWeight().getType().getDimSize(0), type);
  if (op.getZeroCentered())
    weight = math.add(weight, math.constant(1.0, type));
  Value u = math.mul(d, weight);
  Value mean = math.div(math.reduce(ReduceKind::Add, math.mul(x, x)), columns);
  Value inner = math.div(math.reduce(ReduceKind::Add, math.mul(u, x)), columns);
  Value root = math.sqrt(math.add(mean, math.constant(op.getEps().convertToDouble(), type)));
  Value r = math.div(math.constant(1.0, type), root);
  Value cube = math.mul(math.mul(math.mul(r, r), r), inner);
  set(op.getInputGradient(), math.sub(math.mul(r, u), math.mul(x, cube)));

  if (context.destinations.contains(op.getWeightGradient()))
    sumOverRows(math.mul(math.mul(d, x), r), op.getWeightGradient(), "weight");
}

void RowEmitter::emitScaleColumnsGrad(train::ScaleColumnsGradOp op) {
  Value d = row(op.getGradient());
  set(op.getInputGradient(), math.mul(d, row(op.getFactors())));
  if (context.destinations.contains(op.getFactorGradients()))
    sumOverRows(math.mul(d, row(op.getInput())), op.getFactorGradients(), "factor");
}

/// A row of `sums`, by its number.
static Value rowOf(RowLaunch &launch, Value sums, Value number) {
  auto type = cast<MemRefType>(sums.getType());
  auto row = RankedTensorType::get({type.getDimSize(1)}, type.getElementType());
  return plan::LoadOp::create(launch.body(), launch.loc(), row, launch.argument(sums), ValueRange(number), 0);
}

/// The sums of each `count` rows of `sums` that follow each other; rows that are left over are not among them. The
/// kernel is called `name`.
Value RowEmitter::sumsOfRows(Value sums, int64_t count, const std::string &name, const std::string &what) {
  auto type = cast<MemRefType>(sums.getType());
  Value grouped =
      plan::AllocOp::create(context.entry, launch.loc(),
                            MemRefType::get({type.getDimSize(0) / count, type.getDimSize(1)}, type.getElementType()),
                            context.entry.getStringAttr(context.label + " sums of partial " + what + " gradients"));
  RowLaunch each(context.kernels, context.entry, launch.loc(), type.getDimSize(0) / count, 1);
  OpBuilder &b = each.body();
  RowMath sum(b, each.loc());
  auto number = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, each.loc(), value); };
  Value first = arith::MulIOp::create(b, each.loc(), each.row(), number(count)), all = rowOf(each, sums, first);
  for (int64_t i = 1; i < count; ++i)
    all = sum.add(all, rowOf(each, sums, arith::AddIOp::create(b, each.loc(), first, number(i))));
  each.storeRow(all, grouped);
  each.finish(name, context.label + " " + what);
  return grouped;
}

/// Adds a row value up over all rows, for `result`, a vector: a partial sum for each task, then their sum. `what` has a
/// gradient.
void RowEmitter::sumOverRows(Value value, Value result, StringRef what) {
  auto rowType = cast<RankedTensorType>(value.getType());
  Value sums = partial(rowType.getElementType(), rowType.getDimSize(0), ("partial " + what + " gradients").str());
  launch.accumulate(value, sums);
  // When reductions are finished, the body may be gone: equal ones become one.
  reductions.push_back([=, this, tasks = launch.tasks(), what = what.str()] {
    // The last launch has one row, and a load for each number that it adds up: many are added up in groups before.
    constexpr int64_t group = 64;
    int64_t groups = tasks > group ? tasks / group : 0;
    std::string name = what + "_gradient_total_" + shapeName(sums.getType());
    Value grouped = groups ? sumsOfRows(sums, group, name + "_by_" + std::to_string(group), what) : Value();
    RowLaunch total(context.kernels, context.entry, launch.loc(), 1, 1);
    RowMath sum(total.body(), total.loc());
    Value all;
    auto add = [&](Value from, int64_t begin, int64_t end) {
      for (int64_t number = begin; number < end; ++number) {
        Value part = rowOf(total, from, arith::ConstantIndexOp::create(total.body(), total.loc(), number));
        all = all ? sum.add(all, part) : part;
      }
    };
    if (groups)
      add(grouped, 0, groups);
    add(sums, groups * group, tasks);
    for (Value buffer : context.destinations[result])
      total.storeRow(sum.convert(all, elementOf(result)), buffer);
    std::string suffix = elementOf(result) == rowType.getElementType() ? "" : "_bf16";
    total.finish(name + suffix, context.label + " " + what);
  });
}

void RowEmitter::emitCrossEntropy(train::CrossEntropyOp op) {
  Value x = row(op.getLogits()), label = element(op.getLabels());
  Type element = getElementTypeOrSelf(x.getType());
  Value zero = math.constant(0.0, element);
  Value valid = isLabel(launch, math, label, static_cast<int64_t>(op.getIgnoreIndex()));
  Value picked = labelLogit(op.getLogits(), label, valid);
  Value maximum = math.reduce(ReduceKind::Max, x);
  Value sum = math.reduce(ReduceKind::Add, math.exp(math.sub(x, maximum)));
  Value lse = math.add(maximum, math.log(sum));
  values[op.getLse()] = math.convert(lse, elementOf(op.getLse()));

  bool wantsLoss = context.destinations.contains(op.getLoss());
  bool wantsCount = context.destinations.contains(op.getCount());
  if (!wantsLoss && !wantsCount)
    return;
  Value losses = wantsLoss ? partial(element, 0, "partial losses") : Value();
  Value counts = wantsCount ? partial(element, 0, "partial counts") : Value();
  if (wantsLoss)
    launch.accumulate(math.select(valid, math.sub(lse, picked), zero), losses);
  // Counted in floating point, where whole numbers add exactly (up to 2^24 rows).
  if (wantsCount)
    launch.accumulate(math.select(valid, math.constant(1.0, element), zero), counts);
  Place inverse = context.places.lookup(op.getInvTokens());
  reductions.push_back([=, this, loss = op.getLoss(), count = op.getCount()] {
    RowLaunch total(context.kernels, context.entry, launch.loc(), 1, 1);
    RowMath sum(total.body(), total.loc());
    if (losses) {
      Value all = sum.reduce(ReduceKind::Add, total.loadRow(losses));
      Value scaled = sum.mul(sum.convert(loadScalar(total, inverse), element), all);
      for (Value buffer : context.destinations[loss])
        total.storeRow(sum.convert(scaled, elementOf(loss)), buffer);
    }
    if (counts) {
      Value all = sum.reduce(ReduceKind::Add, total.loadRow(counts));
      Value whole = arith::FPToSIOp::create(total.body(), total.loc(), total.body().getI32Type(), all);
      for (Value buffer : context.destinations[count])
        total.storeRow(whole, buffer);
    }
    total.finish("cross_entropy_total_" + shapeName((losses ? losses : counts).getType()), context.label + " total");
  });
}

void RowEmitter::emitCrossEntropyGrad(train::CrossEntropyGradOp op) {
  OpBuilder &b = launch.body();
  Location loc = launch.loc();
  Value x = row(op.getLogits()), label = element(op.getLabels());
  Type element = getElementTypeOrSelf(x.getType());
  Value lse = math.convert(this->element(op.getLse()), element);
  Value factor =
      math.mul(math.convert(scalar(op.getGradient()), element), math.convert(scalar(op.getInvTokens()), element));
  auto rowType = cast<RankedTensorType>(x.getType());
  Value column = plan::ColumnOp::create(b, loc, rowType.clone(b.getI32Type()));
  Value isLabel =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, column, math.broadcast(label, column.getType()));
  Value one = math.broadcast(math.constant(1.0, element), rowType), zero = math.constant(0.0, element);
  Value p = math.exp(math.sub(x, lse));
  Value d = math.mul(math.sub(p, math.select(isLabel, one, zero)), factor);
  Value ignored = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(op.getIgnoreIndex()));
  Value valid = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, label, ignored);
  set(op.getResult(), math.select(valid, d, zero));
}

void RowEmitter::finishReductions() {
  for (auto &finish : reductions)
    finish();
}

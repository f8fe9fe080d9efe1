//===- RowBodies.cpp - What each row-wise op computes in its row ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/RowBodies.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

/// Arithmetic is fp32, or fp64 for fp64 tensors.
static Type computeType(Type element) { return element.isF64() ? element : Float32Type::get(element.getContext()); }

static Type elementOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); }

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
      .Case([&](train::AccumulateOp op) {
        Value gradient = row(op.getGradient()), micro = scalar(op.getMicro());
        Value zero = arith::ConstantOp::create(launch.body(), launch.loc(), launch.body().getI64IntegerAttr(0));
        Value first =
            arith::CmpIOp::create(launch.body(), launch.loc(), arith::CmpIPredicate::eq, micro, zero);
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
        Value mean = math.div(squares, math.constant(op.getInput().getType().getDimSize(1), type));
        Value root = math.sqrt(math.add(mean, math.constant(op.getEps().convertToDouble(), type)));
        Value inverse = math.div(math.constant(1.0, type), root);
        Value normed = math.convert(math.mul(x, inverse), elementOf(op.getInput()));
        set(op.getResult(), math.mul(math.convert(normed, getElementTypeOrSelf(type)), weight));
        return success();
      })
      .Case([&](train::RmsNormGradOp op) { return emitRmsNormGrad(op), success(); })
      .Case([&](train::CrossEntropyOp op) { return emitCrossEntropy(op), success(); })
      .Case([&](train::CrossEntropyGradOp op) { return emitCrossEntropyGrad(op), success(); })
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
      .Case([&](train::AdamWOp op) { return emitAdamW(op), success(); })
      .Default([](Operation *op) { return op->emitError("has no row body; it cannot be part of a row kernel"); });
}

void RowEmitter::emitRmsNormGrad(train::RmsNormGradOp op) {
  Value x = row(op.getInput()), weight = row(op.getWeight()), d = row(op.getGradient());
  Type type = x.getType();
  Value columns = math.constant(op.getInput().getType().getDimSize(1), type);
  Value u = math.mul(d, weight);
  Value mean = math.div(math.reduce(ReduceKind::Add, math.mul(x, x)), columns);
  Value inner = math.div(math.reduce(ReduceKind::Add, math.mul(u, x)), columns);
  Value root = math.sqrt(math.add(mean, math.constant(op.getEps().convertToDouble(), type)));
  Value r = math.div(math.constant(1.0, type), root);
  Value cube = math.mul(math.mul(math.mul(r, r), r), inner);
  set(op.getInputGradient(), math.sub(math.mul(r, u), math.mul(x, cube)));

  if (!context.destinations.contains(op.getWeightGradient()))
    return;
  Type element = getElementTypeOrSelf(type);
  Value sums = partial(element, op.getWeight().getType().getDimSize(0), "partial weight gradients");
  launch.accumulate(math.mul(math.mul(d, x), r), sums);
  reductions.push_back([=, this, result = op.getWeightGradient()] {
    // One row that reads every partial: few tasks (chooseRowsPerTask).
    RowLaunch total(context.kernels, context.entry, launch.loc(), 1, 1);
    RowMath sum(total.body(), total.loc());
    auto type = cast<MemRefType>(sums.getType());
    auto rowType = RankedTensorType::get({type.getDimSize(1)}, element);
    Value argument = total.argument(sums), all;
    for (int64_t task = 0; task < type.getDimSize(0); ++task) {
      Value index = arith::ConstantIndexOp::create(total.body(), total.loc(), task);
      Value part = plan::LoadOp::create(total.body(), total.loc(), rowType, argument, ValueRange(index), 0);
      all = all ? sum.add(all, part) : part;
    }
    for (Value buffer : context.destinations[result])
      total.storeRow(sum.convert(all, elementOf(result)), buffer);
    std::string suffix = elementOf(result) == element ? "" : "_bf16";
    total.finish("weight_gradient_total_" + shapeName(type) + suffix, context.label + " weight");
  });
}

void RowEmitter::emitCrossEntropy(train::CrossEntropyOp op) {
  OpBuilder &b = launch.body();
  Location loc = launch.loc();
  Value x = row(op.getLogits()), label = element(op.getLabels());
  Type element = getElementTypeOrSelf(x.getType());
  Value zero = math.constant(0.0, element);

  // The label's logit is picked by comparing columns: the same body whether the logits are in memory or made in the
  // row.
  auto rowType = cast<RankedTensorType>(x.getType());
  Value column = plan::ColumnOp::create(b, loc, rowType.clone(b.getI32Type()));
  Value isLabel =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, column, math.broadcast(label, column.getType()));
  Value picked = math.reduce(ReduceKind::Add, math.select(isLabel, x, zero));
  Value maximum = math.reduce(ReduceKind::Max, x);
  Value sum = math.reduce(ReduceKind::Add, math.exp(math.sub(x, maximum)));
  Value lse = math.add(maximum, math.log(sum));
  values[op.getLse()] = math.convert(lse, elementOf(op.getLse()));

  bool wantsLoss = context.destinations.contains(op.getLoss());
  bool wantsCount = context.destinations.contains(op.getCount());
  if (!wantsLoss && !wantsCount)
    return;
  Value ignored = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(op.getIgnoreIndex()));
  Value valid = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, label, ignored);
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

//===----------------------------------------------------------------------===//
// AdamW
//===----------------------------------------------------------------------===//

Value ftc::emitAdamWScalars(KernelTable &kernels, OpBuilder &entry, train::AdamWOp op, Place learningRate, Place step) {
  auto f64 = entry.getF64Type();
  auto f32 = entry.getF32Type();
  // fp64 parameters exist only to check formulas: they keep fp64 scalars.
  Type element = computeType(elementOf(op.getParameter()));
  Value scalars =
      plan::AllocOp::create(entry, op.getLoc(), MemRefType::get({3}, element), entry.getStringAttr("adamw scalars"));
  RowLaunch launch(kernels, entry, op.getLoc(), 1, 1);
  RowMath math(launch.body(), launch.loc());
  Value lr = math.convert(loadScalar(launch, learningRate), f64), t = loadScalar(launch, step);
  Value one = math.constant(1.0, f64);
  auto number = [&](FloatAttr value) { return math.constant(value.getValueAsDouble(), f64); };
  auto correction = [&](FloatAttr beta) -> Value {
    return math.sub(one, math::FPowIOp::create(launch.body(), launch.loc(), number(beta), t));
  };
  train::AdamWAttr adamw = op.getOptimizer();
  Value values[] = {math.sub(one, math.mul(lr, number(adamw.getWeightDecay()))),
                    math.div(lr, correction(adamw.getBeta1())), math.div(one, math.sqrt(correction(adamw.getBeta2())))};
  for (auto [index, value] : llvm::enumerate(values)) {
    Value place = arith::ConstantIndexOp::create(launch.body(), launch.loc(), index);
    launch.storeAt(math.convert(value, element), launch.argument(scalars), place);
  }
  launch.finish(element == f32 ? "adamw_scalars" : "adamw_scalars_f64", "adamw scalars");
  return scalars;
}

void RowEmitter::emitAdamW(train::AdamWOp op) {
  OpBuilder &b = launch.body();
  Value scalars =
      context.adamwScalars(op, context.places.lookup(op.getLearningRate()), context.places.lookup(op.getStep()));
  auto prepared = [&](int64_t index) {
    Value place = arith::ConstantIndexOp::create(b, launch.loc(), index);
    return launch.loadElement(scalars, place);
  };
  Value decay = prepared(0), stepSize = prepared(1), inverseRoot = prepared(2);
  Value p = row(op.getParameter());
  Type element = getElementTypeOrSelf(p.getType());
  Value scale = math.convert(scalar(op.getScale()), element);
  Value g = math.mul(scale, row(op.getGradient()));
  Value m = math.convert(row(op.getExpAvg()), element), v = math.convert(row(op.getExpAvgSq()), element);
  train::AdamWAttr adamw = op.getOptimizer();
  double beta1 = adamw.getBeta1().getValueAsDouble(), beta2 = adamw.getBeta2().getValueAsDouble();
  Value newM = math.fma(math.constant(1.0 - beta1, element), math.sub(g, m), m);
  Value newV =
      math.fma(math.constant(beta2, element), v, math.mul(math.constant(1.0 - beta2, element), math.mul(g, g)));
  Value root = math.fma(math.sqrt(newV), inverseRoot, math.constant(adamw.getEps().getValueAsDouble(), element));
  Value newP = math.sub(math.mul(p, decay), math.mul(stepSize, math.div(newM, root)));
  set(op.getNewExpAvg(), newM);
  set(op.getNewExpAvgSq(), newV);
  set(op.getResult(), newP);
}

void RowEmitter::finishReductions() {
  for (auto &finish : reductions)
    finish();
}

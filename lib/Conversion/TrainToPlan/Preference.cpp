//===- Preference.cpp - Losses of pairs of answers from train to plan -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

using plan::ReduceKind;

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

Value ftc::labelColumn(RowLaunch &launch, RowMath &math, Value label, RankedTensorType rowType) {
  OpBuilder &b = launch.body();
  Value column = plan::ColumnOp::create(b, launch.loc(), rowType.clone(b.getI32Type()));
  return arith::CmpIOp::create(b, launch.loc(), arith::CmpIPredicate::eq, column,
                               math.broadcast(label, column.getType()));
}

Value ftc::isLabel(RowLaunch &launch, RowMath &math, Value labels, int64_t ignored) {
  OpBuilder &b = launch.body();
  Value none = arith::ConstantOp::create(b, launch.loc(), b.getI32IntegerAttr(static_cast<int32_t>(ignored)));
  return arith::CmpIOp::create(b, launch.loc(), arith::CmpIPredicate::ne, labels,
                               math.broadcast(none, labels.getType()));
}

/// The logit of a row's label: one element of the row in memory. Where the row is made here (of capped logits) it is
/// picked by comparing columns. Of rows without a valid label, any number.
Value RowEmitter::labelLogit(Value logits, Value label, Value valid) {
  Place place = context.places.lookup(logits);
  Type type = computeType(elementOf(logits));
  OpBuilder &b = launch.body();
  if (place.buffer && !values.contains(logits)) {
    Value zero = arith::ConstantOp::create(b, launch.loc(), b.getI32IntegerAttr(0));
    Value column = arith::IndexCastOp::create(b, launch.loc(), b.getIndexType(), math.select(valid, label, zero));
    return math.convert(launch.loadColumn(place.buffer, column), type);
  }
  Value x = row(logits);
  Value isColumn = labelColumn(launch, math, label, cast<RankedTensorType>(x.getType()));
  return math.reduce(ReduceKind::Add, math.select(isColumn, x, math.constant(0.0, type)));
}

void RowEmitter::emitLabelLogProbs(train::LabelLogProbsOp op) {
  Value x = row(op.getLogits()), label = element(op.getLabels());
  Value zero = math.constant(0.0, x.getType());
  Value valid = isLabel(launch, math, label, static_cast<int64_t>(op.getIgnoreIndex()));
  Value picked = labelLogit(op.getLogits(), label, valid);
  Value maximum = math.reduce(ReduceKind::Max, x);
  Value sum = math.reduce(ReduceKind::Add, math.exp(math.sub(x, maximum)));
  Value lse = math.add(maximum, math.log(sum));
  set(op.getLse(), lse);
  set(op.getLogProbs(), math.select(valid, math.sub(picked, lse), zero));
}

void RowEmitter::emitLabelLogProbsGrad(train::LabelLogProbsGradOp op) {
  Value x = row(op.getLogits()), label = element(op.getLabels());
  Type type = getElementTypeOrSelf(x.getType());
  auto rowType = cast<RankedTensorType>(x.getType());
  Value lse = math.convert(element(op.getLse()), type), factor = math.convert(element(op.getGradient()), type);
  Value isColumn = labelColumn(launch, math, label, rowType);
  Value one = math.broadcast(math.constant(1.0, type), rowType), zero = math.constant(0.0, type);
  Value d = math.mul(math.sub(math.select(isColumn, one, zero), math.exp(math.sub(x, lse))), factor);
  Value valid = isLabel(launch, math, label, static_cast<int64_t>(op.getIgnoreIndex()));
  set(op.getResult(), math.select(valid, d, zero));
}

//===----------------------------------------------------------------------===//
// Sequences
//===----------------------------------------------------------------------===//

/// A vector with `rows` rows of as many elements each.
static MemRefType inRows(Value vector, int64_t rows) {
  auto type = cast<MemRefType>(vector.getType());
  return MemRefType::get({rows, type.getNumElements() / rows}, type.getElementType());
}

/// Row `row` of a vector that is seen in `rows` rows.
static Value loadPart(RowLaunch &launch, Value vector, int64_t rows, Value row) {
  MemRefType seen = inRows(vector, rows);
  auto type = RankedTensorType::get({seen.getDimSize(1)}, seen.getElementType());
  return plan::LoadOp::create(launch.body(), launch.loc(), type, launch.argument(vector, seen), ValueRange(row), 0);
}

/// One row for each sequence.
void EntryConverter::convertSequenceSums(train::SequenceSumsOp op) {
  std::string label = labelOf(op);
  const auto batch = static_cast<int64_t>(op.getBatch());
  Value input = bufferOf(op.getInput()), labels = bufferOf(op.getLabels());
  const int64_t length = op.getInput().getType().getNumElements() / batch;
  RowLaunch launch(kernels, builder, op.getLoc(), batch, chooseRowsPerTask(batch, length));
  RowMath math(launch.body(), op.getLoc());
  Value numbers = loadPart(launch, input, batch, launch.row());
  Value valid =
      isLabel(launch, math, loadPart(launch, labels, batch, launch.row()), static_cast<int64_t>(op.getIgnoreIndex()));
  // Counted in floating point, where whole numbers add exactly (up to 2^24 tokens).
  Value one = math.broadcast(math.constant(1.0, numbers.getType()), numbers.getType());
  Value counted = math.select(valid, one, math.constant(0.0, numbers.getType()));
  for (auto [result, value] : {std::pair(op.getSums(), numbers), std::pair(op.getCounts(), counted)}) {
    if (result.use_empty())
      continue;
    Value buffer = resultBuffer(cast<OpResult>(result), {}, label);
    places[result].buffer = buffer;
    launch.storeRow(math.reduce(ReduceKind::Add, value), buffer);
  }
  launch.finish("sequence_sums_" + std::to_string(batch) + "x" + std::to_string(length), label);
}

void EntryConverter::convertSequenceSpread(train::SequenceSpreadOp op) {
  std::string label = labelOf(op);
  Value input = bufferOf(op.getInput());
  Value output = resultBuffer(cast<OpResult>(op.getResult()), {}, label);
  places[op.getResult()].buffer = output;
  const int64_t batch = op.getInput().getType().getNumElements();
  MemRefType seen = inRows(output, batch);
  RowLaunch launch(kernels, builder, op.getLoc(), batch, chooseRowsPerTask(batch, seen.getDimSize(1)));
  RowMath math(launch.body(), op.getLoc());
  auto row = RankedTensorType::get({seen.getDimSize(1)}, seen.getElementType());
  launch.storeAt(math.broadcast(launch.loadElement(input, launch.row()), row), launch.argument(output, seen),
                 launch.row());
  launch.finish("sequence_spread_" + shapeName(seen), label);
}

//===----------------------------------------------------------------------===//
// Pairs
//===----------------------------------------------------------------------===//

namespace {
/// A launch of one row whose columns are the pairs.
class PairsLaunch : public RowLaunch {
public:
  PairsLaunch(KernelTable &kernels, OpBuilder &entry, Location loc)
      : RowLaunch(kernels, entry, loc, 1, 1), math(body(), loc) {}

  /// Of the chosen answers (0) or the rejected ones (1).
  Value side(Value vector, int64_t which) { return loadPart(*this, vector, 2, number(which)); }
  Value number(int64_t value) { return arith::ConstantIndexOp::create(body(), loc(), value); }
  Value greater(Value a, Value b) {
    b = math.broadcast(b, a.getType());
    return arith::CmpFOp::create(body(), loc(), arith::CmpFPredicate::OGT, a, b);
  }

  /// beta times the difference of the log-ratios.
  Value margins(Value policy, Value reference, double beta) {
    Value trained = math.sub(side(policy, 0), side(policy, 1));
    Value before = math.sub(side(reference, 0), side(reference, 1));
    return math.mul(math.constant(beta, trained.getType()), math.sub(trained, before));
  }
  Value haveLabel(Value counts) {
    Value both = math.add(side(counts, 0), side(counts, 1));
    return greater(both, math.constant(0.0, both.getType()));
  }

  /// log(1 + exp(x)) without overflow, and without losing the digits of a small one: log(1 + u) is u * log(w) / (w - 1)
  /// with w = 1 + u rounded, or u where that is 1 (Goldberg, "What Every Computer Scientist Should Know About
  /// Floating-Point Arithmetic", theorem 4).
  Value softplus(Value x) {
    Value zero = math.constant(0.0, x.getType()), one = math.constant(1.0, x.getType());
    Value positive = greater(x, zero), larger = math.select(positive, x, math.broadcast(zero, x.getType()));
    Value u = math.exp(math.select(positive, math.neg(x), x)), w = math.add(one, u);
    Value exact = greater(w, one);
    Value beyond = math.select(exact, math.sub(w, one), math.broadcast(one, x.getType()));
    Value log = math.select(exact, math.div(math.mul(u, math.log(w)), beyond), u);
    return math.add(larger, log);
  }

  RowMath math;
};
} // namespace

void EntryConverter::convertPreferenceLoss(train::PreferenceLossOp op) {
  std::string label = labelOf(op);
  Value policy = bufferOf(op.getPolicy()), reference = bufferOf(op.getReference()), counts = bufferOf(op.getCounts());
  PairsLaunch launch(kernels, builder, op.getLoc());
  RowMath &math = launch.math;
  Value x = launch.margins(policy, reference, op.getBeta().convertToDouble()), valid = launch.haveLabel(counts);
  Type row = x.getType();
  Value zero = math.broadcast(math.constant(0.0, row), row), one = math.broadcast(math.constant(1.0, row), row);
  Value losses;
  if (op.getKind() == train::PreferenceKind::Hinge) {
    Value short_ = math.sub(one, x);
    losses = math.select(launch.greater(zero, short_), zero, short_); // keeps a NaN
  } else {
    const double smoothing = op.getLabelSmoothing().convertToDouble();
    losses = launch.softplus(math.neg(x));
    if (smoothing > 0)
      losses = math.add(math.mul(math.constant(1 - smoothing, row), losses),
                        math.mul(math.constant(smoothing, row), launch.softplus(x)));
  }
  if (!op.getLoss().use_empty()) {
    Value sum = math.reduce(ReduceKind::Add, math.select(valid, losses, zero));
    Value scaled = math.mul(loadScalar(launch, placeOf(op.getInvPairs())), sum);
    Value buffer = places[op.getLoss()].buffer = resultBuffer(cast<OpResult>(op.getLoss()), {}, label);
    launch.storeRow(scaled, buffer);
  }
  if (!op.getPairs().use_empty()) {
    Value count = math.reduce(ReduceKind::Add, math.select(valid, one, zero));
    Value whole = arith::FPToSIOp::create(launch.body(), op.getLoc(), launch.body().getI32Type(), count);
    Value buffer = places[op.getPairs()].buffer = resultBuffer(cast<OpResult>(op.getPairs()), {}, label + " pairs");
    launch.storeRow(whole, buffer);
  }
  launch.finish("preference_loss_" + shapeName(op.getPolicy().getType()), label);
}

void EntryConverter::convertPreferenceLossGrad(train::PreferenceLossGradOp op) {
  std::string label = labelOf(op);
  Value policy = bufferOf(op.getPolicy()), reference = bufferOf(op.getReference()), counts = bufferOf(op.getCounts());
  Value output = resultBuffer(cast<OpResult>(op.getResult()), {}, label);
  places[op.getResult()].buffer = output;
  PairsLaunch launch(kernels, builder, op.getLoc());
  RowMath &math = launch.math;
  const double beta = op.getBeta().convertToDouble(), smoothing = op.getLabelSmoothing().convertToDouble();
  Value x = launch.margins(policy, reference, beta), valid = launch.haveLabel(counts);
  Type row = x.getType(), element = getElementTypeOrSelf(row);
  Value zero = math.broadcast(math.constant(0.0, row), row), slope;
  if (op.getKind() == train::PreferenceKind::Hinge) {
    Value one = math.broadcast(math.constant(1.0, row), row);
    slope = math.select(launch.greater(one, x), math.neg(one), zero);
  } else {
    slope = math.mul(math.constant(smoothing - 1, row), math.sigmoid(math.neg(x)));
    if (smoothing > 0)
      slope = math.add(slope, math.mul(math.constant(smoothing, row), math.sigmoid(x)));
  }
  Value factor = math.mul(loadScalar(launch, placeOf(op.getGradient())), loadScalar(launch, placeOf(op.getInvPairs())));
  Value d = math.mul(math.mul(factor, math.constant(beta, element)), slope);
  d = math.select(valid, d, zero);
  Value place = launch.argument(output, inRows(output, 2));
  launch.storeAt(d, place, launch.number(0));
  launch.storeAt(math.neg(d), place, launch.number(1));
  launch.finish("preference_loss_grad_" + shapeName(op.getPolicy().getType()), label);
}

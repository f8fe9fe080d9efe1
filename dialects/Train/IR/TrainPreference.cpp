//===- TrainPreference.cpp - Verifiers and gradients of preference ops -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

using Gradients = SmallVector<Value>;

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

LogicalResult ftc::train::verifyLabels(Operation *op, RankedTensorType logits, RankedTensorType labels,
                                       ArrayRef<RankedTensorType> numbers) {
  const int64_t rows = logits.getDimSize(0);
  if (labels.getDimSize(0) != rows)
    return op->emitOpError("labels ") << labels << " are not one for each row of " << logits;
  for (RankedTensorType type : numbers) {
    if (type.getDimSize(0) != rows)
      return op->emitOpError("numbers ") << type << " are not one for each row of " << logits;
    if (type.getElementType().isF64() != logits.getElementType().isF64())
      return op->emitOpError("numbers of ")
             << logits << " cannot be " << type << "; they are f64 for f64 and f32 otherwise";
  }
  return success();
}

LogicalResult LabelLogProbsOp::verify() {
  return verifyLabels(*this, getLogits().getType(), getLabels().getType(),
                      {getLogProbs().getType(), getLse().getType()});
}

LogicalResult LabelLogProbsGradOp::verify() {
  return verifyLabels(*this, getLogits().getType(), getLabels().getType(),
                      {getLse().getType(), getGradient().getType()});
}

LogicalResult SequenceSumsOp::verify() {
  auto input = getInput().getType(), labels = getLabels().getType(), sums = getSums().getType();
  if (labels.getDimSize(0) != input.getDimSize(0))
    return emitOpError("labels ") << labels << " are not one for each number of " << input;
  const auto batch = static_cast<int64_t>(getBatch());
  if (batch < 1 || input.getDimSize(0) % batch)
    return emitOpError("tokens of ") << input << " are not those of " << batch << " sequences of one length";
  if (sums.getDimSize(0) != batch || sums.getElementType() != input.getElementType())
    return emitOpError("sums ") << sums << " are not one of " << input << " for each of " << batch << " sequences";
  return success();
}

LogicalResult SequenceSpreadOp::verify() {
  auto input = getInput().getType(), result = getResult().getType();
  if (result.getDimSize(0) % input.getDimSize(0) || result.getElementType() != input.getElementType())
    return emitOpError("result ") << result << " has not a number of tokens for each of " << input;
  return success();
}

static LogicalResult verifyPairs(Operation *op, PreferenceKind kind, RankedTensorType answers, RankedTensorType scalar,
                                 const APFloat &beta, const APFloat &smoothing) {
  if (answers.getDimSize(0) % 2)
    return op->emitOpError("answers of ") << answers << " are no pairs";
  if (scalar.getElementType() != answers.getElementType())
    return op->emitOpError("inv_pairs is ") << scalar << " beside log-probabilities of " << answers;
  const double b = beta.convertToDouble(), s = smoothing.convertToDouble();
  if (!(b > 0) || !std::isfinite(b))
    return op->emitOpError("beta ") << b << " is not above 0 and finite";
  if (!(s >= 0 && s < 1))
    return op->emitOpError("label_smoothing ") << s << " is not at least 0 and below 1";
  if (kind == PreferenceKind::Hinge && s != 0)
    return op->emitOpError("a hinge has no label_smoothing");
  return success();
}

LogicalResult PreferenceLossOp::verify() {
  return verifyPairs(*this, getKind(), getPolicy().getType(), getInvPairs().getType(), getBeta(), getLabelSmoothing());
}

LogicalResult PreferenceLossGradOp::verify() {
  return verifyPairs(*this, getKind(), getPolicy().getType(), getInvPairs().getType(), getBeta(), getLabelSmoothing());
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

int64_t LabelLogProbsOp::getRows() { return getLogits().getType().getDimSize(0); }
bool LabelLogProbsOp::isRowOperand(unsigned) { return true; }
bool LabelLogProbsOp::isRowResult(unsigned) { return true; }

int64_t LabelLogProbsGradOp::getRows() { return getLogits().getType().getDimSize(0); }
bool LabelLogProbsGradOp::isRowOperand(unsigned) { return true; }
bool LabelLogProbsGradOp::isRowResult(unsigned) { return true; }

//===----------------------------------------------------------------------===//
// Vector-Jacobian products
//===----------------------------------------------------------------------===//

Gradients LabelLogProbsOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  Value logits = LabelLogProbsGradOp::create(builder, getLoc(), getLogits().getType(), getLogits(), getLabels(),
                                             getLse(), gradients[0], getIgnoreIndexAttr());
  return {logits, Value()};
}

Gradients SequenceSumsOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  return {SequenceSpreadOp::create(builder, getLoc(), getInput().getType(), gradients[0]), Value()};
}

Gradients PreferenceLossOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  // The reference is a constant, as are counts and the number of pairs.
  Gradients result(4);
  result[0] =
      PreferenceLossGradOp::create(builder, getLoc(), getPolicy().getType(), getKindAttr(), getPolicy(), getReference(),
                                   getCounts(), getInvPairs(), gradients[0], getBetaAttr(), getLabelSmoothingAttr());
  return result;
}

//===- TrainDistillation.cpp - Verifiers and gradients of distillation ops ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

static LogicalResult verifyRatio(Operation *op, const APFloat &ratio) {
  const double r = ratio.convertToDouble();
  if (!(r >= 0 && r <= 1))
    return op->emitOpError("ratio ") << r << " is not from 0 to 1";
  return success();
}

LogicalResult DistillationLossOp::verify() {
  if (failed(verifyRatio(*this, getRatio())))
    return failure();
  return verifyLabels(*this, getLogits().getType(), getLabels().getType(), {getLse().getType()});
}

LogicalResult DistillationLossGradOp::verify() {
  if (failed(verifyRatio(*this, getRatio())))
    return failure();
  return verifyLabels(*this, getLogits().getType(), getLabels().getType(), {getLse().getType()});
}

int64_t DistillationLossOp::getRows() { return getLogits().getType().getDimSize(0); }
bool DistillationLossOp::isRowOperand(unsigned index) { return index < 3; }
bool DistillationLossOp::isRowResult(unsigned index) { return index >= 4; }

int64_t DistillationLossGradOp::getRows() { return getLogits().getType().getDimSize(0); }
bool DistillationLossGradOp::isRowOperand(unsigned index) { return index < 5; }
bool DistillationLossGradOp::isRowResult(unsigned) { return true; }

SmallVector<Value> DistillationLossOp::buildVjp(OpBuilder &builder, ValueRange gradients, ArrayRef<bool>) {
  // The parts of the loss are told, not trained on; the teacher is a constant.
  SmallVector<Value> result(4);
  if (gradients[0])
    result[0] = DistillationLossGradOp::create(builder, getLoc(), getLogits().getType(), getLogits(),
                                               getTeacherLogits(), getLabels(), getLse(), getTeacherLse(),
                                               getInvTokens(), gradients[0], getRatioAttr(), getIgnoreIndexAttr());
  return result;
}

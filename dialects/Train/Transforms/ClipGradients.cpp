//===- ClipGradients.cpp - Clipping by global norm ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Clipping by global norm (Pascanu et al. 2013), as torch.nn.utils.clip_grad_norm_.
//
// Assumes: updates stand behind all gradients' definitions or may be moved there: the factor is known only when the
// last gradient is, so every update moves to the end of the entry.
//
// Promises: the sum runs over the gradients in the order of their updates. Only scales are added; gradients stay as
// they are. An infinite bound adds the norm alone.
//
// Refuses: an update that is scaled already.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include <cmath>

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_CLIPGRADIENTSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

LogicalResult clipEntry(EntryOp entry, FloatAttr maxNorm) {
  Block &body = entry.getBody().front();
  SmallVector<UpdateOp> updates(body.getOps<UpdateOp>());
  if (updates.empty())
    return success();
  auto terminator = cast<ReturnOp>(body.getTerminator());
  OpBuilder builder(terminator);
  Location loc = NameLoc::get(builder.getStringAttr("grad_norm"), entry.getLoc());
  auto scalar = RankedTensorType::get({}, builder.getF32Type());
  Value sum = ConstantOp::create(builder, loc, DenseElementsAttr::get(scalar, 0.0f));
  for (UpdateOp update : updates) {
    if (update.getScale())
      return update.emitOpError("has a scale already; clip once, before other passes scale updates");
    builder.setInsertionPoint(terminator);
    sum = SumSquaresOp::create(builder, update.getLoc(), scalar, update.getGradient(), sum);
  }
  auto clip = ClipFactorOp::create(builder, loc, TypeRange{scalar, scalar}, sum, maxNorm);
  for (UpdateOp update : updates) {
    update->moveBefore(terminator);
    if (!std::isinf(maxNorm.getValueAsDouble()))
      update.getScaleMutable().assign(clip.getFactor());
  }
  terminator->insertOperands(terminator->getNumOperands(), clip.getNorm());
  SmallVector<Attribute> names(entry.getOutputNames().begin(), entry.getOutputNames().end());
  names.push_back(builder.getStringAttr("grad_norm"));
  entry.setOutputNamesAttr(builder.getArrayAttr(names));
  return success();
}

struct ClipGradientsPass : impl::ClipGradientsPassBase<ClipGradientsPass> {
  void runOnOperation() override {
    auto maxNorm = getOperation()->getAttrOfType<FloatAttr>(TrainDialect::clipGradNormAttrName);
    if (!maxNorm)
      return;
    for (auto entry : getOperation().getOps<EntryOp>())
      if (failed(clipEntry(entry, maxNorm)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace ftc::train

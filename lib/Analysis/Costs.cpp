//===- Costs.cpp - What a step has to compute -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Costs.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;

double ftc::causalFlops(int64_t rows, int64_t columns, int64_t batch, std::optional<int64_t> window, double products) {
  double sequence = static_cast<double>(rows) / static_cast<double>(batch);
  double seen = window ? std::min(sequence, static_cast<double>(*window)) : sequence;
  double pairs = seen * (seen + 1) / 2 + (sequence - seen) * seen;
  return products * 2 * pairs * static_cast<double>(columns * batch);
}

template <typename Op> static double attentionFlops(Op op, double products) {
  auto query = cast<RankedTensorType>(op.getQuery().getType());
  return causalFlops(query.getDimSize(0), query.getDimSize(1), op.getBatch(), op.getWindow(), products);
}

double ftc::flopsOf(Operation *op) {
  auto elementWise = [](Operation *op, double each) {
    return each * static_cast<double>(cast<RankedTensorType>(op->getResult(0).getType()).getNumElements());
  };
  return TypeSwitch<Operation *, double>(op)
      .Case([](train::MatmulOp op) {
        return 2.0 * static_cast<double>(op.getM()) * static_cast<double>(op.getN()) * static_cast<double>(op.getK());
      })
      .Case([](train::MatmulPairOp op) {
        return 2.0 * static_cast<double>(op.getM()) * static_cast<double>(op.getN()) *
               static_cast<double>(op.getK() + op.getPairK());
      })
      .Case([](train::AttentionOp op) { return attentionFlops(op, 2); })
      .Case([](train::AttentionGradOp op) { return attentionFlops(op, 4); })
      .Case<train::AddOp, train::AddBiasOp, train::MultiplyOp, train::ScaleOp, train::ScaleColumnsOp>(
          [&](Operation *op) { return elementWise(op, 1); })
      .Case([&](train::DropoutOp op) { return elementWise(op, 20); })
      .Case([&](train::FakeQuantizeOp op) { return elementWise(op, 8); })
      .Case([&](train::AdamWQuantizedOp op) { return elementWise(op, 20); })
      .Case([&](train::RotaryOp op) { return elementWise(op, 3); })
      .Case([&](train::RmsNormOp op) { return elementWise(op, 4); })
      .Case([&](train::SwiGLUOp op) { return elementWise(op, 5); })
      .Case([&](train::GeGLUOp op) { return elementWise(op, 9); })
      .Case([&](train::SoftcapOp op) { return elementWise(op, 6); })
      .Default(0.0);
}

/// What arithmetic bounds, not memory alone.
static bool isProduct(Operation *op) {
  return isa<train::MatmulOp, train::MatmulPairOp, train::AttentionOp, train::AttentionGradOp>(op);
}

double ftc::necessaryFlops(train::EntryOp entry) {
  double flops = 0;
  entry.getBody().walk([&](Operation *op) {
    if (isProduct(op) && !op->hasAttr(train::TrainDialect::recomputeAttrName))
      flops += flopsOf(op);
  });
  return flops;
}

double ftc::secondsOf(Operation *op, const LinkModel &device) {
  if (isa<train::ReadOp, train::WriteOp, train::DelayOp, train::OffloadOp, train::PrefetchOp, train::SliceRowsOp,
          train::ConcatRowsOp>(op) ||
      op->hasTrait<OpTrait::ConstantLike>() || op->hasTrait<OpTrait::IsTerminator>())
    return 0;
  double bytes = 0;
  auto bitsOf = [](Type element) { // a weight in four bits has a byte of scale for each 64 elements
    return isa<train::Nf4Type>(element) ? 4.125 : static_cast<double>(element.getIntOrFloatBitWidth());
  };
  for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()))
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      bytes += static_cast<double>(tensor.getNumElements()) * bitsOf(tensor.getElementType()) / 8;
  double flops = isProduct(op) ? flopsOf(op) : 0;
  return flops / device.flopsPerSecond + bytes / device.nearBytesPerSecond;
}

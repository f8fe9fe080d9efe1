//===- Parts.cpp - Parts of tensors from train to plan --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

using namespace mlir;
using namespace ftc;

void EntryConverter::convertSliceRows(train::SliceRowsOp op) {
  Place whole = placeOf(op.getInput());
  Place &part = places[op.getResult()];
  // Rows of a splat constant are the same constant.
  part.constant = whole.constant;
  if (whole.buffer)
    part.buffer =
        plan::SliceOp::create(builder, op.getLoc(), bufferType(op.getResult().getType()), whole.buffer, op.getFirst());
}

void EntryConverter::convertConcatRows(train::ConcatRowsOp op) {
  std::string label = labelOf(op);
  Value whole = places.lookup(op.getResult()).buffer;
  if (!whole) {
    whole = resultBuffer(cast<OpResult>(op.getResult()), {}, label);
    places[op.getResult()].buffer = whole;
  }
  int64_t first = 0;
  for (Value part : op.getParts()) {
    if (!partsOfConcats.contains(part)) {
      Type type = bufferType(part.getType());
      emitCopy(op.getLoc(), bufferOf(part), plan::SliceOp::create(builder, op.getLoc(), type, whole, first), label);
    }
    first += cast<RankedTensorType>(part.getType()).getDimSize(0);
  }
}

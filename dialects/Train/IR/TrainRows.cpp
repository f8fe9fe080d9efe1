//===- TrainRows.cpp - Parts of tensors --------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

/// Whether `part` is like `whole` but for its number of rows.
static bool isLikeButForRows(RankedTensorType part, RankedTensorType whole) {
  return part.getRank() > 0 && part.getRank() == whole.getRank() && part.getElementType() == whole.getElementType() &&
         part.getShape().drop_front() == whole.getShape().drop_front();
}

LogicalResult SliceRowsOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType()), result = cast<RankedTensorType>(getResult().getType());
  if (!isLikeButForRows(result, input))
    return emitOpError("result ") << result << " is not made of rows of " << input;
  int64_t first = getFirst(), rows = result.getDimSize(0);
  if (first < 0 || rows < 1 || first > input.getDimSize(0) - rows)
    return emitOpError("takes rows ") << first << " to " << first + rows << " of " << input;
  return success();
}

OpFoldResult SliceRowsOp::fold(FoldAdaptor) {
  return getResult().getType() == getInput().getType() ? getInput() : Value();
}

LogicalResult ConcatRowsOp::verify() {
  auto result = cast<RankedTensorType>(getResult().getType());
  int64_t rows = 0;
  for (Type type : getParts().getTypes()) {
    auto part = cast<RankedTensorType>(type);
    if (!isLikeButForRows(part, result))
      return emitOpError("part ") << part << " is not made of rows of " << result;
    rows += part.getDimSize(0);
  }
  if (getParts().empty() || rows != result.getDimSize(0))
    return emitOpError("parts have ") << rows << " rows but the result is " << result;
  return success();
}

OpFoldResult ConcatRowsOp::fold(FoldAdaptor) { return getParts().size() == 1 ? getParts().front() : Value(); }

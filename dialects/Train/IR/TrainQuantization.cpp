//===- TrainQuantization.cpp - Verifier of fake quantization -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

LogicalResult FakeQuantizeOp::verify() {
  const auto group = static_cast<int64_t>(getGroup());
  const int64_t columns = getInput().getType().getDimSize(1);
  if (group < 2 || columns % group != 0)
    return emitOpError("has groups of ") << group << "; they need at least 2 elements, and to divide a row of "
                                         << columns;
  if (getAfter().has_value() != static_cast<bool>(getStep()))
    return emitOpError("needs the number of the step where it has `after`, and only there");
  if (getAfter() && static_cast<int64_t>(*getAfter()) < 0)
    return emitOpError("begins after ") << static_cast<int64_t>(*getAfter()) << " steps";
  return success();
}

//===- Train.cpp - The train dialect -----------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

#include "dialects/Train/IR/TrainDialect.cpp.inc"
#include "dialects/Train/IR/TrainEnums.cpp.inc"
#include "dialects/Train/IR/TrainInterfaces.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Train/IR/TrainAttrs.cpp.inc"

void TrainDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Train/IR/TrainAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Train/IR/TrainOps.cpp.inc"
      >();
}

int64_t train::rowsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t rows = 1;
  for (int64_t dim : tensor.getShape().drop_back(tensor.getRank() > 0 ? 1 : 0))
    rows *= dim;
  return rows;
}

int64_t train::columnsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return tensor.getRank() == 0 ? 1 : tensor.getShape().back();
}

int64_t train::columnsPerRow(RowWiseOpInterface op) {
  int64_t columns = 1;
  auto count = [&](Type type) {
    columns = std::max(columns, cast<RankedTensorType>(type).getNumElements() / std::max<int64_t>(op.getRows(), 1));
  };
  for (auto [index, type] : llvm::enumerate(op->getOperandTypes()))
    if (op.isRowOperand(index))
      count(type);
  for (auto [index, type] : llvm::enumerate(op->getResultTypes()))
    if (op.isRowResult(index))
      count(type);
  return columns;
}

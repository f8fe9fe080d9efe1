//===- Train.h - The train dialect --------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAIN_IR_TRAIN_H
#define FTC_TRAIN_IR_TRAIN_H

#include "ftc/Support/Nf4.h"
#include "ftc/Support/Rotary.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Train/IR/TrainDialect.h.inc"
#include "dialects/Train/IR/TrainEnums.h.inc"
#include "dialects/Train/IR/TrainInterfaces.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Train/IR/TrainTypes.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Train/IR/TrainAttrs.h.inc"
#define GET_OP_CLASSES
#include "dialects/Train/IR/TrainOps.h.inc"

namespace ftc::train {

/// How a weight of this element type is quantized.
Nf4Format formatOf(Nf4Type type);

/// How the angles of rotary tables are scaled.
RopeScaling scalingOf(RotaryInitAttr init);

/// Rows and columns of a tensor as the row-wise ops see it: the last dimension is the columns, the others are rows;
/// rank 0 and 1 have one row.
int64_t rowsOf(mlir::Type type);
int64_t columnsOf(mlir::Type type);

/// Elements of the widest row value that a row-wise op reads or writes at one row. Narrower ones have one element a row
/// (labels, statistics). Ops that share a kernel agree on this number.
int64_t columnsPerRow(RowWiseOpInterface op);

/// Fails, with an error on `op`, unless there is a label and one of each of `numbers` for each row of the logits;
/// numbers are f32, or f64 beside f64.
mlir::LogicalResult verifyLabels(mlir::Operation *op, mlir::RankedTensorType logits, mlir::RankedTensorType labels,
                                 llvm::ArrayRef<mlir::RankedTensorType> numbers);

} // namespace ftc::train

#endif // FTC_TRAIN_IR_TRAIN_H

//===- Plan.h - The plan dialect ----------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PLAN_IR_PLAN_H
#define FTC_PLAN_IR_PLAN_H

#include "ftc/Support/Nf4.h"
#include "ftc/Support/QuantizedStates.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Plan/IR/PlanDialect.h.inc"
#include "dialects/Plan/IR/PlanEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Plan/IR/PlanAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Plan/IR/PlanTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/Plan/IR/PlanOps.h.inc"

namespace ftc::plan {

/// How a matrix in four bits is quantized.
Nf4Format formatOf(Nf4Attr attr);

/// Attribute of a buffer that is a kernel's working memory, a dictionary of one: the library that has its workspace in
/// it, and the bytes of that (i64). For the memory table.
inline constexpr const char workspaceAttrName[] = "plan.workspace";

/// Whether a memref has a static shape and takes less than 2^60 bytes, so that sums of bytes do not overflow.
bool hasKnownBytes(mlir::Type type);

/// Bytes of a buffer of this type (identity layout, static shape).
int64_t bytesOf(mlir::Type bufferType);

/// How many partial results plan.reduce has of rows with so many columns.
constexpr int64_t partialsOf(int64_t columns) { return columns > 16384 ? 4096 : 128; }

/// A buffer that is not a slice, and bytes from its start.
struct BufferPart {
  mlir::Value whole;
  int64_t offset = 0;
};

/// What `buffer` is a part of: itself, or what it is a plan.slice of.
BufferPart partOf(mlir::Value buffer);

/// Whether `op` takes its turn in an entry: a launch, a copy or a wait. The others declare buffers.
bool hasMoment(mlir::Operation *op);

/// Whether `buffer` of an entry lies in the far tier. `symbols` are those of the module.
bool isFar(const mlir::SymbolTable &symbols, mlir::Value buffer);

} // namespace ftc::plan

#endif // FTC_PLAN_IR_PLAN_H

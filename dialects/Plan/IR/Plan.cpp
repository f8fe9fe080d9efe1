//===- Plan.cpp - The plan dialect -------------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Plan/IR/Plan.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::plan;

#include "dialects/Plan/IR/PlanDialect.cpp.inc"
#include "dialects/Plan/IR/PlanEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Plan/IR/PlanAttrs.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Plan/IR/PlanAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Plan/IR/PlanOps.cpp.inc"
      >();
}

BufferPart plan::partOf(Value buffer) {
  int64_t offset = 0;
  while (auto slice = buffer.getDefiningOp<SliceOp>()) {
    offset += slice.getByteOffset();
    buffer = slice.getSource();
  }
  return {buffer, offset};
}

int64_t plan::bytesOf(Type bufferType) {
  auto type = cast<MemRefType>(bufferType);
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

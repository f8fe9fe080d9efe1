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
#define GET_TYPEDEF_CLASSES
#include "dialects/Plan/IR/PlanTypes.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Plan/IR/PlanAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Plan/IR/PlanTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Plan/IR/PlanOps.cpp.inc"
      >();
}

LogicalResult Nf4Attr::verify(function_ref<InFlightDiagnostic()> emitError, Quantizer, Type decoded) {
  if (!decoded.isF32() && !decoded.isBF16())
    return emitError() << "decodes to " << decoded << "; it must be f32 or bf16";
  return success();
}

Nf4Format plan::formatOf(Nf4Attr attr) {
  return {attr.getQuantizer() == Quantizer::Torchao ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes,
          attr.getDecoded().isBF16()};
}

BufferPart plan::partOf(Value buffer) {
  int64_t offset = 0;
  while (auto slice = buffer.getDefiningOp<SliceOp>()) {
    offset += slice.getByteOffset();
    buffer = slice.getSource();
  }
  return {buffer, offset};
}

bool plan::hasKnownBytes(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  if (!memref || !memref.hasStaticShape())
    return false;
  constexpr int64_t most = int64_t(1) << 60;
  int64_t bytes = static_cast<int64_t>(llvm::divideCeil(memref.getElementTypeBitWidth(), 8));
  for (int64_t size : memref.getShape())
    if (llvm::MulOverflow(bytes, size, bytes) || bytes >= most)
      return false;
  return true;
}

int64_t plan::bytesOf(Type bufferType) {
  auto type = cast<MemRefType>(bufferType);
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

bool plan::hasMoment(Operation *op) { return isa<LaunchOp, CopyOutOp, CopyInOp, WaitOp>(op); }

bool plan::isFar(const SymbolTable &symbols, Value buffer) {
  return TypeSwitch<Operation *, bool>(partOf(buffer).whole.getDefiningOp())
      .Case([](AllocOp alloc) { return alloc.getFar(); })
      .Case([&](ViewOp view) {
        auto slab = symbols.lookup<SlabOp>(view.getSlab());
        return slab && slab.getFar();
      })
      .Case([&](ReadVariableOp get) {
        auto variable = symbols.lookup<VariableOp>(get.getVariable());
        return variable && variable.getFar();
      })
      .Default(false);
}

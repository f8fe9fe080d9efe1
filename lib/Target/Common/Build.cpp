//===- Build.cpp - Small pieces of generated code ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Build.h"

#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;

Value target::constantI64(OpBuilder &builder, Location loc, int64_t value) {
  return arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
}

Value target::elementPointer(OpBuilder &builder, Location loc, Value pointer, Type elementType, Value index) {
  return LLVM::GEPOp::create(builder, loc, pointer.getType(), elementType, pointer, ArrayRef<LLVM::GEPArg>{index});
}

SmallVector<Value> target::emitFor(OpBuilder &builder, Location loc, Value lower, Value upper, int64_t step,
                                   ValueRange initial,
                                   function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)> body) {
  Value stepValue = arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(lower.getType(), step));
  // The loop is in place before its body is made: bodies look up the module and the function that they are in.
  auto loop = scf::ForOp::create(builder, loc, lower, upper, stepValue, initial);
  Block *block = loop.getBody();
  if (!block->empty())
    block->back().erase();
  OpBuilder inner = OpBuilder::atBlockEnd(block);
  SmallVector<Value> results = body(inner, loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(inner, loc, results);
  return SmallVector<Value>(loop.getResults().begin(), loop.getResults().end());
}

Type target::shapedLike(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value target::emitWiden(OpBuilder &builder, Location loc, Value value) {
  Type f32 = builder.getF32Type();
  if (getElementTypeOrSelf(value.getType()) == f32)
    return value;
  return arith::ExtFOp::create(builder, loc, shapedLike(value.getType(), f32), value);
}

Value target::emitNarrow(OpBuilder &builder, Location loc, Value value, Type element) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  return arith::TruncFOp::create(builder, loc, shapedLike(value.getType(), element), value);
}

template <typename T>
Value target::constantTable(OpBuilder &builder, Location loc, StringRef name, ArrayRef<T> values) {
  Type element = std::is_same_v<T, float> ? Type(builder.getF32Type()) : Type(builder.getI32Type());
  Operation *module = SymbolTable::getNearestSymbolTable(builder.getInsertionBlock()->getParentOp());
  if (!SymbolTable::lookupSymbolIn(module, name)) {
    OpBuilder atStart = OpBuilder::atBlockBegin(&module->getRegion(0).front());
    auto size = static_cast<int64_t>(values.size());
    auto data = DenseElementsAttr::get(RankedTensorType::get({size}, element), values);
    LLVM::GlobalOp::create(atStart, module->getLoc(), LLVM::LLVMArrayType::get(element, size), /*isConstant=*/true,
                           LLVM::Linkage::Internal, name, data);
  }
  return LLVM::AddressOfOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), name);
}

template Value target::constantTable(OpBuilder &, Location, StringRef, ArrayRef<float>);
template Value target::constantTable(OpBuilder &, Location, StringRef, ArrayRef<int32_t>);

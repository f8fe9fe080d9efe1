//===- Build.cpp - Small pieces of generated code ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Build.h"

using namespace mlir;
using namespace ftc;

Value target::constantI64(OpBuilder &builder, Location loc, int64_t value) {
  return arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
}

Value target::elementPointer(OpBuilder &builder, Location loc, Value pointer, Type elementType, Value index) {
  return LLVM::GEPOp::create(builder, loc, LLVM::LLVMPointerType::get(builder.getContext()), elementType, pointer,
                             ArrayRef<LLVM::GEPArg>{index});
}

SmallVector<Value> target::emitFor(OpBuilder &builder, Location loc, Value lower, Value upper, int64_t step,
                                   ValueRange initial,
                                   function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)> body) {
  Value stepValue = constantI64(builder, loc, step);
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

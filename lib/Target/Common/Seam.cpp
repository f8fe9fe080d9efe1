//===- Seam.cpp - Seams of a product, written out ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Seam.h"

#include "dialects/Plan/IR/Plan.h"
#include "lib/Target/Common/Build.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace ftc;

Value target::emitSeam(OpBuilder &builder, Location loc, Region &seam, ValueRange inputs) {
  Block &block = seam.front();
  Type like = inputs.front().getType();
  IRMapping mapping;
  mapping.map(block.getArguments(), inputs);
  // Values from outside the seam are constants of the kernel.
  auto spread = [&](Value value) -> Value {
    if (auto known = mapping.lookupOrNull(value))
      return known;
    Operation *constant = builder.clone(*value.getDefiningOp());
    Value result = constant->getResult(0);
    if (auto vector = dyn_cast<VectorType>(like))
      result = vector::BroadcastOp::create(builder, loc, VectorType::get(vector.getShape(), value.getType()), result);
    mapping.map(value, result);
    return result;
  };
  for (Operation &op : block.without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>()) {
      spread(op.getResult(0));
      continue;
    }
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(spread(operand));
    SmallVector<Type> types;
    for (Type type : op.getResultTypes())
      types.push_back(shapedLike(like, type));
    OperationState state(op.getLoc(), op.getName(), operands, types, op.getAttrs());
    if (op.getPropertiesStorage())
      state.propertiesAttr = op.getPropertiesAsAttribute();
    mapping.map(op.getResults(), builder.create(state)->getResults());
  }
  return spread(cast<plan::YieldOp>(block.getTerminator()).getValue());
}

//===- RowBody.cpp - The ops of a row body, one by one -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/RowBody.h"

#include "lib/Target/Common/Build.h"
#include "lib/Target/Common/Codes.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace ftc;
using target::RowBody;

APFloat target::partialStart(plan::ReduceKind kind, FloatType element) {
  return kind == plan::ReduceKind::Add ? APFloat::getZero(element.getFloatSemantics(), /*Negative=*/true)
                                       : APFloat::getInf(element.getFloatSemantics(), /*Negative=*/true);
}

Value target::combinePartials(OpBuilder &builder, Location loc, plan::ReduceKind kind, Value a, Value b) {
  if (kind == plan::ReduceKind::Add)
    return arith::AddFOp::create(builder, loc, a, b);
  return arith::MaximumFOp::create(builder, loc, a, b);
}

Value RowBody::constant(OpBuilder &builder, int64_t value) { return constantI64(builder, loc, value); }

Type RowBody::convert(Type type, const Chunk &chunk) {
  if (auto row = dyn_cast<RankedTensorType>(type))
    return VectorType::get({chunk.width}, row.getElementType());
  if (type.isIndex())
    return IntegerType::get(type.getContext(), 64);
  return type;
}

Value RowBody::addFurther(OpBuilder &builder, Value pointer, Type element, const Chunk &chunk) {
  return chunk.further ? target::elementPointer(builder, loc, pointer, element, chunk.further) : pointer;
}

Value RowBody::place(OpBuilder &builder, Value buffer, ValueRange indices, int64_t offset, bool isRow,
                     IRMapping &values, const Chunk &chunk) {
  auto type = cast<MemRefType>(buffer.getType());
  // Horner over the dimensions, last one fastest.
  Value linear;
  for (auto [dimension, index] : llvm::enumerate(indices)) {
    Value mapped = values.lookup(index);
    if (linear) {
      linear = arith::MulIOp::create(builder, loc, linear, constant(builder, type.getDimSize(dimension)));
      linear = arith::AddIOp::create(builder, loc, linear, mapped);
    } else {
      linear = mapped;
    }
  }
  if (isRow) {
    int64_t pitch = type.getShape().back();
    linear = linear ? arith::MulIOp::create(builder, loc, linear, constant(builder, pitch)).getResult()
                    : constant(builder, 0);
    Value start = target::elementPointer(builder, loc, values.lookup(buffer), type.getElementType(), linear);
    Value column = chunk.column;
    if (offset != 0)
      column = arith::AddIOp::create(builder, loc, column, constant(builder, offset));
    Value pointer = target::elementPointer(builder, loc, start, type.getElementType(), column);
    return addFurther(builder, pointer, type.getElementType(), chunk);
  }
  if (!linear)
    return values.lookup(buffer);
  return target::elementPointer(builder, loc, values.lookup(buffer), type.getElementType(), linear);
}

/// Bytes to which a value of `type` is aligned in memory. Rows may start at any element, unless the caller knows
/// better.
static unsigned alignmentOf(Type type, const RowBody::Chunk &chunk) {
  unsigned element = llvm::divideCeil(getElementTypeOrSelf(type).getIntOrFloatBitWidth(), 8);
  if (isa<VectorType>(type))
    return std::min<int64_t>(16, chunk.alignedColumns * element);
  return element;
}

Value RowBody::load(OpBuilder &builder, Type type, Value pointer, const Chunk &chunk) {
  return LLVM::LoadOp::create(builder, loc, type, pointer, alignmentOf(type, chunk));
}

void RowBody::store(OpBuilder &builder, Value value, Value pointer, const Chunk &chunk) {
  LLVM::StoreOp::create(builder, loc, value, pointer, alignmentOf(value.getType(), chunk));
}

void RowBody::emitConstant(OpBuilder &builder, arith::ConstantOp op, IRMapping &values, const Chunk &chunk) {
  Type type = convert(op.getType(), chunk);
  TypedAttr attribute;
  if (auto dense = dyn_cast<DenseElementsAttr>(op.getValue())) {
    if (!dense.isSplat()) {
      op.emitError("a row constant must hold one number in every column");
      failedOnce = true;
      return;
    }
    attribute = DenseElementsAttr::get(cast<ShapedType>(type), dense.getSplatValue<Attribute>());
  } else if (op.getType().isIndex()) {
    attribute = builder.getI64IntegerAttr(cast<IntegerAttr>(op.getValue()).getInt());
  } else {
    attribute = cast<TypedAttr>(op.getValue());
  }
  values.map(op.getResult(), arith::ConstantOp::create(builder, loc, attribute).getResult());
}

Value RowBody::placeOfSum(OpBuilder &builder, plan::AccumulateOp op, IRMapping &values, const Chunk &chunk) {
  auto type = cast<MemRefType>(op.getBuffer().getType());
  Value linear = currentTask;
  const bool isRow = isa<RankedTensorType>(op.getValue().getType());
  if (isRow) {
    linear = arith::MulIOp::create(builder, loc, linear, constant(builder, type.getShape().back()));
    linear = arith::AddIOp::create(builder, loc, linear, chunk.column);
  }
  Value pointer = target::elementPointer(builder, loc, values.lookup(op.getBuffer()), type.getElementType(), linear);
  return isRow ? addFurther(builder, pointer, type.getElementType(), chunk) : pointer;
}

void RowBody::emitOldSum(OpBuilder &builder, plan::AccumulateOp op, IRMapping &values, const Chunk &chunk) {
  Type type = convert(op.getValue().getType(), chunk);
  Value again = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, currentRow, firstRow);
  auto old = scf::IfOp::create(builder, loc, type, again, /*withElseRegion=*/true);
  OpBuilder there = old.getThenBodyBuilder(), none = old.getElseBodyBuilder();
  Value sum = load(there, type, placeOfSum(there, op, values, chunk), chunk);
  scf::YieldOp::create(there, loc, sum);
  Value zero = arith::ConstantOp::create(none, loc, none.getZeroAttr(type));
  scf::YieldOp::create(none, loc, zero);
  values.map(op.getOperation(), old.getOperation());
}

void RowBody::emitAccumulate(OpBuilder &builder, plan::AccumulateOp op, IRMapping &values, const Chunk &chunk) {
  auto type = cast<MemRefType>(op.getBuffer().getType());
  Value value = values.lookup(op.getValue());
  Value pointer = placeOfSum(builder, op, values, chunk);
  // The first row of a task overwrites. What it reads then may be anything, and is not used; emitOldSum reads nothing.
  Operation *loaded = values.lookupOrNull(op.getOperation());
  Value old = loaded ? loaded->getResult(0) : load(builder, value.getType(), pointer, chunk);
  Value sum = isa<FloatType>(type.getElementType()) ? arith::AddFOp::create(builder, loc, old, value).getResult()
                                                    : arith::AddIOp::create(builder, loc, old, value).getResult();
  Value first = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, currentRow, firstRow);
  store(builder, arith::SelectOp::create(builder, loc, first, value, sum), pointer, chunk);
}

void RowBody::emitGeneric(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk) {
  StringRef dialect = op->getName().getDialectNamespace();
  if (dialect != "arith" && dialect != "math" && dialect != "scf") {
    op->emitError() << "the " << targetName << " target cannot run this inside plan.rows";
    failedOnce = true;
    return;
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(values.lookup(operand));
  SmallVector<Type> types;
  for (Type type : op->getResultTypes())
    types.push_back(convert(type, chunk));
  Operation *copy = Operation::create(op->getLoc(), op->getName(), types, operands, op->getDiscardableAttrDictionary(),
                                      op->getPropertiesStorage(), {}, op->getNumRegions());
  builder.insert(copy);
  for (auto [from, to] : llvm::zip(op->getRegions(), copy->getRegions())) {
    for (Block &block : from) {
      OpBuilder inner(builder.getContext());
      Block *body = inner.createBlock(&to);
      for (BlockArgument argument : block.getArguments())
        values.map(argument, body->addArgument(convert(argument.getType(), chunk), argument.getLoc()));
      for (Operation &nested : block)
        emitOp(inner, &nested, values, chunk);
    }
  }
  for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults()))
    values.map(from, to);
}

void RowBody::emitOp(OpBuilder &builder, Operation *op, IRMapping &values, const Chunk &chunk) {
  if (failedOnce)
    return;
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](plan::LoadOp load) {
        bool isRow = isa<RankedTensorType>(load.getType());
        Value pointer = place(builder, load.getBuffer(), load.getIndices(), load.getOffset(), isRow, values, chunk);
        values.map(load.getResult(), this->load(builder, convert(load.getType(), chunk), pointer, chunk));
      })
      .Case([&](plan::StoreOp store) {
        bool isRow = isa<RankedTensorType>(store.getValue().getType());
        Value pointer = place(builder, store.getBuffer(), store.getIndices(), store.getOffset(), isRow, values, chunk);
        this->store(builder, values.lookup(store.getValue()), pointer, chunk);
      })
      .Case([&](plan::DecodeOp decode) {
        values.map(decode.getResult(), emitDecode(builder, decode, values.lookup(decode.getCodes())));
      })
      .Case([&](plan::EncodeOp encode) {
        values.map(encode.getResult(), emitEncode(builder, encode, values.lookup(encode.getInput())));
      })
      .Case([&](plan::AccumulateOp accumulate) { emitAccumulate(builder, accumulate, values, chunk); })
      .Case([&](plan::BroadcastOp broadcast) {
        values.map(broadcast.getResult(), vector::BroadcastOp::create(builder, loc, convert(broadcast.getType(), chunk),
                                                                      values.lookup(broadcast.getValue()))
                                              .getResult());
      })
      .Case([&](plan::ColumnOp column) {
        auto type = cast<VectorType>(convert(column.getType(), chunk));
        Value start = arith::TruncIOp::create(builder, loc, builder.getI32Type(), chunk.column);
        if (chunk.further) {
          Value further = chunk.further;
          if (further.getType() != start.getType())
            further = arith::TruncIOp::create(builder, loc, start.getType(), further);
          start = arith::AddIOp::create(builder, loc, start, further);
        }
        auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, static_cast<int32_t>(chunk.width)));
        Value own = arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
        Value base = vector::BroadcastOp::create(builder, loc, type, start);
        values.map(column.getResult(), arith::AddIOp::create(builder, loc, base, own).getResult());
      })
      .Case([&](arith::ConstantOp constant) { emitConstant(builder, constant, values, chunk); })
      .Case<arith::IndexCastOp, arith::IndexCastUIOp>([&](auto cast) {
        // index is i64 here.
        Value in = values.lookup(cast.getIn());
        Type to = convert(cast.getType(), chunk);
        unsigned fromBits = getElementTypeOrSelf(in.getType()).getIntOrFloatBitWidth();
        unsigned toBits = getElementTypeOrSelf(to).getIntOrFloatBitWidth();
        bool isSigned = isa<arith::IndexCastOp>(cast.getOperation());
        if (fromBits > toBits)
          in = arith::TruncIOp::create(builder, loc, to, in);
        else if (fromBits < toBits && isSigned)
          in = arith::ExtSIOp::create(builder, loc, to, in);
        else if (fromBits < toBits)
          in = arith::ExtUIOp::create(builder, loc, to, in);
        values.map(cast.getResult(), in);
      })
      .Default([&](Operation *) { emitGeneric(builder, op, values, chunk); });
}

//===- PlanBody.cpp - Evaluates the bodies of plan kernels ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PlanBody.h"

#include "TrainKernels.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/TypeSwitch.h"

#include <bit>
#include <cmath>

#pragma STDC FP_CONTRACT OFF

using namespace mlir;

namespace ftc::reference {

/// Number of cells of a value of this type.
static size_t widthOf(Type type) {
  auto row = dyn_cast<RankedTensorType>(type);
  return row ? row.getDimSize(0) : 1;
}

void PlanBody::setRow(Value argument, int64_t number) {
  row = number;
  values.clear();
  values[argument] = {Cell{0, number}};
}

llvm::Error PlanBody::run(Operation *op) {
  return llvm::TypeSwitch<Operation *, llvm::Error>(op)
      .Case([&](plan::LoadOp op) { return load(op); })
      .Case([&](plan::StoreOp op) { return store(op); })
      .Case([&](plan::AccumulateOp op) { return accumulate(op); })
      .Case([&](plan::ScatterOp op) { return scatter(op); })
      .Case([&](plan::ReduceOp op) {
        reduce(op);
        return llvm::Error::success();
      })
      .Case([&](plan::BroadcastOp op) {
        values[op.getResult()] = Cells(widthOf(op.getResult().getType()), get(op.getValue()).front());
        return llvm::Error::success();
      })
      .Case([&](plan::ColumnOp op) {
        Cells columns(widthOf(op.getResult().getType()));
        for (size_t i = 0; i < columns.size(); ++i)
          columns[i].integer = static_cast<int64_t>(i);
        values[op.getResult()] = std::move(columns);
        return llvm::Error::success();
      })
      .Case([&](plan::DecodeOp op) {
        Cells numbers = get(op.getCodes());
        for (Cell &cell : numbers)
          cell = {op.getMap().getMap().values[cell.integer & 255], 0};
        values[op.getResult()] = std::move(numbers);
        return llvm::Error::success();
      })
      .Case([&](plan::EncodeOp op) {
        Cells codes = get(op.getInput());
        for (Cell &cell : codes)
          cell = {0, static_cast<int8_t>(op.getMap().getMap().code(static_cast<float>(cell.real)))};
        values[op.getResult()] = std::move(codes);
        return llvm::Error::success();
      })
      .Case([&](arith::ConstantOp op) -> llvm::Error {
        Attribute value = op.getValue();
        if (auto elements = dyn_cast<SplatElementsAttr>(value))
          value = elements.getSplatValue<Attribute>();
        Cell cell;
        if (auto real = dyn_cast<FloatAttr>(value))
          cell.real = real.getValueAsDouble();
        else if (auto integer = dyn_cast<IntegerAttr>(value))
          cell.integer = integer.getType().isInteger(1) ? integer.getValue().getZExtValue() : integer.getInt();
        else
          return errorAt(op, "has a constant that is no scalar and no splat");
        values[op.getResult()] = Cells(widthOf(op.getType()), cell);
        return llvm::Error::success();
      })
      .Default([&](Operation *op) { return elementWise(op); });
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

llvm::Expected<int64_t> PlanBody::firstElement(MemRefType type, ValueRange indices, int64_t offset) {
  int64_t element = 0;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    int64_t index = offset;
    if (dim < indices.size()) {
      index = get(indices[dim]).front().integer;
      if (index < 0 || index >= size)
        return llvm::createStringError("index " + llvm::Twine(index) + " is outside of a dimension of " +
                                       llvm::Twine(size));
    }
    element = element * size + index;
  }
  return element;
}

llvm::Error PlanBody::load(plan::LoadOp op) {
  const BufferRef &buffer = buffers.find(op.getBuffer())->second;
  auto first = firstElement(buffer.type, op.getIndices(), op.getOffset());
  if (!first)
    return errorAt(op, llvm::toString(first.takeError()));
  Cells cells(widthOf(op.getResult().getType()));
  for (size_t i = 0; i < cells.size(); ++i)
    if (llvm::Error error = buffer.read(*first + static_cast<int64_t>(i), cells[i]))
      return errorAt(op, llvm::toString(std::move(error)));
  values[op.getResult()] = std::move(cells);
  return llvm::Error::success();
}

llvm::Error PlanBody::store(plan::StoreOp op) {
  const BufferRef &buffer = buffers.find(op.getBuffer())->second;
  auto first = firstElement(buffer.type, op.getIndices(), op.getOffset());
  if (!first)
    return errorAt(op, llvm::toString(first.takeError()));
  for (auto [i, cell] : llvm::enumerate(get(op.getValue())))
    if (llvm::Error error = buffer.write(*first + static_cast<int64_t>(i), cell))
      return errorAt(op, llvm::toString(std::move(error)));
  return llvm::Error::success();
}

llvm::Error PlanBody::accumulate(plan::AccumulateOp op) {
  const BufferRef &buffer = buffers.find(op.getBuffer())->second;
  const Cells &cells = get(op.getValue());
  bool first = row % perTask == 0;
  int64_t base = row / perTask * static_cast<int64_t>(cells.size());
  Type element = buffer.type.getElementType();
  for (auto [i, cell] : llvm::enumerate(cells)) {
    Cell sum;
    int64_t place = base + static_cast<int64_t>(i);
    if (!first)
      if (llvm::Error error = buffer.read(place, sum))
        return errorAt(op, llvm::toString(std::move(error)));
    Cell next = cell;
    if (!first) {
      next.real = roundTo(element, sum.real + cell.real);
      next.integer = sum.integer + cell.integer;
    }
    if (llvm::Error error = buffer.write(place, next))
      return errorAt(op, llvm::toString(std::move(error)));
  }
  return llvm::Error::success();
}

llvm::Error PlanBody::scatter(plan::ScatterOp op) {
  const BufferRef &buffer = buffers.find(op.getBuffer())->second;
  const int64_t index = get(op.getIndex()).front().integer;
  if (index < 0)
    return llvm::Error::success();
  auto first = firstElement(buffer.type, op.getIndex(), 0);
  if (!first)
    return errorAt(op, llvm::toString(first.takeError()));
  const Cells &cells = get(op.getValue());
  if (index != runIndex) {
    if (!runs.insert(index).second)
      return errorAt(op, "rows of index " + llvm::Twine(index) + " do not follow each other");
    runIndex = index;
    runSum.resize(cells.size());
    for (size_t i = 0; i < cells.size(); ++i)
      if (llvm::Error error = buffer.read(*first + static_cast<int64_t>(i), runSum[i]))
        return errorAt(op, llvm::toString(std::move(error)));
  }
  Type element = getElementTypeOrSelf(op.getValue().getType());
  for (auto [i, cell] : llvm::enumerate(cells)) {
    runSum[i].real = roundTo(element, runSum[i].real + cell.real);
    const Cell rounded{roundTo(buffer.type.getElementType(), runSum[i].real), 0};
    if (llvm::Error error = buffer.write(*first + static_cast<int64_t>(i), rounded))
      return errorAt(op, llvm::toString(std::move(error)));
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Reductions and element-wise ops
//===----------------------------------------------------------------------===//

void PlanBody::reduce(plan::ReduceOp op) {
  const Cells &cells = get(op.getInput());
  const size_t partials = plan::partialsOf(static_cast<int64_t>(cells.size()));
  Type element = op.getResult().getType();
  bool add = op.getKind() == plan::ReduceKind::Add;
  auto combine = [&](double a, double b) {
    if (add)
      return roundTo(element, a + b);
    return std::isnan(a) || a > b ? a : b; // b when it is a NaN
  };
  std::vector<double> p(partials, add ? -0.0 : -INFINITY);
  for (size_t i = 0; i < cells.size(); ++i)
    p[i % partials] = combine(p[i % partials], cells[i].real);
  for (size_t half = partials / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      p[i] = combine(p[i], p[i + half]);
  values[op.getResult()] = {Cell{p[0], 0}};
}

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case arith::CmpFPredicate::AlwaysFalse:
    return false;
  case arith::CmpFPredicate::AlwaysTrue:
    return true;
  case arith::CmpFPredicate::OEQ:
    return !unordered && a == b;
  case arith::CmpFPredicate::OGT:
    return !unordered && a > b;
  case arith::CmpFPredicate::OGE:
    return !unordered && a >= b;
  case arith::CmpFPredicate::OLT:
    return !unordered && a < b;
  case arith::CmpFPredicate::OLE:
    return !unordered && a <= b;
  case arith::CmpFPredicate::ONE:
    return !unordered && a != b;
  case arith::CmpFPredicate::ORD:
    return !unordered;
  case arith::CmpFPredicate::UEQ:
    return unordered || a == b;
  case arith::CmpFPredicate::UGT:
    return unordered || a > b;
  case arith::CmpFPredicate::UGE:
    return unordered || a >= b;
  case arith::CmpFPredicate::ULT:
    return unordered || a < b;
  case arith::CmpFPredicate::ULE:
    return unordered || a <= b;
  case arith::CmpFPredicate::UNE:
    return unordered || a != b;
  case arith::CmpFPredicate::UNO:
    return unordered;
  }
  llvm_unreachable("a predicate of arith.cmpf");
}

static bool compare(arith::CmpIPredicate predicate, int64_t a, int64_t b) {
  auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return a == b;
  case arith::CmpIPredicate::ne:
    return a != b;
  case arith::CmpIPredicate::slt:
    return a < b;
  case arith::CmpIPredicate::sle:
    return a <= b;
  case arith::CmpIPredicate::sgt:
    return a > b;
  case arith::CmpIPredicate::sge:
    return a >= b;
  case arith::CmpIPredicate::ult:
    return ua < ub;
  case arith::CmpIPredicate::ule:
    return ua <= ub;
  case arith::CmpIPredicate::ugt:
    return ua > ub;
  case arith::CmpIPredicate::uge:
    return ua >= ub;
  }
  llvm_unreachable("a predicate of arith.cmpi");
}

/// One lane of an element-wise op; false where the op is unknown, divides by zero or shifts too far. Sums, products,
/// quotients and roots of f32 computed in f64 and rounded once more are the f32 ones (f64 has more than twice the
/// digits); fma is not, so it is done in f32.
static bool evaluateLane(Operation *op, Type element, ArrayRef<Cell> in, Cell &out) {
  auto real = [&](double value) {
    out.real = roundTo(element, value);
    return true;
  };
  auto integer = [&](int64_t value) {
    out.integer = element.isInteger(32)  ? static_cast<int32_t>(value)
                  : element.isInteger(8) ? static_cast<int8_t>(value)
                  : element.isInteger(1) ? value & 1
                                         : value;
    return true;
  };
  // Integers wrap around, and are kept with their sign.
  auto wrapped = [&](uint64_t value) { return integer(static_cast<int64_t>(value)); };
  auto pattern = [](int64_t value) { return static_cast<uint64_t>(value); };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](arith::AddFOp) { return real(in[0].real + in[1].real); })
      .Case([&](arith::SubFOp) { return real(in[0].real - in[1].real); })
      .Case([&](arith::MulFOp) { return real(in[0].real * in[1].real); })
      .Case([&](arith::DivFOp) { return real(in[0].real / in[1].real); })
      .Case([&](arith::MaximumFOp) {
        return real(std::isnan(in[0].real) || in[0].real > in[1].real ? in[0].real : in[1].real);
      })
      .Case([&](arith::NegFOp) { return real(-in[0].real); })
      .Case([&](math::FmaOp) {
        if (element.isF64())
          return real(std::fma(in[0].real, in[1].real, in[2].real));
        return real(
            std::fma(static_cast<float>(in[0].real), static_cast<float>(in[1].real), static_cast<float>(in[2].real)));
      })
      .Case([&](math::ExpOp) { return real(std::exp(in[0].real)); })
      .Case([&](math::TanhOp) { return real(std::tanh(in[0].real)); })
      .Case([&](math::LogOp) { return real(std::log(in[0].real)); })
      .Case([&](math::SqrtOp) { return real(std::sqrt(in[0].real)); })
      .Case([&](math::FPowIOp) { return real(std::pow(in[0].real, static_cast<double>(in[1].integer))); })
      .Case<arith::ExtFOp, arith::TruncFOp>([&](Operation *) { return real(in[0].real); })
      .Case([&](arith::SIToFPOp) { return real(static_cast<double>(in[0].integer)); })
      .Case([&](arith::FPToSIOp) { return integer(static_cast<int64_t>(in[0].real)); })
      .Case<arith::IndexCastOp, arith::ExtSIOp, arith::TruncIOp>([&](Operation *) { return integer(in[0].integer); })
      .Case([&](arith::AddIOp) { return wrapped(pattern(in[0].integer) + pattern(in[1].integer)); })
      .Case([&](arith::SubIOp) { return wrapped(pattern(in[0].integer) - pattern(in[1].integer)); })
      .Case([&](arith::MulIOp) { return wrapped(pattern(in[0].integer) * pattern(in[1].integer)); })
      .Case([&](arith::DivUIOp) { return in[1].integer > 0 && integer(in[0].integer / in[1].integer); })
      .Case([&](arith::RemUIOp) { return in[1].integer > 0 && integer(in[0].integer % in[1].integer); })
      .Case([&](arith::AndIOp) { return integer(in[0].integer & in[1].integer); })
      .Case([&](arith::OrIOp) { return integer(in[0].integer | in[1].integer); })
      .Case([&](arith::XOrIOp) { return integer(in[0].integer ^ in[1].integer); })
      .Case([&](arith::ShRUIOp) {
        unsigned width = element.getIntOrFloatBitWidth();
        uint64_t value = width == 64 ? pattern(in[0].integer) : pattern(in[0].integer) & ((uint64_t(1) << width) - 1);
        return in[1].integer >= 0 && in[1].integer < width && wrapped(value >> in[1].integer);
      })
      .Case([&](arith::BitcastOp) {
        // f32 and i32 alone; a NaN may lose its payload.
        if (element.isF32())
          return real(std::bit_cast<float>(static_cast<uint32_t>(in[0].integer)));
        return element.isInteger(32) && integer(std::bit_cast<int32_t>(static_cast<float>(in[0].real)));
      })
      .Case([&](arith::CmpFOp op) { return integer(compare(op.getPredicate(), in[0].real, in[1].real)); })
      .Case([&](arith::CmpIOp op) { return integer(compare(op.getPredicate(), in[0].integer, in[1].integer)); })
      .Case([&](arith::SelectOp) {
        out = in[0].integer ? in[1] : in[2];
        return true;
      })
      .Default(false);
}

llvm::Error PlanBody::elementWise(Operation *op) {
  if (op->getNumResults() != 1 || op->getNumRegions() != 0)
    return errorAt(op, "is not an op that bodies of kernels have");
  Type type = op->getResult(0).getType();
  Cells result(widthOf(type));
  SmallVector<Cell, 3> lane(op->getNumOperands());
  for (size_t i = 0; i < result.size(); ++i) {
    for (auto [cell, operand] : llvm::zip(lane, op->getOperands())) {
      const Cells &cells = get(operand);
      cell = cells.size() == 1 ? cells.front() : cells[i]; // the condition of a select may be one for all
    }
    if (!evaluateLane(op, getElementTypeOrSelf(type), lane, result[i]))
      return errorAt(op, "is not an op that bodies of kernels have, or divides by zero");
  }
  values[op->getResult(0)] = std::move(result);
  return llvm::Error::success();
}

} // namespace ftc::reference

//===- RowSlice.cpp - What a thread does with some columns ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/RowSlice.h"

#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace ftc;
using cuda::RowSlice;
using target::RowBody;

/// Bytes that a lane loads before it uses the first of them, at most: 32 registers.
static constexpr int64_t bytesUnderway = 128;

/// Bytes that a lane loads for `width` columns of a row where `op` is met; 0 where it loads none.
static int64_t bytesLoaded(Operation *op, int64_t width) {
  Value row;
  if (auto load = dyn_cast<plan::LoadOp>(op))
    row = load.getResult();
  else if (auto accumulate = dyn_cast<plan::AccumulateOp>(op))
    row = accumulate.getValue();
  auto type = row ? dyn_cast<RankedTensorType>(row.getType()) : RankedTensorType();
  return type ? width * static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8)) : 0;
}

static bool loadsRow(Operation *op) {
  auto load = dyn_cast<plan::LoadOp>(op);
  return load && isa<RankedTensorType>(load.getType());
}

RowSlice::RowSlice(ArrayRef<Operation *> ops, int64_t width) : width(width) {
  // A buffer that is added to twice is read when it is.
  llvm::SmallDenseMap<Value, int> accumulated;
  for (Operation *op : ops)
    if (auto accumulate = dyn_cast<plan::AccumulateOp>(op))
      ++accumulated[accumulate.getBuffer()];
  int64_t bytes = 0;
  for (Operation *op : ops) {
    if (isa<plan::StoreOp>(op))
      break;
    auto accumulate = dyn_cast<plan::AccumulateOp>(op);
    if (!accumulate || accumulated[accumulate.getBuffer()] > 1)
      continue;
    if (bytes + bytesLoaded(op, width) > bytesUnderway)
      break;
    bytes += bytesLoaded(op, width);
    steps.push_back({op, /*isOldSum=*/true});
  }
  llvm::DenseSet<Operation *> taken;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (taken.contains(ops[i]))
      continue;
    if (!loadsRow(ops[i])) {
      steps.push_back({ops[i], /*isOldSum=*/false});
      continue;
    }
    for (Operation *op : ops.drop_front(i)) {
      if (isa<plan::StoreOp>(op))
        break;
      if (!loadsRow(op))
        continue;
      bytes += bytesLoaded(op, width);
      if (bytes > bytesUnderway && op != ops[i])
        break;
      steps.push_back({op, /*isOldSum=*/false});
      taken.insert(op);
    }
    bytes = 0;
  }
  while (leading < steps.size() && (steps[leading].isOldSum || loadsRow(steps[leading].op)))
    ++leading;
}

int64_t RowSlice::leadingBytes() const {
  int64_t bytes = 0;
  for (const Step &step : ArrayRef(steps).take_front(leading))
    bytes += bytesLoaded(step.op, width);
  return bytes;
}

void RowSlice::emitLeadingLoads(RowBody &body, OpBuilder &builder, IRMapping &values, const Chunk &chunk) const {
  emit(ArrayRef(steps).take_front(leading), body, builder, values, chunk);
}

void RowSlice::emitRest(RowBody &body, OpBuilder &builder, IRMapping &values, const Chunk &chunk) const {
  emit(ArrayRef(steps).drop_front(leading), body, builder, values, chunk);
}

void RowSlice::emit(ArrayRef<Step> steps, RowBody &body, OpBuilder &builder, IRMapping &values, const Chunk &chunk) {
  for (const Step &step : steps) {
    if (step.isOldSum)
      body.emitOldSum(builder, cast<plan::AccumulateOp>(step.op), values, chunk);
    else
      body.emitOp(builder, step.op, values, chunk);
  }
}

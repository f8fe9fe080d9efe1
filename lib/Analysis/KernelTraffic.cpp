//===- KernelTraffic.cpp - What a row kernel has to move ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/KernelTraffic.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"

#include <set>
#include <tuple>

using namespace mlir;
using namespace ftc;

/// Whether an index follows from what is stored in a buffer, not from the row's number alone.
static bool dependsOnData(Value index) {
  Operation *op = index.getDefiningOp();
  return op && (isa<plan::LoadOp>(op) || llvm::any_of(op->getOperands(), dependsOnData));
}

/// Whether an index is another one in another row; row numbers are the only arguments that indices come from.
static bool dependsOnRow(Value index) {
  Operation *op = index.getDefiningOp();
  return !op || llvm::any_of(op->getOperands(), dependsOnRow);
}

static int64_t elementsOf(Type type) {
  auto row = dyn_cast<RankedTensorType>(type);
  return row ? row.getNumElements() : 1;
}

namespace {
/// Bytes of each buffer that is accessed in one way, reads or writes.
class Accesses {
public:
  /// `times` accesses to a row value, or a scalar, of `type` at these indices.
  void add(Value buffer, ValueRange indices, int64_t offset, Type type, int64_t times) {
    if (llvm::any_of(indices, dependsOnData)) {
      whole &= elementsOf(type) == 1; // a number here and there is nothing beside rows
      return;
    }
    std::vector<void *> place;
    for (Value index : indices)
      place.push_back(index.getAsOpaquePointer());
    if (!seen.emplace(buffer.getAsOpaquePointer(), std::move(place), offset, elementsOf(type)).second)
      return;
    const int64_t bits = cast<MemRefType>(buffer.getType()).getElementTypeBitWidth();
    bytes[buffer] += (llvm::any_of(indices, dependsOnRow) ? times : 1) * elementsOf(type) * bits / 8;
  }

  bool isWhole() const { return whole; }

  int64_t total() const {
    int64_t sum = 0;
    for (auto [buffer, count] : bytes)
      sum += std::min(count, plan::bytesOf(buffer.getType()));
    return sum;
  }

private:
  std::set<std::tuple<void *, std::vector<void *>, int64_t, int64_t>> seen;
  llvm::DenseMap<Value, int64_t> bytes;
  bool whole = true;
};
} // namespace

std::optional<KernelTraffic> ftc::trafficOfRows(plan::KernelOp kernel) {
  auto rows = dyn_cast<plan::RowsOp>(kernel.getWork());
  if (!rows)
    return std::nullopt;
  const auto count = static_cast<int64_t>(rows.getRows());
  Accesses reads, writes;
  rows.walk([&](Operation *op) {
    if (auto load = dyn_cast<plan::LoadOp>(op))
      reads.add(load.getBuffer(), load.getIndices(), load.getOffset(), load.getType(), count);
    else if (auto store = dyn_cast<plan::StoreOp>(op))
      writes.add(store.getBuffer(), store.getIndices(), store.getOffset(), store.getValue().getType(), count);
    else if (auto scatter = dyn_cast<plan::ScatterOp>(op))
      for (Accesses *accesses : {&reads, &writes})
        accesses->add(scatter.getBuffer(), scatter.getIndex(), 0, scatter.getValue().getType(), count);
    else if (auto sum = dyn_cast<plan::AccumulateOp>(op)) // a row, or an element, a task
      writes.add(sum.getBuffer(), rows.getRow(), 0, sum.getValue().getType(), rows.getTasks());
  });
  return KernelTraffic{reads.total(), writes.total(), reads.isWhole() && writes.isWhole()};
}

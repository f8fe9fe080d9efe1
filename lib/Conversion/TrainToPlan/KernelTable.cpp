//===- KernelTable.cpp - Kernels under construction, each once ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/KernelTable.h"

#include "mlir/IR/OperationSupport.h"

using namespace mlir;
using namespace ftc;

//===----------------------------------------------------------------------===//
// KernelTable
//===----------------------------------------------------------------------===//

KernelTable::KernelTable(Operation *insertionPoint, int64_t partialSums)
    : partialSums(partialSums), builder(insertionPoint) {
  for (Operation &op : *insertionPoint->getBlock())
    if (auto symbol = op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName()))
      names.insert(symbol.getValue());
}

plan::KernelOp KernelTable::begin(Location loc) {
  auto kernel = plan::KernelOp::create(builder, loc, "kernel");
  kernel.getBody().emplaceBlock();
  return kernel;
}

plan::KernelOp KernelTable::intern(plan::KernelOp kernel, StringRef base) {
  auto &same = byBase[base];
  for (plan::KernelOp other : same)
    if (OperationEquivalence::isRegionEquivalentTo(&other.getBody(), &kernel.getBody(),
                                                   OperationEquivalence::IgnoreLocations)) {
      kernel.erase();
      return other;
    }
  std::string name = base.str();
  for (unsigned number = 1; !names.insert(name).second; ++number)
    name = (base + "_" + Twine(number)).str();
  kernel.setSymName(name);
  same.push_back(kernel);
  return kernel;
}

//===----------------------------------------------------------------------===//
// LaunchBuilder
//===----------------------------------------------------------------------===//

LaunchBuilder::LaunchBuilder(KernelTable &table, OpBuilder &entry, Location loc)
    : table(table), entry(entry), location(loc), kernel(table.begin(loc)),
      bodyBuilder(OpBuilder::atBlockEnd(&kernel.getBody().front())) {}

Value LaunchBuilder::argument(Value buffer, MemRefType seenAs) {
  Type type = seenAs ? Type(seenAs) : buffer.getType();
  Value &argument = arguments[{buffer, type}];
  if (!argument)
    argument = kernel.getBody().front().addArgument(type, location);
  return argument;
}

plan::LaunchOp LaunchBuilder::finish(StringRef name, StringRef label) {
  SmallVector<Value> buffers;
  for (auto &[key, argument] : arguments)
    buffers.push_back(key.first);
  plan::KernelOp interned = table.intern(kernel, name);
  return plan::LaunchOp::create(entry, location, FlatSymbolRefAttr::get(interned.getSymNameAttr()), buffers,
                                entry.getStringAttr(label));
}

//===----------------------------------------------------------------------===//
// RowLaunch
//===----------------------------------------------------------------------===//

RowLaunch::RowLaunch(KernelTable &table, OpBuilder &entry, Location loc, int64_t rowCount, int64_t perTask,
                     plan::RowOrder order)
    : LaunchBuilder(table, entry, loc) {
  rows = plan::RowsOp::create(body(), loc, rowCount, perTask, order);
  Block &block = rows.getBody().emplaceBlock();
  block.addArgument(body().getIndexType(), loc);
  body().setInsertionPointToEnd(&block);
}

/// With more than two dimensions the leading ones count rows. A matrix of fewer rows than the body has is seen as so
/// many shorter ones: the norms of heads.
int64_t RowLaunch::rowColumns(MemRefType type) {
  const int64_t columns = type.getShape().back(), mine = static_cast<int64_t>(rows.getRows());
  bool isSplit = type.getRank() == 2 && type.getDimSize(0) < mine && type.getNumElements() % mine == 0;
  return isSplit ? type.getNumElements() / mine : columns;
}

std::pair<Value, SmallVector<Value>> RowLaunch::rowPlace(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (type.getRank() < 2)
    return {argument(buffer), {}};
  int64_t columns = rowColumns(type);
  if (type.getRank() == 2 && type.getDimSize(1) == columns)
    return {argument(buffer), {row()}};
  auto matrix = MemRefType::get({type.getNumElements() / columns, columns}, type.getElementType());
  return {argument(buffer, matrix), {row()}};
}

Value RowLaunch::loadRow(Value buffer) {
  Value &loaded = loadedRows[buffer];
  if (loaded)
    return loaded;
  auto type = cast<MemRefType>(buffer.getType());
  auto [place, indices] = rowPlace(buffer);
  Type result =
      type.getRank() == 0 ? type.getElementType() : RankedTensorType::get({rowColumns(type)}, type.getElementType());
  return loaded = plan::LoadOp::create(body(), loc(), result, place, indices, 0);
}

Value RowLaunch::loadElement(Value buffer, ValueRange indices) {
  Type result = cast<MemRefType>(buffer.getType()).getElementType();
  return plan::LoadOp::create(body(), loc(), result, argument(buffer), indices, 0);
}

Value RowLaunch::loadColumn(Value buffer, Value column) {
  auto [place, indices] = rowPlace(buffer);
  indices.push_back(column);
  return plan::LoadOp::create(body(), loc(), cast<MemRefType>(buffer.getType()).getElementType(), place, indices, 0);
}

void RowLaunch::storeAt(Value value, Value argument, ValueRange indices, int64_t offset) {
  SmallVector<Value> places(indices);
  atEnd.push_back([=, this] { plan::StoreOp::create(body(), loc(), value, argument, places, offset); });
}

void RowLaunch::storeRow(Value value, Value buffer) {
  if (isa<RankedTensorType>(value.getType())) {
    auto [place, indices] = rowPlace(buffer);
    storeAt(value, place, indices);
    return;
  }
  bool element = cast<MemRefType>(buffer.getType()).getRank() == 1;
  storeAt(value, argument(buffer), element ? ValueRange(row()) : ValueRange());
}

void RowLaunch::accumulate(Value value, Value partial) {
  Value place = argument(partial);
  atEnd.push_back([=, this] { plan::AccumulateOp::create(body(), loc(), value, place); });
}

plan::LaunchOp RowLaunch::finish(StringRef name, StringRef label) {
  for (auto &emit : atEnd)
    emit();
  return LaunchBuilder::finish(name, label);
}

//===----------------------------------------------------------------------===//
// Sizes and names
//===----------------------------------------------------------------------===//

int64_t ftc::chooseRowsPerTask(int64_t rows, int64_t columns) {
  // Three f32 streams stand for what a row-wise kernel moves.
  constexpr int64_t taskBytes = 64 * 1024, minTasks = 8;
  int64_t bytesPerRow = 3 * 4 * columns;
  int64_t perTask = std::max<int64_t>(1, taskBytes / bytesPerRow);
  if (rows * bytesPerRow >= taskBytes)
    perTask = std::min(perTask, std::max<int64_t>(1, rows / minTasks));
  return std::min(perTask, rows);
}

int64_t ftc::chooseRowsPerPartialSum(int64_t rows, int64_t columns, int64_t partialSums) {
  if (partialSums > 0)
    return llvm::divideCeil(rows, partialSums);
  constexpr int64_t most = 64;
  return std::max<int64_t>(chooseRowsPerTask(rows, columns), llvm::divideCeil(rows, most));
}

std::string ftc::shapeName(Type type) {
  auto shaped = cast<ShapedType>(type);
  std::string name;
  llvm::raw_string_ostream os(name);
  if (shaped.getRank() == 0)
    os << 1;
  llvm::interleave(shaped.getShape(), os, "x");
  if (!shaped.getElementType().isF32())
    os << '_' << shaped.getElementType();
  return name;
}

//===- PlanMemory.cpp - Bytes that the plan interpreter works on ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PlanMemory.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cstring>

using namespace mlir;

namespace ftc::reference {

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static llvm::Error outside(int64_t index, MemRefType type) {
  std::string text;
  llvm::raw_string_ostream(text) << "element " << index << " is outside of " << type << " or its memory";
  return llvm::createStringError(text);
}

static int64_t widthOf(MemRefType type) { return llvm::divideCeil(type.getElementTypeBitWidth(), 8); }

llvm::Error BufferRef::read(int64_t index, Cell &cell) const {
  int64_t width = widthOf(type), begin = offset + index * width;
  if (index < 0 || index >= type.getNumElements() || begin + width > static_cast<int64_t>(bytes->data.size()))
    return outside(index, type);
  for (int64_t i = begin; i < begin + width; ++i)
    if (!bytes->written[i])
      return llvm::createStringError("reads element " + llvm::Twine(index) + " of a buffer; nothing has written it");
  const uint8_t *place = &bytes->data[begin];
  auto get = [&]<typename T>(T value) {
    std::memcpy(&value, place, sizeof(T));
    return value;
  };
  Type element = type.getElementType();
  if (element.isF32())
    cell.real = get(float());
  else if (element.isF64())
    cell.real = get(double());
  else if (element.isBF16())
    cell.real = std::bit_cast<float>(static_cast<uint32_t>(get(uint16_t())) << 16);
  else if (width == 8)
    cell.integer = get(int64_t());
  else if (width == 4)
    cell.integer = get(int32_t());
  else
    cell.integer = get(int8_t());
  return llvm::Error::success();
}

llvm::Error BufferRef::write(int64_t index, const Cell &cell) const {
  int64_t width = widthOf(type), begin = offset + index * width;
  if (index < 0 || index >= type.getNumElements() || begin + width > static_cast<int64_t>(bytes->data.size()))
    return outside(index, type);
  std::memset(&bytes->written[begin], 1, width);
  uint8_t *place = &bytes->data[begin];
  auto put = [&](auto value) { std::memcpy(place, &value, sizeof(value)); };
  Type element = type.getElementType();
  if (element.isF32())
    put(static_cast<float>(cell.real));
  else if (element.isF64())
    put(cell.real);
  else if (element.isBF16())
    put(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(roundTo(element, cell.real))) >> 16));
  else if (width == 8)
    put(cell.integer);
  else if (width == 4)
    put(static_cast<int32_t>(cell.integer));
  else
    put(static_cast<int8_t>(cell.integer));
  return llvm::Error::success();
}

llvm::Expected<Tensor> BufferRef::readAll() const {
  Tensor value(RankedTensorType::get(type.getShape(), type.getElementType()));
  for (int64_t i = 0; i < value.size(); ++i) {
    Cell cell;
    if (llvm::Error error = read(i, cell))
      return error;
    if (value.isReal())
      value.reals[i] = cell.real;
    else
      value.integers[i] = cell.integer;
  }
  return value;
}

llvm::Error BufferRef::writeAll(const Tensor &value) const {
  for (int64_t i = 0; i < value.size(); ++i) {
    Cell cell;
    if (value.isReal())
      cell.real = value.reals[i];
    else
      cell.integer = value.integers[i];
    if (llvm::Error error = write(i, cell))
      return error;
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

PlanMemory::PlanMemory(ModuleOp module) {
  for (auto slab : module.getOps<plan::SlabOp>())
    slabs[slab.getSymName().str()] = std::make_unique<MarkedBytes>(slab.getBytes());
  for (auto variable : module.getOps<plan::VariableOp>()) {
    BufferRef buffer;
    buffer.type = variable.getBufferType();
    buffer.bytes = place(variable.getSlab(), variable.getSymName(), plan::bytesOf(buffer.type));
    buffer.offset = variable.getOffset().value_or(0);
    variables[variable.getSymName().str()] = buffer;
    if (buffer.bytes) // variables start as zeros
      for (int64_t i = 0; i < buffer.type.getNumElements(); ++i)
        llvm::consumeError(buffer.write(i, Cell()));
  }
}

/// A slab, or bytes of its own under `key` where there is none; null for a slab that the module does not have.
MarkedBytes *PlanMemory::place(std::optional<StringRef> slab, StringRef key, int64_t bytes) {
  if (slab) {
    auto found = slabs.find(slab->str());
    return found == slabs.end() ? nullptr : found->second.get();
  }
  auto &kept = own[key.str()];
  kept = std::make_unique<MarkedBytes>(bytes);
  return kept.get();
}

BufferRef PlanMemory::variable(StringRef name) const {
  auto found = variables.find(name.str());
  return found == variables.end() ? BufferRef() : found->second;
}

llvm::Expected<BufferRef> PlanMemory::transient(Operation *op) {
  BufferRef buffer;
  buffer.type = cast<MemRefType>(op->getResult(0).getType());
  // Two buffers may have one label: the op's address tells them apart.
  std::string key = "transient " + std::to_string(reinterpret_cast<uintptr_t>(op));
  int64_t bytes = plan::bytesOf(buffer.type);
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](plan::AllocOp) { buffer.bytes = place(std::nullopt, key, bytes); })
      .Case([&](plan::ViewOp view) {
        buffer.bytes = place(view.getSlab(), key, bytes);
        buffer.offset = view.getOffset();
      })
      .Case([&](plan::InputOp input) {
        buffer.bytes = place(input.getSlab(), key, bytes);
        buffer.offset = input.getOffset().value_or(0);
      });
  if (!buffer.bytes)
    return llvm::createStringError("a buffer lies in a slab that the module does not have");
  return buffer;
}

void PlanMemory::forgetTransients() {
  for (auto &[name, slab] : slabs)
    slab->written.assign(slab->written.size(), 0);
  for (auto &[name, buffer] : variables)
    if (buffer.bytes)
      std::fill_n(buffer.bytes->written.begin() + buffer.offset, plan::bytesOf(buffer.type), 1);
}

} // namespace ftc::reference

//===- Fill.cpp - What a step's memory holds before its first run ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/RunError.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Support/Random.h"
#include "ftc/Support/Reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <span>

namespace ftc {
namespace {

using manifest::ElementType;
using manifest::InitKind;
using manifest::Tensor;

/// To nearest, ties to even. Values of `init` are finite.
uint16_t roundToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Writes `count` floats at element `first` of a tensor that holds floats.
void storeFloats(std::byte *base, ElementType type, uint64_t first, const float *values, uint64_t count) {
  if (type == ElementType::F32) {
    std::memcpy(base + 4 * first, values, 4 * count);
    return;
  }
  auto *out = reinterpret_cast<uint16_t *>(base) + first;
  for (uint64_t index = 0; index < count; ++index)
    out[index] = roundToBf16(values[index]);
}

/// The reverse.
void loadFloats(const std::byte *base, ElementType type, uint64_t first, float *values, uint64_t count) {
  if (type == ElementType::F32) {
    std::memcpy(values, base + 4 * first, 4 * count);
    return;
  }
  const auto *in = reinterpret_cast<const uint16_t *>(base) + first;
  for (uint64_t index = 0; index < count; ++index) {
    const uint32_t bits = static_cast<uint32_t>(in[index]) << 16;
    std::memcpy(&values[index], &bits, sizeof(bits));
  }
}

/// The numbers that a tensor begins with. A reference begins as the parameter that it is the copy of.
CounterRandom randomOf(const Tensor &tensor, uint64_t seed) {
  return {seed, parameterOf(tensor.name()->string_view())};
}

/// `count` initial values from element `first` on.
void fillPart(const Tensor &tensor, const CounterRandom &random, uint64_t first, float *values, uint64_t count) {
  if (tensor.init() == InitKind::Normal)
    random.fillNormal(values, first, count, tensor.value());
  else if (tensor.init() == InitKind::Uniform)
    for (uint64_t k = 0; k < count; ++k)
      values[k] = random.symmetric(first + k, tensor.value());
  else
    std::fill_n(values, count, tensor.init() == InitKind::Ones ? 1.0f : 0.0f);
}

bool holdsFloats(ElementType type) { return type == ElementType::F32 || type == ElementType::BF16; }

} // namespace

void Session::initialize(uint64_t seed, const std::function<bool(std::string_view)> &parameters) {
  std::vector<const Tensor *> encoded;
  for (const Tensor *tensor : *manifest().tensors())
    if (tensor->encoding() != manifest::Encoding::None && (!parameters || parameters(tensor->name()->string_view())))
      encoded.push_back(tensor);
  // A weight a thread. For a device, as many at once as there are threads lie in the host's memory.
  const size_t together = gpu ? threads->threads() : encoded.size();
  std::vector<std::vector<std::byte>> rooms(std::min(together, encoded.size()));
  for (size_t first = 0; first < encoded.size(); first += together) {
    const size_t count = std::min(together, encoded.size() - first);
    threads->forEach(count, [&](uint64_t index, unsigned) {
      initializeEncoded(*encoded[first + index], seed, arraysOf(*encoded[first + index], rooms[index]));
    });
    for (size_t index = 0; index < count && gpu; ++index) // through one staging buffer: one after another
      writeArrays(*encoded[first + index], arraysOf(*encoded[first + index], rooms[index]));
  }
  for (const Tensor *tensor : *manifest().tensors()) {
    const ftc::manifest::Role role = tensor->role();
    const bool isWeight = role == ftc::manifest::Role::Parameter || role == ftc::manifest::Role::Teacher ||
                          role == ftc::manifest::Role::Reference;
    if (parameters && isWeight && !parameters(tensor->name()->string_view()))
      continue;
    if (role == ftc::manifest::Role::Quantized || tensor->init() == InitKind::RowNorms)
      continue;
    if (far && isFar(*tensor))
      fillFar(*tensor);
    else
      fill(*tensor, seed);
  }
}

/// States of the far tier's file begin as zeros.
void Session::fillFar(const Tensor &tensor) {
  if (tensor.init() != InitKind::None && tensor.init() != InitKind::Zeros)
    throw RunError(ExitCode::BadStep,
                   fmt::format("{}: state '{}' of the far tier does not begin as zeros; recompile it", loaded->path(),
                               tensor.name()->str()));
  // A new file holds zeros.
  if (far->highestWritten() <= tensor.offset())
    return;
  constexpr std::array<std::byte, 1 << 16> zeros{};
  for (uint64_t done = 0; done < tensor.bytes(); done += zeros.size())
    far->write(tensor.offset() + done, zeros.data(), std::min<uint64_t>(zeros.size(), tensor.bytes() - done));
}

void Session::fill(const Tensor &tensor, uint64_t seed) {
  std::byte *base = data(tensor);
  if (tensor.data() && tensor.data()->size() == tensor.bytes() && tensor.init() == InitKind::None) {
    write(tensor, 0, tensor.data()->data(), tensor.bytes());
    return;
  }
  if (tensor.init() == InitKind::None || tensor.init() == InitKind::Zeros) {
    if (base)
      std::memset(base, 0, tensor.bytes());
    else
      gpu->zero(tensor.slab(), tensor.offset(), tensor.bytes());
    return;
  }
  if (!holdsFloats(tensor.type()))
    throw RunError(ExitCode::BadStep, fmt::format("{}: tensor '{}' of type {} cannot be initialized with numbers",
                                                  loaded->path(), tensor.name()->str(), elementName(tensor.type())));
  const CounterRandom random = randomOf(tensor, seed);
  // Blocks of a fixed size: which thread fills a block changes nothing, since every element is a function of its index.
  constexpr uint64_t block = 1024;
  const uint64_t elements = tensor.bytes() / elementSize(tensor.type());
  const auto fillElements = [&](std::byte *to, uint64_t from, uint64_t count) {
    threads->forEach((count + block - 1) / block, [&](uint64_t index, unsigned) {
      std::array<float, block> values;
      const uint64_t first = index * block, size = std::min(block, count - first);
      fillPart(tensor, random, from + first, values.data(), size);
      storeFloats(to, tensor.type(), first, values.data(), size);
    });
  };
  if (base) {
    fillElements(base, 0, elements);
    return;
  }
  constexpr uint64_t partElements = 1 << 20;
  std::vector<std::byte> part(std::min(partElements, elements) * elementSize(tensor.type()));
  for (uint64_t first = 0; first < elements; first += partElements) {
    const uint64_t count = std::min(partElements, elements - first), size = elementSize(tensor.type());
    fillElements(part.data(), first, count);
    write(tensor, first * size, part.data(), count * size);
  }
}

/// A weight in four bits: the numbers that it would have are made a part at a time and encoded.
void Session::initializeEncoded(const Tensor &tensor, uint64_t seed, const Nf4Arrays &arrays) const {
  int64_t elements = 1;
  for (int64_t size : *tensor.decoded_shape())
    elements *= size;
  Nf4Format format = formatOf(tensor);
  Nf4Encoder encoder(format, elements, arrays);
  const CounterRandom random = randomOf(tensor, seed);
  std::array<float, 1024> values;
  for (int64_t first = 0; first < elements; first += values.size()) {
    const auto count = static_cast<size_t>(std::min<int64_t>(values.size(), elements - first));
    fillPart(tensor, random, static_cast<uint64_t>(first), values.data(), count);
    if (format.bf16)
      for (float &value : std::span(values).first(count)) {
        uint32_t bits = static_cast<uint32_t>(roundToBf16(value)) << 16;
        std::memcpy(&value, &bits, sizeof(value));
      }
    encoder.append(values.data(), static_cast<int64_t>(count));
  }
}

void Session::fillRowNorms() {
  for (const Tensor *tensor : *manifest().tensors())
    if (tensor->init() == InitKind::RowNorms)
      fillRowNorms(*tensor);
}

void Session::fillRowNorms(const Tensor &tensor) {
  const Tensor *source = tensor.source() ? findTensor(tensor.source()->string_view()) : nullptr;
  const bool encoded = source && source->encoding() != manifest::Encoding::None;
  const auto *shape = !source ? nullptr : encoded ? source->decoded_shape() : source->shape();
  if (!shape || shape->size() != 2 || !holdsFloats(tensor.type()) || (!encoded && !holdsFloats(source->type())) ||
      static_cast<uint64_t>(shape->Get(0)) != tensor.bytes() / elementSize(tensor.type()))
    throw RunError(ExitCode::BadStep, fmt::format("{}: tensor '{}' cannot be filled with norms of rows; recompile it",
                                                  loaded->path(), tensor.name()->str()));
  const auto rows = static_cast<uint64_t>(shape->Get(0)), columns = static_cast<uint64_t>(shape->Get(1));
  std::vector<std::byte> norms(tensor.bytes()), room;
  // Rows of one part at a time, where the weight has no memory of its own here.
  const uint64_t rowBytes = encoded ? 0 : columns * elementSize(source->type());
  const std::byte *memory = data(*source);
  const uint64_t atOnce = memory || encoded ? rows : std::clamp<uint64_t>((1 << 20) / rowBytes, 1, rows);
  Nf4Arrays arrays{};
  if (encoded) {
    arrays = arraysOf(*source, room);
    readArrays(*source, arrays);
  } else if (!memory) {
    room.resize(atOnce * rowBytes);
  }
  for (uint64_t part = 0; part < rows; part += atOnce) {
    const uint64_t count = std::min(atOnce, rows - part);
    if (!memory && !encoded)
      read(*source, part * rowBytes, room.data(), count * rowBytes);
    const std::byte *from = memory ? memory + part * rowBytes : room.data();
    threads->forEach(count, [&](uint64_t row, unsigned) {
      std::array<float, 1024> values;
      double squares = 0;
      for (uint64_t first = 0; first < columns; first += values.size()) {
        const uint64_t some = std::min<uint64_t>(values.size(), columns - first), at = row * columns + first;
        if (encoded)
          nf4Decode(formatOf(*source), arrays, static_cast<int64_t>(at), static_cast<int64_t>(some), values.data());
        else
          loadFloats(from, source->type(), at, values.data(), some);
        for (float value : std::span(values).first(some))
          squares += static_cast<double>(value) * value;
      }
      const auto norm = static_cast<float>(std::sqrt(squares));
      storeFloats(norms.data(), tensor.type(), part + row, &norm, 1);
    });
  }
  write(tensor, 0, norms.data(), norms.size());
}

} // namespace ftc

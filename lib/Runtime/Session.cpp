//===- Session.cpp - A step with its memory and its threads ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/Session.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Random.h"
#include "ftc/Support/Units.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <span>
#include <system_error>

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

/// Room for a large file is under /var/tmp rather than under /tmp, which may be memory.
std::string defaultFarFolder() {
  const char *folder = std::getenv("TMPDIR");
  return folder && *folder ? folder : "/var/tmp";
}

const Tensor *findIn(const flatbuffers::Vector<flatbuffers::Offset<Tensor>> *list, std::string_view name) {
  if (list)
    for (const Tensor *tensor : *list)
      if (tensor->name()->string_view() == name)
        return tensor;
  return nullptr;
}

} // namespace

unsigned chooseThreads(const manifest::Manifest &manifest, unsigned asked) {
  // On a device, threads only fill memory at the start, and no scratch memory was planned for them.
  if (manifest.target() && manifest.target()->string_view() == "cuda")
    return asked ? asked : availableProcessors();
  if (asked > manifest.threads())
    throw RunError(
        ExitCode::TooManyThreads,
        fmt::format("{} threads asked for, but scratch memory was planned for {}; use --threads {} or fewer, "
                    "or recompile with 'ftc compile --threads {}'",
                    asked, manifest.threads(), manifest.threads(), asked));
  return asked ? asked : std::min(manifest.threads(), availableProcessors());
}

Session::Session(std::unique_ptr<LoadedStep> step, const SessionOptions &options) : loaded(std::move(step)) {
  loaded->requireCpuFeatures();
  const unsigned count = chooseThreads(manifest(), options.threads);
  try {
    threads = std::make_unique<ThreadPool>(count);
  } catch (const std::system_error &error) {
    throw RunError(ExitCode::NoMemory, fmt::format("cannot start {} threads: {}; use fewer", count, error.what()));
  }
  if (loaded->needsDevice())
    takeDevice(options);
  else
    takeHostMemory(options);
}

void Session::takeDevice(const SessionOptions &options) {
  gpu = openCudaDevice(loaded->path(), loaded->tables(), manifest());
  for (const auto *slab : *manifest().slabs())
    slabs.take(slab->name()->str(), 0, slab->alignment());
  if (!options.fillPattern)
    return;
  std::vector<std::byte> part(1 << 20);
  for (uint32_t index = 0; index < manifest().slabs()->size(); ++index) {
    const auto *slab = manifest().slabs()->Get(index);
    if (slab->place() == manifest::Place::Far) {
      fillWithPattern(gpu->farSlab(), 0, slab->bytes());
      continue;
    }
    for (uint64_t done = 0; done < slab->bytes(); done += part.size()) {
      const uint64_t bytes = std::min<uint64_t>(part.size(), slab->bytes() - done);
      fillWithPattern(part.data(), done, bytes);
      gpu->write(index, done, part.data(), bytes);
    }
  }
}

void Session::takeHostMemory(const SessionOptions &options) {
  uint64_t planned = loaded->plannedBytes(), available = availableMemory();
  if (planned > available)
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("{}: the plan takes {} ({} bytes), and this machine has {} left: {} too little; close other "
                    "programs, or recompile with a smaller batch_size or tokenizer.max_seq_len",
                    loaded->path(), formatBytes(planned), planned, formatBytes(available),
                    formatBytes(planned - available)));
  for (const auto *slab : *manifest().slabs()) {
    const bool isFar = slab->place() == manifest::Place::Far;
    // A far slab keeps its number among the slabs and has no memory.
    slabs.take(slab->name()->str(), isFar ? 0 : slab->bytes(), slab->alignment());
    if (isFar)
      far =
          std::make_unique<FarTier>(options.farFolder.empty() ? defaultFarFolder() : options.farFolder, slab->bytes());
  }
  for (size_t index = 0; index < slabs.slabs().size(); ++index) {
    const uint64_t parts = 8ull * threads->threads();
    threads->forEach(parts, [&](uint64_t part, unsigned) { slabs.touch(index, part, parts); });
    if (options.fillPattern)
      fillWithPattern(slabs.slabs()[index]);
    bases.push_back(slabs.slabs()[index].base);
  }
  fillServices();
}

/// The functions of the pool and of the far tier, behind one context: the `Session`.
void Session::fillServices() {
  services = *threads->services();
  services.context = this;
  services.parallel_for = [](void *context, ftrt_task_fn body, void *args, uint64_t tasks) {
    static_cast<Session *>(context)->threads->parallelFor(body, args, tasks);
  };
  if (!far)
    return;
  services.far_write = [](void *context, uint32_t, uint64_t offset, const void *from, uint64_t bytes) {
    return static_cast<Session *>(context)->far->beginWrite(offset, from, bytes);
  };
  services.far_read = [](void *context, uint32_t, uint64_t offset, void *to, uint64_t bytes) {
    return static_cast<Session *>(context)->far->beginRead(offset, to, bytes);
  };
  services.far_wait = [](void *context, uint64_t copy) -> int32_t {
    return static_cast<Session *>(context)->far->wait(copy) ? 0 : 1;
  };
}

const Tensor *Session::findTensor(std::string_view name) const {
  return manifest().tensors()->LookupByKey(std::string(name).c_str());
}

const Tensor *Session::findInput(int index, std::string_view name) const {
  return findIn(manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(index))->input_tensors(), name);
}

const Tensor *Session::findOutput(int index, std::string_view name) const {
  return findIn(manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(index))->output_tensors(), name);
}

bool Session::isFar(const Tensor &tensor) const {
  return manifest().slabs()->Get(tensor.slab())->place() == manifest::Place::Far;
}

std::byte *Session::data(const Tensor &tensor) const {
  if (gpu)
    return isFar(tensor) ? gpu->farSlab() + tensor.offset() : gpu->mirror(tensor);
  return isFar(tensor) ? nullptr : slabs.slabs()[tensor.slab()].base + tensor.offset();
}

void Session::read(const Tensor &tensor, uint64_t offset, void *to, uint64_t bytes) const {
  if (const std::byte *from = data(tensor))
    std::memcpy(to, from + offset, bytes);
  else if (gpu)
    gpu->read(tensor.slab(), tensor.offset() + offset, to, bytes);
  else
    far->read(tensor.offset() + offset, to, bytes);
}

void Session::write(const Tensor &tensor, uint64_t offset, const void *from, uint64_t bytes) {
  if (std::byte *to = data(tensor))
    std::memcpy(to + offset, from, bytes);
  else if (gpu)
    gpu->write(tensor.slab(), tensor.offset() + offset, from, bytes);
  else
    far->write(tensor.offset() + offset, from, bytes);
}

uint64_t Session::farBytesTaken() const { return gpu ? gpu->farBytes() : far ? far->bytes() : 0; }

uint64_t Session::highestWritten(uint32_t index) const {
  const auto *slab = manifest().slabs()->Get(index);
  if (slab->place() == manifest::Place::Far)
    return gpu ? ftc::highestWritten(gpu->farSlab(), 0, slab->bytes()) : far->highestWritten();
  if (!gpu)
    return ftc::highestWritten(slabs.slabs()[index]);
  std::vector<std::byte> part(1 << 20);
  for (uint64_t end = slab->bytes(); end > 0;) {
    const uint64_t bytes = std::min<uint64_t>(part.size(), end);
    gpu->read(index, end - bytes, part.data(), bytes);
    if (uint64_t highest = ftc::highestWritten(part.data(), end - bytes, bytes); highest > end - bytes)
      return highest;
    end -= bytes;
  }
  return 0;
}

void Session::initialize(uint64_t seed, const std::function<bool(std::string_view)> &parameters) {
  std::vector<const Tensor *> encoded;
  for (const Tensor *tensor : *manifest().tensors())
    if (tensor->encoding() != manifest::Encoding::None && (!parameters || parameters(tensor->name()->string_view())))
      encoded.push_back(tensor);
  if (gpu) // through one staging buffer: one after another
    for (const Tensor *tensor : encoded)
      initializeEncoded(*tensor, seed);
  else
    threads->forEach(encoded.size(), [&](uint64_t index, unsigned) { initializeEncoded(*encoded[index], seed); });
  for (const Tensor *tensor : *manifest().tensors()) {
    if (parameters && tensor->role() == ftc::manifest::Role::Parameter && !parameters(tensor->name()->string_view()))
      continue;
    if (tensor->role() == ftc::manifest::Role::Quantized)
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
  CounterRandom random(seed, tensor.name()->string_view());
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

Nf4Format Session::formatOf(const Tensor &tensor) const {
  return {tensor.encoding() == manifest::Encoding::Nf4Torchao ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes,
          tensor.decoded_type() == ElementType::BF16};
}

/// The four tensors of a weight in four bits: codes, absmax, nested absmax, offset.
std::array<const Tensor *, 4> Session::piecesOf(const Tensor &tensor) const {
  const auto piece = [&](const char *suffix) { return findTensor(tensor.name()->str() + suffix); };
  return {&tensor, piece(".absmax"), piece(".nested_absmax"), piece(".offset")};
}

Nf4Arrays Session::arraysOf(const Tensor &tensor, std::vector<std::byte> &room) const {
  const std::array<const Tensor *, 4> pieces = piecesOf(tensor);
  std::array<std::byte *, 4> places;
  if (data(tensor)) {
    std::transform(pieces.begin(), pieces.end(), places.begin(), [&](const Tensor *piece) { return data(*piece); });
  } else {
    constexpr uint64_t alignment = 16;
    std::array<uint64_t, 4> offsets;
    uint64_t end = 0;
    for (size_t index = 0; index < pieces.size(); ++index) {
      offsets[index] = end;
      end += (pieces[index]->bytes() + alignment - 1) / alignment * alignment;
    }
    if (room.size() < end)
      room.resize(end);
    std::transform(offsets.begin(), offsets.end(), places.begin(),
                   [&](uint64_t offset) { return room.data() + offset; });
  }
  return {reinterpret_cast<uint8_t *>(places[0]), reinterpret_cast<uint8_t *>(places[1]),
          reinterpret_cast<float *>(places[2]), reinterpret_cast<float *>(places[3])};
}

void Session::readArrays(const Tensor &tensor, const Nf4Arrays &arrays) const {
  if (data(tensor))
    return;
  void *const places[] = {arrays.codes, arrays.absmax, arrays.nested, arrays.offset};
  const std::array<const Tensor *, 4> pieces = piecesOf(tensor);
  for (size_t index = 0; index < pieces.size(); ++index)
    read(*pieces[index], 0, places[index], pieces[index]->bytes());
}

void Session::writeArrays(const Tensor &tensor, const Nf4Arrays &arrays) {
  if (data(tensor))
    return;
  const void *const places[] = {arrays.codes, arrays.absmax, arrays.nested, arrays.offset};
  const std::array<const Tensor *, 4> pieces = piecesOf(tensor);
  for (size_t index = 0; index < pieces.size(); ++index)
    write(*pieces[index], 0, places[index], pieces[index]->bytes());
}

/// A weight in four bits: the numbers that it would have are made a part at a time and encoded.
void Session::initializeEncoded(const Tensor &tensor, uint64_t seed) {
  int64_t elements = 1;
  for (int64_t size : *tensor.decoded_shape())
    elements *= size;
  Nf4Format format = formatOf(tensor);
  std::vector<std::byte> room;
  const Nf4Arrays arrays = arraysOf(tensor, room);
  Nf4Encoder encoder(format, elements, arrays);
  CounterRandom random(seed, tensor.name()->string_view());
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
  writeArrays(tensor, arrays);
}

void Session::run(int index, const ftrt_scalars &scalars) {
  if (gpu) {
    gpu->run(static_cast<size_t>(index), scalars);
    return;
  }
  int32_t code = loaded->entry(static_cast<size_t>(index))(&services, bases.data(), &scalars);
  if (code == FTRT_OK)
    return;
  if (code == FTRT_FAR_FAILED && far) {
    far->drain();
    throw RunError(ExitCode::StepFailed, fmt::format("{}; the newest checkpoint is whole: go on from there with "
                                                     "resume_from_checkpoint=True",
                                                     far->failure()));
  }
  const char *meaning = code == FTRT_BAD_ABI       ? "it does not know this runtime's ABI"
                        : code == FTRT_BAD_THREADS ? "it was not planned for this number of threads"
                                                   : "an unknown code";
  auto kind = manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(index))->kind();
  throw RunError(ExitCode::StepFailed,
                 fmt::format("{}: entry '{}' returned {} ({}); recompile the step with this version's ftc",
                             loaded->path(), entryName(kind), code, meaning));
}

} // namespace ftc

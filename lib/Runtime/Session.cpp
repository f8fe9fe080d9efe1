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
  unsigned count = chooseThreads(manifest(), options.threads);
  uint64_t planned = loaded->plannedBytes(), available = availableMemory();
  if (planned > available)
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("{}: the plan takes {} ({} bytes), and this machine has {} left: {} too little; close other "
                    "programs, or recompile with a smaller batch_size or tokenizer.max_seq_len",
                    loaded->path(), formatBytes(planned), planned, formatBytes(available),
                    formatBytes(planned - available)));
  try {
    threads = std::make_unique<ThreadPool>(count);
  } catch (const std::system_error &error) {
    throw RunError(ExitCode::NoMemory, fmt::format("cannot start {} threads: {}; use fewer", count, error.what()));
  }
  for (const auto *slab : *manifest().slabs()) {
    const bool isFar = slab->place() == manifest::Place::Far;
    // A far slab keeps its number among the slabs and has no memory.
    slabs.take(slab->name()->str(), isFar ? 0 : slab->bytes(), slab->alignment());
    if (isFar)
      far =
          std::make_unique<FarTier>(options.farFolder.empty() ? defaultFarFolder() : options.farFolder, slab->bytes());
  }
  for (size_t index = 0; index < slabs.slabs().size(); ++index) {
    const uint64_t parts = 8ull * count;
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
  return isFar(tensor) ? nullptr : slabs.slabs()[tensor.slab()].base + tensor.offset();
}

void Session::initialize(uint64_t seed, const std::function<bool(std::string_view)> &parameters) {
  std::vector<const Tensor *> encoded;
  for (const Tensor *tensor : *manifest().tensors())
    if (tensor->encoding() != manifest::Encoding::None && (!parameters || parameters(tensor->name()->string_view())))
      encoded.push_back(tensor);
  threads->forEach(encoded.size(), [&](uint64_t index, unsigned) { initializeEncoded(*encoded[index], seed); });
  for (const Tensor *tensor : *manifest().tensors()) {
    if (parameters && tensor->role() == ftc::manifest::Role::Parameter && !parameters(tensor->name()->string_view()))
      continue;
    if (tensor->role() == ftc::manifest::Role::Quantized)
      continue;
    if (isFar(*tensor))
      fillFar(*tensor);
    else
      fill(*tensor, seed);
  }
}

/// States of the far tier begin as zeros.
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
  // Blocks of a fixed size: which thread fills a block changes nothing, since every element is a function of its index.
  constexpr uint64_t block = 1024;
  std::byte *base = data(tensor);
  if (tensor.data() && tensor.data()->size() == tensor.bytes() && tensor.init() == InitKind::None) {
    std::memcpy(base, tensor.data()->data(), tensor.bytes());
    return;
  }
  const uint64_t elements = tensor.bytes() / elementSize(tensor.type());
  const uint64_t blocks = (elements + block - 1) / block;
  if (tensor.init() == InitKind::None || tensor.init() == InitKind::Zeros) {
    std::memset(base, 0, tensor.bytes());
    return;
  }
  if (!holdsFloats(tensor.type()))
    throw RunError(ExitCode::BadStep, fmt::format("{}: tensor '{}' of type {} cannot be initialized with numbers",
                                                  loaded->path(), tensor.name()->str(), elementName(tensor.type())));
  CounterRandom random(seed, tensor.name()->string_view());
  threads->forEach(blocks, [&](uint64_t index, unsigned) {
    std::array<float, block> values;
    const uint64_t first = index * block, count = std::min(block, elements - first);
    fillPart(tensor, random, first, values.data(), count);
    storeFloats(base, tensor.type(), first, values.data(), count);
  });
}

Nf4Format Session::formatOf(const Tensor &tensor) const {
  return {tensor.encoding() == manifest::Encoding::Nf4Torchao ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes,
          tensor.decoded_type() == ElementType::BF16};
}

Nf4Arrays Session::arraysOf(const Tensor &tensor) const {
  auto piece = [&](const char *suffix) { return data(*findTensor(tensor.name()->str() + suffix)); };
  return {reinterpret_cast<uint8_t *>(data(tensor)), reinterpret_cast<uint8_t *>(piece(".absmax")),
          reinterpret_cast<float *>(piece(".nested_absmax")), reinterpret_cast<float *>(piece(".offset"))};
}

/// A weight in four bits: the numbers that it would have are made a part at a time and encoded.
void Session::initializeEncoded(const Tensor &tensor, uint64_t seed) {
  int64_t elements = 1;
  for (int64_t size : *tensor.decoded_shape())
    elements *= size;
  Nf4Format format = formatOf(tensor);
  Nf4Encoder encoder(format, elements, arraysOf(tensor));
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
}

void Session::run(int index, const ftrt_scalars &scalars) {
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

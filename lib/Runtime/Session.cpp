//===- Session.cpp - A step with its memory and its threads ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/Session.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Processors.h"
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
  gpu = openCudaDevice(loaded->path(), loaded->tables(), manifest(), options.device);
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
  // A virtual machine may have less at first than it gets when it asks.
  const char *trust = std::getenv("FTRT_HOST_MEMORY");
  if (planned > available && !(trust && std::string_view(trust) == "any"))
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("{}: the plan takes {} ({} bytes), and this machine has {} left: {} too little; close other "
                    "programs, or recompile with a smaller batch_size or tokenizer.max_seq_len (FTRT_HOST_MEMORY=any "
                    "takes it all the same)",
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

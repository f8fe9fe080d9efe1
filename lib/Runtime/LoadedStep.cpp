//===- LoadedStep.cpp - A step.so, opened and checked ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/LoadedStep.h"

#include "ftc/Runtime/CPU/CpuFeatures.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Nf4.h"
#include "ftc/Support/Seal.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <memory>
#include <unistd.h>

namespace ftc {
namespace {

using manifest::Manifest;
using manifest::Tensor;

/// Checks what the FlatBuffers verifier cannot know. Returns "" or what is wrong.
std::string checkTensor(const Manifest &info, const Tensor &tensor) {
  std::string name = tensor.name()->str();
  if (tensor.type() < manifest::ElementType::MIN || tensor.type() > manifest::ElementType::MAX)
    return fmt::format("tensor '{}' has an unknown element type", name);
  if (tensor.slab() >= info.slabs()->size())
    return fmt::format("tensor '{}' lies in slab {} of {}", name, tensor.slab(), info.slabs()->size());
  uint64_t expected = elementSize(tensor.type());
  if (tensor.shape())
    for (int64_t size : *tensor.shape()) {
      if (size < 0 || (size > 0 && expected > UINT64_MAX / static_cast<uint64_t>(size)))
        return fmt::format("tensor '{}' has a bad shape", name);
      expected *= static_cast<uint64_t>(size);
    }
  if (tensor.bytes() != expected)
    return fmt::format("tensor '{}' has {} bytes where its shape needs {}", name, tensor.bytes(), expected);
  const auto *slab = info.slabs()->Get(tensor.slab());
  if (tensor.offset() > slab->bytes() || tensor.bytes() > slab->bytes() - tensor.offset())
    return fmt::format("tensor '{}' does not lie inside slab '{}'", name, slab->name()->str());
  if (tensor.offset() % elementSize(tensor.type()) != 0)
    return fmt::format("tensor '{}' is not aligned to its element", name);
  return "";
}

/// What an entry of one launch says of its buffers. Returns "" or what is wrong.
std::string checkLaunch(const Manifest &info, const manifest::Launch &launch) {
  if (!launch.buffers())
    return fmt::format("launch of '{}' has no buffers", launch.kernel()->str());
  for (const manifest::LaunchBuffer *buffer : *launch.buffers()) {
    if (buffer->type() < manifest::ElementType::MIN || buffer->type() > manifest::ElementType::MAX ||
        buffer->slab() >= info.slabs()->size() || buffer->bytes() % elementSize(buffer->type()) != 0)
      return fmt::format("launch of '{}' has a damaged buffer", launch.kernel()->str());
    const uint64_t room = info.slabs()->Get(buffer->slab())->bytes();
    if (buffer->offset() > room || buffer->bytes() > room - buffer->offset())
      return fmt::format("launch of '{}' has a buffer outside of its slab", launch.kernel()->str());
  }
  return "";
}

/// A weight in four bits and its scales. Returns "" or what is wrong.
std::string checkEncoding(const Manifest &info, const Tensor &tensor) {
  const std::string name = tensor.name()->str();
  if (tensor.encoding() < manifest::Encoding::MIN || tensor.encoding() > manifest::Encoding::MAX)
    return fmt::format("tensor '{}' has an unknown encoding", name);
  int64_t elements = 1;
  if (!tensor.decoded_shape() || tensor.decoded_shape()->size() != 2)
    return fmt::format("tensor '{}' is encoded and stands for no matrix", name);
  for (int64_t size : *tensor.decoded_shape()) {
    if (size < 1 || size > (int64_t(1) << 40) / elements)
      return fmt::format("tensor '{}' has a bad decoded shape", name);
    elements *= size;
  }
  Nf4Quantizer quantizer =
      tensor.encoding() == manifest::Encoding::Nf4Torchao ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes;
  if (!nf4Takes(quantizer, elements) || static_cast<int64_t>(tensor.bytes()) != nf4CodeBytes(elements))
    return fmt::format("tensor '{}' has {} bytes of codes for {} elements", name, tensor.bytes(), elements);
  if (tensor.decoded_type() != manifest::ElementType::F32 && tensor.decoded_type() != manifest::ElementType::BF16)
    return fmt::format("tensor '{}' is encoded and stands for no floats", name);
  const std::pair<const char *, int64_t> pieces[] = {
      {".absmax", nf4Blocks(elements)}, {".nested_absmax", 4 * nf4NestedBlocks(elements)}, {".offset", 4}};
  for (const auto &[suffix, bytes] : pieces) {
    const Tensor *piece = info.tensors()->LookupByKey((name + suffix).c_str());
    if (!piece || static_cast<int64_t>(piece->bytes()) != bytes || piece->role() != manifest::Role::Quantized)
      return fmt::format("tensor '{}' is encoded and has no '{}' of {} bytes", name, name + suffix, bytes);
  }
  return "";
}

std::string checkManifest(const Manifest &info, const ftrt_step &step) {
  if (!info.slabs() || !info.tensors() || !info.entries())
    return "slabs, tensors or entries are missing";
  if (info.threads() == 0)
    return "its number of threads is 0";
  int farSlabs = 0;
  for (const auto *slab : *info.slabs()) {
    if (!std::has_single_bit(slab->alignment()))
      return fmt::format("slab '{}' has alignment {}", slab->name()->str(), slab->alignment());
    if (slab->place() < manifest::Place::MIN || slab->place() > manifest::Place::MAX)
      return fmt::format("slab '{}' lies in an unknown place", slab->name()->str());
    farSlabs += slab->place() == manifest::Place::Far;
  }
  if (farSlabs > 1)
    return "it has more than one far slab";
  auto isFar = [&](const Tensor &tensor) { return info.slabs()->Get(tensor.slab())->place() == manifest::Place::Far; };
  const std::string *previous = nullptr;
  std::string current, last;
  for (const Tensor *tensor : *info.tensors()) {
    if (std::string wrong = checkTensor(info, *tensor); !wrong.empty())
      return wrong;
    if (isFar(*tensor) && tensor->role() != manifest::Role::State)
      return fmt::format("tensor '{}' lies in the far tier and is no state", tensor->name()->str());
    current = tensor->name()->str();
    if (previous && current <= *previous)
      return fmt::format("tensors are not sorted by name at '{}'", current);
    last = current;
    previous = &last;
    if (tensor->init() < manifest::InitKind::MIN || tensor->init() > manifest::InitKind::MAX)
      return fmt::format("tensor '{}' has an unknown initialization", current);
    if (tensor->role() == manifest::Role::Constant && tensor->init() == manifest::InitKind::None &&
        (!tensor->data() || tensor->data()->size() != tensor->bytes()))
      return fmt::format("constant '{}' has no contents of its size", current);
  }
  for (const Tensor *tensor : *info.tensors())
    if (tensor->encoding() != manifest::Encoding::None)
      if (std::string wrong = checkEncoding(info, *tensor); !wrong.empty())
        return wrong;
  if (step.entry_count != info.entries()->size())
    return fmt::format("it lists {} entries, the step has {}", info.entries()->size(), step.entry_count);
  for (size_t index = 0; index < info.entries()->size(); ++index) {
    const auto *entry = info.entries()->Get(static_cast<flatbuffers::uoffset_t>(index));
    if (!step.entries || !step.entries[index])
      return fmt::format("entry {} has no function", index);
    if (entry->kind() < manifest::EntryKind::MIN || entry->kind() > manifest::EntryKind::MAX)
      return fmt::format("entry {} is of an unknown kind", index);
    if (entry->batch() <= 0 || entry->sequence() <= 0)
      return fmt::format("entry {} has batch {} and sequence {}", index, entry->batch(), entry->sequence());
    if (entry->launch())
      if (std::string wrong = checkLaunch(info, *entry->launch()); !wrong.empty())
        return fmt::format("entry {}: {}", index, wrong);
    for (const auto *list : {entry->input_tensors(), entry->output_tensors()})
      if (list)
        for (const Tensor *tensor : *list) {
          if (std::string wrong = checkTensor(info, *tensor); !wrong.empty())
            return fmt::format("entry {}: {}", entryName(entry->kind()), wrong);
          if (isFar(*tensor))
            return fmt::format("entry {}: tensor '{}' lies in the far tier", entryName(entry->kind()),
                               tensor->name()->str());
        }
  }
  return "";
}

/// Whether a file is whole and as it was written. Returns "" or what is wrong with one that begins like a library.
std::string checkFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  char begin[SELFMAG];
  if (!file.read(begin, sizeof(begin)) || std::memcmp(begin, ELFMAG, SELFMAG) != 0)
    return ""; // no library at all: the loader says so
  std::string wrong = checkSeal(path);
  return wrong.empty() ? "" : wrong + "; copy it again, or recompile it";
}

} // namespace

uint64_t elementSize(manifest::ElementType type) {
  switch (type) {
  case manifest::ElementType::F32:
  case manifest::ElementType::I32:
    return 4;
  case manifest::ElementType::BF16:
    return 2;
  case manifest::ElementType::I64:
    return 8;
  case manifest::ElementType::U8:
    return 1;
  }
  return 1;
}

const char *elementName(manifest::ElementType type) {
  switch (type) {
  case manifest::ElementType::F32:
    return "fp32";
  case manifest::ElementType::BF16:
    return "bf16";
  case manifest::ElementType::I32:
    return "int32";
  case manifest::ElementType::I64:
    return "int64";
  case manifest::ElementType::U8:
    return "uint8";
  }
  return "unknown";
}

const char *entryName(manifest::EntryKind kind) {
  switch (kind) {
  case manifest::EntryKind::Step:
    return "step";
  case manifest::EntryKind::Micro:
    return "micro";
  case manifest::EntryKind::Evaluate:
    return "evaluate";
  case manifest::EntryKind::Logits:
    return "logits";
  }
  return "unknown";
}

std::string shapeString(const manifest::Tensor &tensor) {
  if (!tensor.shape())
    return "[]";
  return fmt::format("[{}]", fmt::join(tensor.shape()->begin(), tensor.shape()->end(), ", "));
}

LoadedStep::LoadedStep(const std::string &path) : file(path) {
  // dlopen takes a name without a slash for a library of the system.
  std::unique_ptr<char, decltype(&free)> full(realpath(path.c_str(), nullptr), &free);
  if (!full || access(full.get(), R_OK) != 0)
    throw RunError(ExitCode::NoFile, fmt::format("{}: cannot open the step: {}; make one with 'ftc compile config.yaml "
                                                 "-o {}'",
                                                 path, std::strerror(errno), path));
  auto refuse = [&](ExitCode code, const std::string &why) {
    if (library)
      dlclose(library);
    library = nullptr;
    throw RunError(code, fmt::format("{}: {}", path, why));
  };
  // The loader follows whatever a damaged file says, out of its own memory too: nothing of it is opened before.
  if (std::string wrong = checkFile(full.get()); !wrong.empty())
    refuse(ExitCode::BadStep, wrong);
  library = dlopen(full.get(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    refuse(ExitCode::BadStep, fmt::format("not a compiled step: {}", dlerror()));
  step = static_cast<const ftrt_step *>(dlsym(library, FTRT_STEP_SYMBOL));
  if (!step)
    refuse(ExitCode::BadStep,
           fmt::format("not a step of this ABI: it exports no '{}'; recompile it with this version's ftc",
                       FTRT_STEP_SYMBOL));
  if (step->abi_version != FTRT_ABI_VERSION || step->size != sizeof(ftrt_step))
    refuse(
        ExitCode::BadAbi,
        fmt::format("a step of ABI version {} (table of {} bytes); this ftrun runs version {} ({} bytes): recompile it "
                    "with this version's ftc",
                    step->abi_version, step->size, FTRT_ABI_VERSION, sizeof(ftrt_step)));
  if (!step->manifest || reinterpret_cast<uintptr_t>(step->manifest) % 8 != 0)
    refuse(ExitCode::BadStep, "its manifest is missing or misaligned; recompile it");
  flatbuffers::Verifier verifier(step->manifest, step->manifest_size, 64, 100'000'000);
  if (!manifest::VerifyManifestBuffer(verifier))
    refuse(ExitCode::BadStep, "its manifest is damaged; recompile it");
  info = manifest::GetManifest(step->manifest);
  if (info->abi_version() != FTRT_ABI_VERSION)
    refuse(ExitCode::BadAbi, fmt::format("a manifest of ABI version {}; this ftrun runs version {}: recompile it",
                                         info->abi_version(), FTRT_ABI_VERSION));
  if (std::string wrong = checkManifest(*info, *step); !wrong.empty())
    refuse(ExitCode::BadStep, fmt::format("its manifest is damaged: {}; recompile it", wrong));
  if (info->target() && info->target()->str() != "cpu" && info->target()->str() != "cuda")
    refuse(ExitCode::Unsupported,
           fmt::format("compiled for target '{}'; this runtime has 'cpu' and 'cuda'", info->target()->str()));
}

LoadedStep::~LoadedStep() {
  if (library)
    dlclose(library);
}

bool LoadedStep::needsDevice() const { return info->target() && info->target()->string_view() == "cuda"; }

int LoadedStep::findEntry(manifest::EntryKind kind) const {
  for (flatbuffers::uoffset_t index = 0; index < info->entries()->size(); ++index)
    if (info->entries()->Get(index)->kind() == kind)
      return static_cast<int>(index);
  return -1;
}

std::vector<int> LoadedStep::findEntries(manifest::EntryKind kind) const {
  std::vector<int> found;
  for (flatbuffers::uoffset_t index = 0; index < info->entries()->size(); ++index)
    if (info->entries()->Get(index)->kind() == kind)
      found.push_back(static_cast<int>(index));
  std::stable_sort(found.begin(), found.end(), [&](int a, int b) {
    const auto length = [&](int index) {
      return info->entries()->Get(static_cast<flatbuffers::uoffset_t>(index))->sequence();
    };
    return length(a) < length(b);
  });
  return found;
}

uint64_t LoadedStep::plannedBytes() const {
  uint64_t total = 0;
  for (const auto *slab : *info->slabs())
    if (slab->place() == manifest::Place::Near)
      total += slab->bytes();
  return total;
}

uint64_t LoadedStep::plannedFarBytes() const {
  uint64_t total = 0;
  for (const auto *slab : *info->slabs())
    if (slab->place() == manifest::Place::Far)
      total += slab->bytes();
  return total;
}

void LoadedStep::requireCpuFeatures() const {
  std::vector<std::string> needed;
  if (info->features())
    for (const auto *feature : *info->features())
      needed.push_back(feature->str());
  std::vector<std::string> missing = missingCpuFeatures(needed);
  if (!missing.empty())
    throw RunError(
        ExitCode::CpuFeature,
        fmt::format("{}: compiled for '{}', and this CPU ({}) lacks {}; recompile with --mcpu=native here, or "
                    "with --mcpu=x86-64-v3",
                    file, info->cpu() ? info->cpu()->str() : "?", cpuBrand(), fmt::join(missing, ", ")));
}

} // namespace ftc

//===- CompareLaunches.cpp - Two targets compared launch by launch ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One plan, two sets of kernels, and one truth: the host's. Both memories hold the same bytes; each launch runs on
// both, what it has written is compared, and is then overwritten with the host's. So no launch ever computes with what
// another one did wrong, and a difference is that of the launch where it shows. What no launch may write is compared
// every so many launches.
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/CompareLaunches.h"

#include "ftc/Runtime/CompareBuffers.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Support/Random.h"
#include "lib/Trainer/Run.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace ftc {
namespace {

using manifest::ElementType;
using manifest::LaunchBuffer;

/// Launches between two looks at all of the memory.
constexpr size_t lookEvery = 64;

std::unique_ptr<Session> open(const std::string &path, const RunOptions &options) {
  auto step = std::make_unique<LoadedStep>(path);
  for (const auto *entry : *step->manifest().entries())
    if (!entry->launch())
      throw RunError(ExitCode::Unsupported,
                     fmt::format("{}: its launches are no entries of their own, so they cannot be compared one by one; "
                                 "compile it with --by-launch",
                                 path));
  SessionOptions wanted;
  wanted.threads = options.threads;
  wanted.farFolder = options.farDir;
  return std::make_unique<Session>(std::move(step), wanted);
}

bool areSame(const LaunchBuffer &x, const LaunchBuffer &y) {
  return x.slab() == y.slab() && x.offset() == y.offset() && x.bytes() == y.bytes() && x.type() == y.type() &&
         x.written() == y.written() && x.working() == y.working();
}

bool areSame(const manifest::Launch &x, const manifest::Launch &y) {
  return x.kernel()->str() == y.kernel()->str() && x.entry()->str() == y.entry()->str() &&
         x.buffers()->size() == y.buffers()->size() &&
         std::equal(x.buffers()->begin(), x.buffers()->end(), y.buffers()->begin(),
                    [](const LaunchBuffer *one, const LaunchBuffer *other) { return areSame(*one, *other); });
}

class Comparison {
public:
  explicit Comparison(const RunOptions &options)
      : options(options), ours(open(options.step, options)), host(open(options.against, options)) {}

  void run();

private:
  void requireOnePlan() const;
  void fillMemory();
  void vary(const manifest::Tensor &tensor);
  void fillInputs(Session &session, size_t entry) const;
  ftrt_scalars scalarsOf(const manifest::Entry &entry) const;
  void compare(size_t entry);
  struct Kernel {
    size_t launches = 0, different = 0;
  };
  enum class Outcome { Equal, Near, Different };
  Outcome compareBuffer(const std::string &what, const Kernel &kernel, size_t number, const LaunchBuffer &buffer);
  void lookAtAll(size_t end);
  void tellKernels() const;
  std::string nameOf(size_t entry) const;

  std::byte *onHost(uint32_t slab, uint64_t offset) const { return host->memory().slabs()[slab].base + offset; }
  void readOurs(uint32_t slab, uint64_t offset, std::byte *to, uint64_t bytes) const;
  void writeOurs(uint32_t slab, uint64_t offset, uint64_t bytes);
  const manifest::Entry &entryOf(size_t index) const {
    return *host->manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(index));
  }
  bool isNear(uint32_t slab) const { return host->manifest().slabs()->Get(slab)->place() == manifest::Place::Near; }

  const RunOptions &options;
  std::unique_ptr<Session> ours, host;
  uint32_t vocabulary = 1;
  uint64_t seed = 0;
  std::vector<std::byte> room;
  size_t looked = 0; ///< launches before the last look at all of the memory
  size_t launches = 0, equal = 0, different = 0, strays = 0;
  std::map<std::string, Kernel> kernels;
  std::string first; ///< that differs
  /// Of each type, the farthest apart of those that agree, and where.
  std::map<ElementType, std::pair<BufferDistance, std::string>> farthest;
};

void Comparison::requireOnePlan() const {
  const auto refuse = [&](const std::string &why) {
    throw RunError(ExitCode::Unsupported,
                   fmt::format("{} and {} are not of one plan: {}; compile both from one recipe for one device, with "
                               "--by-launch device and --by-launch host",
                               options.step, options.against, why));
  };
  if (host->device())
    throw RunError(ExitCode::Unsupported,
                   fmt::format("{}: what is compared with must run on the host; compile it with --by-launch host",
                               options.against));
  const auto &x = ours->manifest(), &y = host->manifest();
  if (x.slabs()->size() != y.slabs()->size())
    refuse("they have other slabs");
  for (uint32_t slab = 0; slab < x.slabs()->size(); ++slab)
    if (x.slabs()->Get(slab)->bytes() != y.slabs()->Get(slab)->bytes())
      refuse(fmt::format("slab '{}' has {} bytes in the one and {} in the other", x.slabs()->Get(slab)->name()->str(),
                         x.slabs()->Get(slab)->bytes(), y.slabs()->Get(slab)->bytes()));
  if (x.entries()->size() != y.entries()->size())
    refuse(fmt::format("they have {} and {} launches", x.entries()->size(), y.entries()->size()));
  for (uint32_t index = 0; index < x.entries()->size(); ++index)
    if (!areSame(*x.entries()->Get(index)->launch(), *y.entries()->Get(index)->launch()))
      refuse(fmt::format("they differ in launch {}, '{}' and '{}'", index,
                         x.entries()->Get(index)->launch()->kernel()->str(),
                         y.entries()->Get(index)->launch()->kernel()->str()));
}

void Comparison::readOurs(uint32_t slab, uint64_t offset, std::byte *to, uint64_t bytes) const {
  if (Device *device = ours->device())
    device->read(slab, offset, to, bytes);
  else
    std::memcpy(to, ours->memory().slabs()[slab].base + offset, bytes);
}

/// Gives ours the host's bytes.
void Comparison::writeOurs(uint32_t slab, uint64_t offset, uint64_t bytes) {
  if (Device *device = ours->device())
    device->write(slab, offset, onHost(slab, offset), bytes);
  else
    std::memcpy(ours->memory().slabs()[slab].base + offset, onHost(slab, offset), bytes);
}

/// Weights that training begins with at zero or one would hide what is multiplied by them.
void Comparison::vary(const manifest::Tensor &tensor) {
  const bool zeros = tensor.init() == manifest::InitKind::Zeros;
  const bool isWeight = tensor.role() == manifest::Role::Parameter || tensor.role() == manifest::Role::Teacher ||
                        tensor.role() == manifest::Role::Reference;
  if (!isWeight || (!zeros && tensor.init() != manifest::InitKind::Ones) ||
      (tensor.type() != ElementType::F32 && tensor.type() != ElementType::BF16) || !isNear(tensor.slab()))
    return;
  const CounterRandom random(seed, "vary " + tensor.name()->str());
  std::byte *place = onHost(tensor.slab(), tensor.offset());
  const uint64_t size = elementSize(tensor.type());
  for (uint64_t index = 0; index < tensor.bytes() / size; ++index) {
    const float value = random.normal(index, zeros ? 0.02 : 0.1) + (zeros ? 0.0f : 1.0f);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    // bf16 are the upper halves; how they are rounded does not matter.
    std::memcpy(place + index * size, reinterpret_cast<const std::byte *>(&bits) + (4 - size), size);
  }
}

void Comparison::fillMemory() {
  host->initialize(seed);
  for (const auto *tensor : *host->manifest().tensors())
    vary(*tensor);
  host->fillRowNorms();
  for (uint32_t slab = 0; slab < host->manifest().slabs()->size(); ++slab)
    if (isNear(slab))
      writeOurs(slab, 0, host->manifest().slabs()->Get(slab)->bytes());
}

/// Random tokens. Rows with an odd number hold two documents; the last tokens of each row are padding, each its own
/// segment. Some labels are masked.
void Comparison::fillInputs(Session &session, size_t index) const {
  const manifest::Entry &entry = *session.manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(index));
  if (!entry.input_tensors())
    return;
  const int64_t length = entry.sequence(), second = length / 3, padding = length - length / 16;
  const CounterRandom tokens(seed, "tokens"), labels(seed, "labels");
  for (const manifest::Tensor *tensor : *entry.input_tensors()) {
    if (tensor->type() != ElementType::I32)
      throw RunError(ExitCode::Unsupported, fmt::format("{}: no values are known for its input '{}'",
                                                        session.step().path(), tensor->name()->str()));
    const std::string_view name = tensor->name()->string_view();
    auto *values = reinterpret_cast<int32_t *>(session.data(*tensor));
    for (uint64_t element = 0; element < tensor->bytes() / 4; ++element) {
      const int64_t row = static_cast<int64_t>(element) / length, at = static_cast<int64_t>(element) % length;
      const int64_t start = at >= padding ? at : row % 2 == 1 && at >= second ? second : 0;
      const int64_t value = name == "tokens" ? tokens.below(element, vocabulary)
                            : name == "labels"
                                ? (at >= padding || at % 7 == 6 ? -100 : labels.below(element, vocabulary))
                            : name == "positions"      ? at - start
                            : name == "segment_starts" ? start
                                                       : 0;
      values[element] = static_cast<int32_t>(value);
    }
  }
}

ftrt_scalars Comparison::scalarsOf(const manifest::Entry &entry) const {
  ftrt_scalars scalars{};
  scalars.learning_rate = 1e-3f;
  scalars.inv_tokens = 1.0f / static_cast<float>(std::max<int64_t>(1, entry.batch() * entry.sequence() / 2));
  scalars.step = 2;
  scalars.micro = entry.kind() == manifest::EntryKind::Step ? 1 : 0;
  scalars.seed = seed;
  scalars.position = static_cast<uint64_t>(entry.sequence() / 2);
  return scalars;
}

std::string Comparison::nameOf(size_t index) const {
  const manifest::Launch &launch = *entryOf(index).launch();
  return fmt::format("launch {}, of entry '{}': kernel '{}' ({})", index, launch.entry()->str(), launch.kernel()->str(),
                     launch.label()->str());
}

/// Tells the first difference of each kernel.
Comparison::Outcome Comparison::compareBuffer(const std::string &what, const Kernel &kernel, size_t number,
                                              const LaunchBuffer &buffer) {
  room.resize(std::max<size_t>(room.size(), buffer.bytes()));
  readOurs(buffer.slab(), buffer.offset(), room.data(), buffer.bytes());
  const BufferDistance distance =
      distanceOf(buffer.type(), room.data(), onHost(buffer.slab(), buffer.offset()), buffer.bytes());
  if (!isWithin(buffer.type(), distance)) {
    const std::string line = fmt::format("{}: buffer {}, {}: {}", what, number, elementName(buffer.type()),
                                         describe(buffer.type(), distance));
    if (first.empty())
      first = line;
    if (kernel.different == 0)
      say("DIFFERS {}", line);
    return Outcome::Different;
  }
  auto &[most, where] = farthest[buffer.type()];
  if (distance.differing > 0 && (where.empty() || distance.ofNorm > most.ofNorm)) {
    most = distance;
    where = what;
  }
  return distance.differing == 0 ? Outcome::Equal : Outcome::Near;
}

void Comparison::compare(size_t index) {
  const manifest::Entry &entry = entryOf(index);
  const manifest::Launch &launch = *entry.launch();
  const std::string_view does = launch.kernel()->string_view();
  const bool isCopy = does == "copy_in" || does == "copy_out";
  fillInputs(*host, index);
  fillInputs(*ours, index);
  const ftrt_scalars scalars = scalarsOf(entry);
  host->run(static_cast<int>(index), scalars);
  const std::string what = nameOf(index);
  if (!isCopy) { // what is in the far tier, only the host knows
    try {
      ours->run(static_cast<int>(index), scalars);
    } catch (const RunError &error) {
      throw RunError(error.code(), fmt::format("{}\n{}", what, error.what()));
    }
    Kernel &kernel = kernels[launch.kernel()->str()];
    Outcome worst = Outcome::Equal;
    for (uint32_t number = 0; number < launch.buffers()->size() && worst != Outcome::Different; ++number)
      if (const LaunchBuffer &buffer = *launch.buffers()->Get(number); buffer.written() && !buffer.working())
        worst = std::max(worst, compareBuffer(what, kernel, number, buffer));
    ++launches, ++kernel.launches;
    equal += worst == Outcome::Equal;
    different += worst == Outcome::Different;
    kernel.different += worst == Outcome::Different;
  }
  for (const LaunchBuffer *buffer : *launch.buffers())
    if (buffer->written() && isNear(buffer->slab()))
      writeOurs(buffer->slab(), buffer->offset(), buffer->bytes());
}

/// What launches since the last look have written where they must not.
void Comparison::lookAtAll(size_t end) {
  for (uint32_t slab = 0; slab < host->manifest().slabs()->size(); ++slab) {
    if (!isNear(slab))
      continue;
    const uint64_t bytes = host->manifest().slabs()->Get(slab)->bytes();
    room.resize(std::max<size_t>(room.size(), bytes));
    readOurs(slab, 0, room.data(), bytes);
    if (std::memcmp(room.data(), onHost(slab, 0), bytes) == 0)
      continue;
    const auto [mine, theirs] = std::mismatch(room.data(), room.data() + bytes, onHost(slab, 0));
    const std::string line =
        fmt::format("launches {} to {}: byte {} of slab '{}', which is in no buffer that they write, has changed",
                    looked, end - 1, mine - room.data(), host->manifest().slabs()->Get(slab)->name()->str());
    if (first.empty())
      first = line;
    strays += 1;
    say("DIFFERS {}", line);
    writeOurs(slab, 0, bytes);
  }
  looked = end;
}

void Comparison::tellKernels() const {
  for (const auto &[name, kernel] : kernels)
    if (kernel.different > 0)
      say("kernel '{}' differs in {} of its {} launches", name, kernel.different, kernel.launches);
}

void Comparison::run() {
  requireOnePlan();
  std::vector<Diagnostic> diagnostics;
  std::optional<Recipe> recipe = overrideRun(host->manifest().recipe()->str(), {}, diagnostics);
  if (!recipe)
    throw RunError(ExitCode::BadStep, fmt::format("{}: its recipe is damaged; recompile it", options.against));
  vocabulary = static_cast<uint32_t>(recipe->model.vocabSize);
  seed = options.seed.value_or(recipe->seed);
  if (Device *device = ours->device()) {
    say("{}", device->describe());
    for (const std::string &line : device->attentions())
      say("  {}", line);
  }
  fillMemory();
  const size_t count = host->manifest().entries()->size();
  for (size_t index = 0; index < count; ++index) {
    compare(index);
    if ((index + 1) % lookEvery == 0 || index + 1 == count)
      lookAtAll(index + 1);
  }
  for (const auto &[type, most] : farthest)
    if (!most.second.empty())
      say("farthest apart of {}: {}: {}", elementName(type), most.second, describe(type, most.first));
  tellKernels();
  if (!first.empty())
    throw RunError(ExitCode::StepFailed,
                   fmt::format("{}: {} of {} launches differ from {}{}, first {}", options.step, different, launches,
                               options.against, strays ? ", or write where they must not" : "", first));
  say("{} launches agree with {}, {} of them bit for bit", launches, options.against, equal);
}

} // namespace

ExitCode compareLaunches(const RunOptions &options) {
  Comparison(options).run();
  return ExitCode::Ok;
}

} // namespace ftc

//===- CheckpointWriter.cpp - Training checkpoints, written whole or not at all ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Checkpoint.h"

#include "Descriptor.h"
#include "FusedWeights.h"
#include "TextPart.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace ftc;
namespace fs = std::filesystem;

namespace {

/// What is copied beside the weights, so that the directory can be used like the one that training started from.
constexpr const char *tokenizerFiles[] = {
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "tokenizer.model.v3", "vocab.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json",
    // Of models that read images.
    "chat_template.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"};

/// A tensor of a file: one of the step's, or several whose rows follow one another (FusedWeights.h), or one of the
/// files that training started from.
struct StoredTensor {
  TensorSpec spec;
  std::vector<const TensorView *> parts;
  const TensorFile *copyFrom = nullptr;
  uint64_t copyAt = 0; ///< its place there
};

/// One file of a checkpoint.
struct PlannedFile {
  std::string name;
  std::string text;                       ///< comes first; all there is without tensors
  std::vector<StoredTensor> tensors = {}; ///< their data follow
  /// Or: a copy of this file. It is open from the beginning, so that a checkpoint late in a run does not fail because
  /// somebody has tidied up.
  std::shared_ptr<fileio::Descriptor> copyFrom = nullptr;
};

uint64_t bytesOf(const std::vector<StoredTensor> &tensors) {
  return std::accumulate(tensors.begin(), tensors.end(), uint64_t(0), [](uint64_t sum, const StoredTensor &tensor) {
    return sum + static_cast<uint64_t>(tensor.spec.bytes());
  });
}

/// Larger elements first, so that every tensor is aligned; then by name.
std::vector<StoredTensor> inFileOrder(std::vector<StoredTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor &a, const StoredTensor &b) {
    return std::pair(-typeBytes(a.spec.type), std::string_view(a.spec.name)) <
           std::pair(-typeBytes(b.spec.type), std::string_view(b.spec.name));
  });
  return tensors;
}

std::vector<StoredTensor> inFileOrder(const std::vector<TensorView> &tensors) {
  std::vector<StoredTensor> stored;
  for (const TensorView &tensor : tensors)
    stored.push_back({tensor.spec, {&tensor}});
  return inFileOrder(std::move(stored));
}

/// Weights as the files of `model` have them: those of projections that share one follow one another there.
std::vector<StoredTensor> weightsInFileOrder(const std::vector<TensorView> &weights, const ModelConfig &model) {
  constexpr std::string_view end = ".weight";
  std::map<std::string, const TensorView *> byName;
  for (const TensorView &weight : weights)
    byName[weight.spec.name] = &weight;
  std::vector<StoredTensor> stored;
  for (const TensorView &weight : weights) {
    const std::string module = weight.spec.name.substr(0, weight.spec.name.size() - end.size());
    const std::string whole = weight.spec.name.ends_with(end) ? fusedModule(module, model) : "";
    const std::vector<FusedPart> parts = partsOf(whole, model);
    if (parts.empty()) {
      stored.push_back({weight.spec, {&weight}});
    } else if (parts[0].module == module) {
      StoredTensor &fused = stored.emplace_back(StoredTensor{weight.spec, {}});
      fused.spec.name = whole + std::string(end);
      fused.spec.shape[0] = parts.back().firstRow + parts.back().rows;
      for (const FusedPart &part : parts)
        fused.parts.push_back(byName.at(part.module + std::string(end)));
    }
  }
  return inFileOrder(std::move(stored));
}

PlannedFile tensorFile(std::string name, std::vector<StoredTensor> tensors) {
  std::vector<TensorSpec> specs;
  for (const StoredTensor &tensor : tensors)
    specs.push_back(tensor.spec);
  // transformers refuses a file that does not say which framework's layout it has.
  return {std::move(name), safetensorsHeader(specs, {{"format", "pt"}}), std::move(tensors)};
}

/// model.safetensors, or shards and their index.
std::vector<PlannedFile> modelFiles(const std::vector<StoredTensor> &tensors, uint64_t shardBytes) {
  std::vector<std::vector<StoredTensor>> shards(1);
  uint64_t used = 0;
  for (const StoredTensor &tensor : tensors) {
    uint64_t bytes = static_cast<uint64_t>(tensor.spec.bytes());
    if (!shards.back().empty() && used + bytes > shardBytes) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(tensor);
    used += bytes;
  }
  if (shards.size() == 1)
    return {tensorFile("model.safetensors", shards[0])};
  std::vector<PlannedFile> files;
  nlohmann::json index;
  index["metadata"]["total_size"] = bytesOf(tensors);
  for (size_t i = 0; i < shards.size(); ++i) {
    std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const StoredTensor &tensor : shards[i])
      index["weight_map"][tensor.spec.name] = name;
    files.push_back(tensorFile(name, shards[i]));
  }
  files.push_back({"model.safetensors.index.json", index.dump(2) + "\n"});
  return files;
}

} // namespace

struct CheckpointWriter::Impl {
  std::string outputDir;
  fileio::Descriptor directory; ///< of outputDir
  std::vector<TensorView> parameters, states, adapters;
  std::map<const TensorView *, MergedWeight> merged; ///< weights that are written with their adapters, or decoded
  std::vector<char> rows;                            ///< merged rows, or parts of tensors, on their way to a file
  MergeBuffers buffers;
  std::unique_ptr<CheckpointReader> source; ///< of a model whose text part is trained
  std::vector<PlannedFile> files;
  std::string origin;            ///< end of training_state.json
  bool hasAdapterFolder = false; ///< some of them go to adapterFolderName
  uint64_t bytes = 0;
  size_t keepLast = 0;         ///< 0: all
  std::vector<uint64_t> steps; ///< of the checkpoints that are there, in order; only with keepLast

  /// The file that could not be written, for the message.
  const char *failedAt = "";

  void planAdapters(const AdapterOptions &options, const ModelConfig &model, bool isPart);
  bool planOtherParts(std::vector<StoredTensor> &stored, const CheckpointOptions &options,
                      std::vector<Diagnostic> &diags);
  bool writeMerged(int file, MergedWeight &weight);
  bool writeFromElsewhere(int file, const TensorView &tensor);
  bool copyTensor(int file, const StoredTensor &tensor);
  bool writeFile(int folder, const PlannedFile &planned);
  bool writeState(int folder, const TrainingState &state);
  bool install(const char *temporary, const char *name);
  void prune(uint64_t newest);
};

CheckpointWriter::CheckpointWriter(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
CheckpointWriter::~CheckpointWriter() = default;
uint64_t CheckpointWriter::tensorBytes() const { return impl->bytes; }

std::unique_ptr<CheckpointWriter> CheckpointWriter::create(const CheckpointOptions &options,
                                                           std::vector<Diagnostic> &diags) {
  auto impl = std::make_unique<Impl>();
  impl->outputDir = options.outputDir;
  std::error_code error;
  fs::create_directories(options.outputDir, error);
  if (!error)
    impl->directory.reset(::open(options.outputDir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (error || !impl->directory) {
    diags.push_back({Severity::Error, options.outputDir, 0, 0,
                     fmt::format("cannot make the output directory: {}",
                                 error ? error.message() : std::string(std::strerror(errno)))});
    return nullptr;
  }
  // What a killed run left half-written.
  std::vector<fs::path> stale;
  impl->keepLast = options.keepLast;
  for (fs::directory_iterator it(options.outputDir, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename();
    if (std::optional<uint64_t> step = stepOfName(name); step && options.keepLast)
      impl->steps.push_back(*step);
    if (name.starts_with(".step_") && (name.ends_with(".tmp") || name.ends_with(".old")))
      stale.push_back(it->path());
  }
  for (const fs::path &path : stale)
    fs::remove_all(path, error);
  std::sort(impl->steps.begin(), impl->steps.end());
  impl->steps.reserve(impl->steps.size() + options.keepLast + 1);

  impl->parameters = options.parameters;
  impl->states = options.states;
  // Tied embeddings are stored once.
  if (options.model.tiedEmbeddings)
    std::erase_if(impl->parameters, [](const TensorView &tensor) { return tensor.spec.name == "lm_head.weight"; });
  std::string base, noConfig;
  if (!options.sourceDir.empty())
    readFile(options.sourceDir + "/config.json", base, noConfig);
  const bool isPart =
      multimodalOf(nlohmann::json::parse(base, nullptr, /*allow_exceptions=*/false), options.model) != nullptr;
  if (options.adapter)
    impl->planAdapters(*options.adapter, options.model, isPart);
  for (const std::vector<TensorView> *tensors : {&impl->parameters, &impl->states, &impl->adapters})
    for (const TensorView &tensor : *tensors)
      if (tensor.read)
        impl->rows.resize(std::max<uint64_t>(impl->rows.size(), uint64_t(4) << 20));
  auto parameters = weightsInFileOrder(impl->parameters, options.model), states = inFileOrder(impl->states);
  if (isPart && !parameters.empty() && !impl->planOtherParts(parameters, options, diags))
    return nullptr;
  impl->bytes = bytesOf(parameters) + bytesOf(states) + bytesOf(inFileOrder(impl->adapters));

  if (options.origin.frozenWeights)
    impl->origin += fmt::format(",\n  \"frozen_weights\": {}", *options.origin.frozenWeights);
  if (options.origin.teacherWeights)
    impl->origin += fmt::format(",\n  \"teacher_weights\": {}", *options.origin.teacherWeights);
  if (options.origin.referenceWeights)
    impl->origin += fmt::format(",\n  \"reference_weights\": {}", *options.origin.referenceWeights);
  if (!options.origin.referenceFolder.empty())
    impl->origin += fmt::format(",\n  \"reference_folder\": {}", nlohmann::json(options.origin.referenceFolder).dump());
  const char *before = ",\n  \"recipe\": {";
  for (const auto &[key, value] : options.origin.recipe) {
    impl->origin += fmt::format("{}\n    {}: {}", before, nlohmann::json(key).dump(), nlohmann::json(value).dump());
    before = ",";
  }
  impl->origin += options.origin.recipe.empty() ? "\n}\n" : "\n  }\n}\n";

  if (!options.sourceDir.empty()) {
    for (const char *name : tokenizerFiles) {
      std::string from = options.sourceDir + "/" + name;
      if (!fs::is_regular_file(from, error))
        continue;
      auto file = std::make_shared<fileio::Descriptor>(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
      if (*file)
        impl->files.push_back({name, "", {}, std::move(file)});
      else
        diags.push_back({Severity::Warning, from, 0, 0,
                         fmt::format("cannot be read, and will not be in checkpoints: {}", std::strerror(errno))});
    }
  }
  // transformers takes a folder with an adapter and a config.json for a model without it, and adds it once more: so
  // merged weights and the adapter are apart, and an adapter alone has no config.json.
  const bool hasWeights = !options.adapter || !options.adapter->adapterOnly;
  if (hasWeights)
    impl->files.push_back({"config.json", configJson(options.model, options.dtype, options.ids, base)});
  for (const auto &[name, text] : options.texts)
    impl->files.push_back({name, text});
  if (options.adapter) {
    impl->hasAdapterFolder = hasWeights;
    const std::string folder = hasWeights ? std::string(adapterFolderName) + "/" : "";
    impl->files.push_back(tensorFile(folder + "adapter_model.safetensors", inFileOrder(impl->adapters)));
    impl->files.push_back(
        {folder + "adapter_config.json",
         adapterConfigJson(options.adapter->lora, options.adapter->baseModel, options.model, isPart)});
  }
  if (hasWeights)
    for (PlannedFile &file : modelFiles(parameters, options.shardBytes))
      impl->files.push_back(std::move(file));
  impl->files.push_back(tensorFile("state.safetensors", states));
  return std::unique_ptr<CheckpointWriter>(new CheckpointWriter(std::move(impl)));
}

/// Takes the adapters out of the parameters, and pairs them with their weights.
void CheckpointWriter::Impl::planAdapters(const AdapterOptions &options, const ModelConfig &model, bool isPart) {
  auto isAdapter = [](const TensorView &tensor) { return isAdapterName(tensor.spec.name); };
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(adapters), isAdapter);
  std::erase_if(parameters, isAdapter);
  std::vector<TensorView> stored = fuseAdapters(adapters, parameters, options.lora, model);
  std::map<std::string, const TensorView *> byName;
  for (const TensorView &adapter : adapters)
    byName[adapter.spec.name] = &adapter;
  if (options.adapterOnly)
    parameters.clear();
  for (const TensorView &weight : parameters) {
    std::string_view module = weight.spec.name;
    module.remove_suffix(module.ends_with(".weight") ? 7 : 0);
    auto a = byName.find(fmt::format("{}.lora_A.weight", module)),
         b = byName.find(fmt::format("{}.lora_B.weight", module)),
         magnitude = byName.find(fmt::format("{}.lora_magnitude_vector", module));
    if (a != byName.end() && b != byName.end())
      merged.try_emplace(&weight, weight, *a->second, *b->second, options.lora.scale(),
                         magnitude != byName.end() ? magnitude->second : nullptr, &buffers);
    else if (weight.nf4)
      merged.try_emplace(&weight, weight);
  }
  uint64_t longest = 1 << 20;
  for (const auto &[weight, merge] : merged)
    longest = std::max(longest, static_cast<uint64_t>(merge.rowBytes()));
  rows.resize(merged.empty() ? 0 : longest);
  adapters = std::move(stored);
  for (TensorView &adapter : adapters)
    adapter.spec.name = peftName(adapter.spec.name, isPart);
}

/// Gives weights the names that they have in the files of the model whose text part they are, and adds that model's
/// other tensors. The files stay open, so that those are there as long as the run is.
bool CheckpointWriter::Impl::planOtherParts(std::vector<StoredTensor> &stored, const CheckpointOptions &options,
                                            std::vector<Diagnostic> &diags) {
  source = CheckpointReader::open(options.sourceDir, options.sourceFiles, diags, &options.model);
  if (!source)
    return false;
  for (StoredTensor &tensor : stored) {
    const TensorSpec *theirs = source->find(tensor.spec.name);
    if (!theirs) {
      diags.push_back(
          {Severity::Error, options.sourceDir, 0, 0,
           fmt::format("has no tensor '{}' of the text part, so it is not known what checkpoints should call "
                       "it",
                       tensor.spec.name)});
      return false;
    }
    tensor.spec.name = theirs->name;
  }
  for (const CheckpointReader::OtherPart &other : source->otherParts()) {
    if (!other.entry->layout.empty()) {
      diags.push_back({Severity::Error, other.file->path(), 0, 0,
                       fmt::format("tensor '{}' is a view, which is not copied into checkpoints; save the model anew "
                                   "with transformers (save_pretrained), as safetensors",
                                   other.entry->spec.name)});
      return false;
    }
    stored.push_back({other.entry->spec, {}, other.file, other.entry->offset});
  }
  stored = inFileOrder(std::move(stored));
  return true;
}

/// Appends bytes of another file.
bool CheckpointWriter::Impl::copyTensor(int file, const StoredTensor &tensor) {
  const auto bytes = static_cast<uint64_t>(tensor.spec.bytes());
  for (uint64_t done = 0; done < bytes;) {
    char block[1 << 16];
    const uint64_t count = std::min<uint64_t>(sizeof(block), bytes - done);
    if (!tensor.copyFrom->readBytes(block, count, tensor.copyAt + done)) {
      failedAt = tensor.copyFrom->path().c_str();
      errno = errno ? errno : EIO; // it has become shorter
      return false;
    }
    if (!fileio::writeAll(file, block, count))
      return false;
    done += count;
  }
  return true;
}

/// Appends a tensor that has no memory here, part by part.
bool CheckpointWriter::Impl::writeFromElsewhere(int file, const TensorView &tensor) {
  const uint64_t bytes = static_cast<uint64_t>(tensor.spec.bytes());
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t count = std::min<uint64_t>(rows.size(), bytes - done);
    tensor.read(done, rows.data(), count);
    if (!fileio::writeAll(file, rows.data(), count))
      return false;
    done += count;
  }
  return true;
}

bool CheckpointWriter::Impl::writeMerged(int file, MergedWeight &weight) {
  const uint64_t rowBytes = static_cast<uint64_t>(weight.rowBytes());
  uint64_t used = 0;
  for (int64_t row = 0; row < weight.rows(); ++row) {
    weight.row(row, rows.data() + used);
    used += rowBytes;
    if (used + rowBytes <= rows.size() && row + 1 < weight.rows())
      continue;
    if (!fileio::writeAll(file, rows.data(), used))
      return false;
    used = 0;
  }
  return true;
}

bool CheckpointWriter::Impl::writeFile(int folder, const PlannedFile &planned) {
  failedAt = planned.name.c_str();
  fileio::Descriptor file(openat(folder, planned.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file || !fileio::writeAll(file.get(), planned.text.data(), planned.text.size()))
    return false;
  for (const StoredTensor &stored : planned.tensors) {
    if (stored.copyFrom && !copyTensor(file.get(), stored))
      return false;
    for (const TensorView *tensor : stored.parts) {
      auto merge = merged.find(tensor);
      const auto bytes = static_cast<uint64_t>(tensor->spec.bytes());
      bool good = merge != merged.end() ? writeMerged(file.get(), merge->second)
                  : tensor->data        ? fileio::writeAll(file.get(), tensor->data, bytes)
                                        : writeFromElsewhere(file.get(), *tensor);
      if (!good)
        return false;
    }
  }
  if (planned.copyFrom) {
    char block[1 << 16];
    uint64_t done = 0;
    for (ssize_t got; (got = ::pread(planned.copyFrom->get(), block, sizeof(block), static_cast<off_t>(done))) != 0;) {
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0 || !fileio::writeAll(file.get(), block, static_cast<uint64_t>(got)))
        return false;
      done += static_cast<uint64_t>(got);
    }
  }
  return !fsync(file.get());
}

bool CheckpointWriter::Impl::writeState(int folder, const TrainingState &state) {
  failedAt = "training_state.json";
  char text[1024];
  int length = snprintf(text, sizeof(text),
                        "{\n  \"format\": 1,\n  \"step\": %" PRIu64 ",\n  \"seed\": %" PRIu64 ",\n  \"epoch\": %" PRId64
                        ",\n  \"batch\": %" PRId64 ",\n  \"batch_size\": %" PRId64 ",\n  \"data_fingerprint\": %" PRIu64
                        ",\n  \"skipped_batches\": %" PRId64 ",\n  \"skipped_steps\": %" PRIu64
                        ",\n  \"schedule_steps\": %" PRIu64,
                        state.step, state.seed, state.epoch, state.batch, state.batchSize, state.dataFingerprint,
                        state.skippedBatches, state.skippedSteps, state.scheduleSteps);
  fileio::Descriptor file(openat(folder, failedAt, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  return file && fileio::writeAll(file.get(), text, static_cast<uint64_t>(length)) &&
         fileio::writeAll(file.get(), origin.data(), origin.size()) && !fsync(file.get());
}

/// Gives the finished directory its name. An older one of that name changes places with it, so that a whole checkpoint
/// is under the name at every moment.
bool CheckpointWriter::Impl::install(const char *temporary, const char *name) {
  failedAt = name;
  int folder = directory.get();
  if (!renameat(folder, temporary, folder, name))
    return !fsync(folder);
  if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
    return false;
  std::error_code ignored;
  if (!renameat2(folder, temporary, folder, name, RENAME_EXCHANGE)) {
    if (fsync(folder))
      return false;
    fs::remove_all(fs::path(outputDir) / temporary, ignored);
    return true;
  }
  // A file system that cannot exchange: move the old one away first.
  std::string old = std::string(".") + name + ".old";
  if (renameat(folder, name, folder, old.c_str()))
    return false;
  if (renameat(folder, temporary, folder, name)) {
    int error = errno;
    renameat(folder, old.c_str(), folder, name);
    errno = error;
    return false;
  }
  fs::remove_all(fs::path(outputDir) / old, ignored);
  return !fsync(folder);
}

/// Removes the files of `folder`, and its adapter's folder, without allocating; whether all is gone. Other folders in
/// it are left.
static bool removeFiles(int folder, bool hasAdapter = true) {
  alignas(long) char buffer[1 << 15];
  bool good = true;
  for (long got; (got = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0;)
    for (long at = 0; at < got;) {
      const auto *entry = reinterpret_cast<const struct dirent64 *>(buffer + at);
      at += entry->d_reclen;
      const char *name = entry->d_name;
      if (!std::strcmp(name, ".") || !std::strcmp(name, "..") || !unlinkat(folder, name, 0))
        continue;
      const bool isAdapter = hasAdapter && !std::strcmp(name, adapterFolderName);
      fileio::Descriptor inner(isAdapter ? openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1);
      good = inner && removeFiles(inner.get(), false) && !unlinkat(folder, name, AT_REMOVEDIR) && good;
    }
  return good;
}

/// Removes the oldest checkpoints beyond `keepLast`, under another name first, so that none is ever there in part.
/// What cannot be removed stays under that name until the next run.
void CheckpointWriter::Impl::prune(uint64_t newest) {
  if (keepLast == 0)
    return;
  // Those of later steps are broken ones that the run went on below: they are left until it gets there.
  auto at = std::lower_bound(steps.begin(), steps.end(), newest);
  if (at == steps.end() || *at != newest)
    at = steps.insert(at, newest);
  for (size_t count = static_cast<size_t>(at - steps.begin()) + 1; count > keepLast; --count) {
    char name[64], old[64];
    snprintf(name, sizeof(name), "step_%" PRIu64, steps.front());
    snprintf(old, sizeof(old), ".step_%" PRIu64 ".old", steps.front());
    steps.erase(steps.begin());
    if (renameat(directory.get(), name, directory.get(), old))
      continue;
    fileio::Descriptor folder(openat(directory.get(), old, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder && removeFiles(folder.get()))
      unlinkat(directory.get(), old, AT_REMOVEDIR);
  }
}

bool CheckpointWriter::write(const TrainingState &state, std::vector<Diagnostic> &diags) {
  char name[64], temporary[64];
  snprintf(name, sizeof(name), "step_%" PRIu64, state.step);
  snprintf(temporary, sizeof(temporary), ".step_%" PRIu64 ".tmp", state.step);
  impl->failedAt = temporary;
  bool good = !mkdirat(impl->directory.get(), temporary, 0777);
  std::error_code ignored;
  if (!good && errno == EEXIST) {
    fs::remove_all(fs::path(impl->outputDir) / temporary, ignored);
    good = !mkdirat(impl->directory.get(), temporary, 0777);
  }
  if (good) {
    fileio::Descriptor folder(openat(impl->directory.get(), temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    good = folder && (!impl->hasAdapterFolder || !mkdirat(folder.get(), adapterFolderName, 0777));
    try {
      for (const PlannedFile &file : impl->files)
        good = good && impl->writeFile(folder.get(), file);
    } catch (...) { // a tensor elsewhere cannot be read
      fs::remove_all(fs::path(impl->outputDir) / temporary, ignored);
      throw;
    }
    if (good && impl->hasAdapterFolder) {
      fileio::Descriptor inner(openat(folder.get(), adapterFolderName, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      good = inner && !fsync(inner.get());
    }
    good = good && impl->writeState(folder.get(), state) && !fsync(folder.get());
  }
  good = good && impl->install(temporary, name);
  if (good) {
    impl->prune(state.step);
    return true;
  }
  int error = errno;
  fs::remove_all(fs::path(impl->outputDir) / temporary, ignored);
  diags.push_back(
      {Severity::Error, (fs::path(impl->outputDir) / name).native(), 0, 0,
       fmt::format("cannot write the checkpoint ({}): {}; nothing was left under this name by this attempt, "
                   "earlier ones are whole: free some space, and go on with resume_from_checkpoint=True",
                   impl->failedAt, std::strerror(error))});
  return false;
}

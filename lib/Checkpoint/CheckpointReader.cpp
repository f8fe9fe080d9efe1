//===- CheckpointReader.cpp - Weights of a directory ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Adapter.h"
#include "ftc/Checkpoint/Checkpoint.h"

#include "FusedWeights.h"
#include "TextPart.h"
#include "WeightNames.h"
#include "ftc/Checkpoint/TorchFile.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Suggest.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr size_t maxListed = 10;

constexpr const char *modelParallel =
    "Meta's consolidated.00.pth, consolidated.01.pth … are parts of one model for as many devices, and are not put "
    "together; get the model in Hugging Face's layout (model-0000k-of-0000n.safetensors)";

/// Reads an index: the shard of every tensor.
std::optional<std::map<std::string, std::string>> readIndex(const std::string &path, std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return std::nullopt;
  };
  std::string text, error;
  if (!readFile(path, text, error))
    return fail(error);
  json index = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return fail("not an index: it has no object 'weight_map'");
  std::map<std::string, std::string> shards;
  for (const auto &item : index["weight_map"].items()) {
    if (!item.value().is_string())
      return fail(fmt::format("'weight_map': the file of tensor '{}' is not a string", item.key()));
    std::string file = item.value().get<std::string>();
    if (file.empty() || file.find('/') != file.npos || file == "..")
      return fail(fmt::format("'weight_map': the file '{}' of tensor '{}' is not a file name", file, item.key()));
    shards[item.key()] = file;
  }
  return shards;
}

/// What to read where no files are named: names, or the index that has them. Both empty: there is nothing.
struct Found {
  std::vector<std::string> names = {};
  std::string index = {};
};

Found findWeights(const fs::path &root) {
  std::error_code ignored;
  for (const char *name : {"model.safetensors", "pytorch_model.bin"}) {
    if (fs::exists(root / name, ignored))
      return {{name}};
    const std::string index = std::string(name) + ".index.json";
    if (fs::exists(root / index, ignored))
      return {{}, index};
  }
  if (fs::exists(root / "consolidated.00.pth", ignored))
    return {{"consolidated.00.pth"}};
  return {};
}

std::vector<FusedPart> partsOfWeight(std::string_view name, const ModelConfig &model) {
  constexpr std::string_view end = ".weight";
  return name.ends_with(end) ? partsOf(name.substr(0, name.size() - end.size()), model) : std::vector<FusedPart>();
}

std::string weightOf(const FusedPart &part) { return part.module + ".weight"; }

/// Whether there are models of which `model` is the text part.
bool isPartOfLarger(const ModelConfig *model) { return model && multimodalFamily(model->architecture); }

std::string nameOfWeight(std::string_view name, const ModelConfig *model) {
  return isPartOfLarger(model) ? nameInTextPart(name) : std::string(name);
}

} // namespace

std::unique_ptr<CheckpointReader> CheckpointReader::open(const std::string &directory,
                                                         const std::vector<std::string> &files,
                                                         std::vector<Diagnostic> &diags, const ModelConfig *model) {
  auto fail = [&](const std::string &file, const std::string &message) {
    diags.push_back({Severity::Error, file, 0, 0, message});
    return nullptr;
  };
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    return fail(directory, "no such directory; checkpointer.checkpoint_dir names a directory of weights");
  fs::path root = directory;
  Found found = files.empty() ? findWeights(root) : Found{files};
  const bool isNone = found.index.empty() && std::ranges::none_of(found.names, [&](const std::string &name) {
                        return fs::exists(root / name, ignored);
                      });
  if (const std::string adapter = isNone ? adapterFile(directory) : ""; !adapter.empty()) {
    const std::string base = adapterBase(adapter).value_or("");
    return fail(directory, fmt::format("holds an adapter alone; name it with checkpointer.adapter_checkpoint={} (for a "
                                       "builder with adapters, model=…lora…), and the weights that it was trained on "
                                       "with checkpointer.checkpoint_dir={}",
                                       directory, base.empty() ? "FOLDER" : base));
  }
  std::map<std::string, std::string> index;
  const std::string indexPath = root / found.index;
  if (!found.index.empty()) {
    auto shards = readIndex(indexPath, diags);
    if (!shards)
      return nullptr;
    index = std::move(*shards);
    std::set<std::string> distinct;
    for (const auto &[tensor, file] : index)
      distinct.insert(file);
    found.names.assign(distinct.begin(), distinct.end());
  } else if (found.names.empty()) {
    const bool below = fs::exists(root / "original" / "consolidated.00.pth", ignored);
    return fail(directory, fmt::format("has none of model.safetensors, pytorch_model.bin, an index of either, and "
                                       "consolidated.00.pth; {}",
                                       below ? "Meta's are one folder below: override checkpointer.checkpoint_dir=" +
                                                   (root / "original").native()
                                             : "name the files with checkpointer.checkpoint_files"));
  }
  if (files.empty() && found.index.empty() && fs::exists(root / "consolidated.01.pth", ignored) &&
      found.names[0] == "consolidated.00.pth")
    return fail(directory, modelParallel);

  std::unique_ptr<CheckpointReader> reader(new CheckpointReader);
  reader->path = directory;
  if (model)
    reader->model = *model;
  for (const std::string &name : found.names) {
    std::string path = root / name;
    std::unique_ptr<TensorFile> file;
    if (name.ends_with(".safetensors"))
      file = SafetensorsFile::open(path, diags);
    else if (isTorchFileName(name))
      file = TorchFile::open(path, diags);
    else
      return fail(path, "only .safetensors files and torch.save's (.bin, .pt, .pth) are read; convert other formats "
                        "with transformers (save_pretrained)");
    if (!file || !reader->add(std::move(file), model, diags))
      return nullptr;
  }
  for (const auto &[tensor, file] : index) {
    const auto known = model ? knownWeight(tensor, model->architecture) : std::nullopt;
    const std::vector<FusedPart> parts = partsOfWeight(tensor, reader->model);
    auto place = reader->places.find(known           ? known->name
                                     : parts.empty() ? nameOfWeight(tensor, model)
                                                     : weightOf(parts[0]));
    std::string path = root / file;
    const bool isOther = std::ranges::any_of(reader->others, [&](const OtherPart &other) {
      return other.entry->spec.name == tensor && other.file->path() == path;
    });
    if (!isOther && (place == reader->places.end() || place->second.file->path() != path))
      return fail(indexPath, fmt::format("tensor '{}' should be in {}, but is not", tensor, path));
  }
  return reader;
}

bool CheckpointReader::add(std::unique_ptr<TensorFile> file, const ModelConfig *model, std::vector<Diagnostic> &diags) {
  for (const auto &[name, entry] : file->entries()) {
    const auto known = model ? knownWeight(name, model->architecture) : std::nullopt;
    std::vector<std::pair<std::string, TensorFile::Entry>> found;
    if (known) {
      layOutRotary(known->name, *model, found.emplace_back(known->name, entry).second);
      if (naming == Naming::HuggingFace || !known->inBoth)
        naming = known->naming;
    } else if (const std::vector<FusedPart> parts = partsOfWeight(name, this->model); !parts.empty()) {
      const std::vector<int64_t> &shape = entry.spec.shape;
      std::string rows;
      for (const FusedPart &part : parts)
        rows += fmt::format("{}{} of {}", rows.empty() ? "" : ", ", part.rows, weightOf(part));
      if (shape.size() != 2 || shape[0] != parts.back().firstRow + parts.back().rows) {
        diags.push_back(
            {Severity::Error, file->path(), 0, 0,
             fmt::format("tensor '{}' has shape {}; the rows of the recipe's model are {}: name the builder "
                         "that belongs to these weights",
                         name, shapeText(shape), rows)});
        return false;
      }
      for (const FusedPart &part : parts)
        found.emplace_back(weightOf(part), rowsOf(entry, part.firstRow, part.rows));
    } else if (isPartOfLarger(model) && isBesideTextPart(name)) {
      others.push_back({file.get(), &entry});
    } else {
      found.emplace_back(nameOfWeight(name, model), entry);
    }
    for (auto &[ours, place] : found) {
      auto [other, isNew] = places.emplace(ours, Place{file.get(), std::move(place)});
      if (isNew)
        continue;
      const bool isPart = known && known->naming == Naming::Meta && other->second.entry.spec.name == name;
      diags.push_back({Severity::Error, file->path(), 0, 0,
                       fmt::format("tensor '{}' is also in {}{}{}", name, other->second.file->path(),
                                   isPart ? ": " : "", isPart ? modelParallel : "")});
      return false;
    }
  }
  files.push_back(std::move(file));
  return true;
}

std::string CheckpointReader::told(std::string_view name) const {
  const std::string theirs = nameIn(naming, name, model.architecture);
  constexpr std::string_view end = ".weight";
  if (naming == Naming::HuggingFace && name.ends_with(end))
    if (const std::string whole = fusedModule(name.substr(0, name.size() - end.size()), model); !whole.empty())
      return fmt::format("'{}{}' ({})", whole, end, name);
  return theirs == name ? fmt::format("'{}'", name) : fmt::format("'{}' ({})", theirs, name);
}

const TensorSpec *CheckpointReader::find(std::string_view name) const {
  auto found = places.find(name);
  return found == places.end() ? nullptr : &found->second.entry.spec;
}

bool CheckpointReader::check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const {
  std::set<std::string_view> wantedNames;
  for (const TensorSpec &tensor : wanted)
    wantedNames.insert(tensor.name);
  std::vector<std::string> unexpected, extra;
  for (const auto &[name, place] : places) {
    if (std::ranges::find(unexpected, place.entry.spec.name) != unexpected.end())
      continue; // another part of it
    if (wantedNames.contains(name) || name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq") ||
        name == "rope.freqs")
      continue;
    unexpected.push_back(place.entry.spec.name);
    extra.push_back(fmt::format("tensor '{}' of shape {} has no place in the recipe's model", place.entry.spec.name,
                                shapeText(place.entry.spec.shape)));
  }

  bool good = true;
  auto list = [&](const std::vector<std::string> &messages, std::string_view what) {
    for (size_t i = 0; i < messages.size() && i < maxListed; ++i)
      diags.push_back({Severity::Error, path, 0, 0, messages[i]});
    if (messages.size() > maxListed)
      diags.push_back(
          {Severity::Error, path, 0, 0, fmt::format("and {} more tensors {}", messages.size() - maxListed, what)});
    good &= messages.empty();
  };
  std::vector<std::string> missing, misshapen;
  for (const TensorSpec &tensor : wanted) {
    const TensorSpec *found = find(tensor.name);
    if (found && found->shape != tensor.shape)
      misshapen.push_back(fmt::format("tensor {} has shape {}, the model wants {}", told(tensor.name),
                                      shapeText(found->shape), shapeText(tensor.shape)));
    if (found)
      continue;
    // The nearest of the names that nothing else wants: most likely another spelling.
    std::optional<std::string> near;
    if (missing.size() < maxListed)
      near = nearest(nameIn(naming, tensor.name, model.architecture), unexpected);
    missing.push_back(fmt::format("tensor {} of shape {} is missing{}", told(tensor.name), shapeText(tensor.shape),
                                  near ? fmt::format("; is it '{}'?", *near) : ""));
  }
  list(missing, "are missing");
  list(misshapen, "have another shape");
  list(extra, "have no place in the recipe's model");
  return good;
}

const CheckpointReader::Place *CheckpointReader::locate(const TensorSpec &wanted,
                                                        std::vector<Diagnostic> &diags) const {
  auto found = places.find(wanted.name);
  if (found == places.end()) {
    diags.push_back({Severity::Error, path, 0, 0, fmt::format("tensor {} is missing", told(wanted.name))});
    return nullptr;
  }
  const Place &place = found->second;
  if (place.entry.spec.shape != wanted.shape) {
    diags.push_back({Severity::Error, place.file->path(), 0, 0,
                     fmt::format("tensor {} has shape {}, the model wants {}", told(wanted.name),
                                 shapeText(place.entry.spec.shape), shapeText(wanted.shape))});
    return nullptr;
  }
  return &place;
}

bool CheckpointReader::read(const TensorView &out, std::vector<Diagnostic> &diags) const {
  const Place *place = locate(out.spec, diags);
  return place && place->file->read(place->entry, out, diags);
}

bool CheckpointReader::quantize(const TensorSpec &wanted, const Nf4Weight &weight,
                                std::vector<Diagnostic> &diags) const {
  const Place *place = locate(wanted, diags);
  if (!place)
    return false;
  Nf4Encoder encoder(weight.format, wanted.elements(), weight.arrays);
  if (!place->file->stream(
          place->entry, wanted.type, [&](const float *values, int64_t count) { encoder.append(values, count); }, diags))
    return false;
  if (weight.store)
    weight.store();
  return true;
}

//===- CheckpointReader.cpp - Weights of a Hugging Face directory ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Checkpoint.h"

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

} // namespace

std::unique_ptr<CheckpointReader> CheckpointReader::open(const std::string &directory,
                                                         const std::vector<std::string> &files,
                                                         std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &file, const std::string &message) {
    diags.push_back({Severity::Error, file, 0, 0, message});
    return nullptr;
  };
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    return fail(directory, "no such directory; checkpointer.checkpoint_dir names a directory in Hugging Face layout");
  fs::path root = directory;
  std::vector<std::string> names = files;
  std::map<std::string, std::string> index;
  std::string indexPath = root / "model.safetensors.index.json";
  if (names.empty()) {
    if (fs::exists(root / "model.safetensors", ignored)) {
      names = {"model.safetensors"};
    } else if (fs::exists(indexPath, ignored)) {
      auto shards = readIndex(indexPath, diags);
      if (!shards)
        return nullptr;
      index = std::move(*shards);
      std::set<std::string> distinct;
      for (const auto &[tensor, file] : index)
        distinct.insert(file);
      names.assign(distinct.begin(), distinct.end());
    } else {
      return fail(directory,
                  "has neither model.safetensors nor model.safetensors.index.json; only safetensors are read, "
                  "convert other formats with transformers (save_pretrained)");
    }
  }

  std::unique_ptr<CheckpointReader> reader(new CheckpointReader);
  reader->path = directory;
  for (const std::string &name : names) {
    std::string path = root / name;
    if (!name.ends_with(".safetensors"))
      return fail(path, "only .safetensors files are read; convert other formats with transformers (save_pretrained)");
    auto file = SafetensorsFile::open(path, diags);
    if (!file)
      return nullptr;
    for (const auto &[tensor, entry] : file->entries()) {
      auto [place, isNew] = reader->fileOf.emplace(tensor, reader->files.size());
      if (!isNew)
        return fail(path, fmt::format("tensor '{}' is also in {}", tensor, reader->files[place->second]->path()));
    }
    reader->files.push_back(std::move(file));
  }
  for (const auto &[tensor, file] : index) {
    auto found = reader->fileOf.find(tensor);
    std::string path = root / file;
    if (found == reader->fileOf.end() || reader->files[found->second]->path() != path)
      return fail(indexPath, fmt::format("tensor '{}' should be in {}, but is not", tensor, path));
  }
  return reader;
}

const TensorSpec *CheckpointReader::find(std::string_view name) const {
  auto found = fileOf.find(name);
  return found == fileOf.end() ? nullptr : &files[found->second]->find(name)->spec;
}

bool CheckpointReader::check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const {
  std::set<std::string_view> wantedNames;
  for (const TensorSpec &tensor : wanted)
    wantedNames.insert(tensor.name);
  std::vector<std::string> unexpected;
  for (const auto &[name, file] : fileOf)
    if (!wantedNames.contains(name) && name != "lm_head.weight" && !name.ends_with("rotary_emb.inv_freq"))
      unexpected.push_back(name);

  bool good = true;
  auto list = [&](const std::vector<std::string> &messages, std::string_view what) {
    for (size_t i = 0; i < messages.size() && i < maxListed; ++i)
      diags.push_back({Severity::Error, path, 0, 0, messages[i]});
    if (messages.size() > maxListed)
      diags.push_back(
          {Severity::Error, path, 0, 0, fmt::format("and {} more tensors {}", messages.size() - maxListed, what)});
    good &= messages.empty();
  };
  std::vector<std::string> missing, misshapen, extra;
  for (const TensorSpec &tensor : wanted) {
    const TensorSpec *found = find(tensor.name);
    if (found && found->shape != tensor.shape)
      misshapen.push_back(fmt::format("tensor '{}' has shape {}, the model wants {}", tensor.name,
                                      shapeText(found->shape), shapeText(tensor.shape)));
    if (found)
      continue;
    // The nearest of the names that nothing else wants: most likely another spelling.
    std::optional<std::string> near;
    if (missing.size() < maxListed)
      near = nearest(tensor.name, unexpected);
    missing.push_back(fmt::format("tensor '{}' of shape {} is missing{}", tensor.name, shapeText(tensor.shape),
                                  near ? fmt::format("; is it '{}'?", *near) : ""));
  }
  for (const std::string &name : unexpected)
    extra.push_back(
        fmt::format("tensor '{}' of shape {} has no place in the recipe's model", name, shapeText(find(name)->shape)));
  list(missing, "are missing");
  list(misshapen, "have another shape");
  list(extra, "have no place in the recipe's model");
  return good;
}

std::pair<const SafetensorsFile *, const SafetensorsFile::Entry *>
CheckpointReader::locate(const TensorSpec &wanted, std::vector<Diagnostic> &diags) const {
  auto found = fileOf.find(wanted.name);
  if (found == fileOf.end()) {
    diags.push_back({Severity::Error, path, 0, 0, fmt::format("tensor '{}' is missing", wanted.name)});
    return {};
  }
  const SafetensorsFile &file = *files[found->second];
  const SafetensorsFile::Entry &entry = *file.find(wanted.name);
  if (entry.spec.shape != wanted.shape) {
    diags.push_back({Severity::Error, file.path(), 0, 0,
                     fmt::format("tensor '{}' has shape {}, the model wants {}", wanted.name,
                                 shapeText(entry.spec.shape), shapeText(wanted.shape))});
    return {};
  }
  return {&file, &entry};
}

bool CheckpointReader::read(const TensorView &out, std::vector<Diagnostic> &diags) const {
  auto [file, entry] = locate(out.spec, diags);
  return file && file->read(*entry, out, diags);
}

bool CheckpointReader::quantize(const TensorSpec &wanted, const Nf4Weight &weight,
                                std::vector<Diagnostic> &diags) const {
  auto [file, entry] = locate(wanted, diags);
  if (!file)
    return false;
  Nf4Encoder encoder(weight.format, wanted.elements(), weight.arrays);
  if (!file->stream(
          *entry, wanted.type, [&](const float *values, int64_t count) { encoder.append(values, count); }, diags))
    return false;
  if (weight.store)
    weight.store();
  return true;
}

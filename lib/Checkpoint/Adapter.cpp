//===- Adapter.cpp - LoRA adapters, read and merged -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Adapter.h"

#include "Convert.h"
#include "FusedWeights.h"
#include "TextPart.h"
#include "WeightNames.h"
#include "ftc/Checkpoint/TorchFile.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Suggest.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

static constexpr std::string_view peftPrefix = "base_model.model.";
static constexpr std::string_view adapterEndings[] = {".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"};
static constexpr size_t maxListed = 10;

bool ftc::isAdapterName(std::string_view name) {
  return std::ranges::any_of(adapterEndings, [&](std::string_view end) { return name.ends_with(end); });
}

std::string ftc::peftName(std::string_view name, bool isPart) {
  return std::string(peftPrefix) + (isPart ? nameAroundTextPart(name) : std::string(name));
}

std::string ftc::adapterFile(const std::string &folder) {
  std::error_code ignored;
  for (const fs::path &place : {fs::path(folder), fs::path(folder) / adapterFolderName})
    for (const char *name : {"adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt"})
      if (fs::exists(place / name, ignored))
        return place / name;
  return "";
}

std::optional<std::string> ftc::adapterBase(const std::string &path) {
  std::error_code ignored;
  const fs::path file = fs::is_directory(path, ignored) ? fs::path(adapterFile(path)) : fs::path(path);
  std::string text, error;
  if (!readFile(file.parent_path() / "adapter_config.json", text, error))
    return std::nullopt;
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || !config.contains("base_model_name_or_path"))
    return std::nullopt;
  const json &base = config["base_model_name_or_path"];
  if (base.is_null())
    return "";
  return base.is_string() && base != "" ? std::optional(base.get<std::string>()) : std::nullopt;
}

std::string ftc::adapterConfigJson(const LoraConfig &lora, const std::string &baseModel, const ModelConfig &model,
                                   bool isPart) {
  json config;
  config["peft_type"] = "LORA";
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = baseModel.empty() ? json() : json(baseModel);
  auto number = [](double value) {
    return value == std::floor(value) && value < 1e15 ? json(static_cast<int64_t>(value)) : json(value);
  };
  config["r"] = lora.rank;
  config["lora_alpha"] = number(lora.alpha);
  config["lora_dropout"] = 0.0;
  const std::vector<std::string> targets = fileTargets(lora, model);
  config["target_modules"] = isPart ? json(targetsInTextPart(targets)) : json(targets);
  for (const std::string &target : targets)
    if (int64_t parts = fusedTargets(target, lora, model); parts > 1) {
      config["rank_pattern"][target] = parts * lora.rank;
      config["alpha_pattern"][target] = number(static_cast<double>(parts) * lora.alpha);
    }
  config["bias"] = "none";
  config["fan_in_fan_out"] = false;
  config["inference_mode"] = true;
  config["init_lora_weights"] = true;
  config["modules_to_save"] = nullptr;
  config["use_dora"] = lora.dora;
  config["use_rslora"] = false;
  return config.dump(2) + "\n";
}

/// What an adapter_config.json says must be what the step computes.
static bool checkAdapterConfig(const std::string &path, const LoraConfig &lora, const ModelConfig &model,
                               std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return false;
  };
  std::string text, error;
  if (!readFile(path, text, error))
    return fail(error);
  json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object())
    return fail("not a JSON object");
  auto at = [&](const char *key) { return config.contains(key) ? config[key] : json(); };
  if (json kind = at("peft_type"); kind != "LORA")
    return fail(fmt::format("'peft_type' is {}, and only \"LORA\" is built", kind.dump()));
  // torchtune does not write the key: its tensors tell.
  if (bool dora = at("use_dora") == true; dora != lora.dora && config.contains("use_dora"))
    return fail(fmt::format("'use_dora' is {}, the step was compiled for {}; recompile with model.use_dora={}", dora,
                            lora.dora, dora ? "True" : "False"));
  for (const char *key : {"use_rslora", "fan_in_fan_out"})
    if (at(key) == true)
      return fail(fmt::format("'{}' is true, which is not built", key));
  // Of a fused module, the rank and the scale of its parts put together.
  const json ranks = at("rank_pattern"), alphas = at("alpha_pattern");
  auto isOfParts = [&](const json &pattern, const std::string &module, double each) {
    const auto parts = static_cast<double>(fusedTargets(module, lora, model));
    return pattern.is_object() && pattern.contains(module) && pattern[module].is_number() && parts > 0 &&
           std::abs(pattern[module].get<double>() - parts * each) <= 1e-12 * parts * each;
  };
  for (const auto &[key, pattern] : {std::pair("rank_pattern", &ranks), std::pair("alpha_pattern", &alphas)})
    for (const auto &item : pattern->items())
      if (!isOfParts(ranks, item.key(), static_cast<double>(lora.rank)) || !isOfParts(alphas, item.key(), lora.alpha))
        return fail(
            fmt::format("'{}' is {}, and all adapters of a step have one rank and one scale", key, pattern->dump()));
  json rank = at("r"), alpha = at("lora_alpha");
  if (!rank.is_number_integer() || !alpha.is_number())
    return fail("'r' or 'lora_alpha' is missing or no number");
  if (rank.get<int64_t>() != lora.rank)
    return fail(fmt::format("'r' is {}, the step was compiled for {}; recompile with model.lora_rank={}", rank.dump(),
                            lora.rank, rank.dump()));
  if (alpha.get<double>() != lora.alpha)
    return fail(fmt::format("'lora_alpha' is {}, the step was compiled for {}; recompile with model.lora_alpha={}",
                            alpha.dump(), lora.alpha, alpha.dump()));
  return true;
}

std::unique_ptr<AdapterReader> AdapterReader::open(const std::string &path, const LoraConfig &lora,
                                                   const ModelConfig &model, std::vector<Diagnostic> &diags) {
  std::error_code ignored;
  fs::path file = path;
  if (fs::is_directory(file, ignored)) {
    const std::string inside = adapterFile(path);
    file = inside.empty() ? file / "adapter_model.safetensors" : fs::path(inside);
  }
  fs::path config = file.parent_path() / "adapter_config.json";
  if (fs::exists(config, ignored) && !checkAdapterConfig(config, lora, model, diags))
    return nullptr;
  std::unique_ptr<AdapterReader> reader(new AdapterReader);
  if (isTorchFileName(file.native()))
    reader->file = TorchFile::open(file, diags);
  else
    reader->file = SafetensorsFile::open(file, diags);
  if (!reader->file)
    return nullptr;
  for (const auto &[name, entry] : reader->file->entries()) {
    const std::optional<std::string> known = knownAdapter(name);
    TensorFile::Entry place = entry;
    if (known)
      layOutRotary(*known, model, place);
    std::string_view module = name, end;
    if (module.starts_with(peftPrefix))
      module.remove_prefix(peftPrefix.size());
    std::string ours = known ? peftName(*known) : name;
    if (!known && multimodalFamily(model.architecture))
      ours = peftName(nameInTextPart(module));
    for (std::string_view each : adapterEndings)
      end = module.ends_with(each) ? each : end;
    module.remove_suffix(end.size());
    const std::vector<FusedPart> parts = partsOf(module, model);
    const bool good =
        parts.empty() ? reader->add(ours, std::move(place), diags) : reader->addParts(parts, end, entry, lora, diags);
    if (!good)
      return nullptr;
  }
  return reader;
}

bool AdapterReader::add(const std::string &name, TensorFile::Entry entry, std::vector<Diagnostic> &diags) {
  const std::string theirs = entry.spec.name;
  auto [other, isNew] = entries.emplace(name, std::move(entry));
  if (isNew)
    return true;
  diags.push_back({Severity::Error, path(), 0, 0,
                   fmt::format("adapter tensors '{}' and '{}' are the same one under two names; the file is broken",
                               other->second.spec.name, theirs)});
  return false;
}

bool AdapterReader::addParts(std::span<const FusedPart> parts, std::string_view end, const TensorFile::Entry &entry,
                             const LoraConfig &lora, std::vector<Diagnostic> &diags) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path(), 0, 0, fmt::format("adapter tensor '{}' {}", entry.spec.name, message)});
    return false;
  };
  const std::vector<int64_t> &shape = entry.spec.shape;
  const bool isA = end == adapterEndings[0], isB = end == adapterEndings[1];
  const int64_t outputs = parts.back().firstRow + parts.back().rows;
  const auto targets = std::ranges::count_if(parts, [&](const FusedPart &part) { return part.isTargetOf(lora); });
  if (shape.size() != (isA || isB ? 2 : 1) || (!isA && shape[0] != outputs))
    return fail(fmt::format("has shape {}, and the fused module has {} outputs", shapeText(shape), outputs));
  // Of blocks, or one adapter for all rows: then each part has its own rows of B, and A is the same.
  const int64_t rank = isA ? shape[0] : isB ? shape[1] : 0;
  const bool isShared = rank == lora.rank && targets != 1;
  if ((isA || isB) && !isShared && rank != targets * lora.rank)
    return fail(
        fmt::format("has rank {}; for the step it is {} ({} of {} projections have an adapter of rank {}), or {} "
                    "where all have: recompile with model.lora_rank, and model.lora_attn_modules or "
                    "model.apply_lora_to_mlp",
                    rank, targets * lora.rank, targets, parts.size(), lora.rank, lora.rank));
  std::vector<float> values(isB && !isShared ? static_cast<size_t>(entry.spec.elements()) : 0);
  if (!values.empty() && !file->read(entry, TensorType::F32, values.data(), diags))
    return false;
  int64_t column = 0;
  for (const FusedPart &part : parts) {
    const bool has = part.isTargetOf(lora), isBlock = has && !isShared;
    const std::string name = peftName(part.module + std::string(end));
    const int64_t ownColumns = isBlock ? lora.rank : 0;
    if (!values.empty())
      for (int64_t row = part.firstRow; row < part.firstRow + part.rows; ++row)
        for (int64_t i = 0; i < rank; ++i)
          if ((i < column || i >= column + ownColumns) && values[static_cast<size_t>(row * rank + i)] != 0)
            return fail(fmt::format("is not made of an adapter for each projection: row {} of {} has {} in column {}; "
                                    "such a one can be merged into the weights with PEFT (merge_and_unload), and those "
                                    "trained on",
                                    row - part.firstRow, part.module, values[static_cast<size_t>(row * rank + i)], i));
    if (has || isShared) {
      TensorFile::Entry place = isA ? entry : rowsOf(entry, part.firstRow, part.rows);
      if (isA && isBlock)
        place = rowsOf(entry, column, lora.rank);
      else if (isB && isBlock)
        place = columnsOf(place, column, lora.rank);
      if (!add(name, std::move(place), diags))
        return false;
    }
    column += ownColumns;
  }
  return true;
}

static bool isMagnitude(const std::string &name) { return name.ends_with(adapterEndings[2]); }

/// Whether the first set of names is the other one and DoRA's magnitudes, of which that has none.
static bool hasMagnitudesMore(const std::set<std::string> &names, const std::set<std::string> &others) {
  std::vector<std::string> more;
  std::ranges::set_difference(names, others, std::back_inserter(more));
  return !more.empty() && std::ranges::all_of(more, isMagnitude) && std::ranges::none_of(others, isMagnitude);
}

bool AdapterReader::check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const {
  std::set<std::string> wantedNames, names;
  for (const TensorSpec &tensor : wanted)
    wantedNames.insert(peftName(tensor.name));
  for (const auto &[name, entry] : entries)
    names.insert(name);
  // One thing is wrong then, not each of its tensors.
  for (const bool isDora : {true, false})
    if (hasMagnitudesMore(isDora ? names : wantedNames, isDora ? wantedNames : names)) {
      diags.push_back({Severity::Error, file->path(), 0, 0,
                       fmt::format("this is an adapter of {}, and the step was compiled for {}; recompile with "
                                   "model.use_dora={}",
                                   isDora ? "DoRA, with magnitudes" : "LoRA, without magnitudes",
                                   isDora ? "LoRA" : "DoRA", isDora ? "True" : "False")});
      return false;
    }
  std::vector<std::string> unexpected, messages;
  for (const auto &[name, entry] : entries)
    if (!wantedNames.contains(name))
      unexpected.push_back(entry.spec.name);
  for (const TensorSpec &tensor : wanted) {
    std::string name = peftName(tensor.name);
    auto found = entries.find(name);
    if (found == entries.end()) {
      std::optional<std::string> near = messages.size() < maxListed ? nearest(name, unexpected) : std::nullopt;
      messages.push_back(fmt::format("adapter tensor '{}' of shape {} is missing{}", name, shapeText(tensor.shape),
                                     near ? fmt::format("; is it '{}'?", *near) : ""));
    } else if (found->second.spec.shape != tensor.shape) {
      messages.push_back(fmt::format("adapter tensor '{}' has shape {}, the step wants {}", found->second.spec.name,
                                     shapeText(found->second.spec.shape), shapeText(tensor.shape)));
    }
  }
  for (const std::string &name : unexpected)
    messages.push_back(fmt::format("adapter tensor '{}' has no place in the step; recompile with adapters for the same "
                                   "projections (model.lora_attn_modules, apply_lora_to_mlp, apply_lora_to_output)",
                                   name));
  for (size_t i = 0; i < messages.size() && i < maxListed; ++i)
    diags.push_back({Severity::Error, file->path(), 0, 0, messages[i]});
  if (messages.size() > maxListed)
    diags.push_back({Severity::Error, file->path(), 0, 0,
                     fmt::format("and {} more differences from the step's adapters", messages.size() - maxListed)});
  return messages.empty();
}

bool AdapterReader::read(const TensorView &out, std::vector<Diagnostic> &diags) const {
  const TensorSpec &wanted = out.spec;
  auto entry = entries.find(peftName(wanted.name));
  if (entry != entries.end() && entry->second.spec.shape == wanted.shape)
    return file->read(entry->second, out, diags);
  diags.push_back(
      {Severity::Error, file->path(), 0, 0,
       fmt::format("there is no adapter tensor '{}' of shape {}", peftName(wanted.name), shapeText(wanted.shape))});
  return false;
}

RowReader::RowReader(const TensorView &matrix, std::vector<char> *buffer, int64_t rowsAtOnce)
    : matrix(matrix), buffer(buffer), rowBytes(matrix.spec.shape[1] * typeBytes(matrix.spec.type)),
      atOnce(rowsAtOnce ? rowsAtOnce : std::max<int64_t>(1, (1 << 20) / std::max<int64_t>(1, rowBytes))) {
  atOnce = std::min(atOnce, matrix.spec.shape[0]);
  if (!matrix.data && matrix.read)
    buffer->resize(std::max(buffer->size(), static_cast<size_t>(atOnce * rowBytes)));
}

const char *RowReader::row(int64_t row) {
  if (matrix.data)
    return static_cast<const char *>(matrix.data) + row * rowBytes;
  if (row == 0 || row < first || row >= first + count) {
    first = row;
    count = std::min(atOnce, matrix.spec.shape[0] - row);
    matrix.read(static_cast<uint64_t>(row * rowBytes), buffer->data(), static_cast<uint64_t>(count * rowBytes));
  }
  return buffer->data() + (row - first) * rowBytes;
}

MergedWeight::MergedWeight(const TensorView &weight, const TensorView &a, const TensorView &b, double scale,
                           const TensorView *magnitude, MergeBuffers *buffers)
    : weight(weight), weightRows(weight, buffers ? &buffers->weight : nullptr),
      a(a, buffers ? &buffers->a : nullptr, a.spec.shape[0]), b(b, buffers ? &buffers->b : nullptr),
      rank(a.spec.shape[0]), scale(static_cast<float>(scale)), factorA(static_cast<size_t>(a.spec.elements())),
      rowB(static_cast<size_t>(rank)), sum(static_cast<size_t>(weight.spec.shape[1])),
      base(static_cast<size_t>(weight.spec.shape[1])) {
  if (!magnitude)
    return;
  TensorView column = *magnitude;
  column.spec.shape.push_back(1);
  this->magnitude = RowReader(column, buffers ? &buffers->magnitude : nullptr, column.spec.shape[0]);
}

MergedWeight::MergedWeight(const TensorView &weight, MergeBuffers *buffers)
    : weight(weight), weightRows(weight, buffers ? &buffers->weight : nullptr),
      sum(static_cast<size_t>(weight.spec.shape[1])), base(static_cast<size_t>(weight.spec.shape[1])) {}

void MergedWeight::row(int64_t row, void *out) {
  const int64_t inputs = weight.spec.shape[1];
  if (row == 0 && rank)
    convertElements(a.row(0), a.spec().type, factorA.data(), TensorType::F32, rank * inputs);
  if (row == 0 && weight.nf4 && weight.nf4->fetch)
    weight.nf4->fetch();
  if (rank)
    convertElements(b.row(row), b.spec().type, rowB.data(), TensorType::F32, rank);
  if (weight.nf4)
    nf4Decode(weight.nf4->format, weight.nf4->arrays, row * inputs, inputs, base.data());
  else
    convertElements(weightRows.row(row), weight.spec.type, base.data(), TensorType::F32, inputs);
  std::fill(sum.begin(), sum.end(), 0.0f);
  for (int64_t r = 0; r < rank; ++r) {
    const float factor = rowB[r], *from = factorA.data() + r * inputs;
    for (int64_t i = 0; i < inputs; ++i)
      sum[i] += factor * from[i];
  }
  for (int64_t i = 0; i < inputs; ++i)
    base[i] += scale * sum[i];
  if (!magnitude.spec().shape.empty()) {
    double squares = 0;
    for (float value : base)
      squares += static_cast<double>(value) * value;
    float wanted;
    convertElements(magnitude.row(row), magnitude.spec().type, &wanted, TensorType::F32, 1);
    // A row of zeros has no direction, and stays.
    const auto factor = static_cast<float>(squares > 0 ? wanted / std::sqrt(squares) : 1);
    for (float &value : base)
      value *= factor;
  }
  convertElements(base.data(), TensorType::F32, out, weight.spec.type, inputs);
}

//===- FindCheckpoint.cpp - Where a run may continue ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Checkpoint.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;
namespace fs = std::filesystem;

std::optional<TrainingState> ftc::readTrainingState(const std::string &directory, std::vector<Diagnostic> &diags,
                                                    TrainingOrigin *origin) {
  std::string path = fs::path(directory) / "training_state.json", text, error;
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, path, 0, 0, message});
    return std::nullopt;
  };
  if (!readFile(path, text, error))
    return fail(error);
  json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return fail("not a JSON object");
  std::string problem;
  auto number = [&](const char *key) -> uint64_t {
    auto found = object.find(key);
    if (found != object.end() && found->is_number_unsigned())
      return found->get<uint64_t>();
    if (problem.empty())
      problem = fmt::format("'{}' is missing or not a number from 0", key);
    return 0;
  };
  uint64_t format = number("format");
  if (problem.empty() && format != 1)
    return fail(fmt::format("format {} is not known; this program reads format 1", format));
  TrainingState state;
  state.step = number("step");
  state.seed = number("seed");
  uint64_t epoch = number("epoch"), batch = number("batch");
  state.dataFingerprint = number("data_fingerprint");
  uint64_t batchSize = object.contains("batch_size") ? number("batch_size") : 0;
  uint64_t skipped = object.contains("skipped_batches") ? number("skipped_batches") : 0;
  state.skippedSteps = object.contains("skipped_steps") ? number("skipped_steps") : 0;
  state.scheduleSteps = object.contains("schedule_steps") ? number("schedule_steps") : 0;
  constexpr uint64_t limit = uint64_t(1) << 62;
  if (problem.empty() && (epoch > limit || batch > limit || batch > limit / std::max<uint64_t>(1, batchSize)))
    problem = "the data position is out of range";
  if (problem.empty() && (skipped > limit || state.skippedSteps > skipped))
    problem = "'skipped_batches' and 'skipped_steps' are out of range";
  TrainingOrigin made;
  if (problem.empty() && object.contains("frozen_weights"))
    made.frozenWeights = number("frozen_weights");
  if (problem.empty() && object.contains("teacher_weights"))
    made.teacherWeights = number("teacher_weights");
  if (problem.empty() && object.contains("reference_weights"))
    made.referenceWeights = number("reference_weights");
  if (auto folder = object.find("reference_folder"); folder != object.end() && folder->is_string())
    made.referenceFolder = *folder;
  if (auto recipe = object.find("recipe"); recipe != object.end() && recipe->is_object())
    for (const auto &item : recipe->items())
      if (item.value().is_string())
        made.recipe[item.key()] = item.value();
  if (!problem.empty())
    return fail(problem);
  if (origin)
    *origin = std::move(made);
  state.epoch = static_cast<int64_t>(epoch);
  state.batch = static_cast<int64_t>(batch);
  state.batchSize = static_cast<int64_t>(batchSize);
  state.skippedBatches = static_cast<int64_t>(skipped);
  return state;
}

std::unique_ptr<SafetensorsFile> ftc::openOptimizerState(const std::string &directory, std::vector<Diagnostic> &diags) {
  return SafetensorsFile::open(fs::path(directory) / "state.safetensors", diags);
}

std::optional<uint64_t> ftc::stepOfName(std::string_view name) {
  constexpr std::string_view prefix = "step_";
  uint64_t step = 0;
  if (!name.starts_with(prefix) || name.size() == prefix.size())
    return std::nullopt;
  auto [last, code] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), step);
  return code == std::errc() && last == name.data() + name.size() ? std::optional(step) : std::nullopt;
}

/// Adds a problem where a file of settings is not whole: who reads the checkpoint would stumble over it.
static void checkJson(const std::string &path, std::vector<Diagnostic> &problems) {
  std::string text, error;
  if (!readFile(path, text, error))
    problems.push_back({Severity::Error, path, 0, 0, error});
  else if (!json::parse(text, nullptr, /*allow_exceptions=*/false).is_object())
    problems.push_back({Severity::Error, path, 0, 0, "not a JSON object"});
}

std::optional<FoundCheckpoint> ftc::findNewestCheckpoint(const std::string &outputDir, std::vector<Diagnostic> &diags) {
  std::vector<std::pair<uint64_t, std::string>> candidates;
  std::error_code error;
  for (fs::directory_iterator it(outputDir, error), end; !error && it != end; it.increment(error)) {
    if (std::optional<uint64_t> step = stepOfName(it->path().filename().string()))
      candidates.push_back({*step, it->path()});
  }
  std::sort(candidates.rbegin(), candidates.rend());
  for (const auto &[step, directory] : candidates) {
    std::vector<Diagnostic> problems;
    TrainingOrigin origin;
    auto state = readTrainingState(directory, problems, &origin);
    if (state && state->step != step)
      problems.push_back({Severity::Error, directory, 0, 0,
                          fmt::format("the directory is named for step {}, its state says {}", step, state->step)});
    const std::string adapter = adapterFile(directory);
    const bool isAdapter = fs::path(adapter).parent_path() == directory;
    if (!isAdapter)
      checkJson(fs::path(directory) / "config.json", problems);
    const fs::path adapterConfig = fs::path(adapter).parent_path() / "adapter_config.json";
    if (!adapter.empty() && fs::exists(adapterConfig, error))
      checkJson(adapterConfig, problems);
    auto opens = [&] {
      return adapter.empty() ? CheckpointReader::open(directory, {}, problems) != nullptr
                             : SafetensorsFile::open(adapter, problems) != nullptr;
    };
    if (problems.empty() && opens() && openOptimizerState(directory, problems))
      return FoundCheckpoint{directory, *state, std::move(origin)};
    for (Diagnostic &problem : problems) {
      problem.severity = Severity::Warning;
      problem.message = "checkpoint passed over: " + problem.message;
      diags.push_back(std::move(problem));
    }
  }
  return std::nullopt;
}

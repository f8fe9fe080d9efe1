//===- RunData.cpp - What a run is trained and judged on -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is trained is named by --data, or by the recipe's dataset, which may be a list of them. What is held out is, in
// this order, a share of that (--held-out), the files of --held-out-data, or the recipe's dataset_val.
//
//===----------------------------------------------------------------------===//

#include "lib/Trainer/Run.h"

#include "ftc/Config/Datasets.h"
#include "ftc/Data/RecipeData.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <filesystem>

using namespace ftc;

/// How the files of a data set, of which there are some, are read.
DataOptions Run::readingOf(const DatasetConfig &d) const {
  if (std::string why = whyUnreadable(d); !why.empty())
    throw RunError(ExitCode::NoFile, why);
  DataOptions wanted = dataOptions(recipe, d, rowLength);
  wanted.dataWords = dataWords;
  if (!options.farDir.empty())
    wanted.scratchFolder = options.farDir;
  return wanted;
}

/// The recipe with --column, which is an override of the key that the recipe's data set is read by: what `dataset_val`
/// takes from the data set follows, and what it says itself stays. `given`: with all other overrides. Nothing, with
/// errors in `diags`, where the override is refused.
std::optional<Recipe> Run::withColumn(const LoadedStep &step, Recipe given) {
  const DatasetConfig &d = given.dataset;
  if (!given.moreDatasets.empty())
    throw RunError(ExitCode::Usage,
                   fmt::format("--column names the key of one data set, and the recipe's dataset is a list of {}; give "
                               "each node its own (dataset=[{{column: KEY, ...}}, ...])",
                               given.moreDatasets.size() + 1));
  const std::string column = columnOverride(d.component, *options.column);
  if (column.empty()) {
    warn("--column is without effect: {} has keys of its own, which dataset.column_map names",
         d.component.substr(d.component.rfind('.') + 1));
    return given;
  }
  std::vector<std::string> overrides = options.overrides;
  overrides.push_back(column);
  return overrideRun(step.manifest().recipe()->str(), overrides, diags);
}

/// Gives the data sets that are trained their files, where --data names them.
void Run::nameData() {
  Recipe before = recipe; // with patterns as they are named
  if (options.heldOut > 0)
    before.heldOut.clear(); // a share of what is trained is evaluated instead
  dataWords = ftc::dataWords(before, options.data, options.heldOutData);
  if (std::string problem = nameDataFiles(recipe, options.data); !problem.empty())
    throw RunError(ExitCode::Usage, problem);
  const std::vector<std::string> &files = recipe.dataset.dataFiles;
  if (options.column && std::none_of(files.begin(), files.end(), [](const std::string &path) {
        return std::filesystem::is_directory(path) || holdsRecords(path);
      }))
    warn("--column is without effect: {} holds no records", fmt::join(files, ", "));
  std::vector<std::string> names;
  for (const DatasetConfig &set : trainedSets(recipe))
    names.insert(names.end(), set.dataFiles.begin(), set.dataFiles.end());
  constexpr size_t named = 3;
  dataNames = fmt::format("{}{}", fmt::join(names.begin(), names.begin() + std::min(named, names.size()), ", "),
                          names.size() > named ? fmt::format(" and {} more", names.size() - named) : "");
}

bool Run::onlyAsks() const {
  return options.steps == uint64_t(0) && options.sample > 0 && options.data.empty() && options.heldOut == 0 &&
         options.heldOutData.empty();
}

void Run::readData(const manifest::Entry &entry) {
  rowLength = entry.sequence();
  if (onlyAsks()) { // how its records are worded is in the recipe
    wording = dataOptions(recipe, trainedSets(recipe).front(), rowLength);
    return;
  }
  nameData();
  const std::vector<DatasetConfig> sets = trainedSets(recipe);
  std::vector<LoadedData> parts;
  for (const DatasetConfig &set : sets) {
    DataOptions wanted = readingOf(set);
    wanted.heldOut = options.heldOut;
    if (parts.empty())
      wording = wanted;
    parts.push_back(load(wanted));
    if (sets.size() > 1)
      say("{}: {} rows", fmt::join(set.dataFiles, ", "), parts.back().train.rows());
  }
  data = join(std::move(parts));
  readHeldOut();
}

/// Warns where what is evaluated is trained on, as far as names and slices tell. `name`: what names the data.
void Run::warnOfTrained(const DatasetConfig &set, const char *name) const {
  std::vector<const DatasetConfig *> trained{&recipe.dataset};
  for (const DatasetConfig &more : recipe.moreDatasets)
    trained.push_back(&more);
  const auto isIn = [](const std::string &path, const std::string &other) {
    std::error_code error;
    if (std::filesystem::equivalent(path, other, error))
      return true;
    return std::filesystem::is_directory(other, error) &&
           pathInside(std::filesystem::weakly_canonical(path, error), std::filesystem::weakly_canonical(other, error));
  };
  for (const std::string &path : set.dataFiles)
    for (const DatasetConfig *other : trained) {
      const auto same = std::find_if(other->dataFiles.begin(), other->dataFiles.end(),
                                     [&](const std::string &file) { return isIn(path, file) || isIn(file, path); });
      if (same == other->dataFiles.end() || areApart(set.slice, other->slice))
        continue;
      const bool isWhole = set.slice.isWhole() && other->slice.isWhole();
      warn("{} {} what is trained on: {}", name,
           !isWhole            ? "is, or may be in part,"
           : isIn(path, *same) ? "is"
                               : "has in it",
           path);
      break;
    }
}

/// The data that is evaluated, unless that is a share of what is trained.
void Run::readHeldOut() {
  const char *name = options.heldOutData.empty() ? "dataset_val" : "--held-out-data";
  std::vector<DatasetConfig> sets;
  if (!options.heldOutData.empty()) {
    sets.push_back(recipe.heldOut.empty() ? recipe.dataset : recipe.heldOut.front());
    sets[0].dataFiles = {options.heldOutData};
    sets[0].slice = {};
  } else if (options.heldOut == 0) {
    sets = heldOutSets(recipe);
  }
  for (DatasetConfig &set : sets)
    if (std::string problem = expandPatterns(set.dataFiles); !problem.empty())
      throw RunError(ExitCode::Usage, fmt::format("{}: {}", name, problem));
  size_t unnamed = 0;
  std::vector<DataSet> heldOut;
  for (const DatasetConfig &set : sets) {
    unnamed += set.dataFiles.empty();
    warnOfTrained(set, name);
    if (!set.dataFiles.empty())
      heldOut.push_back(std::move(load(readingOf(set)).train));
  }
  if (!heldOut.empty())
    data->heldOut = DataSet::join(std::move(heldOut));
  constexpr const char *wayOut =
      "name some with --held-out-data PATH or dataset_val.data_files, or take a share of the "
      "data with --held-out 0.05";
  if (recipe.valEveryNSteps > 0 && data->heldOut.rows() == 0)
    throw RunError(ExitCode::Usage,
                   fmt::format("run_val_every_n_steps is {}, and no data is held out; {}; or leave it out "
                               "(run_val_every_n_steps=null)",
                               recipe.valEveryNSteps, wayOut));
  if (unnamed && unnamed == sets.size())
    warn("dataset_val names no data_files, so nothing is evaluated; {}", wayOut);
  else if (unnamed)
    warn("{} of {} nodes of dataset_val name no data_files and are left out", unnamed, sets.size());
}

LoadedData Run::load(const DataOptions &wanted) {
  LoadFailure why = LoadFailure::Bad;
  std::optional<LoadedData> loaded = loadData(wanted, *tokenizer, diags, &why);
  tellRemarks(diags);
  if (!loaded)
    throwErrors(why == LoadFailure::NoRoom  ? ExitCode::WriteFailed
                : why == LoadFailure::Empty ? ExitCode::EmptyData
                                            : ExitCode::BadData,
                diags);
  return std::move(*loaded);
}

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

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

using namespace ftc;

static void requireReadable(const std::string &path) {
  if (access(path.c_str(), R_OK) != 0)
    throw RunError(ExitCode::NoFile, fmt::format("{}: cannot read the data: {}", path, std::strerror(errno)));
}

/// How the files of a data set, of which there are some, are read.
DataOptions Run::dataOptions(const DatasetConfig &d) const {
  for (const std::string &path : d.dataFiles)
    requireReadable(path);
  DataOptions wanted;
  wanted.path = d.dataFiles.front();
  wanted.morePaths.assign(d.dataFiles.begin() + 1, d.dataFiles.end());
  wanted.slice = d.slice;
  wanted.column = options.column.value_or(d.column);
  wanted.seqLen = rowLength;
  wanted.vocabSize = recipe.model.vocabSize;
  wanted.packed = d.packed;
  wanted.splitAcrossPack = d.splitAcrossPack;
  wanted.addEos = d.addEos;
  wanted.notInside = {recipe.outputDir, recipe.checkpointer.outputDir};
  wanted.tokenizerFile = recipe.specialTokensPath.empty() ? recipe.tokenizerPath : recipe.specialTokensPath;
  wanted.scratchFolder = options.farDir.empty() ? recipe.outputDir : options.farDir;
  wanted.instructionKey = d.instructionKey;
  wanted.inputKey = d.inputKey;
  wanted.outputKey = d.outputKey;
  wanted.promptKey = d.promptKey;
  wanted.chosenKey = d.chosenKey;
  wanted.rejectedKey = d.rejectedKey;
  wanted.trainOnInput = d.trainOnInput;
  wanted.masking = d.masking;
  wanted.systemPrompt = d.systemPrompt;
  if (recipe.promptTemplate)
    wanted.promptTags = recipe.promptTemplate->tags;
  switch (datasetBuilder(d.component).kind) {
  case DatasetKind::Text:
  case DatasetKind::Other:
    break;
  case DatasetKind::Chat:
    wanted.records = d.conversationStyle == "sharegpt" ? RecordKind::ShareGpt : RecordKind::Chat;
    break;
  case DatasetKind::Instruct:
    wanted.records = RecordKind::Instruct;
    break;
  case DatasetKind::Alpaca:
    wanted.records = RecordKind::Alpaca;
    break;
  case DatasetKind::Pairs:
    wanted.records = RecordKind::Pairs;
    break;
  case DatasetKind::PairsOfTexts:
    wanted.records = RecordKind::PairsOfTexts;
    break;
  }
  if (options.column) {
    if (wanted.records == RecordKind::Instruct || wanted.records == RecordKind::Alpaca || givesPairs(wanted.records))
      warn("--column is without effect: {} has keys of its own, which dataset.column_map names",
           d.component.substr(d.component.rfind('.') + 1));
    else if (std::none_of(d.dataFiles.begin(), d.dataFiles.end(), [](const std::string &path) {
               return std::filesystem::is_directory(path) || holdsRecords(path);
             }))
      warn("--column is without effect: {} holds no JSON records", fmt::join(d.dataFiles, ", "));
  }
  return wanted;
}

/// Gives the data sets that are trained their files, where --data names them.
void Run::nameData() {
  std::vector<DatasetConfig *> sets{&recipe.dataset};
  for (DatasetConfig &set : recipe.moreDatasets)
    sets.push_back(&set);
  if (sets.size() == 1 && !options.data.empty())
    recipe.dataset.dataFiles = options.data;
  else if (!options.data.empty() && options.data.size() != sets.size())
    throw RunError(
        ExitCode::Usage,
        fmt::format("the recipe's dataset is a list of {}, and --data names {}; give --data once for each, in "
                    "their order, or not at all where all have data_files",
                    sets.size(), options.data.size()));
  else
    for (size_t i = 0; i < options.data.size(); ++i)
      sets[i]->dataFiles = {options.data[i]};
  std::vector<std::string> names;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (sets[i]->dataFiles.empty())
      throw RunError(
          ExitCode::Usage,
          sets.size() == 1
              ? std::string("no data: name a file or a directory with --data, or set dataset.data_files")
              : fmt::format("no data for dataset[{}]: give --data {} times, once for each node of the list, or "
                            "set data_files in all of them",
                            i, sets.size()));
    names.insert(names.end(), sets[i]->dataFiles.begin(), sets[i]->dataFiles.end());
  }
  constexpr size_t named = 3;
  dataNames = fmt::format("{}{}", fmt::join(names.begin(), names.begin() + std::min(named, names.size()), ", "),
                          names.size() > named ? fmt::format(" and {} more", names.size() - named) : "");
}

void Run::readData(const manifest::Entry &entry) {
  nameData();
  rowLength = entry.sequence();
  std::vector<DatasetConfig> sets = recipe.moreDatasets;
  sets.insert(sets.begin(), recipe.dataset);
  std::vector<LoadedData> parts;
  for (const DatasetConfig &set : sets) {
    DataOptions wanted = dataOptions(set);
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

/// Whether two slices of the same files may have no record in common. Of percentages that can be said for certain.
static bool areApart(const DataSlice &a, const DataSlice &b) {
  if (a.isWhole() || b.isWhole())
    return false;
  if (!a.percent || !b.percent)
    return true;
  const auto [firstA, lastA] = recordsOf(a, 100);
  const auto [firstB, lastB] = recordsOf(b, 100);
  return lastA <= firstB || lastB <= firstA;
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
    sets = recipe.heldOut;
  }
  size_t unnamed = 0;
  std::vector<DataSet> heldOut;
  for (DatasetConfig &set : sets) {
    const bool isPart = !set.slice.isWhole() && set.split == recipe.dataset.split && recipe.moreDatasets.empty();
    if (set.dataFiles.empty() && isPart)
      set.dataFiles = recipe.dataset.dataFiles; // the other records of the same files
    else if (set.dataFiles.empty())
      ++unnamed;
    const bool isOther = areApart(set.slice, recipe.dataset.slice);
    for (const std::string &path : set.dataFiles)
      for (const std::string &trained : recipe.dataset.dataFiles)
        if (std::error_code error; !isOther && std::filesystem::equivalent(trained, path, error))
          warn("{} is{} what is trained on: {}", name, set.slice.isWhole() ? "" : ", or is in part,", trained);
    if (!set.dataFiles.empty())
      heldOut.push_back(std::move(load(dataOptions(set)).train));
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
  std::optional<LoadedData> loaded = loadData(wanted, *tokenizer, diags);
  tellRemarks(diags);
  if (!loaded) {
    bool empty = !diags.empty() && (diags.back().message.starts_with("the data set is empty") ||
                                    diags.back().message.starts_with("no token is trained"));
    bool noRoom = !diags.empty() && diags.back().message.find("a file for tokens in '") != std::string::npos;
    throwErrors(noRoom ? ExitCode::WriteFailed : empty ? ExitCode::EmptyData : ExitCode::BadData, diags);
  }
  return std::move(*loaded);
}

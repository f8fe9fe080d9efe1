//===- RecipeData.cpp - The data sets of a recipe -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Data/RecipeData.h"

#include "ftc/Config/Datasets.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <glob.h>
#include <set>
#include <unistd.h>

using namespace ftc;

TokenizerConfig ftc::tokenizerOf(const Recipe &recipe) {
  return {recipe.tokenizer,       recipe.tokenizerPath,       recipe.specialTokensPath,   recipe.mergesFile,
          !recipe.promptTemplate, recipe.tokenizerConfigPath, recipe.generationConfigPath};
}

std::vector<DatasetConfig> ftc::trainedSets(const Recipe &recipe) {
  std::vector<DatasetConfig> sets = recipe.moreDatasets;
  sets.insert(sets.begin(), recipe.dataset);
  return sets;
}

std::string ftc::expandPatterns(std::vector<std::string> &paths) {
  std::vector<std::string> found;
  for (const std::string &path : paths) {
    std::error_code error;
    if (path.find_first_of("*?[") == path.npos || std::filesystem::exists(path, error)) {
      found.push_back(path);
      continue;
    }
    if (path.find("**") != path.npos)
      return path + ": '**' is not built; name the folder, of which everything below is read";
    glob_t matches;
    const int code = glob(path.c_str(), 0, nullptr, &matches);
    if (code == 0)
      found.insert(found.end(), matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    globfree(&matches);
    if (code != 0)
      return path +
             (code == GLOB_NOMATCH ? ": no file matches this pattern" : ": cannot list the files of this pattern");
  }
  paths = std::move(found);
  return "";
}

std::string ftc::nameDataFiles(Recipe &recipe, const std::vector<std::string> &data) {
  std::vector<DatasetConfig *> sets{&recipe.dataset};
  for (DatasetConfig &set : recipe.moreDatasets)
    sets.push_back(&set);
  if (sets.size() == 1 && !data.empty())
    recipe.dataset.dataFiles = data;
  else if (!data.empty() && data.size() != sets.size())
    return fmt::format("the recipe's dataset is a list of {}, and --data names {}; give --data once for each, in their "
                       "order, or not at all where all have data_files",
                       sets.size(), data.size());
  else
    for (size_t i = 0; i < data.size(); ++i)
      sets[i]->dataFiles = {data[i]};
  for (size_t i = 0; i < sets.size(); ++i)
    if (sets[i]->dataFiles.empty())
      return sets.size() == 1
                 ? std::string("no data: name a file or a directory with --data, or set dataset.data_files")
                 : fmt::format("no data for dataset[{}]: give --data {} times, once for each node of the list, or set "
                               "data_files in all of them",
                               i, sets.size());
  for (DatasetConfig *set : sets)
    if (std::string problem = expandPatterns(set->dataFiles); !problem.empty())
      return problem;
  return "";
}

std::vector<DatasetConfig> ftc::heldOutSets(const Recipe &recipe) {
  std::vector<DatasetConfig> sets = recipe.heldOut;
  for (DatasetConfig &set : sets) {
    const bool isPart = !set.slice.isWhole() && set.split == recipe.dataset.split && recipe.moreDatasets.empty();
    if (set.dataFiles.empty() && isPart)
      set.dataFiles = recipe.dataset.dataFiles; // the other records of the same files
  }
  return sets;
}

std::vector<std::string> ftc::allDataFiles(const Recipe &recipe, const std::vector<std::string> &data) {
  std::vector<std::string> all;
  const auto add = [&](std::vector<std::string> paths) {
    for (const std::string &path : paths)
      if (std::vector<std::string> files{path}; expandPatterns(files).empty())
        all.insert(all.end(), files.begin(), files.end());
  };
  add(data);
  for (const DatasetConfig &set : trainedSets(recipe))
    add(set.dataFiles);
  for (const DatasetConfig &set : recipe.heldOut)
    add(set.dataFiles);
  return all;
}

/// Files of `folder` by whose names weights, configurations and tokenizers go.
static void addModelFiles(const std::string &folder, std::vector<std::string> &all) {
  static const std::set<std::string> endings{".safetensors", ".bin",   ".pt",    ".pth",
                                             ".json",        ".model", ".jinja", ".tiktoken"};
  static const std::set<std::string> names{"merges.txt", "vocab.txt"};
  std::error_code error;
  for (const auto &entry : std::filesystem::directory_iterator(folder, error))
    if ((endings.contains(entry.path().extension().string()) || names.contains(entry.path().filename().string())) &&
        entry.is_regular_file(error))
      all.push_back(entry.path().string());
}

std::vector<std::string> ftc::allModelFiles(const Recipe &recipe) {
  std::vector<std::string> all;
  const auto add = [&](const std::string &path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error))
      addModelFiles(path, all);
    else if (std::filesystem::exists(path, error))
      all.push_back(path);
  };
  const auto addAll = [&](const CheckpointerConfig &checkpointer) {
    add(checkpointer.checkpointDir);
    for (const std::string &file : checkpointer.checkpointFiles)
      add((std::filesystem::path(checkpointer.checkpointDir) / file).string());
    add(checkpointer.adapterCheckpoint);
  };
  addAll(recipe.checkpointer);
  if (recipe.distillation)
    addAll(recipe.distillation->checkpointer);
  for (const std::string *path : {&recipe.tokenizerPath, &recipe.specialTokensPath, &recipe.mergesFile,
                                  &recipe.tokenizerConfigPath, &recipe.generationConfigPath})
    add(*path);
  return all;
}

/// A word as a shell takes it.
static std::string shellWord(const std::string &word) {
  if (!word.empty() && word.find_first_of(" \t\n*?[]{}'\"$&;()<>|\\`~#!") == word.npos)
    return word;
  std::string quoted = "'";
  for (const char c : word)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string ftc::dataWords(const Recipe &recipe, std::vector<std::string> data, const std::string &heldOut) {
  if (data.empty())
    for (const DatasetConfig &set : trainedSets(recipe))
      data.insert(data.end(), set.dataFiles.begin(), set.dataFiles.end());
  std::string words;
  for (const std::string &path : data)
    words += (words.empty() ? "--data " : " --data ") + shellWord(path);
  std::vector<std::string> evaluated{heldOut};
  if (heldOut.empty())
    evaluated = recipe.heldOut.size() == 1 ? recipe.heldOut[0].dataFiles : std::vector<std::string>();
  if (!evaluated.empty())
    words += " dataset_val.data_files=" +
             shellWord(evaluated.size() == 1 ? evaluated[0] : fmt::format("[{}]", fmt::join(evaluated, ", ")));
  return words;
}

std::string ftc::whyUnreadable(const DatasetConfig &set) {
  for (const std::string &path : set.dataFiles)
    if (path.empty())
      return "no data: --data names nothing; give it a file or a directory";
    else if (access(path.c_str(), R_OK) != 0)
      return fmt::format("{}: cannot read the data: {}", path, std::strerror(errno));
  return "";
}

DataOptions ftc::dataOptions(const Recipe &recipe, const DatasetConfig &set, int64_t rowLength) {
  DataOptions wanted;
  if (!set.dataFiles.empty()) {
    wanted.path = set.dataFiles.front();
    wanted.morePaths.assign(set.dataFiles.begin() + 1, set.dataFiles.end());
  }
  wanted.slice = set.slice;
  wanted.source = set.source == "json"   ? DataSource::Json
                  : set.source == "csv"  ? DataSource::Csv
                  : set.source == "text" ? DataSource::Text
                                         : DataSource::ByName;
  wanted.column = set.column;
  wanted.seqLen = rowLength;
  wanted.longSamples = recipe.truncates ? LongSamples::Cut : LongSamples::Refuse;
  wanted.vocabSize = recipe.model.vocabSize;
  wanted.packed = set.packed;
  wanted.splitAcrossPack = set.splitAcrossPack;
  wanted.addEos = set.addEos;
  wanted.notInside = {recipe.outputDir, recipe.checkpointer.outputDir};
  wanted.tokenizerFile = recipe.specialTokensPath.empty() ? recipe.tokenizerPath : recipe.specialTokensPath;
  wanted.scratchFolder = recipe.outputDir;
  wanted.instructionKey = set.instructionKey;
  wanted.inputKey = set.inputKey;
  wanted.outputKey = set.outputKey;
  wanted.promptKey = set.promptKey;
  wanted.chosenKey = set.chosenKey;
  wanted.rejectedKey = set.rejectedKey;
  wanted.trainOnInput = set.trainOnInput;
  wanted.masking = set.masking;
  wanted.systemPrompt = set.systemPrompt;
  if (recipe.promptTemplate)
    wanted.promptTags = recipe.promptTemplate->tags;
  switch (datasetBuilder(set.component).kind) {
  case DatasetKind::Text:
  case DatasetKind::Other:
    break;
  case DatasetKind::Chat:
    wanted.records = set.conversationStyle == "sharegpt" ? RecordKind::ShareGpt : RecordKind::Chat;
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
  return wanted;
}

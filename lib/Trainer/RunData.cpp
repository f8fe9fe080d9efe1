//===- RunData.cpp - What a run is trained and judged on -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is trained is named by --data, or by the recipe's dataset. What is held out is, in this order, a share of that
// (--held-out), the files of --held-out-data, or the recipe's dataset_val.
//
//===----------------------------------------------------------------------===//

#include "lib/Trainer/Run.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

using namespace ftc;

static void requireReadable(const std::string &path) {
  if (access(path.c_str(), R_OK) != 0)
    throw RunError(ExitCode::NoFile, fmt::format("{}: cannot read the data: {}", path, std::strerror(errno)));
}

/// How the files at `path` are read as the data set `d`.
DataOptions Run::dataOptions(const DatasetConfig &d, const std::string &path) const {
  DataOptions wanted;
  wanted.path = path;
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
  wanted.trainOnInput = d.trainOnInput;
  wanted.systemPrompt = d.systemPrompt;
  if (recipe.promptTemplate)
    wanted.promptTags = recipe.promptTemplate->tags;
  const std::string kind = d.component.substr(d.component.rfind('.') + 1);
  if (kind == "alpaca_dataset" || kind == "alpaca_cleaned_dataset")
    wanted.records = RecordKind::Alpaca;
  else if (kind == "instruct_dataset")
    wanted.records = RecordKind::Instruct;
  else if (kind == "chat_dataset")
    wanted.records = d.conversationStyle == "sharegpt" ? RecordKind::ShareGpt : RecordKind::Chat;
  else if (std::filesystem::path(path).extension() != ".bin" && kind != "text_completion_dataset")
    throw RunError(ExitCode::Unsupported,
                   fmt::format("{}: the recipe's '{}' is not built in: give the ids that it makes as a token file "
                               "(.bin, see docs/data.md), or override "
                               "dataset=torchtune.datasets.text_completion_dataset (or chat_dataset) for this data",
                               path, d.component));
  if (options.column) {
    if (wanted.records == RecordKind::Instruct || wanted.records == RecordKind::Alpaca)
      warn("--column is without effect: {} has keys of its own, which dataset.column_map names", kind);
    else if (!std::filesystem::is_directory(path) && !holdsRecords(path))
      warn("--column is without effect: {} holds no JSON records", path);
  }
  return wanted;
}

void Run::readData(const manifest::Entry &entry) {
  const std::string &path = recipe.dataset.dataFiles;
  if (path.empty())
    throw RunError(ExitCode::Usage, "no data: name a file or a directory with --data, or set dataset.data_files");
  requireReadable(path);
  rowLength = entry.sequence();
  DataOptions wanted = dataOptions(recipe.dataset, path);
  wanted.heldOut = options.heldOut;
  data = load(wanted);
  readHeldOut();
}

/// The data that is evaluated, unless that is a share of what is trained.
void Run::readHeldOut() {
  const std::string &trained = recipe.dataset.dataFiles;
  const DatasetConfig &set = recipe.heldOut ? *recipe.heldOut : recipe.dataset;
  const bool isRecipes = options.heldOut == 0 && options.heldOutData.empty() && recipe.heldOut;
  const std::string path = isRecipes ? set.dataFiles : options.heldOutData;
  if (!path.empty()) {
    requireReadable(path);
    if (std::error_code error; std::filesystem::equivalent(trained, path, error))
      warn("{} is what is trained on: {}", isRecipes ? "dataset_val" : "--held-out-data", trained);
    data->heldOut = std::move(load(dataOptions(set, path)).train);
  }
  constexpr const char *wayOut =
      "name some with --held-out-data PATH or dataset_val.data_files, or take a share of the "
      "data with --held-out 0.05";
  if (recipe.valEveryNSteps > 0 && data->heldOut.rows() == 0)
    throw RunError(ExitCode::Usage,
                   fmt::format("run_val_every_n_steps is {}, and no data is held out; {}; or leave it out "
                               "(run_val_every_n_steps=null)",
                               recipe.valEveryNSteps, wayOut));
  if (isRecipes && path.empty())
    warn("dataset_val names no data_files, so nothing is evaluated; {}", wayOut);
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

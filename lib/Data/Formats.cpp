//===- Formats.cpp - What a file holds, by its name ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A name that says what a file holds wins over the recipe's dataset.source, which is about the others: a recipe is used
// with other data more often than a file is called by a wrong name.
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

using namespace ftc;

/// The ending of a file's name in small letters, with its dot.
static std::string extensionOf(const std::filesystem::path &path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

/// How the records are written of a file with a name like this; nothing for other names.
static std::optional<RecordFormat> formatOfName(const std::string &path) {
  const std::string extension = extensionOf(path);
  if (extension == ".jsonl" || extension == ".ndjson")
    return RecordFormat::Lines;
  if (extension == ".json")
    return RecordFormat::List;
  if (extension == ".csv")
    return RecordFormat::Commas;
  if (extension == ".tsv")
    return RecordFormat::Tabs;
  return std::nullopt;
}

bool ftc::holdsRecords(const std::string &path) { return formatOfName(path).has_value(); }

bool ftc::isTokenFile(const std::string &path) { return extensionOf(path) == ".bin"; }

std::string ftc::whyNotRead(const std::string &path) {
  const std::string extension = extensionOf(path);
  for (const char *table : {".parquet", ".arrow", ".feather"})
    if (extension == table)
      return "tables of this format are not read; write it anew once, in Python: datasets.load_dataset(\"" +
             std::string(extension == ".parquet" ? "parquet" : "arrow") +
             "\", data_files=…, split=\"train\").to_json(\"x.jsonl\")";
  for (const char *packed : {".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z"})
    if (extension == packed)
      return "archives and compressed files are not read; unpack it first";
  return "";
}

std::optional<RecordFormat> ftc::formatOf(const std::string &path, bool inDirectory, const DataOptions &options) {
  const std::optional<RecordFormat> named = formatOfName(path);
  // A folder of texts may hold all kinds of .json files.
  if (inDirectory && named == RecordFormat::List && !holdsList(path) && !holdsRecordOf(path, options))
    return std::nullopt;
  if (named || !whyNotRead(path).empty() || isTokenFile(path))
    return named;
  switch (options.source) {
  case DataSource::ByName:
    return std::nullopt;
  case DataSource::Json:
    return inDirectory ? std::nullopt : std::optional(RecordFormat::Lines);
  case DataSource::Csv:
    return inDirectory ? std::nullopt : std::optional(RecordFormat::Commas);
  case DataSource::Text:
    return options.records == RecordKind::TextOrChat ? std::optional(RecordFormat::Texts) : std::nullopt;
  }
  return std::nullopt;
}

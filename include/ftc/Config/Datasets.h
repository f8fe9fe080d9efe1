//===- Datasets.h - torchtune's data sets of text ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_DATASETS_H
#define FTC_CONFIG_DATASETS_H

#include <string>

namespace ftc {

/// What a data set's records are.
enum class DatasetKind {
  Text,         ///< texts under one key, or files of text
  Chat,         ///< conversations
  Instruct,     ///< questions and answers
  Alpaca,       ///< the same in Alpaca's wording
  Pairs,        ///< two conversations, of which one is preferred
  PairsOfTexts, ///< a question with two answers, of which one is preferred
  Other         ///< nothing that is known
};

/// A data set builder of torchtune's. Several are another one with its keys named.
struct DatasetBuilder {
  const char *name; ///< last word of the component
  DatasetKind kind;
  const char *column;         ///< key of the text or the conversation; "" where there is none
  const char *input, *output; ///< keys of a question and its answer
  bool isShareGpt = false;    ///< conversations are that, always
};

/// The builder that a component names. Its kind is Other where it is none of torchtune's for text.
DatasetBuilder datasetBuilder(const std::string &component);

/// The override by which `dataset`, of that component, reads its text or conversation under the key `column`, whatever
/// letters that has; "" for records with keys of their own, which column_map names.
std::string columnOverride(const std::string &component, const std::string &column);

} // namespace ftc

#endif // FTC_CONFIG_DATASETS_H

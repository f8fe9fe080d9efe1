//===- HuggingFace.cpp - Files of Hugging Face's tokenizers ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HuggingFace.h"

#include "Utf8.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;

namespace {

std::nullopt_t addError(std::vector<Diagnostic> &diags, const std::string &path, std::string message, int line = 0) {
  diags.push_back({Severity::Error, path, line, 0, std::move(message)});
  return std::nullopt;
}

/// A value of a file, for a message.
std::string dumped(const json &value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json readJson(const std::string &path, std::vector<Diagnostic> &diags) {
  std::string text, error;
  if (!readFile(path, text, error)) {
    addError(diags, path, error);
    return nullptr;
  }
  json file = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || file.is_null()) {
    addError(diags, path, "this is no JSON");
    return nullptr;
  }
  return file;
}

/// The bytes that a token of Hugging Face's byte-level vocabularies spells: GPT-2 writes each byte as a character of
/// its own, printable ones of Latin-1 as themselves, the others in order from U+0100 on.
std::optional<std::string> bytesOfSpelling(std::string_view spelling) {
  static const std::map<uint32_t, char> byteOf = [] {
    std::map<uint32_t, char> map;
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      map.emplace(printable ? byte : next++, static_cast<char>(byte));
    }
    return map;
  }();
  std::string bytes;
  while (!spelling.empty()) {
    int length = characterLength(spelling);
    auto found = length > 0 ? byteOf.find(characterAt(spelling, length)) : byteOf.end();
    if (found == byteOf.end())
      return std::nullopt;
    bytes.push_back(found->second);
    spelling.remove_prefix(static_cast<size_t>(length));
  }
  return bytes;
}

/// Most tokens that a file may have: ids are kept in 32 bits, and no vocabulary comes near.
constexpr uint64_t mostTokens = 1 << 24;

/// {"SPELLING": ID, ...} as bytes by id.
std::optional<std::vector<std::string>> readTokens(const std::string &path, const json &vocabulary,
                                                   std::vector<Diagnostic> &diags) {
  std::vector<std::string> tokens;
  for (const auto &[spelling, id] : vocabulary.items()) {
    std::optional<std::string> bytes = bytesOfSpelling(spelling);
    if (!bytes || bytes->empty() || !id.is_number_unsigned() || id.get<uint64_t>() >= mostTokens)
      return addError(diags, path,
                      fmt::format("'{}' in its vocabulary is no token of a byte-level tokenizer", spelling));
    size_t at = id.get<size_t>();
    if (at >= tokens.size())
      tokens.resize(at + 1);
    if (!tokens[at].empty())
      return addError(diags, path, fmt::format("two tokens of its vocabulary have the id {}", at));
    tokens[at] = std::move(*bytes);
  }
  return tokens;
}

/// "LEFT RIGHT" as bytes.
std::optional<std::pair<std::string, std::string>> readMerge(std::string_view text) {
  size_t space = text.find(' ');
  if (space == text.npos)
    return std::nullopt;
  std::optional<std::string> left = bytesOfSpelling(text.substr(0, space)),
                             right = bytesOfSpelling(text.substr(space + 1));
  if (!left || !right || left->empty() || right->empty())
    return std::nullopt;
  return std::pair(std::move(*left), std::move(*right));
}

using Merges = std::vector<std::pair<std::string, std::string>>;

/// The list `merges` of tokenizer.json: "LEFT RIGHT" or ["LEFT", "RIGHT"].
std::optional<Merges> readMergeList(const std::string &path, const json &list, std::vector<Diagnostic> &diags) {
  Merges merges;
  for (const json &merge : list) {
    std::optional<std::pair<std::string, std::string>> pair;
    if (merge.is_string())
      pair = readMerge(merge.get_ref<const std::string &>());
    else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      pair = readMerge(merge[0].get_ref<const std::string &>() + " " + merge[1].get_ref<const std::string &>());
    if (!pair)
      return addError(diags, path,
                      fmt::format("merge {} is {}, which is no pair of a byte-level tokenizer's tokens",
                                  merges.size() + 1, dumped(merge)));
    merges.push_back(std::move(*pair));
  }
  return merges;
}

/// merges.txt.
std::optional<Merges> readMergeLines(const std::string &path, std::vector<Diagnostic> &diags) {
  std::string text, error;
  if (!readFile(path, text, error))
    return addError(diags, path, error);
  Merges merges;
  int line = 0;
  for (std::string_view rest = text; !rest.empty();) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view merge = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++line;
    while (merge.ends_with('\r') || merge.ends_with(' '))
      merge.remove_suffix(1);
    if (merge.empty() || (line == 1 && merge.starts_with("#version:")))
      continue;
    std::optional<std::pair<std::string, std::string>> pair = readMerge(merge);
    if (!pair)
      return addError(diags, path, "this line is no merge, 'LEFT RIGHT'; name merges.txt of the model's repository",
                      line);
    merges.push_back(std::move(*pair));
  }
  return merges;
}

} // namespace

std::optional<HuggingFaceVocabulary> ftc::readVocabulary(const std::string &path, const std::string &mergesPath,
                                                         const char *wayOut, std::vector<Diagnostic> &diags) {
  json file = readJson(path, diags);
  if (file.is_null())
    return std::nullopt;
  // vocab.json may have a token "model"; its id is a number.
  bool isTokenizerJson =
      mergesPath.empty() || (file.is_object() && file.contains("model") && file["model"].is_object());
  json model = isTokenizerJson && file.is_object() ? file.value("model", json()) : json();
  if (isTokenizerJson && (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object() ||
                          model.value("type", json("BPE")) != "BPE"))
    return addError(diags, path, fmt::format("no byte-pair vocabulary ('model' with 'vocab') is in it; {}", wayOut));
  const json &vocabulary = isTokenizerJson ? model["vocab"] : file;
  if (!vocabulary.is_object())
    return addError(diags, path, fmt::format("no vocabulary ({{\"TOKEN\": ID, ...}}) is in it; {}", wayOut));
  HuggingFaceVocabulary result{{}, isTokenizerJson};
  std::optional<std::vector<std::string>> tokens = readTokens(path, vocabulary, diags);
  if (!tokens)
    return std::nullopt;
  result.vocabulary.tokens = std::move(*tokens);
  if (!isTokenizerJson)
    result.vocabulary.merges = readMergeLines(mergesPath, diags);
  else if (model.contains("merges") && model["merges"].is_array())
    result.vocabulary.merges = readMergeList(path, model["merges"], diags);
  else
    return result;
  return result.vocabulary.merges ? std::optional(std::move(result)) : std::nullopt;
}

std::optional<std::map<std::string, int32_t>> ftc::readSpecialTokens(const std::string &path,
                                                                     std::span<const std::string_view> needed,
                                                                     const char *family,
                                                                     std::vector<Diagnostic> &diags) {
  json file = readJson(path, diags);
  if (file.is_null())
    return std::nullopt;
  if (!file.is_object() || !file.contains("added_tokens") || !file["added_tokens"].is_array())
    return addError(diags, path,
                    "no list 'added_tokens'; name Hugging Face's tokenizer.json, or leave "
                    "tokenizer.special_tokens_path out");
  std::map<std::string, int32_t> tokens;
  for (const json &token : file["added_tokens"]) {
    if (!token.is_object() || !token.contains("id") || !token["id"].is_number_unsigned() ||
        token["id"].get<uint64_t>() > 0x7FFFFFFE || !token.contains("content") || !token["content"].is_string() ||
        token["content"].get_ref<const std::string &>().empty())
      return addError(
          diags, path,
          fmt::format("'added_tokens' holds {}, which is no {{\"id\": NUMBER, \"content\": TEXT}}", dumped(token)));
    tokens.emplace(token["content"].get<std::string>(), token["id"].get<int32_t>());
  }
  for (std::string_view name : needed)
    if (!tokens.contains(std::string(name)))
      return addError(diags, path, fmt::format("'added_tokens' has no '{}', which {} needs", name, family));
  return tokens;
}

bool ftc::areApart(const BytePairs &base, const std::map<std::string, int32_t> &special, const std::string &path,
                   std::vector<Diagnostic> &diags) {
  for (const auto &[text, id] : special) {
    if (std::string_view token = base.bytesOf(id); token.empty() || token == text)
      continue;
    addError(diags, path,
             fmt::format("id {} is a token of this file and the special token '{}'; the file belongs to other special "
                         "tokens: name them with tokenizer.special_tokens_path=FILE.json",
                         id, text));
    return false;
  }
  return true;
}

//===- Records.cpp - Objects of JSON files as samples ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;

namespace {

constexpr int64_t maxErrors = 20;

/// Why a record cannot be used.
using Problem = std::optional<std::string>;

void append(std::string_view text, bool trained, const Tokenizer &tokenizer, Sample &sample) {
  tokenizer.encode(text, sample.ids);
  sample.trained.resize(sample.ids.size(), trained);
}

/// A message's words: a string, or a list of {"type": "text", "text": ...}.
Problem contentText(const json &message, std::string &text) {
  auto found = message.find("content");
  if (found == message.end())
    return "has no key 'content'";
  if (found->is_string()) {
    text = found->get_ref<const std::string &>();
    return std::nullopt;
  }
  if (!found->is_array())
    return fmt::format("has a 'content' that is {} instead of a string", found->type_name());
  text.clear();
  for (const json &piece : *found) {
    if (!piece.is_object() || !piece.contains("text") || !piece["text"].is_string())
      return "has a 'content' with a piece that is not text";
    text += piece["text"].get_ref<const std::string &>();
  }
  return std::nullopt;
}

/// The template that docs/data.md describes: BOS, then for each message "role:\n" and its words; "\n\n" ends the turn
/// of everybody but the assistant, whose words and end token alone are trained.
Problem encodeMessages(const std::string &key, const json &messages, const Tokenizer &tokenizer, Sample &sample) {
  if (!messages.is_array() || messages.empty())
    return fmt::format("'{}' must be a list of {{\"role\": ..., \"content\": ...}}", key);
  sample.conversation = true;
  sample.ids.push_back(tokenizer.bosId());
  sample.trained.push_back(false);
  std::string text;
  for (size_t i = 0; i < messages.size(); ++i) {
    const json &message = messages[i];
    if (!message.is_object())
      return fmt::format("message {} is {} instead of an object", i + 1, message.type_name());
    auto role = message.find("role");
    if (role == message.end() || !role->is_string())
      return fmt::format("message {} has no 'role' that is a string", i + 1);
    const std::string &who = role->get_ref<const std::string &>();
    if (who != "system" && who != "user" && who != "assistant" && who != "tool")
      return fmt::format("message {} has the role '{}'; known are system, user, assistant, tool", i + 1, who);
    if (Problem problem = contentText(message, text))
      return fmt::format("message {} {}", i + 1, *problem);
    append(who + ":\n", false, tokenizer, sample);
    bool answer = who == "assistant";
    append(text, answer, tokenizer, sample);
    if (answer) {
      sample.ids.push_back(tokenizer.eosId());
      sample.trained.push_back(true);
    } else {
      append("\n\n", false, tokenizer, sample);
    }
  }
  return std::nullopt;
}

Problem encodeRecord(const json &record, const DataOptions &options, const Tokenizer &tokenizer, RecordCounts &counts,
                     Sample &sample) {
  if (!record.is_object())
    return fmt::format("expected an object, found {}", record.type_name());
  std::string conversation = "messages";
  auto text = record.find(options.column);
  if (text != record.end() && (text->is_array() || (options.column == conversation && !text->is_string()))) {
    conversation = options.column;
  } else if (text != record.end()) {
    if (!text->is_string())
      return fmt::format("key '{}' is {} instead of a string", options.column, text->type_name());
    const std::string &words = text->get_ref<const std::string &>();
    if (words.empty())
      ++counts.empty;
    else
      encodeText(words, tokenizer, options.addEos, sample);
    return std::nullopt;
  }
  if (auto messages = record.find(conversation); messages != record.end()) {
    if (Problem problem = encodeMessages(conversation, *messages, tokenizer, sample))
      return problem;
    if (std::find(sample.trained.begin(), sample.trained.end(), 1) == sample.trained.end()) {
      ++counts.unanswered;
      sample.clear();
    }
    return std::nullopt;
  }
  std::string keys;
  for (const auto &item : record.items())
    keys += (keys.empty() ? "" : ", ") + item.key();
  if (options.column == conversation)
    return fmt::format("no key '{}' (keys here: {}); name the conversation's key with --column", conversation,
                       keys.empty() ? "none" : keys);
  return fmt::format("no key '{}' and no 'messages' (keys here: {}); name the text's key with --column", options.column,
                     keys.empty() ? "none" : keys);
}

/// What nlohmann-json says, without its own place and number: the place is in the diagnostic.
std::string reason(const json::exception &error) {
  std::string_view what = error.what();
  if (size_t end = what.find("] "); end != what.npos)
    what.remove_prefix(end + 2);
  if (what.starts_with("parse error"))
    if (size_t end = what.find(": "); end != what.npos)
      what.remove_prefix(end + 2);
  return std::string(what);
}

/// Index of the byte at which parsing ended, from 1; 0 where the library does not say, as for a number that is too
/// large.
size_t placeOf(const json::exception &error) {
  const auto *parse = dynamic_cast<const json::parse_error *>(&error);
  return parse ? parse->byte : 0;
}

} // namespace

void ftc::encodeText(std::string_view text, const Tokenizer &tokenizer, bool addEos, Sample &sample) {
  sample.ids.push_back(tokenizer.bosId());
  tokenizer.encode(text, sample.ids);
  if (addEos)
    sample.ids.push_back(tokenizer.eosId());
}

bool ftc::readRecords(const std::string &path, bool isArray, const DataOptions &options, const Tokenizer &tokenizer,
                      RecordCounts &counts, SampleSink sink, void *context, std::vector<Diagnostic> &diags) {
  int64_t errors = 0;
  auto report = [&](int line, int column, std::string message) {
    if (++errors <= maxErrors)
      diags.push_back({Severity::Error, path, line, column, std::move(message)});
    return errors <= maxErrors;
  };
  Sample sample;
  auto use = [&](const json &record, int line, const std::string &where) {
    sample.clear();
    if (Problem problem = encodeRecord(record, options, tokenizer, counts, sample))
      return report(line, 0, where + *problem);
    if (!sample.ids.empty() && !errors)
      sink(context, sample);
    return true;
  };

  if (isArray) {
    std::string text, error;
    if (!readFile(path, text, error))
      return report(0, 0, error), false;
    json records;
    try {
      records = json::parse(text);
    } catch (const json::exception &error) {
      size_t byte = placeOf(error);
      if (!byte)
        return report(0, 0, "bad JSON: " + reason(error)), false;
      size_t at = std::min(text.size(), byte - 1);
      std::string_view before(text.data(), at);
      int line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
      size_t lineStart = before.rfind('\n');
      int column = static_cast<int>(at - (lineStart == before.npos ? 0 : lineStart + 1)) + 1;
      return report(line, column, reason(error)), false;
    }
    if (!records.is_array())
      return report(0, 0, "a .json data file holds one list of objects; for an object a line, call it .jsonl"), false;
    for (size_t i = 0; i < records.size(); ++i)
      if (!use(records[i], 0, fmt::format("record {}: ", i + 1)))
        break;
    return !errors;
  }

  std::ifstream in(path, std::ios::binary);
  if (!in)
    return report(0, 0, fmt::format("cannot read: {}", std::strerror(errno))), false;
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    std::string_view content = text;
    if (line == 1 && content.starts_with("\xEF\xBB\xBF"))
      content.remove_prefix(3);
    if (content.find_first_not_of(" \t\r") == content.npos)
      continue;
    json record;
    try {
      record = json::parse(content);
    } catch (const json::exception &error) {
      if (!report(line, static_cast<int>(placeOf(error)), "bad JSON: " + reason(error)))
        break;
      continue;
    }
    if (!use(record, line, ""))
      break;
  }
  if (in.bad())
    report(0, 0, "cannot read to the end");
  return !errors;
}

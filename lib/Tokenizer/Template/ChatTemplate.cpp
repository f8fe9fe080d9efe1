//===- ChatTemplate.cpp - The wording of a model's chats ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Tokenizer/ChatTemplate.h"

#include "Evaluator.h"
#include "Lexer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

using namespace ftc;
using namespace ftc::jinja;
using Json = nlohmann::ordered_json;

struct ChatTemplate::Program {
  std::string source;
  Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

static TemplateError errorOf(const Failure &failure, std::string_view source) {
  TemplateError error{0, 0, failure.message, failure.isRaised};
  if (failure.place == Failure::nowhere)
    return error;
  std::string_view before = source.substr(0, std::min(failure.place, source.size()));
  const size_t line = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  error.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
  error.column = 1 + static_cast<int>(before.size() - line);
  return error;
}

/// JSON as a value.
static Value valueOf(const Json &json, int levels = 0) {
  if (levels > 100)
    throw Failure{"a variable with more than 100 lists in each other"};
  switch (json.type()) {
  case Json::value_t::boolean:
    return json.get<bool>();
  case Json::value_t::number_integer:
  case Json::value_t::number_unsigned:
    if (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX)
      return json.get<double>(); // Python's have no end; this one would not be computed with
    return json.get<int64_t>();
  case Json::value_t::number_float:
    return json.get<double>();
  case Json::value_t::string:
    return json.get<std::string>();
  case Json::value_t::array: {
    Values items;
    for (const Json &item : json)
      items.push_back(valueOf(item, levels + 1));
    return makeList(std::move(items));
  }
  case Json::value_t::object: {
    std::vector<std::pair<Value, Value>> items;
    for (const auto &[key, item] : json.items())
      items.emplace_back(key, valueOf(item, levels + 1));
    return makeDict(std::move(items));
  }
  default:
    return {};
  }
}

std::optional<ChatTemplate> ChatTemplate::parse(std::string_view source, TemplateError &error) {
  auto program = std::make_unique<Program>();
  program->source = normalizedSource(source);
  try {
    program->body = parseTemplate(program->source);
  } catch (const Failure &failure) {
    error = errorOf(failure, program->source);
    return std::nullopt;
  }
  return ChatTemplate(std::move(program));
}

std::optional<RenderedChat> ChatTemplate::render(const Json &variables, TemplateError &error) const {
  try {
    std::vector<std::pair<std::string, Value>> values;
    for (const auto &[name, json] : variables.items()) {
      if (name != "messages" || !json.is_array()) {
        values.emplace_back(name, valueOf(json));
        continue;
      }
      Values messages;
      for (const Json &message : json) {
        Value value = valueOf(message);
        if (const Dict *dict = value.dict()) {
          Dict marked = *dict;
          marked.message = static_cast<int>(messages.size());
          value = std::make_shared<const Dict>(std::move(marked));
        }
        messages.push_back(std::move(value));
      }
      values.emplace_back(name, makeList(std::move(messages)));
    }
    return renderTemplate(program->body, std::move(values));
  } catch (const Failure &failure) {
    error = errorOf(failure, program->source);
    return std::nullopt;
  }
}

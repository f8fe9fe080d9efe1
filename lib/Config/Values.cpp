//===- Values.cpp - Scalars of YAML as numbers and truth values ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace ftc::config {

/// Without the underscores that Python and YAML 1.1 allow between digits, and without a leading plus.
static std::string digits(const std::string &text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    bool between = i > 0 && i + 1 < text.size() && isdigit(static_cast<unsigned char>(text[i - 1])) &&
                   isdigit(static_cast<unsigned char>(text[i + 1]));
    if (!(text[i] == '_' && between) && !(text[i] == '+' && i == 0))
      result += text[i];
  }
  return result;
}

std::optional<int64_t> asInt(const Node &node) {
  if (!node.isScalar() || node.quoted)
    return std::nullopt;
  std::string text = digits(node.text);
  int64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

bool isHugeInt(const Node &node) {
  if (!node.isScalar() || node.quoted)
    return false;
  std::string text = digits(node.text);
  int64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc::result_out_of_range && end == text.data() + text.size();
}

std::optional<double> asFloat(const Node &node) {
  if (!node.isScalar() || node.quoted)
    return std::nullopt;
  std::string text = digits(node.text);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text == ".inf" || text == "inf" || text == "infinity")
    return std::numeric_limits<double>::infinity();
  if (text == "-.inf" || text == "-inf" || text == "-infinity")
    return -std::numeric_limits<double>::infinity();
  if (text == ".nan" || text == "nan")
    return std::numeric_limits<double>::quiet_NaN();
  if (text.find_first_not_of("0123456789.e+-") != std::string::npos)
    return std::nullopt;
  double value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<bool> asBool(const Node &node) {
  if (!node.isScalar() || node.quoted)
    return std::nullopt;
  std::string text = node.text;
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text == "true" || text == "yes" || text == "on")
    return true;
  if (text == "false" || text == "no" || text == "off")
    return false;
  return std::nullopt;
}

std::optional<std::vector<std::string>> asTexts(const Node &node) {
  if (node.isScalar())
    return std::vector<std::string>{node.text};
  if (!node.isList())
    return std::nullopt;
  std::vector<std::string> result;
  for (const Node &item : node.items) {
    if (!item.isScalar())
      return std::nullopt;
    result.push_back(item.text);
  }
  return result;
}

std::string floatText(double value) {
  if (std::isinf(value))
    return value > 0 ? ".inf" : "-.inf";
  return fmt::format("{}", value);
}

const char *describe(ValueType type) {
  switch (type) {
  case ValueType::Int:
    return "a whole number";
  case ValueType::Float:
    return "a number";
  case ValueType::Bool:
    return "True or False";
  case ValueType::Text:
    return "a text";
  case ValueType::TextList:
    return "a text or a list of texts";
  case ValueType::FloatPair:
    return "a list of two numbers, such as [0.9, 0.999]";
  case ValueType::FloatList:
    return "a list of numbers";
  case ValueType::Any:
    break;
  }
  return "any value";
}

std::string shown(const Node &node) {
  switch (node.kind) {
  case Node::Kind::Null:
    return "null";
  case Node::Kind::List:
    return "a list";
  case Node::Kind::Map:
    return "a map";
  case Node::Kind::Scalar:
    break;
  }
  std::string text = node.text.size() > 80 ? node.text.substr(0, 77) + "..." : node.text;
  return node.quoted ? "the text \"" + text + "\"" : "'" + text + "'";
}

bool fits(const Node &node, ValueType type) {
  if (node.isNull())
    return true;
  switch (type) {
  case ValueType::Int:
    return asInt(node).has_value();
  case ValueType::Float:
    return asFloat(node).has_value();
  case ValueType::Bool:
    return asBool(node).has_value();
  case ValueType::Text:
    return node.isScalar();
  case ValueType::TextList:
    return asTexts(node).has_value();
  case ValueType::FloatPair:
    return node.isList() && node.items.size() == 2 && asFloat(node.items[0]) && asFloat(node.items[1]);
  case ValueType::FloatList:
    return node.isList() && std::all_of(node.items.begin(), node.items.end(),
                                        [](const Node &item) { return asFloat(item).has_value(); });
  case ValueType::Any:
    return true;
  }
  return false;
}

} // namespace ftc::config

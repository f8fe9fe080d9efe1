//===- Value.cpp - What expressions of a template are ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Value.h"

#include "../Utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <utf8proc.h>

namespace ftc::jinja {

namespace {

/// Lists in lists, beyond which a value is not spelled: a namespace may hold itself.
constexpr int mostLevels = 100;

/// Python's repr of a float: the shortest text that is this number.
std::string spellFloat(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

bool isPrintable(uint32_t c) {
  if (c < 0x80)
    return c >= 0x20 && c != 0x7F;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_ZS:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return false;
  default:
    return true;
  }
}

std::string quoted(std::string_view text) {
  const bool hasSingle = text.find('\'') != text.npos, hasDouble = text.find('"') != text.npos;
  const char quote = hasSingle && !hasDouble ? '"' : '\'';
  std::string out(1, quote);
  for (std::string_view character : charactersOf(text)) {
    int length = characterLength(character);
    uint32_t c = length > 0 ? characterAt(character, length) : static_cast<unsigned char>(character[0]);
    if (c == static_cast<unsigned char>(quote) || c == '\\')
      out += '\\', out += character;
    else if (c == '\n' || c == '\r' || c == '\t')
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    else if (isPrintable(c))
      out += character;
    else
      out += c < 0x100     ? fmt::format("\\x{:02x}", c)
             : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                           : fmt::format("\\U{:08x}", c);
  }
  return out + quote;
}

std::string repr(const Value &value, int levels) {
  if (levels > mostLevels)
    throw Failure{"a value with more than 100 lists in each other cannot be written"};
  auto spellPairs = [&](const auto &pairs, auto spellKey) {
    std::string out;
    for (const auto &[key, item] : pairs)
      out += (out.empty() ? "" : ", ") + spellKey(key) + ": " + repr(item, levels + 1);
    return "{" + out + "}";
  };
  if (const std::string *text = value.text())
    return quoted(*text);
  if (const List *list = value.list(); list && !list->shown.empty())
    return list->shown;
  if (const List *list = value.list()) {
    std::string out;
    for (const Value &item : list->items)
      out += (out.empty() ? "" : ", ") + repr(item, levels + 1);
    if (!list->isTuple)
      return "[" + out + "]";
    return "(" + out + (list->items.size() == 1 ? ",)" : ")");
  }
  if (const Dict *dict = value.dict())
    return spellPairs(dict->items, [&](const Value &key) { return repr(key, levels + 1); });
  if (auto *space = value.as<std::shared_ptr<Namespace>>())
    return "<Namespace " + spellPairs((*space)->items, [](const std::string &key) { return quoted(key); }) + ">";
  if (value.isUndefined())
    return "Undefined";
  return toText(value);
}

std::string jsonText(std::string_view text, bool asciiOnly) {
  std::string out = "\"";
  for (std::string_view character : charactersOf(text)) {
    int length = characterLength(character);
    uint32_t c = length > 0 ? characterAt(character, length) : 0xFFFD;
    switch (c) {
    case '"':
    case '\\':
      out += '\\', out += static_cast<char>(c);
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    case '\b':
      out += "\\b";
      break;
    case '\f':
      out += "\\f";
      break;
    default:
      if (c < 0x20 || (asciiOnly && c >= 0x7F && c < 0x10000))
        out += fmt::format("\\u{:04x}", c);
      else if (asciiOnly && c >= 0x10000)
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
      else
        out += character;
    }
  }
  return out + "\"";
}

void writeJson(const Value &value, const JsonStyle &style, int level, std::string &out) {
  if (level > mostLevels)
    throw Failure{"a value with more than 100 lists in each other cannot be written as JSON"};
  auto newLine = [&](int levels) {
    if (style.indent >= 0)
      out += "\n" + std::string(static_cast<size_t>(levels * style.indent), ' ');
  };
  // With an indent, Python has no space behind a comma.
  auto separate = [&](bool isFirst) {
    if (!isFirst)
      out += style.indent >= 0 && style.between == ", " ? "," : style.between;
    newLine(level + 1);
  };
  int64_t space;
  if (const std::string *text = value.text()) {
    out += jsonText(*text, style.asciiOnly);
  } else if (value.isNone()) {
    out += "null";
  } else if (const bool *flag = value.as<bool>()) {
    out += *flag ? "true" : "false";
  } else if (const int64_t *number = value.integer(space)) {
    out += std::to_string(*number);
  } else if (const double *number = value.as<double>()) {
    out += std::isnan(*number)   ? "NaN"
           : std::isinf(*number) ? (*number < 0 ? "-Infinity" : "Infinity")
                                 : spellFloat(*number);
  } else if (const List *list = value.list()) {
    out += '[';
    for (size_t i = 0; i < list->items.size(); ++i) {
      separate(i == 0);
      writeJson(list->items[i], style, level + 1, out);
    }
    if (!list->items.empty())
      newLine(level);
    out += ']';
  } else if (const Dict *dict = value.dict()) {
    std::vector<std::pair<Value, Value>> items = dict->items;
    if (style.sorted)
      std::sort(items.begin(), items.end(), [](const auto &a, const auto &b) { return compare(a.first, b.first) < 0; });
    out += '{';
    for (size_t i = 0; i < items.size(); ++i) {
      separate(i == 0);
      const Value &key = items[i].first;
      std::string spelled;
      if (key.list() || key.dict())
        throw Failure{fmt::format("a key of JSON cannot be a {}", typeName(key))};
      if (!key.text()) // numbers, true, null
        writeJson(key, style, level + 1, spelled);
      out += key.text() ? jsonText(*key.text(), style.asciiOnly) : "\"" + spelled + "\"";
      out += style.behindKey;
      writeJson(items[i].second, style, level + 1, out);
    }
    if (!items.empty())
      newLine(level);
    out += '}';
  } else if (const Undefined *undefined = value.as<Undefined>()) {
    throw Failure{undefined->why + ", and cannot be written as JSON"};
  } else {
    throw Failure{fmt::format("a value of type {} cannot be written as JSON", typeName(value))};
  }
}

/// A number as a float; false for what is none.
bool number(const Value &value, double &out) {
  int64_t space;
  if (const int64_t *integer = value.integer(space))
    return out = static_cast<double>(*integer), true;
  if (const double *real = value.as<double>())
    return out = *real, true;
  return false;
}

} // namespace

static int depthAbove(int depth, const Value &value) {
  const int inner = value.list() ? value.list()->depth : value.dict() ? value.dict()->depth : -1;
  if (inner >= 1000)
    throw Failure{"more than 1000 lists or dictionaries in each other"};
  return std::max(depth, inner + 1);
}

Value makeList(Values items, bool isTuple) {
  List list{std::move(items), isTuple};
  for (const Value &item : list.items)
    list.depth = depthAbove(list.depth, item);
  return std::make_shared<const List>(std::move(list));
}
Value makeDict(std::vector<std::pair<Value, Value>> items) {
  Dict dict{std::move(items)};
  for (const auto &[key, item] : dict.items)
    dict.depth = depthAbove(depthAbove(dict.depth, key), item);
  return std::make_shared<const Dict>(std::move(dict));
}
Value makeFunction(std::string name, std::function<Value(const Arguments &)> call) {
  return std::make_shared<const Function>(Function{std::move(name), std::move(call)});
}

std::string_view typeName(const Value &value) {
  if (const List *list = value.list())
    return list->isTuple ? "tuple" : "list";
  static constexpr std::string_view names[] = {"undefined", "NoneType", "bool",      "int",         "float",   "str",
                                               "list",      "dict",     "namespace", "LoopContext", "function"};
  return names[value.is.index()];
}

bool isTrue(const Value &value) {
  if (const bool *flag = value.as<bool>())
    return *flag;
  if (const int64_t *integer = value.as<int64_t>())
    return *integer != 0;
  if (const double *real = value.as<double>())
    return *real != 0;
  if (const std::string *text = value.text())
    return !text->empty();
  if (const List *list = value.list())
    return !list->items.empty();
  if (const Dict *dict = value.dict())
    return !dict->items.empty();
  return !value.isUndefined() && !value.isNone();
}

static bool equal(const Value &left, const Value &right, int levels) {
  if (levels > mostLevels)
    throw Failure{"values with more than 100 lists in each other cannot be compared"};
  int64_t one, two;
  const int64_t *first = left.integer(one), *second = right.integer(two);
  if (first && second)
    return *first == *second;
  if (double a, b; number(left, a) && number(right, b))
    return a == b;
  if (left.text() && right.text())
    return *left.text() == *right.text();
  if (const List *a = left.list(), *b = right.list(); a && b)
    return a->isTuple == b->isTuple &&
           std::equal(a->items.begin(), a->items.end(), b->items.begin(), b->items.end(),
                      [&](const Value &x, const Value &y) { return equal(x, y, levels + 1); });
  if (const Dict *a = left.dict(), *b = right.dict(); a && b)
    return a->items.size() == b->items.size() && std::all_of(a->items.begin(), a->items.end(), [&](const auto &item) {
             const Value *other = find(*b, item.first);
             return other && equal(item.second, *other, levels + 1);
           });
  if (auto *a = left.as<std::shared_ptr<Namespace>>(), *b = right.as<std::shared_ptr<Namespace>>(); a && b)
    return *a == *b;
  if (auto *a = left.as<std::shared_ptr<const Function>>(), *b = right.as<std::shared_ptr<const Function>>(); a && b)
    return *a == *b;
  return (left.isNone() && right.isNone()) || (left.isUndefined() && right.isUndefined());
}

bool areEqual(const Value &left, const Value &right) { return equal(left, right, 0); }

int compare(const Value &left, const Value &right) {
  for (const Value *value : {&left, &right})
    if (const Undefined *undefined = value->as<Undefined>())
      throw Failure{undefined->why};
  int64_t one, two;
  const int64_t *first = left.integer(one), *second = right.integer(two);
  if (first && second)
    return *first < *second ? -1 : *first > *second;
  if (double a, b; number(left, a) && number(right, b))
    return a < b ? -1 : a > b;
  if (left.text() && right.text())
    return left.text()->compare(*right.text());
  if (const List *a = left.list(), *b = right.list(); a && b && a->isTuple == b->isTuple) {
    for (size_t i = 0; i < std::min(a->items.size(), b->items.size()); ++i)
      if (!areEqual(a->items[i], b->items[i]))
        return compare(a->items[i], b->items[i]);
    return a->items.size() < b->items.size() ? -1 : a->items.size() > b->items.size();
  }
  throw Failure{fmt::format("a {} and a {} have no order", typeName(left), typeName(right))};
}

const Value *find(const Dict &dict, const Value &key) {
  for (const auto &[name, value] : dict.items)
    if (areEqual(name, key))
      return &value;
  return nullptr;
}

std::string toText(const Value &value) {
  if (const std::string *text = value.text())
    return *text;
  if (value.isUndefined())
    return "";
  if (value.isNone())
    return "None";
  if (const bool *flag = value.as<bool>())
    return *flag ? "True" : "False";
  if (const int64_t *integer = value.as<int64_t>())
    return std::to_string(*integer);
  if (const double *real = value.as<double>())
    return spellFloat(*real);
  if (value.list() || value.dict() || value.as<std::shared_ptr<Namespace>>())
    return repr(value, 0);
  throw Failure{fmt::format("a value of type {} is no text", typeName(value))};
}

std::string toRepr(const Value &value) { return repr(value, 0); }

std::string toJson(const Value &value, const JsonStyle &style) {
  std::string out;
  writeJson(value, style, 0, out);
  return out;
}

std::vector<std::string_view> charactersOf(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    int length = characterLength(text);
    out.push_back(text.substr(0, length > 0 ? static_cast<size_t>(length) : 1));
    text.remove_prefix(out.back().size());
  }
  return out;
}

void appendCharacter(uint32_t character, std::string &out) {
  utf8proc_uint8_t bytes[4];
  utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  out.append(reinterpret_cast<const char *>(bytes), static_cast<size_t>(length));
}

Values itemsOf(const Value &value) {
  Values out;
  if (const List *list = value.list())
    return list->items;
  if (value.isUndefined())
    return out;
  if (const std::string *text = value.text()) {
    for (std::string_view character : charactersOf(*text))
      out.emplace_back(std::string(character));
    return out;
  }
  if (const Dict *dict = value.dict()) {
    for (const auto &[key, item] : dict->items)
      out.push_back(key);
    return out;
  }
  throw Failure{fmt::format("a value of type {} has no items to go over", typeName(value))};
}

int64_t lengthOf(const Value &value) {
  if (const std::string *text = value.text())
    return static_cast<int64_t>(charactersOf(*text).size());
  if (const List *list = value.list())
    return static_cast<int64_t>(list->items.size());
  if (const Dict *dict = value.dict())
    return static_cast<int64_t>(dict->items.size());
  if (value.isUndefined())
    return 0;
  throw Failure{fmt::format("a value of type {} has no length", typeName(value))};
}

} // namespace ftc::jinja

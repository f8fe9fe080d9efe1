//===- Library.cpp - Tests and functions of templates ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"

#include "Ast.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>

namespace ftc::jinja {

bool contains(const Value &whole, const Value &part) {
  if (const std::string *text = whole.text()) {
    if (!part.text())
      throw Failure{fmt::format("a {} is looked for in a text", typeName(part))};
    return text->find(*part.text()) != text->npos;
  }
  if (const Dict *dict = whole.dict())
    return find(*dict, part);
  if (whole.isUndefined())
    return false;
  if (!whole.list())
    throw Failure{fmt::format("nothing can be in a {}", typeName(whole))};
  const Values &items = whole.list()->items;
  return std::any_of(items.begin(), items.end(), [&](const Value &item) { return areEqual(item, part); });
}

namespace {

using Test = bool (*)(const Value &, const Arguments &);
struct NamedTest {
  std::string_view name;
  size_t arguments;
  Test holds;
};

int64_t wholeOf(const Value &value) {
  int64_t space;
  if (const int64_t *number = value.integer(space))
    return *number;
  throw Failure{fmt::format("a {} instead of a whole number", typeName(value))};
}

bool isEqual(const Value &value, const Arguments &a) { return areEqual(value, a.positional[0]); }
bool isUnequal(const Value &value, const Arguments &a) { return !areEqual(value, a.positional[0]); }
bool isBelow(const Value &value, const Arguments &a) { return compare(value, a.positional[0]) < 0; }
bool isAtMost(const Value &value, const Arguments &a) { return compare(value, a.positional[0]) <= 0; }
bool isAbove(const Value &value, const Arguments &a) { return compare(value, a.positional[0]) > 0; }
bool isAtLeast(const Value &value, const Arguments &a) { return compare(value, a.positional[0]) >= 0; }

/// What has a length and items by number, to Jinja a dictionary too.
bool isSequence(const Value &value, const Arguments &) {
  return value.list() || value.text() || value.dict() || value.isUndefined();
}

constexpr NamedTest tests[] = {
    {"boolean", 0, [](const Value &value, const Arguments &) { return value.as<bool>() != nullptr; }},
    {"callable", 0,
     [](const Value &value, const Arguments &) { return value.as<std::shared_ptr<const Function>>() != nullptr; }},
    {"defined", 0, [](const Value &value, const Arguments &) { return !value.isUndefined(); }},
    {"divisibleby", 1,
     [](const Value &value, const Arguments &a) {
       const int64_t by = wholeOf(a.positional[0]);
       return by == 0 ? throw Failure{"division by zero"} : by == -1 || wholeOf(value) % by == 0;
     }},
    {"==", 1, isEqual},
    {"eq", 1, isEqual},
    {"equalto", 1, isEqual},
    {"!=", 1, isUnequal},
    {"ne", 1, isUnequal},
    {"<", 1, isBelow},
    {"lt", 1, isBelow},
    {"lessthan", 1, isBelow},
    {"<=", 1, isAtMost},
    {"le", 1, isAtMost},
    {">", 1, isAbove},
    {"gt", 1, isAbove},
    {"greaterthan", 1, isAbove},
    {">=", 1, isAtLeast},
    {"ge", 1, isAtLeast},
    {"even", 0, [](const Value &value, const Arguments &) { return wholeOf(value) % 2 == 0; }},
    {"odd", 0, [](const Value &value, const Arguments &) { return wholeOf(value) % 2 != 0; }},
    {"false", 0, [](const Value &value, const Arguments &) { return value.as<bool>() && !*value.as<bool>(); }},
    {"true", 0, [](const Value &value, const Arguments &) { return value.as<bool>() && *value.as<bool>(); }},
    {"filter", 0, [](const Value &value, const Arguments &) { return value.text() && isFilter(*value.text()); }},
    {"test", 0, [](const Value &value, const Arguments &) { return value.text() && isTest(*value.text()); }},
    {"float", 0, [](const Value &value, const Arguments &) { return value.as<double>() != nullptr; }},
    {"integer", 0, [](const Value &value, const Arguments &) { return value.as<int64_t>() != nullptr; }},
    {"number", 0,
     [](const Value &value, const Arguments &) {
       return value.as<int64_t>() || value.as<double>() || value.as<bool>();
     }},
    {"in", 1, [](const Value &value, const Arguments &a) { return contains(a.positional[0], value); }},
    {"iterable", 0, isSequence},
    {"sequence", 0, isSequence},
    {"lower", 0,
     [](const Value &value, const Arguments &) {
       Value result;
       return callMethod(Value(toText(value)), "islower", {}, result) && isTrue(result);
     }},
    {"upper", 0,
     [](const Value &value, const Arguments &) {
       Value result;
       return callMethod(Value(toText(value)), "isupper", {}, result) && isTrue(result);
     }},
    {"mapping", 0, [](const Value &value, const Arguments &) { return value.dict() != nullptr; }},
    {"none", 0, [](const Value &value, const Arguments &) { return value.isNone(); }},
    {"sameas", 1,
     [](const Value &value, const Arguments &a) {
       return value.is.index() == a.positional[0].is.index() && areEqual(value, a.positional[0]);
     }},
    {"string", 0, [](const Value &value, const Arguments &) { return value.text() != nullptr; }},
    {"undefined", 0, [](const Value &value, const Arguments &) { return value.isUndefined(); }},
};

const NamedTest *testOf(std::string_view name) {
  auto found = std::find_if(std::begin(tests), std::end(tests), [&](const NamedTest &t) { return t.name == name; });
  return found == std::end(tests) ? nullptr : found;
}

Value range(const Arguments &a) {
  Given given("range", a, {"start", "stop", "step"}, 1);
  int64_t begin = given.integer(0, 0), end = given.integer(1, 0), step = given.integer(2, 1);
  if (!given[1])
    end = std::exchange(begin, 0);
  if (step == 0)
    throw Failure{"'range' with a step of 0"};
  Values items;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (items.size() >= 100000)
      throw Failure{"'range' of more than 100000 numbers"};
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return std::make_shared<const List>(
      List{std::move(items), false, 1,
           step == 1 ? fmt::format("range({}, {})", begin, end) : fmt::format("range({}, {}, {})", begin, end, step)});
}

/// Arguments as a dictionary: one dictionary or list of pairs, and named ones.
std::vector<std::pair<Value, Value>> entriesOf(std::string_view function, const Arguments &a) {
  std::vector<std::pair<Value, Value>> items;
  if (a.positional.size() > 1)
    throw Failure{fmt::format("'{}' takes one dictionary, and arguments with names", function)};
  if (!a.positional.empty()) {
    if (const Dict *dict = a.positional[0].dict())
      items = dict->items;
    else
      for (const Value &pair : itemsOf(a.positional[0])) {
        Values both = itemsOf(pair);
        if (both.size() != 2)
          throw Failure{fmt::format("'{}' takes pairs of a key and a value", function)};
        items.emplace_back(both[0], both[1]);
      }
  }
  for (const auto &[name, value] : a.named)
    items.emplace_back(name, value);
  std::vector<std::pair<Value, Value>> unique; // of equal keys the last value, at the first one's place
  for (auto &[key, value] : items) {
    auto old = std::find_if(unique.begin(), unique.end(), [&](const auto &item) { return areEqual(item.first, key); });
    if (old != unique.end())
      old->second = value;
    else
      unique.emplace_back(key, value);
  }
  return unique;
}

/// The date does not change from run to run: see ChatTemplate::render.
Value formatDate(const Arguments &a) {
  const std::string &format = Given("strftime_now", a, {"format"}, 1).text(0);
  std::tm date{};
  date.tm_year = 2024 - 1900;
  date.tm_mon = 6;
  date.tm_mday = 26;
  date.tm_wday = 5;
  date.tm_yday = 207;
  if (format.empty() || format.size() > 1000)
    return "";
  std::string out(format.size() * 20 + 100, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &date));
  return out;
}

Value makeJoiner(const Arguments &a) {
  Given given("joiner", a, {"sep"});
  const std::string between = given[0] ? given.text(0) : ", ";
  return makeFunction("joiner", [between, used = std::make_shared<bool>(false)](const Arguments &) -> Value {
    return std::exchange(*used, true) ? between : std::string();
  });
}

[[noreturn]] Value raise(const Arguments &a) {
  Given given("raise_exception", a, {"message"}, 1);
  throw Failure{toText(*given[0]), a.place, /*isRaised=*/true};
}

} // namespace

bool isTest(std::string_view name) { return testOf(name); }

bool applyTest(std::string_view name, const Value &value, const Arguments &arguments) {
  const NamedTest &test = *testOf(name);
  if (arguments.positional.size() != test.arguments || !arguments.named.empty())
    throw Failure{fmt::format("the test '{}' takes {} arguments", name, test.arguments)};
  return test.holds(value, arguments);
}

void addFunctions(std::vector<std::pair<std::string, Value>> &variables,
                  std::vector<std::shared_ptr<Namespace>> &spaces) {
  auto add = [&](const char *name, Value (*call)(const Arguments &)) {
    variables.emplace_back(name, makeFunction(name, call));
  };
  add("range", range);
  add("dict", [](const Arguments &a) { return makeDict(entriesOf("dict", a)); });
  variables.emplace_back("namespace", makeFunction("namespace", [&spaces](const Arguments &a) -> Value {
                           auto space = std::make_shared<Namespace>();
                           for (const auto &[key, value] : entriesOf("namespace", a))
                             space->items.emplace_back(toText(key), value);
                           spaces.push_back(space);
                           return space;
                         }));
  add("joiner", makeJoiner);
  add("raise_exception", [](const Arguments &a) -> Value { raise(a); });
  add("strftime_now", formatDate);
}

} // namespace ftc::jinja

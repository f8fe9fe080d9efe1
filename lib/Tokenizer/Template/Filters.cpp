//===- Filters.cpp - Filters of templates ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Ast.h"
#include "Library.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace ftc::jinja {

namespace {

using Filter = Value (*)(const Value &, const Arguments &);

/// Without what is not there, which most filters cannot take.
const Value &there(const Value &value) {
  if (const Undefined *undefined = value.as<Undefined>())
    throw Failure{undefined->why};
  return value;
}

/// `value.a.b`, with numbers for items, as the arguments `attribute` of filters have it.
Value dotted(Value value, const Value &path) {
  int64_t space;
  if (path.integer(space))
    return itemOf(value, path);
  std::string_view rest = path.text() ? *path.text() : throw Failure{"an attribute has a name or a number"};
  while (true) {
    size_t dot = std::min(rest.find('.'), rest.size());
    std::string name(rest.substr(0, dot));
    bool isNumber = !name.empty() && name.size() < 9 &&
                    std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    value = isNumber ? itemOf(value, Value(static_cast<int64_t>(std::stol(name)))) : itemOf(value, Value(name));
    if (dot == rest.size())
      return value;
    rest.remove_prefix(dot + 1);
  }
}

/// What is compared when things are put in order: without an attribute, the thing itself; texts without their case.
Value orderKey(const Value &value, const Value *attribute, bool caseSensitive) {
  Value key = attribute && !attribute->isNone() ? dotted(value, *attribute) : value;
  return !caseSensitive && key.text() ? Value(lowered(*key.text())) : key;
}

Value sorted(const Value &value, bool isReverse, bool caseSensitive, const Value *attribute) {
  const Values given = itemsOf(value);
  std::vector<std::pair<Value, size_t>> keyed;
  for (const Value &item : given)
    keyed.emplace_back(orderKey(item, attribute, caseSensitive), keyed.size());
  // Equal ones stay in their order, as in Python also where it is reversed.
  std::sort(keyed.begin(), keyed.end(), [&](const auto &a, const auto &b) {
    const int order = isReverse ? compare(b.first, a.first) : compare(a.first, b.first);
    return order ? order < 0 : a.second < b.second;
  });
  Values items;
  for (const auto &[key, place] : keyed)
    items.push_back(given[place]);
  return makeList(std::move(items));
}

Value extreme(const Value &value, const Arguments &a, std::string_view name, int sign) {
  Given given(name, a, {"case_sensitive", "attribute"});
  Values items = itemsOf(value);
  if (items.empty())
    return Undefined{"No aggregated item, sequence was empty."};
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i)
    if (sign * compare(orderKey(items[i], given[1], given.flag(0, false)),
                       orderKey(items[best], given[1], given.flag(0, false))) >
        0)
      best = i;
  return items[best];
}

Value joinFilter(const Value &value, const Arguments &a) {
  Given given("join", a, {"d", "attribute"});
  const std::string between = given[0] ? toText(*given[0]) : "";
  std::string out;
  bool isFirst = true;
  for (const Value &item : itemsOf(value)) {
    if (!isFirst)
      out += between;
    out += toText(given[1] && !given[1]->isNone() ? dotted(item, *given[1]) : item);
    isFirst = false;
  }
  return out;
}

Value mapFilter(const Value &value, const Arguments &a) {
  Values out;
  const Value *attribute = nullptr, *usual = nullptr;
  for (const auto &[name, argument] : a.named)
    if (name == "attribute")
      attribute = &argument;
    else if (name == "default")
      usual = &argument;
  if (a.positional.empty()) {
    if (!attribute)
      throw Failure{"'map' needs a filter, or attribute="};
    Given given("map", a, {"attribute", "default"});
    for (const Value &item : itemsOf(value)) {
      Value part = dotted(item, *attribute);
      out.push_back(part.isUndefined() && usual ? *usual : part);
    }
    return makeList(std::move(out));
  }
  const std::string *name = a.positional[0].text();
  if (!name || !isFilter(*name))
    throw Failure{"'map' with a filter that is not built"};
  Arguments rest = a;
  rest.positional.erase(rest.positional.begin());
  for (const Value &item : itemsOf(value))
    out.push_back(applyFilter(*name, item, rest));
  return makeList(std::move(out));
}

/// select, reject, selectattr, rejectattr.
Value selected(const Value &value, const Arguments &a, bool byAttribute, bool wanted) {
  Arguments rest = a;
  Value attribute;
  if (byAttribute) {
    if (rest.positional.empty())
      throw Failure{"'selectattr' and 'rejectattr' need an attribute"};
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    const std::string *name = rest.positional[0].text();
    if (!name || !isTest(*name))
      throw Failure{fmt::format("a selection by the test {}, which is not built", toRepr(rest.positional[0]))};
    test = *name;
    rest.positional.erase(rest.positional.begin());
  }
  Values out;
  for (const Value &item : itemsOf(value)) {
    Value tested = byAttribute ? dotted(item, attribute) : item;
    if ((test.empty() ? isTrue(tested) : applyTest(test, tested, rest)) == wanted)
      out.push_back(item);
  }
  return makeList(std::move(out));
}

Value toInteger(const Value &value, const Arguments &a) {
  Given given("int", a, {"default", "base"});
  const Value usual = given[0] ? *given[0] : Value(int64_t(0));
  if (given.integer(1, 10) != 10)
    throw Failure{"'int' with another base than 10 is not built"};
  int64_t space;
  if (const int64_t *number = there(value).integer(space))
    return *number;
  double real;
  if (const double *number = value.as<double>()) {
    real = *number;
  } else if (const std::string *text = value.text()) {
    std::string_view digits = stripped(*text, nullptr, true, true);
    if (digits.starts_with('+'))
      digits.remove_prefix(1);
    int64_t whole;
    auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    if (problem == std::errc() && end == digits.data() + digits.size())
      return whole;
    auto [behind, error] = std::from_chars(digits.data(), digits.data() + digits.size(), real);
    if (error != std::errc() || behind != digits.data() + digits.size())
      return usual;
  } else {
    return usual;
  }
  return std::abs(real) < 9e18 ? Value(static_cast<int64_t>(real)) : usual;
}

Value toFloat(const Value &value, const Arguments &a) {
  Given given("float", a, {"default"});
  int64_t space;
  if (const int64_t *number = there(value).integer(space))
    return static_cast<double>(*number);
  if (value.as<double>())
    return value;
  double real;
  if (const std::string *text = value.text()) {
    std::string_view digits = stripped(*text, nullptr, true, true);
    auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), real);
    if (problem == std::errc() && end == digits.data() + digits.size())
      return real;
  }
  return given[0] ? *given[0] : Value(0.0);
}

/// Python's round() of a float: the decimal number with so many digits behind the point that is nearest to its exact
/// value, and of two the even one.
double roundedReal(double real, int64_t digits) {
  if (!std::isfinite(real) || real == 0 || digits > 330)
    return real;
  if (digits >= 0)
    return std::strtod(fmt::format("{:.{}f}", real, digits).c_str(), nullptr);
  const std::string exact = fmt::format("{:.40e}", real);
  const int64_t inFront = std::strtol(exact.c_str() + exact.rfind('e') + 1, nullptr, 10); // digits but one
  const double zero = std::copysign(0.0, real);
  if (inFront + digits >= 0)
    return std::strtod(fmt::format("{:.{}e}", real, inFront + digits).c_str(), nullptr);
  const double unit = digits < -308 ? 0 : std::pow(10.0, static_cast<double>(-digits));
  return inFront + digits == -1 && std::abs(real) > unit / 2 ? std::copysign(unit, real) : zero;
}

/// Python's round() of an int.
int64_t roundedWhole(int64_t whole, int64_t digits) {
  if (digits >= 0 || digits < -19)
    return digits >= 0 ? whole : 0;
  __int128 unit = 1;
  for (; digits < 0; ++digits)
    unit *= 10;
  __int128 rest = whole % unit;
  rest += rest < 0 ? unit : 0;
  const __int128 low = whole - rest, twice = 2 * rest;
  const __int128 result = twice > unit || (twice == unit && low / unit % 2 != 0) ? low + unit : low;
  if (result > INT64_MAX || result < INT64_MIN)
    throw Failure{"a number beyond 64 bits"};
  return static_cast<int64_t>(result);
}

Value rounded(const Value &value, const Arguments &a) {
  Given given("round", a, {"precision", "method"});
  const std::string method = given[1] ? given.text(1) : "common";
  const int64_t digits = given.integer(0, 0);
  int64_t space;
  const int64_t *whole = there(value).integer(space);
  if (!whole && !value.as<double>())
    throw Failure{fmt::format("'round' of a {}", typeName(value))};
  if (method == "common")
    return whole ? Value(roundedWhole(*whole, digits)) : Value(roundedReal(*value.as<double>(), digits));
  if (method != "ceil" && method != "floor")
    throw Failure{"'round' rounds by 'common', 'ceil' or 'floor'"};
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double real = (whole ? static_cast<double>(*whole) : *value.as<double>()) * scale;
  if (!std::isfinite(real) || scale == 0)
    throw Failure{"'round' of a number that is too large"};
  return (method == "ceil" ? std::ceil(real) : std::floor(real)) / scale;
}

/// Jinja's `title`, which begins words behind fewer characters than Python's.
Value titleFilter(const Value &value, const Arguments &a) {
  Given("title", a, {});
  const std::string text = toText(value);
  std::string out, rest; // of a word
  bool inWord = false;
  for (std::string_view character : charactersOf(text)) {
    if (inWord)
      rest += character;
    else
      out += raised(character);
    const bool stays = character != "-" && character != "(" && character != "{" && character != "[" &&
                       character != "<" && !stripped(character, nullptr, true, true).empty();
    if (inWord && !stays)
      out += lowered(std::exchange(rest, ""));
    inWord = stays;
  }
  return out + lowered(rest);
}

Value indented(const Value &value, const Arguments &a) {
  Given given("indent", a, {"width", "first", "blank"});
  const std::string indent =
      given[0] && given[0]->text()
          ? *given[0]->text()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(given.integer(0, 4), 0, 1000)), ' ');
  const bool blank = given.flag(2, false);
  std::vector<std::string> lines = linesOf(toText(value) + "\n");
  std::string out = given.flag(1, false) ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i)
    out += (i ? "\n" : "") + (i && (blank || !lines[i].empty()) ? indent : "") + lines[i];
  return out;
}

Value jsonFilter(const Value &value, const Arguments &a) {
  Given given("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.asciiOnly = given.flag(0, false);
  if (given[1] && !given[1]->isNone())
    style.indent = static_cast<int>(std::clamp<int64_t>(given.integer(1, 0), 0, 100));
  if (given[2] && !given[2]->isNone()) {
    Values parts = itemsOf(*given[2]);
    if (parts.size() != 2 || !parts[0].text() || !parts[1].text())
      throw Failure{"'separators' of 'tojson' is a pair of texts"};
    style.between = *parts[0].text();
    style.behindKey = *parts[1].text();
  }
  style.sorted = given.flag(3, false);
  return toJson(value, style);
}

Value sumOf(const Value &value, const Arguments &a) {
  Given given("sum", a, {"attribute", "start"});
  int64_t whole = given.integer(1, 0), space;
  double real = 0;
  bool isReal = false;
  for (const Value &item : itemsOf(value)) {
    Value part = given[0] && !given[0]->isNone() ? dotted(item, *given[0]) : item;
    if (const int64_t *number = part.integer(space)) {
      if (__builtin_add_overflow(whole, *number, &whole))
        throw Failure{"a number beyond 64 bits"};
    } else if (const double *number = part.as<double>()) {
      real += *number;
      isReal = true;
    } else {
      throw Failure{fmt::format("a sum with a {}", typeName(there(part)))};
    }
  }
  return isReal ? Value(real + static_cast<double>(whole)) : Value(whole);
}

Value unique(const Value &value, const Arguments &a) {
  Given given("unique", a, {"case_sensitive", "attribute"});
  Values keys, out;
  for (const Value &item : itemsOf(value)) {
    Value key = orderKey(item, given[1], given.flag(0, false));
    if (std::any_of(keys.begin(), keys.end(), [&](const Value &known) { return areEqual(known, key); }))
      continue;
    keys.push_back(std::move(key));
    out.push_back(item);
  }
  return makeList(std::move(out));
}

Value grouped(const Value &value, const Arguments &a) {
  Given given("groupby", a, {"attribute"}, 1);
  Values out, group;
  Value key;
  auto flush = [&] {
    if (!group.empty())
      out.push_back(makeList({dotted(group[0], *given[0]), makeList(std::exchange(group, {}))}, true));
  };
  for (const Value &item : itemsOf(sorted(value, false, false, given[0]))) {
    Value next = orderKey(item, given[0], false);
    if (!group.empty() && !areEqual(next, key))
      flush();
    key = next;
    group.push_back(item);
  }
  flush();
  return makeList(std::move(out));
}

Value batched(const Value &value, const Arguments &a) {
  Given given("batch", a, {"linecount", "fill_with"}, 1);
  const int64_t size = given.integer(0, 1);
  if (size < 1)
    throw Failure{"'batch' needs a number above 0"};
  Values out, batch;
  for (const Value &item : itemsOf(value)) {
    if (std::ssize(batch) == size)
      out.push_back(makeList(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    while (given[1] && !given[1]->isNone() && std::ssize(batch) < size && size < 1 << 20)
      batch.push_back(*given[1]);
    out.push_back(makeList(std::move(batch)));
  }
  return makeList(std::move(out));
}

Value pairsOf(const Value &value) {
  Value result = makeList({});
  if (!value.isUndefined() && !callMethod(value, "items", {}, result))
    throw Failure{fmt::format("a {} has no keys and values", typeName(value))};
  return result;
}

Value dictSorted(const Value &value, const Arguments &a) {
  Given given("dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = given[1] ? given.text(1) : "key";
  if (by != "key" && by != "value")
    throw Failure{"'dictsort' sorts by 'key' or 'value'"};
  const Value place(int64_t(by == "value"));
  return sorted(pairsOf(there(value)), given.flag(2, false), given.flag(0, false), &place);
}

Value endOf(const Value &value, std::string_view name, bool isFirst) {
  Values items = itemsOf(value);
  if (items.empty())
    return Undefined{fmt::format("No {} item, sequence was empty.", name)};
  return isFirst ? items.front() : items.back();
}

Value defaulted(const Value &value, const Arguments &a) {
  Given given("default", a, {"default_value", "boolean"});
  const bool counts = given.flag(1, false) ? isTrue(value) : !value.isUndefined();
  return counts ? value : given[0] ? *given[0] : Value("");
}

Value absolute(const Value &value, const Arguments &a) {
  Given("abs", a, {});
  int64_t space;
  if (const int64_t *number = value.integer(space))
    return *number == INT64_MIN ? throw Failure{"a number beyond 64 bits"} : std::abs(*number);
  if (const double *number = value.as<double>())
    return std::abs(*number);
  throw Failure{fmt::format("'abs' of a {}", typeName(there(value)))};
}

Value reversed(const Value &value, const Arguments &a) {
  Given("reverse", a, {});
  Values items = itemsOf(there(value));
  std::reverse(items.begin(), items.end());
  if (!value.text())
    return makeList(std::move(items));
  std::string text;
  for (const Value &item : items)
    text += *item.text();
  return text;
}

Value trimmed(const Value &value, const Arguments &a) {
  Given given("trim", a, {"chars"});
  const std::string text = toText(value);
  return std::string(stripped(text, given[0] && !given[0]->isNone() ? &given.text(0) : nullptr, true, true));
}

struct NamedFilter {
  std::string_view name;
  Filter apply;
};

constexpr NamedFilter filters[] = {
    {"abs", absolute},
    {"attr",
     [](const Value &value, const Arguments &a) { return attributeOf(value, Given("attr", a, {"name"}, 1).text(0)); }},
    {"batch", batched},
    {"capitalize",
     [](const Value &value, const Arguments &a) {
       Value result;
       callMethod(Value(toText(value)), "capitalize", a, result);
       return result;
     }},
    {"count", [](const Value &value, const Arguments &a) -> Value { return Given("count", a, {}), lengthOf(value); }},
    {"d", defaulted},
    {"default", defaulted},
    {"dictsort", dictSorted},
    {"first",
     [](const Value &value, const Arguments &a) { return Given("first", a, {}), endOf(value, "first", true); }},
    {"float", toFloat},
    {"groupby", grouped},
    {"indent", indented},
    {"int", toInteger},
    {"items", [](const Value &value, const Arguments &a) { return Given("items", a, {}), pairsOf(value); }},
    {"join", joinFilter},
    {"last", [](const Value &value, const Arguments &a) { return Given("last", a, {}), endOf(value, "last", false); }},
    {"length", [](const Value &value, const Arguments &a) -> Value { return Given("length", a, {}), lengthOf(value); }},
    {"list", [](const Value &value, const Arguments &a) { return Given("list", a, {}), makeList(itemsOf(value)); }},
    {"lower",
     [](const Value &value, const Arguments &a) -> Value { return Given("lower", a, {}), lowered(toText(value)); }},
    {"map", mapFilter},
    {"max", [](const Value &value, const Arguments &a) { return extreme(value, a, "max", 1); }},
    {"min", [](const Value &value, const Arguments &a) { return extreme(value, a, "min", -1); }},
    {"reject", [](const Value &value, const Arguments &a) { return selected(value, a, false, false); }},
    {"rejectattr", [](const Value &value, const Arguments &a) { return selected(value, a, true, false); }},
    {"replace",
     [](const Value &value, const Arguments &a) -> Value {
       Given given("replace", a, {"old", "new", "count"}, 2);
       return replaced(toText(value), toText(*given[0]), toText(*given[1]),
                       given[2] && !given[2]->isNone() ? given.integer(2, -1) : -1);
     }},
    {"reverse", reversed},
    {"round", rounded},
    {"safe", [](const Value &value, const Arguments &a) -> Value { return Given("safe", a, {}), toText(value); }},
    {"select", [](const Value &value, const Arguments &a) { return selected(value, a, false, true); }},
    {"selectattr", [](const Value &value, const Arguments &a) { return selected(value, a, true, true); }},
    {"sort",
     [](const Value &value, const Arguments &a) {
       Given given("sort", a, {"reverse", "case_sensitive", "attribute"});
       return sorted(value, given.flag(0, false), given.flag(1, false), given[2]);
     }},
    {"string", [](const Value &value, const Arguments &a) -> Value { return Given("string", a, {}), toText(value); }},
    {"sum", sumOf},
    {"title", titleFilter},
    {"tojson", jsonFilter},
    {"trim", trimmed},
    {"unique", unique},
    {"upper",
     [](const Value &value, const Arguments &a) -> Value { return Given("upper", a, {}), raised(toText(value)); }},
};

const NamedFilter *filterOf(std::string_view name) {
  auto found =
      std::find_if(std::begin(filters), std::end(filters), [&](const NamedFilter &f) { return f.name == name; });
  return found == std::end(filters) ? nullptr : found;
}

} // namespace

bool isFilter(std::string_view name) { return filterOf(name); }

Value applyFilter(std::string_view name, const Value &value, const Arguments &arguments) {
  return filterOf(name)->apply(value, arguments);
}

} // namespace ftc::jinja

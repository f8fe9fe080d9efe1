//===- Methods.cpp - Methods and attributes of values ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"

#include "../Utf8.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utf8proc.h>

namespace ftc::jinja {

Given::Given(std::string_view function, const Arguments &arguments, std::initializer_list<std::string_view> names,
             size_t needed)
    : function(function), found(names.size()), names(names) {
  if (arguments.positional.size() > names.size())
    throw Failure{fmt::format("'{}' takes at most {} arguments", function, names.size())};
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    found[i] = &arguments.positional[i];
  for (const auto &[name, value] : arguments.named) {
    auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end())
      throw Failure{fmt::format("'{}' has no argument '{}'", function, name)};
    const Value *&place = found[static_cast<size_t>(known - names.begin())];
    if (place)
      throw Failure{fmt::format("'{}' is given '{}' twice", function, name)};
    place = &value;
  }
  for (size_t i = 0; i < needed; ++i)
    if (!found[i])
      throw Failure{fmt::format("'{}' needs the argument '{}'", function, this->names[i])};
}

const std::string &Given::text(size_t place) const {
  if (found[place])
    if (const std::string *text = found[place]->text())
      return *text;
  throw Failure{fmt::format("'{}' of '{}' is {} instead of a text", names[place], function,
                            found[place] ? fmt::format("a {}", typeName(*found[place])) : std::string("missing"))};
}

int64_t Given::integer(size_t place, int64_t usual) const {
  if (!found[place])
    return usual;
  int64_t space;
  if (const int64_t *number = found[place]->integer(space))
    return *number;
  throw Failure{
      fmt::format("'{}' of '{}' is a {} instead of a number", names[place], function, typeName(*found[place]))};
}

namespace {

uint32_t numberOf(std::string_view character) {
  int length = characterLength(character);
  return length > 0 ? characterAt(character, length) : static_cast<unsigned char>(character[0]);
}

bool isLetter(uint32_t c) {
  int kind = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}
bool isCased(uint32_t c) {
  int kind = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}
bool isDecimal(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND; }
bool isUpper(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_LU; }
bool isLower(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_LL; }

template <typename Is> bool allAre(std::string_view text, Is is) {
  std::vector<std::string_view> characters = charactersOf(text);
  return !characters.empty() && std::all_of(characters.begin(), characters.end(),
                                            [&](std::string_view character) { return is(numberOf(character)); });
}

/// Whether the cased characters of a text, of which there is one at least, all are.
template <typename Is> bool casedAre(std::string_view text, Is is) {
  bool any = false;
  for (std::string_view character : charactersOf(text))
    if (uint32_t c = numberOf(character); isCased(c)) {
      if (!is(c))
        return false;
      any = true;
    }
  return any;
}

Value texts(const std::vector<std::string> &parts, bool isTuple = false) {
  Values items;
  for (const std::string &part : parts)
    items.emplace_back(part);
  return makeList(std::move(items), isTuple);
}

/// str.split and str.rsplit.
Value split(std::string_view text, const std::string *separator, int64_t most, bool fromRight) {
  std::vector<std::string> parts;
  if (separator && separator->empty())
    throw Failure{"an empty separator"};
  if (fromRight && most >= 0 && separator) {
    while (most-- > 0) {
      size_t found = text.rfind(*separator);
      if (found == text.npos)
        break;
      parts.emplace_back(text.substr(found + separator->size()));
      text = text.substr(0, found);
    }
    parts.emplace_back(text);
    std::reverse(parts.begin(), parts.end());
    return texts(parts);
  }
  if (separator) {
    for (size_t found; most != 0 && (found = text.find(*separator)) != text.npos; --most) {
      parts.emplace_back(text.substr(0, found));
      text.remove_prefix(found + separator->size());
    }
    parts.emplace_back(text);
    return texts(parts);
  }
  if (fromRight && most >= 0)
    throw Failure{"rsplit at spaces with a number is not built"};
  while (true) {
    text = stripped(text, nullptr, true, false);
    if (text.empty())
      return texts(parts);
    if (most-- == 0) {
      parts.emplace_back(text);
      return texts(parts);
    }
    size_t end = 0;
    for (std::string_view character : charactersOf(text)) {
      if (isSpace(numberOf(character)) && characterLength(character) > 0)
        break;
      end += character.size();
    }
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

/// startswith and endswith: one text, or one of several.
bool hasEnd(std::string_view text, const Given &given, bool atFront) {
  const Value &value = *given[0];
  auto fits = [&](const Value &part) {
    if (!part.text())
      throw Failure{fmt::format("a {} instead of a text or several", typeName(part))};
    return atFront ? text.starts_with(*part.text()) : text.ends_with(*part.text());
  };
  if (const List *list = value.list(); list && list->isTuple)
    return std::any_of(list->items.begin(), list->items.end(), fits);
  return fits(value);
}

int64_t countOf(std::string_view text, std::string_view part) {
  if (part.empty())
    return static_cast<int64_t>(charactersOf(text).size()) + 1;
  int64_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

/// str.format with places in order or by number, and without a format of its own.
std::string formatted(std::string_view text, const Arguments &arguments) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] == '{' || text[i] == '}') && i + 1 < text.size() && text[i + 1] == text[i]) {
      out += text[i++];
      continue;
    }
    if (text[i] != '{') {
      out += text[i];
      continue;
    }
    size_t end = text.find('}', i);
    if (end == text.npos)
      throw Failure{"'format' finds no '}'"};
    std::string_view field = text.substr(i + 1, end - i - 1);
    const Value *value = nullptr;
    if (field.find_first_of(":!.[") != field.npos)
      throw Failure{fmt::format("'{{{}}}' of 'format' is not built: a name or a number alone is", field)};
    if (field.empty() || std::all_of(field.begin(), field.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      if (!field.empty() && next)
        throw Failure{"'format' with and without numbers"};
      size_t place = field.empty() ? next++ : field.size() < 4 ? std::stoul(std::string(field)) : 1000;
      value = place < arguments.positional.size() ? &arguments.positional[place] : nullptr;
    } else {
      for (const auto &[name, named] : arguments.named)
        if (name == field)
          value = &named;
    }
    if (!value)
      throw Failure{fmt::format("'format' has nothing for '{{{}}}'", field)};
    out += toText(*value);
    i = end;
  }
  return out;
}

std::string joined(const std::string &between, const Value &parts) {
  std::string out;
  bool isFirst = true;
  for (const Value &part : itemsOf(parts)) {
    if (!part.text())
      throw Failure{fmt::format("'join' finds a {} among the texts", typeName(part))};
    out += (isFirst ? "" : between) + *part.text();
    isFirst = false;
  }
  return out;
}

/// What find, index and their like say: characters before a place in bytes.
int64_t charactersBefore(std::string_view text, size_t at) {
  return at == text.npos ? -1 : static_cast<int64_t>(charactersOf(text.substr(0, at)).size());
}

using TextMethod = Value (*)(const std::string &, const Arguments &);
struct NamedTextMethod {
  std::string_view name;
  TextMethod call;
};

const std::string *optionalText(const Given &given, size_t place) {
  return given[place] && !given[place]->isNone() ? &given.text(place) : nullptr;
}

std::string padded(const std::string &text, const Arguments &a, std::string_view name, bool left, bool right) {
  Given given(name, a, {"width", "fillchar"}, 1);
  const std::string fill = given[1] ? given.text(1) : " ";
  const int64_t missing = given.integer(0, 0) - lengthOf(text);
  if (missing <= 0)
    return text;
  if (missing > 1 << 20)
    throw Failure{"a width of more than a million"};
  const int64_t before = left && right ? missing / 2 + (missing & given.integer(0, 0) & 1) : left ? missing : 0;
  std::string out;
  for (int64_t i = 0; i < before; ++i)
    out += fill;
  out += text;
  for (int64_t i = before; i < missing; ++i)
    out += fill;
  return out;
}

constexpr NamedTextMethod textMethods[] = {
    {"strip",
     [](const std::string &self, const Arguments &a) -> Value {
       return std::string(stripped(self, optionalText(Given("strip", a, {"chars"}), 0), true, true));
     }},
    {"lstrip",
     [](const std::string &self, const Arguments &a) -> Value {
       return std::string(stripped(self, optionalText(Given("lstrip", a, {"chars"}), 0), true, false));
     }},
    {"rstrip",
     [](const std::string &self, const Arguments &a) -> Value {
       return std::string(stripped(self, optionalText(Given("rstrip", a, {"chars"}), 0), false, true));
     }},
    {"split",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("split", a, {"sep", "maxsplit"});
       return split(self, optionalText(given, 0), given.integer(1, -1), false);
     }},
    {"rsplit",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("rsplit", a, {"sep", "maxsplit"});
       return split(self, optionalText(given, 0), given.integer(1, -1), true);
     }},
    {"splitlines",
     [](const std::string &self, const Arguments &a) -> Value {
       return texts(linesOf(self, Given("splitlines", a, {"keepends"}).flag(0, false)));
     }},
    {"startswith",
     [](const std::string &self, const Arguments &a) -> Value {
       return hasEnd(self, Given("startswith", a, {"prefix"}, 1), true);
     }},
    {"endswith",
     [](const std::string &self, const Arguments &a) -> Value {
       return hasEnd(self, Given("endswith", a, {"suffix"}, 1), false);
     }},
    {"replace",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("replace", a, {"old", "new", "count"}, 2);
       return replaced(self, given.text(0), given.text(1), given.integer(2, -1));
     }},
    {"upper", [](const std::string &self, const Arguments &a) -> Value { return Given("upper", a, {}), raised(self); }},
    {"lower",
     [](const std::string &self, const Arguments &a) -> Value { return Given("lower", a, {}), lowered(self); }},
    {"casefold",
     [](const std::string &self, const Arguments &a) -> Value { return Given("casefold", a, {}), folded(self); }},
    {"title",
     [](const std::string &self, const Arguments &a) -> Value { return Given("title", a, {}), titled(self, true); }},
    {"capitalize",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("capitalize", a, {}), titled(self, false);
     }},
    {"find",
     [](const std::string &self, const Arguments &a) -> Value {
       return charactersBefore(self, self.find(Given("find", a, {"sub"}, 1).text(0)));
     }},
    {"rfind",
     [](const std::string &self, const Arguments &a) -> Value {
       return charactersBefore(self, self.rfind(Given("rfind", a, {"sub"}, 1).text(0)));
     }},
    {"index",
     [](const std::string &self, const Arguments &a) -> Value {
       int64_t place = charactersBefore(self, self.find(Given("index", a, {"sub"}, 1).text(0)));
       if (place < 0)
         throw Failure{"'index' does not find the text"};
       return place;
     }},
    {"count",
     [](const std::string &self, const Arguments &a) -> Value {
       return countOf(self, Given("count", a, {"sub"}, 1).text(0));
     }},
    {"join",
     [](const std::string &self, const Arguments &a) -> Value {
       return joined(self, *Given("join", a, {"iterable"}, 1)[0]);
     }},
    {"format", [](const std::string &self, const Arguments &a) -> Value { return formatted(self, a); }},
    {"removeprefix",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("removeprefix", a, {"prefix"}, 1);
       return self.starts_with(given.text(0)) ? self.substr(given.text(0).size()) : self;
     }},
    {"removesuffix",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("removesuffix", a, {"suffix"}, 1);
       return self.ends_with(given.text(0)) ? self.substr(0, self.size() - given.text(0).size()) : self;
     }},
    {"partition",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("partition", a, {"sep"}, 1);
       size_t at = given.text(0).empty() ? throw Failure{"an empty separator"} : self.find(given.text(0));
       if (at == self.npos)
         return texts({self, "", ""}, true);
       return texts({self.substr(0, at), given.text(0), self.substr(at + given.text(0).size())}, true);
     }},
    {"rpartition",
     [](const std::string &self, const Arguments &a) -> Value {
       Given given("rpartition", a, {"sep"}, 1);
       size_t at = given.text(0).empty() ? throw Failure{"an empty separator"} : self.rfind(given.text(0));
       if (at == self.npos)
         return texts({"", "", self}, true);
       return texts({self.substr(0, at), given.text(0), self.substr(at + given.text(0).size())}, true);
     }},
    {"ljust",
     [](const std::string &self, const Arguments &a) -> Value { return padded(self, a, "ljust", false, true); }},
    {"rjust",
     [](const std::string &self, const Arguments &a) -> Value { return padded(self, a, "rjust", true, false); }},
    {"center",
     [](const std::string &self, const Arguments &a) -> Value { return padded(self, a, "center", true, true); }},
    {"isspace",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isspace", a, {}), allAre(self, isSpace);
     }},
    {"isdigit",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isdigit", a, {}), allAre(self, isDecimal);
     }},
    {"isdecimal",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isdecimal", a, {}), allAre(self, isDecimal);
     }},
    {"isalpha",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isalpha", a, {}), allAre(self, isLetter);
     }},
    {"isalnum",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isalnum", a, {}), allAre(self, [](uint32_t c) { return isLetter(c) || isDecimal(c); });
     }},
    {"isupper",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("isupper", a, {}), casedAre(self, isUpper);
     }},
    {"islower",
     [](const std::string &self, const Arguments &a) -> Value {
       return Given("islower", a, {}), casedAre(self, isLower);
     }},
};

/// Methods that would change what they belong to, and those of other names that are not built.
constexpr std::string_view changingList[] = {"append", "extend", "insert", "remove", "pop", "clear", "reverse", "sort"};
constexpr std::string_view changingDict[] = {"pop", "popitem", "clear", "update", "setdefault"};
constexpr std::string_view unbuiltText[] = {"encode",    "expandtabs",  "format_map", "isascii",   "isidentifier",
                                            "isnumeric", "isprintable", "istitle",    "maketrans", "rindex",
                                            "swapcase",  "translate",   "zfill"};

template <size_t Count> bool isOneOf(std::string_view name, const std::string_view (&names)[Count]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

const NamedTextMethod *textMethod(std::string_view name) {
  auto found = std::find_if(std::begin(textMethods), std::end(textMethods),
                            [&](const NamedTextMethod &method) { return method.name == name; });
  return found == std::end(textMethods) ? nullptr : found;
}

Value dictItems(const Dict &dict) {
  Values items;
  for (const auto &[key, value] : dict.items)
    items.push_back(makeList({key, value}, true));
  return makeList(std::move(items));
}

} // namespace

bool hasMethod(const Value &self, std::string_view name) {
  if (self.text())
    return textMethod(name) || isOneOf(name, unbuiltText);
  if (self.dict())
    return name == "get" || name == "keys" || name == "values" || name == "items" || name == "copy" ||
           isOneOf(name, changingDict);
  if (const List *list = self.list())
    return name == "index" || name == "count" || (!list->isTuple && (name == "copy" || isOneOf(name, changingList)));
  return false;
}

bool callMethod(const Value &self, std::string_view name, const Arguments &arguments, Value &result) {
  if (!hasMethod(self, name))
    return false;
  if (const std::string *text = self.text()) {
    const NamedTextMethod *method = textMethod(name);
    if (!method)
      throw Failure{fmt::format("the method '{}' of texts is not built", name)};
    result = method->call(*text, arguments);
    return true;
  }
  if ((self.dict() && isOneOf(name, changingDict)) || (self.list() && isOneOf(name, changingList)))
    throw Failure{fmt::format("'{}' would change a {}, which templates may not; a namespace can be changed", name,
                              typeName(self))};
  if (name == "copy") {
    result = self;
    return true;
  }
  if (const Dict *dict = self.dict()) {
    if (name == "get") {
      Given given(name, arguments, {"key", "default"}, 1);
      const Value *value = find(*dict, *given[0]);
      result = value ? *value : given[1] ? *given[1] : Value();
      return true;
    }
    Given(name, arguments, {});
    if (name == "items") {
      result = dictItems(*dict);
      return true;
    }
    Values items;
    for (const auto &[key, value] : dict->items)
      items.push_back(name == "keys" ? key : value);
    result = makeList(std::move(items));
    return true;
  }
  const Values &items = self.list()->items;
  Given given(name, arguments, {"value"}, 1);
  auto isIt = [&](const Value &item) { return areEqual(item, *given[0]); };
  if (name == "count") {
    result = static_cast<int64_t>(std::count_if(items.begin(), items.end(), isIt));
    return true;
  }
  auto found = std::find_if(items.begin(), items.end(), isIt);
  if (found == items.end())
    throw Failure{"'index' does not find the value"};
  result = static_cast<int64_t>(found - items.begin());
  return true;
}

static Value loopAttribute(const Loop &loop, const std::string &name) {
  const Values &items = loop.items->items;
  const int64_t index = static_cast<int64_t>(loop.index), count = std::ssize(items);
  if (name == "index")
    return index + 1;
  if (name == "index0")
    return index;
  if (name == "revindex")
    return count - index;
  if (name == "revindex0")
    return count - index - 1;
  if (name == "first")
    return index == 0;
  if (name == "last")
    return index + 1 == count;
  if (name == "length")
    return count;
  if (name == "depth" || name == "depth0") // a recursive loop's, which is not built
    return int64_t(name == "depth");
  if (name == "previtem")
    return index ? items[loop.index - 1] : Value(Undefined{"there is no previous item"});
  if (name == "nextitem")
    return index + 1 < count ? items[loop.index + 1] : Value(Undefined{"there is no next item"});
  if (name == "cycle")
    return makeFunction("cycle", [at = loop.index](const Arguments &arguments) -> Value {
      if (arguments.positional.empty())
        throw Failure{"'cycle' of nothing"};
      return arguments.positional[at % arguments.positional.size()];
    });
  if (name == "changed")
    throw Failure{"'loop.changed' is not built"};
  return Undefined{"'jinja2.runtime.LoopContext object' has no attribute '" + name + "'"};
}

static std::string objectName(const Value &value) {
  return value.isNone() ? "None" : fmt::format("{} object", typeName(value));
}

Value attributeOf(const Value &value, const std::string &name) {
  if (const Undefined *undefined = value.as<Undefined>())
    throw Failure{undefined->why};
  if (auto *loop = value.as<std::shared_ptr<const Loop>>())
    return loopAttribute(**loop, name);
  if (auto *space = value.as<std::shared_ptr<Namespace>>()) {
    for (const auto &[known, item] : (*space)->items)
      if (known == name)
        return item;
  } else if (hasMethod(value, name)) {
    return makeFunction(name, [value, name](const Arguments &arguments) {
      Value result;
      callMethod(value, name, arguments, result);
      return result;
    });
  } else if (const Dict *dict = value.dict()) {
    if (const Value *item = find(*dict, name))
      return *item;
  }
  return Undefined{fmt::format("'{}' has no attribute '{}'", objectName(value), name)};
}

Value itemOf(const Value &value, const Value &key) {
  if (const Undefined *undefined = value.as<Undefined>())
    throw Failure{undefined->why};
  if (const Dict *dict = value.dict())
    if (const Value *item = find(*dict, key))
      return *item;
  int64_t space;
  const int64_t *index = key.integer(space);
  if (index && (value.list() || value.text())) {
    const Values items = itemsOf(value);
    int64_t at = *index < 0 ? *index + std::ssize(items) : *index;
    if (at >= 0 && at < std::ssize(items))
      return items[static_cast<size_t>(at)];
  }
  if (key.text())
    return attributeOf(value, *key.text());
  return Undefined{fmt::format("{} has no element {}", objectName(value), toRepr(key))};
}

} // namespace ftc::jinja

//===- Value.h - What expressions of a template are ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_VALUE_H
#define FTC_LIB_TOKENIZER_TEMPLATE_VALUE_H

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ftc::jinja {

/// What stops a template: thrown by whatever is wrong, caught by ChatTemplate. `place` is a byte of the source.
struct Failure {
  std::string message;
  size_t place = nowhere;
  bool isRaised = false;
  static constexpr size_t nowhere = ~size_t(0);
};

class Value;
using Values = std::vector<Value>;

struct Undefined {
  std::string why; ///< Jinja's message: "'x' is undefined"
};
struct None {};
/// Lists and dictionaries are `depth` levels deep in each other, of which makeList and makeDict allow not too many:
/// they are given back level by level.
struct List {
  Values items;
  bool isTuple = false;
  int depth = 0;
  std::string shown = ""; ///< how Python shows it, where that is not by its items: "range(0, 3)"
};
/// Keys are few, and keep the order in which they came.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int message = -1; ///< the place in the conversation of one of its messages
  int depth = 0;
};
/// What `namespace()` gives: the one thing that can be changed.
struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
};
/// `loop` in the turn of a loop.
struct Loop {
  std::shared_ptr<const List> items;
  size_t index = 0; ///< from 0
};
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
  size_t place = Failure::nowhere;
};
struct Function {
  std::string name;
  std::function<Value(const Arguments &)> call;
};

/// A value of Python's, as far as templates have them. Copies share lists, dictionaries and text, which never change.
class Value {
public:
  using Text = std::shared_ptr<const std::string>;
  std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const List>, std::shared_ptr<const Dict>,
               std::shared_ptr<Namespace>, std::shared_ptr<const Loop>, std::shared_ptr<const Function>>
      is;

  Value() : is(None()) {}
  Value(Undefined value) : is(std::move(value)) {}
  Value(bool value) : is(value) {}
  Value(int64_t value) : is(value) {}
  Value(double value) : is(value) {}
  Value(std::string text) : is(std::make_shared<const std::string>(std::move(text))) {}
  Value(const char *text) : Value(std::string(text)) {}
  Value(std::shared_ptr<const List> list) : is(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : is(std::move(dict)) {}
  Value(std::shared_ptr<Namespace> space) : is(std::move(space)) {}
  Value(std::shared_ptr<const Loop> loop) : is(std::move(loop)) {}
  Value(std::shared_ptr<const Function> function) : is(std::move(function)) {}

  template <typename T> const T *as() const { return std::get_if<T>(&is); }
  bool isUndefined() const { return as<Undefined>(); }
  bool isNone() const { return as<None>(); }
  const std::string *text() const {
    const Text *text = as<Text>();
    return text ? text->get() : nullptr;
  }
  const List *list() const {
    auto *list = as<std::shared_ptr<const List>>();
    return list ? list->get() : nullptr;
  }
  const Dict *dict() const {
    auto *dict = as<std::shared_ptr<const Dict>>();
    return dict ? dict->get() : nullptr;
  }
  /// A whole number, or True or False as one.
  const int64_t *integer(int64_t &space) const {
    if (const bool *flag = as<bool>())
      return space = *flag, &space;
    return as<int64_t>();
  }
};

Value makeList(Values items, bool isTuple = false);
Value makeDict(std::vector<std::pair<Value, Value>> items);
Value makeFunction(std::string name, std::function<Value(const Arguments &)> call);

/// Python's name of a value's type, for messages.
std::string_view typeName(const Value &value);

bool isTrue(const Value &value);
bool areEqual(const Value &left, const Value &right);
/// Below 0, 0 or above 0. Throws where Python has no order of the two.
int compare(const Value &left, const Value &right);
/// The value of a key; null where there is none.
const Value *find(const Dict &dict, const Value &key);

/// Python's str(); what is undefined is empty.
std::string toText(const Value &value);
/// Python's repr().
std::string toRepr(const Value &value);

struct JsonStyle {
  int indent = -1; ///< spaces a level; -1: one line
  std::string between = ", ", behindKey = ": ";
  bool asciiOnly = false, sorted = false;
};
/// json.dumps of Python's. Throws for what is no JSON.
std::string toJson(const Value &value, const JsonStyle &style);

/// What a loop goes over: items, keys, characters. Throws for what is none of it.
Values itemsOf(const Value &value);
/// Python's len(). Throws for what has none.
int64_t lengthOf(const Value &value);
/// The characters of a text, as Python counts them; bytes that are no UTF-8 are one each.
std::vector<std::string_view> charactersOf(std::string_view text);
/// Appends a character of Unicode as UTF-8.
void appendCharacter(uint32_t character, std::string &out);

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_VALUE_H

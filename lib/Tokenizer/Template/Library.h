//===- Library.h - Filters, tests and methods ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_LIBRARY_H
#define FTC_LIB_TOKENIZER_TEMPLATE_LIBRARY_H

#include "Value.h"

#include <initializer_list>

namespace ftc::jinja {

/// The filter of that name, which isFilter knows, applied to `value`. Throws.
Value applyFilter(std::string_view name, const Value &value, const Arguments &arguments);
/// The test of that name, which isTest knows. Throws.
bool applyTest(std::string_view name, const Value &value, const Arguments &arguments);

/// Calls a method of Python's texts, dictionaries and lists. False where there is none of that name. Throws, also for
/// methods that would change `self`.
bool callMethod(const Value &self, std::string_view name, const Arguments &arguments, Value &result);
/// Whether there is such a method.
bool hasMethod(const Value &self, std::string_view name);

/// `value.name`; Undefined where there is none. Throws for an attribute of what is undefined.
Value attributeOf(const Value &value, const std::string &name);
/// `value[key]`, in the same way.
Value itemOf(const Value &value, const Value &key);
/// Whether `part` is in `whole`. Throws.
bool contains(const Value &whole, const Value &part);

/// -x, or +x. Throws.
Value signedValue(const Value &value, bool isNegative);
/// Two values with an operator of arithmetic between them: + - * / // % **. Whole numbers have 64 bits. Throws.
Value binary(const std::string &name, const Value &left, const Value &right);

/// Adds what every template may call: range, dict, namespace, raise_exception, strftime_now, joiner.
/// `spaces` gets each namespace that is made.
void addFunctions(std::vector<std::pair<std::string, Value>> &variables,
                  std::vector<std::shared_ptr<Namespace>> &spaces);

/// Arguments by their places or names.
class Given {
public:
  /// Throws where there are others than `names`, or fewer than the first `needed`.
  Given(std::string_view function, const Arguments &arguments, std::initializer_list<std::string_view> names,
        size_t needed = 0);
  /// The argument at a place of `names`; null: not given.
  const Value *operator[](size_t place) const { return found[place]; }
  /// A text. Throws for anything else.
  const std::string &text(size_t place) const;
  int64_t integer(size_t place, int64_t usual) const;
  bool flag(size_t place, bool usual) const { return found[place] ? isTrue(*found[place]) : usual; }

private:
  std::string_view function;
  std::vector<const Value *> found;
  std::vector<std::string_view> names;
};

/// Python's str.lower, str.upper, str.casefold; str.title (`everyWord`) and str.capitalize.
std::string lowered(std::string_view text);
std::string raised(std::string_view text);
std::string folded(std::string_view text);
std::string titled(std::string_view text, bool everyWord);
/// Python's str.strip: characters of `those`, or spaces where it is null.
std::string_view stripped(std::string_view text, const std::string *those, bool left, bool right);
/// Python's str.splitlines.
std::vector<std::string> linesOf(std::string_view text, bool keepEnds = false);
/// Python's str.replace; below 0: all.
std::string replaced(std::string_view text, std::string_view old, std::string_view with, int64_t count);

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_LIBRARY_H

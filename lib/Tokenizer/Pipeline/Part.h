//===- Part.h - A part of a JSON file ---------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PIPELINE_PART_H
#define FTC_LIB_TOKENIZER_PIPELINE_PART_H

#include <fmt/format.h>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ftc::pipeline {

/// What is wrong with a file: thrown, and caught where the file is read.
struct Problem {
  std::string message;
};

/// A value of a file with its place, such as "pre_tokenizer.pretokenizers[1]", for messages.
class Part {
public:
  Part(const nlohmann::json &value, std::string path) : value(&value), path(std::move(path)) {}

  const nlohmann::json &json() const { return *value; }
  bool isNull() const { return value->is_null(); }
  const std::string &place() const { return path; }

  [[noreturn]] void fail(std::string_view problem) const {
    throw Problem{fmt::format("{} {}", path.empty() ? "it" : "'" + path + "'", problem)};
  }
  /// `what`, which this is, is not built.
  [[noreturn]] void refuse(std::string_view what) const { fail(fmt::format("is {}, which is not built", what)); }

  /// The value of a key; null where it is absent.
  Part operator[](const char *key) const {
    static const nlohmann::json null;
    auto found = value->is_object() ? value->find(key) : value->end();
    return {value->is_object() && found != value->end() ? *found : null, path.empty() ? key : path + "." + key};
  }
  /// Throws where lists are in each other without end.
  Part at(size_t place) const {
    if (path.size() > 4000)
      fail("is nested too deep");
    return {(*value)[place], fmt::format("{}[{}]", path, place)};
  }

  /// Throws where this is no object, or has keys that are not known here.
  void expectKeys(std::initializer_list<std::string_view> known) const {
    if (!value->is_object())
      fail("is no object");
    for (const auto &[key, item] : value->items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        (*this)[key.c_str()].fail("is not known here");
  }
  size_t listSize() const { return value->is_array() ? value->size() : (fail("is no list"), 0); }
  const std::string &text() const {
    return value->is_string() ? value->get_ref<const std::string &>() : (fail("is no text"), path);
  }
  std::string text(const char *usual) const { return isNull() ? usual : text(); }
  bool flag(bool usual) const {
    return isNull() ? usual : value->is_boolean() ? value->get<bool>() : (fail("is neither true nor false"), false);
  }
  int64_t number(int64_t least, int64_t most) const {
    if (!value->is_number_integer() || (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t(most)) ||
        value->get<int64_t>() < least || value->get<int64_t>() > most)
      fail(fmt::format("is no number from {} to {}", least, most));
    return value->get<int64_t>();
  }

private:
  const nlohmann::json *value;
  std::string path;
};

} // namespace ftc::pipeline

#endif // FTC_LIB_TOKENIZER_PIPELINE_PART_H

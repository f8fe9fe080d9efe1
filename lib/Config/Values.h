//===- Values.h - Scalars of YAML as numbers and truth values ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONFIG_VALUES_H
#define FTC_LIB_CONFIG_VALUES_H

#include "Tree.h"
#include "ftc/Config/Keys.h"

#include <cmath>
#include <limits>

namespace ftc::config {

/// Each returns nothing when the node is not written that way. Quoted scalars are text, as in YAML.
std::optional<int64_t> asInt(const Node &node);
/// Whether it is a whole number that 64 bits do not hold.
bool isHugeInt(const Node &node);
/// Whole numbers too; inf and nan as YAML (.inf) or Python (inf) writes them.
std::optional<double> asFloat(const Node &node);
std::optional<bool> asBool(const Node &node);
/// Whether it is finite in the steps' arithmetic too.
inline bool isSinglePrecision(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }
/// A scalar, or the scalars of a list.
std::optional<std::vector<std::string>> asTexts(const Node &node);

/// The shortest text that reads back as the same double; inf as .inf.
std::string floatText(double value);

/// What a value of this type looks like: "a whole number".
const char *describe(ValueType type);
/// What the node holds, for messages: "'four'", "a list".
std::string shown(const Node &node);
/// Whether the node can be read as `type`. Null can always: it is as if the key were absent.
bool fits(const Node &node, ValueType type);

} // namespace ftc::config

#endif // FTC_LIB_CONFIG_VALUES_H

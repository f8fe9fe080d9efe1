//===- Check.h - Every key against the table -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONFIG_CHECK_H
#define FTC_LIB_CONFIG_CHECK_H

#include "Tree.h"
#include "ftc/Config/Recipe.h"

#include <map>

namespace ftc::config {

/// What checkKeys finds out.
struct Checked {
  /// The component of each node, by path. A node whose component cannot be used is missing.
  std::map<std::string, std::string> components;
  /// Keys that an error was given for; their values must not be read.
  std::set<std::string> wrong;
  /// The recipe does something else than fine-tuning; an error says so, and more would only repeat it.
  bool isOther = false;
};

/// Checks every key of the tree against keyTable(): known, taken by the node's component, of the right type, and no
/// value that is not built. Adds a remark for each key without effect. `variables`: top-level names that interpolations
/// use.
Checked checkKeys(const Node &root, const std::set<std::string> &variables, Messages &messages);

/// Whether the key at `path` is in the table, and an argument of `component`.
bool takesKey(const std::string &path, const std::string &component);

/// Reads the values of a checked tree into a recipe, and checks ranges and combinations.
void readRecipe(const Node &root, const Checked &checked, Recipe &recipe, Messages &messages, OpenLengths *open);

/// Whether a node of dataset_val takes the values of `dataset` where it gives none.
bool isLikeTrained(const Node &root, const Node &node);

/// The whole recipe as YAML: Recipe::normalizedYaml. `root`: what it was read from.
std::string normalize(const Recipe &recipe, const Node &root);

} // namespace ftc::config

#endif // FTC_LIB_CONFIG_CHECK_H

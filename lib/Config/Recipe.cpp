//===- Recipe.cpp - From text to a recipe --------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Recipe.h"
#include "Check.h"
#include "Components.h"
#include "Tree.h"
#include "ftc/Config/Keys.h"

#include <map>
#include <tuple>

namespace ftc {

using namespace config;

/// The file's messages from top to bottom, then the command line's.
static void sortByPlace(std::vector<Diagnostic> &list) {
  std::multimap<std::tuple<bool, int, int>, Diagnostic> sorted;
  for (Diagnostic &message : list)
    sorted.emplace(std::make_tuple(message.file == commandLine, message.line, message.column), std::move(message));
  list.clear();
  for (auto &[place, message] : sorted)
    list.push_back(std::move(message));
}

/// Appends the errors among the messages.
static void reportErrors(Messages &messages, std::vector<Diagnostic> &diags) {
  sortByPlace(messages.list);
  for (Diagnostic &message : messages.list)
    if (message.severity == Severity::Error)
      diags.push_back(std::move(message));
}

std::optional<Recipe> parseRecipe(const std::string &text, const std::string &fileName,
                                  const std::vector<std::string> &overrides, std::vector<Diagnostic> &diags) {
  Messages messages;
  std::optional<Node> root = readTree(text, fileName, messages);
  Recipe recipe;
  if (root) {
    applyOverrides(*root, overrides, messages);
    // Later messages would only repeat what a broken override causes.
    if (!messages.failed()) {
      std::set<std::string> variables = interpolate(*root, messages);
      if (!messages.failed())
        nameModel(*root, messages);
      if (!messages.failed())
        readRecipe(*root, checkKeys(*root, variables, messages), recipe, messages);
    }
  }
  if (messages.failed()) {
    reportErrors(messages, diags);
    return std::nullopt;
  }
  sortByPlace(messages.list);
  recipe.remarks = std::move(messages.list);
  recipe.normalizedYaml = normalize(recipe);
  return recipe;
}

/// Refuses `path`, or whatever the override changes below it, if it is compiled in.
static void refuseCompiled(const std::string &path, const Node *value, const Override &item, Messages &messages) {
  if (value && value->isMap()) {
    for (const Entry &e : value->entries)
      refuseCompiled(path + "." + e.key, &e.value, item, messages);
    return;
  }
  std::string below = path + ".";
  bool namesComponent = value && value->isScalar() && hasComponent(path);
  for (const KeyInfo &key : keyTable()) {
    std::string other = key.path;
    bool touched = other == path || (namesComponent ? other == below + "_component_" : other.rfind(below, 0) == 0);
    if (!touched || key.keyClass != KeyClass::Compiled)
      continue;
    std::string change = item.removes ? "~" + item.key : item.key + "=" + item.value;
    messages.error(item.place, "'" + other + "' is compiled into the step and cannot change here; recompile with " +
                                   change + " (ftc compile CONFIG -o step.so " + change + ")");
    return;
  }
}

std::optional<Recipe> overrideRun(const std::string &normalizedYaml, const std::vector<std::string> &overrides,
                                  std::vector<Diagnostic> &diags) {
  Messages messages;
  for (const Override &item : splitOverrides(overrides, messages)) {
    std::optional<Node> value;
    if (!item.removes) {
      value = readValue(item.value, item.valuePlace, messages);
      if (!value)
        continue;
    }
    refuseCompiled(item.key, value ? &*value : nullptr, item, messages);
  }
  if (messages.failed()) {
    reportErrors(messages, diags);
    return std::nullopt;
  }
  std::optional<Recipe> recipe = parseRecipe(normalizedYaml, "<recipe of the step>", overrides, diags);
  // What the recipe itself is worth a remark for was told when it was compiled.
  if (recipe)
    std::erase_if(recipe->remarks, [](const Diagnostic &message) { return message.file != commandLine; });
  return recipe;
}

} // namespace ftc

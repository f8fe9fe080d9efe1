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

#include <algorithm>
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

/// Resolves, checks and reads a tree to which overrides were applied. On failure nothing, with errors in `messages`.
static std::optional<Recipe> readTreeOfRecipe(Node root, Messages &messages, OpenLengths *open = nullptr) {
  // Later messages would only repeat what a broken override causes.
  if (messages.failed())
    return std::nullopt;
  Recipe recipe;
  std::set<std::string> variables = interpolate(root, messages);
  if (!messages.failed())
    nameModel(root, messages);
  if (!messages.failed())
    if (const Checked checked = checkKeys(root, variables, messages); !checked.isOther)
      readRecipe(root, checked, recipe, messages, open);
  if (messages.failed())
    return std::nullopt;
  recipe.normalizedYaml = normalize(recipe, root);
  return recipe;
}

std::optional<Recipe> parseRecipe(const std::string &text, const std::string &fileName,
                                  const std::vector<std::string> &overrides, std::vector<Diagnostic> &diags,
                                  OpenLengths *open) {
  Messages messages;
  std::optional<Recipe> recipe;
  if (std::optional<Node> root = readTree(text, fileName, messages)) {
    applyOverrides(*root, overrides, messages);
    recipe = readTreeOfRecipe(std::move(*root), messages, open);
  }
  if (!recipe) {
    reportErrors(messages, diags);
    return std::nullopt;
  }
  messages.tellWithoutEffect();
  sortByPlace(messages.list);
  recipe->remarks = std::move(messages.list);
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
    // A node that the table has as one key (`teacher_model`) is compiled with all that is in it.
    const bool isInside = key.type == ValueType::Any && path.starts_with(other + ".");
    bool touched =
        other == path || isInside || (namesComponent ? other == below + "_component_" : other.rfind(below, 0) == 0);
    if (!touched || key.keyClass != KeyClass::Compiled)
      continue;
    std::string change = item.removes ? "~" + item.key : item.key + "=" + item.value;
    messages.error(item.place, "'" + (isInside ? path : other) +
                                   "' is compiled into the step and cannot change here; recompile with " + change +
                                   " (ftc compile CONFIG -o step.so " + change + ")");
    return;
  }
}

/// The component that `item` names for the node `node`, whatever it was before: "" for the usual one, nothing where the
/// override leaves it alone.
static std::optional<std::string> namedComponent(const std::string &node, const Override &item, const Node *value) {
  const bool isNode = item.key == node;
  if (!isNode && item.key != node + "._component_")
    return std::nullopt;
  if (item.removes || !value)
    return isNode ? std::nullopt : std::optional(std::string()); // a node that is removed takes its values with it
  if (isNode && value->isMap())
    value = value->find("_component_");
  return value && value->isScalar() ? std::optional(value->text) : std::nullopt;
}

/// A value that a normalized recipe has written out although nobody gave it.
struct UsualValue {
  std::string path, text;
  std::string component; ///< whose usual value it is
  Place changed;         ///< where another component was named
};

/// The key in a node that says the same in other words, and which an override of `key` replaces; "": there is none.
static std::string otherKey(const std::string &key) {
  return key == "masking_strategy" ? "train_on_input" : key == "train_on_input" ? "masking_strategy" : "";
}

/// The keys of the node `node` that an override gives.
static std::vector<std::string> givenKeys(const std::string &node, const Override &item, const Node *value) {
  if (!value || item.removes)
    return {};
  if (item.key.starts_with(node + "."))
    return {item.key.substr(node.size() + 1)};
  std::vector<std::string> keys;
  if (item.key == node && value->isMap())
    for (const Entry &entry : value->entries)
      keys.push_back(entry.key);
  return keys;
}

/// Takes out of the normalized recipe `root` what is usual for a component that an override replaces by another one:
/// the new one has values of its own where none are given. So with a key for which an override gives another one. A
/// value is usual where the recipe is the same without it.
static std::vector<UsualValue> dropUsualValues(Node &root, const std::vector<Override> &overrides,
                                               const std::vector<std::optional<Node>> &values) {
  std::vector<UsualValue> dropped;
  auto normalized = [](Node tree) {
    Messages unheard;
    std::optional<Recipe> recipe = readTreeOfRecipe(std::move(tree), unheard);
    return recipe ? recipe->normalizedYaml : std::string();
  };
  const Node whole = root;
  const std::string usual = normalized(whole);
  if (usual.empty())
    return dropped;
  const auto isUsual = [&](const std::string &node, const std::string &key) {
    Node without = whole;
    std::erase_if(without.entry(node)->value.entries, [&](const Entry &e) { return e.key == key; });
    return normalized(std::move(without)) == usual;
  };
  const auto isRemoved = [&](const std::string &key) { // by an override, which needs it there
    return std::any_of(overrides.begin(), overrides.end(),
                       [&](const Override &item) { return item.removes && item.key == key; });
  };
  for (Entry &entry : root.entries) {
    const bool isNode = hasComponent(entry.key) || entry.key == "dataset_val";
    const Node *component = isNode ? entry.value.find("_component_") : nullptr;
    for (size_t i = 0; component && i < overrides.size(); ++i) {
      std::optional<std::string> name = namedComponent(entry.key, overrides[i], values[i] ? &*values[i] : nullptr);
      if (!name || *name == component->text)
        continue;
      const std::string before = component->text;
      component = nullptr;
      std::erase_if(entry.value.entries, [&](const Entry &inner) {
        if (inner.key == "_component_" || isRemoved(entry.key + "." + inner.key) || !isUsual(entry.key, inner.key))
          return false;
        dropped.push_back({entry.key + "." + inner.key, inner.value.text, before, overrides[i].place});
        return true;
      });
    }
    for (size_t i = 0; isNode && i < overrides.size(); ++i)
      for (const std::string &key : givenKeys(entry.key, overrides[i], values[i] ? &*values[i] : nullptr))
        if (const std::string other = otherKey(key);
            entry.value.entry(other) && !isRemoved(entry.key + "." + other) && isUsual(entry.key, other))
          std::erase_if(entry.value.entries, [&](const Entry &e) { return e.key == other; });
  }
  return dropped;
}

std::optional<Recipe> overrideRun(const std::string &normalizedYaml, const std::vector<std::string> &overrides,
                                  std::vector<Diagnostic> &diags) {
  Messages messages;
  const std::vector<Override> items = splitOverrides(overrides, messages);
  std::vector<std::optional<Node>> values;
  for (const Override &item : items) {
    values.push_back(item.removes ? std::nullopt : readValue(item.value, item.valuePlace, messages));
    if (values.back() || item.removes)
      refuseCompiled(item.key, values.back() ? &*values.back() : nullptr, item, messages);
  }
  std::optional<Node> root;
  if (!messages.failed())
    root = readTree(normalizedYaml, "<recipe of the step>", messages);
  std::optional<Recipe> recipe;
  std::vector<UsualValue> dropped;
  if (root) {
    dropped = dropUsualValues(*root, items, values);
    applyOverrides(*root, overrides, messages);
    std::erase_if(dropped, [&](const UsualValue &value) { return root->find(value.path); }); // given by an override
    recipe = readTreeOfRecipe(std::move(*root), messages);
  }
  if (!recipe) {
    reportErrors(messages, diags);
    return std::nullopt;
  }
  Messages unheard;
  const std::optional<Node> now = readTree(recipe->normalizedYaml, "", unheard);
  for (const UsualValue &value : dropped)
    if (const Node *other = now ? now->find(value.path) : nullptr; other && other->text != value.text)
      messages.remark(value.changed, "'" + value.path + "' is " + other->text + " now, where " + value.component +
                                         " has " + value.text + "; for that override " + value.path + "=" + value.text +
                                         " too");
  // What the recipe itself is worth a remark for was told when it was compiled.
  std::erase_if(messages.list, [](const Diagnostic &message) { return message.file != commandLine; });
  std::erase_if(messages.withoutEffect,
                [](const Messages::WithoutEffect &key) { return key.place.file != commandLine; });
  messages.tellWithoutEffect();
  sortByPlace(messages.list);
  recipe->remarks = std::move(messages.list);
  return recipe;
}

} // namespace ftc

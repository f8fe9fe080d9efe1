//===- Overrides.cpp - key=value and ~key from the command line ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Components.h"
#include "Tree.h"

namespace ftc::config {

std::vector<Override> splitOverrides(const std::vector<std::string> &overrides, Messages &messages) {
  std::vector<Override> result;
  int column = 1;
  for (const std::string &text : overrides) {
    Override item;
    item.place = {commandLine, 1, column};
    column += static_cast<int>(text.size()) + 1;
    size_t equals = text.find('=');
    item.removes = !text.empty() && text[0] == '~';
    size_t begin = item.removes ? 1 : 0;
    item.key = text.substr(begin, equals == std::string::npos ? std::string::npos : equals - begin);
    bool badKey = item.key.empty() || item.key.front() == '.' || item.key.back() == '.' ||
                  item.key.find("..") != std::string::npos || item.key.find_first_of(" \t\n") != std::string::npos;
    if (badKey || (!item.removes && equals == std::string::npos)) {
      messages.error(item.place, "'" + text + "' is not an override; write key=value, key.inner=value or ~key");
      continue;
    }
    if (!item.removes) {
      item.value = text.substr(equals + 1);
      item.valuePlace = item.place;
      item.valuePlace.column += static_cast<int>(equals) + 1;
    }
    result.push_back(std::move(item));
  }
  return result;
}

static void removeKey(Node &root, const Override &item, Messages &messages) {
  Node *node = &root;
  size_t begin = 0;
  for (;;) {
    size_t dot = item.key.find('.', begin);
    std::string part = item.key.substr(begin, dot - begin);
    Entry *e = node->isMap() ? node->entry(part) : nullptr;
    if (!e) {
      messages.error(item.place, "cannot remove '" + item.key + "': the recipe has no such key" +
                                     didYouMean(item.key, allPaths(root)));
      return;
    }
    if (dot == std::string::npos) {
      node->entries.erase(node->entries.begin() + (e - node->entries.data()));
      return;
    }
    node = &e->value;
    begin = dot + 1;
  }
}

/// A map given for a map is merged into it, as OmegaConf does; anything else replaces.
static void assign(Node &target, Node value) {
  if (!target.isMap() || !value.isMap()) {
    target = std::move(value);
    return;
  }
  for (Entry &e : value.entries) {
    if (Entry *old = target.entry(e.key)) {
      old->place = e.place;
      assign(old->value, std::move(e.value));
    } else {
      target.entries.push_back(std::move(e));
    }
  }
}

static void setKey(Node &root, const Override &item, Messages &messages) {
  std::optional<Node> value = readValue(item.value, item.valuePlace, messages);
  if (!value)
    return;
  std::string path = item.key;
  // optimizer=torch.optim.AdamW names the component and keeps the other arguments.
  const Node *old = root.find(path);
  const bool isNode = old && old->isMap() && (old->entry("_component_") || path == "dataset_val");
  if (value->isScalar() && (hasComponent(path) || isNode))
    path += "._component_";

  Node *node = &root;
  size_t begin = 0;
  for (;;) {
    size_t dot = path.find('.', begin);
    std::string part = path.substr(begin, dot - begin);
    if (node->isNull()) {
      node->kind = Node::Kind::Map;
      node->place = item.place;
    }
    if (!node->isMap()) {
      messages.error(item.place, "cannot set '" + item.key + "': '" + path.substr(0, begin - 1) + "' is " +
                                     (node->isList() ? "a list; give the whole list, as in key=[a,b]" : "not a map"));
      return;
    }
    Entry *e = node->entry(part);
    if (!e) {
      node->entries.push_back({part, item.place, {}});
      e = &node->entries.back();
      e->value.place = item.place;
    }
    if (dot == std::string::npos) {
      e->place = item.place;
      assign(e->value, std::move(*value));
      return;
    }
    node = &e->value;
    begin = dot + 1;
  }
}

void applyOverrides(Node &root, const std::vector<std::string> &overrides, Messages &messages) {
  for (const Override &item : splitOverrides(overrides, messages)) {
    if (item.removes)
      removeKey(root, item, messages);
    else
      setKey(root, item, messages);
  }
}

} // namespace ftc::config

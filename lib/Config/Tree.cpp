//===- Tree.cpp - YAML as a tree in which everything has a place ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Tree.h"
#include "ftc/Support/Suggest.h"

#include <yaml-cpp/yaml.h>

namespace ftc::config {

// Anchors can nest a tree in itself, or blow up a short text exponentially: bounds that no recipe comes near.
static constexpr int maxDepth = 32;
static constexpr size_t maxNodes = 20000;

Entry *Node::entry(const std::string &key) {
  for (Entry &e : entries)
    if (e.key == key)
      return &e;
  return nullptr;
}

const Entry *Node::entry(const std::string &key) const { return const_cast<Node *>(this)->entry(key); }

const Entry *Node::findEntry(const std::string &path) const {
  const Node *node = this;
  size_t begin = 0;
  for (;;) {
    size_t dot = path.find('.', begin);
    const Entry *e = node->isMap() ? node->entry(path.substr(begin, dot - begin)) : nullptr;
    if (!e || dot == std::string::npos)
      return e;
    node = &e->value;
    begin = dot + 1;
  }
}

const Node *Node::find(const std::string &path) const {
  const Entry *e = findEntry(path);
  return e ? &e->value : nullptr;
}

void Messages::add(Severity severity, const Place &place, std::string message) {
  list.push_back({severity, place.file, place.line, place.column, std::move(message)});
  errors += severity == Severity::Error;
}

std::string didYouMean(const std::string &word, const std::vector<std::string> &candidates) {
  std::optional<std::string> best = nearest(word, candidates);
  return best ? "; did you mean '" + *best + "'?" : "";
}

static void addPaths(const Node &node, const std::string &prefix, std::vector<std::string> &paths) {
  for (const Entry &e : node.entries) {
    if (paths.size() > 4000)
      return;
    paths.push_back(prefix + e.key);
    if (e.value.isMap())
      addPaths(e.value, prefix + e.key + ".", paths);
  }
}

std::vector<std::string> allPaths(const Node &root) {
  std::vector<std::string> paths;
  addPaths(root, "", paths);
  return paths;
}

namespace {

/// From yaml-cpp's tree to ours.
class Builder {
public:
  Builder(Place start, Messages &messages) : start(std::move(start)), messages(messages) {}

  bool build(const YAML::Node &from, Node &to, const Place &fallback, int depth) {
    to.place = placeOf(from.Mark(), fallback);
    if (depth > maxDepth || ++count > maxNodes) {
      messages.error(to.place, depth > maxDepth
                                   ? "nested more than 32 deep (does an anchor hold itself?)"
                                   : "more than 20000 values once aliases are written out; a recipe needs far fewer");
      return false;
    }
    const std::string &tag = from.Tag();
    bool forcedText = tag == "tag:yaml.org,2002:str";
    if (tag.size() > 1 && tag != "?" && tag != "!" && tag.rfind("tag:yaml.org,2002:", 0) != 0) {
      messages.error(to.place, "the tag '" + tag + "' has no meaning in a recipe; leave it out");
      return false;
    }
    switch (from.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return true;
    case YAML::NodeType::Scalar:
      to.text = from.Scalar();
      to.quoted = forcedText || tag == "!";
      to.kind = !to.quoted && isNullWord(to.text) ? Node::Kind::Null : Node::Kind::Scalar;
      return true;
    case YAML::NodeType::Sequence:
      to.kind = Node::Kind::List;
      for (const YAML::Node &item : from) {
        to.items.emplace_back();
        if (!build(item, to.items.back(), to.place, depth + 1))
          return false;
      }
      return true;
    case YAML::NodeType::Map:
      return buildMap(from, to, depth);
    }
    return true;
  }

private:
  static bool isNullWord(const std::string &text) {
    return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL" || text == "None";
  }

  Place placeOf(const YAML::Mark &mark, const Place &fallback) const {
    if (mark.is_null())
      return fallback;
    Place place = start;
    place.line += mark.line;
    place.column = mark.line == 0 ? start.column + mark.column : mark.column + 1;
    return place;
  }

  bool buildMap(const YAML::Node &from, Node &to, int depth) {
    to.kind = Node::Kind::Map;
    std::vector<Node> merged;
    for (const auto &pair : from) {
      Place place = placeOf(pair.first.Mark(), to.place);
      if (!pair.first.IsScalar()) {
        messages.error(place, "a key must be a plain word");
        return false;
      }
      Entry e{pair.first.Scalar(), place, {}};
      if (!build(pair.second, e.value, place, depth + 1))
        return false;
      if (e.key == "<<" && pair.first.Tag() != "!") {
        if (e.value.isList())
          merged.insert(merged.end(), e.value.items.begin(), e.value.items.end());
        else
          merged.push_back(std::move(e.value));
        continue;
      }
      if (const Entry *earlier = to.entry(e.key)) {
        messages.error(place, "the key '" + e.key + "' is given twice, first in line " +
                                  std::to_string(earlier->place.line) + "; remove one of them");
        return false;
      }
      to.entries.push_back(std::move(e));
    }
    // Merge keys: what the map says itself wins, then the earlier of the merged maps.
    for (Node &node : merged) {
      if (!node.isMap()) {
        messages.error(node.place, "'<<' merges maps only");
        return false;
      }
      for (Entry &e : node.entries)
        if (!to.entry(e.key))
          to.entries.push_back(std::move(e));
    }
    return true;
  }

  Place start; ///< of the text's first character
  Messages &messages;
  size_t count = 0;
};

} // namespace

static std::optional<Node> load(const std::string &text, const Place &start, const char *help, Messages &messages) {
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      messages.error(start, "holds several YAML documents; a recipe is one");
      return std::nullopt;
    }
    Node root;
    root.place = start;
    if (documents.empty())
      return root;
    if (!Builder(start, messages).build(documents[0], root, start, 0))
      return std::nullopt;
    return root;
  } catch (const YAML::Exception &e) {
    Place place = start;
    if (!e.mark.is_null()) {
      place.line += e.mark.line;
      place.column = e.mark.line == 0 ? start.column + e.mark.column : e.mark.column + 1;
    }
    messages.error(place, "not YAML: " + e.msg + help);
    return std::nullopt;
  }
}

std::optional<Node> readTree(const std::string &text, const std::string &file, Messages &messages) {
  Place start{file, 1, 1};
  std::optional<Node> root = load(text, start, "", messages);
  if (!root)
    return std::nullopt;
  if (root->isNull()) {
    messages.error(start,
                   "the recipe is empty; start with 'model:', 'tokenizer:' and 'dataset:' (see docs/recipes.md)");
    return std::nullopt;
  }
  if (!root->isMap()) {
    messages.error(root->place, "a recipe is a map of keys, such as 'batch_size: 4'");
    return std::nullopt;
  }
  return root;
}

std::optional<Node> readValue(const std::string &text, const Place &place, Messages &messages) {
  return load(text, place, "; put the value in quotes if it is meant as text", messages);
}

} // namespace ftc::config

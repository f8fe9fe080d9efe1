//===- Tree.cpp - YAML as a tree in which everything has a place ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Tree.h"
#include "ftc/Support/Suggest.h"

#include <sstream>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
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
  add({severity, place.file, place.line, place.column, std::move(message)});
}

void Messages::add(Diagnostic message) {
  errors += message.severity == Severity::Error;
  list.push_back(std::move(message));
}

void Messages::tellWithoutEffect() {
  if (withoutEffect.size() == 1) {
    const WithoutEffect &key = withoutEffect.front();
    remark(key.place, "'" + key.path + "' is without effect: " + key.why);
  } else if (withoutEffect.size() > 1) {
    std::string keys;
    for (const WithoutEffect &key : withoutEffect)
      keys += (keys.empty() ? "'" : ", '") + key.path + "'" +
              (key.place.file == commandLine ? "" : " (line " + std::to_string(key.place.line) + ")");
    remark(withoutEffect.front().place, "without effect here: " + keys + "; docs/recipes.md says why, key by key");
  }
  withoutEffect.clear();
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

/// The place of a mark in a text that begins at `start`.
static Place shifted(Place start, const YAML::Mark &mark) {
  if (mark.is_null())
    return start;
  start.line += mark.line;
  start.column = mark.line == 0 ? start.column + mark.column : mark.column + 1;
  return start;
}

namespace {

/// From yaml-cpp's tree to ours.
class Builder {
public:
  Builder(const std::string &text, Place start, Messages &messages)
      : text(text), start(std::move(start)), messages(messages) {}

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
      if (to.quoted && !isClosed(from.Mark())) {
        messages.error(to.place,
                       "this quote is not closed; close it, or write two of the same kind for one in the text");
        return false;
      }
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

  /// Whether what begins with a quote at `mark` ends with one: the library takes the end of the file for it.
  bool isClosed(const YAML::Mark &mark) const {
    // Positions count from behind a byte order mark.
    size_t at =
        mark.is_null() ? text.size() : static_cast<size_t>(mark.pos) + (text.starts_with("\xef\xbb\xbf") ? 3 : 0);
    if (at >= text.size() || (text[at] != '"' && text[at] != '\''))
      return true;
    const char quote = text[at++];
    for (; at < text.size(); ++at) {
      if (quote == '"' && text[at] == '\\')
        ++at;
      else if (text[at] == quote && quote == '\'' && at + 1 < text.size() && text[at + 1] == quote)
        ++at;
      else if (text[at] == quote)
        return true;
    }
    return false;
  }

  Place placeOf(const YAML::Mark &mark, const Place &fallback) const {
    return mark.is_null() ? fallback : shifted(start, mark);
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

  const std::string &text;
  Place start; ///< of the text's first character
  Messages &messages;
  size_t count = 0;
};

} // namespace

/// Length of the UTF-8 character at `at`, or 0 if there is none.
static size_t characterLength(const std::string &text, size_t at) {
  auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  unsigned first = byte(0);
  if (first < 0x80)
    return 1;
  size_t length = first >= 0xc2 && first < 0xe0   ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80)
      return 0;
  // Longer than needed, half of a pair, or above the last code point.
  bool bad = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0) ||
             (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
  return bad ? 0 : length;
}

/// YAML is UTF-8 (here) without control characters; yaml-cpp does not check, and some of them make it loop for ever.
static bool checkCharacters(const std::string &text, Place place, Messages &messages) {
  for (size_t at = 0; at < text.size();) {
    unsigned char c = static_cast<unsigned char>(text[at]);
    size_t length = characterLength(text, at);
    bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    if (length == 0 || control) {
      static const char hex[] = "0123456789abcdef";
      std::string value = std::string("0x") + hex[c >> 4] + hex[c & 15];
      messages.error(place, control ? "the control character " + value + " cannot stand in YAML; remove it"
                                    : "not UTF-8 text (byte " + value + "); save it as UTF-8");
      return false;
    }
    at += length;
    ++place.column;
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    }
  }
  return true;
}

namespace {

/// Remembers where documents start.
class DocumentStarts : public YAML::EventHandler {
public:
  std::vector<YAML::Mark> starts;

  void OnDocumentStart(const YAML::Mark &mark) override { starts.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark &, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark &, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark &, const std::string &, YAML::anchor_t, const std::string &) override {}
  void OnSequenceStart(const YAML::Mark &, const std::string &, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark &, const std::string &, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

} // namespace

static std::optional<Node> load(const std::string &text, const Place &start, const char *help, Messages &messages) {
  if (!checkCharacters(text, start, messages))
    return std::nullopt;
  try {
    // YAML::Load ignores what follows the first document, and YAML::LoadAll never ends at a stray bracket or comma,
    // which it takes for one empty document after the other.
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentStarts documents;
    while (documents.starts.size() < 2 && parser.HandleNextDocument(documents))
      ;
    if (documents.starts.size() > 1) {
      messages.error(shifted(start, documents.starts[1]),
                     std::string("not YAML from here on: a second document, or a character out of place") + help);
      return std::nullopt;
    }
    Node root;
    root.place = start;
    if (!Builder(text, start, messages).build(YAML::Load(text), root, start, 0))
      return std::nullopt;
    return root;
  } catch (const YAML::DeepRecursion &e) {
    messages.error(shifted(start, e.mark), "nested too deep for a recipe");
    return std::nullopt;
  } catch (const YAML::Exception &e) {
    messages.error(shifted(start, e.mark), "not YAML: " + e.msg + help);
    return std::nullopt;
  }
}

/// A document whose top is a map; `empty` and `other` say what is wrong with one that is not.
static std::optional<Node> loadMap(const std::string &text, const std::string &file, const char *empty,
                                   const char *other, Messages &messages) {
  Place start{file, 1, 1};
  std::optional<Node> root = load(text, start, "", messages);
  if (!root || root->isMap())
    return root;
  messages.error(root->isNull() ? start : root->place, root->isNull() ? empty : other);
  return std::nullopt;
}

std::optional<Node> readTree(const std::string &text, const std::string &file, Messages &messages) {
  return loadMap(text, file,
                 "the recipe is empty; start with 'model:', 'tokenizer:' and 'dataset:' (see docs/recipes.md)",
                 "a recipe is a map of keys, such as 'batch_size: 4'", messages);
}

std::optional<Node> readConfigJsonTree(const std::string &text, const std::string &file, Messages &messages) {
  return loadMap(text, file, "the file is empty; it is the model's config.json, with \"model_type\" and sizes",
                 "a config.json is one object, { ... }, with \"model_type\" and sizes", messages);
}

std::optional<Node> readDeviceTree(const std::string &text, const std::string &file, Messages &messages) {
  return loadMap(text, file, "the device file is empty; start from one of configs/devices",
                 "a device file is a map of keys, such as 'multiprocessors: 132'", messages);
}

std::optional<Node> readValue(const std::string &text, const Place &place, Messages &messages) {
  return load(text, place, "; put the value in quotes if it is meant as text", messages);
}

} // namespace ftc::config

//===- Interpolate.cpp - ${other.key} ------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Tree.h"

#include <algorithm>

namespace ftc::config {

namespace {

class Interpolator {
public:
  Interpolator(Node &root, Messages &messages) : root(root), messages(messages) {}

  void run() { walk(root, ""); }

  std::set<std::string> referred;

private:
  /// `path`: dotted path of `node`, "" for the root.
  void walk(Node &node, const std::string &path) {
    if (failed)
      return;
    for (Entry &e : node.entries)
      walk(e.value, path.empty() ? e.key : path + "." + e.key);
    for (size_t i = 0; i < node.items.size(); ++i)
      walk(node.items[i], path + "." + std::to_string(i)); // relative references start at the list
    if (node.isScalar())
      resolve(node, path);
  }

  void fail(const Place &place, const std::string &message) {
    messages.error(place, message);
    failed = true;
  }

  /// Index of the first "${" in text at or after `from` that is not escaped.
  static size_t findOpen(const std::string &text, size_t from) {
    for (size_t at = text.find("${", from); at != std::string::npos; at = text.find("${", at + 2)) {
      size_t slashes = 0;
      while (slashes < at && text[at - 1 - slashes] == '\\')
        ++slashes;
      if (slashes % 2 == 0)
        return at;
    }
    return std::string::npos;
  }

  /// \${ becomes ${, and an even number of backslashes before ${ becomes half of it.
  static std::string unescape(const std::string &text) {
    std::string result;
    for (size_t i = 0; i < text.size();) {
      size_t slashes = 0;
      while (i + slashes < text.size() && text[i + slashes] == '\\')
        ++slashes;
      bool beforeOpen = text.compare(i + slashes, 2, "${") == 0;
      result.append(beforeOpen ? slashes / 2 : slashes, '\\');
      i += slashes;
      if (i < text.size())
        result += text[i++];
    }
    return result;
  }

  void resolve(Node &node, const std::string &path) {
    if (node.resolved || node.text.find("${") == std::string::npos)
      return;
    for (const std::string &open : stack) {
      if (open == path) {
        std::string chain;
        for (const std::string &name : stack)
          chain += name + " -> ";
        fail(node.place, "interpolation goes in a circle: " + chain + path);
        return;
      }
    }
    if (stack.size() > 64) {
      fail(node.place, "interpolations refer to each other more than 64 deep");
      return;
    }
    stack.push_back(path);
    expand(node, path);
    stack.pop_back();
  }

  void expand(Node &node, const std::string &path) {
    const std::string text = node.text;
    std::string result;
    size_t at = 0;
    for (;;) {
      size_t open = findOpen(text, at);
      // The backslashes before an interpolation are halved too.
      result +=
          unescapeBefore(text.substr(at, open == std::string::npos ? open : open - at), open != std::string::npos);
      if (open == std::string::npos)
        break;
      size_t close = text.find('}', open);
      if (close == std::string::npos) {
        fail(node.place, "'${' without '}' in '" + text + "'; write \\${ for the characters themselves");
        return;
      }
      const Node *target = lookUp(trimmed(text.substr(open + 2, close - open - 2)), path, node.place);
      if (!target)
        return;
      if (open == 0 && close + 1 == text.size()) {
        copied += countNodes(*target);
        if (copied > 20000) {
          fail(node.place, "interpolation copies more than 20000 values");
          return;
        }
        Node copy = *target;
        setPlace(copy, node.place);
        node = std::move(copy);
        return;
      }
      if (!target->isScalar()) {
        fail(node.place, "'" + text.substr(open, close - open + 1) +
                             "' stands inside a longer text, but its value is " +
                             (target->isNull()   ? "null"
                              : target->isList() ? "a list"
                                                 : "a map"));
        return;
      }
      result += target->text;
      // A chain of doublings would otherwise fill the memory.
      written += target->text.size();
      if (written > (1u << 20)) {
        fail(node.place, "interpolation makes more than 1 MiB of text");
        return;
      }
      at = close + 1;
    }
    node.text = result;
    node.resolved = true;
  }

  /// Without blanks at both ends: `${ output_dir }`.
  static std::string trimmed(const std::string &name) {
    size_t begin = name.find_first_not_of(" \t");
    return begin == std::string::npos ? "" : name.substr(begin, name.find_last_not_of(" \t") + 1 - begin);
  }

  static size_t countNodes(const Node &node) {
    size_t count = 1;
    for (const Node &item : node.items)
      count += countNodes(item);
    for (const Entry &e : node.entries)
      count += countNodes(e.value);
    return count;
  }

  static std::string unescapeBefore(const std::string &part, bool beforeOpen) {
    if (!beforeOpen)
      return unescape(part);
    std::string result = unescape(part + "${");
    return result.substr(0, result.size() - 2);
  }

  static void setPlace(Node &node, const Place &place) {
    node.place = place;
    for (Node &item : node.items)
      setPlace(item, place);
    for (Entry &e : node.entries) {
      e.place = place;
      setPlace(e.value, place);
    }
  }

  const Node *lookUp(const std::string &name, const std::string &from, const Place &place) {
    if (name.find(':') != std::string::npos) {
      fail(place, "'${" + name +
                      "}': resolvers are not supported, only other keys of the recipe; write the value out or "
                      "give it on the command line");
      return nullptr;
    }
    std::string target = name;
    if (!name.empty() && name[0] == '.') {
      // One dot: the map around this key; each further dot: one map further out.
      size_t dots = name.find_first_not_of('.');
      std::string base = from;
      for (size_t i = 0; i < std::min(dots, name.size()); ++i) {
        size_t cut = base.rfind('.');
        base = cut == std::string::npos ? "" : base.substr(0, cut);
      }
      target = dots == std::string::npos ? "" : name.substr(dots);
      if (!base.empty())
        target = base + "." + target;
    }
    const Entry *e = root.findEntry(target);
    if (!e) {
      fail(place, "'${" + name + "}' refers to '" + target + "', which the recipe does not have" +
                      didYouMean(target, allPaths(root)));
      return nullptr;
    }
    referred.insert(target.substr(0, target.find('.')));
    Node &value = const_cast<Node &>(e->value);
    // A map that holds the reference itself cannot be copied into it.
    if (!value.isScalar() && (from == target || from.rfind(target + ".", 0) == 0)) {
      fail(place, "'${" + name + "}' lies inside what it refers to");
      return nullptr;
    }
    if (++lookUps > 20000) {
      fail(place, "more than 20000 interpolations");
      return nullptr;
    }
    if (value.isScalar()) {
      resolve(value, target);
    } else if (!value.isNull()) {
      resolveInside(value, target);
    }
    return failed ? nullptr : &value;
  }

  void resolveInside(Node &node, const std::string &path) {
    for (const std::string &open : stack) {
      if (open == path) {
        fail(node.place, "interpolation goes in a circle through '" + path + "'");
        return;
      }
    }
    stack.push_back(path);
    walk(node, path);
    stack.pop_back();
  }

  Node &root;
  Messages &messages;
  std::vector<std::string> stack; ///< paths being resolved
  size_t lookUps = 0, copied = 0, written = 0;
  bool failed = false;
};

} // namespace

std::set<std::string> interpolate(Node &root, Messages &messages) {
  Interpolator interpolator(root, messages);
  interpolator.run();
  return std::move(interpolator.referred);
}

} // namespace ftc::config

//===- Tree.h - YAML as a tree in which everything has a place -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONFIG_TREE_H
#define FTC_LIB_CONFIG_TREE_H

#include "ftc/Support/Diagnostics.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ftc::config {

/// Where something was written. Lines and columns count from 1.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
};

struct Entry;

/// A YAML value. Aliases are copied, merge keys (<<) are applied.
struct Node {
  enum class Kind { Null, Scalar, List, Map };
  Kind kind = Kind::Null;
  std::string text;      ///< Scalar
  bool quoted = false;   ///< Scalar: a string for certain
  bool resolved = false; ///< Scalar: its interpolations are done; what looks like one is text
  std::vector<Node> items;
  std::vector<Entry> entries; ///< in file order, keys are distinct
  Place place;

  bool isNull() const { return kind == Kind::Null; }
  bool isScalar() const { return kind == Kind::Scalar; }
  bool isMap() const { return kind == Kind::Map; }
  bool isList() const { return kind == Kind::List; }

  Entry *entry(const std::string &key);
  const Entry *entry(const std::string &key) const;
  /// The value at a dotted path below this map, or null.
  const Node *find(const std::string &path) const;
  const Entry *findEntry(const std::string &path) const;
};

struct Entry {
  std::string key;
  Place place;
  Node value;
};

/// Collects messages.
class Messages {
public:
  void error(const Place &place, std::string message) { add(Severity::Error, place, std::move(message)); }
  void remark(const Place &place, std::string message) { add(Severity::Remark, place, std::move(message)); }
  void add(Diagnostic message);
  bool failed() const { return errors > 0; }
  size_t errorCount() const { return errors; }

  /// Keys without effect, each of which asks for something.
  struct WithoutEffect {
    std::string path;
    Place place;
    std::string why;
  };

  /// Makes a remark of the keys without effect: of one with its reason, of several with their lines.
  void tellWithoutEffect();

  std::vector<Diagnostic> list;
  std::vector<WithoutEffect> withoutEffect;

private:
  void add(Severity severity, const Place &place, std::string message);
  size_t errors = 0;
};

/// The name of the place of overrides.
inline constexpr const char *commandLine = "<command line>";

/// Reads one YAML document whose top is a map. Nothing on failure, with at least one error.
std::optional<Node> readTree(const std::string &text, const std::string &file, Messages &messages);
/// The same of a model's config.json; JSON is YAML, but for surrogate pairs in texts, which no key of ours has.
std::optional<Node> readConfigJsonTree(const std::string &text, const std::string &file, Messages &messages);
/// The same for a device file; messages say so.
std::optional<Node> readDeviceTree(const std::string &text, const std::string &file, Messages &messages);

/// Reads a YAML value written inside a line at `place`, as in `key=value`. Nothing at all is null.
std::optional<Node> readValue(const std::string &text, const Place &place, Messages &messages);

/// Applies "a.b=value" and "~a.b" in order. In a node that has a component (see Components.h), "a=name" sets
/// `a._component_`.
void applyOverrides(Node &root, const std::vector<std::string> &overrides, Messages &messages);

/// "a.b=value" split at its first '='; "~a.b" has no value.
struct Override {
  std::string key;
  bool removes = false;
  std::string value;
  Place place;      ///< of the key
  Place valuePlace; ///< of the value
};

/// Splits overrides; errors for those that have another form.
std::vector<Override> splitOverrides(const std::vector<std::string> &overrides, Messages &messages);

/// Replaces every ${a.b} (from the top), ${.b}, ${..b} (from the map around it, and the one around that) by the value
/// there. A value that is nothing but one interpolation takes the whole node; \${ stands for itself. Returns the
/// top-level keys that were referred to.
std::set<std::string> interpolate(Node &root, Messages &messages);

/// All dotted paths of a tree's maps, at most a few thousand.
std::vector<std::string> allPaths(const Node &root);

/// "; did you mean 'x'?" or nothing.
std::string didYouMean(const std::string &word, const std::vector<std::string> &candidates);

} // namespace ftc::config

#endif // FTC_LIB_CONFIG_TREE_H

//===- ReadDatasets.cpp - Data sets beside the first ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The table has the keys of a data set once, below `dataset`. A node of another name that has them too is checked and
// read as if it stood there, in a recipe of its own, and messages get its own name back.
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include <algorithm>
#include <tuple>

namespace ftc::config {

/// `text` with `name` in place of each "dataset" that is the node: 'dataset.packed', dataset=torchtune...
static std::string withName(std::string text, const std::string &name) {
  const std::string usual = "dataset";
  for (size_t at = 0; (at = text.find(usual, at)) != std::string::npos;) {
    const char before = at ? text[at - 1] : ' ';
    const size_t end = at + usual.size();
    const char after = end < text.size() ? text[end] : ' ';
    const bool isNode =
        (before == '\'' || before == ' ' || before == '~') && (after == '\'' || after == '.' || after == '=');
    if (isNode)
      text.replace(at, usual.size(), name);
    at += isNode ? name.size() : usual.size();
  }
  return text;
}

std::optional<DatasetConfig> Reader::datasetAt(Node node, const std::string &name) {
  Node alone;
  alone.kind = Node::Kind::Map;
  alone.place = node.place;
  alone.entries.push_back({"dataset", node.place, std::move(node)});
  Messages heard;
  Recipe other;
  const Checked checked = checkKeys(alone, {}, heard);
  if (checked.components.count("dataset"))
    Reader(alone, checked, other, heard).dataset();
  for (Diagnostic &message : heard.list) {
    // What was taken from another node has had its message there.
    if (std::any_of(messages.list.begin(), messages.list.end(), [&](const Diagnostic &other) {
          return std::tie(other.file, other.line, other.column) == std::tie(message.file, message.line, message.column);
        }))
      continue;
    message.message = withName(std::move(message.message), name);
    messages.add(std::move(message));
  }
  if (heard.failed())
    return std::nullopt;
  return other.dataset;
}

void Reader::heldOut() {
  const std::string name = "dataset_val";
  const Node *given = value(name);
  if (!given)
    return;
  if (!given->isMap()) {
    messages.error(given->place, "'" + name + "' needs the keys of a data set, as in '" + name +
                                     ": {data_files: held_out.jsonl}', not " + shown(*given));
    return;
  }
  Node node = *given;
  // What is trained and what is evaluated are mostly alike. Files are not.
  const Node *trained = root.find("dataset");
  const bool isLike = trained && trained->isMap() && !node.entry("_component_");
  if (isLike && !components.count("dataset"))
    return; // its errors would be told twice
  if (isLike)
    for (const Entry &entry : trained->entries)
      if (!node.entry(entry.key) && entry.key != "data_files")
        node.entries.push_back(entry);
  recipe.heldOut = datasetAt(std::move(node), name);
}

} // namespace ftc::config

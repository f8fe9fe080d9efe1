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

#include "Components.h"
#include "Read.h"
#include "ftc/Config/Datasets.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <tuple>

namespace ftc::config {

std::string withName(std::string text, const std::string &usual, const std::string &name) {
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
    message.message = withName(std::move(message.message), "dataset", name);
    messages.add(std::move(message));
  }
  for (Messages::WithoutEffect &key : heard.withoutEffect) {
    if (std::any_of(messages.withoutEffect.begin(), messages.withoutEffect.end(),
                    [&](const Messages::WithoutEffect &other) {
                      return std::tie(other.place.file, other.place.line, other.place.column) ==
                             std::tie(key.place.file, key.place.line, key.place.column);
                    }))
      continue;
    key.path.replace(0, std::string("dataset").size(), name);
    messages.withoutEffect.push_back(std::move(key));
  }
  if (heard.failed())
    return std::nullopt;
  return other.dataset;
}

void Reader::datasets() {
  const std::string name = "dataset";
  const Node *list = root.find(name);
  if (!list || !list->isList())
    return dataset();
  if (list->items.empty())
    messages.error(list->place, "'" + name + "' is an empty list; name a data set, or remove it (~" + name + ")");
  const Node *first = nullptr; // the first node that says whether it is packed
  for (size_t i = 0; i < list->items.size(); ++i) {
    const Node &node = list->items[i];
    const std::string each = name + "[" + std::to_string(i) + "]";
    if (!node.isMap()) {
      messages.error(node.place, "'" + each + "' needs keys of its own, not " + shown(node) +
                                     "; write a node {_component_: ...} for each data set");
      continue;
    }
    std::optional<DatasetConfig> set = datasetAt(node, each);
    if (!set)
      continue;
    if (first && set->packed != recipe.dataset.packed)
      messages.error(node.place, "'" + each + ".packed' is " + (set->packed ? "True" : "False") + ", and that of '" +
                                     name +
                                     "[0]' is not: packed and unpacked data sets are not joined, as in "
                                     "torchtune; set both alike");
    else if (first)
      recipe.moreDatasets.push_back(*set);
    else
      recipe.dataset = *set;
    first = first ? first : &node;
  }
}

bool isLikeTrained(const Node &root, const Node &node) {
  const Node *trained = root.find("dataset");
  return !node.entry("_component_") && (!trained || trained->isNull() || trained->isMap());
}

/// Whether a node says by one key what `key` says: which turns of a conversation are trained.
static bool saysAlready(const Node &node, const std::string &key) {
  const bool isMasking = key == "masking_strategy" || key == "train_on_input";
  return node.entry(key) || (isMasking && (node.entry("masking_strategy") || node.entry("train_on_input")));
}

void Reader::heldOut() {
  const std::string name = "dataset_val";
  const Node *given = value(name);
  if (!given)
    return;
  // What is trained and what is evaluated are mostly alike. Which records they are is not.
  const Node *trained = root.find("dataset");
  const bool isBroken = !components.count("dataset");
  const bool isList = given->isList();
  const std::vector<Node> nodes = isList ? given->items : std::vector<Node>{*given};
  for (size_t i = 0; i < nodes.size(); ++i) {
    Node node = nodes[i];
    if (!node.isMap()) {
      messages.error(node.place, "'" + name + "' needs the keys of a data set, as in '" + name +
                                     ": {data_files: held_out.jsonl}', not " + shown(node));
      continue;
    }
    const bool isLike = isLikeTrained(root, node);
    if (isLike && isBroken)
      continue; // its errors would be told twice
    if (isLike && trained) {
      const Node own = node;
      for (const Entry &entry : trained->entries)
        if (!saysAlready(own, entry.key) && entry.key != "data_files" && entry.key != "split")
          node.entries.push_back(entry);
    }
    if (std::optional<DatasetConfig> set =
            datasetAt(std::move(node), isList ? name + "[" + std::to_string(i) + "]" : name))
      recipe.heldOut.push_back(*set);
  }
}

void Reader::masking() {
  const std::string path = "dataset.masking_strategy", older = "dataset.train_on_input";
  const Node *node = value(path);
  if (!node)
    return;
  using enum MaskingStrategy;
  const std::pair<const char *, MaskingStrategy> strategies[] = {
      {"train_on_assistant", TrainOnAssistant}, {"train_on_all", TrainOnAll}, {"train_on_last", TrainOnLast}};
  std::vector<std::string> names;
  for (const auto &[name, strategy] : strategies)
    names.push_back(name);
  const auto found = std::find(names.begin(), names.end(), node->text);
  DatasetConfig &d = recipe.dataset;
  if (found == names.end()) {
    messages.error(node->place, named(path) + " is '" + node->text +
                                    "'; it must be train_on_assistant, train_on_all or train_on_last" +
                                    didYouMean(node->text, names));
    return;
  }
  d.masking = strategies[found - names.begin()].second;
  if (value(older) && (d.masking != TrainOnAssistant || d.trainOnInput))
    messages.error(node->place, named(path) + " is '" + node->text + "', and " + named(older) + " is " +
                                    (d.trainOnInput ? "True" : "False") + "; remove one of them (~" + older + " or ~" +
                                    path + ")");
  d.trainOnInput = false;
}

void Reader::split() {
  const std::string path = "dataset.split";
  const Node *node = value(path);
  if (!node)
    return;
  // NAME, NAME[FROM:TO], each a whole number, in percent, or nothing.
  const std::string &text = node->text;
  DatasetConfig &d = recipe.dataset;
  const size_t open = text.find('[');
  d.split = text.substr(0, open);
  const auto isLetter = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.'; };
  bool good = !d.split.empty() && std::all_of(d.split.begin(), d.split.end(), isLetter);
  if (good && open != std::string::npos) {
    const char *at = text.data() + open + 1, *end = text.data() + text.size();
    const auto bound = [&](std::optional<int64_t> &to) {
      int64_t number = 0;
      const auto [rest, error] = std::from_chars(at, end, number);
      if (error == std::errc::invalid_argument)
        return;
      good &= error == std::errc();
      to = number;
      at = rest;
      if (at < end && *at == '%') {
        d.slice.percent = true;
        ++at;
      }
    };
    bound(d.slice.from);
    good &= at < end && *at == ':';
    at += good;
    if (good)
      bound(d.slice.to);
    good &= end - at == 1 && *at == ']';
    for (const std::optional<int64_t> &each : {d.slice.from, d.slice.to})
      good &= !each || !d.slice.percent || (*each >= -100 && *each <= 100);
  }
  if (!good)
    messages.error(node->place, named(path) + " is '" + text +
                                    "'; it must be a name, or a name and a slice of the records, such as train[:95%], "
                                    "train[95%:], train[100:200] or train[-50:], with percentages of at most 100");
}

} // namespace ftc::config

ftc::DatasetBuilder ftc::datasetBuilder(const std::string &component) {
  static constexpr DatasetBuilder builders[] = {
      {"text_completion_dataset", DatasetKind::Text, "text", "input", "output"},
      {"wikitext_dataset", DatasetKind::Text, "page", "input", "output"},
      {"cnn_dailymail_articles_dataset", DatasetKind::Text, "article", "input", "output"},
      {"chat_dataset", DatasetKind::Chat, "messages", "input", "output"},
      {"slimorca_dataset", DatasetKind::Chat, "conversations", "input", "output", true},
      {"instruct_dataset", DatasetKind::Instruct, "text", "input", "output"},
      {"grammar_dataset", DatasetKind::Instruct, "text", "input", "output"},
      {"samsum_dataset", DatasetKind::Instruct, "text", "dialogue", "summary"},
      {"alpaca_dataset", DatasetKind::Alpaca, "text", "input", "output"},
      {"alpaca_cleaned_dataset", DatasetKind::Alpaca, "text", "input", "output"},
      {"preference_dataset", DatasetKind::Pairs, "text", "input", "output"},
      {"hh_rlhf_helpful_dataset", DatasetKind::Pairs, "text", "input", "output"},
      {"stack_exchange_paired_dataset", DatasetKind::PairsOfTexts, "text", "input", "output"},
  };
  for (const DatasetBuilder &builder : builders)
    if (config::lastWord(component) == builder.name)
      return builder;
  return {"", DatasetKind::Other, "text", "input", "output"};
}

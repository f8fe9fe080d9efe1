//===- Read.h - From a checked tree to a recipe --------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONFIG_READ_H
#define FTC_LIB_CONFIG_READ_H

#include "Check.h"
#include "Values.h"

#include <map>
#include <set>

namespace ftc::config {

// Bounds that keep every later product of sizes far from 64 bits.
constexpr int64_t maxWidth = int64_t(1) << 24;
constexpr int64_t maxTokens = int64_t(1) << 20;
/// Each chunk of head and loss is launched by itself.
constexpr int64_t mostLossChunks = 1024;
constexpr int64_t maxCount = int64_t(1) << 31;

/// A message with `name` in place of each `usual` that is that node: 'dataset.packed', dataset=torchtune...
std::string withName(std::string text, const std::string &usual, const std::string &name);

/// Reads a tree whose keys and types are checked; what is left to find are values out of range and keys that clash.
class Reader {
public:
  Reader(const Node &root, const Checked &checked, Recipe &recipe, Messages &messages, OpenLengths *open = nullptr)
      : root(root), components(checked.components), wrong(checked.wrong), recipe(recipe), messages(messages),
        open(open) {}

  void run();

private:
  /// Whether there is anything but null at `path`.
  bool given(const std::string &path) const;
  /// The value at `path`, or null when it is absent, null or of a wrong type.
  const Node *value(const std::string &path) const;
  /// Where the key `path` stands, or its node, or the top of the file.
  Place placeOf(const std::string &path) const;
  /// "'clip_grad_norm' (line 12)".
  std::string named(const std::string &path) const;
  /// Reads a whole number into `to` if the key is there. Returns whether it is there and in range.
  bool integer(const std::string &path, int64_t &to, int64_t low, int64_t high);
  /// Reads a number; `why` completes "must be ..." for those that `good` refuses.
  template <typename Good> void number(const std::string &path, double &to, const char *why, Good good) {
    const Node *node = value(path);
    if (!node)
      return;
    double x = asFloat(*node).value_or(0);
    if (!good(x)) {
      messages.error(node->place, "'" + path + "' is " + node->text + "; it must be " + why);
      return;
    }
    to = x;
  }
  void boolean(const std::string &path, bool &to);
  void text(const std::string &path, std::string &to);

  // Read.cpp
  void top();
  void seed();
  /// Where tokenizer.max_seq_len is null: an error, or the data's to decide.
  void openLength();
  void sequenceLengths();
  void combinations();

  // ReadModel.cpp
  void model();
  /// The arguments that builders of one or a few families have.
  void familyArguments();
  /// Which part of a head is turned, and by what angles (Phi-3).
  void rotaryParts();
  /// The arguments of builders with adapters.
  void lora();
  /// QLoRA: which weights are in four bits follows from the model; they must be of sizes that the quantizer takes.
  void quantizedBase();
  /// The quantizer that the value `name` of `path` means; an error and nothing where it means none.
  std::optional<Nf4Quantizer> nf4Quantizer(const std::string &path, const std::string &name);
  /// An error at `path` where the model's projections are of sizes that `quantizer`, which `key` says, does not take.
  void fitsQuantizer(const std::string &path, const std::string &key, Nf4Quantizer quantizer);

  // ReadFiles.cpp
  void tokenizer();
  void promptTemplate();
  /// {role: [BEFORE, AFTER]}.
  void promptTags(const Node &map, std::vector<PromptTags> &tags);
  void dataset();
  void source();
  void conversations();
  /// dataset.masking_strategy.
  void masking();
  /// Which keys of a record stand for what a data set reads.
  void columnMap();

  // ReadDatasets.cpp
  /// `dataset`, one node or a list.
  void datasets();
  /// dataset_val.
  void heldOut();
  /// dataset.split: "train[:95%]".
  void split();
  /// Reads a node that has the keys of `dataset`; `name` is what messages call it. Nothing on errors.
  std::optional<DatasetConfig> datasetAt(Node node, const std::string &name);

  // ReadFiles.cpp
  void checkpointer();
  /// Whether files of weights are of a kind that is read.
  void weightFiles(const Node &node, const std::vector<std::string> &files);
  /// {filename_format: model-{}-of-{}.safetensors, max_filename: "00004"}: all names, numbers padded as the last one.
  void formattedFiles(const Node &node, std::vector<std::string> &files);
  /// What is written must not mix with what is read.
  void insideCheckpoint(const std::string &path, const std::string &folder);

  // ReadPreference.cpp
  void loss();
  void preference();
  /// ref_checkpointer and ref_quantizer.
  void reference();

  // ReadDistillation.cpp
  void distillation();
  /// The nodes that a recipe has under names of their own (second), as they would be read at usual places (first), in a
  /// recipe of their own. Messages call them by their own names.
  Recipe readAside(const std::vector<std::pair<const char *, const char *>> &names);
  /// Reads teacher_model and teacher_checkpointer.
  void teacher(const Node &model, DistillationConfig &d);
  void kdLoss(DistillationConfig &d);

  // ReadQuantizer.cpp
  void quantizer();
  /// Whether each layer's inputs are of a size that the quantizer takes.
  void quantizedLayers(const QuantizerConfig &q);

  // ReadTraining.cpp
  void optimizer();
  void momentum();
  /// Types of states, and what becomes of the digits that a bf16 parameter cannot hold.
  void updatePrecision();
  void scheduler();
  void metricLogger();
  void checkpointing();

  const Node &root;
  const std::map<std::string, std::string> &components;
  const std::set<std::string> &wrong;
  Recipe &recipe;
  Messages &messages;
  OpenLengths *open; ///< null: the recipe has all lengths itself
};

} // namespace ftc::config

#endif // FTC_LIB_CONFIG_READ_H

//===- ReadPreference.cpp - The loss, and what one of preferences needs ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A loss of preferences compares the model that is trained with itself as it was before, for pairs of answers. As in
// torchtune's recipe lora_dpo_single_device, the model before is the one without its adapters; where it has none, it is
// a second model, as in full_dpo_distributed, whose weights `ref_checkpointer` names.
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"
#include "ftc/Config/Datasets.h"

#include <algorithm>
#include <cmath>

bool ftc::DatasetConfig::isPreference() const {
  const DatasetKind kind = datasetBuilder(component).kind;
  return kind == DatasetKind::Pairs || kind == DatasetKind::PairsOfTexts;
}

namespace ftc::config {

void Reader::loss() {
  if (auto loss = components.find("loss"); loss != components.end())
    recipe.lossComponent = loss->second;
  integer("loss.num_output_chunks", recipe.lossChunks, 1, maxTokens);
  integer("loss.ignore_index", recipe.ignoreIndex, INT32_MIN, INT32_MAX);
  const std::string kind = lastWord(recipe.lossComponent);
  if (kind == "DPOLoss" || kind == "RSOLoss") {
    PreferenceConfig &p = recipe.preference.emplace();
    p.kind = kind == "RSOLoss" ? PreferenceConfig::Kind::Hinge : PreferenceConfig::Kind::Sigmoid;
    number(kind == "RSOLoss" ? "loss.gamma" : "loss.beta", p.beta, "above 0 and finite in fp32",
           [](double x) { return x > 0 && isSinglePrecision(x); });
    number("loss.label_smoothing", p.labelSmoothing, "at least 0 and below 1",
           [](double x) { return x >= 0 && x < 1; });
    return;
  }
  double smoothing = 0;
  number("loss.label_smoothing", smoothing, "0: smoothing of cross-entropy is not built yet",
         [](double x) { return x == 0; });
}

void Reader::preference() {
  // Of the sets that are trained and of those that are evaluated, one that is not like the loss.
  struct Set {
    std::string name; // of its node
    Place place;
    const DatasetConfig *config;
  };
  std::vector<Set> sets;
  const auto add = [&](const std::string &node, const std::vector<const DatasetConfig *> &configs) {
    const Node *list = root.find(node);
    const bool isList = list && list->isList();
    for (size_t i = 0; i < configs.size(); ++i) {
      const std::string name = isList ? node + "[" + std::to_string(i) + "]" : node;
      const Entry *component = isList && i < list->items.size() ? list->items[i].entry("_component_") : nullptr;
      sets.push_back({name,
                      component                          ? component->place
                      : isList && i < list->items.size() ? list->items[i].place
                                                         : placeOf(node + "._component_"),
                      configs[i]});
    }
  };
  std::vector<const DatasetConfig *> trained = {&recipe.dataset}, judged;
  for (const DatasetConfig &set : recipe.moreDatasets)
    trained.push_back(&set);
  for (const DatasetConfig &set : recipe.heldOut)
    judged.push_back(&set);
  add("dataset", trained);
  add("dataset_val", judged);
  const auto unlike = std::find_if(sets.begin(), sets.end(), [&](const Set &set) {
    return set.config->isPreference() != recipe.preference.has_value();
  });
  const bool isKnown = !recipe.dataset.component.empty(); // else its errors are told
  const std::string usual = "torchtune.datasets.preference_dataset";
  if (!recipe.preference) {
    if (unlike != sets.end())
      messages.error(unlike->place,
                     "'" + unlike->config->component + "' gives pairs of answers, and " + named("loss._component_") +
                         ", " + recipe.lossComponent +
                         ", takes one; for preference optimization set loss=torchtune.rlhf.loss.DPOLoss, else " +
                         unlike->name + "=torchtune.datasets.chat_dataset");
    return;
  }
  if (isKnown && unlike != sets.end()) {
    const std::string key = unlike->name + "._component_";
    messages.error(unlike->place, (unlike->name.ends_with("]") ? "'" + key + "'" : named(key)) + " is " +
                                      unlike->config->component + ", and " + recipe.lossComponent +
                                      " takes pairs of answers; set " + unlike->name + "=" + usual +
                                      " (or stack_exchange_paired_dataset, hh_rlhf_helpful_dataset)");
  }
}

void Reader::reference() {
  static constexpr const char *checkpointerNode = "ref_checkpointer", *quantizerKey = "ref_quantizer";
  // A model whose component is an error may have been meant to have adapters.
  const bool hasAdapters = recipe.lora || (components.count("model") && isLoraBuilder(components.at("model")));
  if (!recipe.preference || hasAdapters) {
    for (const char *path : {checkpointerNode, quantizerKey})
      if (given(path)) {
        messages.error(placeOf(path),
                       named(path) +
                           (recipe.preference
                                ? " is about a reference with weights of its own, and with adapters it is the same "
                                  "frozen weights without them; name a builder without adapters for " +
                                      named("model._component_")
                                : " is about what a loss of preferences compares with, and " +
                                      named("loss._component_") + ", " + recipe.lossComponent +
                                      ", is none; set loss=torchtune.rlhf.loss.DPOLoss, with pairs of answers") +
                           ", or remove it (~" + path + ")");
        return;
      }
    return;
  }
  if (!components.count("model"))
    return;
  ReferenceConfig &r = recipe.reference.emplace();
  Recipe aside = readAside({{"checkpointer", checkpointerNode}});
  r.checkpointer.checkpointDir = aside.checkpointer.checkpointDir;
  r.checkpointer.checkpointFiles = aside.checkpointer.checkpointFiles;
  std::string name;
  text(quantizerKey, name);
  if (name.empty())
    return;
  r.quantized = nf4Quantizer(quantizerKey, name);
  if (r.quantized)
    fitsQuantizer(quantizerKey, quantizerKey, *r.quantized);
}

} // namespace ftc::config

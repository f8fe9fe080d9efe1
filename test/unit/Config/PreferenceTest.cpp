//===- PreferenceTest.cpp - Recipes of preference optimization ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

using namespace ftc;

/// What makes of the minimal recipe one of preferences, and `more`.
static std::vector<std::string> pairs(const std::vector<std::string> &more = {}) {
  std::vector<std::string> overrides = {"model=torchtune.models.llama3_1.lora_llama3_1",
                                        "model.lora_attn_modules=[q_proj]", "loss=torchtune.rlhf.loss.DPOLoss",
                                        "dataset=torchtune.datasets.stack_exchange_paired_dataset"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

TEST(Preferences, DefaultsAreTorchtunes) {
  Recipe r = good(minimal, pairs({"batch_size=3"}));
  ASSERT_TRUE(r.preference.has_value());
  EXPECT_EQ(*r.preference, (PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.1, 0.0}));
  EXPECT_EQ(r.rowsOfBatch(), 6);
  EXPECT_TRUE(r.chunksLoss());
  EXPECT_TRUE(r.dataset.isPreference());
  EXPECT_EQ(r.dataset.promptKey, "question");
  EXPECT_EQ(r.dataset.chosenKey, "response_j");
  EXPECT_EQ(r.dataset.rejectedKey, "response_k");
  EXPECT_FALSE(r.dataset.trainOnInput);
  EXPECT_FALSE(r.dataset.packed);
  EXPECT_EQ(good(minimal).rowsOfBatch(), 1);
}

TEST(Preferences, ValuesComeBackFromTheNormalForm) {
  Recipe r = good(minimal, pairs({"loss.beta=0.25", "loss.label_smoothing=0.125", "loss.num_output_chunks=3",
                                  "dataset.column_map={prompt: q, chosen: a, rejected: response_k}"}));
  Recipe again = good(r.normalizedYaml);
  for (const Recipe &each : {r, again}) {
    EXPECT_EQ(*each.preference, (PreferenceConfig{PreferenceConfig::Kind::Sigmoid, 0.25, 0.125}));
    EXPECT_EQ(each.lossChunks, 3);
    EXPECT_EQ(each.dataset.promptKey + each.dataset.chosenKey + each.dataset.rejectedKey, "qaresponse_k");
  }
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);

  r = good(minimal, pairs({"loss=torchtune.rlhf.loss.RSOLoss", "loss.gamma=0.5",
                           "dataset=torchtune.datasets.preference_dataset", "dataset.new_system_prompt=Hi",
                           "dataset.column_map={chosen: better, rejected: worse}", "dataset.train_on_input=True"}));
  EXPECT_EQ(*r.preference, (PreferenceConfig{PreferenceConfig::Kind::Hinge, 0.5, 0.0}));
  EXPECT_EQ(r.dataset.chosenKey, "better");
  EXPECT_EQ(r.dataset.systemPrompt, "Hi");
  EXPECT_TRUE(r.dataset.trainOnInput);
  EXPECT_EQ(good(r.normalizedYaml).preference, r.preference);
  EXPECT_EQ(good(r.normalizedYaml).normalizedYaml, r.normalizedYaml);
}

TEST(Preferences, WhatIsRefused) {
  EXPECT_TRUE(contains(
      errors(minimal, {"loss=torchtune.rlhf.loss.DPOLoss", "dataset=torchtune.datasets.hh_rlhf_helpful_dataset"}),
      "'torchtune.rlhf.loss.DPOLoss' compares the model with itself as it was before, which is the one "
      "without adapters: full fine-tuning, which needs a second model for that, is not built; name a "
      "LoRA builder for 'model._component_' (line 2), such as"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"dataset=torchtune.datasets.chat_dataset"})),
                       "'dataset._component_' (command line) is torchtune.datasets.chat_dataset, and "
                       "torchtune.rlhf.loss.DPOLoss takes pairs of answers; set "
                       "dataset=torchtune.datasets.preference_dataset"));
  EXPECT_TRUE(
      contains(errors(minimal, {"dataset=torchtune.datasets.preference_dataset"}),
               "'torchtune.datasets.preference_dataset' gives pairs of answers, and 'loss._component_' (absent), "
               "torch.nn.CrossEntropyLoss, takes one; for preference optimization set "
               "loss=torchtune.rlhf.loss.DPOLoss and a LoRA builder"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"dataset.packed=True"})),
                       "'dataset.packed' (command line) is True, and pairs of answers are not packed, as in torchtune: "
                       "each answer is a row; set dataset.packed=False"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"loss.beta=0"})), "'loss.beta' is 0; it must be above 0 and finite"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"loss.label_smoothing=1"})),
                       "'loss.label_smoothing' is 1; it must be at least 0 and below 1"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"loss.gamma=1"})),
                       "'loss.gamma' is not an argument of torchtune.rlhf.loss.DPOLoss"));
  EXPECT_TRUE(contains(
      errors(minimal, pairs({"dataset=torchtune.datasets.preference_dataset", "dataset.column_map={prompt: q}"})),
      "'dataset.column_map.prompt' is nothing that torchtune.datasets.preference_dataset reads"));
  EXPECT_TRUE(contains(errors(minimal, pairs({"dataset.column=text"})), "'dataset.column' is not an argument of"));
  EXPECT_TRUE(contains(errors(minimal, {"loss.label_smoothing=0.1"}),
                       "'loss.label_smoothing' is 0.1; it must be 0: smoothing of cross-entropy is not built yet"));
}

TEST(Preferences, ListsAndHeldOutSets) {
  const std::string pair = "{_component_: torchtune.datasets.preference_dataset}";
  const std::string chat = "{_component_: torchtune.datasets.chat_dataset}";
  const std::string text = std::string(minimal) + "dataset: [" + pair + ", " + pair +
                           "]\ndataset_val: {data_files: v.jsonl, " + pair.substr(1) + "\n";
  std::vector<std::string> overrides = pairs();
  overrides.pop_back(); // the data set
  Recipe r = good(text, overrides);
  EXPECT_TRUE(r.moreDatasets.at(0).isPreference());
  EXPECT_TRUE(r.heldOut.at(0).isPreference());
  EXPECT_EQ(good(r.normalizedYaml).normalizedYaml, r.normalizedYaml);
  for (const std::string &wrong :
       {"dataset: [" + pair + ", " + chat + "]\n", "dataset: " + pair + "\ndataset_val: " + chat + "\n"})
    EXPECT_TRUE(contains(errors(minimal + wrong, overrides),
                         "is torchtune.datasets.chat_dataset, and torchtune.rlhf.loss.DPOLoss takes pairs of answers"));
  // The node is named, and its place.
  EXPECT_TRUE(
      contains(errors(minimal + ("dataset: " + pair + "\ndataset_val: " + chat + "\n"), overrides),
               "r.yaml:12:15: error: 'dataset_val._component_' (line 12) is torchtune.datasets.chat_dataset, and "
               "torchtune.rlhf.loss.DPOLoss takes pairs of answers; set "
               "dataset_val=torchtune.datasets.preference_dataset"));
  EXPECT_TRUE(contains(errors(minimal + ("dataset:\n  - " + pair + "\n  - " + chat + "\n"), overrides),
                       "r.yaml:13:6: error: 'dataset[1]._component_' is torchtune.datasets.chat_dataset, and "));
  EXPECT_TRUE(contains(errors(minimal + ("dataset: " + chat + "\ndataset_val: [" + chat + ", " + pair + "]\n")),
                       "r.yaml:12:64: error: 'torchtune.datasets.preference_dataset' gives pairs of answers, and "));
  EXPECT_TRUE(contains(errors(minimal + ("dataset: " + chat + "\ndataset_val: " + pair + "\n")),
                       "else dataset_val=torchtune.datasets.chat_dataset"));
}

// Data may be others when the step runs; the loss is compiled.
TEST(Preferences, OverridesOfARun) {
  Recipe r = good(minimal, pairs());
  std::vector<Diagnostic> diags;
  auto other = overrideRun(r.normalizedYaml, {"dataset=torchtune.datasets.preference_dataset"}, diags);
  ASSERT_TRUE(other.has_value()) << diags.front().str();
  EXPECT_EQ(other->dataset.chosenKey, "chosen");
  EXPECT_FALSE(overrideRun(r.normalizedYaml, {"loss.beta=0.2"}, diags).has_value());
  EXPECT_TRUE(contains(diags.back().str(), "'loss.beta' is compiled into the step and cannot change here"));
  EXPECT_FALSE(overrideRun(r.normalizedYaml, {"dataset=torchtune.datasets.chat_dataset"}, diags).has_value());
  EXPECT_TRUE(contains(diags.back().str(), "takes pairs of answers"));
}

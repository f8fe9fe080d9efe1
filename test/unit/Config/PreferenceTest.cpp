//===- PreferenceTest.cpp - Recipes of preference optimization ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "ftc/Config/TrainingValues.h"

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
  EXPECT_TRUE(contains(errors(minimal, pairs({"dataset=torchtune.datasets.chat_dataset"})),
                       "'dataset._component_' (command line) is torchtune.datasets.chat_dataset, and "
                       "torchtune.rlhf.loss.DPOLoss takes pairs of answers; set "
                       "dataset=torchtune.datasets.preference_dataset"));
  EXPECT_TRUE(
      contains(errors(minimal, {"dataset=torchtune.datasets.preference_dataset"}),
               "'torchtune.datasets.preference_dataset' gives pairs of answers, and 'loss._component_' (absent), "
               "torch.nn.CrossEntropyLoss, takes one; for preference optimization set "
               "loss=torchtune.rlhf.loss.DPOLoss, else dataset=torchtune.datasets.chat_dataset"));
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

/// What makes of the minimal recipe one of preferences in which all weights are trained, and `more`.
static std::vector<std::string> fullPairs(const std::vector<std::string> &more = {}) {
  std::vector<std::string> overrides = {"loss=torchtune.rlhf.loss.DPOLoss",
                                        "dataset=torchtune.datasets.stack_exchange_paired_dataset"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

TEST(References, AreThereWhereAllWeightsAreTrained) {
  EXPECT_FALSE(good(minimal).reference.has_value());
  EXPECT_FALSE(good(minimal, pairs()).reference.has_value());
  Recipe r = good(minimal, fullPairs());
  ASSERT_TRUE(r.reference.has_value());
  EXPECT_EQ(*r.reference, ReferenceConfig());
  EXPECT_EQ(&r.referenceCheckpointer(), &r.checkpointer);
  // Nothing is written that nobody gave: the reference follows an override of what is trained.
  EXPECT_FALSE(contains(r.normalizedYaml, "ref_"));
  std::vector<Diagnostic> diags;
  std::optional<Recipe> run = overrideRun(r.normalizedYaml, {"checkpointer.checkpoint_dir=models/x"}, diags);
  ASSERT_TRUE(run.has_value()) << diags.front().str();
  EXPECT_EQ(run->referenceCheckpointer().checkpointDir, "models/x");
}

// As in torchtune's 8B_full_dpo: what says how to write is read, and nothing is written.
TEST(References, TakeTorchtunesKeys) {
  const std::string text = std::string(minimal) + "output_dir: out\n"
                                                  "ref_checkpointer:\n"
                                                  "  _component_: torchtune.training.FullModelHFCheckpointer\n"
                                                  "  checkpoint_dir: models/before\n"
                                                  "  checkpoint_files: [a.safetensors, b.safetensors]\n"
                                                  "  recipe_checkpoint: null\n"
                                                  "  output_dir: ${output_dir}\n"
                                                  "  model_type: LLAMA3\n"
                                                  "custom_sharded_layers: [tok_embeddings]\n";
  Recipe r = good(text, fullPairs({"ref_quantizer=bitsandbytes"}));
  for (const Recipe &each : {r, good(r.normalizedYaml)}) {
    ASSERT_TRUE(each.reference.has_value());
    EXPECT_EQ(each.referenceCheckpointer().checkpointDir, "models/before");
    EXPECT_EQ(each.referenceCheckpointer().checkpointFiles,
              (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
    EXPECT_EQ(each.reference->quantized, Nf4Quantizer::Bitsandbytes);
    EXPECT_EQ(each.normalizedYaml, r.normalizedYaml);
    EXPECT_TRUE(each.checkpointer.checkpointDir.empty());
  }
  // A run may read it elsewhere; how it is stored is compiled.
  std::vector<Diagnostic> diags;
  std::optional<Recipe> run = overrideRun(r.normalizedYaml, {"ref_checkpointer.checkpoint_dir=models/y"}, diags);
  ASSERT_TRUE(run.has_value()) << diags.front().str();
  EXPECT_EQ(run->referenceCheckpointer().checkpointDir, "models/y");
  run = overrideRun(r.normalizedYaml, {"ref_checkpointer=null"}, diags);
  ASSERT_TRUE(run.has_value()) << diags.front().str();
  EXPECT_EQ(&run->referenceCheckpointer(), &run->checkpointer);
  EXPECT_FALSE(overrideRun(r.normalizedYaml, {"ref_quantizer=null"}, diags).has_value());
  EXPECT_TRUE(contains(diags.back().str(), "'ref_quantizer' is compiled into the step and cannot change here"));
}

TEST(References, WhatIsRefused) {
  // Adapters have no second model, and other losses nothing to compare with.
  const std::string text = std::string(minimal) + "ref_checkpointer: {checkpoint_dir: models/before}\n";
  EXPECT_EQ(errors(text, pairs()),
            "r.yaml:11:1: error: 'ref_checkpointer' (line 11) is about a reference with weights of its own, and with "
            "adapters it is the same frozen weights without them; name a builder without adapters for "
            "'model._component_' (command line), or remove it (~ref_checkpointer)");
  EXPECT_EQ(errors(text),
            "r.yaml:11:1: error: 'ref_checkpointer' (line 11) is about what a loss of preferences compares with, and "
            "'loss._component_' (absent), torch.nn.CrossEntropyLoss, is none; set loss=torchtune.rlhf.loss.DPOLoss, "
            "with pairs of answers, or remove it (~ref_checkpointer)");
  EXPECT_TRUE(contains(errors(minimal, {"ref_quantizer=torchao"}),
                       "error: 'ref_quantizer' (command line) is about what a loss of preferences compares with"));
  // Errors of the node have its name and place.
  EXPECT_TRUE(contains(errors(minimal, fullPairs({"ref_checkpointer=models/before"})),
                       "unknown component 'models/before' for 'ref_checkpointer'; what works: "
                       "torchtune.training.FullModelHFCheckpointer"));
  EXPECT_TRUE(contains(errors(std::string(minimal) + "ref_checkpointer: models/before\n", fullPairs()),
                       "r.yaml:11:19: error: 'ref_checkpointer' needs the keys of 'checkpointer', not 'models/before'; "
                       "write 'ref_checkpointer: {_component_: models/before}'"));
  EXPECT_TRUE(contains(errors(std::string(minimal) + "ref_checkpointer:\n  checkpoint_dri: a\n", fullPairs()),
                       "r.yaml:12:3: error: unknown key 'ref_checkpointer.checkpoint_dri'; did you mean "
                       "'ref_checkpointer.checkpoint_dir'?"));
  EXPECT_TRUE(contains(errors(minimal, fullPairs({"ref_checkpointer={checkpoint_files: [a.safetensors]}"})),
                       "'ref_checkpointer.checkpoint_files' (command line) needs "
                       "'ref_checkpointer.checkpoint_dir' (absent), the folder that holds them"));
  EXPECT_TRUE(contains(errors(text, fullPairs({"output_dir=models/before/out"})),
                       "'output_dir' (command line) lies inside 'ref_checkpointer.checkpoint_dir' (line 11), "
                       "'models/before'; write somewhere else"));
  EXPECT_TRUE(contains(errors(minimal, fullPairs({"ref_quantizer=torchoa"})),
                       "'ref_quantizer' is 'torchoa'; it must be torchao or bitsandbytes; did you mean 'torchao'?"));
  EXPECT_TRUE(contains(errors(minimal, fullPairs({"ref_quantizer=torchao"})),
                       "'ref_quantizer' (command line): q_proj has 64 x 64 elements, no multiple of 16384 as "
                       "torchao's NF4 needs; set ref_quantizer=bitsandbytes, which takes any size"));
}

// What a checkpoint notes of its recipe tells whether the reference is kept in the same form.
TEST(References, FormIsNotedInCheckpoints) {
  Recipe r = good(minimal, fullPairs({"ref_quantizer=bitsandbytes", "ref_checkpointer={checkpoint_dir: models/a}"}));
  const std::map<std::string, std::string> values = trainingValues(r);
  EXPECT_EQ(values.at("ref_quantizer"), "bitsandbytes");
  EXPECT_EQ(values.count("ref_checkpointer"), 0u);
}

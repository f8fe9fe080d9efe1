//===- DatasetsTest.cpp - What is trained and what is held out ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "ftc/Config/Datasets.h"

using namespace ftc;

namespace {

const std::string chats = std::string(minimal) + "dataset:\n"
                                                 "  _component_: torchtune.datasets.chat_dataset\n"
                                                 "  conversation_style: sharegpt\n"
                                                 "  conversation_column: turns\n"
                                                 "  data_files: train.jsonl\n"
                                                 "  packed: True\n";

TEST(HeldOut, IsAbsentUnlessGiven) {
  const Recipe r = good(chats);
  EXPECT_TRUE(r.heldOut.empty());
  EXPECT_EQ(r.valEveryNSteps, 0);
  EXPECT_TRUE(good(chats + "dataset_val: null\nrun_val_every_n_steps: null\nbatch_size_val: null\n").heldOut.empty());
}

TEST(HeldOut, IsReadAsTheDataSetWithoutAComponent) {
  const Recipe r = good(chats + "dataset_val:\n  data_files: held.jsonl\n  packed: False\nrun_val_every_n_steps: 5\n");
  ASSERT_EQ(r.heldOut.size(), 1u);
  DatasetConfig same = r.dataset;
  same.dataFiles = {"held.jsonl"};
  same.packed = false;
  EXPECT_EQ(r.heldOut[0], same);
  EXPECT_EQ(r.valEveryNSteps, 5);
  // The files of one are not those of the other.
  EXPECT_EQ(good(chats + "dataset_val: {packed: True}\n").heldOut.at(0).dataFiles, std::vector<std::string>());
  // A remark about a key of both is given once.
  const std::string named = chats + "  name: other\ndataset_val: {data_files: held.jsonl}\n";
  EXPECT_EQ(remarks(good(named)),
            "r.yaml:17:3: remark: 'dataset.name' is without effect: nothing is downloaded; `ftrun "
            "--data` names the files");
}

TEST(HeldOut, WithAComponentItStandsAlone) {
  const Recipe r = good(chats + "dataset_val: {_component_: torchtune.datasets.alpaca_dataset, data_files: held.json, "
                                "column_map: {output: answer}}\n");
  ASSERT_EQ(r.heldOut.size(), 1u);
  EXPECT_EQ(r.heldOut[0].component, "torchtune.datasets.alpaca_dataset");
  EXPECT_EQ(r.heldOut[0].outputKey, "answer");
  EXPECT_EQ(r.heldOut[0].conversationStyle, "openai");
  EXPECT_FALSE(r.heldOut[0].packed);
}

TEST(HeldOut, NormalFormReadsBackEqual) {
  for (const char *val :
       {"dataset_val: {data_files: 'a \"b\".jsonl'}\n",
        "dataset_val: {_component_: torchtune.datasets.instruct_dataset, new_system_prompt: '\\${x}, {y}: z', "
        "column_map: {input: in, output: out}}\n",
        "dataset_val: {_component_: torchtune.datasets.text_completion_dataset, add_eos: False}\n"}) {
    const Recipe r = good(chats + "run_val_every_n_steps: 7\n" + val);
    const Recipe again = good(r.normalizedYaml);
    EXPECT_EQ(again.heldOut, r.heldOut);
    EXPECT_EQ(again.valEveryNSteps, 7);
    EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  }
}

TEST(HeldOut, BelongsToARun) {
  std::vector<Diagnostic> diags;
  const std::string step = good(chats).normalizedYaml;
  std::optional<Recipe> r = overrideRun(step, {"run_val_every_n_steps=3", "dataset_val.data_files=held.jsonl"}, diags);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->valEveryNSteps, 3);
  EXPECT_EQ(r->heldOut.at(0).dataFiles, std::vector<std::string>{"held.jsonl"});
  EXPECT_EQ(r->heldOut.at(0).column, "turns");
  r = overrideRun(r->normalizedYaml, {"~dataset_val", "run_val_every_n_steps=null"}, diags);
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->heldOut.empty());
  EXPECT_EQ(r->valEveryNSteps, 0);
}

TEST(HeldOut, FollowsAnOverrideOfTheDataSet) {
  const Recipe step = good(minimal + std::string("dataset: {_component_: torchtune.datasets.chat_dataset, packed: "
                                                 "False, new_system_prompt: Hi, split: 'train[:80%]'}\n"
                                                 "dataset_val: {split: 'train[80%:]', new_system_prompt: null}\n"));
  EXPECT_EQ(step.heldOut.at(0).systemPrompt, std::nullopt);
  EXPECT_EQ(good(step.normalizedYaml).heldOut, step.heldOut);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> r =
      overrideRun(step.normalizedYaml, {"dataset.train_on_input=True", "dataset.new_system_prompt=Ho"}, diags);
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->heldOut.at(0).trainOnInput);
  EXPECT_EQ(r->heldOut.at(0).systemPrompt, std::nullopt) << "it was given";
  EXPECT_EQ(r->heldOut.at(0).slice, (DataSlice{80, std::nullopt, true}));
  // It follows another component too, unless it has its own: then values that nobody gave give way.
  r = overrideRun(good(chats + "dataset_val: [{split: 'train[80%:]'}, {packed: False}]\n").normalizedYaml,
                  {"dataset.packed=False", "dataset.conversation_column=other"}, diags);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->heldOut.at(0).column, "other");
  EXPECT_FALSE(r->heldOut.at(0).packed);
  const std::string text = "torchtune.datasets.text_completion_dataset", chat = "torchtune.datasets.chat_dataset";
  for (const std::string &val :
       {std::string("data_files: v.jsonl"), "_component_: " + chat + ", data_files: v.jsonl"}) {
    const Recipe like = good(chats + "dataset_val: {" + val + "}\n");
    r = overrideRun(like.normalizedYaml, {"dataset_val=" + text}, diags);
    ASSERT_TRUE(r) << diags.back().str();
    EXPECT_EQ(r->heldOut.at(0).component, text);
    EXPECT_EQ(r->heldOut.at(0).dataFiles, std::vector<std::string>{"v.jsonl"});
    EXPECT_EQ(r->dataset.component, chat);
  }
  // What the data set and dataset_val say in other words of the same.
  r = overrideRun(
      good(chats + "  train_on_input: True\ndataset_val: {masking_strategy: train_on_last}\n").normalizedYaml, {},
      diags);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->heldOut.at(0).masking, MaskingStrategy::TrainOnLast);
  EXPECT_TRUE(r->dataset.trainOnInput);
}

TEST(HeldOut, ItsBatchSizeIsWithoutEffect) {
  EXPECT_EQ(
      remarks(good(chats + "batch_size_val: 8\n")),
      "r.yaml:17:1: remark: 'batch_size_val' is without effect: the held-out loss is the mean over all its labels, "
      "whatever the batch; it is computed in batches of `batch_size`");
}

TEST(HeldOut, ErrorsHaveItsName) {
  EXPECT_EQ(errors(chats + "dataset_val: held.jsonl\n"),
            "r.yaml:17:14: error: 'dataset_val' needs the keys of a data set, as in 'dataset_val: {data_files: "
            "held_out.jsonl}', not 'held.jsonl'");
  EXPECT_EQ(errors(chats + "dataset_val:\n  pakced: True\n"),
            "r.yaml:18:3: error: unknown key 'dataset_val.pakced'; did you mean 'dataset_val.packed'?");
  EXPECT_EQ(errors(chats + "dataset_val:\n  packed: 3\n"),
            "r.yaml:18:11: error: 'dataset_val.packed' needs True or False, not '3'");
  EXPECT_EQ(
      errors(chats + "dataset_val:\n  _component_: torchtune.datasets.chat_datasets\n"),
      "r.yaml:18:16: error: 'torchtune.datasets.chat_datasets' is not built yet; what works: override "
      "dataset_val._component_=torchtune.datasets.text_completion_dataset or torchtune.datasets.chat_dataset, and "
      "name the files with dataset_val.data_files=PATH or ftrun --data; others that are built: "
      "torchtune.datasets.instruct_dataset, torchtune.datasets.alpaca_dataset, "
      "torchtune.datasets.alpaca_cleaned_dataset, torchtune.datasets.grammar_dataset, "
      "torchtune.datasets.samsum_dataset, torchtune.datasets.slimorca_dataset, torchtune.datasets.wikitext_dataset, "
      "torchtune.datasets.cnn_dailymail_articles_dataset, torchtune.datasets.preference_dataset, "
      "torchtune.datasets.stack_exchange_paired_dataset, torchtune.datasets.hh_rlhf_helpful_dataset");
  EXPECT_EQ(errors(chats + "dataset_val: {_component_: torchtune.datasets.alpaca_dataset, column: text}\n"),
            "r.yaml:17:63: error: 'dataset_val.column' is not an argument of torchtune.datasets.alpaca_dataset; remove "
            "it (~dataset_val.column)");
  EXPECT_EQ(errors(chats + "run_val_every_n_steps: 0\n"),
            "r.yaml:17:24: error: 'run_val_every_n_steps' is 0; it must be at least 1");
  // What is wrong in the data set is told once.
  EXPECT_EQ(errors(chats + "  pakced: True\ndataset_val: {data_files: a}\n"),
            "r.yaml:17:3: error: unknown key 'dataset.pakced'; did you mean 'dataset.packed'?");
}

const std::string two = std::string(minimal) + "dataset:\n"
                                               "  - _component_: torchtune.datasets.chat_dataset\n"
                                               "    data_files: [a.jsonl, b.jsonl]\n"
                                               "    packed: True\n"
                                               "  - _component_: torchtune.datasets.alpaca_dataset\n"
                                               "    split: train[:10%]\n"
                                               "    packed: True\n";

TEST(Datasets, AListIsReadNodeByNode) {
  const Recipe r = good(two + "dataset_val:\n  - {_component_: torchtune.datasets.chat_dataset, data_files: c.jsonl}\n"
                              "  - {_component_: torchtune.datasets.alpaca_dataset, data_files: d.json}\n");
  EXPECT_EQ(r.dataset.component, "torchtune.datasets.chat_dataset");
  EXPECT_EQ(r.dataset.dataFiles, (std::vector<std::string>{"a.jsonl", "b.jsonl"}));
  ASSERT_EQ(r.moreDatasets.size(), 1u);
  EXPECT_EQ(r.moreDatasets[0].component, "torchtune.datasets.alpaca_dataset");
  EXPECT_TRUE(r.moreDatasets[0].trainOnInput);
  EXPECT_TRUE(r.moreDatasets[0].packed);
  EXPECT_EQ(r.moreDatasets[0].slice, (DataSlice{std::nullopt, 10, true}));
  ASSERT_EQ(r.heldOut.size(), 2u);
  EXPECT_EQ(r.heldOut[1].dataFiles, std::vector<std::string>{"d.json"});
  const Recipe again = good(r.normalizedYaml);
  EXPECT_EQ(again.dataset, r.dataset);
  EXPECT_EQ(again.moreDatasets, r.moreDatasets);
  EXPECT_EQ(again.heldOut, r.heldOut);
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
}

TEST(Datasets, AListOfOneIsThatNode) {
  const Recipe r = good(std::string(minimal) + "dataset: [{packed: True, data_files: x}]\n");
  EXPECT_EQ(r.normalizedYaml, good(std::string(minimal) + "dataset: {packed: True, data_files: x}\n").normalizedYaml);
}

TEST(Datasets, AListMayComeFromTheCommandLine) {
  std::vector<Diagnostic> diags;
  std::optional<Recipe> r = overrideRun(good(two).normalizedYaml, {"dataset=[{data_files: x},{data_files: y}]"}, diags);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->dataset.dataFiles, std::vector<std::string>{"x"});
  ASSERT_EQ(r->moreDatasets.size(), 1u);
  EXPECT_EQ(r->moreDatasets[0].component, "torchtune.datasets.text_completion_dataset");
  EXPECT_FALSE(overrideRun(good(two).normalizedYaml, {"dataset.packed=True"}, diags));
  EXPECT_EQ(diags.back().str(), "<command line>:1:1: error: cannot set 'dataset.packed': 'dataset' is a list; give the "
                                "whole list, as in key=[a,b]");
}

TEST(Datasets, ErrorsOfAListNameItsNodes) {
  EXPECT_EQ(
      errors(std::string(minimal) + "dataset:\n  - packed: True\n  - packed: False\n"),
      "r.yaml:13:5: error: 'dataset[1].packed' is False, and that of 'dataset[0]' is not: packed and unpacked data "
      "sets are not joined, as in torchtune; set both alike");
  EXPECT_EQ(errors(std::string(minimal) + "dataset:\n  - packed: True\n  - pakced: True\n"),
            "r.yaml:13:5: error: unknown key 'dataset[1].pakced'; did you mean 'dataset[1].packed'?");
  EXPECT_EQ(errors(std::string(minimal) + "dataset: []\n"),
            "r.yaml:11:10: error: 'dataset' is an empty list; name a data set, or remove it (~dataset)");
  EXPECT_EQ(
      errors(std::string(minimal) + "dataset: [a.jsonl, 3]\n"),
      "r.yaml:11:11: error: 'dataset[0]' needs keys of its own, not 'a.jsonl'; write a node {_component_: ...} for "
      "each data set\n"
      "r.yaml:11:20: error: 'dataset[1]' needs keys of its own, not '3'; write a node {_component_: ...} for each "
      "data set");
}

TEST(Datasets, Slices) {
  const auto split = [](const std::string &text) {
    return std::string(minimal) + "dataset: {split: '" + text + "'}\n";
  };
  EXPECT_EQ(good(split("train_sft")).dataset.split, "train_sft");
  EXPECT_EQ(good(split("train[-5:]")).dataset.slice, (DataSlice{-5, std::nullopt, false}));
  EXPECT_TRUE(good(split("train[:]")).dataset.slice.isWhole());
  for (const char *text : {"train[10%:20%]", "train[5:]", "validation[:-3]"})
    EXPECT_TRUE(contains(good(split(text)).normalizedYaml, std::string("  split: \"") + text + "\"\n"));
  for (const char *text :
       {"[:5]", "train[5]", "train[:5", "train[:5]]", "train[a:b]", "train[:101%]", "train[-101%:]",
        "train[:99999999999999999999]", "train[:5%%]", "train[::2]", "train+test", "train[", "train[:5] "})
    EXPECT_TRUE(contains(errors(split(text)), std::string("r.yaml:11:18: error: 'dataset.split' (line 11) is '") +
                                                  text +
                                                  "'; it must be a name, or a name and a slice of the records, such as "
                                                  "train[:95%]"));
}

TEST(Datasets, WhichTurnsAreTrained) {
  const std::string alpaca = std::string(minimal) + "dataset:\n  _component_: torchtune.datasets.alpaca_dataset\n";
  const std::pair<const char *, MaskingStrategy> strategies[] = {
      {"train_on_assistant", MaskingStrategy::TrainOnAssistant},
      {"train_on_all", MaskingStrategy::TrainOnAll},
      {"train_on_last", MaskingStrategy::TrainOnLast}};
  for (const std::string &text : {chats, alpaca})
    for (const auto &[name, strategy] : strategies) {
      const Recipe r = good(text + "  masking_strategy: " + name + "\n");
      EXPECT_EQ(r.dataset.masking, strategy);
      EXPECT_FALSE(r.dataset.trainOnInput);
      EXPECT_EQ(good(r.normalizedYaml).dataset, r.dataset) << r.normalizedYaml;
    }
  EXPECT_TRUE(good(alpaca).dataset.trainOnInput);
  EXPECT_EQ(good(chats + "  masking_strategy: train_on_assistant\n  train_on_input: False\n").dataset.masking,
            MaskingStrategy::TrainOnAssistant);
  EXPECT_EQ(errors(chats + "  masking_strategy: train_on_everything\n"),
            "r.yaml:17:21: error: 'dataset.masking_strategy' (line 17) is 'train_on_everything'; it must be "
            "train_on_assistant, train_on_all or train_on_last");
  for (const auto &[name, input] : {std::pair("train_on_all", "False"), std::pair("train_on_last", "True"),
                                    std::pair("train_on_assistant", "True")})
    EXPECT_EQ(errors(chats + "  masking_strategy: " + name + "\n  train_on_input: " + input + "\n"),
              "r.yaml:17:21: error: 'dataset.masking_strategy' (line 17) is '" + std::string(name) +
                  "', and 'dataset.train_on_input' (line 18) is " + input +
                  "; remove one of them (~dataset.train_on_input or ~dataset.masking_strategy)");
  std::vector<Diagnostic> diags;
  const std::optional<Recipe> r = overrideRun(
      good(chats).normalizedYaml, {"dataset.masking_strategy=train_on_last", "~dataset.train_on_input"}, diags);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->dataset.masking, MaskingStrategy::TrainOnLast);
}

// torchtune's builders for data sets of its hub are others with their keys named.
TEST(Datasets, BuildersThatNameTheirKeys) {
  const auto made = [](const std::string &name, const std::string &rest = "") {
    const Recipe r = good(std::string(minimal) + "dataset: {_component_: torchtune.datasets." + name + rest + "}\n");
    EXPECT_EQ(good(r.normalizedYaml).dataset, r.dataset) << r.normalizedYaml;
    EXPECT_EQ(remarks(r), "");
    DatasetConfig d = r.dataset;
    d.component.clear();
    return d;
  };
  EXPECT_EQ(made("samsum_dataset"), made("instruct_dataset", ", column_map: {input: dialogue, output: summary}"));
  EXPECT_EQ(
      made("samsum_dataset", ", column_map: {input: q, output: a}, train_on_input: True, new_system_prompt: x"),
      made("instruct_dataset", ", column_map: {input: q, output: a}, train_on_input: True, new_system_prompt: x"));
  EXPECT_EQ(made("grammar_dataset"), made("instruct_dataset"));
  const std::string sharegpt = ", conversation_style: sharegpt, conversation_column: ";
  EXPECT_EQ(made("slimorca_dataset"), made("chat_dataset", sharegpt + "conversations"));
  EXPECT_EQ(made("slimorca_dataset", ", column_map: {conversations: talk}"), made("chat_dataset", sharegpt + "talk"));
  EXPECT_EQ(made("wikitext_dataset"), made("text_completion_dataset", ", column: page"));
  EXPECT_EQ(made("cnn_dailymail_articles_dataset"), made("text_completion_dataset", ", column: article"));
  const std::string slimorca = std::string(minimal) + "dataset: {_component_: torchtune.datasets.slimorca_dataset, ";
  EXPECT_TRUE(contains(errors(slimorca + "conversation_style: openai}\n"),
                       "'dataset.conversation_style' is not an argument of torchtune.datasets.slimorca_dataset"));
  EXPECT_TRUE(contains(errors(slimorca + "column_map: {input: x}}\n"),
                       "'dataset.column_map.input' is nothing that torchtune.datasets.slimorca_dataset reads; it reads "
                       "conversations"));
  EXPECT_TRUE(
      contains(remarks(good(std::string(minimal) + "dataset: {_component_: torchtune.datasets.wikitext_dataset, "
                                                   "subset: wikitext-2-v1}\n")),
               "'dataset.subset' is without effect"));
}

TEST(Datasets, AColumnAsAnOverride) {
  const std::string text = "torchtune.datasets.text_completion_dataset", chat = "torchtune.datasets.chat_dataset";
  for (const std::string name :
       {"body", "null", "3", "a: b", "x \"y\" \\", "${seed}", "\\${seed}", "[a]", "#", "\t", "é"}) {
    Recipe r = good(minimal, {"dataset=" + text, columnOverride(text, name)});
    EXPECT_EQ(r.dataset.column, name);
    r = good(minimal, {"dataset=" + chat, "dataset.packed=False", columnOverride(chat, name)});
    EXPECT_EQ(r.dataset.column, name);
  }
  EXPECT_EQ(columnOverride("torchtune.datasets.alpaca_dataset", "x"), "");
  EXPECT_EQ(columnOverride("torchtune.datasets.preference_dataset", "x"), "");
}

} // namespace

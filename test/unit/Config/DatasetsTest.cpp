//===- DatasetsTest.cpp - What is trained and what is held out ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

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
  EXPECT_FALSE(r.heldOut);
  EXPECT_EQ(r.valEveryNSteps, 0);
  EXPECT_FALSE(good(chats + "dataset_val: null\nrun_val_every_n_steps: null\nbatch_size_val: null\n").heldOut);
}

TEST(HeldOut, IsReadAsTheDataSetWithoutAComponent) {
  const Recipe r = good(chats + "dataset_val:\n  data_files: held.jsonl\n  packed: False\nrun_val_every_n_steps: 5\n");
  ASSERT_TRUE(r.heldOut);
  DatasetConfig same = r.dataset;
  same.dataFiles = "held.jsonl";
  same.packed = false;
  EXPECT_EQ(*r.heldOut, same);
  EXPECT_EQ(r.valEveryNSteps, 5);
  // The files of one are not those of the other.
  EXPECT_EQ(good(chats + "dataset_val: {packed: True}\n").heldOut->dataFiles, "");
  // A remark about a key of both is given once.
  const std::string named = chats + "  name: other\ndataset_val: {data_files: held.jsonl}\n";
  EXPECT_EQ(remarks(good(named)),
            "r.yaml:17:3: remark: 'dataset.name' is without effect: nothing is downloaded; `ftrun "
            "--data` names the files");
}

TEST(HeldOut, WithAComponentItStandsAlone) {
  const Recipe r = good(chats + "dataset_val: {_component_: torchtune.datasets.alpaca_dataset, data_files: held.json, "
                                "column_map: {output: answer}}\n");
  ASSERT_TRUE(r.heldOut);
  EXPECT_EQ(r.heldOut->component, "torchtune.datasets.alpaca_dataset");
  EXPECT_EQ(r.heldOut->outputKey, "answer");
  EXPECT_EQ(r.heldOut->conversationStyle, "openai");
  EXPECT_FALSE(r.heldOut->packed);
}

TEST(HeldOut, NormalFormReadsBackEqual) {
  for (const char *val :
       {"dataset_val: {data_files: 'a \"b\".jsonl'}\n",
        "dataset_val: {_component_: torchtune.datasets.instruct_dataset, new_system_prompt: '\\${x}, {y}: z', "
        "column_map: {input: in, output: out}}\n",
        "dataset_val: {_component_: torchtune.datasets.text_completion_dataset, add_eos: False}\n"}) {
    const Recipe r = good(chats + "run_val_every_n_steps: 7\n" + val);
    const Recipe again = good(r.normalizedYaml);
    ASSERT_TRUE(again.heldOut);
    EXPECT_EQ(*again.heldOut, *r.heldOut);
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
  EXPECT_EQ(r->heldOut->dataFiles, "held.jsonl");
  EXPECT_EQ(r->heldOut->column, "turns");
  r = overrideRun(r->normalizedYaml, {"~dataset_val", "run_val_every_n_steps=null"}, diags);
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->heldOut);
  EXPECT_EQ(r->valEveryNSteps, 0);
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
      "name the files with dataset_val.data_files=PATH or ftrun --data");
  EXPECT_EQ(errors(chats + "dataset_val: {_component_: torchtune.datasets.alpaca_dataset, column: text}\n"),
            "r.yaml:17:63: error: 'dataset_val.column' is not an argument of torchtune.datasets.alpaca_dataset; remove "
            "it (~dataset_val.column)");
  EXPECT_EQ(errors(chats + "run_val_every_n_steps: 0\n"),
            "r.yaml:17:24: error: 'run_val_every_n_steps' is 0; it must be at least 1");
  // What is wrong in the data set is told once.
  EXPECT_EQ(errors(chats + "  pakced: True\ndataset_val: {data_files: a}\n"),
            "r.yaml:17:3: error: unknown key 'dataset.pakced'; did you mean 'dataset.packed'?");
}

} // namespace

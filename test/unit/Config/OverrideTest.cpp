//===- OverrideTest.cpp - Another component where a recipe named one -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

using namespace ftc;

namespace {

const std::string dataSets = "torchtune.datasets.";

std::optional<Recipe> overridden(const Recipe &recipe, const std::vector<std::string> &overrides, std::string &said) {
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed = overrideRun(recipe.normalizedYaml, overrides, diags);
  said.clear();
  for (const Diagnostic &message : diags)
    said += message.str() + "\n";
  return changed;
}

// A step that was compiled for one data set and is run with another is the same as one compiled for that.
TEST(OverrideComponent, EveryDataSetByEveryOther) {
  const std::vector<std::vector<std::string>> kinds = {
      {"dataset=" + dataSets + "text_completion_dataset"},
      {"dataset=" + dataSets + "chat_dataset"},
      {"dataset=" + dataSets + "chat_dataset", "dataset.conversation_style=sharegpt"},
      {"dataset._component_=" + dataSets + "instruct_dataset"},
      {"dataset={_component_: " + dataSets + "alpaca_dataset}"},
      {"dataset=" + dataSets + "alpaca_cleaned_dataset", "dataset.train_on_input=False"},
      {"dataset=" + dataSets + "samsum_dataset"},
      {"dataset=" + dataSets + "slimorca_dataset"},
      {"dataset=" + dataSets + "wikitext_dataset"}};
  const std::vector<std::string> given = {"", "  packed: True\n", "  source: json\n  data_files: d.json\n"};
  std::string said;
  for (const std::string &more : given)
    for (const auto &from : kinds)
      for (const auto &to : kinds) {
        const std::string name = from[0].substr(from[0].find(dataSets));
        const std::string text = minimal + ("dataset:\n  _component_: " + name.substr(0, name.find('}')) + "\n" + more);
        SCOPED_TRACE(name + " to " + to[0] + " with " + more);
        std::optional<Recipe> changed = overridden(good(text), to, said);
        ASSERT_TRUE(changed) << said;
        EXPECT_EQ(changed->dataset, good(text, to).dataset);
        EXPECT_EQ(changed->normalizedYaml, good(text, to).normalizedYaml);
      }
}

TEST(OverrideComponent, WhatWasGivenStays) {
  const std::string chat = minimal + ("dataset: {_component_: " + dataSets + "chat_dataset, train_on_input: True, ") +
                           "new_system_prompt: Be brief.}\n";
  std::string said;
  std::optional<Recipe> changed = overridden(good(chat), {"dataset=" + dataSets + "instruct_dataset"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_TRUE(changed->dataset.trainOnInput);
  EXPECT_EQ(changed->dataset.systemPrompt, "Be brief.");
  EXPECT_EQ(remarks(*changed), "");
  // A key that the new one does not take is an error where the recipe's author gave it.
  EXPECT_FALSE(overridden(good(chat), {"dataset=" + dataSets + "alpaca_dataset"}, said));
  EXPECT_TRUE(contains(said, "'dataset.new_system_prompt' is not an argument of torchtune.datasets.alpaca_dataset; "
                             "remove it (~dataset.new_system_prompt)"));
  const std::string alpaca =
      minimal + ("dataset: {_component_: " + dataSets + "alpaca_dataset, column_map: {input: ask}}\n");
  changed = overridden(good(alpaca), {"dataset=" + dataSets + "instruct_dataset"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(changed->dataset.inputKey, "ask");
  EXPECT_FALSE(changed->dataset.trainOnInput);
  // The same component is no change.
  changed = overridden(good(alpaca), {"dataset=" + dataSets + "alpaca_dataset"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(changed->dataset, good(alpaca).dataset);
}

TEST(OverrideComponent, AnotherUsualValueIsTold) {
  const Recipe alpaca = good(minimal + ("dataset: {_component_: " + dataSets + "alpaca_dataset}\n"));
  std::string said;
  std::optional<Recipe> changed = overridden(alpaca, {"seed=1", "dataset=" + dataSets + "chat_dataset"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(
      remarks(*changed),
      "<command line>:1:8: remark: 'dataset.train_on_input' is False now, where torchtune.datasets.alpaca_dataset "
      "has True; for that override dataset.train_on_input=True too");
  for (const char *value : {"True", "False"}) {
    changed = overridden(
        alpaca, {std::string("dataset.train_on_input=") + value, "dataset=" + dataSets + "chat_dataset"}, said);
    ASSERT_TRUE(changed) << said;
    EXPECT_EQ(changed->dataset.trainOnInput, *value == 'T');
    EXPECT_EQ(remarks(*changed), "");
  }
  changed = overridden(alpaca, {"~dataset._component_"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(changed->dataset, good(minimal).dataset);
  changed = overridden(alpaca, {"~dataset", "dataset=" + dataSets + "chat_dataset"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_FALSE(changed->dataset.trainOnInput);
}

// A value that nobody gave does not clash with one that says the same in other words.
TEST(OverrideMasking, OneKeyReplacesTheOther) {
  std::string said;
  for (const char *node : {"dataset", "dataset_val"}) {
    const bool isTrained = std::string(node) == "dataset";
    const auto made = [&](const std::string &values) {
      const std::string one = " {_component_: " + dataSets + "chat_dataset" + values + "}\n";
      return good(minimal + ("dataset:" + (isTrained ? one : " {}\n") + (isTrained ? "" : "dataset_val:" + one)));
    };
    const auto of = [&](const Recipe &r) { return isTrained ? r.dataset : r.heldOut.at(0); };
    const std::string strategy = std::string(node) + ".masking_strategy=",
                      older = std::string(node) + ".train_on_input=";
    std::optional<Recipe> changed = overridden(made(""), {strategy + "train_on_last"}, said);
    ASSERT_TRUE(changed) << said;
    EXPECT_EQ(of(*changed).masking, MaskingStrategy::TrainOnLast);
    changed = overridden(made(", masking_strategy: train_on_assistant"), {older + "True"}, said);
    ASSERT_TRUE(changed) << said;
    EXPECT_TRUE(of(*changed).trainOnInput);
    changed = overridden(made(""), {std::string(node) + "={masking_strategy: train_on_all}"}, said);
    ASSERT_TRUE(changed) << said;
    EXPECT_EQ(of(*changed).masking, MaskingStrategy::TrainOnAll);
    // Those that were given do, and the way out works.
    EXPECT_FALSE(overridden(made(", train_on_input: True"), {strategy + "train_on_last"}, said));
    EXPECT_TRUE(contains(said, "remove one of them (~" + std::string(node) + ".train_on_input or ~"));
    EXPECT_TRUE(overridden(made(", train_on_input: True"),
                           {strategy + "train_on_last", "~" + std::string(node) + ".train_on_input"}, said))
        << said;
    EXPECT_FALSE(overridden(made(", masking_strategy: train_on_last"), {older + "True"}, said));
  }
  const Recipe alpaca = good(minimal + ("dataset: {_component_: " + dataSets + "alpaca_dataset}\n"));
  std::optional<Recipe> changed = overridden(alpaca, {"dataset.masking_strategy=train_on_assistant"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_FALSE(changed->dataset.trainOnInput);
}

TEST(OverrideFolders, InsideOfTheOutputFolderFollow) {
  const std::string logger =
      "metric_logger: {_component_: torchtune.training.metric_logging.TensorBoardLogger, log_dir: ";
  const auto moved = [&](const std::string &out, const std::string &logs, const std::string &saved) {
    const Recipe step = good(
        minimal + ("output_dir: " + out + "\n" + logger + logs + "}\ncheckpointer: {output_dir: " + saved + "}\n"));
    std::string said;
    std::optional<Recipe> changed = overridden(step, {"output_dir=new"}, said);
    EXPECT_TRUE(changed) << said;
    EXPECT_EQ(good(step.normalizedYaml).normalizedYaml, step.normalizedYaml);
    return changed ? changed->tensorBoard->logDir + " " + changed->checkpointer.outputDir : "";
  };
  EXPECT_EQ(moved("outx", "'${output_dir}/logs'", "'${output_dir}/ckpt'"), "new/logs new/ckpt");
  EXPECT_EQ(moved("outx", "'${output_dir}'", "'${output_dir}/'"), "new new");
  EXPECT_EQ(moved("outx/", "outx/logs", "'./outx//a/../ckpt/'"), "new/logs new/ckpt");
  EXPECT_EQ(moved("/tmp/o", "/tmp/other", "/tmp/o2"), "/tmp/other /tmp/o2");
  EXPECT_EQ(moved(".", "logs", "../x"), "new/logs ../x");
}

// A scheduler has arguments that must be given, and they stay.
TEST(OverrideComponent, Schedulers) {
  const Recipe warm = good(minimal, {"lr_scheduler.num_warmup_steps=3", "lr_scheduler.num_cycles=2"});
  std::string said;
  std::optional<Recipe> changed =
      overridden(warm, {"lr_scheduler=torchtune.modules.get_cosine_schedule_with_warmup"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(changed->scheduler, warm.scheduler);
  changed = overridden(good(minimal, {"lr_scheduler.num_warmup_steps=3"}),
                       {"lr_scheduler=transformers.get_linear_schedule_with_warmup"}, said);
  ASSERT_TRUE(changed) << said;
  EXPECT_EQ(changed->scheduler.kind, SchedulerConfig::Kind::LinearWithWarmup);
  EXPECT_EQ(changed->scheduler.numWarmupSteps, 3);
}

// What is compiled is overridden before anything is written out.
TEST(OverrideComponent, CompiledOnesTakeNothingOver) {
  const std::vector<std::string> optimizers = {"torch.optim.AdamW", "torch.optim.SGD", "bitsandbytes.optim.PagedAdamW",
                                               "torchao.optim.AdamW8bit"};
  for (const std::string &from : optimizers)
    for (const std::string &to : optimizers) {
      const Recipe changed =
          good(minimal + ("optimizer: {_component_: " + from + ", lr: 0.5, fused: False}\n"), {"optimizer=" + to});
      EXPECT_EQ(changed.optimizer, good(minimal + ("optimizer: {_component_: " + to + ", lr: 0.5}\n")).optimizer)
          << from << " to " << to;
    }
  EXPECT_TRUE(contains(errors(minimal + std::string("optimizer: {_component_: torch.optim.AdamW, eps: 1e-6}\n"),
                              {"optimizer=torch.optim.SGD"}),
                       "'optimizer.eps' is not an argument of torch.optim.SGD; remove it (~optimizer.eps)"));
  const std::string chunked = "torchtune.modules.loss.CEWithChunkedOutputLoss", plain = "torch.nn.CrossEntropyLoss";
  for (const std::string &from : {chunked, plain})
    for (const std::string &to : {chunked, plain}) {
      const Recipe changed = good(minimal + ("loss: {_component_: " + from + "}\n"), {"loss=" + to});
      EXPECT_EQ(changed.normalizedYaml, good(minimal + ("loss: {_component_: " + to + "}\n")).normalizedYaml);
    }
  EXPECT_TRUE(
      contains(errors(minimal + ("loss: {_component_: " + chunked + ", num_output_chunks: 4}\n"), {"loss=" + plain}),
               "'loss.num_output_chunks' is not an argument of torch.nn.CrossEntropyLoss; remove it"));
  const Recipe llama3 = good(minimal, {"tokenizer=torchtune.models.llama3.llama3_tokenizer", "model.vocab_size=512"});
  EXPECT_EQ(good(minimal + std::string("  _component_: torchtune.models.mistral.mistral_tokenizer\n"),
                 {"tokenizer=torchtune.models.llama3.llama3_tokenizer"})
                .normalizedYaml,
            llama3.normalizedYaml);
}

} // namespace

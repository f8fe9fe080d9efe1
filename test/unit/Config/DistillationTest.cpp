//===- DistillationTest.cpp - Recipes of knowledge distillation -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

using namespace ftc;

static const std::string teacherNode =
    "teacher_model={_component_: torchtune.models.qwen2.qwen2, vocab_size: 320, num_layers: 3, num_heads: 4, "
    "num_kv_heads: 2, embed_dim: 96, max_seq_len: 128, tie_word_embeddings: True}";

/// What makes of the minimal recipe one with a teacher, and `more`.
static std::vector<std::string> taught(const std::vector<std::string> &more = {}) {
  std::vector<std::string> overrides = {teacherNode, "model.vocab_size=320"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

TEST(Distillation, DefaultsAreTorchtunes) {
  Recipe r = good(minimal, taught());
  ASSERT_TRUE(r.distillation.has_value());
  const DistillationConfig &d = *r.distillation;
  EXPECT_EQ(d.ratio, 0.5);
  EXPECT_EQ(d.lossComponent, "torchtune.modules.loss.ForwardKLLoss");
  EXPECT_EQ(d.checkpointer.checkpointDir, "");
  EXPECT_EQ(d.teacher.architecture, ModelArchitecture::Qwen2);
  EXPECT_EQ(d.teacher.numLayers, 3);
  EXPECT_EQ(d.teacher.embedDim, 96);
  EXPECT_TRUE(d.teacher.tiedEmbeddings);
  EXPECT_TRUE(d.teacher.qkvBias);
  EXPECT_FALSE(good(minimal).distillation.has_value());
  EXPECT_FALSE(good(minimal, {"teacher_model=null"}).distillation.has_value());
}

TEST(Distillation, ValuesComeBackFromTheNormalForm) {
  Recipe r = good(
      minimal, taught({"kd_ratio=0.25", "loss=torchtune.modules.loss.CEWithChunkedOutputLoss",
                       "kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss", "loss.num_output_chunks=4",
                       "kd_loss.num_output_chunks=4", "teacher_model.rope_base=20000", "output_dir=/o",
                       "teacher_checkpointer={_component_: torchtune.training.FullModelHFCheckpointer, "
                       "checkpoint_dir: /t, output_dir: '${output_dir}', model_type: QWEN2, recipe_checkpoint: null, "
                       "checkpoint_files: {filename_format: 'model-{}-of-{}.safetensors', max_filename: '00002'}}"}));
  Recipe again = good(r.normalizedYaml);
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  EXPECT_EQ(*again.distillation, *r.distillation);
  for (const Recipe &each : {r, again}) {
    EXPECT_EQ(each.distillation->ratio, 0.25);
    EXPECT_EQ(each.distillation->teacher.ropeBase, 20000);
    EXPECT_EQ(each.distillation->checkpointer.checkpointDir, "/t");
    EXPECT_EQ(each.distillation->checkpointer.checkpointFiles,
              (std::vector<std::string>{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}));
    EXPECT_EQ(each.distillation->lossComponent, "torchtune.modules.loss.ForwardKLWithChunkedOutputLoss");
    EXPECT_EQ(each.lossChunks, 4);
    EXPECT_EQ(each.checkpointer.checkpointDir, "");
  }
}

TEST(Distillation, OfARunTheFolderAloneChanges) {
  const std::string yaml = good(minimal, taught({"teacher_checkpointer={checkpoint_dir: /t}"})).normalizedYaml;
  std::vector<Diagnostic> diags;
  std::optional<Recipe> r = overrideRun(yaml, {"teacher_checkpointer.checkpoint_dir=/u"}, diags);
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->distillation->checkpointer.checkpointDir, "/u");
  for (const char *compiled : {"teacher_model.num_layers=2", "teacher_model=torchtune.models.qwen2.qwen2_1_5b",
                               "kd_ratio=0.75", "kd_loss.ignore_index=3"}) {
    diags.clear();
    EXPECT_FALSE(overrideRun(yaml, {compiled}, diags).has_value()) << compiled;
    ASSERT_EQ(diags.size(), 1u);
    const std::string key = std::string(compiled).substr(0, std::string(compiled).find('='));
    EXPECT_TRUE(contains(diags[0].str(), "'" + key + "' is compiled into the step and cannot change here; recompile"))
        << diags[0].str();
  }
}

TEST(Distillation, WhatIsRefused) {
  for (const char *alone :
       {"kd_ratio=0.5", "kd_loss=torchtune.modules.loss.ForwardKLLoss", "teacher_checkpointer.checkpoint_dir=/t"})
    EXPECT_TRUE(contains(errors(minimal, {alone}), "says how to learn from a teacher, and 'teacher_model' is absent"))
        << alone;
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model.vocab_size=352"})),
                       "(torchtune.models.qwen2.qwen2) has 352 ids and 'model"));
  EXPECT_TRUE(contains(errors(minimal, taught({"kd_ratio=1.5"})), "'kd_ratio' is 1.5; it must be from 0 to 1"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model.max_seq_len=4"})),
                       "above the longest sequence of 'teacher_model' (command line), 4"));
  EXPECT_TRUE(contains(errors(minimal, {"teacher_model={_component_: torchtune.models.llama3_1.lora_llama3_1_8b}"}),
                       "'torchtune.models.llama3_1.lora_llama3_1_8b' has adapters, and a teacher is not trained; "
                       "override teacher_model=torchtune.models.llama3_1.llama3_1_8b"));
  // Messages of the model's own readers have the teacher's name.
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model.num_layers=x"})),
                       "'teacher_model.num_layers' needs a whole number"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model.num_kv_heads=3"})), "'teacher_model.num_kv_heads'"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model.sede=1"})), "unknown key 'teacher_model.sede'"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_model=torchtune.models.clip.clip_vision_encoder"})),
                       "this kind of model is not built yet"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_checkpointer={checkpoint_files: [a.safetensors]}"})),
                       "needs 'teacher_checkpointer.checkpoint_dir'"));
  EXPECT_TRUE(contains(errors(minimal, taught({"teacher_checkpointer={checkpoint_dir: /t}", "output_dir=/t/out"})),
                       "lies inside 'teacher_checkpointer.checkpoint_dir'"));
  // Losses.
  EXPECT_TRUE(contains(
      errors(minimal, taught({"kd_loss=torchtune.modules.loss.ReverseKLLoss"})),
      "'torchtune.modules.loss.ReverseKLLoss' is not built; the forward divergence from the teacher is: override "
      "kd_loss=torchtune.modules.loss.ForwardKLLoss"));
  EXPECT_TRUE(contains(errors(minimal, taught({"kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss"})),
                       "takes the logits whole; set kd_loss=torchtune.modules.loss.ForwardKLLoss, or "
                       "loss=torchtune.modules.loss.CEWithChunkedOutputLoss"));
  EXPECT_TRUE(contains(errors(minimal, taught({"kd_loss={_component_: torchtune.modules.loss.ForwardKLLoss, "
                                               "ignore_index: 3}"})),
                       "'kd_loss.ignore_index' is '3', and only -100 works"));
  EXPECT_TRUE(contains(
      errors(minimal, taught({"loss=torchtune.modules.loss.CEWithChunkedOutputLoss", "kd_loss.num_output_chunks=4"})),
      "give 'loss.num_output_chunks' (absent) the same value"));
  // Of a loss that takes the logits whole no number of chunks helps; what is said to do does.
  EXPECT_TRUE(contains(errors(minimal, taught({"kd_loss.num_output_chunks=4"})),
                       "takes the logits whole; set loss=torchtune.modules.loss.CEWithChunkedOutputLoss "
                       "loss.num_output_chunks=4 kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss, or "
                       "remove it (~kd_loss.num_output_chunks)"));
  good(minimal, taught({"kd_loss.num_output_chunks=4", "loss=torchtune.modules.loss.CEWithChunkedOutputLoss",
                        "loss.num_output_chunks=4", "kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss"}));
  EXPECT_TRUE(contains(
      errors(minimal, taught({"loss=torchtune.rlhf.loss.DPOLoss", "model=torchtune.models.llama3_1.lora_llama3_1",
                              "model.lora_attn_modules=[q_proj]", "dataset=torchtune.datasets.preference_dataset"})),
      "pairs of answers have no teacher"));
}

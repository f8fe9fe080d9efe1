//===- ReadDistillation.cpp - The teacher of a recipe --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The keys of torchtune's recipe knowledge_distillation_single_device. `teacher_model` and `teacher_checkpointer` have
// the keys of `model` and `checkpointer`, which the table has once: they are read as if they stood there, in a recipe
// of their own, and messages get their own names back.
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"

namespace ftc::config {

static constexpr const char *modelNode = "teacher_model", *checkpointerNode = "teacher_checkpointer";

void Reader::distillation() {
  const Node *model = value(modelNode);
  if (!model) {
    for (const char *path : {checkpointerNode, "kd_loss", "kd_ratio"})
      if (given(path)) {
        messages.error(placeOf(path), named(path) +
                                          " says how to learn from a teacher, and 'teacher_model' is absent; " +
                                          "name one, such as teacher_model=torchtune.models.llama3_1.llama3_1_8b, or " +
                                          "remove it (~" + path + ")");
        return;
      }
    return;
  }
  DistillationConfig d;
  const size_t before = messages.errorCount();
  number("kd_ratio", d.ratio, "from 0 to 1", [](double x) { return x >= 0 && x <= 1; });
  teacher(*model, d);
  if (recipe.preference)
    messages.error(placeOf(modelNode), named(modelNode) + " does not go with " + named("loss._component_") + ", " +
                                           recipe.lossComponent +
                                           ": pairs of answers have no teacher; set "
                                           "loss=torchtune.modules.loss.CEWithChunkedOutputLoss, or remove it (~" +
                                           modelNode + ")");
  if (messages.errorCount() != before)
    return;
  kdLoss(d);
  const int64_t ids = d.teacher.vocabSize, ours = recipe.model.vocabSize;
  if (ours > 0 && ids != ours)
    messages.error(placeOf(modelNode), named(modelNode) + " (" + d.teacher.component + ") has " + std::to_string(ids) +
                                           " ids and " + named("model") + " (" + recipe.model.component + ") " +
                                           std::to_string(ours) +
                                           ": the probabilities of the two are compared id by id, so name a teacher of "
                                           "the same vocabulary");
  if (recipe.seqLen > d.teacher.longestRow())
    messages.error(placeOf("tokenizer.max_seq_len"), named("tokenizer.max_seq_len") + " is " +
                                                         std::to_string(recipe.seqLen) +
                                                         ", above the longest sequence of " + named(modelNode) + ", " +
                                                         std::to_string(d.teacher.longestRow()));
  recipe.distillation = std::move(d);
}

Recipe Reader::readAside(const std::vector<std::pair<const char *, const char *>> &names) {
  Recipe other;
  Node alone;
  alone.kind = Node::Kind::Map;
  alone.place = root.place;
  for (const auto &[usual, name] : names) {
    const Node *node = value(name);
    if (!node)
      continue;
    if (!node->isMap()) {
      messages.error(
          node->place,
          "'" + std::string(name) + "' needs the keys of '" + usual + "', not " + shown(*node) +
              (node->isScalar() ? "; write '" + std::string(name) + ": {_component_: " + node->text + "}'" : ""));
      return other;
    }
    alone.entries.push_back({usual, placeOf(name), *node});
  }
  Messages heard;
  nameModel(alone, heard);
  if (!heard.failed()) {
    const Checked checked = checkKeys(alone, {}, heard);
    Reader reader(alone, checked, other, heard);
    if (alone.find("model") && checked.components.count("model"))
      reader.model();
    if (alone.find("checkpointer") && checked.components.count("checkpointer"))
      reader.checkpointer();
  }
  for (Diagnostic &message : heard.list) {
    for (const auto &[usual, name] : names)
      message.message = withName(std::move(message.message), usual, name);
    messages.add(std::move(message));
  }
  for (Messages::WithoutEffect &key : heard.withoutEffect) {
    for (const auto &[usual, name] : names)
      if (key.path.starts_with(std::string(usual) + "."))
        key.path.replace(0, std::string(usual).size(), name);
    messages.withoutEffect.push_back(std::move(key));
  }
  return other;
}

void Reader::teacher(const Node &model, DistillationConfig &d) {
  if (const Node *component = model.find("_component_"); component && component->isScalar())
    if (const std::string &name = component->text; isLoraBuilder(name)) {
      const std::string word = lastWord(name);
      messages.error(component->place, "'" + name + "' has adapters, and a teacher is not trained; override " +
                                           modelNode + "=" + name.substr(0, name.size() - word.size()) +
                                           word.substr(word.find('_') + 1));
      return;
    }
  Recipe other = readAside({{"model", modelNode}, {"checkpointer", checkpointerNode}});
  d.teacher = std::move(other.model);
  d.checkpointer.checkpointDir = other.checkpointer.checkpointDir;
  d.checkpointer.checkpointFiles = other.checkpointer.checkpointFiles;
}

void Reader::kdLoss(DistillationConfig &d) {
  // As torchtune has it: both losses take the logits whole, or both by chunks.
  const std::string whole = "torchtune.modules.loss.ForwardKLLoss";
  const std::string chunked = "torchtune.modules.loss.ForwardKLWithChunkedOutputLoss";
  d.lossComponent = recipe.chunksLoss() ? chunked : whole;
  if (const Node *node = value("kd_loss._component_"); node && components.count("kd_loss")) {
    if (node->text != d.lossComponent) {
      messages.error(
          node->place,
          named("kd_loss._component_") + " is " + node->text + ", and " + named("loss._component_") + ", " +
              recipe.lossComponent + ", takes the logits " + (recipe.chunksLoss() ? "by chunks" : "whole") +
              "; set kd_loss=" + d.lossComponent + ", or loss=" +
              (recipe.chunksLoss() ? "torch.nn.CrossEntropyLoss" : "torchtune.modules.loss.CEWithChunkedOutputLoss"));
      return;
    }
  }
  const std::string path = "kd_loss.num_output_chunks";
  int64_t chunks = recipe.lossChunks;
  if (!integer(path, chunks, 1, maxTokens))
    return;
  const std::string given = named(path) + " is " + std::to_string(chunks);
  if (!recipe.chunksLoss())
    messages.error(placeOf(path), given + ", and " + named("loss._component_") + ", " + recipe.lossComponent +
                                      ", takes the logits whole; set loss=torchtune.modules.loss."
                                      "CEWithChunkedOutputLoss loss.num_output_chunks=" +
                                      std::to_string(chunks) + " kd_loss=" + chunked + ", or remove it (~" + path +
                                      ")");
  else if (chunks != recipe.lossChunks)
    messages.error(placeOf(path), given + ", and the two losses are computed together; give " +
                                      named("loss.num_output_chunks") + " the same value");
}

} // namespace ftc::config

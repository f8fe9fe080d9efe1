//===- Read.cpp - From a checked tree to a recipe ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "ftc/Support/Units.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ftc::config {

void Reader::run() {
  top();
  if (components.count("model"))
    model();
  tokenizer();
  if (components.count("dataset"))
    datasets();
  heldOut();
  sequenceLengths();
  if (components.count("checkpointer"))
    checkpointer();
  if (components.count("optimizer"))
    optimizer();
  if (components.count("lr_scheduler"))
    scheduler();
  checkpointing();
  metricLogger();
  preference();
  reference();
  distillation();
  quantizer();
  combinations();
}

bool Reader::given(const std::string &path) const {
  const Node *node = root.find(path);
  return node && !node->isNull();
}

const Node *Reader::value(const std::string &path) const {
  return given(path) && !wrong.count(path) ? root.find(path) : nullptr;
}

Place Reader::placeOf(const std::string &path) const {
  if (const Entry *e = root.findEntry(path))
    return e->place;
  size_t dot = path.rfind('.');
  return dot == std::string::npos ? Place{root.place.file, 1, 1} : placeOf(path.substr(0, dot));
}

std::string Reader::named(const std::string &path) const {
  const Entry *e = root.findEntry(path);
  if (!e)
    return "'" + path + "' (absent)";
  if (e->place.file == commandLine)
    return "'" + path + "' (command line)";
  return "'" + path + "' (line " + std::to_string(e->place.line) + ")";
}

bool Reader::integer(const std::string &path, int64_t &to, int64_t low, int64_t high) {
  const Node *node = value(path);
  if (!node)
    return false;
  int64_t number = asInt(*node).value_or(low);
  if (number < low || number > high) {
    messages.error(node->place, "'" + path + "' is " + node->text + "; it must be at least " + std::to_string(low) +
                                    (number > high ? " and at most " + std::to_string(high) : ""));
    return false;
  }
  to = number;
  return true;
}

void Reader::boolean(const std::string &path, bool &to) {
  if (const Node *node = value(path))
    to = asBool(*node).value_or(to);
}

void Reader::text(const std::string &path, std::string &to) {
  if (const Node *node = value(path))
    to = node->text;
}

void Reader::top() {
  text("output_dir", recipe.outputDir);
  if (recipe.outputDir.empty())
    messages.error(placeOf("output_dir"), "'output_dir' is empty; name a folder");
  seed();
  boolean("shuffle", recipe.shuffle);
  integer("batch_size", recipe.batchSize, 1, maxTokens);
  integer("gradient_accumulation_steps", recipe.gradientAccumulationSteps, 1, 1 << 20);
  boolean("resume_from_checkpoint", recipe.resumeFromCheckpoint);
  integer("epochs", recipe.epochs, 1, maxCount);
  int64_t steps = 0;
  if (integer("max_steps_per_epoch", steps, 1, maxCount))
    recipe.maxSteps = steps;
  integer("log_every_n_steps", recipe.logEveryNSteps, 1, maxCount);
  integer("save_every_n_steps", recipe.saveEveryNSteps, 1, maxCount);
  integer("run_val_every_n_steps", recipe.valEveryNSteps, 1, maxCount);
  loss();

  if (const Node *node = value("clip_grad_norm")) {
    double norm = asFloat(*node).value_or(0);
    if (norm == 0)
      messages.error(node->place,
                     "'clip_grad_norm' is 0, which would stop all training; write null for no clipping, or "
                     "inf to report the norm only");
    else if (!(norm > 0))
      messages.error(node->place,
                     "'clip_grad_norm' is " + node->text + "; it must be above 0, or null for no clipping");
    else
      recipe.clipGradNorm = norm;
  }
  if (const Node *node = value("memory_budget")) {
    recipe.memoryBudget = parseBytes(node->text);
    recipe.overBudget = Diagnostic{Severity::Error, node->place.file, node->place.line, node->place.column, ""};
    if (!recipe.memoryBudget || *recipe.memoryBudget == 0)
      messages.error(node->place, "'memory_budget' is '" + node->text +
                                      "'; it must be a number of bytes above 0, or one with a unit, such as 12GiB");
  }
  if (const Node *node = value("dtype")) {
    if (node->text == "bf16")
      recipe.dtype = DType::BF16;
    else if (node->text == "fp16")
      messages.error(node->place, "'dtype' is fp16, whose range is too small to train in; use bf16 or fp32");
    else if (node->text != "fp32")
      messages.error(node->place, "'dtype' is '" + node->text + "'; it must be fp32 or bf16" +
                                      didYouMean(node->text, {"fp32", "bf16"}));
  }
}

void Reader::seed() {
  const Node *node = root.find("seed");
  if (!node)
    return;
  if (node->isNull()) {
    messages.remark(placeOf("seed"), "'seed' is null, which is 0 here: the same recipe gives the same bits");
    return;
  }
  int64_t number = asInt(*node).value_or(0);
  if (number < 0)
    messages.error(node->place, "'seed' is " + node->text + "; it must be at least 0");
  recipe.seed = static_cast<uint64_t>(number);
}

void Reader::combinations() {
  bool inBackward = false;
  boolean("optimizer_in_bwd", inBackward);
  if (value("optimizer_in_bwd"))
    recipe.updates = inBackward ? UpdatePlacement::Backward : UpdatePlacement::End;
  const Node *accumulation = root.find("gradient_accumulation_steps");
  if (inBackward && accumulation && asInt(*accumulation).value_or(1) > 1)
    messages.error(placeOf("optimizer_in_bwd"), named("optimizer_in_bwd") + " does not go with " +
                                                    named("gradient_accumulation_steps") +
                                                    " above 1; set gradient_accumulation_steps=1");
  if (recipe.seqLen > 0 && recipe.lossChunks > 0 && recipe.rowsOfBatch() <= (recipe.lossChunks - 1) / recipe.seqLen)
    messages.remark(placeOf("loss.num_output_chunks"), named("loss.num_output_chunks") + " is " +
                                                           std::to_string(recipe.lossChunks) + ", and a batch has " +
                                                           std::to_string(recipe.rowsOfBatch() * recipe.seqLen) +
                                                           " tokens: each of them is a chunk");
  if (const int64_t tokens = recipe.rowsOfBatch() * recipe.seqLen; std::min(recipe.lossChunks, tokens) > mostLossChunks)
    messages.error(placeOf("loss.num_output_chunks"),
                   named("loss.num_output_chunks") + " is " + std::to_string(recipe.lossChunks) +
                       "; each chunk is launched by itself, and more than " + std::to_string(mostLossChunks) +
                       " are not compiled; set loss.num_output_chunks=" + std::to_string(mostLossChunks) + " or less");
  insideCheckpoint("output_dir", recipe.outputDir);
  if (value("checkpointer.output_dir"))
    insideCheckpoint("checkpointer.output_dir", recipe.checkpointer.outputDir);
}

void readRecipe(const Node &root, const Checked &checked, Recipe &recipe, Messages &messages, OpenLengths *open) {
  Reader(root, checked, recipe, messages, open).run();
}

} // namespace ftc::config

//===- ReadQuantizer.cpp - Quantization-aware training of a recipe -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The keys of torchtune's recipes qat_distributed and qat_lora_finetune_distributed.
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"

#include <algorithm>

namespace ftc::config {

static constexpr const char *node = "quantizer", *delayed = "fake_quant_after_n_steps";
static const std::string removeIt = "remove it (~quantizer)";

namespace {
/// A projection, or the head.
struct Layer {
  const char *name;
  int64_t inputs;
  bool hasBias;
};

std::vector<Layer> layersOf(const ModelConfig &m) {
  const int64_t heads = m.numHeads * m.headDim;
  std::vector<Layer> layers = {{"q_proj", m.embedDim, m.qkvBias},      {"k_proj", m.embedDim, m.qkvBias},
                               {"v_proj", m.embedDim, m.qkvBias},      {"o_proj", heads, false},
                               {"gate_proj", m.embedDim, false},       {"up_proj", m.embedDim, false},
                               {"down_proj", m.intermediateDim, false}};
  if (!m.tiedEmbeddings)
    layers.push_back({"lm_head", m.embedDim, false});
  return layers;
}

/// "q_proj (64), o_proj (128)".
std::string listOf(const std::vector<Layer> &layers) {
  std::string list;
  for (const Layer &layer : layers)
    list += (list.empty() ? "" : ", ") + std::string(layer.name) + " (" + std::to_string(layer.inputs) + ")";
  return list;
}
} // namespace

void Reader::quantizer() {
  if (!given(node)) {
    if (given(delayed))
      messages.error(placeOf(delayed), named(delayed) +
                                           " says when fake quantization begins, and 'quantizer' is absent; name one, "
                                           "such as quantizer=torchtune.training.quantization."
                                           "Int8DynActInt4WeightQATQuantizer, or remove it (~" +
                                           delayed + ")");
    return;
  }
  if (!components.count(node) || !root.find(node)->isMap())
    return;
  const size_t before = messages.errorCount();
  if (!given("quantizer._component_")) {
    messages.error(placeOf(node), named(node) +
                                      " has no '_component_'; name one, such as quantizer=torchtune.training."
                                      "quantization.Int8DynActInt4WeightQATQuantizer, or " +
                                      removeIt);
    return;
  }
  QuantizerConfig q;
  q.component = components.at(node);
  if (lastWord(q.component).starts_with("Int4WeightOnly"))
    q.kind = QuantizerConfig::Kind::Int4WeightOnly;
  const bool weightsOnly = q.kind == QuantizerConfig::Kind::Int4WeightOnly;
  integer("quantizer.groupsize", q.groupSize, 2, maxWidth);
  boolean("quantizer.padding_allowed", q.paddingAllowed);
  integer("quantizer.inner_k_tiles", q.innerKTiles, 2, 8);
  auto oneOf = [&](const std::string &path, int64_t number, std::initializer_list<int64_t> good, const char *which) {
    if (std::find(good.begin(), good.end(), number) == good.end())
      messages.error(placeOf(path),
                     named(path) + " is " + std::to_string(number) + "; " + lastWord(q.component) + " takes " + which);
  };
  if (weightsOnly) {
    oneOf("quantizer.groupsize", q.groupSize, {32, 64, 128, 256}, "32, 64, 128 or 256");
    oneOf("quantizer.inner_k_tiles", q.innerKTiles, {2, 4, 8}, "2, 4 or 8");
  }

  if (const Node *after = value(delayed)) {
    if (recipe.lora)
      messages.error(placeOf(delayed), named(delayed) +
                                           " has a meaning only without adapters: torchtune's recipe for QAT with LoRA "
                                           "does not read it; remove it (~" +
                                           delayed + ")");
    else if (asInt(*after) == 0)
      messages.error(placeOf(delayed), named(delayed) + " is 0, with which torchtune never begins; remove it (~" +
                                           delayed + ") to begin at once");
    else
      integer(delayed, q.afterSteps, 1, maxCount);
  }

  auto clash = [&](const char *path, const std::string &why) {
    messages.error(placeOf(node), named(node) + " does not go with " + named(path) + ": " + why + ", or " + removeIt);
  };
  if (recipe.quantizedBase)
    clash(given("model.quantize_base") ? "model.quantize_base" : "model._component_",
          "frozen weights are in four bits already; name a builder without, such as "
          "torchtune.models.llama3_2.lora_llama3_2_1b");
  if (recipe.lora && recipe.lora->dora)
    clash("model.use_dora", "torchtune fake-quantizes plain LoRA only; set model.use_dora=False");
  if (recipe.preference)
    clash("loss._component_", "pairs of answers are not trained so; set loss=torchtune.modules.loss."
                              "CEWithChunkedOutputLoss");
  if (recipe.distillation)
    clash("teacher_model", "a student is not trained so; remove the teacher (~teacher_model)");
  if (messages.errorCount() == before && components.count("model") && recipe.model.embedDim > 0)
    quantizedLayers(q);
  recipe.quantizer = std::move(q);
}

void Reader::quantizedLayers(const QuantizerConfig &q) {
  const bool weightsOnly = q.kind == QuantizerConfig::Kind::Int4WeightOnly;
  const int64_t tile = weightsOnly && !recipe.lora ? 16 * q.innerKTiles : 1;
  std::vector<Layer> fit, biased, odd;
  for (const Layer &layer : layersOf(recipe.model)) {
    if (recipe.lora && !std::count(recipe.lora->targets.begin(), recipe.lora->targets.end(), layer.name))
      continue;
    if (layer.hasBias)
      biased.push_back(layer);
    else
      (layer.inputs % q.groupSize == 0 && layer.inputs % tile == 0 ? fit : odd).push_back(layer);
  }
  const std::string group = named("quantizer.groupsize") + " is " + std::to_string(q.groupSize);
  if (recipe.lora && !biased.empty()) {
    std::string names;
    for (const Layer &layer : biased)
      names += (names.empty() ? "" : ", ") + std::string(layer.name);
    messages.error(placeOf(node), named(node) + ": " + names + " have a bias, which torchtune's linear layer for QAT " +
                                      "with LoRA drops; take them out of model.lora_attn_modules, or " + removeIt);
    return;
  }
  const bool mustFit = recipe.lora || weightsOnly || q.paddingAllowed;
  if (!odd.empty() && (mustFit || fit.empty())) {
    std::string why = group;
    if (tile > 1)
      why += " and " + named("quantizer.inner_k_tiles") + " " + std::to_string(q.innerKTiles);
    messages.error(placeOf(given("quantizer.groupsize") ? "quantizer.groupsize" : node),
                   why + ", and the inputs of " + listOf(odd) + " are no multiple of " +
                       (tile > 1 ? "it and of " + std::to_string(tile) : "it") +
                       "; set quantizer.groupsize=32, or another divisor" +
                       (tile > 1 ? " with a smaller quantizer.inner_k_tiles" : ""));
    return;
  }
  if (!odd.empty())
    messages.remark(placeOf(given("quantizer.groupsize") ? "quantizer.groupsize" : node),
                    group + ", and the inputs of " + listOf(odd) +
                        " are no multiple of it: they are trained without fake quantization");
}

} // namespace ftc::config

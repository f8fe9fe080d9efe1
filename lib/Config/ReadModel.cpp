//===- ReadModel.cpp - The model of a recipe, and its adapters -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace ftc::config {

void Reader::model() {
  ModelConfig &m = recipe.model;
  bool usable = true;
  bool explicitSizes = startModel(components.at("model"), m);
  if (explicitSizes) {
    std::string missing;
    auto required = [&](const char *key, int64_t &to, int64_t high) {
      std::string path = std::string("model.") + key;
      if (!given(path))
        missing += std::string(missing.empty() ? "" : ", ") + key;
      else
        usable &= integer(path, to, 1, high);
    };
    required("vocab_size", m.vocabSize, maxWidth);
    required("num_layers", m.numLayers, 4096);
    required("num_heads", m.numHeads, maxWidth);
    if (root.find("model.num_kv_heads"))
      m.numKvHeads = m.numHeads; // null: as many
    if (m.numKvHeads == 0 || given("model.num_kv_heads"))
      required("num_kv_heads", m.numKvHeads, maxWidth);
    required("embed_dim", m.embedDim, maxWidth);
    required("max_seq_len", m.maxSeqLen, maxTokens);
    if (m.isGemma()) {
      required("head_dim", m.headDim, maxWidth);
      required("intermediate_dim", m.intermediateDim, maxWidth);
    } else {
      m.intermediateDim = usualIntermediateDim(m.embedDim);
    }
    if (!missing.empty())
      messages.error(placeOf("model"), "'model' (" + m.component + ") lacks " + missing +
                                           "; give them, or name a builder by size, such as "
                                           "torchtune.models.llama3_2.llama3_2_1b");
    if (!missing.empty() || !usable)
      return;
    auto positive = [](double x) { return x > 0 && isSinglePrecision(x); };
    auto atLeastOne = [](double x) { return x >= 1 && x <= 1e6; };
    number("model.norm_eps", m.normEps, "above 0 and finite in fp32", positive);
    number("model.rope_base", m.ropeBase, "at least 1 and finite", [](double x) { return x >= 1 && x <= 1e15; });
    number("model.scale_factor", m.ropeScaling.factor, "from 1 (no scaling) to 1e6", atLeastOne);
    integer("model.intermediate_dim", m.intermediateDim, 1, maxWidth);
    if (integer("model.head_dim", m.headDim, 2, maxWidth)) {
      if (m.headDim % 2 != 0)
        messages.error(value("model.head_dim")->place, "'model.head_dim' is odd; rotary embeddings turn pairs");
    } else if (m.embedDim % m.numHeads != 0) {
      messages.error(placeOf("model.embed_dim"), named("model.embed_dim") + " is " + std::to_string(m.embedDim) +
                                                     ", not a multiple of " + named("model.num_heads") + ", " +
                                                     std::to_string(m.numHeads));
    } else {
      m.headDim = m.embedDim / m.numHeads;
      if (m.headDim % 2 != 0)
        messages.error(placeOf("model.num_heads"), "heads of width " + std::to_string(m.headDim) + " (" +
                                                       named("model.embed_dim") + " / " + named("model.num_heads") +
                                                       ") are odd; rotary embeddings turn pairs");
    }
    if (m.numHeads % m.numKvHeads != 0)
      messages.error(placeOf("model.num_kv_heads"), named("model.num_kv_heads") + " is " +
                                                        std::to_string(m.numKvHeads) + ", not a divisor of " +
                                                        named("model.num_heads") + ", " + std::to_string(m.numHeads));
  }
  boolean("model.tie_word_embeddings", m.tiedEmbeddings);
  familyArguments();
  if (isLoraBuilder(m.component))
    lora();
}

void Reader::familyArguments() {
  ModelConfig &m = recipe.model;
  auto cap = [&](const std::string &path, double &to) {
    if (root.find(path) && !given(path))
      to = 0; // null
    number(path, to, "above 0 and finite in fp32, or null", [](double x) { return x > 0 && isSinglePrecision(x); });
  };
  cap("model.hidden_capping_value", m.attentionCap);
  cap("model.final_capping_value", m.logitsCap);
  integer("model.sliding_window_size", m.slidingWindow, 1, maxTokens);
  integer("model.query_pre_attn_scalar", m.queryScalar, 1, maxWidth);
  auto pattern = [&](const std::string &path, int64_t &to) {
    if (root.find(path) && !given(path))
      to = 0; // null
    integer(path, to, 1, maxWidth);
  };
  pattern("model.sliding_window_pattern", m.windowPattern);
  pattern("model.no_rope_layer_interval", m.ropelessPattern);
  number("model.rope_local_base_freq", m.localRopeBase, "at least 1 and finite",
         [](double x) { return x >= 1 && x <= 1e15; });
  rotaryParts();
  // Single precision holds them, and what they are divided into.
  auto factor = [](double x) { return x >= 1e-6 && x <= 1e6; };
  for (const auto &[path, to] : {std::pair("model.embedding_multiplier", &m.embeddingFactor),
                                 {"model.residual_multiplier", &m.residualFactor},
                                 {"model.attention_multiplier", &m.scoreFactor},
                                 {"model.logits_scaling", &m.logitsDivisor}})
    number(path, *to, "from 1e-6 to 1e6", factor);
}

void Reader::rotaryParts() {
  ModelConfig &m = recipe.model;
  double part = 1;
  number("model.partial_rotary_factor", part, "above 0 and at most 1", [](double x) { return x > 0 && x <= 1; });
  const auto turned = static_cast<int64_t>(static_cast<double>(m.headDim) * part); // rounded as transformers does
  if (turned != m.headDim)
    m.rotaryDim = turned;
  if (m.headDim > 0 && (turned < 2 || turned % 2 != 0))
    messages.error(placeOf("model.partial_rotary_factor"),
                   named("model.partial_rotary_factor") + " of heads of " + std::to_string(m.headDim) +
                       " columns are " + std::to_string(turned) + "; rotary embeddings turn pairs");
  const std::string shortKey = "model.rope_short_factor", longKey = "model.rope_long_factor",
                    contextKey = "model.original_max_seq_len";
  if (!given(shortKey) && !given(longKey) && !given(contextKey))
    return;
  for (const std::string &key : {shortKey, longKey, contextKey})
    if (!given(key))
      return messages.error(placeOf("model"), "'model' (" + m.component + ") lacks " + key.substr(6) +
                                                  ": LongRoPE has rope_short_factor, rope_long_factor and "
                                                  "original_max_seq_len");
  auto divisors = [&](const std::string &key) {
    std::vector<double> numbers;
    if (const Node *node = value(key)) {
      for (const Node &item : node->items)
        numbers.push_back(asFloat(item).value_or(0));
      const bool isPositive =
          std::all_of(numbers.begin(), numbers.end(), [](double x) { return x > 0 && isSinglePrecision(x); });
      if (static_cast<int64_t>(numbers.size()) != turned / 2 || !isPositive)
        messages.error(node->place, "'" + key + "' must have a number above 0 for each of the " +
                                        std::to_string(turned / 2) +
                                        " pairs of columns of a head that are turned; it " +
                                        (isPositive ? "has " + std::to_string(numbers.size()) : "has others"));
    }
    return numbers;
  };
  std::vector<double> usual = divisors(shortKey);
  m.longDivisors = divisors(longKey);
  int64_t context = 0;
  if (integer(contextKey, context, 2, maxTokens))
    m.ropeScaling = longRope(std::move(usual), context, m.maxSeqLen);
}

void Reader::lora() {
  LoraConfig l;
  integer("model.lora_rank", l.rank, 1, maxWidth);
  number("model.lora_alpha", l.alpha, "above 0 and finite in fp32",
         [](double x) { return x > 0 && isSinglePrecision(x); });
  number("model.lora_dropout", l.dropout, "at least 0 and below 1", [](double x) { return x >= 0 && x < 1; });
  boolean("model.use_dora", l.dora);
  // torchtune's names and Hugging Face's, in the order of a layer.
  static const std::pair<const char *, const char *> modules[] = {
      {"q_proj", "q_proj"}, {"k_proj", "k_proj"}, {"v_proj", "v_proj"}, {"output_proj", "o_proj"}};
  const std::string path = "model.lora_attn_modules";
  std::vector<std::string> names;
  if (const Node *node = value(path)) {
    names = asTexts(*node).value_or(names);
    for (const std::string &name : names) {
      std::vector<std::string> known;
      for (const auto &[theirs, ours] : modules)
        known.push_back(theirs);
      if (std::find(known.begin(), known.end(), name) != known.end())
        continue;
      std::string near = name == "o_proj" ? "; did you mean 'output_proj'?" : didYouMean(name, known);
      for (const char *mlp : {"gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"})
        if (name == mlp)
          near = "; the feed-forward block's are chosen with model.apply_lora_to_mlp=True";
      messages.error(node->place, "'" + path + "' names '" + name + "', which is none of q_proj, k_proj, v_proj, " +
                                      "output_proj" + near);
    }
    if (node->isList() && node->items.empty())
      messages.error(node->place,
                     "'" + path + "' is empty; name some of q_proj, k_proj, v_proj, output_proj (attention needs an " +
                         "adapter, as in torchtune, whatever apply_lora_to_mlp says)");
  } else if (!given(path)) {
    messages.error(placeOf(path), "'model' (" + recipe.model.component + ") lacks lora_attn_modules; set " + path +
                                      "=[q_proj,v_proj], or name other projections of attention");
  }
  for (const auto &[theirs, ours] : modules)
    if (std::find(names.begin(), names.end(), theirs) != names.end())
      l.targets.push_back(ours);
  bool mlp = false, output = false;
  boolean("model.apply_lora_to_mlp", mlp);
  boolean("model.apply_lora_to_output", output);
  if (mlp)
    l.targets.insert(l.targets.end(), {"gate_proj", "up_proj", "down_proj"});
  if (output && recipe.model.tiedEmbeddings)
    messages.error(placeOf("model.apply_lora_to_output"),
                   named("model.apply_lora_to_output") + " is True, but the head of " + recipe.model.component +
                       " is the embedding table itself (tied embeddings); set it to False" +
                       (takesKey("model.tie_word_embeddings", recipe.model.component)
                            ? ", or model.tie_word_embeddings=False"
                            : ""));
  else if (output)
    l.targets.push_back("lm_head");
  recipe.lora = std::move(l);
  quantizedBase();
}

std::optional<Nf4Quantizer> Reader::nf4Quantizer(const std::string &path, const std::string &name) {
  if (name == "torchao")
    return Nf4Quantizer::Torchao;
  if (name == "bitsandbytes")
    return Nf4Quantizer::Bitsandbytes;
  messages.error(placeOf(path), "'" + path + "' is '" + name + "'; it must be torchao or bitsandbytes" +
                                    didYouMean(name, {"torchao", "bitsandbytes"}));
  return std::nullopt;
}

void Reader::fitsQuantizer(const std::string &path, const std::string &key, Nf4Quantizer quantizer) {
  const ModelConfig &m = recipe.model;
  const std::tuple<const char *, int64_t, int64_t> weights[] = {{"q_proj", m.numHeads * m.headDim, m.embedDim},
                                                                {"k_proj", m.numKvHeads * m.headDim, m.embedDim},
                                                                {"gate_proj", m.intermediateDim, m.embedDim}};
  for (const auto &[name, outputs, inputs] : weights)
    if (!nf4Takes(quantizer, outputs * inputs)) {
      messages.error(placeOf(path), named(path) + ": " + name + " has " + std::to_string(outputs) + " x " +
                                        std::to_string(inputs) +
                                        " elements, no multiple of 16384 as torchao's NF4 needs; set " + key +
                                        "=bitsandbytes, which takes any size");
      return;
    }
}

void Reader::quantizedBase() {
  bool quantize = isQloraBuilder(recipe.model.component);
  boolean("model.quantize_base", quantize);
  const std::string key = "model.quantizer";
  std::string name = "torchao";
  text(key, name);
  const std::optional<Nf4Quantizer> how = nf4Quantizer(key, name);
  if (!how)
    return;
  if (!quantize) {
    if (value(key))
      messages.remark(placeOf(key), "'model.quantizer' is without effect: 'model.quantize_base' is not True");
    return;
  }
  recipe.quantizedBase = how;
  fitsQuantizer("model.quantize_base", key, *how);
}

} // namespace ftc::config

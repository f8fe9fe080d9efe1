//===- ConfigJson.cpp - Descriptions of models beside their weights -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Checkpoint/Checkpoint.h"

#include "TextPart.h"
#include "ftc/Config/ModelTypes.h"
#include "ftc/Support/Files.h"

#include <array>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;

namespace {
struct HuggingFaceNames {
  const char *type, *model;
};
} // namespace

static HuggingFaceNames namesOf(ModelArchitecture architecture) {
  switch (architecture) {
  case ModelArchitecture::Llama:
    return {"llama", "LlamaForCausalLM"};
  case ModelArchitecture::Mistral:
    return {"mistral", "MistralForCausalLM"};
  case ModelArchitecture::Qwen2:
    return {"qwen2", "Qwen2ForCausalLM"};
  case ModelArchitecture::Qwen3:
    return {"qwen3", "Qwen3ForCausalLM"};
  case ModelArchitecture::Gemma:
    return {"gemma", "GemmaForCausalLM"};
  case ModelArchitecture::Gemma2:
    return {"gemma2", "Gemma2ForCausalLM"};
  case ModelArchitecture::Phi3:
    return {"phi3", "Phi3ForCausalLM"};
  case ModelArchitecture::Gemma3:
    return {"gemma3_text", "Gemma3ForCausalLM"};
  case ModelArchitecture::SmolLM3:
    return {"smollm3", "SmolLM3ForCausalLM"};
  case ModelArchitecture::Olmo2:
    return {"olmo2", "Olmo2ForCausalLM"};
  case ModelArchitecture::Granite:
    return {"granite", "GraniteForCausalLM"};
  }
  return {};
}

/// What transformers calls Gemma's activation. The released configurations of Gemma say "gelu" under 'hidden_act',
/// which means the same there. Gemma 2 and 3 do not read that key, and under the other "gelu" is the exact function.
static constexpr const char *gemmaGelu = "gelu_pytorch_tanh";

static json orNull(double value) { return value > 0 ? json(value) : json(); }

/// What each layer attends to, in transformers' words.
static json layerTypes(const ModelConfig &model) {
  json types = json::array();
  for (int64_t layer = 0; layer < model.numLayers; ++layer)
    types.push_back(model.hasWindow(layer) ? "sliding_attention" : "full_attention");
  return types;
}

/// 1 for each layer with a rotary embedding, else 0.
static json rotaryLayers(const ModelConfig &model) {
  json layers = json::array();
  for (int64_t layer = 0; layer < model.numLayers; ++layer)
    layers.push_back(model.hasRotary(layer) ? 1 : 0);
  return layers;
}

/// Whether attention's and the feed-forward block's projections may have biases in a family's config.json. None of its
/// models here has any.
static bool maySayBiases(ModelArchitecture architecture, bool feedForward) {
  switch (architecture) {
  case ModelArchitecture::Llama:
  case ModelArchitecture::SmolLM3:
  case ModelArchitecture::Granite:
    return true;
  case ModelArchitecture::Qwen3:
  case ModelArchitecture::Gemma:
  case ModelArchitecture::Gemma2:
  case ModelArchitecture::Gemma3:
  case ModelArchitecture::Olmo2:
    return !feedForward;
  default:
    return false;
  }
}

/// Granite's factors by their names.
static std::array<std::pair<const char *, double>, 4> factorsOf(const ModelConfig &model) {
  return {{{"embedding_multiplier", model.embeddingFactor},
           {"residual_multiplier", model.residualFactor},
           {"attention_multiplier", model.scoreFactor},
           {"logits_scaling", model.logitsDivisor}}};
}

/// The keys that Gemma has and others lack, or that mean something else there.
static void writeGemma(json &config, const ModelConfig &model) {
  config["hidden_act"] = config["hidden_activation"] = gemmaGelu;
  if (model.architecture == ModelArchitecture::Gemma)
    return;
  config["query_pre_attn_scalar"] = model.queryScalar ? model.queryScalar : model.headDim;
  config["sliding_window"] = model.slidingWindow;
  config["attn_logit_softcapping"] = orNull(model.attentionCap);
  config["final_logit_softcapping"] = orNull(model.logitsCap);
  config.erase("layer_types"); // every other one has the window, as transformers takes it
  if (model.architecture == ModelArchitecture::Gemma2)
    return;
  config.erase("_sliding_window_pattern");
  config["layer_types"] = layerTypes(model);
  // What versions of transformers without that list read: no such layer is one behind the last.
  config["sliding_window_pattern"] = model.windowPattern ? model.windowPattern : model.numLayers + 1;
  config["rope_local_base_freq"] = model.localRopeBase;
}

/// The keys that the families have of their own.
static void writeFamily(json &config, const ModelConfig &model) {
  if (model.isGemma())
    writeGemma(config, model);
  else
    config["hidden_act"] = "silu";
  if (maySayBiases(model.architecture, /*feedForward=*/false))
    config["attention_bias"] = false;
  if (maySayBiases(model.architecture, /*feedForward=*/true))
    config["mlp_bias"] = false;
  if (model.architecture == ModelArchitecture::SmolLM3) {
    config["no_rope_layers"] = rotaryLayers(model);
    config["no_rope_layer_interval"] = model.ropelessPattern ? model.ropelessPattern : model.numLayers + 1;
  }
  if (model.architecture == ModelArchitecture::Granite)
    for (const auto &[key, value] : factorsOf(model))
      config[key] = value;
}

/// Takes out the newer names of what is written under the names that every version of transformers reads; and the
/// model's own code (auto_map), which is not beside these weights.
static void eraseOld(json &config) {
  for (const char *key :
       {"dtype", "rope_parameters", "rope_scaling", "quantization_config", "transformers_version", "auto_map"})
    config.erase(key);
}

/// The keys that say which angles queries and keys are turned by.
static void writeRotary(json &config, const ModelConfig &model) {
  config["rope_theta"] = model.ropeBase;
  if (!model.ropeScaling.divisors.empty()) {
    // Older versions take no other keys in here.
    config["rope_scaling"] = {
        {"type", "longrope"}, {"short_factor", model.ropeScaling.divisors}, {"long_factor", model.longDivisors}};
    config["original_max_position_embeddings"] = model.ropeScaling.oldContext;
  }
  if (model.architecture == ModelArchitecture::Phi3) {
    const auto heads = static_cast<double>(model.headDim ? model.headDim : model.embedDim / model.numHeads);
    double part = model.rotaryDim ? static_cast<double>(model.rotaryDim) / heads : 1.0;
    while (static_cast<int64_t>(part * heads) < model.rotaryDim) // it is rounded down when it is read
      part = std::nextafter(part, 2.0);
    config["partial_rotary_factor"] = part;
  }
  if (model.ropeScaling.factor != 1.0 && model.architecture == ModelArchitecture::Gemma3)
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", model.ropeScaling.factor}};
  else if (model.ropeScaling.factor != 1.0)
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", model.ropeScaling.factor},
                              {"low_freq_factor", model.ropeScaling.lowFactor},
                              {"high_freq_factor", model.ropeScaling.highFactor},
                              {"original_max_position_embeddings", model.ropeScaling.oldContext}};
}

/// The keys of a model by itself.
static void writeModel(json &config, const ModelConfig &model, DType dtype, const TokenIds &ids) {
  eraseOld(config);
  auto unlessGiven = [&](const char *key, json value) {
    if (!config.contains(key))
      config[key] = std::move(value);
  };
  const HuggingFaceNames names = namesOf(model.architecture);
  config["architectures"] = {names.model};
  config["model_type"] = names.type;
  config["torch_dtype"] = dtype == DType::BF16 ? "bfloat16" : "float32";
  config["vocab_size"] = model.vocabSize;
  config["hidden_size"] = model.embedDim;
  config["intermediate_size"] = model.intermediateDim;
  config["num_hidden_layers"] = model.numLayers;
  config["num_attention_heads"] = model.numHeads;
  config["num_key_value_heads"] = model.numKvHeads;
  config["head_dim"] = model.headDim ? model.headDim : model.embedDim / model.numHeads;
  writeFamily(config, model);
  config["rms_norm_eps"] = model.normEps;
  writeRotary(config, model);
  config["tie_word_embeddings"] = model.tiedEmbeddings;
  const bool qwen = model.architecture == ModelArchitecture::Qwen2 || model.architecture == ModelArchitecture::Qwen3;
  // transformers' default for Mistral is a window of 4096.
  if (model.architecture == ModelArchitecture::Mistral || model.architecture == ModelArchitecture::Phi3) {
    if (model.slidingWindow > 0)
      config["sliding_window"] = model.slidingWindow;
    else
      unlessGiven("sliding_window", nullptr);
  }
  if (qwen || model.architecture == ModelArchitecture::SmolLM3)
    unlessGiven("use_sliding_window", false);
  unlessGiven("max_position_embeddings", model.maxSeqLen);
  unlessGiven("attention_dropout", 0.0);
  unlessGiven("initializer_range", 0.02);
  unlessGiven("use_cache", true);
  const std::pair<const char *, int64_t> special[] = {
      {"bos_token_id", ids.bos}, {"eos_token_id", ids.eos}, {"pad_token_id", ids.pad}};
  for (const auto &[key, id] : special)
    if (id >= 0)
      unlessGiven(key, id);
}

/// The keys of a model that reads images, whose text part is `model`. What says nothing of that part stays.
static void writeAround(json &config, const MultimodalFamily &family, const ModelConfig &model, DType dtype,
                        const TokenIds &ids) {
  const bool isFlat = !config.contains("text_config") || !config["text_config"].is_object();
  json text = isFlat ? config : config["text_config"];
  const json classes = text.contains("architectures") ? text["architectures"] : json();
  json sections;
  for (const char *joint : {"rope_scaling", "rope_parameters"})
    if (text.contains(joint) && text[joint].is_object() && text[joint].contains("mrope_section"))
      sections = text[joint]["mrope_section"];
  const bool hasIds = config.contains("eos_token_id") || text.contains("eos_token_id");
  writeModel(text, model, dtype, hasIds ? TokenIds{-1, -1, -1} : ids);
  text["model_type"] = isFlat ? family.type : family.textType;
  if (classes.is_null())
    text.erase("architectures");
  else
    text["architectures"] = classes;
  if (!sections.is_null())
    text["rope_scaling"] = {{"type", "mrope"}, {"mrope_section", sections}};
  if (isFlat) {
    config = std::move(text);
    return;
  }
  eraseOld(config);
  config["torch_dtype"] = text["torch_dtype"];
  config["tie_word_embeddings"] = model.tiedEmbeddings;
  config["text_config"] = std::move(text);
}

std::string ftc::configJson(const ModelConfig &model, DType dtype, const TokenIds &ids, const std::string &base) {
  json config = json::parse(base, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object())
    config = json::object();
  if (const MultimodalFamily *family = multimodalOf(config, model))
    writeAround(config, *family, model, dtype, ids);
  else
    writeModel(config, model, dtype, ids);
  return config.dump(2) + "\n";
}

namespace {

/// Collects differences between a config.json and the recipe's model. What decides how tensors are read is an error;
/// what a recipe may change (rotary base and scaling, epsilon), and what cannot be compared, is a warning.
class Comparison {
public:
  Comparison(const std::string &path, const json &config, std::vector<Diagnostic> &diags)
      : path(path), config(config), diags(diags) {}

  bool good = true;

  void differ(Severity severity, std::string message) {
    good &= severity != Severity::Error;
    diags.push_back({severity, path, 0, 0, std::move(message)});
  }

  /// The value of `key`, or null.
  const json &at(const char *key) const {
    static const json null;
    auto found = config.find(key);
    return found == config.end() ? null : *found;
  }

  /// `absent`: what transformers takes when the key is missing or null.
  void number(Severity severity, const json &value, std::string_view key, double wanted,
              std::optional<double> absent = std::nullopt) {
    if (!value.is_null() && !value.is_number())
      return differ(Severity::Warning, fmt::format("'{}' is not a number, and was not compared", key));
    if (value.is_null() && !absent)
      return differ(Severity::Warning, fmt::format("'{}' is missing, and was not compared", key));
    double found = value.is_null() ? *absent : value.get<double>();
    if (!(std::abs(found - wanted) <= 1e-9 * std::abs(wanted)))
      differ(severity, fmt::format("'{}' is {}, the recipe's model has {}{}", key, found, wanted, wayOut(severity)));
  }

  void flag(Severity severity, const char *key, bool wanted, bool absent = false) {
    const json &value = at(key);
    if (!value.is_null() && !value.is_boolean())
      return differ(Severity::Warning, fmt::format("'{}' is not true or false, and was not compared", key));
    bool found = value.is_boolean() ? value.get<bool>() : absent;
    if (found != wanted)
      differ(severity, fmt::format("'{}' is {}, the recipe's model has {}{}", key, found, wanted, wayOut(severity)));
  }

  /// A number that may be null, which is 0. `absent`: what transformers takes when the key is missing.
  void nullable(const char *key, double wanted, double absent) {
    auto told = [](double value) { return value == 0 ? std::string("null") : fmt::format("{}", value); };
    const json &value = at(key);
    if (!value.is_null() && !value.is_number())
      return differ(Severity::Warning, fmt::format("'{}' is not a number, and was not compared", key));
    double found = config.contains(key) ? 0 : absent;
    if (value.is_number())
      found = value.get<double>();
    if (found != wanted)
      differ(Severity::Warning, fmt::format("'{}' is {}, the recipe's model has {}{}", key, told(found), told(wanted),
                                            wayOut(Severity::Warning)));
  }

  /// What `key` says of each layer. `absent`: what transformers takes when the key is missing or null.
  void layers(const char *key, const json &wanted, const json &absent, const char *what) {
    const json &value = at(key).is_null() ? absent : at(key);
    if (value != wanted)
      differ(Severity::Warning, fmt::format("'{}' does not have {} in the layers that have it in the recipe's model{}",
                                            key, what, wayOut(Severity::Warning)));
  }

  static const char *wayOut(Severity severity) {
    return severity == Severity::Error
               ? "; name the builder that belongs to these weights"
               : ", which is what is trained; name the builder that belongs to these weights, unless you mean it";
  }

private:
  const std::string &path;
  const json &config;
  std::vector<Diagnostic> &diags;
};

} // namespace

/// The keys that writeGemma writes.
static void compareGemma(Comparison &compare, const ModelConfig &model) {
  const bool isFirst = model.architecture == ModelArchitecture::Gemma;
  for (const char *key : {"hidden_act", "hidden_activation"})
    if (const json &act = compare.at(key);
        !act.is_null() && act != gemmaGelu && (key != std::string_view("hidden_act") || (isFirst && act != "gelu")))
      compare.differ(Severity::Warning, fmt::format("'{}' is {}, the recipe's model has {}{}", key, act.dump(),
                                                    gemmaGelu, Comparison::wayOut(Severity::Warning)));
  if (model.architecture == ModelArchitecture::Gemma)
    return;
  const bool isGemma2 = model.architecture == ModelArchitecture::Gemma2;
  compare.nullable("query_pre_attn_scalar", static_cast<double>(model.queryScalar ? model.queryScalar : model.headDim),
                   256);
  compare.nullable("sliding_window", static_cast<double>(model.slidingWindow), 4096);
  compare.nullable("attn_logit_softcapping", model.attentionCap, isGemma2 ? 50 : 0);
  compare.nullable("final_logit_softcapping", model.logitsCap, isGemma2 ? 30 : 0);
  ModelConfig usual = model;
  if (!isGemma2) {
    usual.windowPattern = 6;
    if (const json &pattern = compare.at("sliding_window_pattern"); pattern.is_number_integer() && pattern > 0)
      usual.windowPattern = pattern;
    compare.flag(Severity::Warning, "use_bidirectional_attention", false);
  }
  compare.layers("layer_types", layerTypes(model), layerTypes(usual), "a window");
}

/// The keys that writeFamily writes.
static void compareFamily(Comparison &compare, const ModelConfig &model) {
  constexpr Severity Error = Severity::Error, Warning = Severity::Warning;
  if (maySayBiases(model.architecture, /*feedForward=*/true))
    compare.flag(Error, "mlp_bias", false);
  if (maySayBiases(model.architecture, /*feedForward=*/false))
    compare.flag(Error, "attention_bias", false);
  if (model.isGemma())
    compareGemma(compare, model);
  if (model.architecture == ModelArchitecture::SmolLM3) {
    ModelConfig usual = model;
    usual.ropelessPattern = 4;
    if (const json &interval = compare.at("no_rope_layer_interval"); interval.is_number_integer() && interval > 0)
      usual.ropelessPattern = interval;
    compare.layers("no_rope_layers", rotaryLayers(model), rotaryLayers(usual), "rotary embeddings");
  }
  if (model.architecture == ModelArchitecture::Granite)
    for (const auto &[key, value] : factorsOf(model))
      compare.number(Warning, compare.at(key), key, value, 1.0);
  if (model.architecture == ModelArchitecture::Qwen2 || model.architecture == ModelArchitecture::Qwen3 ||
      model.architecture == ModelArchitecture::SmolLM3)
    compare.flag(Warning, "use_sliding_window", false);
}

/// Gemma 3's bases and scaling, which transformers 5 keeps by kinds of layers.
static void compareGemma3Rotary(Comparison &compare, const ModelConfig &model) {
  constexpr Severity Warning = Severity::Warning;
  auto in = [](const json &object, const char *key) {
    return object.is_object() && object.contains(key) ? object[key] : json();
  };
  const json &joint = compare.at("rope_parameters"), &scaling = compare.at("rope_scaling");
  json full = in(joint, "full_attention");
  const json local = in(joint, "sliding_attention");
  if (scaling.is_object()) { // counts where both are there
    full = full.is_object() ? full : json::object();
    full.update(scaling);
  }
  auto base = [&](const json &part, const char *older, double wanted, double absent) {
    const json theta = in(part, "rope_theta");
    compare.number(Warning, theta.is_null() ? compare.at(older) : theta, older, wanted, absent);
  };
  base(full, "rope_theta", model.ropeBase, 1e6);
  base(local, "rope_local_base_freq", model.localRopeBase, 1e4);
  auto kindOf = [&](const json &part) {
    const json kind = in(part, "rope_type");
    return kind.is_null() ? in(part, "type") : kind;
  };
  const bool isLinear = kindOf(full) == "linear";
  if (isLinear && !joint.is_object() && in(full, "rope_type").is_null())
    compare.differ(Warning, "'rope_scaling.type' is \"linear\", which transformers 5 does not read for this type of "
                            "models: it does not scale positions, unless the key is called 'rope_type'");
  for (const json &kind : {isLinear ? json() : kindOf(full), kindOf(local)})
    if (!kind.is_null() && kind != "default")
      compare.differ(Warning, fmt::format("rotary scaling {} is not known (known is linear, of layers without a "
                                          "window): the recipe's model has another",
                                          kind.dump()));
  compare.number(Warning, isLinear ? in(full, "factor") : json(1.0), "rope_scaling.factor", model.ropeScaling.factor);
}

/// Phi-3's part of a head that is turned, and LongRoPE. Returns whether that is all that there is to compare.
static bool compareLongRotary(Comparison &compare, const ModelConfig &model, const json &joint, const json &scaling,
                              const json &kind) {
  constexpr Severity Error = Severity::Error, Warning = Severity::Warning;
  json part = joint.is_object() && joint.contains("partial_rotary_factor") ? joint["partial_rotary_factor"] : json();
  if (part.is_null())
    part = compare.at("partial_rotary_factor");
  const int64_t columns = model.headDim ? model.headDim : model.embedDim / model.numHeads,
                wanted = model.rotaryDim ? model.rotaryDim : columns;
  const double found = part.is_number() ? part.get<double>() : 1.0;
  if (!(found > 0 && found <= 1) || static_cast<int64_t>(found * static_cast<double>(columns)) != wanted)
    compare.differ(Error,
                   fmt::format("'partial_rotary_factor' is {}, the recipe's model turns {} of the {} columns of a "
                               "head{}",
                               found, wanted, columns, Comparison::wayOut(Error)));
  const bool isLong = kind == "longrope" || kind == "su" || kind == "yarn",
             wantsLong = !model.ropeScaling.divisors.empty();
  if (isLong != wantsLong)
    compare.differ(Error, fmt::format("rotary scaling is {}, the recipe's model has {}{}", kind.dump(),
                                      wantsLong ? "LongRoPE's" : "none", Comparison::wayOut(Error)));
  if (!isLong || !wantsLong)
    return isLong || wantsLong;
  for (const auto &[key, wanted] :
       {std::pair("short_factor", &model.ropeScaling.divisors), {"long_factor", &model.longDivisors}})
    if (!scaling.contains(key) || scaling[key] != json(*wanted))
      compare.differ(Warning, fmt::format("'rope_scaling.{}' has other numbers than the recipe's model{}", key,
                                          Comparison::wayOut(Warning)));
  // They decide the angles' amplitude.
  compare.number(Warning, compare.at("original_max_position_embeddings"), "original_max_position_embeddings",
                 static_cast<double>(model.ropeScaling.oldContext), 4096);
  compare.number(Warning, compare.at("max_position_embeddings"), "max_position_embeddings",
                 static_cast<double>(model.maxSeqLen), 4096);
  return true;
}

bool ftc::checkConfigJson(const std::string &path, const ModelConfig &model, std::vector<Diagnostic> &diags) {
  std::string text, error;
  if (!readFile(path, text, error)) {
    diags.push_back({Severity::Error, path, 0, 0, error});
    return false;
  }
  json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    diags.push_back({Severity::Error, path, 0, 0, "not a JSON object"});
    return false;
  }
  constexpr Severity Error = Severity::Error, Warning = Severity::Warning;
  const MultimodalFamily *family = multimodalOf(config, model);
  if (family)
    config = textPartOf(config, *family, namesOf(model.architecture).type);
  else
    for (const auto &[key, value] : usualSizes(model.architecture))
      if (!config.contains(key))
        config[key] = value;
  Comparison compare(path, config, diags);
  const json &type = compare.at("model_type");
  if (const char *wanted = namesOf(model.architecture).type; type != wanted) {
    // Tensors of equal names and shapes do not make an equal model: Gemma's norms and activations are others than
    // Llama's. Mistral's graph without its window is Llama's, and the keys mean the same.
    const bool isSame = (type == "llama" && model.architecture == ModelArchitecture::Mistral) ||
                        (type == "mistral" && model.architecture == ModelArchitecture::Llama);
    const bool isError = type.is_string() && !isSame;
    compare.differ(isError ? Error : Warning,
                   fmt::format("'model_type' is {}, the recipe's model is a {}{}", type.dump(), wanted,
                               isError
                                   ? fmt::format("; name the builder that belongs to these weights, or, where they are "
                                                 "a {0}'s under another name, set 'model_type' to \"{0}\"",
                                                 wanted)
                               : isSame ? ", whose graph is the same without a window"
                                        : "; nothing else was compared"));
    if (!isSame)
      return compare.good; // the other keys may mean something else
  }
  double heads = static_cast<double>(model.numHeads);
  double headDim = static_cast<double>(model.headDim ? model.headDim : model.embedDim / model.numHeads);
  compare.number(Error, compare.at("vocab_size"), "vocab_size", static_cast<double>(model.vocabSize));
  compare.number(Error, compare.at("hidden_size"), "hidden_size", static_cast<double>(model.embedDim));
  compare.number(Error, compare.at("intermediate_size"), "intermediate_size",
                 static_cast<double>(model.intermediateDim));
  compare.number(Error, compare.at("num_hidden_layers"), "num_hidden_layers", static_cast<double>(model.numLayers));
  compare.number(Error, compare.at("num_attention_heads"), "num_attention_heads", heads);
  compare.number(
      Error, compare.at("num_key_value_heads"), "num_key_value_heads", static_cast<double>(model.numKvHeads),
      config.contains("num_key_value_heads")
          ? heads // null
          : static_cast<double>(usualKvHeads(family ? family->textType : type.get<std::string>(), model.numHeads)));
  const bool isPhi = model.architecture == ModelArchitecture::Phi3;
  compare.number(Error, compare.at("head_dim"), "head_dim", headDim,
                 model.architecture == ModelArchitecture::Qwen3 ? 128
                 : model.isGemma() ? 256
                                   : static_cast<double>(model.embedDim) / static_cast<double>(model.numHeads));
  compare.number(Warning, compare.at("rms_norm_eps"), "rms_norm_eps", model.normEps,
                 isPhi || model.architecture == ModelArchitecture::Olmo2 ? 1e-5 : 1e-6);
  compare.flag(Error, "tie_word_embeddings", model.tiedEmbeddings,
               /*absent=*/model.isGemma() || model.architecture == ModelArchitecture::SmolLM3);
  compareFamily(compare, model);
  if (isPhi || (model.architecture == ModelArchitecture::Mistral && model.slidingWindow > 0))
    compare.nullable("sliding_window", static_cast<double>(model.slidingWindow), isPhi ? 0 : 4096);
  if (model.architecture == ModelArchitecture::Gemma3) {
    compareGemma3Rotary(compare, model);
    return compare.good;
  }

  // transformers 5 keeps base and scaling together in rope_parameters, earlier versions apart; it takes a rope_scaling
  // that is there too in place of the other.
  const json &older = compare.at("rope_scaling");
  const json &joint = older.is_object() && !older.empty() ? older : compare.at("rope_parameters"), &scaling = joint;
  auto in = [](const json &object, const char *key) {
    return object.is_object() && object.contains(key) ? object[key] : json();
  };
  json base = in(joint, "rope_theta");
  compare.number(Warning, base.is_null() ? compare.at("rope_theta") : base, "rope_theta", model.ropeBase,
                 model.architecture == ModelArchitecture::SmolLM3 ? 2e6 : 1e4);
  json kind = in(scaling, "rope_type");
  if (kind.is_null())
    kind = in(scaling, "type");
  if (isPhi && compareLongRotary(compare, model, joint, scaling, kind))
    return compare.good;
  if (kind.is_null() || kind == "default") {
    if (model.ropeScaling.factor != 1.0)
      compare.differ(Warning, fmt::format("has no rotary scaling, the recipe's model scales by {}{}",
                                          model.ropeScaling.factor, Comparison::wayOut(Warning)));
  } else if (kind != "llama3") {
    compare.differ(
        Warning,
        fmt::format("rotary scaling {} is not known (known is llama3): the recipe's model has another", kind.dump()));
  } else {
    compare.number(Warning, in(scaling, "factor"), "rope_scaling.factor", model.ropeScaling.factor);
    if (model.ropeScaling.factor != 1.0) {
      compare.number(Warning, in(scaling, "low_freq_factor"), "rope_scaling.low_freq_factor",
                     model.ropeScaling.lowFactor);
      compare.number(Warning, in(scaling, "high_freq_factor"), "rope_scaling.high_freq_factor",
                     model.ropeScaling.highFactor);
      compare.number(Warning, in(scaling, "original_max_position_embeddings"),
                     "rope_scaling.original_max_position_embeddings",
                     static_cast<double>(model.ropeScaling.oldContext));
    }
  }
  return compare.good;
}

bool ftc::checkParamsJson(const std::string &path, const ModelConfig &model, std::vector<Diagnostic> &diags) {
  std::string text, error;
  if (!readFile(path, text, error)) {
    diags.push_back({Severity::Error, path, 0, 0, error});
    return false;
  }
  json params = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!params.is_object()) {
    diags.push_back({Severity::Error, path, 0, 0, "not a JSON object"});
    return false;
  }
  constexpr Severity Error = Severity::Error, Warning = Severity::Warning;
  Comparison compare(path, params, diags);
  const double heads = static_cast<double>(model.numHeads);
  compare.number(Error, compare.at("dim"), "dim", static_cast<double>(model.embedDim));
  compare.number(Error, compare.at("n_layers"), "n_layers", static_cast<double>(model.numLayers));
  compare.number(Error, compare.at("n_heads"), "n_heads", heads);
  compare.number(Error, compare.at("n_kv_heads"), "n_kv_heads", static_cast<double>(model.numKvHeads), heads);
  if (compare.at("vocab_size") != -1) // Llama 2's says that the tokenizer decides
    compare.number(Error, compare.at("vocab_size"), "vocab_size", static_cast<double>(model.vocabSize));
  compare.number(Warning, compare.at("norm_eps"), "norm_eps", model.normEps);
  compare.number(Warning, compare.at("rope_theta"), "rope_theta", model.ropeBase, 10000.0);
  if (const bool isScaled = model.ropeScaling.factor != 1.0; (compare.at("use_scaled_rope") == true) != isScaled)
    compare.differ(Warning, fmt::format("'use_scaled_rope' is {}, the recipe's model {}{}", !isScaled,
                                        isScaled ? "scales positions" : "does not scale positions",
                                        Comparison::wayOut(Warning)));
  return compare.good;
}

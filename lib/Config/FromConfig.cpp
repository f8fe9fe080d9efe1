//===- FromConfig.cpp - A model by the config.json beside its weights -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `ftc.models.from_config` stands for the builder with explicit sizes that a config.json describes. It is replaced by
// that builder and its arguments before keys are checked, so that everything behind sees an ordinary recipe, and the
// step's own recipe names the sizes. What the file says and no builder has is refused where it stands.
//
//===----------------------------------------------------------------------===//

#include "Components.h"
#include "Values.h"
#include "ftc/Config/ModelTypes.h"
#include "ftc/Config/Multimodal.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <filesystem>

namespace ftc::config {

namespace {

struct Type {
  const char *name;    ///< config.json's model_type
  const char *builder; ///< with explicit sizes
  const char *normEps; ///< that transformers takes when the file has none
  /// Either: the builder has tie_word_embeddings. Usually: and so does transformers where the file says nothing.
  enum { No, Yes, Either, Usually } tied;
  const char *headDim = ""; ///< that transformers takes when the file has none; "": hidden_size / heads
  bool hasWindow = false;
  const char *ropeBase = "10000"; ///< that transformers takes when the file has none
  bool isPart = false;            ///< only the text_config of another model is of this type
};

const Type types[] = {
    {"llama", "torchtune.models.llama3_2.llama3_2", "1e-6", Type::Either},
    {"mistral", "torchtune.models.mistral.mistral", "1e-6", Type::No, "", true},
    {"qwen2", "torchtune.models.qwen2.qwen2", "1e-6", Type::Either},
    {"qwen3", "torchtune.models.qwen3.qwen3", "1e-6", Type::Either, "128"},
    {"gemma", "torchtune.models.gemma.gemma", "1e-6", Type::Yes, "256"},
    {"gemma2", "torchtune.models.gemma2.gemma2", "1e-6", Type::Yes, "256", true},
    {"phi3", "torchtune.models.phi3.phi3", "1e-5", Type::Either, "", true},
    {"gemma3_text", "ftc.models.gemma3", "1e-6", Type::Yes, "256", true, "1000000"},
    {"smollm3", "ftc.models.smollm3", "1e-6", Type::Usually, "", false, "2000000"},
    {"olmo2", "ftc.models.olmo2", "1e-5", Type::Either},
    {"granite", "ftc.models.granite", "1e-6", Type::Either},
    {"qwen2_5_vl_text", "torchtune.models.qwen2.qwen2", "1e-5", Type::Either, "", false, "1000000", true},
};

Node scalar(const std::string &text, const Place &place) {
  Node node;
  node.kind = Node::Kind::Scalar;
  node.text = text;
  node.resolved = true;
  node.place = place;
  return node;
}

class ModelFromConfig {
public:
  ModelFromConfig(Node &model, const std::string &prefix, Messages &messages)
      : model(model), prefix(prefix), messages(messages) {}

  void run(const std::string &path, const Place &place) {
    std::string text, error;
    if (!readFile(path, text, error))
      return messages.error(place, error + "; 'model' (" + model.find("_component_")->text +
                                       ") takes its sizes from there: name another folder with model.path, or a "
                                       "builder with sizes, such as torchtune.models.llama3_2.llama3_2_1b");
    std::optional<Node> read = readConfigJsonTree(text, path, messages);
    if (!read)
      return;
    config = std::move(*read);
    if (const Node *kind = given("model_type"))
      multimodal = multimodalFamily(kind->text);
    if (multimodal && !takeTextPart())
      return;
    const Node *kind = given("model_type");
    const Type *type = nullptr;
    std::string known;
    for (const Type &each : types) {
      if (!each.isPart)
        known += (known.empty() ? "" : ", ") + std::string(each.name);
      if (kind && kind->text == each.name && (multimodal || !each.isPart))
        type = &each;
    }
    if (!type)
      return messages.error(kind ? kind->place : config.place,
                            "'model_type' is " + (kind ? shown(*kind) : std::string("missing")) +
                                "; models of this type are not built, those of type " + known +
                                " are, and of gemma3, mistral3 and qwen2_5_vl the text part");
    take(*type);
    if (!messages.failed())
      replace(type->builder);
  }

private:
  /// Makes `config` the text part of a model that reads images too. False with an error.
  bool takeTextPart() {
    const Node *part = given("text_config");
    if (!part && !multimodal->mayBeFlat)
      messages.error(config.place, "'text_config' is missing, which has the sizes of a " +
                                       std::string(multimodal->type) + "'s text part");
    else if (part && !part->isMap())
      refuse(*part, "text_config", "it must be an object");
    if (messages.failed())
      return false;
    Node text = part ? *part : config;
    if (const Node *kind = part ? text.find("model_type") : nullptr; kind && kind->text != multimodal->textType) {
      refuse(*kind, "text_config.model_type",
             "of a " + std::string(multimodal->type) + " only a text part of type " + multimodal->textType +
                 " is built");
      return false;
    }
    // transformers ties a model's embeddings by its own key, a Qwen's by that of the text part too. That of a Mistral
    // says nothing: it ties only what has no weight of its own.
    const Node *tied = given("tie_word_embeddings"), *inner = text.find("tie_word_embeddings");
    Node tie = scalar(multimodal->architecture == ModelArchitecture::Gemma3 ? "True" : "False", config.place);
    if (tied && multimodal->architecture != ModelArchitecture::Mistral)
      tie = *tied;
    else if (inner && multimodal->architecture == ModelArchitecture::Qwen2)
      tie = *inner;
    std::erase_if(text.entries,
                  [](const Entry &entry) { return entry.key == "tie_word_embeddings" || entry.key == "model_type"; });
    text.entries.push_back({"tie_word_embeddings", tie.place, tie});
    text.entries.push_back({"model_type", text.place, scalar(multimodal->textType, text.place)});
    config = std::move(text);
    return true;
  }

  /// The value of a key of the file; null where it is absent or null.
  const Node *given(const std::string &key) const {
    const Node *node = config.find(key);
    return node && !node->isNull() ? node : nullptr;
  }

  /// Gives the builder an argument, unless the recipe does.
  void argument(const std::string &name, Node value) {
    if (model.find(name))
      return;
    Place place = value.place;
    model.entries.push_back({name, place, std::move(value)});
  }

  /// The builder's `name` is the file's `key`; `absent` is what transformers takes when the file has none.
  void copy(const std::string &key, const std::string &name, const std::string &absent = "") {
    if (const Node *value = given(key))
      argument(name, *value);
    else if (!absent.empty())
      argument(name, scalar(absent, config.place));
    else if (!model.find(name))
      messages.error(config.place, "'" + key + "' is missing; give it as model." + name);
  }

  void refuse(const Node &value, const std::string &key, const std::string &why) {
    messages.error(value.place, "'" + key + "' is " + shown(value) + ", and " + why);
  }

  void take(const Type &type) {
    const std::string name = type.isPart ? "qwen2" : type.name;
    if (name == "gemma3_text")
      for (const auto &size : usualSizes(ModelArchitecture::Gemma3))
        if (!given(size.first)) {
          std::erase_if(config.entries, [&](const Entry &entry) { return entry.key == size.first; });
          config.entries.push_back({size.first, config.place, scalar(std::to_string(size.second), config.place)});
        }
    copy("vocab_size", "vocab_size");
    copy("num_hidden_layers", "num_layers");
    copy("num_attention_heads", "num_heads");
    if (const Node *heads = given("num_attention_heads"))
      copy("num_key_value_heads", "num_kv_heads", kvHeads(type.name, *heads));
    copy("hidden_size", "embed_dim");
    copy("intermediate_size", "intermediate_dim");
    copy("max_position_embeddings", "max_seq_len");
    copy("rms_norm_eps", "norm_eps", type.normEps);
    if (given("head_dim") || *type.headDim)
      copy("head_dim", "head_dim", type.headDim);

    activation(name);
    for (const char *bias : {"attention_bias", "mlp_bias"})
      if (const Node *value = given(bias); value && asBool(*value) != false && name != "qwen2")
        refuse(*value, bias, "such biases are not built");
    // What a recipe says of attention's dropout (0) counts; the other two are Phi-3's.
    for (const char *dropout : {"attention_dropout", "resid_pdrop", "embd_pdrop"}) {
      const bool isAttention = std::string(dropout) == "attention_dropout";
      if (const Node *value = given(dropout);
          value && asFloat(*value) != 0.0 && !(isAttention && model.find("attn_dropout")))
        refuse(*value, dropout,
               std::string("dropout is not built yet; to train without ") +
                   (isAttention ? "override model.attn_dropout=0" : "set it to 0.0 there"));
    }
    const Node *tied = given("tie_word_embeddings");
    if (type.tied == Type::Either || type.tied == Type::Usually)
      argument("tie_word_embeddings",
               tied ? *tied : scalar(type.tied == Type::Usually ? "True" : "False", config.place));
    else if (tied && asBool(*tied) != (type.tied == Type::Yes))
      refuse(*tied, "tie_word_embeddings", "that is not built for " + name);
    if (const Node *use = given("use_sliding_window"); use && asBool(*use) != false)
      refuse(*use, "use_sliding_window", "windows of attention are not built for " + name);
    if (const Node *use = given("use_bidirectional_attention"); use && asBool(*use) != false)
      refuse(*use, "use_bidirectional_attention", "attention to what is behind a token is not built");
    if (name == "mistral")
      copyOrNull("sliding_window", "sliding_window_size", "4096");
    else if (type.hasWindow && given("sliding_window"))
      copy("sliding_window", "sliding_window_size");
    windows(name);
    if (name == "gemma2") {
      copyOrNull("attn_logit_softcapping", "hidden_capping_value", "50");
      copyOrNull("final_logit_softcapping", "final_capping_value", "30");
    }
    if (name == "gemma2" || name == "gemma3_text")
      copyOrNull("query_pre_attn_scalar", "query_pre_attn_scalar", "256");
    if (name == "gemma3_text")
      for (const char *cap : {"attn_logit_softcapping", "final_logit_softcapping"})
        if (const Node *value = given(cap))
          refuse(*value, cap, "caps are not built for " + name);
    if (name == "smollm3")
      rotaryLayers();
    if (name == "granite")
      for (const char *factor :
           {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"})
        copy(factor, factor, "1.0");
    if (name == "gemma3_text")
      rotaryByLayer();
    else
      rotary(name, type.ropeBase);
  }

  /// What counts where the file has no heads of keys and values.
  std::string kvHeads(const std::string &name, const Node &heads) const {
    return config.find("num_key_value_heads") ? heads.text // null
                                              : std::to_string(usualKvHeads(name, asInt(heads).value_or(0)));
  }

  /// Under the key that transformers reads. Gemma's "gelu" under the older one means the approximation by tanh, under
  /// the newer one the exact function.
  void activation(const std::string &name) {
    const bool isGemma = name.starts_with("gemma");
    auto check = [&](const char *key, bool readsGelu) {
      const Node *act = given(key);
      if (!act || act->text == (isGemma ? "gelu_pytorch_tanh" : "silu") ||
          (isGemma && readsGelu && act->text == "gelu"))
        return;
      if (!isGemma && act->text == "swish")
        return;
      refuse(*act, key,
             std::string("only ") + (isGemma ? "gelu_pytorch_tanh" : "silu") + " is built for " + name +
                 (isGemma && act->text == "gelu" ? "; \"gelu\" under this key is the exact function, with erf" : ""));
    };
    if (name != "gemma2" && name != "gemma3_text")
      check("hidden_act", true);
    if (isGemma)
      check("hidden_activation", false);
  }

  /// What is of one kind in each so many-th of the layers, and of another in all others.
  struct Pattern {
    bool found = false;   ///< whether the layers are so
    int64_t interval = 0; ///< 0: all layers are of the other kind

    /// As an argument, where 0 is null.
    Node node(const Place &place) const {
      Node null;
      null.place = place;
      return interval == 0 ? null : scalar(std::to_string(interval), place);
    }
  };

  /// `isOdd`: whether an item of `layers` is a layer of the first kind.
  template <typename IsOdd> Pattern patternOf(const Node &layers, IsOdd isOdd) const {
    const Node *count = given("num_hidden_layers");
    const int64_t wanted = count ? asInt(*count).value_or(0) : 0;
    if (!layers.isList() || static_cast<int64_t>(layers.items.size()) < wanted)
      return {};
    int64_t interval = 0;
    for (int64_t i = 0; i < wanted; ++i) {
      const std::optional<bool> odd = isOdd(layers.items[static_cast<size_t>(i)]);
      if (!odd)
        return {};
      if (*odd && interval == 0)
        interval = i + 1;
      if (*odd != (interval != 0 && (i + 1) % interval == 0))
        return {};
    }
    return {true, interval};
  }

  /// Which layers have the window.
  void windows(const std::string &name) {
    const Node *layers = given("layer_types");
    const bool isGemma3 = name == "gemma3_text";
    if (!layers) {
      if (isGemma3)
        copy("sliding_window_pattern", "sliding_window_pattern", "6");
      return;
    }
    if (name == "mistral" || name == "phi3")
      return; // which do not read the key
    const Pattern pattern = patternOf(*layers, [](const Node &item) -> std::optional<bool> {
      if (item.text == "full_attention" || item.text == "sliding_attention")
        return item.text == "full_attention";
      return std::nullopt;
    });
    if (isGemma3 && pattern.found)
      argument("sliding_window_pattern", pattern.node(layers->place));
    else if (isGemma3)
      messages.error(layers->place,
                     "'layer_types' must be a list with \"full_attention\" for each so many-th layer and "
                     "\"sliding_attention\" for all others; other orders are not built");
    else if (name == "gemma2" && !(pattern.found && pattern.interval == (layers->items.size() == 1 ? 0 : 2)))
      messages.error(layers->place, "'layer_types' must be \"sliding_attention\" and \"full_attention\" in turn; "
                                    "other orders are not built for gemma2");
    else if (name != "gemma2" && !(pattern.found && pattern.interval == 1))
      messages.error(layers->place, "'layer_types' must be \"full_attention\" for every layer; others are not built "
                                    "for " +
                                        name);
  }

  /// SmolLM3's layers without a rotary embedding; the file has a 1 for each that has it.
  void rotaryLayers() {
    const Node *layers = given("no_rope_layers");
    if (!layers)
      return copy("no_rope_layer_interval", "no_rope_layer_interval", "4");
    const Pattern pattern = patternOf(*layers, [](const Node &item) -> std::optional<bool> {
      if (item.text == "0" || item.text == "1")
        return item.text == "0";
      return std::nullopt;
    });
    if (pattern.found)
      return argument("no_rope_layer_interval", pattern.node(layers->place));
    messages.error(layers->place, "'no_rope_layers' must be a list with 0 for each so many-th layer and 1 for all "
                                  "others; other orders are not built");
  }

  /// `copy` of what may be null.
  void copyOrNull(const std::string &key, const std::string &name, const std::string &absent) {
    const Node *value = config.find(key);
    argument(name, value ? *value : scalar(absent, config.place));
  }

  /// Gemma 3's: transformers 5 keeps base and scaling of each kind of layers, earlier versions both bases, and one
  /// scaling of layers without a window, which counts where both are there.
  void rotaryByLayer() {
    const std::string full = "rope_parameters.full_attention", local = "rope_parameters.sliding_attention";
    const Node *joint = given("rope_parameters");
    for (const std::string &key : {full, local})
      if (const Node *part = given(key); joint && (!part || !part->isMap()))
        return messages.error(joint->place, "'" + key + "' must be an object with \"rope_type\" and \"rope_theta\"");
    if (const Node *scaling = given("rope_scaling"); scaling && !scaling->isMap())
      return refuse(*scaling, "rope_scaling", "it must be an object with \"rope_type\", or null");
    auto in = [&](const std::string &part, const std::string &word) {
      const std::string older = "rope_scaling." + word;
      return part == full && (given(older) || !joint) ? older : part + "." + word;
    };
    auto base = [&](const std::string &part, const std::string &older) {
      return given(in(part, "rope_theta")) ? in(part, "rope_theta") : older;
    };
    copy(base(full, "rope_theta"), "rope_base", "1000000");
    copy(base(local, "rope_local_base_freq"), "rope_local_base_freq", "10000");
    auto kindOf = [&](const std::string &part) {
      const std::string key = in(part, given(in(part, "rope_type")) ? "rope_type" : "type");
      const Node *kind = given(key);
      if (kind && kind->text != "default" && !(kind->text == "linear" && part == full))
        refuse(*kind, key,
               "only \"default\"" + std::string(part == full ? " and \"linear\" are" : " is") +
                   " built for these layers of gemma3_text");
      if (kind && kind->text == "linear" && key == "rope_scaling.type")
        messages.remark(kind->place, "'" + key +
                                         "' scales positions here and in transformers 4; transformers 5 reads "
                                         "'rope_scaling.rope_type' alone for gemma3_text, and does not scale: give it "
                                         "that name, or take 'rope_scaling' out");
      return kind ? kind->text : "default";
    };
    kindOf(local);
    if (kindOf(full) == "linear")
      copy(in(full, "factor"), "scale_factor");
    else
      argument("scale_factor", scalar("1", config.place));
  }

  void rotary(const std::string &name, const std::string &usualBase) {
    // transformers 5 keeps base and scaling together, earlier versions apart; it takes a rope_scaling that is there too
    // in place of the other.
    const Node *older = given("rope_scaling");
    const bool isOlder = older && !(older->isMap() && older->entries.empty());
    const std::string joint = !isOlder && given("rope_parameters") ? "rope_parameters" : "rope_scaling";
    if (const Node *scaling = given(joint); scaling && !scaling->isMap())
      return refuse(*scaling, joint, "it must be an object with \"rope_type\", or null");
    copy(given(joint + ".rope_theta") ? joint + ".rope_theta" : "rope_theta", "rope_base", usualBase);
    const std::string key = joint + (given(joint + ".rope_type") ? ".rope_type" : ".type");
    const Node *kind = given(key);
    const bool isPlain = multimodal && multimodal->hasThreePositions() && kind && kind->text == "mrope";
    const bool isScaled = kind && kind->text != "default" && !isPlain;
    // Without scaling, Phi-3 alone reads it.
    for (const std::string &part : {joint + ".partial_rotary_factor", std::string("partial_rotary_factor")})
      if (const Node *value = given(part); value && name == "phi3")
        argument("partial_rotary_factor", *value); // the first counts
      else if (value && asFloat(*value) != 1.0 && isScaled)
        refuse(*value, part, "heads of which a part alone is rotated are not built for " + name);
    // "su" and "yarn" are older names of it.
    if (isScaled && name == "phi3" && (kind->text == "longrope" || kind->text == "su" || kind->text == "yarn"))
      return longRotary(joint);
    if (isScaled && (kind->text != "llama3" || name != "llama"))
      return refuse(*kind, key, "this rotary scaling is not built for " + name);
    if (name != "llama")
      return;
    if (!isScaled)
      return argument("scale_factor", scalar("1", config.place));
    copy(joint + ".factor", "scale_factor");
    for (const auto &[word, wanted] :
         {std::pair("low_freq_factor", 1.0), {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192.0}})
      if (const Node *value = given(joint + "." + word); !value)
        messages.error(given(joint)->place,
                       "'" + joint + "." + word + "' is missing; only " + floatText(wanted) + " is built");
      else if (asFloat(*value) != wanted)
        refuse(*value, joint + "." + word, "only " + floatText(wanted) + " is built");
  }

  /// LongRoPE of Phi-3, whose own key is what counts for the old context.
  void longRotary(const std::string &joint) {
    for (const auto &[key, name] :
         {std::pair("short_factor", "rope_short_factor"), {"long_factor", "rope_long_factor"}})
      copy(joint + "." + key, name);
    copy("original_max_position_embeddings", "original_max_seq_len", "4096");
    for (const char *key : {"factor", "attention_factor"})
      if (const Node *value = given(joint + "." + key))
        refuse(*value, joint + "." + key,
               "LongRoPE is built with what follows from max_position_embeddings and original_max_position_embeddings; "
               "remove the key if it says the same");
  }

  /// Puts the builder in the place of this component.
  void replace(const std::string &builder) {
    Entry *component = model.entry("_component_");
    const size_t word = builder.rfind('.') + 1;
    component->value.text = builder.substr(0, word) + (prefix.empty() ? "" : "lora_") + builder.substr(word);
    if (prefix == "qlora_")
      argument("quantize_base", scalar("True", component->place));
    std::erase_if(model.entries, [](const Entry &entry) { return entry.key == "path"; });
  }

  Node &model;
  std::string prefix;
  Messages &messages;
  Node config;                                  ///< of a model that reads images, its text part
  const MultimodalFamily *multimodal = nullptr; ///< such a model
};

} // namespace

std::vector<std::string> modelsFromConfig() {
  return {"ftc.models.from_config", "ftc.models.lora_from_config", "ftc.models.qlora_from_config"};
}

void nameModel(Node &root, Messages &messages) {
  Entry *model = root.entry("model");
  const Entry *component = model ? model->value.entry("_component_") : nullptr;
  if (!component || !component->value.isScalar())
    return;
  const std::vector<std::string> names = modelsFromConfig();
  auto found = std::find(names.begin(), names.end(), component->value.text);
  if (found == names.end())
    return;
  const std::string word = lastWord(*found), prefix = word.substr(0, word.find("from_config"));
  const Node *path = root.find("model.path");
  if (!path || path->isNull())
    path = root.find("checkpointer.checkpoint_dir");
  if (!path || !path->isScalar())
    return messages.error(component->value.place,
                          "'model' (" + component->value.text +
                              ") lacks the folder of its config.json; give it with model.path or "
                              "checkpointer.checkpoint_dir");
  const Place place = path->place;
  std::filesystem::path file = path->text;
  if (file.filename() != "config.json")
    file /= "config.json";
  ModelFromConfig(model->value, prefix, messages).run(file, place);
}

} // namespace ftc::config

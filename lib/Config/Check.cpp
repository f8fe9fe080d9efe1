//===- Check.cpp - Every key against the table ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Check.h"
#include "Components.h"
#include "Values.h"
#include "ftc/Config/Keys.h"

#include <algorithm>

namespace ftc::config {

namespace {

/// Whether blank-separated `list` holds `word`.
bool holds(const std::string &list, const std::string &word) {
  return (" " + list + " ").find(" " + word + " ") != std::string::npos;
}

/// Whether the key is an argument of the component.
bool takes(const KeyInfo &key, const std::string &component) {
  std::string word = lastWord(component), list = key.components;
  if (list.empty())
    return true;
  if (!isLoraBuilder(component))
    return holds(list, word);
  // A builder with adapters has the arguments of its twin without, and its own.
  return holds(list, "lora_*") || holds(list, word.substr(word.find('_') + 1));
}

const KeyInfo *keyAt(const std::string &path) {
  for (const KeyInfo &key : keyTable())
    if (path == key.path)
      return &key;
  return nullptr;
}

bool isNode(const std::string &path) {
  std::string prefix = path + ".";
  return std::any_of(keyTable().begin(), keyTable().end(),
                     [&](const KeyInfo &key) { return std::string(key.path).rfind(prefix, 0) == 0; });
}

bool sameValue(const Node &value, const KeyInfo &key) {
  Node fallback;
  fallback.kind = Node::Kind::Scalar;
  fallback.text = key.fallback;
  switch (key.type) {
  case ValueType::Int:
  case ValueType::Float:
    return asFloat(value) == asFloat(fallback);
  case ValueType::Bool:
    return asBool(value) == asBool(fallback);
  case ValueType::Text:
    return value.text == key.fallback;
  default:
    return false;
  }
}

/// What else torchtune's recipes do, by keys and components that only those have; kinds that have another's keys too
/// come before it.
struct OtherRecipe {
  const char *kind, *keys, *components; ///< blank-separated; last words of the components of losses and data sets
  const char *here = nullptr;           ///< not null: how that is done here
};

const OtherRecipe otherRecipes[] = {
    {"reinforcement learning, or with another loss of preferences than DPO's and RSO's",
     "ref_policy_checkpointer value_checkpointer reward_checkpointer policy_model "
     "reward_and_value_model ppo_epochs ppo_batch_size reward_penalty penalise_no_eos min_response_length "
     "max_generated_tokens whiten_rewards kl_coeff lmbda forward_batch_size",
     "SimPOLoss IPOLoss PPOLoss GRPOLoss"},
    {"evaluation", "tasks limit max_seq_length", ""},
    {"generating text", "prompt max_new_tokens temperature top_k enable_kv_cache", "",
     "a step that was compiled answers without data: ftrun step.so --steps 0 --sample 300 --ask TEXT --temperature 0.6 "
     "checkpointer.checkpoint_dir=DIR"}};

/// Arguments of other libraries that have another way here, and which.
struct OtherName {
  const char *path, *hint;
};

const OtherName otherNames[] = {
    {"dataset.field", "a .json file that is one object is written as the list in it first; ftrun says how"},
    {"dataset.sample_by", "a text file is one document, or with dataset.source=text a sample a line"},
    {"dataset.delimiter", "tables have commas between their cells, and files that are called .tsv tabs"},
    {"dataset.sep", "tables have commas between their cells, and files that are called .tsv tabs"},
    {"optimizer.bf16_stochastic_round", "stochastic rounding has a key of its own: stochastic_rounding=True"},
    {"optimizer.optim_bits", "the optimizer's name says it: bitsandbytes.optim.AdamW8bit for 8, "
                             "bitsandbytes.optim.AdamW for 32"},
    {"optimizer.is_paged", "the optimizer's name says it: bitsandbytes.optim.PagedAdamW or PagedAdamW8bit where it is "
                           "True"}};

/// How the warning begins that `device` decides nothing.
const std::string deviceWarning = "'device' is ";

class Checker {
public:
  Checker(const Node &root, const std::set<std::string> &variables, Messages &messages)
      : root(root), variables(variables), messages(messages) {}

  Checked run() {
    if (isOtherRecipe()) {
      checked.isOther = true;
      return std::move(checked);
    }
    for (const KeyInfo &key : keyTable()) {
      std::string path = key.path;
      size_t dot = path.find("._component_");
      if (dot == std::string::npos)
        continue;
      std::string node = path.substr(0, dot);
      const Node *value = root.find(node);
      if (std::optional<std::string> component = componentOf(node, value, messages))
        checked.components[node] = *component;
    }
    for (const Entry &e : root.entries)
      check(e, "");
    return std::move(checked);
  }

private:
  /// Whether the value of a key without effect asks for nothing: "off" in any form, or what is always so.
  static bool asksNothing(const Entry &e, const KeyInfo &key) {
    if (key.fallback == std::string("*") || e.value.isNull())
      return true;
    if (key.type == ValueType::Any || key.type == ValueType::Bool) {
      const Node *enabled = e.value.isMap() ? e.value.find("enabled") : &e.value;
      if (enabled && enabled->isScalar() && asBool(*enabled) == false)
        return true;
    }
    return *key.fallback && sameValue(e.value, key);
  }

  /// A recipe that does something else has many keys that say so: one error names them all.
  bool isOtherRecipe() {
    for (const OtherRecipe &other : otherRecipes) {
      std::string first, remove, replace;
      Place place;
      auto sign = [&](const std::string &path, const Place &where) {
        if (first.empty())
          first = path, place = where;
      };
      size_t count = 0;
      for (const Entry &e : root.entries) {
        const bool isOthers = std::any_of(std::begin(otherRecipes), std::end(otherRecipes),
                                          [&](const OtherRecipe &each) { return holds(each.keys, e.key); });
        if (isOthers && !keyAt(e.key) && !isNode(e.key) && !variables.count(e.key)) {
          if (holds(other.keys, e.key))
            sign(e.key, e.place);
          remove += (count++ ? " ~" : "~") + e.key;
          continue;
        }
        const Node *component = e.key == "loss" || e.key == "dataset" ? e.value.find("_component_") : nullptr;
        if (!component || !component->isScalar() || !holds(other.components, lastWord(component->text)))
          continue;
        sign(component->text, component->place);
        replace +=
            " " + e.key + "=" + (e.key == "loss" ? "torch.nn.CrossEntropyLoss" : "torchtune.datasets.chat_dataset");
      }
      if (first.empty())
        continue;
      std::string way = count ? (count > 1 ? "remove them (" : "remove it (") + remove + ")" : "";
      if (!replace.empty())
        way += (way.empty() ? "override" : " and override") + replace;
      messages.error(place,
                     "'" + first + "' belongs to recipes for " + other.kind +
                         ", which are not built; full fine-tuning, LoRA, QLoRA, quantization-aware training, DPO, "
                         "and knowledge distillation are: for one of these " +
                         way + (other.here ? std::string("; ") + other.here : ""));
      return true;
    }
    return false;
  }

  void check(const Entry &e, const std::string &prefix) {
    std::string path = prefix + e.key;
    if (const KeyInfo *key = keyAt(path))
      return checkKey(e, *key, prefix);
    if (e.key.find('.') == std::string::npos && isNode(path))
      return checkNode(e, path);
    if (prefix.empty() && variables.count(e.key))
      return; // the recipe's own name for a value that it uses elsewhere
    unknown(e, prefix);
  }

  void checkNode(const Entry &e, const std::string &path) {
    const Node &value = e.value;
    if (value.isMap()) {
      if (!hasComponent(path) || checked.components.count(path))
        for (const Entry &inner : value.entries)
          check(inner, path + ".");
    } else if (!value.isNull() && !(value.isList() && path == "dataset")) { // its nodes are checked one by one
      messages.error(value.place, "'" + path + "' needs keys of its own, not " + shown(value) +
                                      (value.isScalar() && hasComponent(path)
                                           ? "; write '" + path + ": {_component_: " + value.text + "}'"
                                           : "; see docs/recipes.md"));
    }
  }

  void checkKey(const Entry &e, const KeyInfo &key, const std::string &prefix) {
    std::string path = key.path;
    size_t before = messages.errorCount();
    checkValue(e, key, path, prefix);
    if (messages.errorCount() != before)
      checked.wrong.insert(path);
  }

  void checkValue(const Entry &e, const KeyInfo &key, const std::string &path, const std::string &prefix) {
    std::string node = prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1);
    const std::string &component = checked.components[node];
    if (!takes(key, component)) {
      KeyInfo sizeKey{};
      sizeKey.components =
          "llama2 llama3 llama3_1 llama3_2 mistral qwen2 qwen3 gemma gemma2 phi3 gemma3 smollm3 olmo2 granite";
      std::string hint = "; remove it (~" + path + ")";
      if (holds(key.components, "lora_*"))
        hint = "; it belongs to LoRA builders, such as torchtune.models.llama3_2.lora_llama3_2_1b: name one, or remove "
               "it (~" +
               path + ")";
      else if (node == "model" && holds(key.components, "llama2") && !takes(sizeKey, component))
        hint = ", whose sizes are fixed; for sizes of your own use " + builderOfSizes(component) +
               (isQloraBuilder(component) ? " with quantize_base: True" : "");
      messages.error(e.place, "'" + path + "' is not an argument of " + component + hint);
      return;
    }
    bool isFileList = path == "checkpointer.checkpoint_files" && e.value.isMap();
    if (key.type == ValueType::Int && isHugeInt(e.value)) {
      messages.error(e.value.place, "'" + path + "' is " + shown(e.value) + ", which is too large");
      return;
    }
    if (!fits(e.value, key.type) && !isFileList) {
      messages.error(e.value.place, "'" + path + "' needs " + describe(key.type) + ", not " + shown(e.value) +
                                        (e.value.quoted ? "; remove the quotes" : ""));
      return;
    }
    if (key.onlyFallback && !e.value.isNull() && !sameValue(e.value, key)) {
      messages.error(e.value.place, "'" + path + "' is " + shown(e.value) + ", and only " + key.fallback +
                                        " works: " + key.onlyFallback);
      return;
    }
    if (key.keyClass != KeyClass::NoEffect || asksNothing(e, key))
      return;
    if (path == "device")
      messages.add({Severity::Warning, e.place.file, e.place.line, e.place.column,
                    deviceWarning + shown(e.value) +
                        ", and without --target cuda this is a step for the CPU; compile with --target cuda --device "
                        "h100 (or another of configs/devices)"});
    else
      messages.withoutEffect.push_back({path, e.place, key.meaning});
  }

  void unknown(const Entry &e, const std::string &prefix) {
    std::string path = prefix + e.key;
    // Near keys of the same node first, then the same word elsewhere.
    std::string node = prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1);
    std::vector<std::string> here, paths;
    std::string elsewhere;
    for (const KeyInfo &key : keyTable()) {
      std::string other = key.path;
      if (other.rfind(prefix, 0) == 0) {
        std::string rest = other.substr(prefix.size());
        rest = rest.substr(0, rest.find('.'));
        if (takes(key, checked.components[node]) && std::find(here.begin(), here.end(), rest) == here.end())
          here.push_back(rest);
      }
      if (lastWord(other) == e.key && elsewhere.empty())
        elsewhere = other;
      paths.push_back(other);
    }
    std::string hint;
    for (const OtherName &other : otherNames)
      if (path == other.path)
        return messages.error(e.place,
                              "'" + path + "' is not a key here: " + other.hint + "; remove it (~" + path + ")");
    if (!elsewhere.empty()) {
      hint = "; did you mean '" + elsewhere + "'?";
    } else {
      hint = didYouMean(e.key, here);
      if (!hint.empty())
        hint.insert(hint.find('\'') + 1, prefix);
      else if (prefix.empty())
        hint = didYouMean(path, paths);
    }
    if (hint.empty()) {
      if (prefix.empty()) {
        hint = "; docs/recipes.md lists the keys (remove it with ~" + path + ")";
      } else {
        hint = "; valid keys here: ";
        for (size_t i = 0; i < here.size(); ++i)
          hint += (i ? ", " : "") + here[i];
      }
    }
    messages.error(e.place, "unknown key '" + path + "'" + hint);
  }

  const Node &root;
  const std::set<std::string> &variables;
  Messages &messages;
  Checked checked;
};

} // namespace

bool takesKey(const std::string &path, const std::string &component) {
  const KeyInfo *key = keyAt(path);
  return key && takes(*key, component);
}

Checked checkKeys(const Node &root, const std::set<std::string> &variables, Messages &messages) {
  return Checker(root, variables, messages).run();
}

} // namespace ftc::config

bool ftc::isAboutDevice(const Diagnostic &message) {
  return message.severity == Severity::Warning && message.message.starts_with(config::deviceWarning);
}

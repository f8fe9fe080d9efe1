//===- TextPart.cpp - The text part of a model that reads images ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TextPart.h"

#include "ftc/Checkpoint/Checkpoint.h"
#include "ftc/Support/Files.h"

using namespace ftc;
using nlohmann::json;

const MultimodalFamily *ftc::multimodalOf(const json &config, const ModelConfig &model) {
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string())
    return nullptr;
  const MultimodalFamily *family = multimodalFamily(config["model_type"].get_ref<const std::string &>());
  return family && family->architecture == model.architecture ? family : nullptr;
}

bool ftc::isAroundTextPart(const std::string &path, const ModelConfig &model) {
  std::string text, error;
  return readFile(path, text, error) && multimodalOf(json::parse(text, nullptr, /*allow_exceptions=*/false), model);
}

static constexpr std::string_view modelPrefix = "model.", partPrefix = "language_model.";

std::string ftc::nameInTextPart(std::string_view name) {
  const std::string_view whole = name;
  const bool isInner = name.starts_with(modelPrefix); // model.language_model.layers
  name.remove_prefix(isInner ? modelPrefix.size() : 0);
  if (!name.starts_with(partPrefix))
    return std::string(whole);
  name.remove_prefix(partPrefix.size());
  return isInner ? std::string(modelPrefix) + std::string(name) : std::string(name);
}

std::string ftc::nameAroundTextPart(std::string_view name) {
  if (!name.starts_with(modelPrefix))
    return std::string(name); // the head
  return std::string(modelPrefix) + std::string(partPrefix) + std::string(name.substr(modelPrefix.size()));
}

bool ftc::isBesideTextPart(std::string_view name) {
  name.remove_prefix(name.starts_with(modelPrefix) ? modelPrefix.size() : 0);
  return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.") || name.starts_with("visual.");
}

json ftc::textPartOf(const json &config, const MultimodalFamily &family, const char *type) {
  const bool isFlat = !config.contains("text_config") || !config["text_config"].is_object();
  json text = isFlat ? config : config["text_config"];
  // Not so of a part of another type, whose keys may mean something else.
  if (isFlat || !text.contains("model_type") || text["model_type"] == family.textType)
    text["model_type"] = type;
  auto unlessGiven = [](json &in, const char *key, json value) {
    if (!in.contains(key) || in[key].is_null())
      in[key] = std::move(value);
  };
  for (const auto &[key, value] : usualSizes(family.architecture))
    unlessGiven(text, key, value);
  const json tied = config.contains("tie_word_embeddings") ? config["tie_word_embeddings"] : json();
  switch (family.architecture) {
  case ModelArchitecture::Gemma3:
    text["tie_word_embeddings"] = tied.is_null() ? json(true) : tied;
    break;
  case ModelArchitecture::Mistral: // its key says nothing: transformers ties only what has no weight of its own
    text["tie_word_embeddings"] = false;
    break;
  default:
    if (!tied.is_null())
      text["tie_word_embeddings"] = tied;
  }
  if (!family.hasThreePositions())
    return text;
  unlessGiven(text, "rms_norm_eps", 1e-5);
  for (const char *joint : {"rope_parameters", "rope_scaling"})
    for (const char *kind : {"rope_type", "type"})
      if (text.contains(joint) && text[joint].is_object() && text[joint].contains(kind) && text[joint][kind] == "mrope")
        text[joint][kind] = "default";
  if (!text.contains("rope_parameters") || !text["rope_parameters"].is_object())
    unlessGiven(text, "rope_theta", 1e6);
  else if (!text.contains("rope_theta"))
    unlessGiven(text["rope_parameters"], "rope_theta", 1e6);
  return text;
}

std::string ftc::targetsInTextPart(const std::vector<std::string> &words) {
  std::string inside;
  bool hasHead = false;
  for (const std::string &word : words) {
    if (word == "lm_head")
      hasHead = true;
    else
      inside += (inside.empty() ? "" : "|") + word;
  }
  const std::string text = R"((?:.*\.)?language_model\.(?:.*\.)?(?:)" + inside + ")";
  if (!hasHead)
    return text;
  return inside.empty() ? R"((?:.*\.)?lm_head)" : "(?:" + text + R"(|(?:.*\.)?lm_head))";
}

//===- WeightNames.cpp - Other names of Llama's weights -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "WeightNames.h"

#include <algorithm>
#include <utility>

using namespace ftc;

namespace {

struct Names {
  std::string_view huggingFace, meta, torchtune;

  std::string_view in(Naming naming) const {
    return naming == Naming::HuggingFace ? huggingFace : naming == Naming::Meta ? meta : torchtune;
  }
};

constexpr Names ofModel[] = {
    {"model.embed_tokens.weight", "tok_embeddings.weight", "tok_embeddings.weight"},
    {"model.norm.weight", "norm.weight", "norm.scale"},
    {"lm_head.weight", "output.weight", "output.weight"},
};
/// Behind "layers.N.", Hugging Face's behind "model.layers.N.".
constexpr Names ofLayer[] = {
    {"self_attn.q_proj.weight", "attention.wq.weight", "attn.q_proj.weight"},
    {"self_attn.k_proj.weight", "attention.wk.weight", "attn.k_proj.weight"},
    {"self_attn.v_proj.weight", "attention.wv.weight", "attn.v_proj.weight"},
    {"self_attn.o_proj.weight", "attention.wo.weight", "attn.output_proj.weight"},
    {"mlp.gate_proj.weight", "feed_forward.w1.weight", "mlp.w1.weight"},
    {"mlp.down_proj.weight", "feed_forward.w2.weight", "mlp.w2.weight"},
    {"mlp.up_proj.weight", "feed_forward.w3.weight", "mlp.w3.weight"},
    {"input_layernorm.weight", "attention_norm.weight", "sa_norm.scale"},
    {"post_attention_layernorm.weight", "ffn_norm.weight", "mlp_norm.scale"},
    // Of Qwen's models, which Meta has no names for.
    {"self_attn.q_proj.bias", "", "attn.q_proj.bias"},
    {"self_attn.k_proj.bias", "", "attn.k_proj.bias"},
    {"self_attn.v_proj.bias", "", "attn.v_proj.bias"},
    {"self_attn.q_norm.weight", "", "attn.q_norm.scale"},
    {"self_attn.k_norm.weight", "", "attn.k_norm.scale"},
};

/// Of Gemma 2, in place of those above with the same names. So torchtune's checkpointers read and write them; its
/// layers apply mlp_norm before the feed-forward block and mlp_scale behind it, the other way round than Hugging
/// Face's.
constexpr Names ofGemma2Model[] = {{"model.norm.weight", "", "norm.rms_norm.scale"}};
constexpr Names ofGemma2Layer[] = {
    {"post_attention_layernorm.weight", "", "sa_scale.scale"},
    {"pre_feedforward_layernorm.weight", "", "mlp_scale.scale"},
    {"post_feedforward_layernorm.weight", "", "mlp_norm.scale"},
};

/// Whether Meta or torchtune have a model of this architecture; of others, all names are Hugging Face's.
bool hasOtherNames(ModelArchitecture architecture) {
  return architecture != ModelArchitecture::Gemma3 && architecture != ModelArchitecture::SmolLM3 &&
         architecture != ModelArchitecture::Olmo2 && architecture != ModelArchitecture::Granite;
}

/// "layers.12." of "layers.12.attention.wq.weight", "" of another name.
std::string_view layerOf(std::string_view name) {
  constexpr std::string_view prefix = "layers.";
  if (!name.starts_with(prefix))
    return {};
  const size_t end = name.find('.', prefix.size());
  if (end == name.npos || end == prefix.size() ||
      !std::ranges::all_of(name.substr(prefix.size(), end - prefix.size()),
                           [](char c) { return c >= '0' && c <= '9'; }))
    return {};
  return name.substr(0, end + 1);
}

template <size_t Count> const Names *findIn(const Names (&table)[Count], std::string_view name, Naming naming) {
  for (const Names &names : table)
    if (!name.empty() && names.in(naming) == name)
      return &names;
  return nullptr;
}

/// `name` as a whole, or from its `layer` ("layers.N.") on.
const Names *findIn(std::string_view name, std::string_view layer, Naming naming, ModelArchitecture architecture) {
  if (!hasOtherNames(architecture))
    return nullptr;
  if (architecture == ModelArchitecture::Gemma2)
    if (const Names *names = layer.empty() ? findIn(ofGemma2Model, name, naming)
                                           : findIn(ofGemma2Layer, name.substr(layer.size()), naming))
      return names;
  return layer.empty() ? findIn(ofModel, name, naming) : findIn(ofLayer, name.substr(layer.size()), naming);
}

} // namespace

std::optional<KnownWeight> ftc::knownWeight(std::string_view name, ModelArchitecture architecture) {
  const std::string_view layer = layerOf(name);
  for (Naming naming : {Naming::Meta, Naming::Torchtune})
    if (const Names *names = findIn(name, layer, naming, architecture))
      return KnownWeight{(layer.empty() ? "" : "model." + std::string(layer)) + std::string(names->huggingFace), naming,
                         names->meta == names->torchtune};
  return std::nullopt;
}

std::string ftc::nameIn(Naming naming, std::string_view name, ModelArchitecture architecture) {
  constexpr std::string_view prefix = "model.";
  const std::string_view layer = name.starts_with(prefix) ? layerOf(name.substr(prefix.size())) : std::string_view();
  const Names *names =
      findIn(layer.empty() ? name : name.substr(prefix.size()), layer, Naming::HuggingFace, architecture);
  if (!names || names->in(naming).empty() || naming == Naming::HuggingFace)
    return std::string(name);
  return std::string(layer) + std::string(names->in(naming));
}

std::optional<std::string> ftc::knownAdapter(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> endings[] = {{".lora_a.weight", ".lora_A.weight"},
                                                                       {".lora_b.weight", ".lora_B.weight"},
                                                                       {".magnitude", ".lora_magnitude_vector"}};
  constexpr std::string_view weight = ".weight";
  for (const auto &[theirs, ours] : endings) {
    if (!name.ends_with(theirs))
      continue;
    const std::string whole = std::string(name.substr(0, name.size() - theirs.size())) + std::string(weight);
    const auto known = knownWeight(whole, ModelArchitecture::Llama); // no norm has an adapter
    if (!known || (known->naming != Naming::Torchtune && !known->inBoth))
      return std::nullopt;
    return known->name.substr(0, known->name.size() - weight.size()) + std::string(ours);
  }
  return std::nullopt;
}

void ftc::layOutRotary(std::string_view name, const ModelConfig &model, TensorFile::Entry &entry) {
  // torchtune turns the halves of a head in Qwen's and Phi's models, as Hugging Face does.
  constexpr ModelArchitecture halves[] = {ModelArchitecture::Qwen2, ModelArchitecture::Qwen3, ModelArchitecture::Phi3};
  if (std::ranges::find(halves, model.architecture) != std::end(halves))
    return;
  const bool isQuery = name.find(".self_attn.q_proj.") != name.npos;
  if ((!isQuery && name.find(".self_attn.k_proj.") == name.npos) || name.ends_with(".lora_A.weight"))
    return;
  const int64_t heads = isQuery ? model.numHeads : model.numKvHeads;
  const int64_t width = model.headDim ? model.headDim : model.embedDim / model.numHeads;
  const std::vector<int64_t> &shape = entry.spec.shape;
  if (shape.empty() || shape[0] != heads * width || width % 2)
    return;
  const std::vector<TensorFile::Dimension> stored = entry.layout.empty() ? rowMajor(shape) : entry.layout;
  const int64_t row = stored[0].stride;
  entry.layout = {{heads, width * row}, {2, row}, {width / 2, 2 * row}};
  entry.layout.insert(entry.layout.end(), stored.begin() + 1, stored.end());
}

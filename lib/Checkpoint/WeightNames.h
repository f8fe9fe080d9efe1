//===- WeightNames.h - Other names of Llama's weights ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step calls weights as Hugging Face does. Meta's releases (consolidated.00.pth) and torchtune's own checkpoints have
// other names, and another order of rows in the projections of queries and keys: their rotary embedding turns the
// neighbours (2i, 2i + 1) of a head, Hugging Face's turns (i, i + headDim / 2). For Qwen's and Phi's models torchtune
// has that, too.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_WEIGHTNAMES_H
#define FTC_LIB_CHECKPOINT_WEIGHTNAMES_H

#include "ftc/Checkpoint/Checkpoint.h"

#include <optional>
#include <string>
#include <string_view>

namespace ftc {

/// A name in Meta's or torchtune's way.
struct KnownWeight {
  std::string name; ///< Hugging Face's
  Naming naming;    ///< Meta's for a name that both have
  bool inBoth;      ///< whether torchtune calls it so too
};

/// Nullopt for a name of Hugging Face's, and one of nobody's. Gemma 2's norms have torchtune names of their own; Gemma
/// 3, SmolLM3, OLMo 2 and Granite have Hugging Face's alone.
std::optional<KnownWeight> knownWeight(std::string_view name, ModelArchitecture architecture);

/// The name of one of Hugging Face's weights in another way; itself if it has none.
std::string nameIn(Naming naming, std::string_view name, ModelArchitecture architecture);

/// Hugging Face's name of an adapter's tensor that torchtune calls e.g. layers.0.attn.q_proj.lora_a.weight:
/// model.layers.0.self_attn.q_proj.lora_A.weight. Nullopt for any other name.
std::optional<std::string> knownAdapter(std::string_view name);

/// Lays the rows of a projection of queries or keys, of its adapter's B or of its magnitudes, stored in Meta's order,
/// out in Hugging Face's: row h · headDim + j · headDim / 2 + i of the result is row h · headDim + 2i + j of what is
/// stored, for head h, i below headDim / 2 and j 0 or 1. Any other tensor (by `name`, Hugging Face's) stays as it is,
/// and so does one that has another number of rows than `model`'s.
void layOutRotary(std::string_view name, const ModelConfig &model, TensorFile::Entry &entry);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_WEIGHTNAMES_H

//===- Components.h - What a _component_ may name ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONFIG_COMPONENTS_H
#define FTC_LIB_CONFIG_COMPONENTS_H

#include "Tree.h"
#include "ftc/Config/Recipe.h"

namespace ftc::config {

/// Whether the node at `path` is made by a component: "model", "optimizer" ...
bool hasComponent(const std::string &path);

/// The last word of a dotted name.
std::string lastWord(const std::string &dotted);

/// Whether a model's builder is one of torchtune's that attach LoRA adapters: "lora_llama3_2_1b", "qlora_llama3_2_1b".
bool isLoraBuilder(const std::string &component);
/// Whether it also quantizes what is frozen: "qlora_llama3_2_1b".
bool isQloraBuilder(const std::string &component);

/// The builder with explicit sizes of the same family, with adapters where `component` has some: of
/// "torchtune.models.qwen2.qlora_qwen2_7b" "torchtune.models.qwen2.lora_qwen2".
std::string builderOfSizes(const std::string &component);

/// The component of the node at `path`, the usual one when it names none. Nothing when it cannot be used; then the
/// error says what works. `node` may be null: absent.
std::optional<std::string> componentOf(const std::string &path, const Node *node, Messages &messages);

/// The tokenizer of a recipe that names none.
inline constexpr const char *byteTokenizer = "ftc.tokenizers.byte";

/// Any model's tokenizer, by Hugging Face's files.
inline constexpr const char *huggingFaceTokenizer = "torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer";

/// The components that stand for the builder that a config.json describes: with sizes, and with adapters, and with
/// adapters and a quantized base.
std::vector<std::string> modelsFromConfig();

/// Replaces such a component by that builder with its arguments; what the recipe says besides counts. Errors of the
/// config.json are located there.
void nameModel(Node &root, Messages &messages);

/// Fills in what the builder `component` fixes by itself. Returns true when it takes explicit sizes, which the caller
/// then reads.
bool startModel(const std::string &component, ModelConfig &model);

/// torchtune's usual feed-forward width for a model of width `embedDim`.
int64_t usualIntermediateDim(int64_t embedDim);

} // namespace ftc::config

#endif // FTC_LIB_CONFIG_COMPONENTS_H

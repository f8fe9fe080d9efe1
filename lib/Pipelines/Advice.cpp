//===- Advice.cpp - What would make a step fit -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Advice.h"

#include "ftc/Support/Units.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace ftc;

namespace {

/// Answers that are told.
constexpr size_t mostAnswers = 3;

struct Change {
  std::vector<std::string> words;    ///< as a person writes it
  std::vector<std::string> measured; ///< what is planned for it, if that is something else
  std::string besides = {};          ///< one more, where the recipe does not allow it without
  std::vector<std::string> overrides() const { return measured.empty() ? words : measured; }
};

/// "torchtune.models.llama3.llama3_8b" with "lora_" in front of its last word.
std::string withPrefix(std::string component, const char *prefix) {
  return component.insert(component.rfind('.') + 1, prefix);
}

/// What is in front of the sign of a key=value.
llvm::StringRef keyOf(llvm::StringRef word) { return word.split('=').first; }

/// From the one that costs least.
std::vector<Change> changesOf(const Recipe &recipe, bool gpu) {
  using Mode = CheckpointingConfig::Mode;
  std::vector<Change> changes;
  if (recipe.updates == UpdatePlacement::End)
    changes.push_back({{"optimizer_in_bwd=True"}, {}});
  if (!recipe.chunksLoss())
    changes.push_back({{"loss=torchtune.modules.loss.LinearCrossEntropyLoss"}, {}});
  if (!recipe.chunksLoss() && recipe.distillation) // both losses take the logits alike
    changes.back().words.push_back("kd_loss=torchtune.modules.loss.ForwardKLWithChunkedOutputLoss");
  // `auto` computes again no more than it must; the least that it can reach is what `full` takes. A GPU's link is wide
  // enough for some of it to be cheaper in the far tier.
  if (recipe.checkpointing.mode == Mode::None || recipe.checkpointing.mode == Mode::Selective) {
    Change automatic{{"enable_activation_checkpointing=True", "activation_checkpointing.mode=auto"},
                     {"enable_activation_checkpointing=True", "activation_checkpointing.mode=full"}};
    if (gpu && !recipe.offloadActivations)
      for (auto *overrides : {&automatic.words, &automatic.measured})
        overrides->push_back("enable_activation_offloading=True");
    changes.push_back(std::move(automatic));
  }
  if (!recipe.offloadActivations)
    changes.push_back({{"enable_activation_offloading=True"}, {}});
  if (!recipe.optimizer.quantizedStates && !recipe.lora && recipe.optimizer.kind == OptimizerConfig::Kind::AdamW)
    changes.push_back({{"optimizer=bitsandbytes.optim.PagedAdamW8bit"}, {}});
  if (recipe.batchSize > 1)
    changes.push_back({{"batch_size=1", "gradient_accumulation_steps=" +
                                            std::to_string(recipe.batchSize * recipe.gradientAccumulationSteps)},
                       {}});
  if (recipe.dtype == DType::F32)
    changes.push_back({{"dtype=bf16"}, {}});
  if (recipe.lora && !recipe.quantizedBase)
    changes.push_back({{"model.quantize_base=True"}, {}, "model.quantizer=bitsandbytes"});
  if (recipe.reference && !recipe.reference->quantized)
    changes.push_back({{"ref_quantizer=bitsandbytes"}, {}});
  return changes;
}

/// Other things to train: adapters beside the same model, which is frozen as it is, or in NF4. Such a model is its own
/// reference.
std::vector<Change> adaptersFor(const Recipe &recipe) {
  std::vector<Change> changes;
  if (!recipe.lora)
    for (const char *prefix : {"lora_", "qlora_"})
      changes.push_back({{"model._component_=" + withPrefix(recipe.model.component, prefix),
                          "model.lora_attn_modules=[q_proj,v_proj,output_proj]", "model.apply_lora_to_mlp=True"},
                         {},
                         *prefix == 'q' ? "model.quantizer=bitsandbytes" : ""});
  for (Change &change : changes) {
    if (recipe.reference && !recipe.reference->checkpointer.checkpointDir.empty())
      change.words.push_back("ref_checkpointer=null");
    if (recipe.reference && recipe.reference->quantized)
      change.words.push_back("ref_quantizer=null");
  }
  return changes;
}

/// Bytes of the step, within memory_budget if there is a way; none where the recipe does not allow the overrides. The
/// least that `auto` can reach is no more than what `full` takes.
std::optional<int64_t> planned(const Recipe &recipe, const CompileOptions &options,
                               std::vector<std::string> overrides) {
  std::vector<Diagnostic> unheard;
  if (recipe.checkpointing.mode == CheckpointingConfig::Mode::Auto)
    overrides.insert(overrides.begin(), "activation_checkpointing.mode=full");
  std::optional<Recipe> changed = parseRecipe(recipe.normalizedYaml, "recipe", overrides, unheard);
  if (!changed)
    return std::nullopt;
  CompileOptions plan = options;
  plan.stopAfter = Stage::Plan;
  plan.dumpFolder.clear();
  plan.advise = false;
  plan.longestOnly = true;
  std::optional<CompileResult> result = compile(*changed, plan, unheard);
  if (!result)
    return std::nullopt;
  return static_cast<int64_t>(result->totalBytes);
}

std::string inWords(const Change &change, int64_t total) {
  return llvm::join(change.words, " ") + " (" + formatBytes(static_cast<uint64_t>(total)) + ")";
}

/// Bytes that no way to compute the step and no shorter rows would spare.
int64_t fixedBytes(const MemoryTable &memory) {
  int64_t bytes = 0;
  for (const MemoryRow &row : memory.rows)
    if (llvm::StringRef(row.what).starts_with("parameters") || row.what == "optimizer states" ||
        row.what == "gradient accumulators" || row.what == "constants")
      bytes += row.bytes;
  return bytes;
}

} // namespace

std::string ftc::adviceToFit(const Recipe &recipe, const CompileOptions &options, int64_t budget,
                             const MemoryTable &memory) {
  // One change alone.
  auto single = [&](std::vector<Change> &changes) {
    std::vector<std::string> answers;
    for (Change &change : changes) {
      std::optional<int64_t> total = planned(recipe, options, change.overrides());
      if (!total && !change.besides.empty()) {
        change.words.push_back(change.besides);
        total = planned(recipe, options, change.overrides());
      }
      if (total && *total <= budget)
        answers.push_back(inWords(change, *total));
      if (answers.size() == mostAnswers)
        break;
    }
    return answers;
  };
  // One on top of the other, as long as that takes less; whether it fits then.
  Change all;
  std::optional<int64_t> least;
  auto together = [&](const std::vector<Change> &changes) {
    for (const Change &change : changes) {
      std::vector<std::string> overrides = all.overrides();
      llvm::append_range(overrides, change.overrides());
      std::optional<int64_t> total = planned(recipe, options, overrides);
      if (!total || (least && *total >= *least))
        continue;
      least = total;
      // A later word for a key takes an earlier one's place.
      llvm::erase_if(all.words, [&](const std::string &word) {
        return llvm::any_of(change.words, [&](llvm::StringRef other) { return keyOf(other) == keyOf(word); });
      });
      llvm::append_range(all.words, change.words);
      all.measured = std::move(overrides);
      if (*total <= budget)
        return true;
    }
    return false;
  };

  std::vector<Change> changes = changesOf(recipe, options.target == "cuda");
  if (std::vector<std::string> answers = single(changes); !answers.empty())
    return "it fits with " + llvm::join(answers, ", or with ");
  if (together(changes))
    return "no single change is enough; it fits with " + inWords(all, *least);
  std::vector<Change> adapters = adaptersFor(recipe);
  if (std::vector<std::string> answers = single(adapters); !answers.empty())
    return "it fits with adapters alone: " + llvm::join(answers, ", or with ");
  if (together(adapters))
    return "it fits with adapters, and with " + inWords(all, *least);
  // Shorter rows spare activations alone.
  const std::string smaller = fixedBytes(memory) <= budget ? "shorten tokenizer.max_seq_len" : "choose a smaller model";
  if (!least)
    return smaller;
  return "it still does not fit with " + inWords(all, *least) + "; " + smaller;
}

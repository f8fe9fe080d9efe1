//===- Normalize.cpp - A recipe as YAML with every default filled in -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Check.h"
#include "Components.h"
#include "Values.h"
#include "ftc/Config/Datasets.h"
#include "ftc/Config/Keys.h"
#include "ftc/Config/TrainingValues.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tuple>

namespace ftc::config {

/// A double-quoted YAML scalar that reads back as `text`, also after interpolation.
static std::string quoted(const std::string &text) {
  std::string escaped;
  for (size_t i = 0; i < text.size();) {
    size_t slashes = 0;
    while (i + slashes < text.size() && text[i + slashes] == '\\')
      ++slashes;
    bool open = text.compare(i + slashes, 2, "${") == 0;
    escaped.append(open ? 2 * slashes + 1 : slashes, '\\');
    i += slashes;
    if (i < text.size())
      escaped += text[i++];
  }
  std::string result = "\"";
  for (unsigned char c : escaped) {
    if (c == '"' || c == '\\')
      (result += '\\') += static_cast<char>(c);
    else if (c < 0x20 || c == 0x7f)
      result += fmt::format("\\x{:02x}", c);
    else
      result += static_cast<char>(c);
  }
  return result + '"';
}

/// A YAML list of texts.
static std::string quoted(const std::vector<std::string> &texts) {
  std::string list;
  for (const std::string &text : texts)
    list += (list.empty() ? "[" : ", ") + quoted(text);
  return list + "]";
}

/// "train[:95%]".
static std::string splitText(const DatasetConfig &d) {
  const char *unit = d.slice.percent ? "%" : "";
  const auto bound = [&](const std::optional<int64_t> &at) { return at ? std::to_string(*at) + unit : std::string(); };
  return d.split + (d.slice.isWhole() ? "" : "[" + bound(d.slice.from) + ":" + bound(d.slice.to) + "]");
}

static const char *word(bool value) { return value ? "True" : "False"; }

static std::string templateText(const PromptTemplateConfig &given) {
  if (!given.component.empty() || given.tags.empty())
    return given.component.empty() ? "null" : given.component;
  std::string text;
  for (const PromptTags &tags : given.tags)
    text +=
        fmt::format("{}{}: [{}, {}]", text.empty() ? "{" : ", ", tags.role, quoted(tags.before), quoted(tags.after));
  return text + "}";
}

/// Values of a data set, by key of the table ("dataset.packed").
static std::map<std::string, std::string> valuesOf(const DatasetConfig &d) {
  std::map<std::string, std::string> v;
  const DatasetBuilder builder = datasetBuilder(d.component);
  const bool isChat = builder.kind == DatasetKind::Chat;
  v["dataset._component_"] = d.component;
  if (!d.source.empty())
    v["dataset.source"] = quoted(d.source);
  if (!d.dataFiles.empty())
    v["dataset.data_files"] = d.dataFiles.size() == 1 ? quoted(d.dataFiles[0]) : quoted(d.dataFiles);
  const bool isAlpaca = builder.kind == DatasetKind::Alpaca, isInstruct = builder.kind == DatasetKind::Instruct;
  const bool isPreference = d.isPreference();
  if (!isAlpaca && !isInstruct && !isPreference)
    v[isChat ? "dataset.conversation_column" : "dataset.column"] = quoted(d.column);
  if (isChat && !builder.isShareGpt)
    v["dataset.conversation_style"] = d.conversationStyle;
  if (isChat || isAlpaca || isInstruct || isPreference)
    v[d.masking == MaskingStrategy::TrainOnAssistant ? "dataset.train_on_input" : "dataset.masking_strategy"] =
        d.masking == MaskingStrategy::TrainOnAll    ? "train_on_all"
        : d.masking == MaskingStrategy::TrainOnLast ? "train_on_last"
                                                    : word(d.trainOnInput);
  if (d.systemPrompt)
    v["dataset.new_system_prompt"] = quoted(*d.systemPrompt);
  // Only what has another name: a key that one data set reads is an error at another.
  DatasetConfig usualKeys;
  if (builder.kind == DatasetKind::PairsOfTexts)
    std::tie(usualKeys.promptKey, usualKeys.chosenKey, usualKeys.rejectedKey) =
        std::tuple("question", "response_j", "response_k");
  std::string map;
  for (const auto &[key, name, other] :
       {std::tuple("instruction", &d.instructionKey, &usualKeys.instructionKey),
        std::tuple("input", &d.inputKey, &usualKeys.inputKey), std::tuple("output", &d.outputKey, &usualKeys.outputKey),
        std::tuple("prompt", &d.promptKey, &usualKeys.promptKey),
        std::tuple("chosen", &d.chosenKey, &usualKeys.chosenKey),
        std::tuple("rejected", &d.rejectedKey, &usualKeys.rejectedKey)})
    if (*name != *other)
      map += fmt::format("{}{}: {}", map.empty() ? "" : ", ", key, quoted(*name));
  if (!map.empty())
    v["dataset.column_map"] = "{" + map + "}";
  v["dataset.packed"] = word(d.packed);
  if (splitText(d) != "train")
    v["dataset.split"] = quoted(splitText(d));
  if (builder.kind == DatasetKind::Text) {
    v["dataset.add_eos"] = word(d.addEos);
    v["dataset.split_across_pack"] = word(d.splitAcrossPack);
  }
  return v;
}

/// Values of a schedule, by key of the table; none for a constant rate.
static std::map<std::string, std::string> valuesOf(const SchedulerConfig &s) {
  using Kind = SchedulerConfig::Kind;
  std::map<std::string, std::string> v;
  if (s.kind == Kind::Constant)
    return v;
  std::string &component = v["lr_scheduler._component_"];
  v["lr_scheduler.num_warmup_steps"] = std::to_string(s.numWarmupSteps);
  if (s.kind == Kind::CosineWithWarmup || s.kind == Kind::HardRestarts || s.kind == Kind::WarmupStableDecay)
    v["lr_scheduler.num_cycles"] = floatText(s.numCycles);
  const auto curve = [](SchedulerConfig::Curve curve) {
    using Curve = SchedulerConfig::Curve;
    return curve == Curve::Linear ? "linear" : curve == Curve::Cosine ? "cosine" : "1-sqrt";
  };
  switch (s.kind) {
  case Kind::Constant:
    break;
  case Kind::CosineWithWarmup:
    component = "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup";
    if (s.minLr)
      v["lr_scheduler.min_lr"] = floatText(*s.minLr);
    else if (s.minLrRate > 0)
      v["lr_scheduler.min_lr_rate"] = floatText(s.minLrRate);
    if (s.minLr || s.minLrRate > 0)
      component = "transformers.get_cosine_with_min_lr_schedule_with_warmup";
    break;
  case Kind::ConstantWithWarmup:
    component = "transformers.get_constant_schedule_with_warmup";
    break;
  case Kind::LinearWithWarmup:
    component = "transformers.get_linear_schedule_with_warmup";
    break;
  case Kind::HardRestarts:
    component = "transformers.get_cosine_with_hard_restarts_schedule_with_warmup";
    break;
  case Kind::Polynomial:
    component = "transformers.get_polynomial_decay_schedule_with_warmup";
    v["lr_scheduler.lr_end"] = floatText(s.lrEnd);
    v["lr_scheduler.power"] = floatText(s.power);
    break;
  case Kind::WarmupStableDecay:
    component = "transformers.get_wsd_schedule";
    v["lr_scheduler.num_decay_steps"] = std::to_string(s.numDecaySteps);
    if (s.numStableSteps)
      v["lr_scheduler.num_stable_steps"] = std::to_string(*s.numStableSteps);
    v["lr_scheduler.warmup_type"] = curve(s.warmupCurve);
    v["lr_scheduler.decay_type"] = curve(s.decayCurve);
    v["lr_scheduler.min_lr_ratio"] = floatText(s.minLrRate);
    break;
  }
  return v;
}

/// "{_component_: ..., packed: True}": the values of a node, "dataset." for one, keys as in the table.
static std::string flowText(const std::map<std::string, std::string> &values, const std::string &node) {
  std::string text;
  for (const KeyInfo &key : keyTable())
    if (auto found = values.find(key.path); found != values.end())
      text += (text.empty() ? "" : ", ") + found->first.substr(node.size()) + ": " + found->second;
  return "{" + text + "}";
}

/// Values of a node that takes those of `dataset` where it gives none: what `own` gives, so that all others follow an
/// override of that.
static std::map<std::string, std::string> ownValues(const DatasetConfig &d, const Node &own) {
  const std::map<std::string, std::string> all = valuesOf(d);
  std::map<std::string, std::string> v;
  for (const Entry &entry : own.entries) {
    const std::string path = "dataset." + entry.key;
    if (path == "dataset.masking_strategy")
      v[path] = d.masking == MaskingStrategy::TrainOnAll    ? "train_on_all"
                : d.masking == MaskingStrategy::TrainOnLast ? "train_on_last"
                                                            : "train_on_assistant";
    else if (path == "dataset.train_on_input")
      v[path] = word(d.trainOnInput);
    else if (const auto found = all.find(path); found != all.end())
      v[path] = found->second;
    else
      v[path] = "null"; // given to be the usual value, whatever `dataset` has
  }
  return v;
}

/// One node, or a list of nodes.
static std::string flowText(const std::vector<std::string> &nodes) {
  return nodes.size() == 1 ? nodes[0] : fmt::format("[{}]", fmt::join(nodes, ", "));
}

/// The nodes of dataset_val; `root` is what they were read from.
static std::string heldOutText(const Recipe &r, const Node &root) {
  const Node *given = root.find("dataset_val");
  std::vector<std::string> nodes;
  for (size_t i = 0; i < r.heldOut.size(); ++i) {
    const Node &node = given->isList() ? given->items[i] : *given;
    nodes.push_back(
        flowText(isLikeTrained(root, node) ? ownValues(r.heldOut[i], node) : valuesOf(r.heldOut[i]), "dataset."));
  }
  return flowText(nodes);
}

/// A folder, as a place inside of output_dir where it is one, so that it follows an override of that.
static std::string folderText(const std::string &folder, const std::string &outputDir) {
  const std::optional<std::string> inside = pathInside(folder, outputDir);
  if (!inside)
    return quoted(folder);
  const std::string rest = inside->empty() ? "" : "/" + *inside;
  return "\"${output_dir}" + quoted(rest).substr(1);
}

/// The part of `whole` columns that is `columns` when it is multiplied and rounded down.
static double partOf(int64_t columns, int64_t whole) {
  double part = static_cast<double>(columns) / static_cast<double>(whole);
  while (static_cast<int64_t>(part * static_cast<double>(whole)) < columns)
    part = std::nextafter(part, 2.0);
  return part;
}

static std::string numbersText(const std::vector<double> &numbers) {
  std::string list;
  for (double number : numbers)
    list += (list.empty() ? "[" : ", ") + floatText(number);
  return list + "]";
}

/// Values of a model, by key of the table ("model.num_layers").
static std::map<std::string, std::string> valuesOf(const ModelConfig &m, bool hasAdapters) {
  std::map<std::string, std::string> v;
  v["model._component_"] = m.component;
  ModelConfig usual;
  if (startModel(m.component, usual)) {
    v["model.vocab_size"] = std::to_string(m.vocabSize);
    v["model.num_layers"] = std::to_string(m.numLayers);
    v["model.num_heads"] = std::to_string(m.numHeads);
    v["model.num_kv_heads"] = std::to_string(m.numKvHeads);
    v["model.embed_dim"] = std::to_string(m.embedDim);
    v["model.head_dim"] = std::to_string(m.headDim);
    v["model.intermediate_dim"] = std::to_string(m.intermediateDim);
    v["model.max_seq_len"] = std::to_string(m.maxSeqLen);
    v["model.norm_eps"] = floatText(m.normEps);
    v["model.rope_base"] = floatText(m.ropeBase);
    if (m.family == "llama3_1" || m.family == "llama3_2" || m.family == "gemma3")
      v["model.scale_factor"] = floatText(m.ropeScaling.factor);
    if (m.slidingWindow > 0)
      v["model.sliding_window_size"] = std::to_string(m.slidingWindow);
    if (m.family == "gemma2") {
      v["model.hidden_capping_value"] = m.attentionCap > 0 ? floatText(m.attentionCap) : "null";
      v["model.final_capping_value"] = m.logitsCap > 0 ? floatText(m.logitsCap) : "null";
    }
    auto orNull = [](int64_t value) { return value > 0 ? std::to_string(value) : "null"; };
    if (m.family == "gemma2" || m.family == "gemma3")
      v["model.query_pre_attn_scalar"] = orNull(m.queryScalar);
    if (m.family == "gemma3") {
      v["model.sliding_window_pattern"] = orNull(m.windowPattern);
      v["model.rope_local_base_freq"] = floatText(m.localRopeBase);
    }
    if (m.rotaryDim)
      v["model.partial_rotary_factor"] = floatText(partOf(m.rotaryDim, m.headDim));
    if (!m.ropeScaling.divisors.empty()) {
      v["model.rope_short_factor"] = numbersText(m.ropeScaling.divisors);
      v["model.rope_long_factor"] = numbersText(m.longDivisors);
      v["model.original_max_seq_len"] = std::to_string(m.ropeScaling.oldContext);
    }
    if (m.family == "smollm3")
      v["model.no_rope_layer_interval"] = orNull(m.ropelessPattern);
    if (m.family == "granite") {
      v["model.embedding_multiplier"] = floatText(m.embeddingFactor);
      v["model.residual_multiplier"] = floatText(m.residualFactor);
      v["model.attention_multiplier"] = floatText(m.scoreFactor);
      v["model.logits_scaling"] = floatText(m.logitsDivisor);
    }
  }
  std::string builder = lastWord(m.component);
  if (hasAdapters)
    builder = builder.substr(builder.find('_') + 1);
  for (const char *name :
       {"qwen2", "qwen3", "llama3_2", "llama3_2_1b", "llama3_2_3b", "phi3", "smollm3", "olmo2", "granite"})
    if (builder == name)
      v["model.tie_word_embeddings"] = word(m.tiedEmbeddings);
  return v;
}

/// What says where weights are.
static std::map<std::string, std::string> weightsOf(const CheckpointerConfig &c) {
  std::map<std::string, std::string> v;
  v["checkpointer._component_"] = "torchtune.training.FullModelHFCheckpointer";
  if (!c.checkpointDir.empty())
    v["checkpointer.checkpoint_dir"] = quoted(c.checkpointDir);
  if (!c.checkpointFiles.empty())
    v["checkpointer.checkpoint_files"] = quoted(c.checkpointFiles);
  return v;
}

/// The values that count, by key. A key that is not here is not written: it has the one value that works.
static std::map<std::string, std::string> valuesOf(const Recipe &r) {
  std::map<std::string, std::string> v;
  v["output_dir"] = quoted(r.outputDir);

  v.merge(valuesOf(r.model, r.lora.has_value()));
  if (r.lora) {
    auto has = [&](const char *target) {
      return std::find(r.lora->targets.begin(), r.lora->targets.end(), target) != r.lora->targets.end();
    };
    std::string modules;
    for (const char *name : {"q_proj", "k_proj", "v_proj"})
      if (has(name))
        modules += (modules.empty() ? "" : ", ") + std::string(name);
    if (has("o_proj"))
      modules += (modules.empty() ? "" : ", ") + std::string("output_proj");
    v["model.lora_attn_modules"] = "[" + modules + "]";
    v["model.apply_lora_to_mlp"] = word(has("gate_proj"));
    v["model.apply_lora_to_output"] = word(has("lm_head"));
    v["model.lora_rank"] = std::to_string(r.lora->rank);
    v["model.lora_alpha"] = floatText(r.lora->alpha);
    v["model.lora_dropout"] = floatText(r.lora->dropout);
    v["model.use_dora"] = word(r.lora->dora);
    v["model.quantize_base"] = word(r.quantizedBase.has_value());
    if (r.quantizedBase)
      v["model.quantizer"] = *r.quantizedBase == Nf4Quantizer::Torchao ? "torchao" : "bitsandbytes";
  }

  v["tokenizer._component_"] = r.tokenizer == "byte" ? byteTokenizer : r.tokenizer;
  if (r.promptTemplate)
    v["tokenizer.prompt_template"] = templateText(*r.promptTemplate);
  const bool isPhi4 = lastWord(r.tokenizer) == "phi4_tokenizer";
  const bool isHuggingFace = r.tokenizer == huggingFaceTokenizer;
  if (!r.tokenizerPath.empty())
    v[isPhi4          ? "tokenizer.vocab_path"
      : isHuggingFace ? "tokenizer.tokenizer_json_path"
                      : "tokenizer.path"] = quoted(r.tokenizerPath);
  if (!r.tokenizerConfigPath.empty())
    v["tokenizer.tokenizer_config_json_path"] = quoted(r.tokenizerConfigPath);
  if (!r.generationConfigPath.empty())
    v["tokenizer.generation_config_path"] = quoted(r.generationConfigPath);
  if (!r.mergesFile.empty())
    v[isPhi4 ? "tokenizer.merges_path" : "tokenizer.merges_file"] = quoted(r.mergesFile);
  if (!r.specialTokensPath.empty())
    v["tokenizer.special_tokens_path"] = quoted(r.specialTokensPath);
  v["tokenizer.max_seq_len"] = std::to_string(r.seqLen);
  if (!r.truncates)
    v["tokenizer.truncation"] = word(false);

  if (r.moreDatasets.empty()) {
    v.merge(valuesOf(r.dataset));
  } else {
    std::vector<std::string> nodes = {flowText(valuesOf(r.dataset), "dataset.")};
    for (const DatasetConfig &set : r.moreDatasets)
      nodes.push_back(flowText(valuesOf(set), "dataset."));
    v["dataset"] = flowText(nodes);
  }

  v["seed"] = std::to_string(r.seed);
  v["shuffle"] = word(r.shuffle);
  v["batch_size"] = std::to_string(r.batchSize);

  const CheckpointerConfig &c = r.checkpointer;
  v.merge(weightsOf(c));
  v["checkpointer.output_dir"] = folderText(c.outputDir, r.outputDir);
  if (!c.adapterCheckpoint.empty())
    v["checkpointer.adapter_checkpoint"] = quoted(c.adapterCheckpoint);
  if (c.keepLast)
    v["checkpointer.keep_last_n_checkpoints"] = std::to_string(c.keepLast);
  if (r.lora)
    v["save_adapter_weights_only"] = word(r.saveAdapterWeightsOnly);
  v["resume_from_checkpoint"] = word(r.resumeFromCheckpoint);

  v["epochs"] = std::to_string(r.epochs);
  v["max_steps_per_epoch"] = r.maxSteps ? std::to_string(*r.maxSteps) : "null";
  v["gradient_accumulation_steps"] = std::to_string(r.gradientAccumulationSteps);

  const OptimizerConfig &o = r.optimizer;
  bool adamW = o.kind == OptimizerConfig::Kind::AdamW;
  v["optimizer._component_"] = o.component;
  v["optimizer.lr"] = floatText(o.lr);
  v["optimizer.weight_decay"] = floatText(o.weightDecay);
  if (adamW) {
    v["optimizer.betas"] = "[" + floatText(o.beta1) + ", " + floatText(o.beta2) + "]";
    v["optimizer.eps"] = floatText(o.eps);
  }
  if (o.momentum != 0) {
    v["optimizer.momentum"] = floatText(o.momentum);
    v["optimizer.dampening"] = floatText(o.dampening);
    v["optimizer.nesterov"] = word(o.nesterov);
  }
  if (o.stateType)
    v["optimizer_state_dtype"] = *o.stateType == DType::BF16 ? "bf16" : "fp32";
  if (o.masterWeights)
    v["master_weights"] = "fp32";
  if (o.stochasticRounding)
    v["stochastic_rounding"] = word(true);
  v.merge(valuesOf(r.scheduler));
  v["loss._component_"] = r.lossComponent;
  if (r.preference) {
    const bool isHinge = r.preference->kind == PreferenceConfig::Kind::Hinge;
    v[isHinge ? "loss.gamma" : "loss.beta"] = floatText(r.preference->beta);
    if (!isHinge)
      v["loss.label_smoothing"] = floatText(r.preference->labelSmoothing);
  }
  if (r.lossChunks)
    v["loss.num_output_chunks"] = std::to_string(r.lossChunks);
  v["loss.ignore_index"] = std::to_string(r.ignoreIndex);
  if (const std::optional<ReferenceConfig> &reference = r.reference) {
    if (!reference->checkpointer.checkpointDir.empty())
      v["ref_checkpointer"] = flowText(weightsOf(reference->checkpointer), "checkpointer.");
    if (reference->quantized)
      v["ref_quantizer"] = *reference->quantized == Nf4Quantizer::Torchao ? "torchao" : "bitsandbytes";
  }
  if (const std::optional<DistillationConfig> &d = r.distillation) {
    v["teacher_model"] = flowText(valuesOf(d->teacher, /*hasAdapters=*/false), "model.");
    v["teacher_checkpointer"] = flowText(weightsOf(d->checkpointer), "checkpointer.");
    v["kd_loss._component_"] = d->lossComponent;
    v["kd_ratio"] = floatText(d->ratio);
  }
  if (r.quantizer) {
    v["quantizer._component_"] = r.quantizer->component;
    v["quantizer.groupsize"] = std::to_string(r.quantizer->groupSize);
    if (r.quantizer->kind == QuantizerConfig::Kind::Int4WeightOnly)
      v["quantizer.inner_k_tiles"] = std::to_string(r.quantizer->innerKTiles);
    else
      v["quantizer.padding_allowed"] = word(r.quantizer->paddingAllowed);
    if (r.quantizer->afterSteps)
      v["fake_quant_after_n_steps"] = std::to_string(r.quantizer->afterSteps);
  }
  v["clip_grad_norm"] = r.clipGradNorm ? floatText(*r.clipGradNorm) : "null";
  v["dtype"] = r.dtype == DType::BF16 ? "bf16" : "fp32";
  if (r.updates != UpdatePlacement::Auto)
    v["optimizer_in_bwd"] = word(r.updates == UpdatePlacement::Backward);
  v["sequence_lengths"] = fmt::format("[{}]", fmt::join(r.sequenceLengths, ", "));
  if (r.memoryBudget)
    v["memory_budget"] = std::to_string(*r.memoryBudget);
  bool remat = r.checkpointing.mode != CheckpointingConfig::Mode::None;
  v["enable_activation_checkpointing"] = word(remat);
  if (remat) {
    using Mode = CheckpointingConfig::Mode;
    v["activation_checkpointing.mode"] = r.checkpointing.mode == Mode::Full   ? "full"
                                         : r.checkpointing.mode == Mode::Auto ? "auto"
                                                                              : "selective";
    v["activation_checkpointing.every"] = std::to_string(r.checkpointing.every);
  }
  v["enable_activation_offloading"] = word(r.offloadActivations);
  if (r.tensorBoard)
    v["metric_logger"] = fmt::format(
        "{{_component_: torchtune.training.metric_logging.TensorBoardLogger, log_dir: {}, organize_logs: {}}}",
        folderText(r.tensorBoard->logDir, r.outputDir), word(r.tensorBoard->organizeLogs));
  v["log_every_n_steps"] = std::to_string(r.logEveryNSteps);
  v["save_every_n_steps"] = r.saveEveryNSteps ? std::to_string(r.saveEveryNSteps) : "null";
  v["run_val_every_n_steps"] = r.valEveryNSteps ? std::to_string(r.valEveryNSteps) : "null";
  return v;
}

std::string normalize(const Recipe &recipe, const Node &root) {
  std::map<std::string, std::string> values = valuesOf(recipe);
  if (!recipe.heldOut.empty())
    values["dataset_val"] = heldOutText(recipe, root);
  std::string result, node;
  for (const KeyInfo &key : keyTable()) {
    auto found = values.find(key.path);
    if (std::string_view(key.path) == "dataset._component_" && values.count("dataset"))
      result += "dataset: " + values["dataset"] + "\n";
    if (found == values.end())
      continue;
    std::string path = key.path;
    size_t dot = path.find('.');
    if (dot == std::string::npos) {
      node.clear();
      result += path + ": " + found->second + "\n";
      continue;
    }
    if (path.substr(0, dot) != node) {
      node = path.substr(0, dot);
      result += node + ":\n";
    }
    result += "  " + path.substr(dot + 1) + ": " + found->second + "\n";
  }
  return result;
}

} // namespace ftc::config

std::string ftc::columnOverride(const std::string &component, const std::string &column) {
  const DatasetKind kind = datasetBuilder(component).kind;
  if (kind != DatasetKind::Text && kind != DatasetKind::Other && kind != DatasetKind::Chat)
    return "";
  return std::string(kind == DatasetKind::Chat ? "dataset.conversation_column=" : "dataset.column=") +
         config::quoted(column);
}

std::map<std::string, std::string> ftc::trainingValues(const Recipe &recipe) {
  std::map<std::string, std::string> values = config::valuesOf(recipe);
  std::erase_if(values, [&](const auto &value) {
    const std::string &key = value.first;
    if (recipe.preference && key.starts_with("loss.") && key != "loss.num_output_chunks")
      return false;
    for (const char *start : {"optimizer.", "lr_scheduler.", "model.lora_", "model.quantize", "quantizer."})
      if (key.starts_with(start))
        return false;
    for (const char *same :
         {"ref_quantizer", "teacher_model", "kd_ratio", "fake_quant_after_n_steps", "model._component_",
          "model.use_dora", "tokenizer.max_seq_len", "shuffle", "gradient_accumulation_steps", "optimizer_state_dtype",
          "master_weights", "stochastic_rounding", "clip_grad_norm", "dtype"})
      if (key == same)
        return false;
    return true;
  });
  return values;
}

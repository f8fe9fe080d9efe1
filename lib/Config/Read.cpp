//===- Read.cpp - From a checked tree to a recipe ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Check.h"
#include "Components.h"
#include "Values.h"
#include "ftc/Support/Units.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <tuple>

namespace ftc::config {

namespace {

// Bounds that keep every later product of sizes far from 64 bits.
constexpr int64_t maxWidth = int64_t(1) << 24;
constexpr int64_t maxTokens = int64_t(1) << 20;
constexpr int64_t maxCount = int64_t(1) << 31;

class Reader {
public:
  Reader(const Node &root, const Checked &checked, Recipe &recipe, Messages &messages)
      : root(root), components(checked.components), wrong(checked.wrong), recipe(recipe), messages(messages) {}

  void run() {
    top();
    if (components.count("model"))
      model();
    tokenizer();
    if (components.count("dataset"))
      dataset();
    if (components.count("checkpointer"))
      checkpointer();
    if (components.count("optimizer"))
      optimizer();
    if (components.count("lr_scheduler"))
      scheduler();
    checkpointing();
    combinations();
  }

private:
  /// Whether there is anything but null at `path`.
  bool given(const std::string &path) const {
    const Node *node = root.find(path);
    return node && !node->isNull();
  }

  /// The value at `path`, or null when it is absent, null or of a wrong type.
  const Node *value(const std::string &path) const {
    return given(path) && !wrong.count(path) ? root.find(path) : nullptr;
  }

  /// Where the key `path` stands, or its node, or the top of the file.
  Place placeOf(const std::string &path) const {
    if (const Entry *e = root.findEntry(path))
      return e->place;
    size_t dot = path.rfind('.');
    return dot == std::string::npos ? Place{root.place.file, 1, 1} : placeOf(path.substr(0, dot));
  }

  /// "'clip_grad_norm' (line 12)".
  std::string named(const std::string &path) const {
    const Entry *e = root.findEntry(path);
    if (!e)
      return "'" + path + "' (absent)";
    if (e->place.file == commandLine)
      return "'" + path + "' (command line)";
    return "'" + path + "' (line " + std::to_string(e->place.line) + ")";
  }

  /// Reads a whole number into `to` if the key is there. Returns whether it is there and in range.
  bool integer(const std::string &path, int64_t &to, int64_t low, int64_t high) {
    const Node *node = value(path);
    if (!node)
      return false;
    int64_t number = asInt(*node).value_or(low);
    if (number < low || number > high) {
      messages.error(node->place, "'" + path + "' is " + node->text + "; it must be at least " + std::to_string(low) +
                                      (number > high ? " and at most " + std::to_string(high) : ""));
      return false;
    }
    to = number;
    return true;
  }

  /// Reads a number; `why` completes "must be ..." for those that `good` refuses.
  template <typename Good> void number(const std::string &path, double &to, const char *why, Good good) {
    const Node *node = value(path);
    if (!node)
      return;
    double x = asFloat(*node).value_or(0);
    if (!good(x)) {
      messages.error(node->place, "'" + path + "' is " + node->text + "; it must be " + why);
      return;
    }
    to = x;
  }

  void boolean(const std::string &path, bool &to) {
    if (const Node *node = value(path))
      to = asBool(*node).value_or(to);
  }

  void text(const std::string &path, std::string &to) {
    if (const Node *node = value(path))
      to = node->text;
  }

  void top() {
    text("output_dir", recipe.outputDir);
    if (recipe.outputDir.empty())
      messages.error(placeOf("output_dir"), "'output_dir' is empty; name a folder");
    seed();
    boolean("shuffle", recipe.shuffle);
    integer("batch_size", recipe.batchSize, 1, maxTokens);
    integer("gradient_accumulation_steps", recipe.gradientAccumulationSteps, 1, 1 << 20);
    boolean("resume_from_checkpoint", recipe.resumeFromCheckpoint);
    integer("epochs", recipe.epochs, 1, maxCount);
    int64_t steps = 0;
    if (integer("max_steps_per_epoch", steps, 1, maxCount))
      recipe.maxSteps = steps;
    integer("log_every_n_steps", recipe.logEveryNSteps, 1, maxCount);
    integer("save_every_n_steps", recipe.saveEveryNSteps, 1, maxCount);
    if (auto loss = components.find("loss"); loss != components.end())
      recipe.lossComponent = loss->second;
    integer("loss.num_output_chunks", recipe.lossChunks, 1, maxTokens);
    integer("loss.ignore_index", recipe.ignoreIndex, INT32_MIN, INT32_MAX);

    if (const Node *node = value("clip_grad_norm")) {
      double norm = asFloat(*node).value_or(0);
      if (norm == 0)
        messages.error(node->place,
                       "'clip_grad_norm' is 0, which would stop all training; write null for no clipping, or "
                       "inf to report the norm only");
      else if (!(norm > 0))
        messages.error(node->place,
                       "'clip_grad_norm' is " + node->text + "; it must be above 0, or null for no clipping");
      else
        recipe.clipGradNorm = norm;
    }
    if (const Node *node = value("memory_budget")) {
      recipe.memoryBudget = parseBytes(node->text);
      if (!recipe.memoryBudget || *recipe.memoryBudget == 0)
        messages.error(node->place, "'memory_budget' is '" + node->text +
                                        "'; it must be a number of bytes above 0, or one with a unit, such as 12GiB");
    }
    if (const Node *node = value("dtype")) {
      if (node->text == "bf16")
        recipe.dtype = DType::BF16;
      else if (node->text == "fp16")
        messages.error(node->place, "'dtype' is fp16, whose range is too small to train in; use bf16 or fp32");
      else if (node->text != "fp32")
        messages.error(node->place, "'dtype' is '" + node->text + "'; it must be fp32 or bf16" +
                                        didYouMean(node->text, {"fp32", "bf16"}));
    }
  }

  void seed() {
    const Node *node = root.find("seed");
    if (!node)
      return;
    if (node->isNull()) {
      messages.remark(placeOf("seed"), "'seed' is null, which is 0 here: the same recipe gives the same bits");
      return;
    }
    int64_t number = asInt(*node).value_or(0);
    if (number < 0)
      messages.error(node->place, "'seed' is " + node->text + "; it must be at least 0");
    recipe.seed = static_cast<uint64_t>(number);
  }

  void model() {
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
      if (!missing.empty())
        messages.error(placeOf("model"), "'model' (" + m.component + ") lacks " + missing +
                                             "; give them, or name a builder by size, such as "
                                             "torchtune.models.llama3_2.llama3_2_1b");
      if (!missing.empty() || !usable)
        return;
      auto positive = [](double x) { return x > 0 && std::isfinite(x); };
      auto atLeastOne = [](double x) { return x >= 1 && x <= 1e6; };
      number("model.norm_eps", m.normEps, "above 0", positive);
      number("model.rope_base", m.ropeBase, "at least 1 and finite", [](double x) { return x >= 1 && x <= 1e15; });
      number("model.scale_factor", m.ropeScaling.factor, "from 1 (no scaling) to 1e6", atLeastOne);
      m.intermediateDim = usualIntermediateDim(m.embedDim);
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
    if (isLoraBuilder(m.component))
      lora();
  }

  /// The arguments of builders with adapters.
  void lora() {
    LoraConfig l;
    integer("model.lora_rank", l.rank, 1, maxWidth);
    number("model.lora_alpha", l.alpha, "above 0 and finite", [](double x) { return x > 0 && std::isfinite(x); });
    number("model.lora_dropout", l.dropout, "at least 0 and below 1", [](double x) { return x >= 0 && x < 1; });
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
                       "'" + path +
                           "' is empty; name some of q_proj, k_proj, v_proj, output_proj (attention needs an " +
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
                         " is the embedding table itself (tied embeddings); set it to False, or " +
                         "model.tie_word_embeddings=False");
    else if (output)
      l.targets.push_back("lm_head");
    recipe.lora = std::move(l);
    quantizedBase();
  }

  /// QLoRA: which weights are in four bits follows from the model; they must be of sizes that the quantizer takes.
  void quantizedBase() {
    bool quantize = isQloraBuilder(recipe.model.component);
    boolean("model.quantize_base", quantize);
    std::string quantizer = "torchao";
    text("model.quantizer", quantizer);
    if (quantizer != "torchao" && quantizer != "bitsandbytes") {
      messages.error(placeOf("model.quantizer"), "'model.quantizer' is '" + quantizer + "'; it must be torchao or " +
                                                     "bitsandbytes" +
                                                     didYouMean(quantizer, {"torchao", "bitsandbytes"}));
      return;
    }
    if (!quantize) {
      if (value("model.quantizer"))
        messages.remark(placeOf("model.quantizer"),
                        "'model.quantizer' is without effect: 'model.quantize_base' is not True");
      return;
    }
    recipe.quantizedBase = quantizer == "torchao" ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes;
    const ModelConfig &m = recipe.model;
    const std::tuple<const char *, int64_t, int64_t> weights[] = {{"q_proj", m.numHeads * m.headDim, m.embedDim},
                                                                  {"k_proj", m.numKvHeads * m.headDim, m.embedDim},
                                                                  {"gate_proj", m.intermediateDim, m.embedDim}};
    for (const auto &[name, outputs, inputs] : weights)
      if (!nf4Takes(*recipe.quantizedBase, outputs * inputs)) {
        messages.error(placeOf("model.quantize_base"),
                       named("model.quantize_base") + ": " + name + " has " + std::to_string(outputs) + " x " +
                           std::to_string(inputs) + " elements, no multiple of 16384 as torchao's NF4 needs; set " +
                           "model.quantizer=bitsandbytes, which takes any size");
        return;
      }
  }

  void tokenizer() {
    recipe.tokenizer = "byte";
    if (!given("tokenizer.max_seq_len")) {
      std::string packed;
      bool isPacked = false;
      boolean("dataset.packed", isPacked);
      if (isPacked)
        packed = "; " + named("dataset.packed") + " needs it too";
      messages.error(placeOf("tokenizer.max_seq_len"),
                     "'tokenizer.max_seq_len' is null or absent: the step is compiled for one length of rows" + packed +
                         "; override tokenizer.max_seq_len=N, N tokens a row");
    } else if (integer("tokenizer.max_seq_len", recipe.seqLen, 1, maxTokens) && recipe.model.maxSeqLen > 0 &&
               recipe.seqLen > recipe.model.maxSeqLen) {
      std::string limit =
          root.findEntry("model.max_seq_len") ? named("model.max_seq_len") : "the model's longest sequence";
      messages.error(placeOf("tokenizer.max_seq_len"), named("tokenizer.max_seq_len") + " is " +
                                                           std::to_string(recipe.seqLen) + ", above " + limit + ", " +
                                                           std::to_string(recipe.model.maxSeqLen));
    }
    // 256 bytes, begin and end of text, padding.
    if (components.count("tokenizer") && recipe.model.vocabSize > 0 && recipe.model.vocabSize < 259)
      messages.error(placeOf("model.vocab_size"), named("model.vocab_size") + " is " +
                                                      std::to_string(recipe.model.vocabSize) +
                                                      ", below the 259 ids of the byte-level tokenizer of " +
                                                      named("tokenizer") + "; set model.vocab_size=259 or more");
    if (recipe.batchSize * std::max<int64_t>(recipe.seqLen, 1) > (int64_t(1) << 31))
      messages.error(placeOf("batch_size"),
                     named("batch_size") + " times " + named("tokenizer.max_seq_len") + " is above 2^31 tokens a step");
  }

  void dataset() {
    DatasetConfig &d = recipe.dataset;
    d.component = components.at("dataset");
    text("dataset.source", d.source);
    if (const Node *node = value("dataset.data_files")) {
      std::vector<std::string> files = asTexts(*node).value_or(std::vector<std::string>());
      if (files.size() > 1)
        messages.error(node->place, "'dataset.data_files' names " + std::to_string(files.size()) +
                                        " files; name one file, or a folder that holds them all");
      else if (!files.empty())
        d.dataFiles = files[0];
    }
    bool isChat = lastWord(d.component) == "chat_dataset";
    d.column = isChat ? "messages" : "text";
    text(isChat ? "dataset.conversation_column" : "dataset.column", d.column);
    d.packed = false;
    boolean("dataset.packed", d.packed);
    boolean("dataset.add_eos", d.addEos);
    // torchtune continues samples across rows in text completion only.
    d.splitAcrossPack = !isChat;
    boolean("dataset.split_across_pack", d.splitAcrossPack);
    if (root.findEntry("dataset.packed") && !d.packed)
      messages.remark(
          placeOf("dataset.packed"),
          "'dataset.packed' is False: a row holds one sample and is padded to tokenizer.max_seq_len, not to the "
          "longest of its batch; the loss is the same, True is faster");
  }

  void checkpointer() {
    CheckpointerConfig &c = recipe.checkpointer;
    text("checkpointer.checkpoint_dir", c.checkpointDir);
    c.outputDir = recipe.outputDir;
    text("checkpointer.output_dir", c.outputDir);
    text("checkpointer.adapter_checkpoint", c.adapterCheckpoint);
    if (!c.adapterCheckpoint.empty()) {
      const Place place = value("checkpointer.adapter_checkpoint")->place;
      std::string ending = std::filesystem::path(c.adapterCheckpoint).extension().string();
      if (!recipe.lora)
        messages.error(place, named("checkpointer.adapter_checkpoint") + " needs a LoRA builder, such as " +
                                  "torchtune.models.llama3_2.lora_llama3_2_1b, for " + named("model") +
                                  "; name one, or set it to null");
      else if (ending == ".pt" || ending == ".bin" || ending == ".pth")
        messages.error(place, "'checkpointer.adapter_checkpoint' names '" + c.adapterCheckpoint +
                                  "', and only safetensors are read; name adapter_model.safetensors");
    }
    boolean("save_adapter_weights_only", recipe.saveAdapterWeightsOnly);
    if (recipe.saveAdapterWeightsOnly && !recipe.lora) {
      messages.remark(placeOf("save_adapter_weights_only"),
                      "'save_adapter_weights_only' is without effect: there is no adapter in full fine-tuning");
      recipe.saveAdapterWeightsOnly = false;
    }
    if (const Node *node = value("checkpointer.checkpoint_files")) {
      if (node->isMap())
        formattedFiles(*node, c.checkpointFiles);
      else
        c.checkpointFiles = asTexts(*node).value_or(std::vector<std::string>());
      for (const std::string &file : c.checkpointFiles) {
        std::string ending = std::filesystem::path(file).extension().string();
        if (ending == ".safetensors")
          continue;
        messages.error(node->place, "'checkpointer.checkpoint_files' names '" + file +
                                        "', and only safetensors are read; get the model's .safetensors files and "
                                        "override checkpointer.checkpoint_files=null");
        break;
      }
    }
    if (!c.checkpointFiles.empty() && c.checkpointDir.empty())
      messages.error(placeOf("checkpointer.checkpoint_files"), named("checkpointer.checkpoint_files") + " needs " +
                                                                   named("checkpointer.checkpoint_dir") +
                                                                   ", the folder that holds them");
  }

  /// {filename_format: model-{}-of-{}.safetensors, max_filename: "00004"}: all names, numbers padded as the last one.
  void formattedFiles(const Node &node, std::vector<std::string> &files) {
    for (const Entry &e : node.entries) {
      if (e.key != "filename_format" && e.key != "max_filename") {
        messages.error(e.place, "unknown key 'checkpointer.checkpoint_files." + e.key + "'" +
                                    didYouMean(e.key, {"filename_format", "max_filename"}));
        return;
      }
    }
    const Node *format = node.find("filename_format");
    const Node *last = node.find("max_filename");
    size_t first = format && format->isScalar() ? format->text.find("{}") : std::string::npos;
    size_t second = first == std::string::npos ? first : format->text.find("{}", first + 2);
    int count = 0;
    if (last && last->isScalar())
      std::from_chars(last->text.data(), last->text.data() + last->text.size(), count);
    if (second == std::string::npos || count < 1 || count > 10000) {
      messages.error(node.place,
                     "'checkpointer.checkpoint_files' needs filename_format with two {} and max_filename with a "
                     "number, as in {filename_format: 'model-{}-of-{}.safetensors', max_filename: '00004'}");
      return;
    }
    for (int i = 1; i <= count; ++i) {
      std::string number = std::to_string(i), name = format->text;
      number.insert(0, last->text.size() - std::min(last->text.size(), number.size()), '0');
      name.replace(second, 2, last->text);
      name.replace(first, 2, number);
      files.push_back(name);
    }
  }

  void optimizer() {
    OptimizerConfig &o = recipe.optimizer;
    o.component = components.at("optimizer");
    bool sgd = o.component == "torch.optim.SGD";
    o.kind = sgd ? OptimizerConfig::Kind::SGD : OptimizerConfig::Kind::AdamW;
    o.weightDecay = sgd ? 0 : 1e-2;
    if (lastWord(o.component).ends_with("8bit"))
      o.quantizedStates = o.component.starts_with("torchao.") ? StateQuantizer::Torchao : StateQuantizer::Bitsandbytes;
    if (o.component.starts_with("bitsandbytes."))
      o.stateType = DType::F32; // the same update as PyTorch's, with moments that are fp32 whatever the parameters are
    o.paged = lastWord(o.component).starts_with("Paged");
    auto notNegative = [](double x) { return x >= 0 && std::isfinite(x); };
    number("optimizer.lr", o.lr, "at least 0 and finite", notNegative);
    number("optimizer.weight_decay", o.weightDecay, "at least 0 and finite", notNegative);
    number("optimizer.eps", o.eps, "at least 0 and finite", notNegative);
    if (const Node *node = value("optimizer.betas")) {
      o.beta1 = asFloat(node->items[0]).value_or(0);
      o.beta2 = asFloat(node->items[1]).value_or(0);
      if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1))
        messages.error(node->place, "'optimizer.betas' must both be at least 0 and below 1");
    }
    momentum();
    updatePrecision();
  }

  void momentum() {
    OptimizerConfig &o = recipe.optimizer;
    auto isShare = [](double x) { return x >= 0 && x <= 1; };
    number("optimizer.momentum", o.momentum, "at least 0 and at most 1", isShare);
    number("optimizer.dampening", o.dampening, "at least 0 and at most 1", isShare);
    boolean("optimizer.nesterov", o.nesterov);
    for (const char *key : {"optimizer.dampening", "optimizer.nesterov"})
      if (o.momentum == 0 && (std::string(key) == "optimizer.nesterov" ? o.nesterov : o.dampening != 0))
        messages.error(placeOf(key), named(key) + " has a meaning only with " + named("optimizer.momentum") +
                                         " above 0; set optimizer.momentum=0.9, or remove it (~" + key + ")");
    if (o.nesterov && o.dampening != 0)
      messages.error(placeOf("optimizer.nesterov"), named("optimizer.nesterov") + " does not go with " +
                                                        named("optimizer.dampening") +
                                                        ", as in PyTorch; set optimizer.dampening=0");
  }

  /// Types of states, and what becomes of the digits that a bf16 parameter cannot hold.
  void updatePrecision() {
    OptimizerConfig &o = recipe.optimizer;
    const std::string state = "optimizer_state_dtype", master = "master_weights", rounding = "stochastic_rounding";
    if (const Node *node = value(state)) {
      if (node->text == "fp32" || node->text == "bf16")
        o.stateType = node->text == "bf16" ? DType::BF16 : DType::F32;
      else
        messages.error(node->place, "'" + state + "' is '" + node->text + "'; it must be fp32 or bf16" +
                                        didYouMean(node->text, {"fp32", "bf16"}));
      if (o.kind == OptimizerConfig::Kind::SGD && o.momentum == 0)
        messages.error(placeOf(state), named(state) + " has a meaning only with states, and " +
                                           named("optimizer._component_") + ", torch.optim.SGD, has none without " +
                                           named("optimizer.momentum") + "; remove it (~" + state + ")");
    }
    if (const Node *node = value(master)) {
      o.masterWeights = node->text == "fp32";
      if (!o.masterWeights)
        messages.error(node->place, "'" + master + "' is '" + node->text + "'; it must be fp32, or null for none");
    }
    boolean(rounding, o.stochasticRounding);
    for (const std::string &key : {master, rounding})
      if ((key == master ? o.masterWeights : o.stochasticRounding) && recipe.dtype != DType::BF16)
        messages.error(placeOf(key), named(key) + " has nothing to do where " + named("dtype") +
                                         " is fp32: parameters are not rounded; set dtype=bf16, or remove it (~" + key +
                                         ")");
    if (o.masterWeights && o.stochasticRounding)
      messages.error(placeOf(rounding), named(rounding) + " does not go with " + named(master) +
                                            ": the parameter is its master, rounded to nearest; remove one of them (~" +
                                            rounding + " or ~" + master + ")");
  }

  void scheduler() {
    if (!given("lr_scheduler"))
      return;
    SchedulerConfig &s = recipe.scheduler;
    s.kind = SchedulerConfig::Kind::CosineWithWarmup;
    if (!given("lr_scheduler.num_warmup_steps"))
      messages.error(placeOf("lr_scheduler"),
                     "'lr_scheduler' lacks num_warmup_steps; set lr_scheduler.num_warmup_steps=N, "
                     "or remove the node for a constant rate (~lr_scheduler)");
    else
      integer("lr_scheduler.num_warmup_steps", s.numWarmupSteps, 0, maxCount);
    number("lr_scheduler.num_cycles", s.numCycles, "at least 0 and finite",
           [](double x) { return x >= 0 && x <= 1e6; });
  }

  void checkpointing() {
    using Mode = CheckpointingConfig::Mode;
    CheckpointingConfig &c = recipe.checkpointing;
    std::string key = given("activation_checkpointing.mode")    ? "activation_checkpointing.mode"
                      : given("activation_checkpointing.every") ? "activation_checkpointing.every"
                                                                : "";
    bool enabled = !key.empty();
    boolean("enable_activation_checkpointing", enabled);
    if (!enabled && !key.empty())
      messages.error(placeOf(key), named(key) + " needs " + named("enable_activation_checkpointing") +
                                       " to be True or absent; set enable_activation_checkpointing=True");
    c.mode = enabled ? Mode::Full : Mode::None;
    if (const Node *node = value("activation_checkpointing.mode")) {
      if (node->text == "selective" && enabled)
        c.mode = Mode::Selective;
      else if (node->text != "full" && node->text != "selective")
        messages.error(node->place, "'activation_checkpointing.mode' is '" + node->text +
                                        "'; it must be full or selective" +
                                        didYouMean(node->text, {"full", "selective"}));
    }
    boolean("enable_activation_offloading", recipe.offloadActivations);
    integer("activation_checkpointing.every", c.every, 1, std::max<int64_t>(recipe.model.numLayers, 1));
  }

  void combinations() {
    bool inBackward = false;
    boolean("optimizer_in_bwd", inBackward);
    if (value("optimizer_in_bwd"))
      recipe.updates = inBackward ? UpdatePlacement::Backward : UpdatePlacement::End;
    const Node *accumulation = root.find("gradient_accumulation_steps");
    if (inBackward && accumulation && asInt(*accumulation).value_or(1) > 1)
      messages.error(placeOf("optimizer_in_bwd"), named("optimizer_in_bwd") + " does not go with " +
                                                      named("gradient_accumulation_steps") +
                                                      " above 1; set gradient_accumulation_steps=1");
    insideCheckpoint("output_dir", recipe.outputDir);
    if (value("checkpointer.output_dir"))
      insideCheckpoint("checkpointer.output_dir", recipe.checkpointer.outputDir);
  }

  /// What is written must not mix with what is read.
  void insideCheckpoint(const std::string &path, const std::string &folder) {
    const std::string &checkpoint = recipe.checkpointer.checkpointDir;
    if (checkpoint.empty() || folder.empty())
      return;
    auto parts = [](const std::string &name) {
      std::filesystem::path clean = std::filesystem::path(name).lexically_normal();
      return clean.has_filename() || clean == "/" ? clean : clean.parent_path();
    };
    std::filesystem::path inner = parts(folder), outer = parts(checkpoint);
    auto [outerEnd, innerEnd] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
    if (outerEnd == outer.end())
      messages.error(placeOf(path), named(path) + " lies inside " + named("checkpointer.checkpoint_dir") + ", '" +
                                        checkpoint + "'; write somewhere else");
  }

  const Node &root;
  const std::map<std::string, std::string> &components;
  const std::set<std::string> &wrong;
  Recipe &recipe;
  Messages &messages;
};

} // namespace

void readRecipe(const Node &root, const Checked &checked, Recipe &recipe, Messages &messages) {
  Reader(root, checked, recipe, messages).run();
}

} // namespace ftc::config

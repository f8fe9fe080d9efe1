//===- Components.cpp - What a _component_ may name ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Components.h"
#include "ftc/Config/Keys.h"

#include <algorithm>

namespace ftc::config {

namespace {

struct ModelSize {
  const char *component; ///< without "torchtune.models."
  const char *family;
  int64_t vocab, layers, heads, kvHeads, width, intermediate, maxSeqLen;
  double ropeBase, ropeFactor;
  bool tied;
};

// clang-format off
const ModelSize sizes[] = {
  // component                     family     vocab   layers heads kv width feed-fwd  max seq  rope base  x  tied
  {"llama2.llama2_7b",            "llama2",   32000,  32, 32,  32,  4096, 11008,   4096,  1e4,  1, false},
  {"llama2.llama2_13b",           "llama2",   32000,  40, 40,  40,  5120, 13824,   4096,  1e4,  1, false},
  {"llama2.llama2_70b",           "llama2",   32000,  80, 64,   8,  8192, 28672,   4096,  1e4,  1, false},
  {"code_llama2.code_llama2_7b",  "llama2",   32016,  32, 32,  32,  4096, 11008,  16384,  1e6,  1, false},
  {"code_llama2.code_llama2_13b", "llama2",   32016,  40, 40,  40,  5120, 13824,  16384,  1e6,  1, false},
  {"code_llama2.code_llama2_70b", "llama2",   32016,  80, 64,   8,  8192, 28672,  16384,  1e6,  1, false},
  {"llama3.llama3_8b",            "llama3",  128256,  32, 32,   8,  4096, 14336,   8192,  5e5,  1, false},
  {"llama3.llama3_70b",           "llama3",  128256,  80, 64,   8,  8192, 28672,   8192,  5e5,  1, false},
  {"llama3_1.llama3_1_8b",        "llama3_1",128256,  32, 32,   8,  4096, 14336, 131072,  5e5,  8, false},
  {"llama3_1.llama3_1_70b",       "llama3_1",128256,  80, 64,   8,  8192, 28672, 131072,  5e5,  8, false},
  {"llama3_1.llama3_1_405b",      "llama3_1",128256, 126,128,   8, 16384, 53248, 131072,  5e5,  8, false},
  {"llama3_2.llama3_2_1b",        "llama3_2",128256,  16, 32,   8,  2048,  8192, 131072,  5e5, 32, true},
  {"llama3_2.llama3_2_3b",        "llama3_2",128256,  28, 24,   8,  3072,  8192, 131072,  5e5, 32, true},
  {"llama3_3.llama3_3_70b",       "llama3_1",128256,  80, 64,   8,  8192, 28672, 131072,  5e5,  8, false},
};
// clang-format on

const char *const explicitBuilders[] = {"llama2.llama2", "llama3.llama3", "llama3_1.llama3_1", "llama3_2.llama3_2"};
constexpr const char *modelPrefix = "torchtune.models.";
constexpr const char *loraPrefix = "lora_";
constexpr const char *qloraPrefix = "qlora_";

bool startsWith(const std::string &text, const std::string &prefix) { return text.rfind(prefix, 0) == 0; }

/// What works at a node; the first is the usual one.
struct NodeComponents {
  const char *node;
  std::vector<std::string> works;
  std::vector<std::string> madeBefore = {}; ///< what makes ids out of text, and is done before ftrun: see isMadeBefore
};

const std::vector<NodeComponents> &nodes() {
  static const std::vector<NodeComponents> table = [] {
    std::vector<std::string> models = {"torchtune.models.llama3_2.llama3_2"};
    for (const char *builder : explicitBuilders)
      if (modelPrefix + std::string(builder) != models[0])
        models.push_back(modelPrefix + std::string(builder));
    for (const ModelSize &size : sizes)
      models.push_back(modelPrefix + std::string(size.component));
    // Each has a twin with adapters; those by size, another one that quantizes what is frozen.
    for (size_t i = 0, count = models.size(); i < count; ++i)
      models.push_back(std::string(models[i]).insert(models[i].rfind('.') + 1, loraPrefix));
    for (const ModelSize &size : sizes)
      models.push_back(
          (modelPrefix + std::string(size.component))
              .insert(std::string(modelPrefix).size() + std::string(size.component).rfind('.') + 1, qloraPrefix));
    return std::vector<NodeComponents>{
        {"model", models},
        {"tokenizer",
         {byteTokenizer, "torchtune.models.llama3.llama3_tokenizer", "torchtune.models.llama2.llama2_tokenizer"},
         {"torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer"}},
        {"dataset",
         {"torchtune.datasets.text_completion_dataset", "torchtune.datasets.chat_dataset",
          "torchtune.datasets.instruct_dataset", "torchtune.datasets.alpaca_dataset",
          "torchtune.datasets.alpaca_cleaned_dataset"},
         {"torchtune.datasets.grammar_dataset", "torchtune.datasets.samsum_dataset",
          "torchtune.datasets.slimorca_dataset", "torchtune.datasets.wikitext_dataset",
          "torchtune.datasets.cnn_dailymail_articles_dataset"}},
        {"checkpointer", {"torchtune.training.FullModelHFCheckpointer", "torchtune.utils.FullModelHFCheckpointer"}},
        {"optimizer",
         {"torch.optim.AdamW", "torch.optim.SGD", "bitsandbytes.optim.AdamW", "bitsandbytes.optim.PagedAdamW",
          "bitsandbytes.optim.AdamW8bit", "bitsandbytes.optim.PagedAdamW8bit", "torchao.optim.AdamW8bit",
          "torchao.prototype.low_bit_optim.AdamW8bit", "torchao.optim.AdamW4bit",
          "torchao.prototype.low_bit_optim.AdamW4bit"}},
        {"lr_scheduler",
         {"torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
          "torchtune.training.get_cosine_schedule_with_warmup", "torchtune.modules.get_cosine_schedule_with_warmup"}},
        {"loss",
         {"torch.nn.CrossEntropyLoss", "torchtune.modules.loss.CEWithChunkedOutputLoss",
          "torchtune.modules.loss.LinearCrossEntropyLoss"}},
        {"metric_logger", {}},
        {"profiler", {}}};
  }();
  return table;
}

const NodeComponents *nodeOf(const std::string &path) {
  for (const NodeComponents &node : nodes())
    if (path == node.node)
      return &node;
  return nullptr;
}

/// Why a component that torchtune has cannot be used, and what to do; "" for one that nobody knows.
std::string refusal(const std::string &path, const std::string &name, const Node &node) {
  const std::vector<std::string> &works = nodeOf(path)->works;
  std::string word = lastWord(name);
  if (path == "model") {
    for (std::string prefix : {"qdora_", "dora_"}) {
      if (!startsWith(word, prefix))
        continue;
      std::string full = name.substr(0, name.size() - word.size()) + loraPrefix + word.substr(prefix.size());
      bool built = std::find(works.begin(), works.end(), full) != works.end();
      std::string keys = " model.use_dora=True";
      if (prefix == "qdora_")
        keys += " model.quantize_base=True";
      return "'" + name + "' is no builder: DoRA is a key of those with adapters: " +
             (built ? "override model=" + full + keys
                    : "use one, such as torchtune.models.llama3_2.lora_llama3_2_1b, with" + keys);
    }
    for (const char *prefix : {loraPrefix, qloraPrefix})
      if (startsWith(word, prefix))
        word = word.substr(std::string(prefix).size());
    bool llama = startsWith(word, "llama") || startsWith(word, "code_llama");
    for (const char *other : {"vision", "reward", "classifier"})
      llama &= word.find(other) == std::string::npos;
    if (startsWith(name, modelPrefix) && !llama)
      return "'" + name + "': this kind of model is not built yet; the Llama family is, such as " + modelPrefix +
             "llama3_2.llama3_2_1b, or torchtune.models.llama3_2.llama3_2 with explicit sizes";
  }
  if (path == "tokenizer" && (startsWith(name, modelPrefix) || startsWith(name, "torchtune.modules.")))
    return "'" + name + "' is not built yet; those of Llama 3 (" + works[1] +
           ") and Llama 2 are, and bytes: override " + "tokenizer._component_=" + works[0] +
           " (token files, .bin, can come from any tokenizer)";
  if (path == "dataset" && startsWith(name, "torchtune.datasets."))
    return "'" + name + "' is not built yet; what works: override dataset._component_=" + works[0] + " or " + works[1] +
           ", and name the files with dataset.data_files=PATH or ftrun --data";
  if (path == "checkpointer" && startsWith(name, "torchtune."))
    return "'" + name + "' is not built; safetensors in Hugging Face's layout are: override checkpointer=" + works[0] +
           (node.entry("checkpoint_files") ? " checkpointer.checkpoint_files=null" : "") +
           (node.entry("checkpoint_dir") ? ", and checkpointer.checkpoint_dir=FOLDER if they lie elsewhere" : "");
  if (path == "optimizer" && (startsWith(name, "torch.optim.") || startsWith(name, "bitsandbytes.") ||
                              startsWith(name, "torchao.") || startsWith(name, "torchtune.")))
    return "'" + name + "' is not built yet; what works: override optimizer=" + works[0] + " or " + works[1];
  if (path == "lr_scheduler" && (startsWith(name, "torch.optim.") || startsWith(name, "torchtune.")))
    return "'" + name + "' is not built; what works: " + works[0] + ", or ~lr_scheduler for a constant rate";
  if (path == "loss" && (startsWith(name, "torch.nn.") || startsWith(name, "torchtune.")))
    return "'" + name + "' is not built; what works: " + works[0];
  return "";
}

} // namespace

std::string lastWord(const std::string &dotted) { return dotted.substr(dotted.rfind('.') + 1); }

bool isQloraBuilder(const std::string &component) { return startsWith(lastWord(component), qloraPrefix); }

bool isLoraBuilder(const std::string &component) {
  return startsWith(lastWord(component), loraPrefix) || isQloraBuilder(component);
}

bool isMadeBefore(const std::string &path, const std::string &component) {
  const std::vector<std::string> &names = nodeOf(path)->madeBefore;
  return std::find(names.begin(), names.end(), component) != names.end();
}

bool hasComponent(const std::string &path) { return nodeOf(path) != nullptr; }

std::optional<std::string> componentOf(const std::string &path, const Node *node, Messages &messages) {
  const std::vector<std::string> &works = nodeOf(path)->works;
  const Node *name = node && node->isMap() ? node->find("_component_") : nullptr;
  if (!name)
    return works[0];
  if (!name->isScalar()) {
    messages.error(name->place,
                   "'" + path + "._component_' needs a name, such as " + works[0] + ", or leave it out for that one");
    return std::nullopt;
  }
  if (std::find(works.begin(), works.end(), name->text) != works.end())
    return name->text;
  if (isMadeBefore(path, name->text)) {
    messages.remark(name->place, "'" + name->text +
                                     "' is not built in: ftrun takes the ids that it gives, as token files "
                                     "(.bin, see docs/data.md); for other data override " +
                                     path + "=" + works[0]);
    return name->text;
  }
  std::vector<std::string> known = works;
  known.insert(known.end(), nodeOf(path)->madeBefore.begin(), nodeOf(path)->madeBefore.end());
  std::string near = didYouMean(name->text, known);
  std::string why = refusal(path, name->text, *node);
  if (why.empty())
    why = "unknown component '" + name->text + "' for '" + path + "'" +
          (near.empty() ? "; what works: " + works[0] : near);
  messages.error(name->place, why);
  return std::nullopt;
}

bool startModel(const std::string &component, ModelConfig &model) {
  model.component = component;
  std::string name = component.substr(std::string(modelPrefix).size());
  if (isLoraBuilder(component))
    name.erase(name.rfind('.') + 1, std::string(isQloraBuilder(component) ? qloraPrefix : loraPrefix).size());
  for (const ModelSize &size : sizes) {
    if (name != size.component)
      continue;
    model.family = size.family;
    model.vocabSize = size.vocab;
    model.numLayers = size.layers;
    model.numHeads = size.heads;
    model.numKvHeads = size.kvHeads;
    model.embedDim = size.width;
    model.headDim = size.width / size.heads;
    model.intermediateDim = size.intermediate;
    model.maxSeqLen = size.maxSeqLen;
    model.normEps = 1e-5;
    model.ropeBase = size.ropeBase;
    model.ropeScaling.factor = size.ropeFactor;
    model.tiedEmbeddings = size.tied;
    return false;
  }
  model.family = lastWord(name);
  model.ropeBase = model.family == "llama2" ? 1e4 : 5e5;
  model.ropeScaling.factor = model.family == "llama3_1" ? 8 : model.family == "llama3_2" ? 32 : 1;
  model.tiedEmbeddings = model.family == "llama3_2";
  return true;
}

int64_t usualIntermediateDim(int64_t embedDim) {
  int64_t width = 4 * (2 * embedDim / 3);
  return (width + 255) / 256 * 256;
}

} // namespace ftc::config

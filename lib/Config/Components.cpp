//===- Components.cpp - What a _component_ may name ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Components.h"
#include "ftc/Config/Keys.h"
#include "ftc/Support/Suggest.h"

#include <algorithm>
#include <cctype>

namespace ftc::config {

namespace {

/// What the models of a family share. The first five fields are the defaults of its builder with explicit sizes.
struct ModelFamily {
  /// With explicit sizes, without "torchtune.models.", or all of a name of ftc's own; its last word is the family's
  /// name.
  const char *builder;
  ModelArchitecture architecture;
  double ropeBase, ropeFactor, normEps;
  bool tied, qkvBias, qkNorm;
};

// clang-format off
const ModelFamily families[] = {
  // builder               architecture                base factor eps   tied   bias   norms of heads
  {"llama2.llama2",     ModelArchitecture::Llama,   1e4,  1, 1e-5, false, false, false},
  {"llama3.llama3",     ModelArchitecture::Llama,   5e5,  1, 1e-5, false, false, false},
  {"llama3_1.llama3_1", ModelArchitecture::Llama,   5e5,  8, 1e-5, false, false, false},
  {"llama3_2.llama3_2", ModelArchitecture::Llama,   5e5, 32, 1e-5, true,  false, false},
  {"mistral.mistral",   ModelArchitecture::Mistral, 1e4,  1, 1e-5, false, false, false},
  {"qwen2.qwen2",       ModelArchitecture::Qwen2,   1e6,  1, 1e-5, false, true,  false},
  {"qwen3.qwen3",       ModelArchitecture::Qwen3,   1e6,  1, 1e-5, false, false, true},
  {"gemma.gemma",       ModelArchitecture::Gemma,   1e4,  1, 1e-6, true,  false, false},
  {"gemma2.gemma2",     ModelArchitecture::Gemma2,  1e4,  1, 1e-6, true,  false, false},
  {"phi3.phi3",         ModelArchitecture::Phi3,    1e4,  1, 1e-5, false, false, false},
  // Which torchtune has not: with transformers' defaults.
  {"ftc.models.gemma3", ModelArchitecture::Gemma3,  1e6,  1, 1e-6, true,  false, true},
  {"ftc.models.smollm3",ModelArchitecture::SmolLM3, 2e6,  1, 1e-6, true,  false, false},
  {"ftc.models.olmo2",  ModelArchitecture::Olmo2,   1e4,  1, 1e-5, false, false, true},
  {"ftc.models.granite",ModelArchitecture::Granite, 1e4,  1, 1e-6, false, false, false},
};

struct ModelSize {
  const char *component; ///< without "torchtune.models."
  const char *family;
  int64_t vocab, layers, heads, kvHeads, width, intermediate, maxSeqLen;
  double ropeBase, normEps;
  bool tied;
  int64_t headDim = 0;     ///< unless width / heads
  int64_t queryScalar = 0; ///< unless headDim
  int64_t window = 0;      ///< of attention
};

const ModelSize sizes[] = {
  // component                     family     vocab   layers heads kv width feed-fwd  max seq  rope base norm eps tied
  {"llama2.llama2_7b",            "llama2",   32000,  32, 32,  32,  4096, 11008,   4096,  1e4, 1e-5, false},
  {"llama2.llama2_13b",           "llama2",   32000,  40, 40,  40,  5120, 13824,   4096,  1e4, 1e-5, false},
  {"llama2.llama2_70b",           "llama2",   32000,  80, 64,   8,  8192, 28672,   4096,  1e4, 1e-5, false},
  {"code_llama2.code_llama2_7b",  "llama2",   32016,  32, 32,  32,  4096, 11008,  16384,  1e6, 1e-5, false},
  {"code_llama2.code_llama2_13b", "llama2",   32016,  40, 40,  40,  5120, 13824,  16384,  1e6, 1e-5, false},
  {"code_llama2.code_llama2_70b", "llama2",   32016,  80, 64,   8,  8192, 28672,  16384,  1e6, 1e-5, false},
  {"llama3.llama3_8b",            "llama3",  128256,  32, 32,   8,  4096, 14336,   8192,  5e5, 1e-5, false},
  {"llama3.llama3_70b",           "llama3",  128256,  80, 64,   8,  8192, 28672,   8192,  5e5, 1e-5, false},
  {"llama3_1.llama3_1_8b",        "llama3_1",128256,  32, 32,   8,  4096, 14336, 131072,  5e5, 1e-5, false},
  {"llama3_1.llama3_1_70b",       "llama3_1",128256,  80, 64,   8,  8192, 28672, 131072,  5e5, 1e-5, false},
  {"llama3_1.llama3_1_405b",      "llama3_1",128256, 126,128,   8, 16384, 53248, 131072,  5e5, 1e-5, false},
  {"llama3_2.llama3_2_1b",        "llama3_2",128256,  16, 32,   8,  2048,  8192, 131072,  5e5, 1e-5, true},
  {"llama3_2.llama3_2_3b",        "llama3_2",128256,  28, 24,   8,  3072,  8192, 131072,  5e5, 1e-5, true},
  {"llama3_3.llama3_3_70b",       "llama3_1",128256,  80, 64,   8,  8192, 28672, 131072,  5e5, 1e-5, false},
  {"mistral.mistral_7b",          "mistral",  32000,  32, 32,   8,  4096, 14336,  32768,  1e4, 1e-5, false},
  {"qwen2.qwen2_0_5b",            "qwen2",   151936,  24, 14,   2,   896,  4864,  32768,  1e6, 1e-6, true},
  {"qwen2.qwen2_1_5b",            "qwen2",   151936,  28, 12,   2,  1536,  8960,  32768,  1e6, 1e-6, true},
  {"qwen2.qwen2_7b",              "qwen2",   152064,  28, 28,   4,  3584, 18944,  32768,  1e6, 1e-6, false},
  {"qwen2_5.qwen2_5_0_5b",        "qwen2",   151936,  24, 14,   2,   896,  4864,  32768,  1e6, 1e-6, true},
  {"qwen2_5.qwen2_5_1_5b_base",   "qwen2",   151936,  28, 12,   2,  1536,  8960, 131072,  1e6, 1e-6, true},
  {"qwen2_5.qwen2_5_1_5b_instruct","qwen2",  151936,  28, 12,   2,  1536,  8960,  32768,  1e6, 1e-6, true},
  {"qwen2_5.qwen2_5_3b",          "qwen2",   151936,  36, 16,   2,  2048, 11008,  32768,  1e6, 1e-6, true},
  {"qwen2_5.qwen2_5_7b_base",     "qwen2",   152064,  28, 28,   4,  3584, 18944, 131072,  1e6, 1e-6, false},
  {"qwen2_5.qwen2_5_7b_instruct", "qwen2",   152064,  28, 28,   4,  3584, 18944,  32768,  1e6, 1e-6, false},
  {"qwen2_5.qwen2_5_14b_base",    "qwen2",   152064,  48, 40,   8,  5120, 13824, 131072,  1e6, 1e-5, false},
  {"qwen2_5.qwen2_5_14b_instruct","qwen2",   152064,  48, 40,   8,  5120, 13824,  32768,  1e6, 1e-6, false},
  {"qwen2_5.qwen2_5_32b_base",    "qwen2",   152064,  64, 40,   8,  5120, 27648, 131072,  1e6, 1e-5, false},
  {"qwen2_5.qwen2_5_32b_instruct","qwen2",   152064,  64, 40,   8,  5120, 27648,  32768,  1e6, 1e-6, false},
  {"qwen2_5.qwen2_5_72b_base",    "qwen2",   152064,  80, 64,   8,  8192, 29568, 131072,  1e6, 1e-5, false},
  {"qwen2_5.qwen2_5_72b_instruct","qwen2",   152064,  80, 64,   8,  8192, 29568,  32768,  1e6, 1e-6, false},
  {"qwen3.qwen3_0_6b_base",       "qwen3",   151936,  28, 16,   8,  1024,  3072,  32768,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_0_6b_instruct",   "qwen3",   151936,  28, 16,   8,  1024,  3072,  40960,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_1_7b_base",       "qwen3",   151936,  28, 16,   8,  2048,  6144,  32768,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_1_7b_instruct",   "qwen3",   151936,  28, 16,   8,  2048,  6144,  40960,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_4b_base",         "qwen3",   151936,  36, 32,   8,  2560,  9728,  32768,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_4b_instruct",     "qwen3",   151936,  36, 32,   8,  2560,  9728,  40960,  1e6, 1e-6, true, 128},
  {"qwen3.qwen3_8b_base",         "qwen3",   151936,  36, 32,   8,  4096, 12288,  32768,  1e6, 1e-6, false, 128},
  {"qwen3.qwen3_8b_instruct",     "qwen3",   151936,  36, 32,   8,  4096, 12288,  40960,  1e6, 1e-6, false, 128},
  {"qwen3.qwen3_14b_base",        "qwen3",   151936,  40, 40,   8,  5120, 17408,  32768,  1e6, 1e-6, false, 128},
  {"qwen3.qwen3_14b_instruct",    "qwen3",   151936,  40, 40,   8,  5120, 17408,  40960,  1e6, 1e-6, false, 128},
  {"qwen3.qwen3_32b",             "qwen3",   151936,  64, 64,   8,  5120, 25600,  40960,  1e6, 1e-6, false, 128},
  {"gemma.gemma_2b",              "gemma",   256000,  18,  8,   1,  2048, 16384,   8192,  1e4, 1e-6, true, 256},
  {"gemma.gemma_7b",              "gemma",   256000,  28, 16,  16,  3072, 24576,   8192,  1e4, 1e-6, true, 256},
  {"gemma2.gemma2_2b",            "gemma2",  256000,  26,  8,   4,  2304,  9216,   8192,  1e4, 1e-6, true, 256},
  {"gemma2.gemma2_9b",            "gemma2",  256000,  42, 16,   8,  3584, 14336,   8192,  1e4, 1e-6, true, 256},
  {"gemma2.gemma2_27b",           "gemma2",  256000,  46, 32,  16,  4608, 36864,   8192,  1e4, 1e-6, true, 128, 144},
  {"phi3.phi3_mini",              "phi3",     32064,  32, 32,  32,  3072,  8192,   4096,  1e4, 1e-5, false, 0, 0, 2047},
  // The rotary base of the model's config.json; torchtune's builder leaves it at 1e4, with which its weights were not made.
  {"phi4.phi4_14b",               "phi3",    100352,  40, 40,  10,  5120, 17920,  16384, 25e4, 1e-5, false},
};
// clang-format on

constexpr const char *modelPrefix = "torchtune.models.";
constexpr const char *loraPrefix = "lora_";
constexpr const char *qloraPrefix = "qlora_";

bool startsWith(const std::string &text, const std::string &prefix) { return text.rfind(prefix, 0) == 0; }

std::string fullName(const ModelFamily &family) {
  const std::string builder = family.builder;
  return startsWith(builder, "ftc.") ? builder : modelPrefix + builder;
}

/// What works at a node; the first is the usual one.
struct NodeComponents {
  const char *node;
  std::vector<std::string> works;
};

const std::vector<NodeComponents> &nodes() {
  static const std::vector<NodeComponents> table = [] {
    std::vector<std::string> models = {"torchtune.models.llama3_2.llama3_2"};
    for (const ModelFamily &family : families)
      if (fullName(family) != models[0])
        models.push_back(fullName(family));
    for (const ModelSize &size : sizes)
      models.push_back(modelPrefix + std::string(size.component));
    const std::vector<std::string> withoutAdapters = models;
    // Each has a twin with adapters; those by size, another one that quantizes what is frozen.
    for (size_t i = 0, count = models.size(); i < count; ++i)
      models.push_back(std::string(models[i]).insert(models[i].rfind('.') + 1, loraPrefix));
    for (const ModelSize &size : sizes)
      models.push_back(
          (modelPrefix + std::string(size.component))
              .insert(std::string(modelPrefix).size() + std::string(size.component).rfind('.') + 1, qloraPrefix));
    const std::vector<std::string> checkpointers = {
        "torchtune.training.FullModelHFCheckpointer",        "torchtune.training.FullModelMetaCheckpointer",
        "torchtune.training.FullModelTorchTuneCheckpointer", "torchtune.utils.FullModelHFCheckpointer",
        "torchtune.utils.FullModelMetaCheckpointer",         "torchtune.utils.FullModelTorchTuneCheckpointer"};
    return std::vector<NodeComponents>{
        {"model", models},
        {"teacher_model", withoutAdapters},
        {"tokenizer",
         {byteTokenizer, "torchtune.models.llama3.llama3_tokenizer", "torchtune.models.llama2.llama2_tokenizer",
          "torchtune.models.mistral.mistral_tokenizer", "torchtune.models.qwen2.qwen2_tokenizer",
          "torchtune.models.qwen2_5.qwen2_5_tokenizer", "torchtune.models.qwen3.qwen3_tokenizer",
          "torchtune.models.gemma.gemma_tokenizer", "torchtune.models.phi3.phi3_mini_tokenizer",
          "torchtune.models.phi4.phi4_tokenizer", huggingFaceTokenizer}},
        {"dataset",
         {"torchtune.datasets.text_completion_dataset", "torchtune.datasets.chat_dataset",
          "torchtune.datasets.instruct_dataset", "torchtune.datasets.alpaca_dataset",
          "torchtune.datasets.alpaca_cleaned_dataset", "torchtune.datasets.grammar_dataset",
          "torchtune.datasets.samsum_dataset", "torchtune.datasets.slimorca_dataset",
          "torchtune.datasets.wikitext_dataset", "torchtune.datasets.cnn_dailymail_articles_dataset",
          "torchtune.datasets.preference_dataset", "torchtune.datasets.stack_exchange_paired_dataset",
          "torchtune.datasets.hh_rlhf_helpful_dataset"}},
        {"checkpointer", checkpointers},
        {"teacher_checkpointer", checkpointers},
        {"ref_checkpointer", checkpointers},
        {"optimizer",
         {"torch.optim.AdamW", "torch.optim.SGD", "bitsandbytes.optim.AdamW", "bitsandbytes.optim.PagedAdamW",
          "bitsandbytes.optim.AdamW32bit", "bitsandbytes.optim.PagedAdamW32bit", "bitsandbytes.optim.AdamW8bit",
          "bitsandbytes.optim.PagedAdamW8bit", "torchao.optim.AdamW8bit", "torchao.prototype.low_bit_optim.AdamW8bit",
          "torchao.optim.AdamW4bit", "torchao.prototype.low_bit_optim.AdamW4bit"}},
        {"lr_scheduler",
         {"torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
          "torchtune.training.get_cosine_schedule_with_warmup", "torchtune.modules.get_cosine_schedule_with_warmup",
          "transformers.get_cosine_schedule_with_warmup", "transformers.get_linear_schedule_with_warmup",
          "transformers.get_constant_schedule", "transformers.get_constant_schedule_with_warmup",
          "transformers.get_cosine_with_min_lr_schedule_with_warmup",
          "transformers.get_cosine_with_hard_restarts_schedule_with_warmup",
          "transformers.get_polynomial_decay_schedule_with_warmup", "transformers.get_wsd_schedule"}},
        {"loss",
         {"torch.nn.CrossEntropyLoss", "torchtune.modules.loss.CEWithChunkedOutputLoss",
          "torchtune.modules.loss.LinearCrossEntropyLoss", "torchtune.rlhf.loss.DPOLoss",
          "torchtune.rlhf.loss.RSOLoss"}},
        {"kd_loss", {"torchtune.modules.loss.ForwardKLWithChunkedOutputLoss", "torchtune.modules.loss.ForwardKLLoss"}},
        {"quantizer",
         {"torchtune.training.quantization.Int8DynActInt4WeightQATQuantizer",
          "torchtune.training.quantization.Int4WeightOnlyQATQuantizer",
          "torchtune.training.quantization.Int8DynActInt4WeightQATQuantizerModuleSwap",
          "torchtune.training.quantization.Int4WeightOnlyQATQuantizerModuleSwap",
          "torchao.quantization.qat.Int8DynActInt4WeightQATQuantizer",
          "torchao.quantization.qat.Int4WeightOnlyQATQuantizer",
          "torchao.quantization.prototype.qat.Int8DynActInt4WeightQATQuantizer",
          "torchao.quantization.prototype.qat.Int4WeightOnlyQATQuantizer"}},
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

/// A name's last word in small letters, without what stands between them: "pagedadamw" of "paged_adamw".
std::string plainWord(const std::string &name) {
  std::string word;
  for (const char letter : lastWord(name))
    if (letter != '_' && letter != '-')
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return word;
}

/// The component whose last word is meant by one that is written another way; "" where there is none.
std::string sameWord(const std::string &name, const std::vector<std::string> &works) {
  const std::string word = plainWord(name);
  for (const std::string &each : works)
    if (!word.empty() && plainWord(each) == word)
      return each;
  return "";
}

/// All that works, or of many the first and how many more there are.
std::string listOf(const std::vector<std::string> &works) {
  constexpr size_t most = 16, first = 4;
  const size_t count = works.size() > most ? first : works.size();
  std::string list;
  for (size_t i = 0; i < count; ++i)
    list += (i ? ", " : "") + works[i];
  if (count < works.size())
    list += " and " + std::to_string(works.size() - count) + " more (docs/recipes.md)";
  return list;
}

/// Whether a component is of none of the libraries whose names are known: a module of the user's own.
bool isOwnModule(const std::string &name) {
  for (const char *library : {"torchtune.", "torch.", "torchao.", "bitsandbytes.", "transformers.", "ftc."})
    if (startsWith(name, library))
      return false;
  return name.find('.') != std::string::npos;
}

/// Why a component that nobody knows cannot be used, and what to do.
std::string whyUnknown(const std::string &path, const std::string &name, const std::vector<std::string> &known,
                       const std::vector<std::string> &works) {
  const std::string unknown = "unknown component '" + name + "' for '" + path + "'";
  if (const std::string same = sameWord(name, works); !same.empty())
    return unknown + "; did you mean '" + same + "'?";
  if (const std::string near = didYouMean(name, known); !near.empty())
    return unknown + near;
  const std::string all = works.empty() ? "" : "; what works: " + listOf(works);
  if (!isOwnModule(name))
    return unknown + all;
  if (path == "dataset" || path == "tokenizer")
    return unknown +
           ": there is no Python here; write its records as JSON lines, which chat_dataset, instruct_dataset "
           "and others read (docs/data.md), or the ids as a token file" +
           all;
  return unknown + ": there is no Python here, so a module of your own cannot be used" + all;
}

/// What comes near to an optimizer that is not built.
std::string nearestOptimizer(const std::string &name, const std::vector<std::string> &works) {
  if (lastWord(name) == "CPUOffloadOptimizer")
    return "bitsandbytes.optim.PagedAdamW or PagedAdamW8bit, whose states lie outside of the device's memory";
  std::vector<std::string> words;
  for (const std::string &each : works)
    words.push_back(lastWord(each));
  std::optional<std::string> word = nearest(lastWord(name), words);
  if (const std::string same = sameWord(name, works); !same.empty())
    word = lastWord(same);
  if (!word && lastWord(name).find("8bit") != std::string::npos)
    word = "AdamW8bit";
  if (!word)
    return works[0] + " or " + works[1];
  // Of the same library, if that has one of this name.
  std::string best;
  const std::string library = name.substr(0, name.find('.') + 1);
  for (const std::string &each : works)
    if (lastWord(each) == *word && (best.empty() || (startsWith(each, library) && !startsWith(best, library))))
      best = each;
  return best;
}

/// The model that is meant by one whose family is mistyped, as in llama3_2.lama; "" where none comes near.
std::string nearestModel(const std::string &name, const std::vector<std::string> &works) {
  const std::string word = lastWord(name), module = name.substr(0, name.size() - word.size());
  const size_t stem = std::min(word.size(), word.find_first_of("0123456789_"));
  std::optional<std::string> family = nearest(word.substr(0, stem), {"llama", "mistral", "qwen", "gemma", "phi"});
  // Where the family is right, it is another model of it.
  if (!family || *family == word.substr(0, stem))
    return "";
  const std::string fixed = module + *family + word.substr(stem);
  for (const std::string &each : works)
    if (startsWith(each, fixed.c_str()))
      return each;
  return nearest(fixed, works).value_or("");
}

/// Whether a model's name begins as those of a generation that is built: "llama3" of "llama3_2_1b", and "llama" of one
/// that says none; but not "llama4".
bool isBuiltGeneration(std::string word) {
  if (startsWith(word, "code_"))
    word.erase(0, 5);
  const size_t letters = std::min(word.size(), word.find_first_of("0123456789_"));
  const std::string generation = word.substr(0, word.find_first_not_of("0123456789", letters));
  for (const char *known :
       {"llama", "llama2", "llama3", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "phi4"})
    if (generation == known)
      return true;
  return false;
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
    bool built = isBuiltGeneration(word);
    for (const char *other : {"vision", "reward", "classifier", "moe"})
      built &= word.find(other) == std::string::npos;
    if (std::string near = built ? "" : nearestModel(name, works); startsWith(name, modelPrefix) && !near.empty())
      return "unknown component '" + name + "' for 'model'; did you mean '" + near + "'?";
    if (startsWith(name, modelPrefix) && !built)
      return "'" + name +
             "': this kind of model is not built yet; Llama 2 to 3.3, Mistral, Qwen2, 2.5 and 3, Gemma and Gemma 2, "
             "Phi-3 and 4 are, such as " +
             modelPrefix +
             "llama3_2.llama3_2_1b, or torchtune.models.llama3_2.llama3_2 with explicit sizes; these and Gemma 3, "
             "SmolLM3, OLMo 2 and Granite also by the config.json beside their weights: ftc.models.from_config";
  }
  if (path == "tokenizer" && (startsWith(name, modelPrefix) || startsWith(name, "torchtune.modules."))) {
    std::string others;
    for (size_t i = 1; i < works.size(); ++i)
      others += ", " + works[i];
    return "'" + name + "' is not built yet; what works: override tokenizer._component_=" + works[0] + others +
           ", or token files (.bin), which can come from any tokenizer" + didYouMean(name, works);
  }
  if (path == "dataset" && startsWith(name, "torchtune.datasets."))
    return "'" + name + "' is not built yet; what works: override dataset._component_=" + works[0] + " or " + works[1] +
           ", and name the files with dataset.data_files=PATH or ftrun --data; others that are built: " +
           listOf({works.begin() + 2, works.end()});
  if (path == "checkpointer" && startsWith(name, "torchtune."))
    return "'" + name + "' is not built; safetensors in Hugging Face's layout are, Meta's and torchtune's files: " +
           "override checkpointer=" + works[0] +
           (node.entry("checkpoint_files") ? " checkpointer.checkpoint_files=null" : "") +
           (node.entry("checkpoint_dir") ? ", and checkpointer.checkpoint_dir=FOLDER if they lie elsewhere" : "");
  if (path == "optimizer" && (startsWith(name, "torch.optim.") || startsWith(name, "bitsandbytes.") ||
                              startsWith(name, "torchao.") || startsWith(name, "torchtune.")))
    return "'" + name + "' is not built yet; what works: override optimizer=" + nearestOptimizer(name, works);
  if (path == "lr_scheduler" &&
      (startsWith(name, "torch.optim.") || startsWith(name, "torchtune.") || startsWith(name, "transformers."))) {
    const std::string near = didYouMean(name, works);
    return "'" + name + "' is not built; what works: " + works[0] + ", transformers' schedules such as " +
           "transformers.get_linear_schedule_with_warmup, or ~lr_scheduler for a constant rate" + near;
  }
  if (path == "kd_loss" && startsWith(name, "torchtune."))
    return "'" + name + "' is not built; the forward divergence from the teacher is: override kd_loss=" +
           works[word.find("Chunked") == std::string::npos];
  if (path == "quantizer" && (word == "Int8DynActInt4WeightQuantizer" || word == "Int4WeightOnlyQuantizer"))
    return "'" + name + "' quantizes weights that are trained already, which is not built; training for that is: " +
           "override quantizer=" + works[word == "Int4WeightOnlyQuantizer"] + ", or remove it (~quantizer)";
  if (path == "quantizer" && (startsWith(name, "torchtune.") || startsWith(name, "torchao.")) &&
      sameWord(name, works).empty())
    return "'" + name + "' is not built; what works: override quantizer=" + works[0] + " or " + works[1] +
           didYouMean(name, works);
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
  if (std::find(works.begin(), works.end(), name->text) != works.end()) {
    // bitsandbytes' AdamW and PagedAdamW with the number of bits that these have unless told otherwise.
    constexpr std::string_view bits = "32bit";
    return name->text.ends_with(bits) ? name->text.substr(0, name->text.size() - bits.size()) : name->text;
  }
  std::vector<std::string> known = works;
  if (path == "model")
    for (std::string &name : modelsFromConfig())
      known.push_back(std::move(name));
  std::string why = refusal(path, name->text, *node);
  if (why.empty())
    why = whyUnknown(path, name->text, known, works);
  messages.error(name->place, why);
  return std::nullopt;
}

std::string builderOfSizes(const std::string &component) {
  ModelConfig model;
  startModel(component, model);
  for (const ModelFamily &family : families)
    if (std::string builder = fullName(family); lastWord(builder) == model.family)
      return isLoraBuilder(component) ? builder.insert(builder.rfind('.') + 1, loraPrefix) : builder;
  return nodeOf("model")->works[0];
}

bool startModel(const std::string &component, ModelConfig &model) {
  model.component = component;
  std::string name = startsWith(component, modelPrefix) ? component.substr(std::string(modelPrefix).size()) : component;
  if (isLoraBuilder(component))
    name.erase(name.rfind('.') + 1, std::string(isQloraBuilder(component) ? qloraPrefix : loraPrefix).size());
  auto found =
      std::find_if(std::begin(sizes), std::end(sizes), [&](const ModelSize &size) { return name == size.component; });
  const ModelSize *size = found == std::end(sizes) ? nullptr : found;
  model.family = size ? size->family : lastWord(name);
  const ModelFamily &family = *std::find_if(std::begin(families), std::end(families), [&](const ModelFamily &each) {
    return model.family == lastWord(each.builder);
  });
  model.architecture = family.architecture;
  model.qkvBias = family.qkvBias;
  model.qkNorm = family.qkNorm;
  model.ropeScaling.factor = family.ropeFactor;
  model.ropeBase = size ? size->ropeBase : family.ropeBase;
  model.normEps = size ? size->normEps : family.normEps;
  model.tiedEmbeddings = size ? size->tied : family.tied;
  // Of the released models, and of the builder's arguments. torchtune's builders by size exchange the two caps.
  if (model.architecture == ModelArchitecture::Gemma2) {
    model.attentionCap = 50;
    model.logitsCap = 30;
    model.slidingWindow = 4096;
  }
  // transformers' defaults.
  if (model.architecture == ModelArchitecture::Gemma3) {
    model.ropeScaling = linearScaling(family.ropeFactor);
    model.slidingWindow = 4096;
    model.windowPattern = 6;
    model.localRopeBase = 1e4;
  }
  if (model.architecture == ModelArchitecture::SmolLM3)
    model.ropelessPattern = 4;
  if (model.architecture == ModelArchitecture::Granite)
    model.scoreFactor = 1;
  if (!size)
    return true;
  model.vocabSize = size->vocab;
  model.numLayers = size->layers;
  model.numHeads = size->heads;
  model.numKvHeads = size->kvHeads;
  model.embedDim = size->width;
  model.headDim = size->headDim ? size->headDim : size->width / size->heads;
  model.queryScalar = size->queryScalar;
  if (size->window)
    model.slidingWindow = size->window;
  model.intermediateDim = size->intermediate;
  model.maxSeqLen = size->maxSeqLen;
  return false;
}

int64_t usualIntermediateDim(int64_t embedDim) {
  int64_t width = 4 * (2 * embedDim / 3);
  return (width + 255) / 256 * 256;
}

} // namespace ftc::config

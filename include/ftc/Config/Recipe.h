//===- Recipe.h - A fine-tuning recipe, checked and normalized ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the rest of the project sees of a YAML recipe. Only lib/Config knows YAML keys. No MLIR here.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_RECIPE_H
#define FTC_CONFIG_RECIPE_H

#include "ftc/Support/Diagnostics.h"
#include "ftc/Support/Nf4.h"
#include "ftc/Support/QuantizedStates.h"
#include "ftc/Support/Rotary.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ftc {

/// Storage type of parameters and activations. Arithmetic on the CPU is always fp32.
enum class DType { F32, BF16 };

/// What Hugging Face calls a model's type. All are Llama's graph, but for what queries and keys go through (Qwen,
/// SmolLM3), where norms are (OLMo 2), factors (Granite), and for activations, norms, embeddings and attention of
/// Gemma. Phi-3's files hold several projections in one tensor.
enum class ModelArchitecture { Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma2, Phi3, Gemma3, SmolLM3, Olmo2, Granite };

/// A decoder-only transformer like Llama. Widths in elements.
struct ModelConfig {
  std::string component; ///< builder, e.g. "torchtune.models.llama3_2.llama3_2_1b"
  std::string family; ///< "llama2", "llama3", "llama3_1", "llama3_2", "mistral", "qwen2", "qwen3", "gemma", "gemma2",
                      ///< "phi3", "gemma3", "smollm3", "olmo2", "granite"
  ModelArchitecture architecture = ModelArchitecture::Llama;
  int64_t vocabSize = 0;
  int64_t numLayers = 0;
  int64_t numHeads = 0;
  int64_t numKvHeads = 0;
  int64_t embedDim = 0;
  int64_t headDim = 0; ///< embedDim / numHeads unless given
  int64_t intermediateDim = 0;
  int64_t maxSeqLen = 0;
  double normEps = 1e-5;
  double ropeBase = 10000.0;
  RopeScaling ropeScaling;
  bool tiedEmbeddings = false;
  bool qkvBias = false;      ///< queries, keys and values have a bias (Qwen2)
  bool qkNorm = false;       ///< queries and keys have a norm before the rotary embedding; see qkNormWidth()
  int64_t slidingWindow = 0; ///< positions that a token sees in layers with hasWindow(), itself included; 0: all
  /// Of Gemma 2; 0: none.
  double attentionCap = 0; ///< scores of attention are capped to it by a tanh
  double logitsCap = 0;    ///< and logits to this
  int64_t queryScalar = 0; ///< scores are divided by its root; 0: by that of headDim
  /// Of Gemma 3.
  int64_t windowPattern = 0; ///< each so many-th layer has no window; 0: all have it
  double localRopeBase = 0;  ///< rotary base of layers with a window, which is not scaled; 0: ropeBase, as in all
  /// Of SmolLM3: each so many-th layer has no rotary embedding; 0: all have it.
  int64_t ropelessPattern = 0;
  /// Of Granite.
  double embeddingFactor = 1; ///< of embeddings
  double residualFactor = 1;  ///< of what attention and feed-forward block add to the stream
  double scoreFactor = 0;     ///< of scores of attention; 0: as queryScalar says
  double logitsDivisor = 1;
  /// Of Phi-4 mini, and of Phi-3's models for 128k positions.
  int64_t rotaryDim = 0; ///< columns in the front of a head that the rotary embedding turns; 0: all
  /// With ropeScaling.divisors, which are for rows of up to ropeScaling.oldContext positions: those for longer ones.
  std::vector<double> longDivisors;

  /// Longest row that can be computed. Of longer ones LongRoPE has other angles, which a batch takes if one of its rows
  /// is that long.
  int64_t longestRow() const {
    return ropeScaling.divisors.empty() ? maxSeqLen : std::min(maxSeqLen, ropeScaling.oldContext);
  }
  /// Gemma 2 has a window in every other layer, from the first on, others in all, but for windowPattern.
  bool hasWindow(int64_t layer) const {
    const int64_t pattern = architecture == ModelArchitecture::Gemma2 ? 2 : windowPattern;
    return slidingWindow > 0 && (pattern == 0 || (layer + 1) % pattern != 0);
  }
  /// Whether queries and keys of a layer are turned by localRopeBase.
  bool hasLocalRotary(int64_t layer) const { return localRopeBase > 0 && hasWindow(layer); }
  /// Whether they are turned at all.
  bool hasRotary(int64_t layer) const { return ropelessPattern == 0 || (layer + 1) % ropelessPattern != 0; }
  /// Gemma's feed-forward gate is a GELU, its norms multiply by 1 + weight, and embeddings are scaled by the root of
  /// their width.
  bool isGemma() const {
    return architecture == ModelArchitecture::Gemma || architecture == ModelArchitecture::Gemma2 ||
           architecture == ModelArchitecture::Gemma3;
  }
  /// Attention and feed-forward block have norms before them, but OLMo 2's,
  bool hasInnerNorms() const { return architecture != ModelArchitecture::Olmo2; }
  /// and Gemma 2's, 3's and OLMo 2's have norms behind them.
  bool hasOuterNorms() const {
    return architecture == ModelArchitecture::Gemma2 || architecture == ModelArchitecture::Gemma3 || !hasInnerNorms();
  }
  /// Columns that share a norm of queries or keys, which have `heads` heads: one head, with the same weight for each
  /// (Qwen3, Gemma 3), or all of them (OLMo 2).
  int64_t qkNormWidth(int64_t heads) const { return hasInnerNorms() ? headDim : heads * headDim; }

  friend bool operator==(const ModelConfig &, const ModelConfig &) = default;
};

/// Low-rank adapters beside frozen projections (LoRA, Hu et al. 2021): y = x W^T + alpha / rank * (x A^T) B^T. With
/// `dora`, each output of that is scaled to a trained magnitude: times m / ||W + alpha / rank * B A||, the norm of its
/// row (DoRA, Liu et al. 2024).
struct LoraConfig {
  /// Projections that get an adapter, Hugging Face's names, each once, in the order of a layer: some of "q_proj",
  /// "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head".
  std::vector<std::string> targets;
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0; ///< part of an adapter's inputs that training drops
  bool dora = false;  ///< magnitudes beside the adapters

  double scale() const { return alpha / static_cast<double>(rank); }
  friend bool operator==(const LoraConfig &, const LoraConfig &) = default;
};

/// Quantization-aware training (Jacob et al. 2018): linear layers compute in the numbers of a quantized model, by
/// torchao's fake quantization. With LoRA these are the frozen products that have adapters; else all of torchtune's
/// `nn.Linear` without a bias, so not a head that is the table of embeddings.
struct QuantizerConfig {
  enum class Kind {
    Int8DynActInt4Weight, ///< activations int8 for each token, weights int4 by groups
    Int4WeightOnly        ///< weights uint4 by groups, with bf16 scales and zero points
  };
  Kind kind = Kind::Int8DynActInt4Weight;
  std::string component;
  int64_t groupSize = 256;     ///< neighbouring inputs of an output that share a scale
  bool paddingAllowed = false; ///< Int8DynActInt4Weight: an input that is no multiple of groupSize is an error
  int64_t innerKTiles = 8;     ///< Int4WeightOnly: inputs must be a multiple of 16 times this
  int64_t afterSteps = 0;      ///< fake_quant_after_n_steps: so many steps train without

  friend bool operator==(const QuantizerConfig &, const QuantizerConfig &) = default;
};

/// What a pair of answers costs, of which one is preferred; beta multiplies the difference of log-ratios. The reference
/// is the model without its adapters, or, where it has none, a second model (ReferenceConfig).
struct PreferenceConfig {
  enum class Kind {
    Sigmoid, ///< DPO, Rafailov et al. 2023
    Hinge    ///< RSO, Liu et al. 2023
  };
  Kind kind = Kind::Sigmoid;
  double beta = 0.1;         ///< above 0; torchtune's `gamma` of RSO
  double labelSmoothing = 0; ///< in [0, 1); 0 with a hinge

  friend bool operator==(const PreferenceConfig &, const PreferenceConfig &) = default;
};

struct OptimizerConfig {
  enum class Kind { SGD, AdamW };
  Kind kind = Kind::AdamW;
  std::string component = "torch.optim.AdamW"; ///< e.g. "bitsandbytes.optim.PagedAdamW"
  bool paged = false;                          ///< large states live in the far tier
  double lr = 1e-3;                            ///< peak learning rate (run-time)
  double weightDecay = 1e-2;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8; ///< AdamW
  double momentum = 0, dampening = 0;            ///< SGD; without momentum there is no state
  bool nesterov = false;                         ///< SGD with momentum and no dampening
  std::optional<StateFormat> quantizedStates;    ///< how moments are quantized; absent: they are not
  std::optional<DType> stateType;                ///< of moments; absent: the type of what is updated
  bool masterWeights = false;      ///< bf16 parameters are rounded copies of fp32 ones that are updated; dtype bf16
  bool stochasticRounding = false; ///< updates of bf16 parameters are rounded at random; dtype bf16, no masterWeights

  friend bool operator==(const OptimizerConfig &, const OptimizerConfig &) = default;
};

/// How the learning rate goes from step to step, as torchtune's and transformers' functions of these names say.
struct SchedulerConfig {
  enum class Kind {
    Constant,
    CosineWithWarmup, ///< transformers' cosine_with_min_lr too
    ConstantWithWarmup,
    LinearWithWarmup,
    HardRestarts, ///< cosine waves that begin at the peak again
    Polynomial,
    WarmupStableDecay
  };
  enum class Curve { Linear, Cosine, OneMinusRoot };
  Kind kind = Kind::Constant;
  int64_t numWarmupSteps = 0;
  double numCycles = 0.5;                ///< waves of a cosine
  std::optional<double> minLr;           ///< CosineWithWarmup: the lowest rate
  double minLrRate = 0;                  ///< or its share of the peak; of WarmupStableDecay too
  double lrEnd = 1e-7, power = 1;        ///< Polynomial
  int64_t numDecaySteps = 0;             ///< WarmupStableDecay
  std::optional<int64_t> numStableSteps; ///< absent: what is left of the run
  Curve warmupCurve = Curve::Linear, decayCurve = Curve::Cosine;

  friend bool operator==(const SchedulerConfig &, const SchedulerConfig &) = default;
};

struct CheckpointerConfig {
  std::string checkpointDir;                ///< empty: random initialization
  std::vector<std::string> checkpointFiles; ///< empty: as CheckpointReader finds them
  std::string outputDir;
  /// Adapter to start from: a file or folder as AdapterReader takes it; empty: a new one.
  std::string adapterCheckpoint;
  int64_t keepLast = 0; ///< keep_last_n_checkpoints; 0: all

  friend bool operator==(const CheckpointerConfig &, const CheckpointerConfig &) = default;
};

/// Knowledge distillation (Hinton et al. 2015), as torchtune's recipe of that name does it: the model that is trained,
/// the student, learns from the probabilities of another one, the teacher, besides its labels. A token costs
/// (1 - ratio) * cross-entropy with its label + ratio * cross-entropy with the teacher's probabilities.
struct DistillationConfig {
  ModelConfig teacher; ///< as many ids as the student; frozen, stored as `dtype`
  double ratio = 0.5;  ///< from 0 to 1
  std::string lossComponent = "torchtune.modules.loss.ForwardKLLoss"; ///< or the chunked one, which chunks as `loss`
  /// Where the teacher's weights are; without a folder they are random. Nothing is written there.
  CheckpointerConfig checkpointer;

  friend bool operator==(const DistillationConfig &, const DistillationConfig &) = default;
};

/// Begins the names of a teacher's weights, in front of those that they have in checkpoints.
inline constexpr const char *teacherPrefix = "teacher.";

/// The second model of full preference optimization, as torchtune's recipe full_dpo_distributed has it: the same
/// architecture, frozen.
struct ReferenceConfig {
  /// Where its weights are; without a folder they are those that the model starts from. Nothing is written there.
  CheckpointerConfig checkpointer;
  /// Present: its projections of attention and feed-forward blocks are kept in NF4; else all is stored as `dtype`.
  std::optional<Nf4Quantizer> quantized;

  friend bool operator==(const ReferenceConfig &, const ReferenceConfig &) = default;
};

/// Words before and after the messages of a role.
struct PromptTags {
  std::string role; ///< "system", "user", "assistant", "tool" or "ipython"
  std::string before, after;
  bool staysOpen = false; ///< a last message without words gets no `after`: it is still to be written

  friend bool operator==(const PromptTags &, const PromptTags &) = default;
};

/// What is written around messages in place of the tokenizer's own wording (torchtune's PromptTemplate).
struct PromptTemplateConfig {
  std::string component;        ///< torchtune's name of the tags, or "": the recipe's own
  std::vector<PromptTags> tags; ///< none: messages as they are

  friend bool operator==(const PromptTemplateConfig &, const PromptTemplateConfig &) = default;
};

/// Which of a data set's records are taken: [from, to), where absent is the first or the last, and a number below 0
/// counts from behind the last one.
struct DataSlice {
  std::optional<int64_t> from, to;
  bool percent = false; ///< both are percentages of the records

  bool isWhole() const { return !from && !to; }
  friend bool operator==(const DataSlice &, const DataSlice &) = default;
};

/// Which turns of a conversation are trained.
enum class MaskingStrategy {
  TrainOnAssistant, ///< the assistant's; with `trainOnInput` all
  TrainOnAll,       ///< all but the system prompt
  TrainOnLast       ///< the assistant's last one
};

struct DatasetConfig {
  std::string component;              ///< e.g. "torchtune.datasets.text_completion_dataset"
  std::string source;                 ///< "json", "csv", "text": of files whose names say nothing; else none
  std::vector<std::string> dataFiles; ///< files and folders, one data set; may be empty when --data is given
  std::string split = "train";        ///< without its slice; the files are that split, whatever it is called
  DataSlice slice;
  std::string column = "text";
  bool packed = true;
  bool addEos = true;
  bool splitAcrossPack = true; ///< only for text completion
  /// Keys of a record of instruct_dataset (input, output) and alpaca_dataset.
  std::string instructionKey = "instruction", inputKey = "input", outputKey = "output";
  /// Keys of a record of a data set of pairs; stack_exchange_paired_dataset has others.
  std::string promptKey = "prompt", chosenKey = "chosen", rejectedKey = "rejected";
  std::string conversationStyle = "openai";                    ///< or "sharegpt"
  bool trainOnInput = false;                                   ///< on all turns, not on the assistant's alone
  MaskingStrategy masking = MaskingStrategy::TrainOnAssistant; ///< another one only without trainOnInput
  std::optional<std::string> systemPrompt;                     ///< in place of a conversation's own

  /// Whether a record is a pair of answers: preference_dataset and its like.
  bool isPreference() const;

  friend bool operator==(const DatasetConfig &, const DatasetConfig &) = default;
};

/// torchtune's TensorBoardLogger.
struct TensorBoardConfig {
  std::string logDir;
  bool organizeLogs = true; ///< in a folder of their own for each run, run_0_SECONDS

  friend bool operator==(const TensorBoardConfig &, const TensorBoardConfig &) = default;
};

/// Which activations are computed again in the backward pass instead of being kept.
struct CheckpointingConfig {
  enum class Mode {
    None,
    Full,      ///< all of a layer but its input, as torchtune does
    Selective, ///< what is cheap to compute; products and attention are kept
    Auto       ///< no more than memory_budget, or a GPU's memory, asks for, and what costs least
  };
  Mode mode = Mode::None;
  int64_t every = 1; ///< of each so many layers the last one; 1: all layers

  friend bool operator==(const CheckpointingConfig &, const CheckpointingConfig &) = default;
};

/// When parameters are updated.
enum class UpdatePlacement {
  Auto,     ///< the compiler's choice: as Backward wherever that is possible
  Backward, ///< right behind each gradient, which then need not be held
  End       ///< all behind the last gradient, as torchtune without optimizer_in_bwd
};

/// Class of a key: see docs/recipes.md. `Compiled` keys are part of step.so; `Run` keys may be overridden on ftrun's
/// command line; `NoEffect` keys are accepted with a remark.
enum class KeyClass { Compiled, Run, NoEffect };

/// A checked recipe. Every field has the value that counts (defaults filled in).
struct Recipe {
  ModelConfig model;
  std::optional<LoraConfig> lora; ///< present: only the adapters are trained
  /// Present: frozen projections of attention and feed-forward blocks are kept in NF4; only with `lora`.
  std::optional<Nf4Quantizer> quantizedBase;
  /// Present: quantization-aware training; not with `quantizedBase`, `preference` or `distillation`.
  std::optional<QuantizerConfig> quantizer;
  DType dtype = DType::F32;
  int64_t batchSize = 1; ///< rows a batch; with `preference` pairs, which are two rows each
  int64_t seqLen = 0;    ///< tokenizer.max_seq_len
  bool truncates = true; ///< tokenizer.truncation: samples longer than a row are cut, else they are an error
  /// Lengths of rows that the step is compiled for, ascending; the last is seqLen (empty: that alone). A batch is
  /// padded to the shortest that holds its longest sample.
  std::vector<int64_t> sequenceLengths;
  int64_t gradientAccumulationSteps = 1; ///< micro-batches of an update
  OptimizerConfig optimizer;
  SchedulerConfig scheduler;
  std::optional<double> clipGradNorm; ///< absent: no clipping; inf: norm only
  CheckpointingConfig checkpointing;
  bool offloadActivations = false;                 ///< to the far tier between forward and backward
  UpdatePlacement updates = UpdatePlacement::Auto; ///< optimizer_in_bwd
  std::optional<uint64_t> memoryBudget;            ///< most bytes that the step may take
  std::optional<Diagnostic> overBudget;            ///< the error without its text, at the place of memory_budget
  /// With Mode::Auto and no memoryBudget: the error, with its place, for a target whose memory is not known.
  std::optional<Diagnostic> lacksBudget;
  std::string lossComponent = "torch.nn.CrossEntropyLoss";
  int64_t lossChunks = 0; ///< chunks of head and loss; 0: the compiler's choice. Only where chunksLoss().
  int64_t ignoreIndex = -100;
  /// Present: pairs of answers are trained, by a loss of preferences.
  std::optional<PreferenceConfig> preference;
  std::optional<ReferenceConfig> reference; ///< present with `preference` and without `lora`
  /// Present: a teacher's probabilities are learned too; not with `preference`.
  std::optional<DistillationConfig> distillation;
  /// "byte" (256 bytes and specials), or a component of torchtune's: for Llama 3, Llama 2, Mistral, Qwen2, Qwen2.5,
  /// Qwen3, Gemma, Phi-3, Phi-4, or any model's of Hugging Face's.
  std::string tokenizer = "byte";
  std::string tokenizerPath; ///< tokenizer.path, of Phi-4 vocab_path, of Hugging Face's tokenizer_json_path; "": none
  std::string specialTokensPath; ///< tokenizer.special_tokens_path; "": none
  std::string mergesFile;        ///< tokenizer.merges_file, of Qwen's tokenizers, or merges_path, of Phi-4's; "": none
  std::string tokenizerConfigPath;  ///< tokenizer.tokenizer_config_json_path, of Hugging Face's; "": none
  std::string generationConfigPath; ///< tokenizer.generation_config_path, of Hugging Face's; "": none
  std::optional<PromptTemplateConfig> promptTemplate; ///< absent: the tokenizer's own wording
  DatasetConfig dataset;
  std::vector<DatasetConfig> moreDatasets; ///< where `dataset` is a list: those behind the first
  std::vector<DatasetConfig> heldOut;      ///< dataset_val: what is evaluated, one set or a list of them
  CheckpointerConfig checkpointer;
  bool resumeFromCheckpoint = false;
  bool saveAdapterWeightsOnly = false; ///< checkpoints hold no merged weights; only with `lora`
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t epochs = 1;
  std::optional<int64_t> maxSteps; ///< max_steps_per_epoch
  std::string outputDir = "out";
  std::optional<TensorBoardConfig> tensorBoard; ///< metric_logger, beside metrics.jsonl
  int64_t logEveryNSteps = 1;
  int64_t saveEveryNSteps = 0; ///< 0: only at the end
  int64_t valEveryNSteps = 0;  ///< run_val_every_n_steps; 0: before the first step and behind the last

  /// Whether the logits are made and used by chunks of rows, so that they are never whole.
  bool chunksLoss() const { return lossComponent != "torch.nn.CrossEntropyLoss"; }

  /// Where the weights of `reference` are read from; without a folder they are random, the model's own.
  const CheckpointerConfig &referenceCheckpointer() const {
    return reference->checkpointer.checkpointDir.empty() ? checkpointer : reference->checkpointer;
  }

  /// Rows that an entry computes at once.
  int64_t rowsOfBatch() const { return preference ? 2 * batchSize : batchSize; }

  /// The whole recipe as YAML text with defaults filled in, keys sorted as in docs/recipes.md. Parsing it again gives
  /// an equal recipe. This is what the manifest keeps.
  std::string normalizedYaml;
  /// Remarks about keys without effect and the like, in file order.
  std::vector<Diagnostic> remarks;
};

/// Which lengths a recipe leaves to the data.
struct OpenLengths {
  bool row = false;    ///< tokenizer.max_seq_len is null or absent, and rows are not packed
  bool ladder = false; ///< sequence_lengths is null, absent or auto, and rows are not packed
};

/// Reads `text` (from `fileName`, for messages), applies `overrides` ("a.b=value", "~a.b", in order), resolves
/// ${interpolation}, checks every key and combination. On failure returns nullopt with at least one error in `diags`,
/// as `file:line:column: error: ...` with the nearest valid key and the way out. Overrides are located as
/// `<command line>:1:N`: N is the column when all overrides are written in one line with single blanks between. With
/// `open` a length that data can decide is no error where it is missing: `open` tells it, and Recipe::seqLen is then 0;
/// such a recipe is not complete, and only says how data are read.
std::optional<Recipe> parseRecipe(const std::string &text, const std::string &fileName,
                                  const std::vector<std::string> &overrides, std::vector<Diagnostic> &diags,
                                  OpenLengths *open = nullptr);

/// Applies overrides of `Run` keys to a normalized recipe (from a manifest). A `Compiled` key is an error that says
/// "recompile with KEY=VALUE".
std::optional<Recipe> overrideRun(const std::string &normalizedYaml, const std::vector<std::string> &overrides,
                                  std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_CONFIG_RECIPE_H

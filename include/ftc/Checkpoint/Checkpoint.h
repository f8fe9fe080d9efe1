//===- Checkpoint.h - Directories of weights, read and written ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_CHECKPOINT_H
#define FTC_CHECKPOINT_CHECKPOINT_H

#include "ftc/Checkpoint/Adapter.h"
#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Config/Recipe.h"

#include <memory>

namespace ftc {

//===----------------------------------------------------------------------===//
// config.json
//===----------------------------------------------------------------------===//

/// Special ids that config.json names; one below 0 is not known, and left out.
struct TokenIds {
  int64_t bos = 256;
  int64_t eos = 257;
  int64_t pad = 258;
};

/// config.json of transformers' LlamaForCausalLM. `base` is the text of the config.json that the weights came from, or
/// empty; keys of it that this model does not decide (special ids, for one) are kept. Where `base` is of a model whose
/// text part this is (Multimodal.h), so is what is made.
std::string configJson(const ModelConfig &model, DType dtype, const TokenIds &ids, const std::string &base = "");

/// Compares a config.json with the model of the recipe. Each difference is told with both values: as an error, and
/// false is returned, where it says how tensors are to be read (sizes, numbers of heads, tied embeddings); as a warning
/// where a recipe may want to change it (rotary base and scaling, epsilon) or where it cannot be compared.
bool checkConfigJson(const std::string &path, const ModelConfig &model, std::vector<Diagnostic> &diags);

/// Whether a config.json is that of a model whose text part is a `model` (Multimodal.h).
bool isAroundTextPart(const std::string &path, const ModelConfig &model);

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Whose names the weights in a file have.
enum class Naming { HuggingFace, Meta, Torchtune };

/// Compares Meta's params.json with the model of the recipe, as checkConfigJson does: sizes and numbers of heads are
/// errors, rotary base and epsilon warnings.
bool checkParamsJson(const std::string &path, const ModelConfig &model, std::vector<Diagnostic> &diags);

/// The tensors of a directory: the files named, or else the first of these that is there: model.safetensors, the shards
/// of model.safetensors.index.json, pytorch_model.bin, the shards of pytorch_model.bin.index.json, consolidated.00.pth.
/// Files are safetensors, or torch.save's (.bin, .pt, .pth). Tensors have Hugging Face's names here; with a model,
/// those that have Meta's or torchtune's in the file are renamed, and the rows of their projections of queries and keys
/// put into Hugging Face's order. With a Phi-3, the projections that share a tensor there are parts of its rows. With a
/// model that is the text part of larger ones (Multimodal.h), weights have the names of the model by itself, and the
/// tensors beside it are apart.
class CheckpointReader {
public:
  /// `files` are relative to `directory`; empty: as found. Null with an error on a missing or broken file, or an index
  /// that names a tensor which its shard does not hold. `model` null: names are taken as they are.
  static std::unique_ptr<CheckpointReader> open(const std::string &directory, const std::vector<std::string> &files,
                                                std::vector<Diagnostic> &diags, const ModelConfig *model = nullptr);

  const std::string &directory() const { return path; }
  /// By Hugging Face's name; its own name is the file's.
  const TensorSpec *find(std::string_view name) const;

  /// Compares with the tensors that the step wants, types aside. Missing tensors (with the nearest name), misshapen
  /// ones (with both shapes) and ones that the model has no place for are errors. Of the latter, tables of rotary
  /// embeddings and, when nothing wants it, `lm_head.weight` (tied embeddings) are passed over.
  bool check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const;

  /// Reads a tensor into `out`, converted to its type there; see TensorFile::read.
  bool read(const TensorView &out, std::vector<Diagnostic> &diags) const;

  /// A tensor beside the text part of a model, under its own name.
  struct OtherPart {
    const TensorFile *file;
    const TensorFile::Entry *entry;
  };
  const std::vector<OtherPart> &otherParts() const { return others; }

  /// Reads a weight, converted to wanted.type, and quantizes it as it comes: never whole in memory.
  bool quantize(const TensorSpec &wanted, const Nf4Weight &weight, std::vector<Diagnostic> &diags) const;

private:
  struct Place {
    const TensorFile *file;
    TensorFile::Entry entry;
  };

  /// Adds the tensors of a file under a step's names. False with an error.
  bool add(std::unique_ptr<TensorFile> file, const ModelConfig *model, std::vector<Diagnostic> &diags);
  /// Where `wanted` is; null with an error if there is none of this shape.
  const Place *locate(const TensorSpec &wanted, std::vector<Diagnostic> &diags) const;
  /// A tensor for messages: in quotes, with the name that it has in files like these.
  std::string told(std::string_view name) const;

  std::string path;
  std::vector<std::unique_ptr<TensorFile>> files;
  std::map<std::string, Place, std::less<>> places;
  std::vector<OtherPart> others;
  Naming naming = Naming::HuggingFace; ///< of the files
  ModelConfig model;                   ///< Llama's, without one
};

//===----------------------------------------------------------------------===//
// Training checkpoints: OUT/step_N
//===----------------------------------------------------------------------===//

/// Where a run stands, training_state.json.
struct TrainingState {
  uint64_t step = 0; ///< updates done
  uint64_t seed = 0;
  int64_t epoch = 0; ///< position of the next batch, see DataPosition
  int64_t batch = 0;
  int64_t batchSize = 0;        ///< rows of a batch, in which `batch` counts; 0: not known (an older checkpoint)
  uint64_t dataFingerprint = 0; ///< DataSet::fingerprint()
  /// Without a label to train on, so far; both 0 in older checkpoints. Such a step is no update.
  int64_t skippedBatches = 0;
  uint64_t skippedSteps = 0;
  uint64_t scheduleSteps =
      0; ///< the steps that the learning rate's schedule is for; 0: not known (an older checkpoint)
};

/// What a run was made with, in training_state.json too: the same in all its checkpoints. Earlier versions wrote none.
struct TrainingOrigin {
  std::map<std::string, std::string> recipe; ///< trainingValues()
  std::optional<uint64_t> frozenWeights;     ///< a hash of them; only with adapters
  std::optional<uint64_t> teacherWeights;    ///< a hash of them; only with a teacher
  std::optional<uint64_t> referenceWeights;  ///< a hash of them; only with a reference of its own weights
  std::string
      referenceFolder; ///< where those lie since the run moved them out of its way; empty: where the recipe says
};

/// What a checkpoint of adapters needs to know.
struct AdapterOptions {
  LoraConfig lora;
  std::string baseModel;    ///< folder of the frozen weights, for adapter_config.json; empty: unknown
  bool adapterOnly = false; ///< leave the merged weights out
};

struct CheckpointOptions {
  std::string outputDir;
  ModelConfig model;
  DType dtype = DType::F32;
  TokenIds ids;
  std::vector<TensorView> parameters; ///< by Hugging Face name; the memory is read at each write
  std::vector<TensorView> states;     ///< of the optimizer
  /// Present: `parameters` holds frozen weights and adapters (isAdapterName).
  std::optional<AdapterOptions> adapter;
  /// Directory of the weights that training started from, or empty: its tokenizer files are copied, and its config.json
  /// is the base of ours. Where that is of a model whose text part is trained (Multimodal.h), weights get the names
  /// that they have there, and the tensors of other parts are copied.
  std::string sourceDir;
  std::vector<std::string> sourceFiles; ///< its weights, as CheckpointReader takes them
  TrainingOrigin origin;
  std::vector<std::pair<std::string, std::string>> texts; ///< names and contents of further files of each checkpoint
  uint64_t shardBytes = 5'000'000'000;                    ///< largest model file; as transformers counts
  size_t keepLast = 0;                                    ///< checkpoints that are kept; 0: all
};

/// Writes OUT/step_N: config.json, model.safetensors (or shards with an index), state.safetensors, training_state.json,
/// tokenizer files. With adapters also adapter/adapter_model.safetensors and adapter/adapter_config.json, and the
/// weights have the adapters merged in; without the weights these two are in step_N itself, and there is no
/// config.json. Everything is prepared when it is made, so that `write` allocates nothing as long as all goes well.
class CheckpointWriter {
public:
  /// Creates the output directory and removes what killed runs left there under temporary names.
  static std::unique_ptr<CheckpointWriter> create(const CheckpointOptions &options, std::vector<Diagnostic> &diags);
  ~CheckpointWriter();

  /// Writes step_N under a temporary name, syncs every file and the directories, then renames. An existing step_N is
  /// replaced whole. Then the oldest checkpoints beyond `keepLast` are removed. On an error (disk full, say) the
  /// temporary directory is removed and OUT is as it was. So too when a tensor's `read` throws, which is passed on.
  bool write(const TrainingState &state, std::vector<Diagnostic> &diags);

  /// Bytes of one checkpoint's tensors.
  uint64_t tensorBytes() const;

private:
  struct Impl;
  explicit CheckpointWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

/// A whole checkpoint found.
struct FoundCheckpoint {
  std::string directory;
  TrainingState state;
  TrainingOrigin origin = {};
};

/// N of "step_N".
std::optional<uint64_t> stepOfName(std::string_view name);

/// The newest whole checkpoint of `outputDir`, nullopt if there is none. One with an adapter is whole without weights,
/// and one with the adapter alone (or beside the weights, as earlier versions had it) without config.json.
/// Broken ones are passed over with a warning.
std::optional<FoundCheckpoint> findNewestCheckpoint(const std::string &outputDir, std::vector<Diagnostic> &diags);

/// Reads DIR/training_state.json; with `origin`, what is there of that, too.
std::optional<TrainingState> readTrainingState(const std::string &directory, std::vector<Diagnostic> &diags,
                                               TrainingOrigin *origin = nullptr);

/// Opens DIR/state.safetensors. Its tensors have the names of CheckpointOptions::states.
std::unique_ptr<SafetensorsFile> openOptimizerState(const std::string &directory, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_CHECKPOINT_CHECKPOINT_H

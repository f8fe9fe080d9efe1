//===- Adapter.h - LoRA adapters, read and written ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// PEFT keeps an adapter in a folder: adapter_config.json and adapter_model.safetensors, whose tensors are called
// base_model.model.<module>.lora_A.weight, [rank, inputs], and base_model.model.<module>.lora_B.weight, [outputs,
// rank]; with DoRA also base_model.model.<module>.lora_magnitude_vector, [outputs]. That is what is written. Read are
// also files of torch.save, with these names (adapter_model.bin) or torchtune's (adapter_model.pt):
// layers.N.attn.q_proj.lora_a.weight, lora_b.weight and magnitude. Where the base is the text part of a model, modules
// have the names that they have in that: base_model.model.model.language_model.layers….
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_ADAPTER_H
#define FTC_CHECKPOINT_ADAPTER_H

#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Config/Recipe.h"

#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace ftc {

struct FusedPart;

/// Whether a parameter of a step is an adapter's: `<module>.lora_A.weight`, `<module>.lora_B.weight` or
/// `<module>.lora_magnitude_vector`.
bool isAdapterName(std::string_view name);

/// PEFT's name for an adapter's parameter; with `isPart` in the model that has this one as its text part
/// (Multimodal.h).
std::string peftName(std::string_view name, bool isPart = false);

/// adapter_config.json. `baseModel` is the folder of the frozen weights, empty: unknown. Modules are called as in the
/// files of `model`, or with `isPart` those of its kind in that text part alone.
std::string adapterConfigJson(const LoraConfig &lora, const std::string &baseModel, const ModelConfig &model,
                              bool isPart = false);

/// The adapter's file in a folder: adapter_model.safetensors, adapter_model.bin or adapter_model.pt, in `folder` itself
/// or, as checkpoints with merged weights have it, in `folder`/adapter. "" if there is none.
std::string adapterFile(const std::string &folder);

/// What the adapter_config.json beside an adapter (a file, or a folder as adapterFile takes it) names as the folder of
/// its frozen weights. "" where it says that there is none; nullopt where it does not say, or is not there.
std::optional<std::string> adapterBase(const std::string &path);

/// The folder in a checkpoint with merged weights that holds its adapter.
inline constexpr const char *adapterFolderName = "adapter";

/// An adapter to read.
class AdapterReader {
public:
  /// `path` names a file (.safetensors, or torch.save's .bin, .pt, .pth), or a folder as adapterFile takes it. Where an
  /// adapter_config.json stands beside it, what it says about the scale and the kind must agree with `lora`. Rows that
  /// torchtune has in another order are put into that of `model`. An adapter of a fused module (FusedWeights.h) is
  /// taken apart: into blocks, or, where its rank is that of the step, into adapters with equal A. Null with an error,
  /// such as for one that no blocks make up.
  static std::unique_ptr<AdapterReader> open(const std::string &path, const LoraConfig &lora, const ModelConfig &model,
                                             std::vector<Diagnostic> &diags);

  const std::string &path() const { return file->path(); }

  /// Compares with the adapters that the step wants, types aside: missing, misshapen and further tensors are errors.
  bool check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const;

  /// Reads a tensor (by the step's name) to where `out` is, converted to its type there.
  bool read(const TensorView &out, std::vector<Diagnostic> &diags) const;

private:
  /// Adds a tensor by a step's name. False with an error.
  bool add(const std::string &name, TensorFile::Entry entry, std::vector<Diagnostic> &diags);
  /// Adds the parts of the tensor `end` (".lora_A.weight", say) of a fused module.
  bool addParts(std::span<const FusedPart> parts, std::string_view end, const TensorFile::Entry &entry,
                const LoraConfig &lora, std::vector<Diagnostic> &diags);

  std::unique_ptr<TensorFile> file;
  std::map<std::string, TensorFile::Entry, std::less<>> entries; ///< by PEFT's name; their own are the file's
};

/// Rows of a matrix in order, wherever it lies: from memory as they are, from elsewhere some at a time through
/// `buffer`, which several of these may share as long as one after another is used.
class RowReader {
public:
  RowReader() = default;
  /// Makes `buffer` large enough for `rowsAtOnce` rows (0: about 1 MiB of them); not used for a matrix in memory.
  RowReader(const TensorView &matrix, std::vector<char> *buffer, int64_t rowsAtOnce = 0);

  /// Row `row`; valid until the next call. Row 0 is always read anew.
  const char *row(int64_t row);
  const TensorSpec &spec() const { return matrix.spec; }

private:
  TensorView matrix;
  std::vector<char> *buffer = nullptr;
  int64_t rowBytes = 0, atOnce = 0;
  int64_t first = 0, count = 0; ///< rows in the buffer
};

/// What MergedWeights may share: they are used one after another.
struct MergeBuffers {
  std::vector<char> weight, a, b, magnitude;
};

/// A weight with its adapter merged in: W + scale * B A, row by row, in fp32 (the sum over the rank in order), rounded
/// once to W's type. With a magnitude, each row is scaled to that norm. All are F32 or BF16; W may be in four bits. Its
/// scratch memory is taken when it is made.
class MergedWeight {
public:
  /// Of a weight without an adapter: itself, or what it decodes to.
  explicit MergedWeight(const TensorView &weight, MergeBuffers *buffers = nullptr);
  /// Shapes are [outputs, inputs], [rank, inputs], [outputs, rank]; of the magnitude, null without one, [outputs].
  /// `buffers` are for tensors that have no memory here.
  MergedWeight(const TensorView &weight, const TensorView &a, const TensorView &b, double scale,
               const TensorView *magnitude = nullptr, MergeBuffers *buffers = nullptr);

  /// Computes row `row` into `out`, inputs elements of W's type; rows in order. Row 0 reads A anew; rows of one pass
  /// see the same A. Throws what a tensor's `read` throws.
  void row(int64_t row, void *out);
  int64_t rows() const { return weight.spec.shape[0]; }
  int64_t rowBytes() const { return weight.spec.shape[1] * typeBytes(weight.spec.type); }

private:
  TensorView weight;
  RowReader weightRows, a, b, magnitude;
  int64_t rank = 0;
  float scale = 0;
  std::vector<float> factorA, rowB, sum, base;
};

} // namespace ftc

#endif // FTC_CHECKPOINT_ADAPTER_H

//===- Adapter.h - LoRA adapters in PEFT's format ----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// PEFT keeps an adapter in a folder: adapter_config.json and adapter_model.safetensors, whose tensors are called
// base_model.model.<module>.lora_A.weight, [rank, inputs], and base_model.model.<module>.lora_B.weight, [outputs,
// rank].
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_ADAPTER_H
#define FTC_CHECKPOINT_ADAPTER_H

#include "ftc/Checkpoint/Safetensors.h"
#include "ftc/Config/Recipe.h"

#include <memory>

namespace ftc {

/// Whether a parameter of a step is a factor of an adapter: `<module>.lora_A.weight` or `<module>.lora_B.weight`.
bool isAdapterName(std::string_view name);

/// PEFT's name for an adapter's parameter.
std::string peftName(std::string_view name);

/// adapter_config.json. `baseModel` is the folder of the frozen weights, empty: unknown.
std::string adapterConfigJson(const LoraConfig &lora, const std::string &baseModel);

/// An adapter to read.
class AdapterReader {
public:
  /// `path` names a .safetensors file, or the folder of an adapter_model.safetensors. Where an adapter_config.json
  /// stands beside it, what it says about the scale and the kind must agree with `lora`. Null with an error.
  static std::unique_ptr<AdapterReader> open(const std::string &path, const LoraConfig &lora,
                                             std::vector<Diagnostic> &diags);

  const std::string &path() const { return file->path(); }

  /// Compares with the adapters that the step wants, types aside: missing, misshapen and further tensors are errors.
  bool check(std::span<const TensorSpec> wanted, std::vector<Diagnostic> &diags) const;

  /// Reads `wanted` (the step's name), converted to wanted.type.
  bool read(const TensorSpec &wanted, void *out, std::vector<Diagnostic> &diags) const;

private:
  std::unique_ptr<SafetensorsFile> file;
};

/// A weight with its adapter merged in: W + scale * B A, row by row, in fp32 (the sum over the rank in order), rounded
/// once to W's type. All three are F32 or BF16; W may be in four bits. Its scratch memory is taken when it is made.
class MergedWeight {
public:
  /// Of a weight in four bits without an adapter: what it decodes to.
  explicit MergedWeight(const TensorView &weight);
  /// Shapes are [outputs, inputs], [rank, inputs], [outputs, rank].
  MergedWeight(const TensorView &weight, const TensorView &a, const TensorView &b, double scale);

  /// Computes row `row` into `out`, inputs elements of W's type. Row 0 reads A anew; rows of one pass see the same A.
  void row(int64_t row, void *out);
  int64_t rows() const { return weight.spec.shape[0]; }
  int64_t rowBytes() const { return weight.spec.shape[1] * typeBytes(weight.spec.type); }

private:
  TensorView weight, a, b;
  float scale;
  std::vector<float> factorA, rowB, sum, base;
};

} // namespace ftc

#endif // FTC_CHECKPOINT_ADAPTER_H

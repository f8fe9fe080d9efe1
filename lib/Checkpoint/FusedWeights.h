//===- FusedWeights.h - Projections that share a tensor -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step has a weight for each projection. Hugging Face's files of Phi-3 and Phi-4 hold those of queries, keys and
// values as one, self_attn.qkv_proj.weight, their rows one after the other, and so mlp.gate_up_proj.weight.
//
// PEFT's adapters belong to these fused modules, too. The adapters of the parts, W_i + s B_i A_i, are one of the whole:
// A has the rows of all A_i, one after the other, and B has B_i where rows of part i meet columns of A_i, and zeros
// elsewhere. Its rank is that of the parts times their number, and its alpha too, which leaves the scale.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_FUSEDWEIGHTS_H
#define FTC_LIB_CHECKPOINT_FUSEDWEIGHTS_H

#include "ftc/Checkpoint/Adapter.h"

#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// A projection that shares a weight with others.
struct FusedPart {
  std::string module;     ///< as a step calls it, e.g. "model.layers.0.self_attn.k_proj"
  int64_t firstRow, rows; ///< its part of the fused weight

  bool isTargetOf(const LoraConfig &lora) const;
};

/// The projections of a module that the files of `model` hold as one, such as "model.layers.0.self_attn.qkv_proj", in
/// the order of their rows. Empty for any other module.
std::vector<FusedPart> partsOf(std::string_view module, const ModelConfig &model);

/// The fused module that a projection is a part of; "" for one that is whole in the files of `model`.
std::string fusedModule(std::string_view module, const ModelConfig &model);

/// How many parts of the fused module of this last word ("qkv_proj") have an adapter; 0 for another word.
int64_t fusedTargets(std::string_view word, const LoraConfig &lora, const ModelConfig &model);

/// The last words of the modules that have an adapter in files, each once: LoraConfig::targets, with those that are
/// parts replaced by the fused one.
std::vector<std::string> fileTargets(const LoraConfig &lora, const ModelConfig &model);

/// Rows `first` to `first + count` of a matrix or vector of a file.
TensorFile::Entry rowsOf(const TensorFile::Entry &entry, int64_t first, int64_t count);

/// Columns `first` to `first + count` of a matrix.
TensorFile::Entry columnsOf(const TensorFile::Entry &entry, int64_t first, int64_t count);

/// The adapters of a step as files have them, under a step's names: those of parts put together into one of the fused
/// module, which is computed when it is read, without allocating. `weights` are the frozen ones: with magnitudes, rows
/// of a part without an adapter get the norms that they have.
std::vector<TensorView> fuseAdapters(const std::vector<TensorView> &adapters, const std::vector<TensorView> &weights,
                                     const LoraConfig &lora, const ModelConfig &model);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_FUSEDWEIGHTS_H

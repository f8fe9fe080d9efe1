//===- Restore.h - Tensors of a step from and to checkpoints ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_RESTORE_H
#define FTC_TRAINER_RESTORE_H

#include "ftc/Checkpoint/Checkpoint.h"
#include "ftc/Config/Recipe.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Runtime/Session.h"
#include "ftc/Tokenizer/Tokenizer.h"

#include <memory>
#include <string>
#include <vector>

namespace ftc {

/// Writes warnings and remarks of `diags` to standard error and clears them. Errors are left for throwErrors.
void tellRemarks(std::vector<Diagnostic> &diags);
/// Throws RunError(code) with all errors of `diags`, a line each.
[[noreturn]] void throwErrors(ExitCode code, const std::vector<Diagnostic> &diags);

/// Fills the step's parameters, adapters aside, from a directory of weights (`files` as in CheckpointReader::open).
/// Weights in four bits are quantized as they are read. A config.json, or Meta's params.json, beside them is compared
/// with `model`.
/// Throws RunError(NoFile or BadCheckpoint); then some parameters may have been filled.
void loadParameters(Session &session, const std::string &directory, const std::vector<std::string> &files,
                    const ModelConfig &model);
/// Fills the weights of the step's teacher from its checkpoint, in the same way.
void loadTeacher(Session &session, const DistillationConfig &distillation);
/// Fills the weights of the step's reference from Recipe::referenceCheckpointer(), in the same way.
void loadReference(Session &session, const Recipe &recipe);
/// Fills the step's adapters from a file or folder, as in AdapterReader::open. Throws RunError(NoFile or
/// BadCheckpoint).
void loadAdapters(Session &session, const std::string &path, const LoraConfig &lora, const ModelConfig &model);
/// Fills the optimizer's states from DIRECTORY/state.safetensors. Throws RunError(BadCheckpoint) also where that has
/// states that the step does not keep; then `optimizers` says of what two optimizers they are, and `wayOut` what to do.
void loadStates(Session &session, const std::string &directory, const std::string &optimizers,
                const std::string &wayOut);

/// A hash of all parameters but the adapters, as the step holds them: the frozen weights that adapters belong to.
uint64_t hashFrozenWeights(Session &session);
/// The same of the teacher's weights.
uint64_t hashTeacher(Session &session);
/// The same of the reference's weights.
uint64_t hashReference(Session &session);

/// A writer of OUT/step_N for all parameters and states of the step. `resumedFrom`: the checkpoint whose weights the
/// run goes on from, or empty; it stands for the folder that these came from in the beginning where that is gone.
/// Throws RunError(WriteFailed).
std::unique_ptr<CheckpointWriter> makeWriter(Session &session, const Recipe &recipe, const Tokenizer &tokenizer,
                                             const TrainingOrigin &origin, const std::string &outputDir,
                                             const std::string &resumedFrom = "");

} // namespace ftc

#endif // FTC_TRAINER_RESTORE_H

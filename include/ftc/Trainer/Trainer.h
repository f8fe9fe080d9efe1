//===- Trainer.h - What ftrun does -----------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_TRAINER_H
#define FTC_TRAINER_TRAINER_H

#include "ftc/Runtime/RunError.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ftc {

/// ftrun's command line. What is absent comes from the recipe inside the step.
struct RunOptions {
  std::string step;    ///< path of the step.so
  std::string against; ///< a step for the host to compare launches with; empty: train
  /// Files and directories: of the recipe's data set, or one for each of its list. Empty: its dataset.data_files.
  std::vector<std::string> data;
  std::string out;               ///< output directory; empty: the recipe's output_dir
  std::string farDir;            ///< folder for the file of the far tier; empty: the output directory
  std::optional<uint64_t> steps; ///< number of the last update; absent: the recipe's epochs
  std::optional<uint64_t> seed;
  std::optional<std::string> column;  ///< key of the text in a .jsonl object
  unsigned threads = 0;               ///< 0: as many as were planned for and this machine has
  double heldOut = 0;                 ///< share of the data kept for evaluation
  std::string heldOutData;            ///< file or directory that is evaluated instead; empty: none
  int64_t sample = 0;                 ///< tokens of text to generate at the end
  std::string prompt;                 ///< what the generated text goes on from
  std::string ask;                    ///< instead: what a user asks, in the words of the recipe's conversations
  double temperature = 0.8;           ///< of the sample; 0: always the likeliest token
  bool lastCheckpoint = true;         ///< write one when the run ends
  bool tune = false;                  ///< time the library's algorithms on the device, and keep the fastest
  bool provePlan = false;             ///< fill the slabs with a pattern, and tell the highest byte written
  std::vector<std::string> overrides; ///< "key=value" for keys of the recipe that belong to a run
};

/// Trains: loads the step and the data, initializes or resumes, runs the steps, writes metrics and checkpoints. SIGINT,
/// SIGTERM and SIGHUP end it after the step that is running, with a checkpoint. Returns Ok, Interrupted, Terminated or
/// HungUp; throws RunError for everything else. Once per process (it handles signals).
ExitCode runTraining(const RunOptions &options);

/// This program, its version and which steps it runs: "ftrun 0.1.0, for steps of ABI version 4".
std::string runnerName();

/// What describeStep tells besides: there may be thousands of lines of either.
struct StepDetails {
  bool tensors = false;   ///< each tensor, with its place
  bool decisions = false; ///< each decision of the compiler
};

/// The manifest of a step as text for people: `ftrun --info`. Throws RunError.
std::string describeStep(const std::string &path, const StepDetails &details = {});

} // namespace ftc

#endif // FTC_TRAINER_TRAINER_H

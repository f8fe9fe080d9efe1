//===- Metrics.h - metrics.jsonl and the progress line ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_METRICS_H
#define FTC_TRAINER_METRICS_H

#include "ftc/Trainer/PairMetrics.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace ftc {

/// The parts of a loss that has a teacher, means over valid tokens, under the names of torchtune's recipe
/// knowledge_distillation_single_device.
struct DistillationLosses {
  double classLoss = 0; ///< class_loss: cross-entropy with the labels
  double kdLoss = 0;    ///< kd_loss: cross-entropy with the teacher's probabilities
};

/// What is known of a step when it is done.
struct StepMetrics {
  uint64_t step = 0;
  int64_t epoch = 0;             ///< the one that the step belongs to, from 1
  double seconds = 0;            ///< from reading the step's first batch to its update
  float loss = 0;                ///< mean over the step's valid tokens, or pairs
  float learningRate = 0;        ///< the one that this step used
  std::optional<float> gradNorm; ///< before clipping; absent when the step does not compute it
  int64_t tokens = 0;            ///< valid labels of the step
  int64_t paddedTokens = 0;      ///< positions of the step's rows, padding included
  double tokensPerSecond = 0;
  double shareOfPeak = 0;                  ///< planned FLOPs / time / measured FMA peak; 0 when unknown
  uint64_t plannedBytes = 0;               ///< the plan's total
  uint64_t takenBytes = 0;                 ///< most bytes taken through the memory interface
  uint64_t farBytes = 0;                   ///< bytes taken in the far tier: those of the plan
  uint64_t residentBytes = 0;              ///< the process's largest resident size so far
  int64_t skipped = 0;                     ///< batches without a valid label so far
  std::optional<PairMeans> pairs;          ///< of a step that compares answers
  std::optional<DistillationLosses> parts; ///< of a step that has a teacher
};

/// What an evaluation gave.
struct HeldOutLoss {
  uint64_t step = 0;                       ///< updates before it
  double loss = 0;                         ///< mean over all valid tokens, or pairs, of the held-out data
  std::optional<PairMeans> pairs;          ///< of a step that compares answers
  std::optional<DistillationLosses> parts; ///< of a step that has a teacher
};

/// OUT/metrics.jsonl: one object a line, each written with a single write(2): a line a step, and behind it one for an
/// evaluation, if there was any. Adding a line allocates nothing. Numbers that JSON does not have (a loss that is not
/// finite) are null.
class MetricsLog {
public:
  /// Opens `path` to go on after step `lastStep`: a half line at the end and lines of later steps (a killed run wrote
  /// them after its last checkpoint) are cut off. With lastStep 0 the file starts empty. Throws RunError(WriteFailed).
  MetricsLog(const std::string &path, uint64_t lastStep);
  ~MetricsLog();
  MetricsLog(const MetricsLog &) = delete;
  MetricsLog &operator=(const MetricsLog &) = delete;

  void add(const StepMetrics &metrics);
  void add(const HeldOutLoss &metrics);
  /// Whether the last line is that of an evaluation.
  bool endsWithEvaluation() const { return evaluated; }
  /// Makes what was added survive a power cut.
  void sync();

private:
  void write(const char *text, size_t size);

  std::string path;
  int file;
  bool evaluated = false;
};

/// The line of a step: "step 30/90  epoch 1/2  loss 2.3456  lr 1.00e-04  grad norm 0.720  2035 tokens/s  1.9 s  ETA
/// 1:52". `epochs`: of the run, 0 where it is not counted in them. `secondsLeft`: until the last step; below 0: not
/// known. What matters least is left out until the line has at most `width` columns; 0: any number. Writes at most
/// `size` bytes to `to`, and returns how many.
size_t progressLine(const StepMetrics &metrics, uint64_t totalSteps, int64_t epochs, double secondsLeft, size_t width,
                    char *to, size_t size);

/// The progress of a run on standard output: one line that is rewritten on a terminal, a line each elsewhere; above the
/// first, and again when it has grown, a line with what memory is taken. Showing a step allocates nothing.
class Progress {
public:
  /// For a run that has done `doneSteps` of `totalSteps` steps, in `epochs` epochs (0: it is not counted in them).
  explicit Progress(uint64_t totalSteps, uint64_t doneSteps = 0, int64_t epochs = 0);
  /// The run has become shorter.
  void setTotal(uint64_t steps) { totalSteps = steps; }
  void show(const StepMetrics &metrics);
  void show(const HeldOutLoss &metrics);
  /// A line of text beside the progress.
  void tell(const char *text);
  /// Ends the line that is being rewritten.
  void finish();

private:
  uint64_t totalSteps, doneSteps; ///< doneSteps: before the first that is shown
  int64_t epochs;
  bool terminal;
  bool open = false;
  uint64_t shownResident = 0; ///< resident size of the last line about memory
  std::chrono::steady_clock::time_point start;
};

/// Writes all of `text` to file descriptor `file`; returns false when the system refuses.
bool writeAll(int file, const char *text, size_t size);

} // namespace ftc

#endif // FTC_TRAINER_METRICS_H

//===- Run.h - One training run, from the recipe to the last checkpoint -*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TRAINER_RUN_H
#define FTC_LIB_TRAINER_RUN_H

#include "ftc/Data/BatchStream.h"
#include "ftc/Trainer/Algorithms.h"
#include "ftc/Trainer/EventFile.h"
#include "ftc/Trainer/Feed.h"
#include "ftc/Trainer/Metrics.h"
#include "ftc/Trainer/OutputFolder.h"
#include "ftc/Trainer/Restore.h"
#include "ftc/Trainer/Trainer.h"

#include <fmt/format.h>
#include <unistd.h>

namespace ftc {

template <typename... Args> void say(fmt::format_string<Args...> pattern, Args &&...args) {
  std::string line = fmt::format(pattern, std::forward<Args>(args)...) + "\n";
  writeAll(STDOUT_FILENO, line.data(), line.size());
}

template <typename... Args> void warn(fmt::format_string<Args...> pattern, Args &&...args) {
  std::string line = "ftrun: warning: " + fmt::format(pattern, std::forward<Args>(args)...) + "\n";
  writeAll(STDERR_FILENO, line.data(), line.size());
}

/// The signal that asked this run to end; 0 while none did.
extern volatile int stopSignal;

/// Trainer.cpp prepares a run and ends it, RunData.cpp reads its data; TrainLoop.cpp is what happens in between.
class Run {
public:
  explicit Run(const RunOptions &options) : options(options) {}
  ExitCode go();

private:
  void readRecipe(const LoadedStep &step);
  /// Whether the model is only asked: no step, and nothing that is judged.
  bool onlyAsks() const;
  void readData(const manifest::Entry &entry);
  void nameData();
  void readHeldOut();
  void warnOfTrained(const DatasetConfig &set, const char *name) const;
  DataOptions readingOf(const DatasetConfig &set) const;
  std::optional<Recipe> withColumn(const LoadedStep &step, Recipe given);
  LoadedData load(const DataOptions &wanted);
  void tellPadding(const LoadedStep &step);
  void countSteps();
  void findCheckpoint();
  void checkBase(const std::string &adapter, const TrainingOrigin &then, bool resumes);
  void findBase(const std::string &adapter);
  void tellDifferences() const;
  /// A model belongs to the reference that it was compared to.
  void checkReference() const;
  void findReference();
  void warnOfMerged(const std::string &adapter, const std::optional<std::string> &base) const;
  void findAdapter();
  std::string startFrom(const std::string &checkpoint) const;
  void makeFarFolder() const;
  void beginOutput();
  MetricsLog &openMetrics();
  void beginEvents();
  void logStep();
  void logHeldOut();
  void takeMemory(std::unique_ptr<LoadedStep> step);
  void tellDevice(const Device &device);
  void tellMemoryAfter(const Device &device);
  void readKeptAlgorithms();
  void tellAlgorithms(const Device &device);
  void restore();
  void goOn();
  void warnOfSchedule() const;
  void train();
  bool trainOne(uint64_t step, LengthFeeds &micro, LengthFeeds &feeds, Progress &progress);
  int64_t batchesInEpoch() const;
  uint64_t stepsInEpoch() const;
  uint64_t stepsFrom(DataPosition at) const;
  /// Rows of what is counted: of a pair two.
  int64_t rowsOfItem() const { return recipe.preference ? 2 : 1; }
  /// "8 rows", "4 pairs of rows".
  std::string rowsText(int64_t rows) const;
  bool savesEpochs() const;
  bool epochEnded() const;
  uint64_t checkpointsAhead() const;
  void save(uint64_t step);
  [[noreturn]] void stopLost();
  std::vector<std::string> trainingOutputs() const;
  std::optional<HeldOutLoss> judgeHeldOut();
  void judgeMissed();
  bool valDue() const;
  void printSample();
  void printPlanProof();

  const RunOptions &options;
  Recipe recipe;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<LoadedData> data; ///< nothing where the model is only asked
  int64_t rowLength = 0;          ///< tokens
  DataOptions wording;            ///< how records of the first data set are read
  std::string dataNames;          ///< of what is trained, for messages
  std::string dataWords;          ///< all data, as ftc is told them
  std::optional<BatchStream> stream;
  std::unique_ptr<Session> session;
  std::optional<LengthFeeds> evaluation; ///< made by the first judgeHeldOut
  std::optional<HeldOutLoss> judged;     ///< the last one
  std::unique_ptr<CheckpointWriter> writer;
  std::unique_ptr<MetricsLog> metrics;
  std::unique_ptr<EventFile> events;                          ///< TensorBoard's, if the recipe asks for them
  std::optional<OutputFolder> outputFolder, checkpointFolder; ///< one of them where both are the same
  std::vector<Diagnostic> diags;
  TrainingOrigin origin;
  std::optional<FoundCheckpoint> found;  ///< to resume from
  std::optional<ProductAlgorithms> kept; ///< of the checkpoint, or beside the step
  std::string keptIn;                    ///< the file that they are from
  StepMetrics last;
  std::optional<PairMeasure> measure, heldOutPairs; ///< of a step that compares answers
  uint64_t firstStep = 1, totalSteps = 0, doneSteps = 0, savedStep = 0;
  uint64_t skippedSteps = 0;  ///< without a valid label, which are no updates
  uint64_t scheduleSteps = 0; ///< the schedule's total: totalSteps as it was before any was skipped
  int64_t barrenBatches = 0;  ///< batches without a valid label, one after another
  double peakFlops = 0;
  uint64_t freeWhenOpened = 0;            ///< bytes of a device's memory
  std::optional<uint64_t> freeAfterFirst; ///< and behind the first step
};

} // namespace ftc

#endif // FTC_LIB_TRAINER_RUN_H

//===- TrainLoop.cpp - Steps, and the checkpoints between them -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Trainer/Run.h"

#include "ftc/Runtime/AllocationGate.h"
#include "ftc/Trainer/Schedule.h"

#include <algorithm>
#include <chrono>
#include <cmath>

using namespace ftc;
using manifest::EntryKind;
using Clock = std::chrono::steady_clock;

static double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Batches that one epoch trains on.
int64_t Run::batchesInEpoch() const {
  const int64_t perEpoch = stream->batchesPerEpoch();
  return recipe.maxSteps ? std::min(perEpoch, *recipe.maxSteps * recipe.gradientAccumulationSteps) : perEpoch;
}

/// Updates of one epoch; its last may take fewer batches than the others.
uint64_t Run::stepsInEpoch() const {
  const int64_t accumulated = recipe.gradientAccumulationSteps;
  return static_cast<uint64_t>((batchesInEpoch() + accumulated - 1) / accumulated);
}

/// Steps from a place in the data to the end of the recipe's epochs, those without a label included.
uint64_t Run::stepsFrom(DataPosition at) const {
  if (at.epoch >= recipe.epochs)
    return 0;
  const int64_t accumulated = recipe.gradientAccumulationSteps;
  const int64_t left = std::max<int64_t>(0, batchesInEpoch() - at.batch); // of its epoch
  return static_cast<uint64_t>((left + accumulated - 1) / accumulated) +
         static_cast<uint64_t>(recipe.epochs - at.epoch - 1) * stepsInEpoch();
}

/// Without save_every_n_steps a checkpoint ends each epoch, as torchtune's, where the run is counted in epochs.
bool Run::savesEpochs() const { return recipe.saveEveryNSteps <= 0 && !options.steps && options.lastCheckpoint; }

/// How many checkpoints of this run are there at once if nothing stops it.
uint64_t Run::checkpointsAhead() const {
  if (doneSteps >= totalSteps)
    return 0;
  const uint64_t every =
      savesEpochs() ? stepsInEpoch() : static_cast<uint64_t>(std::max<int64_t>(0, recipe.saveEveryNSteps));
  const uint64_t between = every ? (totalSteps - 1) / every - doneSteps / every : 0;
  const uint64_t all = between + (options.lastCheckpoint ? 1 : 0);
  // One more than is kept: the oldest goes when the newest is whole.
  const auto kept = static_cast<uint64_t>(recipe.checkpointer.keepLast);
  return kept ? std::min(all, kept + 1) : all;
}

static double secondsSince1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void Run::logStep() {
  metrics->add(last);
  if (!events)
    return;
  const double now = secondsSince1970();
  events->add("loss", last.step, last.loss, now);
  events->add("lr", last.step, last.learningRate, now);
  events->add("tokens_per_second", last.step, static_cast<float>(last.tokensPerSecond), now);
  if (last.gradNorm)
    events->add("grad_norm", last.step, *last.gradNorm, now);
  if (last.parts) {
    events->add("class_loss", last.step, static_cast<float>(last.parts->classLoss), now);
    events->add("kd_loss", last.step, static_cast<float>(last.parts->kdLoss), now);
  }
}

void Run::logHeldOut() {
  metrics->add(*judged);
  if (events)
    events->add("val_loss", judged->step, static_cast<float>(judged->loss), secondsSince1970());
}

void Run::save(uint64_t step) {
  metrics->sync();
  if (events)
    events->sync();
  const DataPosition at = stream->position();
  TrainingState state;
  state.step = step;
  state.seed = recipe.seed;
  state.epoch = at.epoch;
  state.batch = at.batch;
  state.batchSize = recipe.batchSize;
  state.dataFingerprint = data->train.fingerprint();
  state.skippedBatches = last.skipped;
  state.skippedSteps = skippedSteps;
  state.scheduleSteps = scheduleSteps;
  if (!writer->write(state, diags))
    throwErrors(ExitCode::WriteFailed, diags);
  savedStep = step;
}

/// One step: all its batches but the last through `micro` (empty where a step has one batch), the last through `feeds`.
/// Returns false when nothing of them is trained: then nothing changed but the place in the data.
bool Run::trainOne(uint64_t step, LengthFeeds &micro, LengthFeeds &feeds, Progress &progress) {
  const auto start = Clock::now();
  const int64_t perEpoch = batchesInEpoch();
  if (stream->position().batch >= perEpoch)
    stream->seek({stream->position().epoch + 1, 0});
  const int64_t epoch = stream->position().epoch;
  // The last step of an epoch takes what is left.
  const int64_t batches = std::min(recipe.gradientAccumulationSteps, perEpoch - stream->position().batch);
  auto known = [&](int64_t labels) {
    if (labels < 0)
      throw RunError(ExitCode::BadData,
                     fmt::format("{}: could not be read again; did it change while training?", dataNames));
    return labels;
  };
  // The batch goes through the shortest entry that holds it.
  auto read = [&](LengthFeeds &of, int64_t &labels) -> EntryFeed & {
    EntryFeed &entry = of.holding(known(stream->longest()));
    labels = known(stream->next(entry.view(), entry.sequence()));
    return entry;
  };
  // Gradients are scaled by the labels, or pairs, of the whole step, so with several batches these are counted ahead.
  const int64_t pairs = measure ? known(stream->countPairs(batches)) : 0;
  EntryFeed *entry = nullptr;
  int64_t valid = 0;
  if (batches == 1)
    entry = &read(feeds, valid);
  else
    valid = known(stream->countValid(batches));
  if (valid == 0) {
    if (batches > 1)
      stream->seek({stream->position().epoch, stream->position().batch + batches});
    last.skipped += batches;
    ++skippedSteps;
    if (!options.steps) // a run that is counted in epochs ends with them
      progress.setTotal(--totalSteps);
    if (++barrenBatches > 2 * stream->batchesPerEpoch())
      throw RunError(ExitCode::EmptyData, fmt::format("{}: no batch has a label to train on", dataNames));
    progress.tell("every label of a step is masked: no update");
    return false;
  }
  barrenBatches = 0;

  ftrt_scalars scalars{};
  scalars.learning_rate = static_cast<float>(learningRate(recipe.scheduler, recipe.optimizer.lr, step, scheduleSteps));
  scalars.inv_tokens = static_cast<float>(1.0 / static_cast<double>(measure ? pairs : valid));
  scalars.step = step;
  scalars.seed = recipe.seed;
  double stepSeconds = 0, flops = 0;
  last.loss = 0;
  last.paddedTokens = 0;
  if (measure)
    measure->clear();
  if (recipe.distillation)
    last.parts.emplace();
  for (int64_t batch = 0; batch < batches; ++batch) {
    if (int64_t labels; batches > 1)
      entry = &read(batch + 1 < batches ? micro : feeds, labels);
    scalars.micro = static_cast<uint64_t>(batch);
    if (measure)
      measure->note(entry->view(), entry->sequence());
    const auto called = Clock::now();
    entry->run(scalars);
    stepSeconds += secondsSince(called);
    flops += entry->flops();
    last.paddedTokens += entry->batch() * entry->sequence();
    // Each is a part of the step's mean loss already.
    last.loss += *static_cast<const float *>(entry->output("loss"));
    if (measure)
      measure->add(*entry);
    if (last.parts) {
      last.parts->classLoss += *static_cast<const float *>(entry->output("class_loss"));
      last.parts->kdLoss += *static_cast<const float *>(entry->output("kd_loss"));
    }
  }
  if (measure)
    last.pairs = measure->means();
  last.step = step;
  last.epoch = epoch + 1;
  last.learningRate = scalars.learning_rate;
  if (const auto *norm = static_cast<const float *>(entry->output("grad_norm")))
    last.gradNorm = *norm;
  last.tokens = valid;
  last.seconds = secondsSince(start);
  last.tokensPerSecond = static_cast<double>(valid) / last.seconds;
  last.shareOfPeak = peakFlops > 0 ? flops / stepSeconds / peakFlops : 0;
  last.residentBytes = peakResident();
  logStep();
  return true;
}

static bool isFinite(const StepMetrics &metrics) {
  return std::isfinite(metrics.loss) && std::isfinite(metrics.gradNorm.value_or(0));
}

/// After a step whose loss or gradients are not numbers its update has spread over all that is trained: going on would
/// train nothing, and a checkpoint would take the place of a good one.
void Run::stopLost() {
  metrics->sync();
  const bool loss = !std::isfinite(last.loss);
  std::string wayOut;
  if (doneSteps == firstStep && loss)
    wayOut = found ? "its checkpoint may hold it already: move it away, and resume from the one before"
             : recipe.checkpointer.checkpointDir.empty()
                 ? "at the first step that comes from the recipe's model; check its norm_eps and sizes"
                 : fmt::format("at the first step that comes from the weights: is {} damaged, or another model's?",
                               recipe.checkpointer.checkpointDir);
  else
    wayOut =
        fmt::format("lower optimizer.lr{}{}",
                    recipe.scheduler.kind == SchedulerConfig::Kind::Constant ? " or set an lr_scheduler, which warms up"
                                                                             : " or warm up longer",
                    recipe.clipGradNorm ? "" : ", or recompile with clip_grad_norm");
  throw RunError(
      ExitCode::NotFinite,
      fmt::format("the {} of step {} is not finite, and its update made the weights so: the run is stopped, and "
                  "they are not saved ({}); {}",
                  loss ? "loss" : "norm of the gradients", doneSteps,
                  savedStep ? fmt::format("the last checkpoint is of step {}", savedStep)
                            : std::string("there is no checkpoint"),
                  wayOut));
}

/// Whether the step that was just read was the last of an epoch.
bool Run::epochEnded() const {
  const int64_t batch = stream->position().batch;
  return batch == 0 || batch >= batchesInEpoch();
}

/// What a step or a part of one gives.
std::vector<std::string> Run::trainingOutputs() const {
  if (recipe.distillation)
    return {"loss", "class_loss", "kd_loss"};
  if (!recipe.preference)
    return {"loss"};
  return {"loss", "log_probs", "reference_log_probs"};
}

void Run::train() {
  LengthFeeds feeds(*session, EntryKind::Step, trainingOutputs()), micro(*session, EntryKind::Micro, trainingOutputs());
  if (recipe.preference)
    measure.emplace(feeds.batch(), recipe.preference->beta);
  if (recipe.gradientAccumulationSteps > 1 && micro.empty())
    throw RunError(ExitCode::BadStep, fmt::format("{}: gradient_accumulation_steps is {}, but the step has no entry "
                                                  "'micro'; recompile it",
                                                  session->step().path(), recipe.gradientAccumulationSteps));
  if (doneSteps >= totalSteps && !stopSignal)
    judgeMissed();
  if (doneSteps >= totalSteps || stopSignal)
    return;
  beginOutput();
  const int64_t skippedBefore = last.skipped;
  Progress progress(totalSteps, doneSteps, options.steps ? 0 : recipe.epochs);
  const uint64_t logEvery = static_cast<uint64_t>(std::max<int64_t>(1, recipe.logEveryNSteps));
  const uint64_t saveEvery = static_cast<uint64_t>(std::max<int64_t>(0, recipe.saveEveryNSteps));
  firstStep = doneSteps + 1;
  auto judge = [&] {
    if (!judgeHeldOut())
      return; // a signal came: the run that goes on from here does it
    logHeldOut();
    progress.show(*judged);
  };
  if (valDue() && !metrics->endsWithEvaluation())
    judge();
  bool lost = false;
  uint64_t shown = doneSteps;
  {
    AllocationGate gate;
    while (doneSteps < totalSteps && !stopSignal) {
      const bool trained = trainOne(doneSteps + 1, micro, feeds, progress);
      if (trained) {
        ++doneSteps;
        // A driver takes what it needs for graphs when the first one runs.
        if (doneSteps == firstStep && session->device())
          freeAfterFirst = session->device()->freeBytes();
        if (doneSteps % logEvery == 0 || doneSteps == firstStep || doneSteps == totalSteps) {
          progress.show(last);
          shown = doneSteps;
        }
        lost = !isFinite(last);
        if (lost)
          break;
        if (valDue())
          judge();
      }
      const bool due = savesEpochs() ? epochEnded() : trained && saveEvery && doneSteps % saveEvery == 0;
      if (due && doneSteps != savedStep && doneSteps != totalSteps)
        save(doneSteps);
    }
  }
  if (shown != doneSteps && doneSteps == totalSteps) // those behind it were skipped
    progress.show(last);
  progress.finish();
  if (lost)
    stopLost();
  if (last.skipped > skippedBefore)
    say("{} batches had no label to train on and changed nothing", last.skipped - skippedBefore);
  if (totalSteps == 0)
    throw RunError(ExitCode::EmptyData, fmt::format("{}: no batch has a label to train on", dataNames));
  if (doneSteps != savedStep && options.lastCheckpoint)
    save(doneSteps);
}

/// The evaluation behind the last step of a run that was stopped before it: nothing else is left to do.
void Run::judgeMissed() {
  if (!data || !found || !valDue())
    return;
  if (openMetrics().endsWithEvaluation() || !judgeHeldOut()) {
    metrics.reset();
    return;
  }
  beginEvents();
  logHeldOut();
}

/// Whether the evaluation behind the last step goes to the metrics.
bool Run::valDue() const {
  return recipe.valEveryNSteps > 0 && doneSteps > 0 && doneSteps % static_cast<uint64_t>(recipe.valEveryNSteps) == 0;
}

/// Evaluates what is held out, once for each number of steps. Nothing where nothing is, and when a signal comes. From
/// the second time on it allocates nothing.
std::optional<HeldOutLoss> Run::judgeHeldOut() {
  if (!data || data->heldOut.rows() == 0)
    return std::nullopt;
  if (judged && judged->step == doneSteps)
    return judged;
  if (!evaluation) {
    std::vector<std::string> outputs = {"loss_sum", "valid_tokens"};
    if (recipe.preference)
      outputs = {"loss_sum", "pairs", "log_probs", "reference_log_probs"};
    else if (recipe.distillation)
      outputs.insert(outputs.end(), {"class_loss_sum", "kd_loss_sum"});
    evaluation.emplace(*session, EntryKind::Evaluate, outputs);
    if (evaluation->empty())
      throw RunError(ExitCode::Unsupported,
                     fmt::format("{}: the step has no entry 'evaluate', which held-out data need; "
                                 "recompile it",
                                 session->step().path()));
    if (recipe.preference)
      heldOutPairs.emplace(evaluation->batch(), recipe.preference->beta);
  }
  PairMeasure *pairs = heldOutPairs ? &*heldOutPairs : nullptr;
  DistillationLosses parts;
  const std::optional<double> loss =
      evaluate(*evaluation, data->heldOut, pairs, recipe.distillation ? &parts : nullptr, stopSignal);
  if (!loss)
    return std::nullopt;
  judged = HeldOutLoss{doneSteps, *loss, std::nullopt, std::nullopt};
  if (recipe.distillation)
    judged->parts = parts;
  if (pairs)
    judged->pairs = pairs->means();
  return judged;
}

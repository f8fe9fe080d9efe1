//===- RunStart.cpp - Where a run starts from ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A run goes on from a checkpoint only with what that was made with: its states all find a place in the step, and an
// adapter meets the frozen weights that it was trained on. What else differs is told. An earlier run in the same folder
// is moved away right before this one writes, after everything that can fail or take long.
//
//===----------------------------------------------------------------------===//

#include "lib/Trainer/Run.h"

#include "ftc/Config/TrainingValues.h"
#include "ftc/Support/Reference.h"
#include "ftc/Trainer/Schedule.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

using namespace ftc;
namespace fs = std::filesystem;

/// A key as it is written on a command line.
static std::string shortKey(const std::string &key) {
  const size_t at = key.find("._component_");
  return at == key.npos ? key : key.substr(0, at);
}

/// "optimizer is torch.optim.SGD (was torch.optim.AdamW)", one after another; "" if nothing differs, and for a
/// checkpoint of a version that did not note its recipe.
static std::string differences(const TrainingOrigin &then, const TrainingOrigin &now) {
  std::string text;
  const auto tell = [&](const std::string &key, const std::string &is, const std::string &was) {
    text += fmt::format("{}{} is {} (was {})", text.empty() ? "" : ", ", shortKey(key), is, was);
  };
  if (then.recipe.empty())
    return text;
  for (const auto &[key, is] : now.recipe)
    if (auto was = then.recipe.find(key); was == then.recipe.end() || was->second != is)
      tell(key, is, was == then.recipe.end() ? "not there" : was->second);
  for (const auto &[key, was] : then.recipe)
    if (!now.recipe.contains(key))
      tell(key, "not there", was);
  return text;
}

/// Whether both have the same values of all these keys, and of those inside of them.
static bool sameValues(const TrainingOrigin &a, const TrainingOrigin &b, std::initializer_list<const char *> keys) {
  const auto values = [&](const TrainingOrigin &of) {
    std::map<std::string, std::string> those;
    for (const auto &[key, value] : of.recipe)
      if (std::any_of(keys.begin(), keys.end(),
                      [&](const std::string &one) { return key == one || key.starts_with(one + "."); }))
        those.emplace(key, value);
    return those;
  };
  return values(a) == values(b);
}

/// Whether both hold their frozen weights in the same form, so that hashes can be compared.
static bool sameForm(const TrainingOrigin &a, const TrainingOrigin &b) {
  return sameValues(a, b, {"dtype", "model.quantize_base", "model.quantizer"});
}

/// The newest checkpoint of OUT, to resume from.
void Run::findCheckpoint() {
  const std::string &folder = recipe.checkpointer.outputDir;
  found = findNewestCheckpoint(folder, diags);
  tellRemarks(diags);
  if (found)
    return;
  if (const std::string theirs = torchtuneCheckpoint(folder); !theirs.empty() && !canGoOn(folder))
    throw RunError(ExitCode::BadCheckpoint,
                   fmt::format("{}: {} was left by torchtune, and its runs cannot be gone on with here (their "
                               "recipe_state.pt is not read); {}",
                               folder, fs::path(theirs).filename().native(), startFrom(theirs)));
  if (hasCheckpoints(folder))
    throw RunError(
        ExitCode::BadCheckpoint,
        fmt::format("{}: none of its checkpoints is whole (see above), so there is nothing to resume from; to "
                    "start from the beginning leave resume_from_checkpoint=True out: they are kept in a "
                    "folder earlier_K",
                    folder));
  const std::string earlier = newestEarlierRun(folder);
  warn("{} has no checkpoint to resume from{}; starting from the beginning", folder,
       earlier.empty()    ? ""
       : canGoOn(earlier) ? fmt::format(" (an earlier run's are in {}: --out {} goes on from them)", earlier, earlier)
                          : fmt::format(" (an earlier run's are in {}, which says nothing of where it was)", earlier));
}

/// How to use a checkpoint that cannot be resumed from.
std::string Run::startFrom(const std::string &checkpoint) const {
  return fmt::format("start anew from its {} with checkpointer.{}={} resume_from_checkpoint=False",
                     recipe.lora ? "adapter" : "weights", recipe.lora ? "adapter_checkpoint" : "checkpoint_dir",
                     checkpoint);
}

/// Warns where an adapter lies beside the weights that are loaded, and was not trained on them as far as is known:
/// torchtune writes the weights with the adapter merged in, and the adapter, into one folder.
void Run::warnOfMerged(const std::string &adapter, const std::optional<std::string> &base) const {
  const std::string &weights = recipe.checkpointer.checkpointDir;
  std::error_code error;
  const std::string file = fs::is_directory(adapter, error) ? adapterFile(adapter) : adapter;
  if (weights.empty() || !fs::equivalent(fs::path(file).parent_path(), weights, error) ||
      (base && fs::equivalent(*base, weights, error)))
    return;
  warn("{}: this adapter lies in checkpointer.checkpoint_dir, {}, whose weights have it merged in already if torchtune "
       "wrote both; it would count twice. Name the weights that it was trained on with checkpointer.checkpoint_dir={}, "
       "or train a new one on the merged weights with checkpointer.adapter_checkpoint=null",
       adapter, weights, base && !base->empty() ? *base : "FOLDER");
}

/// torchtune looks for an adapter in the output folder.
void Run::findAdapter() {
  std::string &adapter = recipe.checkpointer.adapterCheckpoint;
  std::error_code error;
  if (adapter.empty() || fs::path(adapter).is_absolute() || fs::exists(adapter, error))
    return;
  const std::string folder = recipe.checkpointer.outputDir;
  const fs::path inside = fs::path(folder) / adapter;
  if (!fs::exists(inside, error))
    throw RunError(ExitCode::NoFile,
                   fmt::format("{}: no such file or folder, nor is it in {}; "
                               "checkpointer.adapter_checkpoint names an adapter in PEFT's format, or "
                               "torchtune's",
                               adapter, folder));
  adapter = inside.native();
}

/// An adapter belongs to the frozen weights that it was trained on. `then`: what is known of its run.
void Run::checkBase(const std::string &adapter, const TrainingOrigin &then, bool resumes) {
  const std::string &folder = recipe.checkpointer.checkpointDir;
  const std::optional<std::string> base = adapterBase(adapter);
  const std::string those = !base           ? "frozen weights that it does not name"
                            : base->empty() ? std::string("random frozen weights")
                                            : fmt::format("the frozen weights of {}", *base);
  const std::string wayOut =
      base && base->empty() ? "leave checkpointer.checkpoint_dir out (=null), with the seed of that run"
                            : fmt::format("name them with checkpointer.checkpoint_dir={}", base ? *base : "FOLDER");
  if (folder.empty() && (!base || !base->empty()))
    throw RunError(ExitCode::BadCheckpoint, fmt::format("{}: this adapter was trained on {}, and this run has random "
                                                        "ones; {}",
                                                        adapter, those, wayOut));
  if (!then.frozenWeights)
    warnOfMerged(adapter, base);
  if (!then.frozenWeights || !sameForm(then, origin) || then.frozenWeights == origin.frozenWeights)
    return;
  const std::string here = folder.empty() ? fmt::format("random ones, of seed {}", recipe.seed) : "those of " + folder;
  const std::string message =
      fmt::format("{}: this adapter was trained on {}, and these are others ({})", adapter, those, here);
  if (resumes || folder.empty())
    throw RunError(ExitCode::BadCheckpoint, fmt::format("{}; {}", message, wayOut));
  warn("{}", message);
}

void Run::tellDifferences() const {
  if (options.steps == 0u) // nothing is trained from here on
    return;
  if (const std::string text = differences(found->origin, origin); !text.empty())
    warn("{} was written with another recipe; this one's counts from here on: {}", found->directory, text);
  const std::optional<uint64_t> then = found->origin.teacherWeights;
  if (then && origin.teacherWeights && then != origin.teacherWeights &&
      sameValues(found->origin, origin, {"dtype", "teacher_model"})) // of another form it is told above
    warn("{} learned from a teacher with other weights than {}", found->directory,
         recipe.distillation->checkpointer.checkpointDir.empty()
             ? "the random ones here"
             : "those of " + recipe.distillation->checkpointer.checkpointDir);
}

/// What a model is compared to is where it came from: with another reference it would be drawn to another place, and
/// what the log says of rewards would jump. The folder may have been moved, or written over.
void Run::checkReference() const {
  const std::optional<uint64_t> then = found->origin.referenceWeights;
  if (!then || !origin.referenceWeights || then == origin.referenceWeights ||
      !sameValues(found->origin, origin, {"dtype", "model._component_", "ref_quantizer"}))
    return;
  const std::string folder = recipe.referenceCheckpointer().checkpointDir;
  const std::string &moved = found->origin.referenceFolder;
  throw RunError(ExitCode::BadCheckpoint,
                 fmt::format("{}: it was compared to a reference with other weights than {}; name the folder of those "
                             "with ref_checkpointer.checkpoint_dir={}, or {}",
                             found->directory, folder.empty() ? "the random ones here" : "those of " + folder,
                             moved.empty() ? "FOLDER" : moved, startFrom(found->directory)));
}

/// The reference may have been a checkpoint of an earlier run in the same folder, as a base may (findBase). What this
/// run left tells where it moved that to.
void Run::findReference() {
  const std::string folder = recipe.referenceCheckpointer().checkpointDir;
  std::error_code error;
  origin.referenceFolder = found->origin.referenceFolder;
  const std::string &moved = origin.referenceFolder;
  if (folder.empty() || moved.empty() || fs::exists(folder, error) || !fs::is_directory(moved, error))
    return;
  warn("{}: no such directory; the reference's weights are read from {}, which {} names", folder, moved,
       found->directory);
  if (recipe.reference->checkpointer.checkpointDir.empty())
    recipe.reference->checkpointer = recipe.checkpointer;
  recipe.reference->checkpointer.checkpointDir = moved;
}

/// What a run goes on from may have been trained on weights that were moved since, with
/// the checkpoints of an earlier run in the same folder. Its adapter knows where to.
void Run::findBase(const std::string &adapter) {
  std::string &folder = recipe.checkpointer.checkpointDir;
  const std::string base = adapterBase(adapter).value_or("");
  std::error_code error;
  if (folder.empty() || base.empty() || fs::exists(folder, error) || !fs::is_directory(base, error))
    return;
  warn("{}: no such directory; the frozen weights are read from {}, which {} names", folder, base, adapter);
  folder = base;
}

/// The place in the data of the checkpoint, and how many steps are left from there: with another batch size, or other
/// accumulation, an epoch has another number of them; of fewer data it may have ended already.
void Run::goOn() {
  const TrainingState &state = found->state;
  DataPosition at{state.epoch, state.batch};
  const bool isOtherBatch = state.batchSize > 0 && state.batchSize != recipe.batchSize;
  if (isOtherBatch)
    at = at.inBatchesOf(recipe.batchSize, state.batchSize);
  if (!data) { // nothing is trained
    say("resumed from {} after step {}", found->directory, doneSteps);
    return;
  }
  const int64_t perEpoch = stream->batchesPerEpoch(), batch = at.batch;
  const bool isBehind = batch >= perEpoch;
  if (isBehind) // BatchStream would count on into the epochs behind
    at = {at.epoch + 1, 0};
  stream->seek(at);
  last.skipped = state.skippedBatches;
  skippedSteps = state.skippedSteps;
  if (!options.steps) {
    totalSteps = doneSteps + stepsFrom(stream->position());
    scheduleSteps = totalSteps + skippedSteps;
  }
  say("resumed from {} after step {}{}", found->directory, doneSteps,
      doneSteps < totalSteps ? ""
      : options.steps == 0u  ? "; nothing is trained"
                             : fmt::format("; nothing is left to do, the last step is {}", totalSteps));
  warnOfSchedule();
  if (state.dataFingerprint != data->train.fingerprint())
    warn("the data changed since {} was written; {}", found->directory,
         isBehind
             ? fmt::format("an epoch has {} batches now, and {} of its epoch were done, so it goes on with the next",
                           perEpoch, batch)
             : "its place in them is kept");
  if (isOtherBatch)
    warn("{} was written at batch_size {}, and this step has {}: it goes on at batch {} of the {}epoch{}",
         found->directory, state.batchSize / rowsOfItem(), recipe.batchSize / rowsOfItem(), at.batch,
         isBehind ? "next " : "", options.steps ? "" : fmt::format(", and {} steps are left", totalSteps - doneSteps));
}

/// More epochs, or another --steps, stretch the schedule: the learning rate then goes on from another point of it.
void Run::warnOfSchedule() const {
  const uint64_t before = found->state.scheduleSteps;
  if (before == 0 || before == scheduleSteps || doneSteps >= totalSteps)
    return;
  const auto rateAt = [&](uint64_t steps) {
    return learningRate(recipe.scheduler, recipe.optimizer.lr, doneSteps + 1, steps);
  };
  const double now = rateAt(scheduleSteps), then = rateAt(before);
  if (now != then)
    warn("the schedule of the learning rate is of {} steps now, of {} before: lr goes on at {:.3g} instead of {:.3g}",
         scheduleSteps, before, now, then);
}

/// Parameters, states and the place in the data: from the newest checkpoint of OUT, from checkpoint_dir, or as the
/// recipe initializes them.
void Run::restore() {
  const CheckpointerConfig &from = recipe.checkpointer;
  if (found && found->state.seed != recipe.seed) {
    warn("the checkpoint's seed {} replaces {}", found->state.seed, recipe.seed);
    recipe.seed = found->state.seed;
  }
  if (!found)
    findAdapter();
  origin.recipe = trainingValues(recipe);
  if (data)
    stream.emplace(data->train, BatchStreamOptions{.batchSize = recipe.batchSize,
                                                   .shuffle = recipe.shuffle,
                                                   .seed = recipe.seed,
                                                   .dropLast = true});
  const std::string adapter = found ? adapterFile(found->directory) : "";
  if (found && !recipe.lora && !adapter.empty()) {
    std::error_code error;
    const bool isMerged = fs::exists(fs::path(found->directory) / "config.json", error);
    throw RunError(
        ExitCode::BadCheckpoint,
        fmt::format("{}: it was left by a run with adapters, and the step trains all weights: recompile with "
                    "a builder of adapters (model=…lora…){}",
                    found->directory, isMerged ? ", or " + startFrom(found->directory) : ""));
  }
  if (found && recipe.lora && adapter.empty())
    throw RunError(ExitCode::BadCheckpoint,
                   fmt::format("{}: it holds no adapter (adapter_model.safetensors) to go on with: it was left by full "
                               "fine-tuning; start from its weights with checkpointer.checkpoint_dir={} and "
                               "resume_from_checkpoint=False",
                               found->directory, found->directory));
  // Of a run with adapters a checkpoint gives only these back; the frozen weights are where they were.
  if (found && recipe.lora)
    findBase(adapter);
  if (found && recipe.reference)
    findReference();
  const bool weightsFromDir = !from.checkpointDir.empty() && (recipe.lora || !found);
  const bool weightsFromFiles = weightsFromDir || (found && !recipe.lora);
  const bool teacherFromDir = recipe.distillation && !recipe.distillation->checkpointer.checkpointDir.empty();
  // Of a model that is compared to a second one, the initial weights are read by each run, as that one's.
  const bool referenceFromDir = recipe.reference && !recipe.referenceCheckpointer().checkpointDir.empty();
  session->initialize(recipe.seed, [&](std::string_view name) {
    return name.starts_with(teacherPrefix) ? !teacherFromDir
           : isOfReference(name)           ? !referenceFromDir
                                           : !weightsFromFiles || isAdapterName(name);
  });
  if (weightsFromDir)
    loadParameters(*session, from.checkpointDir, from.checkpointFiles, recipe.model);
  if (teacherFromDir)
    loadTeacher(*session, *recipe.distillation);
  if (referenceFromDir)
    loadReference(*session, recipe);
  session->fillRowNorms();
  if (recipe.lora)
    origin.frozenWeights = hashFrozenWeights(*session);
  const char *which = recipe.lora ? "frozen weights" : "weights";
  if (weightsFromDir)
    say("{} from {}", which, from.checkpointDir);
  else if (!weightsFromFiles)
    say("{}: random, of seed {}", which, recipe.seed);
  if (teacherFromDir)
    say("teacher from {}", recipe.distillation->checkpointer.checkpointDir);
  else if (recipe.distillation)
    say("teacher: random, of seed {}", recipe.seed);
  if (recipe.distillation)
    origin.teacherWeights = hashTeacher(*session);
  if (referenceFromDir)
    say("reference from {}", recipe.referenceCheckpointer().checkpointDir);
  else if (recipe.reference)
    say("reference: random, of seed {}", recipe.seed);
  if (recipe.reference)
    origin.referenceWeights = hashReference(*session);
  if (found) {
    if (recipe.lora) {
      checkBase(adapter, found->origin, /*resumes=*/true);
      loadAdapters(*session, found->directory, *recipe.lora, recipe.model);
    } else {
      checkReference();
      loadParameters(*session, found->directory, {}, recipe.model);
    }
    const std::string differ = differences(found->origin, origin);
    loadStates(*session, found->directory, differ.empty() ? "" : fmt::format(" ({})", differ),
               "recompile with the optimizer that made the checkpoint, or " + startFrom(found->directory));
    tellDifferences();
    doneSteps = savedStep = found->state.step;
    goOn();
  } else if (!from.adapterCheckpoint.empty()) {
    // Of one that we wrote, the state beside it tells what it belongs to.
    TrainingOrigin then;
    std::vector<Diagnostic> ignored;
    std::error_code error;
    fs::path folder = fs::absolute(from.adapterCheckpoint, error).lexically_normal();
    for (int levels = 0; levels < 3 && !then.frozenWeights; ++levels, folder = folder.parent_path())
      readTrainingState(folder, ignored, &then);
    checkBase(from.adapterCheckpoint, then, /*resumes=*/false);
    loadAdapters(*session, from.adapterCheckpoint, *recipe.lora, recipe.model);
    say("adapter from {}", from.adapterCheckpoint);
  }
  writer = makeWriter(*session, recipe, *tokenizer, origin, recipe.checkpointer.outputDir,
                      found && !recipe.lora ? found->directory : "");
  if (std::string problem = checkRoom(recipe.checkpointer.outputDir, writer->tensorBytes(), checkpointsAhead());
      !problem.empty())
    warn("{}", problem);
}

/// Right before the first step: from here on this run writes.
void Run::beginOutput() {
  CheckpointerConfig &c = recipe.checkpointer;
  beginEvents(); // first: where they go may be no folder
  EarlierRun earlier;
  if (!found)
    earlier = moveEarlierRun(recipe.outputDir, c.outputDir);
  if (!earlier.checkpoints.empty()) {
    warn("an earlier run's checkpoints were moved to {}{}", earlier.checkpoints,
         canGoOn(earlier.checkpoints)
             ? fmt::format(" (--out {} resume_from_checkpoint=True goes on from them)", earlier.checkpoints)
             : "");
    // This run may have started from the weights of that one, or be compared to them.
    if (recipe.reference) {
      const std::string before = recipe.referenceCheckpointer().checkpointDir, now = earlier.now(before);
      std::error_code error;
      if (now != before)
        origin.referenceFolder = fs::absolute(now, error).lexically_normal().native();
    }
    c.checkpointDir = earlier.now(c.checkpointDir);
    c.adapterCheckpoint = earlier.now(c.adapterCheckpoint);
    writer = makeWriter(*session, recipe, *tokenizer, origin, c.outputDir);
  }
  openMetrics();
}

MetricsLog &Run::openMetrics() {
  metrics = std::make_unique<MetricsLog>((fs::path(recipe.outputDir) / "metrics.jsonl").string(), doneSteps);
  return *metrics;
}

/// A file of its own for each run, also for one that goes on, as PyTorch's writer does.
void Run::beginEvents() {
  if (!recipe.tensorBoard)
    return;
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  fs::path folder = recipe.tensorBoard->logDir;
  if (recipe.tensorBoard->organizeLogs)
    folder /= fmt::format("run_0_{:.6f}", now);
  events = std::make_unique<EventFile>(newEventFile(folder.string()), now);
}

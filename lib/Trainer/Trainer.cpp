//===- Trainer.cpp - What ftrun does ---------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Trainer/Run.h"

#include "ftc/Config/Keys.h"
#include "ftc/Data/RecipeData.h"
#include "ftc/Runtime/CPU/FmaPeak.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Processors.h"
#include "ftc/Support/Units.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

using namespace ftc;
using manifest::EntryKind;

volatile int ftc::stopSignal = 0;

static void onStopSignal(int number) {
  stopSignal = number;
  // The next one ends the run at once, whichever of the two it is.
  if (number != SIGHUP) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
  }
}

/// SIGINT, SIGTERM and SIGHUP end the run after the current step. A second SIGINT or SIGTERM ends it at once; of SIGHUP
/// a shell and the kernel may send one each when a connection is closed. Who starts a program with SIGHUP ignored
/// (nohup) wants it to go on.
static void installSignals() {
  struct sigaction action = {}, before = {};
  action.sa_handler = onStopSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT); // the second waits for the handler of the first
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, nullptr);
}

/// Whoever reads our output may go away, and a file may grow no further: writing then fails with EPIPE, which the
/// output is not worth stopping for, or with EFBIG, which is told like a full disk.
static void ignoreWriteSignals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

/// What is written must not mix with what is read: a checkpoint is not to be written into the folder of weights.
static void refuseInside(std::string_view what, const std::string &folder, std::string_view node,
                         const std::string &weights) {
  namespace fs = std::filesystem;
  if (folder.empty() || weights.empty())
    return;
  auto real = [](const std::string &path) {
    std::error_code error;
    fs::path whole = fs::weakly_canonical(fs::absolute(path, error), error).lexically_normal();
    return whole.has_filename() || !whole.has_parent_path() ? whole : whole.parent_path();
  };
  const fs::path inner = real(folder), outer = real(weights);
  if (std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end())
    throw RunError(ExitCode::Usage, fmt::format("{} '{}' lies inside {}.checkpoint_dir, '{}'; write somewhere else",
                                                what, folder, node, weights));
}

void Run::readRecipe(const LoadedStep &step) {
  if (step.manifest().entries()->size() > 0 && step.manifest().entries()->Get(0)->launch())
    throw RunError(ExitCode::Unsupported,
                   fmt::format("{}: each of its entries is one launch (ftc compile --by-launch), so it cannot train; "
                               "compare it with --against, or recompile it without",
                               step.path()));
  if (!step.manifest().recipe())
    throw RunError(ExitCode::BadStep, fmt::format("{}: its manifest has no recipe; recompile it", step.path()));
  std::optional<Recipe> parsed = overrideRun(step.manifest().recipe()->str(), options.overrides, diags);
  if (parsed && options.column)
    parsed = withColumn(step, std::move(*parsed));
  if (parsed)
    diags.insert(diags.end(), parsed->remarks.begin(), parsed->remarks.end());
  if (step.needsDevice()) // which is what the key asks for
    std::erase_if(diags, isAboutDevice);
  tellRemarks(diags);
  if (!parsed)
    throwErrors(ExitCode::Usage, diags);
  recipe = std::move(*parsed);
  if (options.seed)
    recipe.seed = *options.seed;
  if (!options.out.empty()) {
    // Events that go into the output folder go with it.
    if (recipe.tensorBoard)
      if (const auto inside = pathInside(recipe.tensorBoard->logDir, recipe.outputDir))
        recipe.tensorBoard->logDir = (std::filesystem::path(options.out) / *inside).native();
    recipe.outputDir = recipe.checkpointer.outputDir = options.out;
  }
  const std::string teacher = recipe.distillation ? recipe.distillation->checkpointer.checkpointDir : "";
  const std::string reference = recipe.reference ? recipe.reference->checkpointer.checkpointDir : "";
  for (const auto &[node, weights] :
       {std::pair("checkpointer", recipe.checkpointer.checkpointDir), std::pair("teacher_checkpointer", teacher),
        std::pair("ref_checkpointer", reference)}) {
    refuseInside(options.out.empty() ? "output_dir" : "--out", recipe.outputDir, node, weights);
    refuseInside("checkpointer.output_dir", recipe.checkpointer.outputDir, node, weights);
  }
  tellPadding(step);
  std::vector<Diagnostic> found;
  tokenizer = makeTokenizer(tokenizerOf(recipe), found);
  if (!tokenizer)
    throwErrors(ExitCode::Unsupported, found);
  tellRemarks(found);
}

/// A step for packed rows has one length of them.
void Run::tellPadding(const LoadedStep &step) {
  std::vector<Diagnostic> ignored;
  const std::optional<Recipe> compiled = overrideRun(step.manifest().recipe()->str(), {}, ignored);
  if (!recipe.dataset.packed && compiled && compiled->dataset.packed && recipe.sequenceLengths.size() == 1)
    diags.push_back(
        {Severity::Remark, step.path(), 0, 0,
         fmt::format("dataset.packed is False, and the step was compiled with dataset.packed=True, for rows "
                     "of {} tokens alone: each sample is padded to that; recompile with "
                     "dataset.packed=False for rows of several lengths (sequence_lengths)",
                     recipe.seqLen)});
  tellRemarks(diags);
}

std::string Run::rowsText(int64_t rows) const {
  return fmt::format("{} {}", rows / rowsOfItem(), recipe.preference ? "pairs of rows" : "rows");
}

/// Two places may need it, and neither may need it: data that fit into memory are in no file.
void Run::makeFarFolder() const {
  std::error_code error;
  if (!options.farDir.empty())
    std::filesystem::create_directories(options.farDir, error);
  if (error)
    throw RunError(ExitCode::WriteFailed, fmt::format("{}: cannot make this folder: {}; choose another --far-dir",
                                                      options.farDir, error.message()));
}

void Run::countSteps() {
  const int64_t perEpoch = stream->batchesPerEpoch();
  if (perEpoch == 0)
    throw RunError(ExitCode::EmptyData,
                   fmt::format("{}: the data make {} of {} tokens{}, and one batch needs {}; {}add text, or "
                               "recompile with a smaller batch_size or tokenizer.max_seq_len",
                               dataNames, rowsText(data->train.rows()), data->train.seqLen(),
                               options.heldOut > 0
                                   ? fmt::format(" without the {} held out", data->heldOut.rows() / rowsOfItem())
                                   : "",
                               recipe.batchSize / rowsOfItem(),
                               options.heldOut > 0 ? fmt::format("lower --held-out {}, ", options.heldOut) : ""));
  const int64_t accumulated = recipe.gradientAccumulationSteps, batches = batchesInEpoch();
  if (batches % accumulated)
    say("an epoch has {} batches: its last step takes {} of them instead of {}", batches, batches % accumulated,
        accumulated);
  totalSteps = scheduleSteps = options.steps.value_or(stepsFrom({}));
  const int64_t rows = data->train.rows(), left = rows - perEpoch * recipe.batchSize;
  if (left > 0 && batches == perEpoch && totalSteps >= stepsInEpoch())
    say("{} of {} fill no batch of {} and are left out of each epoch{}", left / rowsOfItem(), rowsText(rows),
        recipe.batchSize / rowsOfItem(),
        recipe.shuffle ? ", others each time"
                       : ": the last ones always, since 'shuffle' is False; shuffle=True takes others each time");
}

void Run::takeMemory(std::unique_ptr<LoadedStep> step) {
  SessionOptions wanted{.threads = options.threads, .fillPattern = options.provePlan, .farFolder = options.farDir};
  if (step->needsDevice())
    readKeptAlgorithms();
  else if (options.tune)
    throw RunError(ExitCode::Usage, fmt::format("{}: --tune is for steps for a GPU, and this one is for the CPU; leave "
                                                "it out",
                                                step->path()));
  wanted.device = {.tune = options.tune, .algorithms = kept ? &*kept : nullptr};
  if (step->plannedFarBytes() > 0 && !step->needsDevice() && wanted.farFolder.empty()) {
    // Beside the checkpoints: they need a disk that is large enough anyway.
    wanted.farFolder = recipe.outputDir;
  }
  session = std::make_unique<Session>(std::move(step), wanted);
  last.plannedBytes = session->step().plannedBytes();
  last.takenBytes = session->bytesTaken();
  last.farBytes = session->farBytesTaken();
  if (Device *device = session->device()) {
    freeWhenOpened = device->freeBytes();
    tellDevice(*device);
    tellAlgorithms(*device);
    const MatrixRate rate = options.provePlan ? MatrixRate() : device->measureMatrixRate(0.2);
    peakFlops = rate.flops;
    if (peakFlops > 0)
      say("products reach {:.1f} TFLOP/s ({})", peakFlops * 1e-12, rate.what);
    const CopyRate copies = options.provePlan ? CopyRate() : device->measureCopyRate(0.1);
    if (copies.bytesPerSecond > 0)
      say("copies reach {:.1f} GB/s, read and written ({} at once)", copies.bytesPerSecond * 1e-9,
          formatBytes(copies.bytes));
    return;
  }
  peakFlops = measureFmaPeak(session->pool());
  say("planned {} ({} bytes), taken {} bytes; {} threads reach {:.1f} GFLOP/s", formatBytes(last.plannedBytes),
      last.plannedBytes, last.takenBytes, session->pool().threads(), peakFlops * 1e-9);
  // Nothing else would say why some of them idle.
  if (const unsigned processors = availableProcessors(), most = session->manifest().threads();
      options.threads == 0 && processors > most)
    say("{} processors, and the step was compiled for {} thread{}: recompile with --threads {} to use them all",
        processors, most, most == 1 ? "" : "s", processors);
  if (last.farBytes > 0)
    say("planned {} ({} bytes) of the far tier, in a file without a name in {}", formatBytes(last.farBytes),
        last.farBytes, wanted.farFolder);
}

/// What the step takes on a device: the plan's slabs, and beside it what the driver and NVIDIA's libraries take.
void Run::tellDevice(const Device &device) {
  say("{}", device.describe());
  for (const std::string &line : device.attentions())
    say("  {}", line);
  say("planned {} ({} bytes), taken {} bytes of the device", formatBytes(last.plannedBytes), last.plannedBytes,
      last.takenBytes);
  for (const DeviceBytes &item : device.measured())
    say("  {:<12} {:>16} bytes of its free memory", item.what, item.bytes);
  say("pinned {} ({} bytes) of the host for batches and copies", formatBytes(device.pinnedBytes()),
      device.pinnedBytes());
  if (last.farBytes > 0)
    say("planned {} ({} bytes) of the far tier, in pinned memory", formatBytes(last.farBytes), last.farBytes);
}

/// How much of a device's free memory is gone since its context was there, and since the first step.
void Run::tellMemoryAfter(const Device &device) {
  const uint64_t now = device.freeBytes();
  const auto fallen = [&](uint64_t from) { return from > now ? from - now : 0; };
  uint64_t opening = freeWhenOpened;
  for (const DeviceBytes &item : device.measured())
    opening += item.bytes;
  say("after the last step {} bytes of the device's free memory are gone, {} of them since the first", fallen(opening),
      fallen(freeAfterFirst.value_or(now)));
}

/// A run that goes on takes the algorithms of its checkpoint, for the same bits; any other those beside the step.
void Run::readKeptAlgorithms() {
  if (options.tune)
    return;
  keptIn = found ? (std::filesystem::path(found->directory) / algorithmsName).string() : algorithmsBeside(options.step);
  std::string problem;
  kept = readAlgorithms(keptIn, problem);
  if (!problem.empty())
    warn("{}; algorithms are chosen anew", problem);
}

void Run::tellAlgorithms(const Device &device) {
  const ProductAlgorithms &used = device.algorithms();
  if (options.tune && !used.products.empty()) {
    double best = 0, first = 0;
    for (const ProductAlgorithms::Product &product : used.products)
      best += product.seconds, first += product.firstSeconds;
    say("tuned {} products: one of each takes {}, by the library's first choice {}", used.products.size(),
        formatSeconds(best), formatSeconds(first));
    const std::string path = algorithmsBeside(options.step);
    if (std::string error; !writeFileAtomically(path, algorithmsText(used), error))
      warn("{}: later runs do not know the choice, except from this run's checkpoints", error);
    else
      say("wrote {}", path);
  }
  if (!kept)
    return;
  if (sameAlgorithms(*kept, used)) {
    say("algorithms of products from {}", keptIn);
    return;
  }
  const auto libraries = [](const ProductAlgorithms &of) {
    const std::string both = of.library.empty() ? "no library" : of.library;
    return of.attentionLibrary.empty() ? both : both + " and " + of.attentionLibrary;
  };
  const bool sameStep =
      kept->library == used.library && kept->attentionLibrary == used.attentionLibrary && kept->device == used.device;
  warn("{} is of {}; algorithms of products are chosen anew{}", keptIn,
       sameStep ? "another step"
                : fmt::format("{} on {}, and here is {} on {}", libraries(*kept), kept->device, libraries(used),
                              used.device),
       found ? ", so the run will not have the bits of one that was never stopped" : " (--tune times them)");
}

void Run::printSample() {
  const int entry = session->step().findEntry(EntryKind::Logits);
  if (entry < 0) {
    warn("{}: the step has no entry 'logits', so there is no sample", session->step().path());
    return;
  }
  if (std::string why = tokenizer->whyNoText(); !why.empty()) {
    warn("there is no sample: the tokenizer '{}' {}", tokenizer->name(), why);
    return;
  }
  if (tokenizer->vocabSize() > recipe.model.vocabSize) {
    warn("the tokenizer '{}' has {} ids and the model {}, so there is no sample", tokenizer->name(),
         tokenizer->vocabSize(), recipe.model.vocabSize);
    return;
  }
  EntryFeed feed(*session, entry, {"logits"});
  const auto *logits = session->findOutput(entry, "logits");
  if (logits->bytes() != 4 * static_cast<uint64_t>(recipe.model.vocabSize))
    throw RunError(ExitCode::BadStep,
                   fmt::format("{}: output 'logits' has shape {}, not one number an id; recompile it",
                               session->step().path(), shapeString(*logits)));
  std::vector<int32_t> start;
  if (!options.ask.empty()) {
    if (std::string why = encodeQuestion(options.ask, wording, *tokenizer, start); !why.empty()) {
      warn("there is no sample: {}", why);
      return;
    }
  } else {
    if (tokenizer->bosId() >= 0)
      start.push_back(tokenizer->bosId());
    tokenizer->encode(options.prompt, start);
  }
  std::string text = generate(
      feed, *tokenizer,
      {.start = start, .tokens = options.sample, .temperature = options.temperature, .seed = recipe.seed}, stopSignal);
  say("sample ({} tokens at most, temperature {}):\n{}{}{}", options.sample, options.temperature,
      options.ask.empty() ? options.prompt : options.ask, options.ask.empty() ? "" : "\n", text);
}

void Run::printPlanProof() {
  const auto &slabs = *session->manifest().slabs();
  for (flatbuffers::uoffset_t index = 0; index < slabs.size(); ++index) {
    say("slab '{}': planned {} bytes, highest byte written {}", slabs.Get(index)->name()->str(),
        slabs.Get(index)->bytes(), session->highestWritten(index));
  }
}

ExitCode Run::go() {
  ignoreWriteSignals();
  auto step = std::make_unique<LoadedStep>(options.step);
  step->requireCpuFeatures();
  chooseThreads(step->manifest(), options.threads);
  const int entry = step->findEntry(EntryKind::Step);
  if (entry < 0)
    throw RunError(ExitCode::Unsupported, fmt::format("{}: it has no entry 'step'", options.step));
  readRecipe(*step);
  makeFarFolder();
  const manifest::Entry &info = *step->manifest().entries()->Get(static_cast<flatbuffers::uoffset_t>(entry));
  recipe.batchSize = info.batch();
  readData(info);
  if (data) {
    stream.emplace(data->train, BatchStreamOptions{.batchSize = recipe.batchSize, .dropLast = true});
    countSteps();
    say("{}: {} rows of {} tokens, {} labels; {} steps of {}", dataNames, data->train.rows(), data->train.seqLen(),
        data->train.validLabels(), totalSteps, rowsText(recipe.batchSize * recipe.gradientAccumulationSteps));
  }

  installSignals();
  outputFolder.emplace(recipe.outputDir);
  if (std::error_code error; !std::filesystem::equivalent(recipe.outputDir, recipe.checkpointer.outputDir, error))
    checkpointFolder.emplace(recipe.checkpointer.outputDir);
  if (recipe.resumeFromCheckpoint)
    findCheckpoint(); // first: a device takes its algorithms
  takeMemory(std::move(step));
  restore();
  std::optional<HeldOutLoss> before = judgeHeldOut();
  if (before)
    say("held-out loss {:.4f}", before->loss);
  train();
  if (const Device *device = session->device())
    tellMemoryAfter(*device);
  std::optional<HeldOutLoss> after = judgeHeldOut();
  if (before && after)
    say("held-out loss {:.4f} -> {:.4f}", before->loss, after->loss);
  if (before && after && before->pairs && after->pairs)
    say("held-out accuracy {:.3f} -> {:.3f}, margin {:.4f} -> {:.4f}", before->pairs->accuracy, after->pairs->accuracy,
        before->pairs->margin, after->pairs->margin);
  if (options.sample > 0 && !stopSignal)
    printSample();
  if (options.provePlan)
    printPlanProof();
  const std::filesystem::path out(recipe.outputDir);
  if (metrics)
    say("wrote {}", (out / "metrics.jsonl").string());
  const std::string saved = std::filesystem::path(recipe.checkpointer.outputDir) / fmt::format("step_{}", savedStep);
  if (savedStep && !(found && savedStep == found->state.step))
    say("wrote {}", saved);
  if (stopSignal == 0)
    return ExitCode::Ok;
  say("stopped by signal {} after step {} of {}; {}", int(stopSignal), doneSteps, totalSteps,
      savedStep ? fmt::format("resume_from_checkpoint=True goes on from {}", saved) : "nothing was saved");
  return stopSignal == SIGINT ? ExitCode::Interrupted : stopSignal == SIGHUP ? ExitCode::HungUp : ExitCode::Terminated;
}

ExitCode ftc::runTraining(const RunOptions &options) { return Run(options).go(); }

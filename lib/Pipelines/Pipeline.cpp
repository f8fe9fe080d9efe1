//===- Pipeline.cpp - From a recipe to a step --------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Pipelines/Pipeline.h"

#include "dialects/Plan/Transforms/Passes.h"
#include "dialects/Train/Transforms/RematBudget.h"
#include "ftc/Analysis/Link.h"
#include "ftc/Config/Device.h"
#include "ftc/Import/Import.h"
#include "ftc/Pipelines/Register.h"
#include "ftc/Planning/Allowance.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Units.h"
#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Pipelines/Advice.h"
#include "lib/Pipelines/Manifest.h"
#include "lib/Pipelines/MemoryMap.h"
#include "lib/Pipelines/Messages.h"
#include "lib/Pipelines/Report.h"
#include "lib/Pipelines/Stages.h"

#include "mlir/IR/Verifier.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/PrettyStackTrace.h"

#include <chrono>
#include <cmath>
#include <filesystem>

using namespace mlir;
using namespace ftc;

std::optional<Stage> ftc::stageFromName(const std::string &name) {
  static const std::pair<const char *, Stage> names[] = {
      {"train", Stage::Train}, {"train-opt", Stage::TrainOpt}, {"plan", Stage::Plan},  {"manifest", Stage::Manifest},
      {"ptx", Stage::Ptx},     {"llvm", Stage::LLVM},          {"obj", Stage::Object}, {"step", Stage::Step}};
  for (const auto &[known, stage] : names)
    if (name == known)
      return stage;
  return std::nullopt;
}

namespace {
/// Lines of the summary for each pass.
constexpr size_t decisionsShown = 5;
/// Whether the module is checked behind each pass, as it always is for files of --dump-ir. It takes as long as the
/// passes.
#if defined(__has_feature)
constexpr bool verifiesEach = __has_feature(address_sanitizer);
#else
constexpr bool verifiesEach = false;
#endif
/// One of so many bytes of a GPU is left to its context and to what libraries load, where its memory is the budget.
constexpr int64_t contextShare = 32;

/// One run of the pipeline.
class Compiler {
public:
  Compiler(const Recipe &recipe, const CompileOptions &options, std::vector<ftc::Diagnostic> &diagnostics)
      : recipe(recipe), options(options), diagnostics(diagnostics),
        context(makeRegistry(), MLIRContext::Threading::DISABLED) {}

  std::optional<CompileResult> run();

private:
  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerDialects(registry);
    return registry;
  }

  bool setUp();
  /// Up to what is computed again and what is held: what a search for room does not change.
  bool runFirstTrainStages();
  bool runLastTrainStages();
  bool runPlanStages();
  bool runTargetStages();
  bool finish();

  /// From the recipe to a plan and its table.
  bool makePlan(MemoryTable &memory);
  /// From the first stages' module to the plan that keeps as much as memory_budget lets it.
  bool planWithinBudget(MemoryTable &memory);

  bool fits(const MemoryTable &memory) const;
  /// Whether a second backward pass can take the place of held gradients.
  bool mayRunTwice() const;
  bool failToFit(const MemoryTable &memory);
  /// Says so where the plan takes more than the device has. An error only for memory_budget: boards differ.
  void warnOfDevice(const MemoryTable &memory);
  /// Says which lengths of rows share the memory.
  void tellLengths();
  /// Says what a step computes, and on a GPU how long that takes at best.
  void tellWork();

  /// Runs `work`, notes its time, and writes the stage's file.
  bool stage(const char *name, llvm::function_ref<LogicalResult()> work, bool dump = true);
  bool pass(const char *name, llvm::function_ref<void(OpPassManager &)> add);
  bool runAll(ArrayRef<PassStage> stages) {
    return llvm::all_of(stages, [this](const PassStage &stage) { return pass(stage.name, stage.add); });
  }
  /// Checks the module where one level of it is done: behind the passes over `train`, over `plan`, and of the target.
  bool verified(const char *name);
  bool fail(std::string message);
  std::string print();
  bool stopsAt(Stage last) const { return options.stopAfter == last; }

  const Recipe &recipe;
  const CompileOptions &options;
  std::vector<ftc::Diagnostic> &diagnostics;
  MLIRContext context;
  std::optional<DeviceFile> device;       ///< for "cuda"
  std::unique_ptr<TargetBackend> backend; ///< of the plan
  std::unique_ptr<TargetBackend> host;    ///< where launches are compared: of the kernels that a GPU's stand beside
  OwningOpRef<ModuleOp> module;
  std::vector<RemarkRecord> remarks;
  CompileResult result;
  unsigned dumped = 0;
  std::optional<uint64_t> budget; ///< memory_budget; with mode auto and without one what a GPU has for a step
  bool twoPasses = false;         ///< clipping makes gradients twice
  bool searching = false;         ///< stages run for their table only: no files, no times
};
} // namespace

/// What passes assume of a GPU's speed: half of what it reaches at best, as of a CPU's (Analysis/Link.h).
static LinkModel linkOf(const DeviceFile &device) {
  LinkModel model;
  model.flopsPerSecond = device.matrixFlopsPerSecond / 2;
  model.nearBytesPerSecond = device.memoryBytesPerSecond / 2;
  model.linkBytesPerSecond = device.linkBytesPerSecond / 2;
  model.hasCopyEngine = true;
  return model;
}

bool Compiler::fail(std::string message) {
  diagnostics.push_back({Severity::Error, "", 0, 0, std::move(message)});
  return false;
}

bool Compiler::setUp() {
  bool cuda = options.target == "cuda";
  if (options.target != "cpu" && !cuda)
    return fail("unknown target '" + options.target + "'; this ftc compiles for 'cpu' and 'cuda'");
  if (cuda && options.device.empty())
    return fail("--target cuda needs --device, the GPU to plan and compile for: " + llvm::join(knownDevices(), ", ") +
                ", or a device file (such as configs/devices/h100.yaml)");
  if (!cuda && !options.device.empty())
    return fail("--device is for --target cuda; --target cpu takes --mcpu");
  if (!cuda && options.byLaunch != ByLaunch::No)
    return fail("--by-launch is for --target cuda: it makes one plan whose launches a GPU and the CPU compute");
  if (options.byLaunch == ByLaunch::Host && stopsAt(Stage::Ptx))
    return fail("--emit=ptx shows the kernels of a GPU, and --by-launch host runs the CPU's; use --by-launch device");
  if (!cuda && stopsAt(Stage::Ptx))
    return fail("--emit=ptx shows the kernels of a step for a GPU; name one with --target cuda --device");
  if (cuda && !(device = readDevice(options.device, diagnostics)))
    return false;
  budget = recipe.memoryBudget;
  if (recipe.checkpointing.mode == CheckpointingConfig::Mode::Auto && !budget) {
    if (!device) {
      diagnostics.push_back(recipe.lacksBudget.value_or(ftc::Diagnostic{
          Severity::Error, "", 0, 0, "activation_checkpointing.mode, auto, needs a memory_budget, and there is none"}));
      return false;
    }
    budget = static_cast<uint64_t>(device->memoryBytes - device->memoryBytes / contextShare);
  }
  std::string error;
  backend = createBackend(options.device, options.cpu, options.threads, error);
  // A GPU's launches are compared with the CPU that the step would have beside it.
  if (backend && options.byLaunch != ByLaunch::No)
    host = createCpuBackend(backend->describe().cpu, options.threads, error);
  if (!backend || (options.byLaunch != ByLaunch::No && !host))
    return fail(std::move(error));
  TargetDescription description = backend->describe();
  result.cpu = options.byLaunch == ByLaunch::Host ? description.cpu + ", beside " + description.device
               : cuda                             ? description.device + " (" + description.architecture + ")"
                                                  : description.cpu;
  if (!options.dumpFolder.empty()) {
    std::error_code code;
    std::filesystem::create_directories(options.dumpFolder, code);
    if (code)
      return fail("cannot make the folder '" + options.dumpFolder + "': " + code.message());
  }
  // What MLIR has to say becomes one of ours, so that nothing is printed from in here.
  context.getDiagEngine().registerHandler([this](mlir::Diagnostic &message) {
    if (message.getSeverity() != DiagnosticSeverity::Error && message.getSeverity() != DiagnosticSeverity::Warning)
      return success();
    diagnostics.push_back(fromMlir(message));
    return success();
  });
  remark::RemarkCategories everything;
  // MLIR joins `all` to the kinds that are asked for, and asks for none by itself.
  everything.passed = everything.missed = everything.analysis = everything.failed = ".*";
  if (failed(remark::enableOptimizationRemarks(context, std::make_unique<RemarkCollector>(remarks),
                                               std::make_unique<remark::RemarkEmittingPolicyAll>(), everything)))
    return fail("cannot collect remarks");
  return true;
}

std::string Compiler::print() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  OpPrintingFlags flags;
  flags.elideLargeElementsAttrs(64);
  if (options.printLocations)
    flags.enableDebugInfo();
  module->print(stream, flags);
  stream << "\n";
  return text;
}

bool Compiler::stage(const char *name, llvm::function_ref<LogicalResult()> work, bool dump) {
  auto start = std::chrono::steady_clock::now();
  size_t before = diagnostics.size();
  llvm::PrettyStackTraceFormat where("stage %s", name); // read in a crash
  LogicalResult done = work();
  if (!searching)
    result.seconds.emplace_back(name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (failed(done))
    return diagnostics.size() > before ? false : fail(std::string(name) + " failed");
  if (options.dumpFolder.empty() || !dump || searching)
    return true;
  char number[16];
  std::snprintf(number, sizeof(number), "%02u-", dumped++);
  std::string error;
  if (!writeFileAtomically(
          (std::filesystem::path(options.dumpFolder) / (std::string(number) + name + ".mlir")).string(), print(),
          error))
    return fail(std::move(error));
  return true;
}

bool Compiler::pass(const char *name, llvm::function_ref<void(OpPassManager &)> add) {
  return stage(name, [&] {
    PassManager passes(&context);
    passes.enableVerifier(verifiesEach || !options.dumpFolder.empty());
    if (!options.crashReproducer.empty())
      passes.enableCrashReproducerGeneration(options.crashReproducer);
    add(passes);
    return passes.run(*module);
  });
}

bool Compiler::verified(const char *name) {
  return stage(name, [&] { return verify(*module); }, /*dump=*/false);
}

bool Compiler::runFirstTrainStages() {
  if (!stage("train", [&] {
        module = importRecipe(context, recipe, {.shorterRows = !options.longestOnly});
        if (module && device)
          linkOf(*device).attachTo(*module);
        if (module && twoPasses)
          (*module)->setAttr(train::TrainDialect::updatesAttrName,
                             train::UpdatesAttr::get(&context, train::UpdatePlacement::TwoPasses));
        return success(module && succeeded(verify(*module)));
      }))
    return false;
  if (stopsAt(Stage::Train)) {
    result.output = print();
    return true;
  }
  return runAll(firstTrainStages(backend->pairsProducts()));
}

bool Compiler::runLastTrainStages() { return runAll(lastTrainStages()) && verified("verify train"); }

bool Compiler::runPlanStages() {
  return runAll(planStages(*backend, host.get())) && verified("verify plan") &&
         pass("plan-verify", [](auto &passes) { passes.addPass(plan::createPlanVerifyPass()); });
}

bool Compiler::runTargetStages() {
  if (stopsAt(Stage::Ptx))
    return stage("ptx", [&] {
      FailureOr<std::string> text = backend->emitDeviceText(*module);
      if (succeeded(text))
        result.output = std::move(*text);
      return LogicalResult(text);
    });
  if (!pass("llvm-dialect", [&](auto &passes) { backend->addLoweringPasses(passes); }) || !verified("verify llvm"))
    return false;
  if (stopsAt(Stage::LLVM))
    return stage(
        "llvm",
        [&] {
          FailureOr<std::string> text = backend->emitLLVM(*module);
          if (succeeded(text))
            result.output = std::move(*text);
          return LogicalResult(text);
        },
        /*dump=*/false);
  std::string object;
  if (!stage(
          "object",
          [&] {
            FailureOr<std::string> bytes = backend->emitObject(*module);
            if (succeeded(bytes))
              object = std::move(*bytes);
            return LogicalResult(bytes);
          },
          /*dump=*/false))
    return false;
  if (stopsAt(Stage::Object)) {
    result.output = std::move(object);
    return true;
  }
  return stage(
      "link",
      [&] {
        FailureOr<std::string> bytes = backend->link(module->getLoc(), object);
        if (succeeded(bytes))
          result.output = std::move(*bytes);
        return LogicalResult(bytes);
      },
      /*dump=*/false);
}

bool Compiler::fits(const MemoryTable &memory) const {
  return !budget || static_cast<uint64_t>(memory.total) <= *budget;
}

bool Compiler::mayRunTwice() const {
  return recipe.clipGradNorm && !std::isinf(*recipe.clipGradNorm) && recipe.updates != UpdatePlacement::End &&
         recipe.gradientAccumulationSteps == 1;
}

bool Compiler::failToFit(const MemoryTable &memory) {
  auto bytes = [](int64_t count) { return formatBytes(static_cast<uint64_t>(count)); };
  int64_t budget = static_cast<int64_t>(*recipe.memoryBudget);
  std::string text = "the step takes " + bytes(memory.total) + ", " + bytes(memory.total - budget) +
                     " more than memory_budget, " + bytes(budget) + ". Most of it:";
  std::vector<MemoryRow> rows = memory.rows;
  llvm::stable_sort(rows, [](const MemoryRow &a, const MemoryRow &b) { return a.bytes > b.bytes; });
  for (const MemoryRow &row : ArrayRef<MemoryRow>(rows).take_front(3))
    text += " " + row.what + " " + bytes(row.bytes) + ",";
  text.back() = ';';
  text += " " + adviceToFit(recipe, options, budget, memory);
  ftc::Diagnostic error = recipe.overBudget.value_or(ftc::Diagnostic{Severity::Error, "", 0, 0, ""});
  error.message = std::move(text);
  diagnostics.push_back(std::move(error));
  return false;
}

void Compiler::warnOfDevice(const MemoryTable &memory) {
  TargetDescription target = backend->describe();
  if (target.memoryBytes == 0 || memory.total <= target.memoryBytes)
    return;
  auto bytes = [](int64_t count) { return formatBytes(static_cast<uint64_t>(count)); };
  std::string text = "the step takes " + bytes(memory.total) + ", and device '" + target.device + "' has " +
                     bytes(target.memoryBytes) + ": it will not fit";
  if (options.advise)
    text += "; " + adviceToFit(recipe, options, target.memoryBytes, memory);
  diagnostics.push_back({Severity::Warning, "", 0, 0, std::move(text)});
}

void Compiler::tellLengths() {
  if (recipe.sequenceLengths.size() < 2)
    return;
  std::string lengths;
  llvm::raw_string_ostream out(lengths);
  llvm::interleaveComma(ArrayRef<int64_t>(recipe.sequenceLengths).drop_back(), out);
  result.memoryReport += "rows of " + lengths + " tokens have entries of their own, in the same memory\n";
  // Buffers of shorter rows may fit together worse; a plan for the longest alone would have said less.
  int64_t longest = 0, most = 0, lengthOfMost = 0;
  for (auto entry : module->getOps<plan::EntryOp>()) {
    auto taken = entry->getAttrOfType<IntegerAttr>("plan.transient_bytes");
    const auto length = static_cast<int64_t>(entry.getSequence());
    if (!taken || entry.getKind() == plan::EntryKind::Logits)
      continue;
    if (length >= recipe.seqLen)
      longest = std::max(longest, taken.getInt());
    else if (taken.getInt() > most)
      std::tie(most, lengthOfMost) = std::pair(taken.getInt(), length);
  }
  if (most > longest)
    diagnostics.push_back({Severity::Warning, "", 0, 0,
                           "rows of " + std::to_string(lengthOfMost) + " tokens take " +
                               formatBytes(static_cast<uint64_t>(most - longest)) + " more memory than those of " +
                               std::to_string(recipe.seqLen) + ": 'ftc plan' tells less than this step takes; leave " +
                               "that length out of sequence_lengths"});
}

void Compiler::tellWork() {
  DeviceRates rates;
  if (device)
    rates = {device->matrixFlopsPerSecond, device->memoryBytesPerSecond, device->linkBytesPerSecond};
  PlanWork work;
  int64_t tokens = 0;
  for (auto entry : module->getOps<plan::EntryOp>()) {
    int64_t times = entry.getKind() == plan::EntryKind::Step    ? 1
                    : entry.getKind() == plan::EntryKind::Micro ? recipe.gradientAccumulationSteps - 1
                                                                : 0;
    if (static_cast<int64_t>(entry.getSequence()) < recipe.seqLen)
      continue;
    const PlanWork once = workOf(entry, rates);
    for (int64_t time = 0; time < times; ++time) {
      work += once;
      tokens += static_cast<int64_t>(entry.getBatch() * entry.getSequence());
    }
  }
  result.memoryReport += formatWork(work, tokens, device ? device->name : "");
}

bool Compiler::planWithinBudget(MemoryTable &memory) {
  OwningOpRef<ModuleOp> start = std::move(module);
  std::vector<RemarkRecord> told = remarks;
  auto begin = std::chrono::steady_clock::now();
  bool ok = true;
  train::RematAttr chosen;
  // A null attribute computes nothing again.
  auto measure = [&](train::RematAttr remat) {
    module = start->clone();
    remarks = told;
    chosen = remat;
    // The longest rows decide.
    if (searching)
      for (auto entry : llvm::make_early_inc_range(module->getOps<train::EntryOp>()))
        if (static_cast<int64_t>(entry.getSequence()) < recipe.seqLen)
          entry.erase();
    if (remat)
      (*module)->setAttr(train::TrainDialect::rematAttrName, remat);
    else
      (*module)->removeAttr(train::TrainDialect::rematAttrName);
    ok = ok && runLastTrainStages();
    if (!searching && stopsAt(Stage::TrainOpt))
      return int64_t(0);
    ok = ok && runPlanStages();
    if (ok)
      memory = memoryTable(*module);
    return memory.total;
  };
  auto within = [&](int64_t kept) {
    return train::RematAttr::get(&context, train::RematMode::Budget, recipe.checkpointing.every, kept);
  };
  searching = true;
  const auto most = static_cast<int64_t>(*budget);
  Allowance found =
      largestFitting(train::mostKeptBytes(*start), most, [&](int64_t kept) { return measure(within(kept)); });
  train::RematAttr best = within(found.kept);
  // The choice counts bytes of values; a plan's peak is another sum, and a plain rule can be below what was found.
  int64_t least = found.total;
  StringRef rule;
  for (auto [name, remat] :
       {std::pair<StringRef, train::RematAttr>("no recomputation", {}),
        {"selective", train::RematAttr::get(&context, train::RematMode::Selective, recipe.checkpointing.every)},
        {"full", train::RematAttr::get(&context, train::RematMode::Full, recipe.checkpointing.every)}})
    if (ok && least > most)
      if (int64_t total = measure(remat); total < least)
        std::tie(least, best, rule) = std::tuple(total, remat, name);
  searching = false;
  result.seconds.emplace_back("search within budget",
                              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  // The last plan that was made need not be the one that was found, and was not written.
  if (ok &&
      (chosen != best || !options.dumpFolder.empty() || stopsAt(Stage::TrainOpt) || recipe.sequenceLengths.size() > 1))
    measure(best);
  if (!rule.empty())
    remarks.push_back({"train-insert-remat",
                       "",
                       (rule + " takes less memory than any choice of single values").str(),
                       {{"bytes", least}, {"budget_bytes", most}},
                       true});
  return ok;
}

bool Compiler::makePlan(MemoryTable &memory) {
  if (!runFirstTrainStages())
    return false;
  if (stopsAt(Stage::Train))
    return true;
  if (recipe.checkpointing.mode == CheckpointingConfig::Mode::Auto)
    return planWithinBudget(memory);
  if (!runLastTrainStages())
    return false;
  if (stopsAt(Stage::TrainOpt))
    return true;
  if (!runPlanStages())
    return false;
  memory = memoryTable(*module);
  return true;
}

bool Compiler::finish() {
  MemoryTable memory;
  if (!makePlan(memory))
    return false;
  if (stopsAt(Stage::Train))
    return true;
  if (stopsAt(Stage::TrainOpt)) {
    result.output = print();
    return true;
  }
  if (!fits(memory) && mayRunTwice()) {
    // The cheapest way to clip is to hold the gradients; where there is no room for them, they are made twice.
    MemoryTable held = memory;
    remarks.clear();
    twoPasses = true;
    if (!makePlan(memory))
      return false;
    if (!fits(memory) && recipe.memoryBudget) {
      const MemoryTable &least = held.total < memory.total ? held : memory;
      if (options.advise)
        return failToFit(least);
      memory = least;
    }
    remarks.push_back({"train-fuse-updates",
                       "",
                       "clipping runs the backward pass twice: with gradients held, the step would not fit into " +
                           std::string(recipe.memoryBudget ? "memory_budget" : "the device"),
                       {{"bytes", held.total}, {"budget_bytes", static_cast<int64_t>(*budget)}},
                       true});
  }
  if (!fits(memory) && recipe.memoryBudget && options.advise)
    return failToFit(memory);
  warnOfDevice(memory);
  result.memoryReport = recipe.memoryBudget ? formatMemoryTable(memory, static_cast<int64_t>(*budget), "memory_budget")
                        : device ? formatMemoryTable(memory, device->memoryBytes, "device '" + device->name + "'")
                                 : formatMemoryTable(memory, 0, "");
  tellLengths();
  tellWork();
  result.totalBytes = static_cast<uint64_t>(memory.total);
  result.decisions = summarizeRemarks(remarks, decisionsShown);
  result.allDecisions = listRemarks(remarks);
  if (options.wantMap)
    result.memoryMap = memoryMapPage(planMap(*module), memory.peakEntry);
  if (host && !pass("plan-split-launches", [](auto &passes) { passes.addPass(plan::createPlanSplitLaunchesPass()); }))
    return false;
  if (stopsAt(Stage::Plan)) {
    result.output = print();
    return true;
  }
  if (options.byLaunch == ByLaunch::Host)
    backend = std::move(host);
  FailureOr<std::string> manifest = buildManifest(*module, backend->describe(), memory, recipe.normalizedYaml, remarks);
  if (failed(manifest))
    return false;
  if (stopsAt(Stage::Manifest)) {
    result.output = manifestAsJson(*manifest);
    return true;
  }
  auto type = RankedTensorType::get({static_cast<int64_t>(manifest->size())}, IntegerType::get(&context, 8));
  (*module)->setAttr(manifestAttrName,
                     DenseElementsAttr::getFromRawBuffer(type, ArrayRef<char>(manifest->data(), manifest->size())));
  return runTargetStages();
}

std::optional<CompileResult> Compiler::run() {
  if (!setUp() || !finish())
    return std::nullopt;
  return std::move(result);
}

std::optional<CompileResult> ftc::compile(const Recipe &recipe, const CompileOptions &options,
                                          std::vector<ftc::Diagnostic> &diagnostics) {
  return Compiler(recipe, options, diagnostics).run();
}

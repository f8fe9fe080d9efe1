//===- Pipeline.h - From a recipe to a step -----------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one place that orders passes:
//
//   recipe -> import -> adapters, differentiate, chunk the loss, accumulate, clip, clean up, fuse sums, remat,
//             place updates, optimizer, page states, form kernels, offload         train
//          -> convert-train-to-plan, stream far variables, the target's plan passes, offsets, verification    plan
//          -> the target's lowering -> object -> link                                   step.so
//
//===----------------------------------------------------------------------===//

#ifndef FTC_PIPELINES_PIPELINE_H
#define FTC_PIPELINES_PIPELINE_H

#include "ftc/Config/Recipe.h"
#include "ftc/Support/Diagnostics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ftc {

/// Where compilation stops, and what comes out of it.
enum class Stage {
  Train,    ///< forward graphs, text
  TrainOpt, ///< after every pass over `train`, text
  Plan,     ///< verified plan, text
  Manifest, ///< the manifest as JSON, without the contents of constants
  Ptx,      ///< the kernels of a step for a GPU, text
  LLVM,     ///< optimized LLVM IR, text
  Object,   ///< relocatable ELF object
  Step,     ///< step.so
};

/// The stage called `name` ("train", "train-opt", "plan", "manifest", "ptx", "llvm", "obj", "step").
std::optional<Stage> stageFromName(const std::string &name);

/// Whose kernels compute a step for a GPU each launch of which is an entry of its own (plan-split-launches). Both are
/// of one plan, in which the working memory of kernels is large enough for either, so that a host can compare them
/// launch by launch (ftrun --against).
enum class ByLaunch {
  No,     ///< entries as they are
  Device, ///< the GPU's
  Host,   ///< the CPU's, CompileOptions::cpu and threads
};

struct CompileOptions {
  std::string target = "cpu"; ///< or "cuda"
  std::string device;         ///< for "cuda": name of the GPU, or its device file
  std::string cpu = "native"; ///< or LLVM's name of one
  unsigned threads = 2;       ///< most threads that the step may run on; scratch memory is planned for so many
  Stage stopAfter = Stage::Step;
  /// When not empty: an existing or new folder that gets one numbered file a stage.
  std::string dumpFolder;
  /// IR that is printed or dumped has locations: names of buffers, and places in the recipe, come from them.
  bool printLocations = false;
  /// When not empty: a file that gets the IR in front of a pass that fails or crashes, and how ftc-opt runs it.
  std::string crashReproducer;
  ByLaunch byLaunch = ByLaunch::No; ///< for "cuda"
  /// Plan for the longest of the recipe's sequence lengths alone. Shorter rows take no more memory, which compiling
  /// checks.
  bool longestOnly = false;
  /// Where a step does not fit into memory_budget, plan what would (this costs some plans) and fail. False: give the
  /// plan that does not fit.
  bool advise = true;
  bool wantMap = false; ///< make CompileResult::memoryMap
};

struct CompileResult {
  std::string output; ///< what CompileOptions::stopAfter names
  /// The memory table as people read it; empty when compilation stopped before the plan.
  std::string memoryReport;
  uint64_t totalBytes = 0;
  /// What the passes decided: a summary, and every decision with its place, bytes and reason, a line each. Empty as
  /// above.
  std::string decisions, allDecisions;
  /// An HTML page that draws each buffer of the plan, its bytes over the launches during which it lives; empty where it
  /// is not asked for, and as above.
  std::string memoryMap;
  std::string cpu; ///< resolved name, or the GPU's
  /// Seconds of each stage, in order.
  std::vector<std::pair<std::string, double>> seconds;
};

/// This compiler and its version, as manifests name it: "ftc 0.1.0 (LLVM 22.1.8)".
const char *compilerName();

/// Compiles `recipe`. On failure returns nullopt with at least one error in `diagnostics`. Same recipe and options,
/// same output, byte for byte ("native" stands for a name and features).
std::optional<CompileResult> compile(const Recipe &recipe, const CompileOptions &options,
                                     std::vector<Diagnostic> &diagnostics);

} // namespace ftc

#endif // FTC_PIPELINES_PIPELINE_H

//===- LoadedStep.h - A step.so, opened and checked ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_LOADEDSTEP_H
#define FTC_RUNTIME_LOADEDSTEP_H

#include "ftc/Schema/manifest_generated.h"
#include "ftrt/step.h"

#include <string>

namespace ftc {

/// A compiled step in this process. Opening it checks everything that can be checked without running it: the ABI
/// version, the manifest (structure, and that every tensor lies inside its slab), and that this runtime has what it
/// asks for.
class LoadedStep {
public:
  /// Opens `path`. Throws RunError: NoFile, BadStep, BadAbi, Unsupported. Nothing of the step has run after that.
  explicit LoadedStep(const std::string &path);
  ~LoadedStep();
  LoadedStep(const LoadedStep &) = delete;
  LoadedStep &operator=(const LoadedStep &) = delete;

  const std::string &path() const { return file; }
  const manifest::Manifest &manifest() const { return *info; }
  ftrt_entry_fn entry(size_t index) const { return step->entries[index]; }
  /// What the file exports: entries, and for a device kernels, modules and products.
  const ftrt_step &tables() const { return *step; }
  /// Whether the step runs on a GPU (target "cuda").
  bool needsDevice() const;
  /// Index of the first entry of `kind`, or -1. Of several lengths the longest is the first.
  int findEntry(manifest::EntryKind kind) const;
  /// Indices of all entries of `kind`, from the shortest sequence to the longest.
  std::vector<int> findEntries(manifest::EntryKind kind) const;
  /// Bytes of all near slabs: the plan's total.
  uint64_t plannedBytes() const;
  /// Bytes of the far slab: the plan's total in the far tier, 0 without one.
  uint64_t plannedFarBytes() const;

  /// Refuses a CPU that lacks a feature of the manifest: RunError(CpuFeature), with the names.
  void requireCpuFeatures() const;

private:
  std::string file;
  void *library = nullptr;
  const ftrt_step *step = nullptr;
  const manifest::Manifest *info = nullptr;
};

/// Bytes of one element.
uint64_t elementSize(manifest::ElementType type);
/// "fp32", "bf16", ...
const char *elementName(manifest::ElementType type);
/// "step", "micro", "evaluate", "logits".
const char *entryName(manifest::EntryKind kind);
/// "[4, 512]"
std::string shapeString(const manifest::Tensor &tensor);

} // namespace ftc

#endif // FTC_RUNTIME_LOADEDSTEP_H

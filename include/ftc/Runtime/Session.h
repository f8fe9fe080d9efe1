//===- Session.h - A step with its memory and its threads ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_SESSION_H
#define FTC_RUNTIME_SESSION_H

#include "ftc/Runtime/CPU/ThreadPool.h"
#include "ftc/Runtime/FarTier.h"
#include "ftc/Runtime/LoadedStep.h"
#include "ftc/Runtime/Memory.h"
#include "ftc/Support/Nf4.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

struct SessionOptions {
  unsigned threads = 0;     ///< 0: the manifest's, or the processors of this machine where these are fewer
  bool fillPattern = false; ///< fill slabs with a pattern, so that the highest byte written can be found
  std::string farFolder{};  ///< where the file of the far tier goes; empty: $TMPDIR, or /var/tmp
};

/// A step that is ready to run: opened, checked, its slabs taken and touched, its threads started. Everything that
/// trains or embeds goes through here. One thread at a time may use it.
class Session {
public:
  /// Throws RunError(CpuFeature, TooManyThreads, NoMemory, NoFile).
  Session(std::unique_ptr<LoadedStep> step, const SessionOptions &options);

  const LoadedStep &step() const { return *loaded; }
  const manifest::Manifest &manifest() const { return loaded->manifest(); }
  const Memory &memory() const { return slabs; }
  ThreadPool &pool() { return *threads; }
  /// The far tier; null for a step that needs none.
  FarTier *farTier() { return far.get(); }

  /// Fills parameters, states and constants as the manifest's `init` says; random ones are a function of (seed, name,
  /// element) only. Tensors without init and without data become zeros. Of parameters
  /// only those whose names `parameters` holds true for; empty: all. The others are left for a checkpoint to fill.
  void initialize(uint64_t seed, const std::function<bool(std::string_view)> &parameters = {});

  /// A parameter, state or constant by name; null when there is none.
  const manifest::Tensor *findTensor(std::string_view name) const;
  /// An input or output of entry `index`; null when there is none.
  const manifest::Tensor *findInput(int index, std::string_view name) const;
  const manifest::Tensor *findOutput(int index, std::string_view name) const;
  /// Whether a tensor lies in the far tier, at its offset of `farTier()`.
  bool isFar(const manifest::Tensor &tensor) const;
  /// Memory of a tensor of this manifest: `tensor.bytes()` bytes. Null for one of the far tier.
  std::byte *data(const manifest::Tensor &tensor) const;

  /// A weight in four bits (a tensor with an encoding): how it is quantized, and its four arrays.
  Nf4Format formatOf(const manifest::Tensor &tensor) const;
  Nf4Arrays arraysOf(const manifest::Tensor &tensor) const;

  /// Calls entry `index`. Throws RunError(StepFailed) with the code's meaning. Allocates nothing.
  void run(int index, const ftrt_scalars &scalars);

private:
  void fillServices();
  void fill(const manifest::Tensor &tensor, uint64_t seed);
  void fillFar(const manifest::Tensor &tensor);
  void initializeEncoded(const manifest::Tensor &tensor, uint64_t seed);

  std::unique_ptr<LoadedStep> loaded;
  Memory slabs; // outlives the threads below
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<FarTier> far;
  ftrt_services services{};
  std::vector<void *> bases;
};

/// Number of threads that a session with `asked` (0: choose) gets. Throws RunError(TooManyThreads).
unsigned chooseThreads(const manifest::Manifest &manifest, unsigned asked);

} // namespace ftc

#endif // FTC_RUNTIME_SESSION_H

//===- Session.h - A step with its memory and its threads ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_SESSION_H
#define FTC_RUNTIME_SESSION_H

#include "ftc/Runtime/CPU/ThreadPool.h"
#include "ftc/Runtime/Device.h"
#include "ftc/Runtime/FarTier.h"
#include "ftc/Runtime/LoadedStep.h"
#include "ftc/Runtime/Memory.h"
#include "ftc/Support/Nf4.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

struct SessionOptions {
  unsigned threads = 0;     ///< 0: the manifest's, or the processors of this machine where these are fewer
  bool fillPattern = false; ///< fill slabs with a pattern, so that the highest byte written can be found
  DeviceOptions device{};   ///< for a step on a device
  std::string farFolder{};  ///< where the file of the far tier goes; empty: $TMPDIR, or /var/tmp
};

/// A step that is ready to run: opened, checked, its slabs taken and touched, its threads started; on the device that
/// it is for. Everything that trains or embeds goes through here. One thread at a time may use it.
class Session {
public:
  /// Throws RunError(CpuFeature, TooManyThreads, NoMemory, NoFile, NoDevice).
  Session(std::unique_ptr<LoadedStep> step, const SessionOptions &options);

  const LoadedStep &step() const { return *loaded; }
  const manifest::Manifest &manifest() const { return loaded->manifest(); }
  /// Slabs in the host's memory. Those of a device are empty here.
  const Memory &memory() const { return slabs; }
  ThreadPool &pool() { return *threads; }
  /// The device that the step runs on; null: the host's processor.
  Device *device() const { return gpu.get(); }
  /// The file of the far tier; null for a step that needs none, and for one on a device, whose far tier is pinned
  /// memory.
  FarTier *farTier() { return far.get(); }
  /// Bytes taken for near slabs, on the host or the device, and for the far slab: what must equal the plan.
  uint64_t bytesTaken() const { return gpu ? gpu->bytesTaken() : slabs.bytesTaken(); }
  uint64_t farBytesTaken() const;
  /// One past the highest byte of slab `index` that was written since the session with `fillPattern` was made.
  uint64_t highestWritten(uint32_t index) const;

  /// Fills parameters, states and constants as the manifest's `init` says; random ones are a function of (seed, name,
  /// element) only. Tensors without init and without data become zeros. Of parameters
  /// only those whose names `parameters` holds true for; empty: all. The others are left for a checkpoint to fill.
  /// Norms of rows wait for fillRowNorms.
  void initialize(uint64_t seed, const std::function<bool(std::string_view)> &parameters = {});

  /// Fills the tensors that are norms of another one's rows (DoRA's magnitudes, and what they are compared with). After
  /// `initialize` and after weights were read, before adapters are.
  void fillRowNorms();

  /// A parameter, state or constant by name; null when there is none.
  const manifest::Tensor *findTensor(std::string_view name) const;
  /// An input or output of entry `index`; null when there is none.
  const manifest::Tensor *findInput(int index, std::string_view name) const;
  const manifest::Tensor *findOutput(int index, std::string_view name) const;
  /// Whether a tensor lies in the far tier.
  bool isFar(const manifest::Tensor &tensor) const;
  /// Host memory of a tensor of this manifest: `tensor.bytes()` bytes. Null for one that lies in a file of the far tier
  /// or on a device: see read and write. An entry's inputs and outputs always have it.
  std::byte *data(const manifest::Tensor &tensor) const;
  /// Copies bytes `offset` to `offset + bytes` of a parameter, state or constant, wherever it lies, between runs.
  /// Memory of the host beside it: none to some MiB. Throws RunError(StepFailed).
  void read(const manifest::Tensor &tensor, uint64_t offset, void *to, uint64_t bytes) const;
  void write(const manifest::Tensor &tensor, uint64_t offset, const void *from, uint64_t bytes);

  /// A weight in four bits (a tensor with an encoding): how it is quantized.
  Nf4Format formatOf(const manifest::Tensor &tensor) const;
  /// Its four arrays, in host memory. Where they lie on a device, they are in `room`, which becomes as large as needed;
  /// readArrays fills that and writeArrays copies it back. Both do nothing where the arrays are the weight's own.
  Nf4Arrays arraysOf(const manifest::Tensor &tensor, std::vector<std::byte> &room) const;
  void readArrays(const manifest::Tensor &tensor, const Nf4Arrays &arrays) const;
  void writeArrays(const manifest::Tensor &tensor, const Nf4Arrays &arrays);

  /// Calls entry `index`. Throws RunError(StepFailed) with the code's meaning. Allocates nothing.
  void run(int index, const ftrt_scalars &scalars);

private:
  void takeHostMemory(const SessionOptions &options);
  void takeDevice(const SessionOptions &options);
  void fillServices();
  std::array<const manifest::Tensor *, 4> piecesOf(const manifest::Tensor &tensor) const;
  void fill(const manifest::Tensor &tensor, uint64_t seed);
  void fillFar(const manifest::Tensor &tensor);
  void fillRowNorms(const manifest::Tensor &tensor);
  void initializeEncoded(const manifest::Tensor &tensor, uint64_t seed, const Nf4Arrays &arrays) const;

  std::unique_ptr<LoadedStep> loaded;
  Memory slabs; // outlives the threads below
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<FarTier> far;
  std::unique_ptr<Device> gpu;
  ftrt_services services{};
  std::vector<void *> bases;
};

/// Number of threads that a session with `asked` (0: choose) gets. Throws RunError(TooManyThreads).
unsigned chooseThreads(const manifest::Manifest &manifest, unsigned asked);

} // namespace ftc

#endif // FTC_RUNTIME_SESSION_H

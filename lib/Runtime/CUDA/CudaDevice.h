//===- CudaDevice.h - A step on an NVIDIA GPU ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_CUDADEVICE_H
#define FTC_LIB_RUNTIME_CUDA_CUDADEVICE_H

#include "Attentions.h"
#include "Products.h"
#include "Survey.h"
#include "Times.h"

#include "ftc/Runtime/Device.h"
#include "ftc/Runtime/RunError.h"

#include <array>
#include <atomic>
#include <string_view>
#include <unordered_map>

namespace ftc::cuda {

class CudaDevice final : public Device {
public:
  CudaDevice(const std::string &path, const ftrt_step &step, const manifest::Manifest &manifest,
             const DeviceOptions &options);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice &) = delete;
  CudaDevice &operator=(const CudaDevice &) = delete;

  std::string describe() const override;
  uint64_t bytesTaken() const override { return taken; }
  uint64_t pinnedBytes() const override { return pinnedTotal; }
  uint64_t farBytes() const override { return farTotal; }
  const std::vector<DeviceBytes> &measured() const override { return items; }
  uint64_t freeBytes() const override;
  std::byte *farSlab() const override { return far; }
  std::byte *mirror(const manifest::Tensor &tensor) const override;
  void write(uint32_t slab, uint64_t offset, const void *from, uint64_t bytes) override;
  void read(uint32_t slab, uint64_t offset, void *to, uint64_t bytes) override;
  void zero(uint32_t slab, uint64_t offset, uint64_t bytes) override;
  MatrixRate measureMatrixRate(double seconds) override;
  CopyRate measureCopyRate(double seconds) override;
  const ProductAlgorithms &algorithms() const override { return chosen; }
  std::vector<std::string> attentions() const override;
  void run(size_t index, const ftrt_scalars &scalars) override;

private:
  /// Bytes of each of the two buffers through which everything but inputs and outputs is copied.
  static constexpr uint64_t stagingBytes = 4 << 20;

  /// What a function of the table could not queue.
  struct Failure {
    enum Kind { None, Kernel, Product, Attention, Copy, Order } kind = None;
    uint32_t index = 0; ///< of the kernel, product or attention
    Result result = Success;
    LtStatus lt = 0;
    std::string text = {}; ///< of cuDNN
  };

  // Opening, in this order.
  void openDevice();
  void requireArchitecture();
  void requireMemory();
  void loadModules();
  void loadKernel(size_t index);
  void takeSlabs();
  void takeHostMemory();
  void makeStreams();
  void makeLibraries(const DeviceOptions &options);
  void makeProducts(Survey &survey, const DeviceOptions &options);
  void runProducts();
  bool holdsFor(const ProductAlgorithms &kept) const;
  void fillTable();
  void warmUp();
  void tuneProducts();
  void multiply(size_t product) const;
  double secondsOf(size_t product) const;
  void tuneAttentions();
  double secondsOfEntry(size_t index);
  void recordGraphs();
  void release();

  /// Adds an item to what is measured: how far free memory fell since the last.
  void measure(const char *what);
  uint64_t freeMemory() const;
  /// The largest near slab; one without an address where the step has none.
  uint32_t largestSlab() const;
  /// Makes the context current in the thread that calls.
  void enter() const;
  /// Throws RunError(code) unless `result` is success.
  void require(Result result, std::string_view what, ExitCode code) const;
  /// How many recordings an entry has, which differ in what computes attention; and the one for the batch in its
  /// mirrors.
  size_t variants(size_t index) const { return attention ? attention->variants(index) : 1; }
  size_t chooseVariant(size_t index);
  /// Queues copies of inputs, the entry, copies of outputs. Throws.
  void queueEntry(size_t index, size_t variant);
  GraphExec record(size_t index, size_t variant);
  void copyMirrors(size_t index, bool in);
  /// Waits for every stream. Throws RunError(StepFailed) with what `index` is.
  void finish(size_t index);
  [[noreturn]] void throwFailure(size_t index, Result result) const;
  std::string failureText() const;
  int32_t fail(Failure::Kind kind, uint32_t index, Result result, LtStatus status = 0);
  Stream computeStream() const { return streams[FTRT_STREAM_COMPUTE]; }

  // The functions of ftrt_device.
  int32_t launch(uint32_t stream, uint32_t kernel, const uint64_t *addresses);
  int32_t matmul(uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend, uint64_t d,
                 uint64_t workspace);
  int32_t attend(uint32_t stream, uint32_t number, const uint64_t *addresses);
  /// Around what is queued on `stream` where it is waited for, or timed.
  int32_t beforeWork(uint32_t stream);
  int32_t afterWork(Failure::Kind kind, uint32_t index, uint32_t stream);

  const DriverFunctions &cu;
  const std::string path;
  const ftrt_step &step;
  const manifest::Manifest &info;

  DeviceOrdinal device = 0;
  std::string name, architecture; ///< "NVIDIA H200", "sm_90"
  int driverVersion = 0;          ///< 13000 is 13.0
  bool assembledHere = false;     ///< by the driver, from PTX: it does not take the cubins
  Context context = nullptr;
  std::vector<Module> modules;
  std::vector<Function> kernels;
  std::vector<Address> allocations; ///< of each slab; 0 for a far or an empty one
  std::vector<void *> bases;
  std::array<Stream, FTRT_STREAM_COUNT> streams{};
  std::vector<Event> events;
  std::array<Event, 2> stagingFree{};
  std::vector<std::vector<GraphExec>> graphs; ///< of each entry and variant; empty without graphs
  std::unique_ptr<Products> products;
  std::vector<ProductPlaces> places; ///< of each product
  std::unique_ptr<Attentions> attention;
  size_t queuedEntry = 0, queuedVariant = 0; ///< what calls of the table belong to
  ProductAlgorithms chosen;

  std::byte *pinned = nullptr; ///< scalars, staging, mirrors
  ftrt_scalars *scalars = nullptr;
  std::array<std::byte *, 2> staging{};
  std::unordered_map<const manifest::Tensor *, std::byte *> mirrors;
  std::byte *far = nullptr;

  uint64_t taken = 0, pinnedTotal = 0, farTotal = 0, lastFree = 0;
  std::vector<DeviceBytes> items;
  ftrt_device table{};
  ftrt_services services{};
  bool started = false; ///< all is made
  Times times;          ///< enabled by FTRT_CUDA_TIMES
  std::array<Event, 2> clock{};
  std::atomic<bool> queued{false}; ///< what is timed is all on its stream
  bool oneByOne = false;           ///< waits after every kernel and product, so that the one that fails is known
  Failure failure;
};

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_CUDADEVICE_H

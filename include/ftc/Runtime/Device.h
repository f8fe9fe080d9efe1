//===- Device.h - Memory and entries of a step that runs on a device -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_DEVICE_H
#define FTC_RUNTIME_DEVICE_H

#include "ftc/Schema/manifest_generated.h"
#include "ftrt/step.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ftc {

/// Something of a device's memory, measured: how far the free memory fell while it was made.
struct DeviceBytes {
  std::string what; ///< "modules", "slabs", "cuBLASLt", "cuDNN", "first run", "graphs"
  uint64_t bytes;
};

/// How fast a device multiplies matrices.
struct MatrixRate {
  double flops = 0; ///< a second, counting a multiplication and an addition as two; 0: unknown
  std::string what; ///< "8192 x 8192 by 8192 x 8192, bf16 by bf16 to bf16"
};

/// How fast a device copies within its memory.
struct CopyRate {
  double bytesPerSecond = 0; ///< bytes read and bytes written; 0: unknown
  uint64_t bytes = 0;        ///< of a copy
};

/// Which of its libraries' algorithms compute a step's products and attentions. Bits depend on it. It holds for one
/// version of a library on one kind of device; how the words and names are to be read, only that library knows.
struct ProductAlgorithms {
  struct Product {
    std::string what;                ///< "512 x 2048 by 2048 x 576, bf16 by bf16 to bf16, ..."
    std::array<uint64_t, 8> words{}; ///< the algorithm
    double seconds = 0;              ///< measured, for one product; 0: not measured
    double firstSeconds = 0;         ///< the same of what the library would have chosen
  };
  struct Attention {
    std::string what;               ///< "forward, 2 x 4096 tokens, ..."
    std::vector<std::string> plans; ///< "eng2_k24=7", for each number of documents; empty: our own kernels
  };
  std::string library;           ///< "cuBLASLt 13.1.0"; empty for a step without products
  std::string device;            ///< "NVIDIA H200 (sm_90)"
  std::vector<Product> products; ///< in the step's order
  std::string attentionLibrary;  ///< "cuDNN 9.26.0"; empty without it
  std::vector<Attention> attentions;
};

/// How a device is opened.
struct DeviceOptions {
  bool tune = false; ///< time the library's best few algorithms of each product, and take the fastest
  /// Take these algorithms, where they are of this library, device and step; each must be one that the library has.
  const ProductAlgorithms *algorithms = nullptr;
};

/// A device (a GPU) with a step on it: its near slabs, its code, its streams. Everything is made when it is opened;
/// then nothing is allocated. Near memory of such a step has no address on the host. Inputs and outputs of entries have
/// a mirror there, which `run` copies in and out. Functions throw RunError(StepFailed) when the device fails. One
/// thread at a time may use it.
class Device {
public:
  virtual ~Device() = default;

  /// The device, its driver and the libraries in use, in one line: "NVIDIA H200 (sm_90), driver 13.0, ...".
  virtual std::string describe() const = 0;
  /// Bytes asked of the device for near slabs: what must equal the plan.
  virtual uint64_t bytesTaken() const = 0;
  /// Bytes of pinned host memory: mirrors and staging; and those of the far slab.
  virtual uint64_t pinnedBytes() const = 0;
  virtual uint64_t farBytes() const = 0;
  /// What the step takes of the device's memory, item by item, from just after the context was there.
  virtual const std::vector<DeviceBytes> &measured() const = 0;
  /// Free bytes of the device's memory now, whoever takes them. Between steps only.
  virtual uint64_t freeBytes() const = 0;

  /// The far slab (pinned host memory); null for a step without one.
  virtual std::byte *farSlab() const = 0;
  /// Host memory of an input or output of an entry (of `input_tensors` and `output_tensors`); null for other tensors.
  virtual std::byte *mirror(const manifest::Tensor &tensor) const = 0;

  /// Copies between host memory and byte `offset` of near slab `slab`, through a small pinned buffer. Back when done.
  virtual void write(uint32_t slab, uint64_t offset, const void *from, uint64_t bytes) = 0;
  virtual void read(uint32_t slab, uint64_t offset, void *to, uint64_t bytes) = 0;
  virtual void zero(uint32_t slab, uint64_t offset, uint64_t bytes) = 0;

  /// Multiplies square matrices, of the types of the step's largest product, in the step's own slab: before that is
  /// filled, and it is all zeros afterwards. For about `seconds`. The rate is 0 for a step without products.
  virtual MatrixRate measureMatrixRate(double seconds) = 0;

  /// Copies one half of the step's own slab to the other (1 GiB at most), under the same conditions.
  virtual CopyRate measureCopyRate(double seconds) = 0;

  /// What computes the products: that of the options where it could be taken, or else what was chosen anew.
  virtual const ProductAlgorithms &algorithms() const = 0;

  /// What computes each attention, in words, a line each.
  virtual std::vector<std::string> attentions() const = 0;

  /// Copies the inputs in, runs entry `index`, copies the outputs out, and waits for it all.
  virtual void run(size_t index, const ftrt_scalars &scalars) = 0;
};

/// Opens the GPU that `step` (file `path`, target "cuda") is for: driver, context, modules, slabs, libraries; runs
/// every entry once on zeros, so that whatever is loaded late is loaded now, and records it as a graph. Near slabs are
/// zero then. `step` and `manifest` have to live as long as the device. Throws RunError: NoDevice (no driver, device or
/// library; another architecture), NoMemory, BadStep, Unsupported, StepFailed.
std::unique_ptr<Device> openCudaDevice(const std::string &path, const ftrt_step &step,
                                       const manifest::Manifest &manifest, const DeviceOptions &options = {});

} // namespace ftc

#endif // FTC_RUNTIME_DEVICE_H

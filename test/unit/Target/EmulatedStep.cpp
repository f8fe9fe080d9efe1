//===- EmulatedStep.cpp - A whole step on an emulated GPU ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStep.h"

#include "lib/Conversion/PlanToLLVM/PlanToLLVM.h"
#include "lib/Target/CUDA/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;

EmulatedStep::EmulatedStep(ModuleOp source, const std::string &deviceName, bool share) : CompiledPlan(source) {
  std::string error;
  std::unique_ptr<TargetBackend> host = createCpuBackend("x86-64-v3", 1, error);
  EXPECT_TRUE(host) << error;
  build(*host, [&](ModuleOp module) {
    PassManager kernels(module.getContext()), entries(module.getContext());
    kernels.addPass(createCudaLowerKernelsPass({deviceName, share, /*modules=*/8}));
    if (failed(kernels.run(module)))
      return failure();
    emulator = std::make_unique<Emulator>(module);
    for (auto functions : llvm::to_vector(module.getOps<gpu::GPUModuleOp>()))
      functions.erase();
    entries.addPass(createConvertPlanToLLVMPass({.device = true}));
    return success(emulator->ok() && succeeded(entries.run(module)));
  });
  device.size = sizeof(ftrt_device);
  device.context = this;
  device.launch = [](void *context, uint32_t stream, uint32_t kernel, const uint64_t *addresses) -> int32_t {
    EXPECT_TRUE(stream == FTRT_STREAM_COMPUTE || stream == FTRT_STREAM_DECODE);
    auto &self = *static_cast<EmulatedStep *>(context);
    self.decodedAhead += stream == FTRT_STREAM_DECODE;
    return self.launch(stream, kernel, addresses);
  };
  device.matmul = [](void *context, uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend,
                     uint64_t d, uint64_t workspace) -> int32_t {
    EXPECT_EQ(stream, FTRT_STREAM_COMPUTE);
    return static_cast<EmulatedStep *>(context)->multiply(stream, product, a, b, addend, d, workspace);
  };
  device.attention = [](void *context, uint32_t stream, uint32_t attention, const uint64_t *addresses) -> int32_t {
    EXPECT_EQ(stream, FTRT_STREAM_COMPUTE);
    return static_cast<EmulatedStep *>(context)->attend(stream, attention, addresses);
  };
  device.upload = [](void *context, uint32_t stream, uint64_t to, const void *from, uint64_t bytes) -> int32_t {
    auto &self = *static_cast<EmulatedStep *>(context);
    EXPECT_TRUE(self.isInside(to, bytes));
    return self.queue(stream, self.uploads, [=] { std::memcpy(reinterpret_cast<void *>(to), from, bytes); });
  };
  device.far_write = [](void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t from,
                        uint64_t bytes) -> int32_t {
    auto &self = *static_cast<EmulatedStep *>(context);
    EXPECT_EQ(stream, FTRT_STREAM_COPY_OUT);
    auto *far = static_cast<uint8_t *>(self.slabs[slab]) + offset;
    return self.queue(stream, self.copies, [=] { std::memcpy(far, reinterpret_cast<void *>(from), bytes); });
  };
  device.far_read = [](void *context, uint32_t stream, uint32_t slab, uint64_t offset, uint64_t to,
                       uint64_t bytes) -> int32_t {
    auto &self = *static_cast<EmulatedStep *>(context);
    EXPECT_EQ(stream, FTRT_STREAM_COPY_IN);
    const auto *far = static_cast<uint8_t *>(self.slabs[slab]) + offset;
    return self.queue(stream, self.copies, [=] { std::memcpy(reinterpret_cast<void *>(to), far, bytes); });
  };
  device.record = [](void *context, uint32_t stream, uint32_t event) -> int32_t {
    auto &self = *static_cast<EmulatedStep *>(context);
    EXPECT_LT(event, self.table().event_count);
    self.streams.record(stream, event);
    return 0;
  };
  device.wait = [](void *context, uint32_t stream, uint32_t event) -> int32_t {
    auto &self = *static_cast<EmulatedStep *>(context);
    EXPECT_TRUE(self.streams.wait(stream, event)) << "waits for an event that nobody recorded";
    return 0;
  };
}

ftrt_services EmulatedStep::servicesFor(unsigned) {
  ftrt_services services{};
  services.abi_version = FTRT_ABI_VERSION;
  services.size = sizeof(ftrt_services);
  services.device = &device;
  calls = 0;
  return services;
}

int32_t EmulatedStep::call(size_t entry, const ftrt_services &services, const ftrt_scalars &scalars) {
  planned.clear();
  reached = 0;
  auto entries = plan.getOps<plan::EntryOp>();
  for (auto launch :
       (*std::next(entries.begin(), static_cast<std::ptrdiff_t>(entry))).getBody().front().getOps<plan::LaunchOp>()) {
    auto kernel = plan.lookupSymbol<plan::KernelOp>(launch.getKernel());
    auto product = dyn_cast<plan::MatmulOp>(kernel.getWork());
    Planned &added = planned.emplace_back(Planned{launch.getKernel().str(), product && product.getDecodeB(), {}});
    for (Value buffer : launch.getBuffers()) {
      auto begin = reinterpret_cast<uint64_t>(address(buffer));
      added.buffers.emplace_back(begin, begin + plan::bytesOf(buffer.getType()));
    }
  }
  const int32_t code = CompiledPlan::call(entry, services, scalars);
  static constexpr EmulatedStreams::Order computeFirst{FTRT_STREAM_COMPUTE, FTRT_STREAM_COPY_IN, FTRT_STREAM_COPY_OUT,
                                                       FTRT_STREAM_DECODE},
      computeLast{FTRT_STREAM_DECODE, FTRT_STREAM_COPY_OUT, FTRT_STREAM_COPY_IN, FTRT_STREAM_COMPUTE};
  if (code == FTRT_OK)
    EXPECT_EQ(streams.run(backwards ? computeLast : computeFirst), "");
  streams.clear();
  return code;
}

void EmulatedStep::clear() {
  size_t index = 0;
  for (auto slab : plan.getOps<plan::SlabOp>())
    std::memset(slabs[index++], 0, slab.getBytes());
}

int32_t EmulatedStep::queue(uint32_t stream, int &which, std::function<void()> work) {
  streams.queue(stream, std::move(work));
  ++which;
  return calls++ == failingCall ? 77 : 0;
}

bool EmulatedStep::isInside(uint64_t at, uint64_t bytes) const {
  size_t index = 0;
  for (auto slab : plan.getOps<plan::SlabOp>()) {
    auto begin = reinterpret_cast<uint64_t>(slabs[index++]);
    if (!slab.getFar() && at >= begin && at + bytes <= begin + slab.getBytes())
      return true;
  }
  return false;
}

std::vector<size_t> EmulatedStep::bytesOf(StringRef function, const uint64_t *addresses, uint32_t count) {
  for (; reached < planned.size(); ++reached) {
    const Planned &launch = planned[reached];
    // A kernel is one function, or several with a suffix; decoding has functions of its own.
    if (launch.decodes ? !function.starts_with("decode_") : function.split('$').first != launch.kernel)
      continue;
    std::vector<size_t> bytes;
    for (uint32_t i = 0; i < count; ++i) {
      uint64_t end = 0;
      bool begins = false; // rather than being somewhere inside: kernels get parts of their working memory
      for (auto [first, last] : launch.buffers)
        if (addresses[i] >= first && addresses[i] < last && (first == addresses[i] || !begins)) {
          end = last;
          begins = first == addresses[i];
        }
      if (end == 0)
        break;
      bytes.push_back(end - addresses[i]);
    }
    if (bytes.size() == count)
      return bytes;
  }
  ADD_FAILURE() << function.str() << ": no launch of the plan has these buffers";
  return std::vector<size_t>(count);
}

int32_t EmulatedStep::launch(uint32_t stream, uint32_t number, const uint64_t *addresses) {
  EXPECT_LT(number, step->kernel_count);
  const ftrt_kernel &kernel = step->kernels[number];
  EXPECT_EQ(kernel.module, emulator->moduleOf(kernel.function)) << kernel.name;
  std::vector<void *> buffers;
  std::vector<size_t> bytes = bytesOf(kernel.name, addresses, kernel.argument_count);
  for (uint32_t i = 0; i < kernel.argument_count; ++i) {
    EXPECT_TRUE(isInside(addresses[i], 1)) << kernel.name;
    buffers.push_back(reinterpret_cast<void *>(addresses[i]));
  }
  return queue(stream, launches, [this, &kernel, buffers = std::move(buffers), bytes = std::move(bytes)] {
    std::vector<uint64_t> sizes(kernel.sizes, kernel.sizes + kernel.size_count);
    EXPECT_EQ(emulator->run(kernel.function, buffers, bytes, backwards, kernel.grid[0], kernel.block[0], sizes), "");
  });
}

namespace {
/// A row-major matrix in memory, of f32 or bf16.
struct Stored {
  uint64_t at, pitch;
  uint32_t type;

  float get(uint64_t row, uint64_t column) const {
    uint64_t index = row * pitch + column;
    if (type == FTRT_F32)
      return reinterpret_cast<const float *>(at)[index];
    uint32_t bits = static_cast<uint32_t>(reinterpret_cast<const uint16_t *>(at)[index]) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  void set(uint64_t row, uint64_t column, float value) const {
    uint64_t index = row * pitch + column;
    if (type == FTRT_F32) {
      reinterpret_cast<float *>(at)[index] = value;
      return;
    }
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits += 0x7FFF + (bits >> 16 & 1); // to nearest, ties to even
    reinterpret_cast<uint16_t *>(at)[index] = static_cast<uint16_t>(bits >> 16);
  }
};
} // namespace

int32_t EmulatedStep::multiply(uint32_t stream, uint32_t number, uint64_t a, uint64_t b, uint64_t addend, uint64_t d,
                               uint64_t workspace) {
  EXPECT_LT(number, step->product_count);
  const ftrt_matmul &what = step->products[number];
  auto bytes = [](uint64_t rows, uint64_t pitch, uint32_t type) { return rows * pitch * (type == FTRT_F32 ? 4 : 2); };
  EXPECT_TRUE(isInside(a, bytes(what.transpose_a ? what.k : what.m, what.lda, what.type_a)));
  EXPECT_TRUE(isInside(b, bytes(what.transpose_b ? what.n : what.k, what.ldb, what.type_b)));
  EXPECT_TRUE(isInside(d, bytes(what.m, what.ldd, what.type_d)));
  EXPECT_EQ(addend != 0, what.has_addend != 0);
  EXPECT_TRUE(isInside(workspace, what.workspace_bytes));
  EXPECT_EQ(workspace % 256, 0u);
  return queue(stream, products, [=, &what] {
    std::memset(reinterpret_cast<void *>(workspace), 0xFF, what.workspace_bytes);
    Stored left{a, what.lda, what.type_a}, right{b, what.ldb, what.type_b}, before{addend, what.ldd, what.type_d},
        after{d, what.ldd, what.type_d};
    for (uint64_t row = 0; row < what.m; ++row)
      for (uint64_t column = 0; column < what.n; ++column) {
        float sum = 0;
        for (uint64_t k = 0; k < what.k; ++k)
          sum = std::fma(what.transpose_a ? left.get(k, row) : left.get(row, k),
                         what.transpose_b ? right.get(column, k) : right.get(k, column), sum);
        after.set(row, column, what.has_addend ? before.get(row, column) + sum : sum);
      }
  });
}

namespace {
/// Attention by plain loops in double, of the documents of two tokens and more.
struct PlainAttention {
  const ftrt_attention &what;
  std::vector<uint64_t> at; ///< as ftrt_device.attention gets them

  uint64_t index(uint64_t token, uint64_t head, uint64_t heads) const { return (token * heads + head) * what.head_dim; }
  double get(size_t operand, uint64_t index) const { return Stored{at[operand], 0, FTRT_BF16}.get(0, index); }
  float *lse(uint64_t token, uint64_t head) const {
    return reinterpret_cast<float *>(at[5]) + token * what.heads + head;
  }
  double dot(size_t x, uint64_t i, size_t y, uint64_t j) const {
    double sum = 0;
    for (uint64_t column = 0; column < what.head_dim; ++column)
      sum += get(x, i + column) * get(y, j + column);
    return sum;
  }
  void put(size_t operand, uint64_t index, const std::vector<double> &values) const {
    for (uint64_t column = 0; column < what.head_dim; ++column)
      Stored{at[operand], 0, FTRT_BF16}.set(0, index + column, static_cast<float>(values[column]));
  }
  static void add(std::vector<double> &sum, double factor, const PlainAttention &of, size_t operand, uint64_t index) {
    for (size_t column = 0; column < sum.size(); ++column)
      sum[column] += factor * of.get(operand, index + column);
  }

  void forward(uint64_t first, uint64_t end, uint64_t head) const {
    const uint64_t keyHead = head / (what.heads / what.key_heads);
    for (uint64_t query = first; query < end; ++query) {
      std::vector<double> weights, mixed(what.head_dim);
      double sum = 0;
      for (uint64_t key = first; key <= query; ++key)
        sum += weights.emplace_back(std::exp(
            double(what.scale) * dot(0, index(query, head, what.heads), 1, index(key, keyHead, what.key_heads))));
      for (uint64_t key = first; key <= query; ++key)
        add(mixed, weights[key - first] / sum, *this, 2, index(key, keyHead, what.key_heads));
      put(4, index(query, head, what.heads), mixed);
      *lse(query, head) = static_cast<float>(std::log(sum));
    }
  }
  /// Of a key head: all its heads.
  void gradient(uint64_t first, uint64_t end, uint64_t keyHead) const {
    const uint64_t group = what.heads / what.key_heads;
    std::vector<std::vector<double>> key(end - first, std::vector<double>(what.head_dim)), value = key;
    for (uint64_t head = keyHead * group; head < (keyHead + 1) * group; ++head)
      for (uint64_t query = first; query < end; ++query) {
        const uint64_t q = index(query, head, what.heads);
        const double delta = dot(6, q, 4, q);
        std::vector<double> own(what.head_dim);
        for (uint64_t other = first; other <= query; ++other) {
          const uint64_t k = index(other, keyHead, what.key_heads);
          const double weight = std::exp(double(what.scale) * dot(0, q, 1, k) - *lse(query, head));
          const double slope = double(what.scale) * weight * (dot(6, q, 2, k) - delta);
          add(value[other - first], weight, *this, 6, q);
          add(key[other - first], slope, *this, 0, q);
          add(own, slope, *this, 1, k);
        }
        put(7, q, own);
      }
    for (uint64_t other = first; other < end; ++other) {
      put(8, index(other, keyHead, what.key_heads), key[other - first]);
      put(9, index(other, keyHead, what.key_heads), value[other - first]);
    }
  }
  void run() const {
    const auto *starts = reinterpret_cast<const int32_t *>(at[3]);
    for (uint64_t row = 0; row < what.batch; ++row)
      for (uint64_t first = 0, end = 0; first < what.sequence; first = end) {
        const uint64_t base = row * what.sequence;
        for (end = first + 1; end < what.sequence && starts[base + end] == static_cast<int32_t>(first);)
          ++end;
        for (uint64_t head = 0; end - first > 1 && head < (what.gradient ? what.key_heads : what.heads); ++head)
          what.gradient ? gradient(base + first, base + end, head) : forward(base + first, base + end, head);
      }
  }
};
} // namespace

int32_t EmulatedStep::attend(uint32_t stream, uint32_t number, const uint64_t *addresses) {
  EXPECT_LT(number, step->attention_count);
  const ftrt_attention &what = step->attentions[number];
  if (!attends)
    return FTRT_DECLINED;
  const size_t count = what.gradient ? 11 : 7;
  PlainAttention plain{what, {addresses, addresses + count}};
  const uint64_t tokens = what.batch * what.sequence;
  for (size_t operand = 0; operand + 1 < count; ++operand) {
    const bool ofKeys = operand == 1 || operand == 2 || operand >= 8;
    EXPECT_TRUE(isInside(addresses[operand],
                         operand == 3   ? tokens * 4
                         : operand == 5 ? tokens * what.heads * 4
                                        : tokens * what.head_dim * 2 * (ofKeys ? what.key_heads : what.heads)));
    EXPECT_EQ(addresses[operand] % 16, 0u);
  }
  EXPECT_TRUE(isInside(addresses[count - 1], what.workspace_bytes));
  EXPECT_EQ(addresses[count - 1] % 256, 0u);
  return queue(stream, attentions, [=, &what] {
    std::memset(reinterpret_cast<void *>(plain.at.back()), 0xFF, what.workspace_bytes);
    plain.run();
  });
}

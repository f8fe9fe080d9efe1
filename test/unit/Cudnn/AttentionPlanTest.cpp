//===- AttentionPlanTest.cpp - What the installed cuDNN says of our graphs -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plans are made for GPUs that are only described ("deviceless ahead-of-time compilation", cuDNN 9.8 and later): cuDNN
// recognizes the graph, compiles its kernel for the architecture, and says how much workspace it needs. Nothing runs.
// FTRT_CUDA_LIBS names a folder with another cuDNN than the one that is found.
//
//===----------------------------------------------------------------------===//

#include "lib/Runtime/CUDA/AttentionPlan.h"
#include "ftc/Config/Device.h"
#include "lib/Runtime/CUDA/Libraries.h"
#include "lib/Target/CUDA/LibraryAttention.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

using namespace ftc;
using namespace ftc::cuda;

namespace {

#if defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer);
#else
constexpr bool sanitized = false;
#endif

/// A device file in cuDNN's words. What the file does not say is the same on all of these GPUs, or of no account here.
std::string propertiesOf(const DeviceFile &device) {
  const int architecture = std::atoi(device.architecture.c_str() + 3);
  return fmt::format(
      R"({{"deviceVer": {}, "multiProcessorCount": {}, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
"maxSharedMemoryPerBlockOptin": {}, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
"maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "regsPerBlock": 65536, "totalGlobalMem": {},
"smClockRateKHz": 1980000, "l2CacheSize": {}, "maxBlockSize": [1024, 1024, 64], "memClockRateKHz": 3201000,
"maxGridSize": [2147483647, 65535, 65535], "supportCoopLaunch": 1, "pciDeviceId": 0, "isTccDriver": 0,
"cudaDeviceId": 0, "driverVer": 13000, "deviceName": "{}"}})",
      10 * architecture, device.multiprocessors, device.sharedBytesABlock, device.memoryBytes, device.l2Bytes,
      device.name);
}

struct Shape {
  const char *device;
  uint64_t batch, sequence, heads, keyHeads, headDim;
};

class Plans : public testing::TestWithParam<Shape> {
protected:
  void SetUp() override {
    if (sanitized)
      GTEST_SKIP() << "nothing is checked under a sanitizer: NVIDIA's libraries were not made with it";
    // cuDNN looks for the driver by this name, and takes one that is there already.
    ASSERT_TRUE(dlopen(FTC_BINARY_DIR "/test/support/no_device/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL)) << dlerror();
    std::string missing;
    dnn = openDnn(missing);
    if (!dnn)
      GTEST_SKIP() << "nothing is checked, since there is no cuDNN here: " << missing;
    std::vector<Diagnostic> diags;
    std::optional<DeviceFile> file = readDevice(GetParam().device, diags);
    ASSERT_TRUE(file);
    described.emplace(describedDevice(dnn->functions, propertiesOf(*file)));
    device.emplace(DnnDevice{dnn->functions, nullptr, &*described, std::atoi(file->architecture.c_str() + 3)});
  }

  /// The attention with the workspace that a compiled step plans.
  ftrt_attention attention(bool gradient) const {
    const Shape &s = GetParam();
    const AttentionShape shape{int64_t(s.batch),    int64_t(s.sequence), int64_t(s.heads),
                               int64_t(s.keyHeads), int64_t(s.headDim),  0.1,
                               mlir::Type()};
    const auto bytes = static_cast<uint64_t>(libraryWorkspaceBytes(shape, gradient));
    return {s.batch, s.sequence, s.heads, s.keyHeads, s.headDim, bytes, 0.1f, gradient};
  }
  /// As many documents as a step ever asks for.
  int64_t documents() const {
    const Shape &s = GetParam();
    return int64_t(s.batch * std::min<uint64_t>(64, s.sequence / 2));
  }

  const Dnn *dnn = nullptr;
  std::optional<DnnOwner> described;
  std::optional<DnnDevice> device;
};

// Each is compiled, which takes seconds.
TEST_P(Plans, AreMadeWithinTheWorkspace) {
  for (bool gradient : {false, true}) {
    const ftrt_attention shape = attention(gradient);
    if (std::string why = whyNoPlan(*device, gradient); !why.empty()) {
      EXPECT_THROW(AttentionPlan(*device, shape, documents()), DnnError);
      std::printf("declined: %s\n", why.c_str());
      continue;
    }
    try {
      AttentionPlan plan(*device, shape, documents());
      EXPECT_LE(plan.workspaceBytes(), shape.workspace_bytes);
      std::printf("%s of cuDNN %zu: %llu of %llu bytes\n", plan.name().c_str(), dnn->functions.getVersion(),
                  static_cast<unsigned long long>(plan.workspaceBytes()),
                  static_cast<unsigned long long>(shape.workspace_bytes));
    } catch (const DnnError &error) {
      ADD_FAILURE() << (gradient ? "gradient: " : "forward: ") << error.what();
    }
  }
}

TEST_P(Plans, AreRefusedWithAReason) {
  ftrt_attention shape = attention(/*gradient=*/false);
  EXPECT_THROW(AttentionPlan(*device, shape, 4, "eng99_k24=1"), DnnError);
  EXPECT_THROW(AttentionPlan(*device, shape, 4, "eng2_k24="), DnnError);
}

class OnePlan : public Plans {};

// The name is all that is kept of a plan.
TEST_P(OnePlan, IsMadeAgainByItsName) {
  const ftrt_attention shape = attention(/*gradient=*/false);
  AttentionPlan plan(*device, shape, documents()), again(*device, shape, documents(), plan.name());
  EXPECT_EQ(again.name(), plan.name());
  EXPECT_EQ(again.workspaceBytes(), plan.workspaceBytes());
  ftrt_attention narrow = shape;
  narrow.workspace_bytes = 1;
  if (plan.workspaceBytes() > 1)
    EXPECT_THROW(AttentionPlan(*device, narrow, documents(), plan.name()), DnnError);
}

INSTANTIATE_TEST_SUITE_P(Devices, OnePlan, testing::Values(Shape{"h200", 3, 77, 4, 2, 16}));

// Llama 3.2 1B and Llama 3 8B, a small one whose rows end inside of every tile, and heads without groups.
INSTANTIATE_TEST_SUITE_P(Devices, Plans,
                         testing::Values(Shape{"h100", 8, 2048, 32, 8, 64}, Shape{"h200", 2, 4096, 32, 8, 128},
                                         Shape{"h200", 3, 77, 4, 2, 16}, Shape{"h100", 1, 512, 12, 12, 96},
                                         Shape{"b200", 2, 4096, 32, 8, 128}, Shape{"b200", 3, 77, 4, 4, 32}),
                         [](const auto &info) {
                           const Shape &s = info.param;
                           return fmt::format("{}_{}x{}_{}_{}_{}", s.device, s.batch, s.sequence, s.heads, s.keyHeads,
                                              s.headDim);
                         });

} // namespace

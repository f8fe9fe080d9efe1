//===- CudaDeviceTest.cpp - Products and copies on the fake driver ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeGpu.h"

#include "ftc/Runtime/Device.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace ftc;
using namespace ftc::test;

namespace {

constexpr uint64_t slabBytes = 12 << 20;

/// Where the operands of the only product lie in the slab.
struct Places {
  uint64_t a = 0, b = 1 << 20, addend = 2 << 20, d = 3 << 20, workspace = 4 << 20;
};
Places places;

int32_t productEntry(const ftrt_services *services, void *const *slabs, const ftrt_scalars *) {
  const ftrt_device *device = services->device;
  const auto base = reinterpret_cast<uint64_t>(slabs[0]);
  return device->matmul(device->context, FTRT_STREAM_COMPUTE, 0, base + places.a, base + places.b, base + places.addend,
                        base + places.d, base + places.workspace)
             ? FTRT_DEVICE_FAILED
             : FTRT_OK;
}

/// A step with one entry that only multiplies, built in memory.
struct ProductStep {
  explicit ProductStep(const ftrt_matmul &product, uint64_t bytes = slabBytes) : product(product) {
    manifest::ManifestT manifest;
    manifest.target = "cuda";
    manifest.device = "h100";
    manifest.architecture = "sm_90a";
    auto slab = std::make_unique<manifest::SlabT>();
    slab->name = "arena";
    slab->bytes = bytes;
    slab->alignment = 256;
    manifest.slabs.push_back(std::move(slab));
    manifest.entries.push_back(std::make_unique<manifest::EntryT>());
    builder.Finish(manifest::Manifest::Pack(builder, &manifest), manifest::ManifestIdentifier());
    step.entry_count = 1;
    step.entries = &entry;
    step.product_count = 1;
    step.products = &this->product;
  }

  std::unique_ptr<Device> open(const DeviceOptions &options = {}) const {
    return openCudaDevice("step.so", step, *manifest::GetManifest(builder.GetBufferPointer()), options);
  }

  flatbuffers::FlatBufferBuilder builder;
  ftrt_matmul product;
  ftrt_entry_fn entry = productEntry;
  ftrt_step step{};
};

float number(uint64_t index) { return static_cast<float>(static_cast<int>(index * 7 % 13) - 6); }

/// A matrix of small whole numbers, whose products are exact in any order.
struct Matrix {
  uint64_t rows, columns, leading;
  uint32_t type;

  uint64_t bytes() const { return ((rows - 1) * leading + columns) * (type == FTRT_F32 ? 4 : 2); }
  std::vector<std::byte> encode(const std::vector<float> &values) const {
    std::vector<std::byte> raw(bytes(), std::byte(0x5a));
    for (uint64_t row = 0; row < rows; ++row)
      for (uint64_t column = 0; column < columns; ++column) {
        const float value = values[row * columns + column];
        const auto half = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
        const uint64_t at = row * leading + column;
        if (type == FTRT_F32)
          std::memcpy(raw.data() + 4 * at, &value, 4);
        else
          std::memcpy(raw.data() + 2 * at, &half, 2);
      }
    return raw;
  }
};

class CudaDevice : public FakeGpuTest {
protected:
  void SetUp() override { places = Places(); }

  /// Runs the product and compares every byte of d, what lies between its rows included.
  void expectProduct(const ftrt_matmul &p) {
    const ProductStep step(p);
    auto device = step.open();
    const Matrix a{p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda, p.type_a};
    const Matrix b{p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb, p.type_b};
    const Matrix d{p.m, p.n, p.ldd, p.type_d};
    std::vector<float> valuesA(p.m * p.k), valuesB(p.k * p.n), addend(p.m * p.n), expected(p.m * p.n);
    for (uint64_t i = 0; i < valuesA.size(); ++i)
      valuesA[i] = number(i);
    for (uint64_t i = 0; i < valuesB.size(); ++i)
      valuesB[i] = number(i + 5) / 2;
    for (uint64_t i = 0; i < addend.size(); ++i)
      addend[i] = number(i + 3);
    for (uint64_t row = 0; row < p.m; ++row)
      for (uint64_t column = 0; column < p.n; ++column) {
        float sum = p.has_addend ? addend[row * p.n + column] : 0;
        for (uint64_t i = 0; i < p.k; ++i)
          sum += valuesA[p.transpose_a ? i * p.m + row : row * p.k + i] *
                 valuesB[p.transpose_b ? column * p.k + i : i * p.n + column];
        expected[row * p.n + column] = sum;
      }
    const auto write = [&](uint64_t at, const std::vector<std::byte> &raw) {
      device->write(0, at, raw.data(), raw.size());
    };
    write(places.a, a.encode(valuesA));
    write(places.b, b.encode(valuesB));
    write(places.addend, d.encode(addend));
    write(places.d, std::vector<std::byte>(d.bytes(), std::byte(0x5a)));
    device->run(0, {});
    std::vector<std::byte> result(d.bytes());
    device->read(0, places.d, result.data(), result.size());
    EXPECT_TRUE(result == d.encode(expected)) << "transposes " << p.transpose_a << p.transpose_b << ", types "
                                              << p.type_a << p.type_d << ", addend " << p.has_addend;
  }
};

TEST_F(CudaDevice, MultipliesRowMajorMatrices) {
  for (uint32_t transposes = 0; transposes < 4; ++transposes)
    for (uint32_t hasAddend : {0u, 1u})
      for (auto [in, out] : {std::pair{FTRT_F32, FTRT_F32}, {FTRT_BF16, FTRT_BF16}, {FTRT_BF16, FTRT_F32}}) {
        const uint32_t transposeA = transposes & 1, transposeB = transposes >> 1;
        ftrt_matmul p{};
        p.m = 3, p.n = 5, p.k = 4;
        p.lda = (transposeA ? p.m : p.k) + 2;
        p.ldb = (transposeB ? p.k : p.n) + 3;
        p.ldd = p.n + 1;
        p.type_a = p.type_b = static_cast<uint32_t>(in);
        p.type_d = static_cast<uint32_t>(out);
        p.transpose_a = transposeA;
        p.transpose_b = transposeB;
        p.has_addend = hasAddend;
        p.workspace_bytes = 1024;
        expectProduct(p);
      }
}

ftrt_matmul square(uint64_t size) {
  ftrt_matmul p{};
  p.m = p.n = p.k = p.lda = p.ldb = p.ldd = size;
  p.has_addend = 1;
  p.workspace_bytes = 4096;
  return p;
}

TEST_F(CudaDevice, TellsCublasLtHowOperandsLie) {
  calls();
  ProductStep(square(64)).open();
  // Their A is our b. Sums: whole, or joined in fp32.
  EXPECT_EQ(count(calls(), "cublasLtMatmulAlgoGetHeuristic workspace 4096 reduction 2 alignment 256 256 256 256"), 1u);
  places.a += 16;
  places.d += 64;
  ProductStep(square(64)).open();
  EXPECT_EQ(count(calls(), "cublasLtMatmulAlgoGetHeuristic workspace 4096 reduction 2 alignment 256 16 256 64"), 1u);
  ProductStep(square(6)).open(); // rows of 24 bytes
  EXPECT_EQ(count(calls(), "cublasLtMatmulAlgoGetHeuristic workspace 4096 reduction 2 alignment 8 8 8 8"), 1u);
}

TEST_F(CudaDevice, RefusesOperandsOutsideOfTheirSlab) {
  const auto refuses = [](const ftrt_matmul &product, const std::vector<std::string> &parts) {
    expectRefusal(ExitCode::BadStep, parts, [&] { ProductStep(product).open(); });
  };
  places.d = slabBytes - 64 * 64 * 4 + 4;
  refuses(square(64), {"step.so", "entry 0", "product 0 (64 x 64 by 64 x 64, fp32 by fp32 to fp32): operand d"});
  places = Places();
  places.b += 2;
  refuses(square(64), {"operand b"});
  places = Places();
  places.workspace += 128;
  refuses(square(64), {"workspace", "not aligned to 256"});
  places = Places();
  ftrt_matmul narrow = square(64);
  narrow.ldb = 63;
  refuses(narrow, {"product 0", "sizes or types that cannot be"});
  narrow = square(64);
  narrow.type_d = 7;
  refuses(narrow, {"64 x 64 by 64 x 64, fp32 by fp32 to unknown"});
  narrow = square(64);
  narrow.k = 0;
  refuses(narrow, {"sizes or types that cannot be"});
}

/// In the step's own memory, which is left as it was.
TEST_F(CudaDevice, MeasuresHowFastItMultiplies) {
  places.b = 1024, places.addend = 2048, places.d = 3072, places.workspace = 4096;
  const ProductStep step(square(4), 300 << 10), narrow(square(4), 16 << 10);
  auto device = step.open();
  calls();
  const MatrixRate rate = device->measureMatrixRate(0.01);
  EXPECT_GT(rate.flops, 1e6);
  EXPECT_EQ(rate.what, "128 x 128 by 128 x 128, fp32 by fp32 to fp32");
  const auto lines = calls();
  EXPECT_GE(count(lines, "run matmul"), 3u);
  EXPECT_EQ(count(lines, "cuMemAlloc"), 0u);
  std::vector<std::byte> bytes(300 << 10);
  device->read(0, 0, bytes.data(), bytes.size());
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte(0)), static_cast<std::ptrdiff_t>(bytes.size()));
  EXPECT_EQ(narrow.open()->measureMatrixRate(0.01).flops, 0); // no room

  const CopyRate copies = device->measureCopyRate(0.01);
  EXPECT_GT(copies.bytesPerSecond, 1e6);
  EXPECT_EQ(copies.bytes, 150u << 10);
  EXPECT_EQ(count(calls(), "cuMemAlloc"), 1u); // of the narrow one
  device->read(0, 0, bytes.data(), bytes.size());
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte(0)), static_cast<std::ptrdiff_t>(bytes.size()));
}

/// Which of the fake library's three algorithms computes the product: number n adds (n - 1) / 1024.
size_t algorithmOf(Device &device) {
  std::vector<float> zeros(64 * 64);
  for (uint64_t at : {places.a, places.b, places.addend})
    device.write(0, at, zeros.data(), 4 * zeros.size());
  device.run(0, {});
  float result = -1;
  device.read(0, places.d, &result, sizeof(result));
  return static_cast<size_t>(result * 1024) + 1;
}

TEST_F(CudaDevice, TunesProducts) {
  const ProductStep step(square(4));
  for (size_t slow : {0, 1, 2}) {
    const Variable some("FAKE_LT_SLOW", std::to_string(slow));
    auto device = step.open({.tune = true});
    const ProductAlgorithms &found = device->algorithms();
    EXPECT_EQ(found.library, "cuBLASLt 13.1.0");
    EXPECT_EQ(found.device, "Fake GPU (sm_90)");
    ASSERT_EQ(found.products.size(), 1u);
    EXPECT_EQ(found.products[0].what, "4 x 4 (pitch 4) by 4 x 4 (pitch 4), fp32 by fp32 to fp32 (pitch 4), added, "
                                      "workspace 4096");
    EXPECT_GT(found.products[0].seconds, 0);
    if (slow == 0) {
      EXPECT_LT(found.products[0].firstSeconds, 1e-3);
      continue; // any of them may have been the fastest
    }
    EXPECT_GT(found.products[0].firstSeconds, 1e-3);
    EXPECT_GE(algorithmOf(*device), slow + 1);
    EXPECT_LT(found.products[0].seconds, found.products[0].firstSeconds);
    EXPECT_EQ(found.products[0].words[0], algorithmOf(*device));
    // Memory is zero afterwards, as it is without.
    std::vector<std::byte> bytes(64);
    device->read(0, places.workspace, bytes.data(), bytes.size());
    EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size()));
  }
  // Without tuning it is the first, whatever is faster, and nothing was measured.
  const Variable some("FAKE_LT_SLOW", "2");
  auto device = step.open();
  EXPECT_EQ(algorithmOf(*device), 1u);
  EXPECT_EQ(device->algorithms().products[0].words[0], 1u);
  EXPECT_EQ(device->algorithms().products[0].seconds, 0);
}

TEST_F(CudaDevice, TakesAlgorithmsThatWereKept) {
  const ProductStep step(square(4)), other(square(5));
  ProductAlgorithms kept = step.open()->algorithms();
  ASSERT_EQ(kept.products.size(), 1u);
  kept.products[0].words[0] = 3;
  kept.products[0].seconds = 1;
  calls();
  auto device = step.open({.algorithms = &kept});
  EXPECT_EQ(algorithmOf(*device), 3u);
  EXPECT_EQ(device->algorithms().products[0].seconds, 1);
  EXPECT_EQ(count(calls(), "cublasLtMatmulAlgoGetHeuristic"), 0u);
  // Of another step, library or device: chosen anew.
  EXPECT_EQ(algorithmOf(*other.open({.algorithms = &kept})), 1u);
  {
    const Variable newer("FAKE_LT_VERSION", "130200");
    auto anew = step.open({.algorithms = &kept});
    EXPECT_EQ(algorithmOf(*anew), 1u);
    EXPECT_EQ(anew->algorithms().library, "cuBLASLt 13.2.0");
  }
  ProductAlgorithms elsewhere = kept;
  elsewhere.device = "NVIDIA H100 (sm_90)";
  EXPECT_EQ(algorithmOf(*step.open({.algorithms = &elsewhere})), 1u);
  // One that the library does not know.
  kept.products[0].words[0] = 9;
  expectRefusal(ExitCode::BadStep, {"product 0 (4 x 4 by 4 x 4", "CUBLAS_STATUS_NOT_SUPPORTED", "tune again"},
                [&] { step.open({.algorithms = &kept}); });
  // Nor one that needs more memory than is planned.
  kept.products[0].words[0] = 1;
  kept.products[0].words[2] = 4097;
  expectRefusal(ExitCode::BadStep, {"product 0"}, [&] { step.open({.algorithms = &kept}); });
}

/// Copies larger than both halves of the staging buffer, at any place.
TEST_F(CudaDevice, CopiesThroughASmallBuffer) {
  const ProductStep step(square(4));
  auto device = step.open();
  EXPECT_LT(device->pinnedBytes(), 9u << 20);
  std::vector<uint32_t> values((11 << 20) / 4), back(values.size());
  for (size_t index = 0; index < values.size(); ++index)
    values[index] = static_cast<uint32_t>(index) * 2654435761u;
  device->write(0, 512, values.data(), 4 * values.size());
  device->read(0, 512, back.data(), 4 * back.size());
  EXPECT_TRUE(values == back);
  device->read(0, 512 + 4 * 777, back.data(), 8);
  EXPECT_EQ(back[0], values[777]);
  EXPECT_EQ(back[1], values[778]);
  device->zero(0, 512 + 4 * 777, 4);
  device->read(0, 512 + 4 * 776, back.data(), 12);
  EXPECT_EQ(back[0], values[776]);
  EXPECT_EQ(back[1], 0u);
  EXPECT_EQ(back[2], values[778]);
  device->write(0, 512, values.data(), 0);
  device->read(0, 512, back.data(), 0);
}

} // namespace

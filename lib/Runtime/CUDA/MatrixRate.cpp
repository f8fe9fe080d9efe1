//===- MatrixRate.cpp - How fast a GPU multiplies and copies ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a step's speed is compared with, and what that of row kernels: a copy within the memory, of so much that caches
// do not help. A product: a square product by the same library, in the same types, with the same demands (no TF32, a
// fixed order of sums) and workspace. Operands are random: a GPU multiplies zeros at a higher clock.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace ftc::cuda {
namespace {

constexpr uint64_t largest = 8192, granule = 64;
constexpr uint64_t largestCopy = 1 << 30;

uint64_t elementBytes(uint32_t type) { return type == FTRT_BF16 ? 2 : 4; }

/// Numbers with magnitudes in [0.5, 1) and random signs, as fp32 and, pair by pair, as bf16.
std::vector<uint32_t> randomNumbers(size_t count) {
  std::vector<uint32_t> numbers(count);
  uint64_t state = 1;
  for (uint32_t &number : numbers) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    number = (static_cast<uint32_t>(state >> 32) & 0x807f807fu) | 0x3f003f00u;
  }
  return numbers;
}

/// The least seconds that one of `work(rounds)`'s rounds takes, over about `seconds`.
template <typename Work> double fastest(double seconds, Work work) {
  using Clock = std::chrono::steady_clock;
  const auto timed = [&](int rounds) {
    const auto start = Clock::now();
    work(rounds);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  timed(1);
  // Enough of them at once that queueing and waiting do not count.
  int rounds = 1;
  double best = timed(rounds);
  for (double last = best; last < 0.1 * seconds; best = std::min(best, last / rounds))
    last = timed(rounds *= 2);
  const auto begin = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds)
    best = std::min(best, timed(rounds) / rounds);
  return best;
}

} // namespace

uint32_t CudaDevice::largestSlab() const {
  uint32_t slab = 0;
  for (uint32_t index = 0; index < allocations.size(); ++index)
    if (allocations[index] &&
        (!allocations[slab] || info.slabs()->Get(index)->bytes() > info.slabs()->Get(slab)->bytes()))
      slab = index;
  return slab;
}

CopyRate CudaDevice::measureCopyRate(double seconds) {
  enter();
  const uint32_t slab = largestSlab();
  if (!allocations[slab])
    return {};
  const uint64_t room = info.slabs()->Get(slab)->bytes(), bytes = std::min(largestCopy, room / 2) / 256 * 256;
  if (bytes == 0)
    return {};
  const char *what = "a copy within the device's memory failed";
  const Address from = allocations[slab];
  require(cu.memsetD8Async(from, 0x3c, bytes, computeStream()), what, ExitCode::StepFailed);
  const double best = fastest(seconds, [&](int rounds) {
    for (int round = 0; round < rounds; ++round)
      require(cu.memcpyDtoDAsync(from + bytes, from, bytes, computeStream()), what, ExitCode::StepFailed);
    require(cu.streamSynchronize(computeStream()), what, ExitCode::StepFailed);
  });
  zero(slab, 0, room);
  return {2.0 * static_cast<double>(bytes) / best, bytes};
}

MatrixRate CudaDevice::measureMatrixRate(double seconds) {
  enter();
  if (!products)
    return {};
  const ftrt_matmul &model =
      *std::max_element(step.products, step.products + step.product_count,
                        [](const ftrt_matmul &x, const ftrt_matmul &y) { return x.m * x.n * x.k < y.m * y.n * y.k; });
  const uint32_t slab = largestSlab();
  const uint64_t room = info.slabs()->Get(slab)->bytes();
  const uint64_t element =
      elementBytes(model.type_a) + elementBytes(model.type_b) + elementBytes(model.type_d); // of the three matrices
  uint64_t size = largest;
  while (size > 0 && size * size * element + model.workspace_bytes + 1024 > room)
    size -= granule;
  if (!allocations[slab] || size == 0)
    return {};

  ftrt_matmul product{};
  product.m = product.n = product.k = product.lda = product.ldb = product.ldd = size;
  product.type_a = model.type_a, product.type_b = model.type_b, product.type_d = model.type_d;
  product.workspace_bytes = model.workspace_bytes;
  ftrt_step square{};
  square.product_count = 1;
  square.products = &product;
  const Products rate(path, square, {OperandAlignment()});
  const auto aligned = [](uint64_t bytes) { return (bytes + 255) / 256 * 256; };
  const uint64_t b = aligned(size * size * elementBytes(model.type_a));
  const uint64_t d = b + aligned(size * size * elementBytes(model.type_b));
  const uint64_t workspace = d + aligned(size * size * elementBytes(model.type_d));
  const std::vector<uint32_t> numbers = randomNumbers(stagingBytes / 4);
  for (uint64_t done = 0; done < d; done += stagingBytes)
    write(slab, done, numbers.data(), std::min(stagingBytes, d - done));

  const Address base = allocations[slab];
  const double best = fastest(seconds, [&](int rounds) {
    for (int round = 0; round < rounds; ++round)
      if (LtStatus status = rate.run(0, computeStream(), base, base + b, 0, base + d, base + workspace); status != 0)
        throw RunError(ExitCode::StepFailed,
                       fmt::format("{}: {}: {}", path, describeProduct(0, product), rate.statusText(status)));
    require(cu.streamSynchronize(computeStream()), "a product failed", ExitCode::StepFailed);
  });
  zero(slab, 0, room);
  const std::string text = describeProduct(0, product);
  const auto edge = static_cast<double>(size);
  return {2.0 * edge * edge * edge / best, text.substr(text.find('(') + 1, text.rfind(')') - text.find('(') - 1)};
}

} // namespace ftc::cuda

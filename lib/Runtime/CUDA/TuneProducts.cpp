//===- TuneProducts.cpp - The fastest algorithm of each product ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuBLASLt's heuristic guesses. Here its best few guesses are timed, each product at the places that it has in the
// plan, and the fastest is taken: among those only that fit into the planned workspace and whose sums have a fixed
// order, so bits are as stable as before, but they are other bits. What is measured differs from run to run; that is
// why the choice is kept (Device::algorithms), and reused when a run goes on.
//
// Memory holds one number everywhere meanwhile, not zeros: a GPU multiplies zeros at a higher clock.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace ftc::cuda {
namespace {

/// Each byte of memory while products are timed: 0.0115 as fp32 and as bf16.
constexpr unsigned char filling = 0x3c;
/// A later candidate is taken when it is faster than the best before by this, so that noise does not choose.
constexpr double clearly = 0.98;
/// Seconds that a measurement takes, at least: so much that queueing and waiting do not count.
constexpr double longEnough = 2e-3;
constexpr int mostRounds = 256, repeats = 3;

} // namespace

/// The time of product `index` with the algorithm that is selected, the best of some measurements.
double CudaDevice::secondsOf(size_t index) const {
  using Clock = std::chrono::steady_clock;
  const ProductPlaces &at = places[index];
  const auto multiply = [&](int rounds) {
    const auto start = Clock::now();
    for (int round = 0; round < rounds; ++round)
      if (LtStatus status = products->run(index, computeStream(), at.a, at.b, at.addend, at.d, at.workspace);
          status != 0)
        throw RunError(ExitCode::StepFailed,
                       fmt::format("{}: {}: {}", path, describeProduct(index, step.products[index]),
                                   products->statusText(status)));
    require(cu.streamSynchronize(computeStream()), describeProduct(index, step.products[index]), ExitCode::StepFailed);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  multiply(1); // loads its code
  int rounds = 1;
  double best = multiply(rounds);
  while (best < longEnough && rounds < mostRounds)
    best = multiply(rounds *= 2);
  for (int again = 1; again < repeats; ++again)
    best = std::min(best, multiply(rounds));
  return best / rounds;
}

/// Selects the fastest candidate of each product.
void CudaDevice::tuneProducts() {
  if (!products)
    return;
  for (uint32_t slab = 0; slab < allocations.size(); ++slab)
    if (allocations[slab])
      require(cu.memsetD8Async(allocations[slab], filling, info.slabs()->Get(slab)->bytes(), computeStream()),
              "cannot fill memory", ExitCode::StepFailed);
  for (size_t index = 0; index < places.size(); ++index) {
    if (!places[index].d)
      continue; // no entry asks for it
    ProductAlgorithms::Product &product = chosen.products[index];
    size_t best = 0;
    for (size_t candidate = 0; candidate < products->candidates(index).size(); ++candidate) {
      products->select(index, candidate);
      const double seconds = secondsOf(index);
      if (candidate == 0)
        product.firstSeconds = product.seconds = seconds;
      else if (seconds < clearly * product.seconds)
        product.seconds = seconds, best = candidate;
    }
    products->select(index, best);
    std::copy_n(products->selected(index).data, product.words.size(), product.words.begin());
  }
}

} // namespace ftc::cuda

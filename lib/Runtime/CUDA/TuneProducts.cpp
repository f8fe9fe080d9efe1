//===- TuneProducts.cpp - The fastest algorithms of products and attention -===//
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
// An attention that cuDNN computes is timed with the whole entry that asks for it, since our own kernels are only known
// to the entry: with cuDNN and without, on a batch of one document a row. What is slower is left for good.
//
// Memory holds one number everywhere meanwhile, not zeros: a GPU multiplies zeros at a higher clock.
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

#include "ftc/Support/Units.h"

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

/// Queues product `index` at the places that it has in its first call. Throws where that fails.
void CudaDevice::multiply(size_t index) const {
  const ProductPlaces &at = places[index];
  if (LtStatus status = products->run(index, computeStream(), at.a, at.b, at.addend, at.d, at.workspace); status != 0)
    throw RunError(ExitCode::StepFailed,
                   fmt::format("{}: {}: {}; the step cannot run here", path,
                               describeProduct(index, step.products[index]), products->statusText(status)));
}

/// The time of product `index` with the algorithm that is selected, the best of some measurements.
double CudaDevice::secondsOf(size_t index) const {
  using Clock = std::chrono::steady_clock;
  const auto repeat = [&](int rounds) {
    const auto start = Clock::now();
    for (int round = 0; round < rounds; ++round)
      multiply(index);
    require(cu.streamSynchronize(computeStream()), describeProduct(index, step.products[index]), ExitCode::StepFailed);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  repeat(1); // loads its code
  int rounds = 1;
  double best = repeat(rounds);
  while (best < longEnough && rounds < mostRounds)
    best = repeat(rounds *= 2);
  for (int again = 1; again < repeats; ++again)
    best = std::min(best, repeat(rounds));
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

/// The time of an entry with a document a row, the best of some runs.
double CudaDevice::secondsOfEntry(size_t index) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int round = 0; round <= repeats; ++round) {
    const auto start = Clock::now();
    queueEntry(index, 0);
    finish(index);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (round > 0) // the first one warms up
      best = round == 1 ? seconds : std::min(best, seconds);
  }
  return best;
}

/// Leaves those attentions to our own kernels that these are faster at.
void CudaDevice::tuneAttentions() {
  for (size_t index = 0; attention && index < step.attention_count; ++index) {
    if (!attention->computes(index))
      continue;
    const size_t entry = attention->entryOf(index);
    chooseVariant(entry); // lists a document a row
    const double with = secondsOfEntry(entry);
    attention->pause(index, true);
    const double without = secondsOfEntry(entry);
    attention->pause(index, false);
    if (without < clearly * with)
      attention->leave(index, fmt::format("they are faster: with them an entry takes {}, with {} {}",
                                          formatSeconds(without), attention->library(), formatSeconds(with)));
  }
  if (attention)
    chosen.attentions = attention->choices();
}

} // namespace ftc::cuda

//===- EmulatedStep.h - A whole step on an emulated GPU ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_EMULATEDSTEP_H
#define FTC_TEST_UNIT_TARGET_EMULATEDSTEP_H

#include "CompiledPlan.h"
#include "EmulatedStreams.h"
#include "Emulator.h"

namespace ftc::test {

/// A module of plan ops with places and working memory, compiled for a GPU. The step's entries run as they are, behind
/// a table of services that runs the device's functions in the emulation, and multiplies by itself. What is queued runs
/// when the entry is over: as a GPU may do it, the compute stream ahead of the others wherever events allow.
class EmulatedStep : public CompiledPlan {
public:
  /// `share`: functions that differ in numbers alone are one, as in every step that ftc makes. They stand in several
  /// modules, as there.
  EmulatedStep(mlir::ModuleOp plan, const std::string &device, bool share = true);

  /// The last block, warp and lane run first, and copies and decoding ahead of the compute stream.
  void setBackwards(bool backwards) { this->backwards = backwards; }
  /// The call number `number` (from 0) of the table fails.
  void failAt(int number) { failingCall = number; }

  /// Attention that the table is asked for is computed by it, by plain loops over the documents of each row, which it
  /// looks up as a library would be told of them. Otherwise it declines.
  void attendByLibrary(bool attend) { attends = attend; }

  /// Fills all slabs with zeros.
  void clear();

  const ftrt_step &table() const { return *step; }
  /// How often each function of the table was called.
  int launches = 0, products = 0, attentions = 0, uploads = 0, copies = 0;
  int decodedAhead = 0; ///< launches on the stream for that

  /// Products on tensor cores so far, of a warp each.
  int64_t tensorProducts() const { return emulator->tensorProducts(); }

  ftrt_services servicesFor(unsigned threads) override;
  int32_t call(size_t entry, const ftrt_services &services, const ftrt_scalars &scalars) override;

private:
  /// Queues `work`, which is one of `which`; 77 where it is the call that fails.
  int32_t queue(uint32_t stream, int &which, std::function<void()> work);
  int32_t launch(uint32_t stream, uint32_t kernel, const uint64_t *addresses);
  /// Sizes of what a function of the device is given: of the buffers of the plan's launch that it is called for.
  std::vector<size_t> bytesOf(llvm::StringRef function, const uint64_t *addresses, uint32_t count);
  int32_t multiply(uint32_t stream, uint32_t product, uint64_t a, uint64_t b, uint64_t addend, uint64_t d,
                   uint64_t workspace);
  int32_t attend(uint32_t stream, uint32_t attention, const uint64_t *addresses);
  /// Whether [at, at + bytes) is inside of a slab.
  bool isInside(uint64_t at, uint64_t bytes) const;

  std::unique_ptr<Emulator> emulator;
  ftrt_device device{};
  bool backwards = false, attends = false;
  int calls = 0, failingCall = -1;
  EmulatedStreams streams;
  /// A launch of the plan: kernel, whether it decodes a weight, begin and end of each buffer.
  struct Planned {
    std::string kernel;
    bool decodes;
    std::vector<std::pair<uint64_t, uint64_t>> buffers;
  };
  std::vector<Planned> planned; ///< of the entry that runs
  size_t reached = 0;           ///< the launch that it has come to
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_EMULATEDSTEP_H

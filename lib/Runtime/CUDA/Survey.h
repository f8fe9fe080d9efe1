//===- Survey.h - What a step's entries ask of a device --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_RUNTIME_CUDA_SURVEY_H
#define FTC_LIB_RUNTIME_CUDA_SURVEY_H

#include "Products.h"

#include "ftc/Schema/manifest_generated.h"

namespace ftc::cuda {

/// Most arguments of a kernel: its parameters take 4 KiB at most.
constexpr uint32_t maxArguments = 512;

/// Where the operands of a product lie in its first call.
struct ProductPlaces {
  Address a = 0, b = 0, addend = 0, d = 0, workspace = 0;
};

/// What all calls of all entries have in common.
struct Survey {
  std::vector<ProductPlaces> places;        ///< of each product of the step; zeros for one that is never asked for
  std::vector<OperandAlignment> alignments; ///< of each product of the step
  uint64_t launches = 0, products = 0, copies = 0;
  /// An entry asks for an attention of these segment starts.
  struct Attends {
    size_t entry;
    uint32_t attention;
    Address starts;
  };
  std::vector<Attends> attends; ///< once for each that differs
};

/// Checks the tables of a step for a device (kernels, modules, products, attentions). Throws RunError(BadStep).
void checkTables(const std::string &path, const ftrt_step &step);

/// Calls every entry with a device that does nothing but look. What an entry calls does not depend on what is stored in
/// memory, so nothing of this changes later, whether attention is declined or not: every address lies in a slab, every
/// number is one of the step's, every event that is waited for was recorded before. `slabs` are the bases on the
/// device. Throws RunError(BadStep).
Survey surveyEntries(const std::string &path, const ftrt_step &step, const manifest::Manifest &manifest,
                     const std::vector<void *> &slabs, const ftrt_scalars *scalars);

} // namespace ftc::cuda

#endif // FTC_LIB_RUNTIME_CUDA_SURVEY_H

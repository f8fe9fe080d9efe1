//===- CudaCases.h - Small recipes for an emulated GPU --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_CUDACASES_H
#define FTC_TEST_UNIT_TARGET_CUDACASES_H

#include "ftc/Pipelines/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <ostream>
#include <string>

namespace ftc::test {

/// A GPU whose L2 cache holds two slabs of 16 KiB, so that small weights are decoded in several.
inline const char smallDevice[] = FTC_SOURCE_DIR "/test/Target/CUDA/Inputs/small_l2.yaml";

/// A recipe and how its step is run.
struct Case {
  const char *name;
  DType dtype;
  void (*change)(Recipe &) = [](Recipe &) {};
  std::string device = "h100"; ///< or a device file
  bool stepByStep = false;     ///< each step begins where the interpreter's does
  bool library = false;        ///< attention is the host's, as far as it is asked for it
};

void PrintTo(const Case &which, std::ostream *out);

/// Two layers, rows of 13 tokens and a vocabulary of 90: nothing is a multiple of a block.
Recipe recipeOf(const Case &which);

/// Adapters with dropout, beside untied embeddings.
void addAdapters(Recipe &recipe);

/// Pairs of answers. The log-probabilities of random answers differ by much more than a unit.
void addPreference(Recipe &recipe);

/// Pairs of answers, and all weights are trained: the reference is a second model.
void addFullPreference(Recipe &recipe);

/// A teacher of other sizes, one layer of three heads.
void addTeacher(Recipe &recipe);

/// Square matrices of width * width elements: 8-bit states need 4096, torchao's NF4 multiples of 16384.
void widen(Recipe &recipe, int64_t width);

/// Adapters beside weights in torchao's four bits. Heads are so narrow that attention is computed in fp32: adapters
/// begin at zero and follow the signs of gradients, so with one that rounds its weights, three steps that follow each
/// other would move apart by more than the bar. QloraTensorCores takes them one by one.
void addWideAdapters(Recipe &recipe);

/// The recipe for `target` after a stage; null, and a failure of the test, where it does not compile.
mlir::OwningOpRef<mlir::ModuleOp> compileTo(Stage stage, const Case &which, const std::string &target,
                                            ByLaunch byLaunch = ByLaunch::No);

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_CUDACASES_H

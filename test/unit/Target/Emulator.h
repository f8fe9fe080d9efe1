//===- Emulator.h - GPU functions run on the CPU ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which thread takes which column, and what lanes give each other, is decided by cuda-lower-kernels; so that is what
// has to be run. A gpu.func is compiled for this machine as it is, with calls in place of the few ops that a GPU alone
// has: the numbers of thread and block, shuffles, barriers, products on tensor cores and copies in the background. Each
// lane is a fiber with a stack of its own; one that calls a shuffle, a product or a barrier stops until all lanes of
// its warp, or of the block, have come there. Warps run one after the other, in an order that the caller picks, and so
// do lanes between two stops: results must not depend on it. A copy in the background happens when it is waited for;
// until then its target is no number. Every access to memory has to be aligned as its op says, and to lie in shared
// memory or in one of the kernel's buffers: a GPU would not notice, since all buffers lie in one slab.
//
// It lives with the tests because nothing but a test may ever run it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_EMULATOR_H
#define FTC_TEST_UNIT_TARGET_EMULATOR_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ftc::test {

/// The device's functions as the CUDA target makes them. Each thread of a block is a fiber; shuffles, barriers and
/// shared memory are the block's.
class Emulator {
public:
  /// Lowers all kernels of `plan` for `device`. A failure fails the test, and ok() is false.
  Emulator(mlir::ModuleOp plan, const std::string &device);
  /// Takes the functions out of a module that cuda-lower-kernels has been through.
  explicit Emulator(mlir::ModuleOp lowered);
  ~Emulator();

  bool ok() const;

  /// Runs the function `name` on all its blocks. `bytes`: sizes of the buffers; nothing outside of them may be touched.
  /// `backwards`: the last block, warp and lane first. `grid` blocks of `block` threads, where kernels share a
  /// function, and `sizes`, where it takes numbers behind its buffers. Returns "", or what is wrong: threads that do
  /// not meet at the same shuffle or barrier, writes behind the shared memory, accesses that are not allowed.
  std::string run(const std::string &name, const std::vector<void *> &buffers, const std::vector<size_t> &bytes,
                  bool backwards, int64_t grid = 0, int64_t block = 0, const std::vector<uint64_t> &sizes = {});

  /// How often a warp has multiplied on tensor cores, in all runs.
  int64_t tensorProducts() const;
  /// The number of the module that a function was in; nullopt for none.
  std::optional<uint32_t> moduleOf(const std::string &name) const;

private:
  void load(mlir::ModuleOp lowered);

  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_EMULATOR_H

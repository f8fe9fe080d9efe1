//===- Emulator.h - GPU functions run on the CPU ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Which thread takes which column, and what lanes give each other, is decided by cuda-lower-rows; so that is what has
// to be run. A gpu.func is compiled for this machine as it is, with calls in place of the few ops that a GPU alone has:
// the numbers of thread and block, shuffles, and the barrier of a warp. Each lane is a fiber with a stack of its own;
// one that calls a shuffle or a barrier stops until all lanes of its warp have come there. Warps run one after the
// other, in an order that the caller picks, and so do lanes between two stops: results must not depend on it.
//
// It lives with the tests because nothing but a test may ever run it.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_EMULATOR_H
#define FTC_TEST_UNIT_TARGET_EMULATOR_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <memory>
#include <string>
#include <vector>

namespace ftc::test {

/// The row kernels of a plan as the CUDA target makes them.
class Emulator {
public:
  /// Lowers all row kernels of `plan` for `device`. A failure fails the test, and ok() is false.
  Emulator(mlir::ModuleOp plan, const std::string &device);
  ~Emulator();

  bool ok() const;

  /// Runs the kernel `name` on all its blocks. `backwards`: the last warp and the last lane first. Returns "", or what
  /// is wrong: lanes that do not meet at the same shuffle or barrier.
  std::string run(const std::string &name, const std::vector<void *> &buffers, bool backwards);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_EMULATOR_H

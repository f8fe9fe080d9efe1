//===- EmulatedPlan.h - A plan of row kernels on an emulated GPU --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TARGET_EMULATEDPLAN_H
#define FTC_TEST_UNIT_TARGET_EMULATEDPLAN_H

#include "CompiledPlan.h"
#include "Emulator.h"

#include <map>

namespace ftc::test {

/// A module of plan ops with places whose kernels are all row kernels, lowered for a GPU, with slabs of its own.
class EmulatedPlan {
public:
  EmulatedPlan(mlir::ModuleOp plan, const std::string &device);
  ~EmulatedPlan();
  EmulatedPlan(const EmulatedPlan &) = delete;
  EmulatedPlan &operator=(const EmulatedPlan &) = delete;

  bool ok() const { return emulator.ok(); }

  /// Fills the inputs of the entry `name`, runs its launches, returns its outputs. `backwards`: as Emulator::run.
  reference::NamedTensors run(llvm::StringRef name, const reference::NamedTensors &inputs, bool backwards);

private:
  uint8_t *address(mlir::Value buffer) const;

  mutable mlir::ModuleOp plan;
  Emulator emulator;
  std::map<std::string, void *> slabs;
};

/// Runs every entry of `text` in both orders, with normal numbers (`inputs` replaces those it names), and
/// expects the interpreter's bits in every output.
void expectEmulatedAsInterpreted(llvm::StringRef text, const reference::NamedTensors &inputs = {});

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TARGET_EMULATEDPLAN_H

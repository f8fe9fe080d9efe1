//===- PlanInterpreter.h - Runs plan IR plainly -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle of the plan dialect. It runs entries over real bytes: one byte array a slab once buffers have their
// places, one a buffer before, so that a plan can be compared with itself before and after placing, and with the train
// graph it came from.
//
// Precision: the arithmetic of bodies is done in their own types (f32 in f32, one rounding an op, fma fused), and
// plan.reduce and plan.accumulate add in the order that the ops state. plan.matmul adds with fma in f32 in ascending k.
// Attention is computed in f64 and rounded once, more accurately than compiled code.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_REFERENCE_PLANINTERPRETER_H
#define FTC_REFERENCE_PLANINTERPRETER_H

#include "ftc/Reference/TrainInterpreter.h"

#include "dialects/Plan/IR/Plan.h"

#include <memory>

namespace ftc::reference {

class PlanMemory;

/// Interprets the entries of one module of plan IR and keeps its variables between runs. The module must be verified,
/// and outlive the interpreter.
class PlanInterpreter {
public:
  explicit PlanInterpreter(mlir::ModuleOp module);
  ~PlanInterpreter();

  /// Replaces a variable. Fails if there is none of this name, shape and element type.
  llvm::Error set(llvm::StringRef name, const Tensor &value);
  /// The value of a variable.
  llvm::Expected<Tensor> get(llvm::StringRef name) const;

  /// Runs the entry `name`. `inputs` has every plan.input by name. Returns the outputs by name. Fails on a missing,
  /// unknown or mistyped input, on a read of bytes that nothing has written, on an access outside of a buffer, and on
  /// an op that bodies do not have; variables are then partly written.
  llvm::Expected<NamedTensors> run(llvm::StringRef name, const NamedTensors &inputs);

  /// Tasks of parallel rows run last to first: results must not depend on it.
  void setReverseTasks(bool reverse) { reverseTasks = reverse; }

  /// Copies to and from the far tier happen when they are waited for instead of where they begin: results must not
  /// depend on it.
  void setLateCopies(bool late) { lateCopies = late; }

private:
  mlir::ModuleOp module;
  std::unique_ptr<PlanMemory> memory;
  bool reverseTasks = false, lateCopies = false;
};

} // namespace ftc::reference

#endif // FTC_REFERENCE_PLANINTERPRETER_H

//===- TrainInterpreter.h - Runs train IR plainly -----------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The oracle of the train dialect: the formulas of TrainOps.td as loops, written to be read, not to be fast. A step
// that is compiled has to agree with it within rounding; a pass that claims to change no result has to leave its
// outputs identical.
//
// Precision: every result is rounded to its element type where it is defined, inside a train.fused too. Arithmetic
// within one op is in double, so f32 and bf16 results are at least as accurate as compiled code's, and f64 tensors have
// double's full precision, which the finite-difference tests of the gradients need.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_REFERENCE_TRAININTERPRETER_H
#define FTC_REFERENCE_TRAININTERPRETER_H

#include "ftc/Reference/Tensor.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>

namespace ftc::reference {

using NamedTensors = std::map<std::string, Tensor>;

/// Interprets the entries of one module of train IR and keeps its variables between runs. The module must be verified,
/// and outlive the interpreter. Variables start as zeros.
class TrainInterpreter {
public:
  explicit TrainInterpreter(mlir::ModuleOp module);

  /// Fills every variable as its `init` says, as ftrun does: normal numbers by (seed, variable name, element).
  void initialize(uint64_t seed);

  /// Fills the variables whose `init` is #train.row_norms, from parameters as they are. `initialize` does so too.
  void fillRowNorms();

  /// The variable called `name`, or null.
  const Tensor *find(llvm::StringRef name) const;
  /// Replaces a variable. Fails if there is none of this name and type. For one in four bits `value` may have the type
  /// that it decodes to: it is quantized.
  llvm::Error set(llvm::StringRef name, Tensor value);
  const NamedTensors &getVariables() const { return variables; }

  /// Runs the entry `name`. `inputs` has every input by name, of the declared type. Reads see the variables as they
  /// were before; writes take effect at the end, all or (on an error) none. Returns the outputs by name. Fails on a
  /// missing, unknown or mistyped input, an index out of range, and ops that only a pass can give a meaning
  /// (train.update).
  llvm::Expected<NamedTensors> run(llvm::StringRef name, const NamedTensors &inputs);

private:
  mlir::ModuleOp module;
  NamedTensors variables;
};

} // namespace ftc::reference

#endif // FTC_REFERENCE_TRAININTERPRETER_H

//===- Tensor.h - Values of the reference interpreters ------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_REFERENCE_TENSOR_H
#define FTC_REFERENCE_TENSOR_H

#include "mlir/IR/BuiltinTypes.h"

#include <cstdint>
#include <vector>

namespace ftc::reference {

/// `value` rounded to nearest even as the float type `element` (f64, f32, bf16; of !train.nf4 what it decodes to) holds
/// it. bf16 is rounded by way of f32, as compiled code does: it computes in f32 and truncates the result.
double roundTo(mlir::Type element, double value);

/// A dense tensor in row-major order. Elements of float types are in `reals`, each already a value of the element type;
/// elements of integer types are in `integers`. The other vector is empty. A weight in four bits is the numbers that it
/// decodes to.
struct Tensor {
  mlir::RankedTensorType type;
  std::vector<double> reals;
  std::vector<int64_t> integers;

  Tensor() = default;
  /// Zeros of a static-shaped tensor type with elements f64, f32, bf16, i32, i64 or !train.nf4.
  explicit Tensor(mlir::RankedTensorType type);

  bool isReal() const;
  int64_t size() const { return type.getNumElements(); }
  int64_t dim(unsigned index) const { return type.getDimSize(index); }

  /// Element (row, column) of a matrix.
  double at(int64_t row, int64_t column) const { return reals[row * type.getDimSize(1) + column]; }
  /// Rounds to the element type and stores.
  void set(int64_t index, double value) { reals[index] = roundTo(type.getElementType(), value); }
  void set(int64_t row, int64_t column, double value) { set(row * type.getDimSize(1) + column, value); }

  /// Same type and the same bits in every element; NaNs equal each other, and 0 differs from -0.
  bool isIdenticalTo(const Tensor &other) const;
};

} // namespace ftc::reference

#endif // FTC_REFERENCE_TENSOR_H

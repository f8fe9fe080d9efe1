//===- Nf4Decoder.h - Elements of a weight in four bits ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_NF4DECODER_H
#define FTC_LIB_TARGET_COMMON_NF4DECODER_H

#include "dialects/Plan/IR/Plan.h"

namespace ftc::target {

/// Writes code that decodes elements of a weight, one run of elements in blocks of 64 (ftc/Support/Nf4.h). Every
/// operation is one of nf4Decode's, in its order, so both give the same bits.
struct Nf4Decoder {
  mlir::Location loc;
  plan::Nf4Attr encoding;
  mlir::Value codes, absmax, nested, offset; ///< pointers

  bool isTorchao() const { return encoding.getQuantizer() == plan::Quantizer::Torchao; }

  /// The factor (f32) of the block of element `index` (i64); see nf4Scale.
  mlir::Value scale(mlir::OpBuilder &b, mlir::Value index);
  /// The element that `code` (i64, 0 to 15) stands for in a block with this factor, in f32.
  mlir::Value decode(mlir::OpBuilder &b, mlir::Value code, mlir::Value scale);
  /// Element `index`, in f32.
  mlir::Value scalar(mlir::OpBuilder &b, mlir::Value index);
  /// To the decoded type and back to f32: what torchao does after each operation, and both at the end.
  mlir::Value round(mlir::OpBuilder &b, mlir::Value value);

  mlir::Value constant(mlir::OpBuilder &b, int64_t value);
  mlir::Value shiftRight(mlir::OpBuilder &b, mlir::Value index, int64_t bits);
  mlir::Value load(mlir::OpBuilder &b, mlir::Type type, mlir::Value pointer, mlir::Value index);
};

/// "nf4.QUANTIZER.TYPE".
std::string nameOf(plan::Nf4Attr encoding);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_NF4DECODER_H

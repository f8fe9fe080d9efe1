//===- Link.h - How long copies and computations take -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_LINK_H
#define FTC_ANALYSIS_LINK_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace mlir {
class ModuleOp;
class Operation;
} // namespace mlir

namespace ftc {

/// A device as far as copies to and from the far tier are concerned. Rough on purpose: what is decided by it changes
/// when copies begin and end, never a result, and a copy that takes longer is waited for. The default numbers are of
/// a two-core AVX2 machine: half of what it computes and streams at best, and what pwrite and pread reach from and to
/// the page cache while both cores are busy.
struct LinkModel {
  double flopsPerSecond = 80e9;      ///< of matrix products
  double nearBytesPerSecond = 12e9;  ///< of row-wise kernels
  double linkBytesPerSecond = 1.5e9; ///< of the link, each way
  bool hasCopyEngine = false;        ///< copies take no time of the cores that compute: a GPU

  /// An array of three numbers on the module: the rates above, of the GPU that it is compiled for.
  static constexpr llvm::StringLiteral attributeName = "ftc.link";

  /// The model on the module around `op`, or the default.
  static LinkModel of(mlir::Operation *op);
  /// Puts this model on a module.
  void attachTo(mlir::ModuleOp module) const;

  double copySeconds(int64_t bytes) const { return static_cast<double>(bytes) / linkBytesPerSecond; }
  /// What is reserved for a copy: twice the time, since computations may be faster than thought and the link slower.
  double plannedCopySeconds(int64_t bytes) const { return 2 * copySeconds(bytes); }
  /// What the computation loses to a copy that nobody waits for: with a copy engine what it takes of near memory's
  /// time; else all of it, since threads that copy take turns with those that compute.
  double hiddenCopySeconds(int64_t bytes) const {
    return hasCopyEngine ? static_cast<double>(bytes) / nearBytesPerSecond : copySeconds(bytes);
  }
  int64_t copyMicroseconds(int64_t bytes) const { return static_cast<int64_t>(copySeconds(bytes) * 1e6); }
};

} // namespace ftc

#endif // FTC_ANALYSIS_LINK_H

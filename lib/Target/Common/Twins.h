//===- Twins.h - Code that differs in numbers alone -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels of several lengths of rows are emitted for each length, and most of what comes out differs in a few numbers:
// how many rows, how many tasks, where a part of scratch memory begins. Such functions can be one that is handed the
// numbers.
//
// Two pieces of code are twins where an op-by-op comparison finds the same ops with the same attributes, types,
// operands, successors and regions, and only constants of type i32 or i64 differ. So nothing that shapes the code can:
// not the width of a vector, not how often a loop is unrolled, not whether the rest of a row is there. A caller may
// bind constants too: one that divides in an inner loop, say, is better known when compiling.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_COMMON_TWINS_H
#define FTC_LIB_TARGET_COMMON_TWINS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/DenseMap.h"

#include <vector>

namespace ftc::target {

/// What a kernel runs: a function, and functions that nobody else refers to, in the order of references.
struct KernelCode {
  /// `follow` gives the function that belongs to the kernel and that an op refers to, or null. A constant for which
  /// `isBound` is true has to be the same in twins; it may be null.
  KernelCode(mlir::FunctionOpInterface first, llvm::function_ref<mlir::FunctionOpInterface(mlir::Operation *)> follow,
             llvm::function_ref<bool(mlir::arith::ConstantOp)> isBound = nullptr);

  llvm::SmallVector<mlir::FunctionOpInterface> functions;
  llvm::SmallVector<mlir::arith::ConstantOp> numbers;     ///< constants that twins may differ in, as they come
  llvm::DenseMap<mlir::Operation *, unsigned> references; ///< the ops that refer to functions, by their number
  size_t fingerprint = 0;                                 ///< equal for twins
};

bool areTwins(const KernelCode &a, const KernelCode &b);

/// Twins of the first. `sizes[i]` are the numbers in which `members[i]` differs from others; where one constant always
/// has the value of another, they are one size. `uses`: which size a constant of the first's code is.
struct Family {
  llvm::SmallVector<const KernelCode *> members;
  llvm::SmallVector<llvm::SmallVector<int64_t>> sizes;
  llvm::SmallVector<std::pair<mlir::arith::ConstantOp, unsigned>> uses;
  size_t numSizes() const { return sizes.front().size(); }
};

/// Families of two members and more, in the order of their first members.
std::vector<Family> findFamilies(llvm::ArrayRef<KernelCode> codes);

} // namespace ftc::target

#endif // FTC_LIB_TARGET_COMMON_TWINS_H

//===- LibraryProduct.h - Products that cuBLASLt computes -------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CUDA_LIBRARYPRODUCT_H
#define FTC_LIB_TARGET_CUDA_LIBRARYPRODUCT_H

#include "dialects/Plan/IR/Plan.h"
#include "ftrt/step.h"
#include "lib/Target/CUDA/CudaTarget.h"

#include <optional>

namespace ftc::cuda {

/// What ftrt_device.matmul is asked for in place of a plan.matmul.
struct LibraryProduct {
  ftrt_matmul product;
  mlir::Value addend; ///< buffer, or null
  /// Columns of op(b) that are decoded from four bits at once, a slab of them; 0 where b is a matrix in memory. With
  /// one slab it is all of them. Otherwise `product` is that of one slab, and the last one may have less columns.
  int64_t slabColumns = 0, slabs = 0;
  /// Bytes of a slab. Slabs lie in the product's working memory, behind the workspace: one, or two that take turns.
  int64_t slabBytes = 0;

  int64_t decodedBytes() const { return std::min<int64_t>(slabs, 2) * slabBytes; }
};

/// The product as the library computes it: operands in f32, or both in bf16, read as they are (b, in four bits, after
/// it was decoded); the sum stored as f32 or bf16, by itself or added to a buffer of the same type, rounded once.
/// nullopt for any other, and `reason` says why.
std::optional<LibraryProduct> asLibraryProduct(plan::MatmulOp op, const CudaTarget &target, std::string &reason);

} // namespace ftc::cuda

#endif // FTC_LIB_TARGET_CUDA_LIBRARYPRODUCT_H

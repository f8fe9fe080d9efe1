//===- LowerNarrowMatmul.h - Products with one narrow side --------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TARGET_CPU_LOWERNARROWMATMUL_H
#define FTC_LIB_TARGET_CPU_LOWERNARROWMATMUL_H

#include "lib/Target/CPU/Emit.h"

#include <optional>

namespace ftc::cpu {

/// A product whose large factor is read once where it lies, because packing it would cost as much as multiplying. The
/// products of low-rank adapters.
struct NarrowProduct {
  /// Rows: c = x op(b), x `[wide, terms]` by rows, op(b) `[terms, narrow]`.
  /// Sums: c = s^T x or its transpose x^T s; x `[terms, wide]` and s `[terms, narrow]`, both by rows.
  enum class Form { Rows, Sums } form;
  int64_t narrow, wide, terms;
  bool wideIsA; ///< x is a of plan.matmul, else b
  int64_t step; ///< Rows: rows of x a task; Sums: columns of x a task
  int64_t tasks;
  int64_t packed; ///< f32 of scratch for the narrow factor; 0 if it is read where it lies
  int64_t sums;   ///< f32 of scratch for a thread's sums
  int64_t scratchFloats(const CpuTarget &target) const { return packed + target.threads * sums; }
};

/// How `op` is such a product; nullopt if it is none.
std::optional<NarrowProduct> asNarrowProduct(plan::MatmulOp op, const CpuTarget &target);

/// Emits the driver and the task functions of `kernel`, whose work is `op`; scratch memory is there.
void emitNarrowMatmul(plan::KernelOp kernel, plan::MatmulOp op, const NarrowProduct &product, const CpuTarget &target);

} // namespace ftc::cpu

#endif // FTC_LIB_TARGET_CPU_LOWERNARROWMATMUL_H

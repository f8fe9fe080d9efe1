//===- Costs.h - What a step has to compute ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_ANALYSIS_COSTS_H
#define FTC_ANALYSIS_COSTS_H

#include "dialects/Train/IR/Train.h"
#include "ftc/Analysis/Link.h"

#include <optional>

namespace ftc {

/// Floating-point operations of `products` matrix products over the scores that attention sees: each 2 * pairs *
/// head_dim for a head of a row. `rows` = batch * sequence, `columns` = heads * head_dim. The first `window` queries
/// see 1, 2, ..., window keys, the others `window`; without one that is the causal half, T (T + 1) / 2 pairs.
double causalFlops(int64_t rows, int64_t columns, int64_t batch, std::optional<int64_t> window, double products);

/// Floating-point operations of one op: 2 m n k for a product; for attention its products over the visible pairs of
/// each row and head; for the forward's row-wise ops a few an element, with an exponential as one; 0 for others.
double flopsOf(mlir::Operation *op);

/// Floating-point operations that an entry cannot avoid: 2 m n k for each product, and causal attention's products over
/// the T (T + 1) / 2 visible pairs of each row and head, or fewer with a window (forward: scores and P V; backward: dV,
/// dP, dQ, dK; scores that the backward computes again are not counted, nor is what `train-insert-remat` has copied).
/// Document masks are not known at compile time and not subtracted.
double necessaryFlops(train::EntryOp entry);

/// About how long an op or a group of ops takes: its products at the device's rate of arithmetic, all its operands and
/// results at its rate of memory. 0 for what is no kernel.
double secondsOf(mlir::Operation *op, const LinkModel &device);

} // namespace ftc

#endif // FTC_ANALYSIS_COSTS_H

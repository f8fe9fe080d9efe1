//===- TrainDistillation.cpp - Losses of a student and its teacher -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By the formulas in TrainDistillation.td.
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include <cmath>

#pragma STDC FP_CONTRACT OFF

using namespace ftc::train;

namespace ftc::reference {

llvm::Error evaluateDistillationLoss(DistillationLossOp op, Operands x, Results results) {
  const Tensor &logits = *x[0], &teacher = *x[1], &labels = *x[2];
  const double ratio = op.getRatio().convertToDouble(), inverse = x[3]->reals.front();
  double classes = 0, divergence = 0;
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    const double lse = logSumExp(logits, row), teacherLse = logSumExp(teacher, row);
    results[4].set(row, lse);
    results[5].set(row, teacherLse);
    const int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue;
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    classes += lse - logits.at(row, label);
    for (int64_t c = 0; c < logits.dim(1); ++c)
      divergence += std::exp(teacher.at(row, c) - teacherLse) * (lse - logits.at(row, c));
    ++results[3].integers.front();
  }
  results[0].set(0, inverse * ((1 - ratio) * classes + ratio * divergence));
  results[1].set(0, inverse * classes);
  results[2].set(0, inverse * divergence);
  return llvm::Error::success();
}

llvm::Error evaluateDistillationLossGrad(DistillationLossGradOp op, Operands x, Results results) {
  const Tensor &logits = *x[0], &teacher = *x[1], &labels = *x[2], &lse = *x[3], &teacherLse = *x[4];
  const double ratio = op.getRatio().convertToDouble(), factor = x[6]->reals.front() * x[5]->reals.front();
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    const int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue; // results start as zeros
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    for (int64_t c = 0; c < logits.dim(1); ++c) {
      const double student = std::exp(logits.at(row, c) - lse.reals[row]);
      const double wanted = std::exp(teacher.at(row, c) - teacherLse.reals[row]);
      results[0].set(row, c, factor * (student - (c == label ? 1 - ratio : 0) - ratio * wanted));
    }
  }
  return llvm::Error::success();
}

} // namespace ftc::reference

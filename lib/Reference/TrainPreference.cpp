//===- TrainPreference.cpp - Losses of pairs of answers ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By the formulas in TrainPreference.td.
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include <algorithm>
#include <cmath>

#pragma STDC FP_CONTRACT OFF

using namespace ftc::train;

namespace ftc::reference {

llvm::Error evaluateLabelLogProbs(LabelLogProbsOp op, Operands x, Results results) {
  const Tensor &logits = *x[0], &labels = *x[1];
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    double lse = logSumExp(logits, row);
    results[1].set(row, lse);
    int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue; // results start as zeros
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    results[0].set(row, logits.at(row, label) - lse);
  }
  return llvm::Error::success();
}

llvm::Error evaluateLabelLogProbsGrad(LabelLogProbsGradOp op, Operands x, Results results) {
  const Tensor &logits = *x[0], &labels = *x[1], &lse = *x[2], &gradient = *x[3];
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    int64_t label = labels.integers[row];
    if (label == int64_t(op.getIgnoreIndex()))
      continue;
    if (llvm::Error error = checkIndex(op, "labels", row, label, logits.dim(1)))
      return error;
    for (int64_t c = 0; c < logits.dim(1); ++c)
      results[0].set(row, c,
                     gradient.reals[row] * ((c == label ? 1 : 0) - std::exp(logits.at(row, c) - lse.reals[row])));
  }
  return llvm::Error::success();
}

llvm::Error evaluateSequenceSums(SequenceSumsOp op, Operands x, Results results) {
  const auto batch = static_cast<int64_t>(op.getBatch());
  const int64_t length = x[0]->size() / batch;
  for (int64_t sequence = 0; sequence < batch; ++sequence) {
    double sum = 0, count = 0;
    for (int64_t token = sequence * length; token < (sequence + 1) * length; ++token) {
      sum += x[0]->reals[token];
      count += x[1]->integers[token] != int64_t(op.getIgnoreIndex());
    }
    results[0].set(sequence, sum);
    results[1].set(sequence, count);
  }
  return llvm::Error::success();
}

llvm::Error evaluateSequenceSpread(SequenceSpreadOp, Operands x, Results results) {
  const int64_t length = results[0].size() / x[0]->size();
  for (int64_t token = 0; token < results[0].size(); ++token)
    results[0].set(token, x[0]->reals[token / length]);
  return llvm::Error::success();
}

/// beta times the difference of the log-ratios of pair `i`.
static double marginOf(Operands x, double beta, int64_t i) {
  const std::vector<double> &policy = x[0]->reals, &reference = x[1]->reals;
  const auto pairs = static_cast<int64_t>(policy.size() / 2);
  return beta * ((policy[i] - policy[pairs + i]) - (reference[i] - reference[pairs + i]));
}

static bool hasLabel(Operands x, int64_t i) {
  const std::vector<double> &counts = x[2]->reals;
  return counts[i] + counts[counts.size() / 2 + i] > 0;
}

llvm::Error evaluatePreferenceLoss(PreferenceLossOp op, Operands x, Results results) {
  const double beta = op.getBeta().convertToDouble(), smoothing = op.getLabelSmoothing().convertToDouble();
  auto softplus = [](double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))); };
  double sum = 0;
  for (int64_t i = 0; i < x[0]->size() / 2; ++i) {
    if (!hasLabel(x, i))
      continue;
    const double z = marginOf(x, beta, i);
    sum += op.getKind() == PreferenceKind::Hinge ? std::max(0.0, 1 - z)
                                                 : (1 - smoothing) * softplus(-z) + smoothing * softplus(z);
    ++results[1].integers.front();
  }
  results[0].set(0, sum * x[3]->reals.front());
  return llvm::Error::success();
}

llvm::Error evaluatePreferenceLossGrad(PreferenceLossGradOp op, Operands x, Results results) {
  const double beta = op.getBeta().convertToDouble(), smoothing = op.getLabelSmoothing().convertToDouble();
  const double factor = x[4]->reals.front() * x[3]->reals.front() * beta;
  const int64_t pairs = x[0]->size() / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    if (!hasLabel(x, i))
      continue;
    const double z = marginOf(x, beta, i);
    double slope = z < 1 ? -1 : 0;
    if (op.getKind() == PreferenceKind::Sigmoid)
      slope = smoothing / (1 + std::exp(-z)) - (1 - smoothing) / (1 + std::exp(z));
    results[0].set(i, factor * slope);
    results[0].set(pairs + i, -factor * slope);
  }
  return llvm::Error::success();
}

} // namespace ftc::reference

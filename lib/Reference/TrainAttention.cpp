//===- TrainAttention.cpp - Attention in the reference interpreter -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include <cmath>

#pragma STDC FP_CONTRACT OFF

namespace ftc::reference {

namespace {
/// Where heads lie in the columns of the operands, and which keys a query sees.
struct Layout {
  int64_t batch, sequence, heads, headsPerKeyHead, headDim, window;

  template <typename Op>
  Layout(Op op, const Tensor &query)
      : batch(op.getBatch()), sequence(query.dim(0) / batch), heads(op.getNumHeads()),
        headsPerKeyHead(heads / op.getNumKvHeads()), headDim(query.dim(1) / heads),
        window(op.getWindow().value_or(sequence)) {}

  int64_t keyColumn(int64_t head) const { return head / headsPerKeyHead * headDim; }

  /// Calls `visit(row of the query, head, first key row)` for every query and head; its keys are the rows from the
  /// first to the query's own.
  template <typename Visit> llvm::Error forEachQuery(mlir::Operation *op, const Tensor &starts, Visit visit) const {
    for (int64_t row = 0; row < batch * sequence; ++row) {
      int64_t position = row % sequence, start = starts.integers[row];
      if (start < 0 || start > position)
        return errorAt(op, "segment_starts[" + llvm::Twine(row) + "] is " + llvm::Twine(start) +
                               "; it must be from 0 to the token's position " + llvm::Twine(position));
      start = std::max(start, position - window + 1);
      for (int64_t head = 0; head < heads; ++head)
        visit(row, head, row - position + start);
    }
    return llvm::Error::success();
  }
};

/// What of the product of a query and a key enters the softmax, and how fast it grows with scale times that product.
struct Score {
  double scale;
  std::optional<double> cap;

  template <typename Op> explicit Score(Op op) : scale(op.getScale().convertToDouble()) {
    if (std::optional<llvm::APFloat> softcap = op.getSoftcap())
      cap = softcap->convertToDouble();
  }
  double of(double product) const { return cap ? *cap * std::tanh(scale * product / *cap) : scale * product; }
  double slope(double score) const { return cap ? 1 - (score / *cap) * (score / *cap) : 1; }
};

/// Inner product of `count` columns of row `i` of `a` from column `ca` on, and of row `j` of `b` from column `cb` on.
double dot(const Tensor &a, int64_t i, int64_t ca, const Tensor &b, int64_t j, int64_t cb, int64_t count) {
  double sum = 0;
  for (int64_t c = 0; c < count; ++c)
    sum += a.at(i, ca + c) * b.at(j, cb + c);
  return sum;
}

/// Adds without rounding: gradients are rounded once, when they are whole.
void addScaled(std::vector<double> &sums, int64_t offset, double factor, const Tensor &x, int64_t row, int64_t column,
               int64_t count) {
  for (int64_t c = 0; c < count; ++c)
    sums[offset + c] += factor * x.at(row, column + c);
}
} // namespace

template <typename Op> static llvm::Error attention(Op op, Operands operands, Results results) {
  const Tensor &query = *operands[0], &key = *operands[1], &value = *operands[2], &starts = *operands[3];
  Tensor &output = results[0], &lse = results[1];
  Layout layout(op, query);
  Score score(op);
  int64_t width = layout.headDim;
  return layout.forEachQuery(op, starts, [&](int64_t row, int64_t head, int64_t first) {
    int64_t column = head * width, keyColumn = layout.keyColumn(head);
    std::vector<double> scores;
    double largest = -INFINITY;
    for (int64_t k = first; k <= row; ++k) {
      scores.push_back(score.of(dot(query, row, column, key, k, keyColumn, width)));
      largest = std::max(largest, scores.back());
    }
    double sum = 0;
    for (double each : scores)
      sum += std::exp(each - largest);
    double logSum = largest + std::log(sum);
    lse.set(row, head, logSum);
    std::vector<double> mixed(width, 0.0);
    for (int64_t k = first; k <= row; ++k)
      addScaled(mixed, 0, std::exp(scores[k - first] - logSum), value, k, keyColumn, width);
    for (int64_t c = 0; c < width; ++c)
      output.set(row, column + c, mixed[c]);
  });
}

template <typename Op> static llvm::Error attentionGrad(Op op, Operands operands, Results results) {
  const Tensor &query = *operands[0], &key = *operands[1], &value = *operands[2], &starts = *operands[3];
  const Tensor &output = *operands[4], &lse = *operands[5], &gradient = *operands[6];
  Layout layout(op, query);
  Score score(op);
  int64_t width = layout.headDim, columns = query.dim(1), keyColumns = key.dim(1);
  std::vector<double> dQuery(query.size()), dKey(key.size()), dValue(value.size());
  llvm::Error error = layout.forEachQuery(op, starts, [&](int64_t row, int64_t head, int64_t first) {
    int64_t column = head * width, keyColumn = layout.keyColumn(head);
    double delta = dot(gradient, row, column, output, row, column, width);
    for (int64_t k = first; k <= row; ++k) {
      double own = score.of(dot(query, row, column, key, k, keyColumn, width));
      double probability = std::exp(own - lse.at(row, head));
      double dScore = probability * (dot(gradient, row, column, value, k, keyColumn, width) - delta);
      double dProduct = score.scale * score.slope(own) * dScore;
      addScaled(dValue, k * keyColumns + keyColumn, probability, gradient, row, column, width);
      addScaled(dQuery, row * columns + column, dProduct, key, k, keyColumn, width);
      addScaled(dKey, k * keyColumns + keyColumn, dProduct, query, row, column, width);
    }
  });
  if (error)
    return error;
  auto store = [](Tensor &result, const std::vector<double> &sums) {
    for (int64_t i = 0; i < result.size(); ++i)
      result.set(i, sums[i]);
  };
  store(results[0], dQuery);
  store(results[1], dKey);
  store(results[2], dValue);
  return llvm::Error::success();
}

llvm::Error evaluateAttention(train::AttentionOp op, Operands operands, Results results) {
  return attention(op, operands, results);
}
llvm::Error evaluatePlanAttention(plan::AttentionOp op, Operands operands, Results results) {
  return attention(op, operands, results);
}
llvm::Error evaluateAttentionGrad(train::AttentionGradOp op, Operands operands, Results results) {
  return attentionGrad(op, operands, results);
}
llvm::Error evaluatePlanAttentionGrad(plan::AttentionGradOp op, Operands operands, Results results) {
  return attentionGrad(op, operands, results);
}

} // namespace ftc::reference

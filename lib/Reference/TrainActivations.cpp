//===- TrainActivations.cpp - Element-wise functions of layers ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By the formulas in TrainActivations.td.
//
//===----------------------------------------------------------------------===//

#include "TrainKernels.h"

#include <cmath>
#include <numbers>

#pragma STDC FP_CONTRACT OFF

using namespace ftc::train;

namespace ftc::reference {

static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

llvm::Error evaluateSwiGLU(SwiGLUOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i] * sigmoid(x[0]->reals[i]) * x[1]->reals[i]);
  return llvm::Error::success();
}

llvm::Error evaluateSwiGLUGrad(SwiGLUGradOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i) {
    double gate = x[0]->reals[i], up = x[1]->reals[i], d = x[2]->reals[i], s = sigmoid(gate);
    results[0].set(i, d * up * s * (1 + gate * (1 - s)));
    results[1].set(i, d * gate * s);
  }
  return llvm::Error::success();
}

/// sqrt(2 / pi), and the factor of the cube: gelu(x) is about x / 2 * (1 + tanh(root * (x + cubic * x^3))).
static const double root = std::sqrt(2 / std::numbers::pi), cubic = 0.044715;

/// Written with tanh, as papers do; kernels use a sigmoid.
static double gate(double x) { return (1 + std::tanh(root * (x + cubic * x * x * x))) / 2; }

llvm::Error evaluateGeGLU(GeGLUOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, x[0]->reals[i] * gate(x[0]->reals[i]) * x[1]->reals[i]);
  return llvm::Error::success();
}

llvm::Error evaluateGeGLUGrad(GeGLUGradOp, Operands x, Results results) {
  for (int64_t i = 0; i < results[0].size(); ++i) {
    double value = x[0]->reals[i], up = x[1]->reals[i], d = x[2]->reals[i], s = gate(value);
    double slope = 2 * root * (1 + 3 * cubic * value * value); // of the sigmoid's argument
    results[0].set(i, d * up * s * (1 + value * (1 - s) * slope));
    results[1].set(i, d * value * s);
  }
  return llvm::Error::success();
}

llvm::Error evaluateSoftcap(SoftcapOp op, Operands x, Results results) {
  const double cap = op.getCap().convertToDouble();
  for (int64_t i = 0; i < results[0].size(); ++i)
    results[0].set(i, cap * std::tanh(x[0]->reals[i] / cap));
  return llvm::Error::success();
}

llvm::Error evaluateSoftcapGrad(SoftcapGradOp op, Operands x, Results results) {
  const double cap = op.getCap().convertToDouble();
  for (int64_t i = 0; i < results[0].size(); ++i) {
    const double share = x[0]->reals[i] / cap;
    results[0].set(i, x[1]->reals[i] * (1 - share * share));
  }
  return llvm::Error::success();
}

} // namespace ftc::reference

//===- TrainKernels.h - The arithmetic of train ops ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_REFERENCE_TRAINKERNELS_H
#define FTC_LIB_REFERENCE_TRAINKERNELS_H

#include "ftc/Reference/Tensor.h"

#include "dialects/Plan/IR/Plan.h"
#include "dialects/Train/IR/Train.h"
#include "llvm/Support/Error.h"

namespace ftc::reference {

/// Operands and results of one op, in the op's order.
using Operands = llvm::ArrayRef<const Tensor *>;
using Results = llvm::MutableArrayRef<Tensor>;

/// Computes the results of a train op that has only tensors as operands and results (no structure op). `results` are
/// zeros of the right types. Fails on an index out of range, or on an op that it does not know.
llvm::Error evaluate(mlir::Operation *op, Operands operands, Results results);

/// Element-wise functions of layers (TrainActivations.cpp); `evaluate` calls these.
llvm::Error evaluateSwiGLU(train::SwiGLUOp op, Operands operands, Results results);
llvm::Error evaluateSwiGLUGrad(train::SwiGLUGradOp op, Operands operands, Results results);
llvm::Error evaluateGeGLU(train::GeGLUOp op, Operands operands, Results results);
llvm::Error evaluateGeGLUGrad(train::GeGLUGradOp op, Operands operands, Results results);
llvm::Error evaluateSoftcap(train::SoftcapOp op, Operands operands, Results results);
llvm::Error evaluateSoftcapGrad(train::SoftcapGradOp op, Operands operands, Results results);

/// Fake quantization (TrainQuantization.cpp); `evaluate` calls it.
llvm::Error evaluateFakeQuantize(train::FakeQuantizeOp op, Operands operands, Results results);

/// Losses of pairs of answers (TrainPreference.cpp); `evaluate` calls these.
llvm::Error evaluateLabelLogProbs(train::LabelLogProbsOp op, Operands operands, Results results);
llvm::Error evaluateLabelLogProbsGrad(train::LabelLogProbsGradOp op, Operands operands, Results results);
llvm::Error evaluateSequenceSums(train::SequenceSumsOp op, Operands operands, Results results);
llvm::Error evaluateSequenceSpread(train::SequenceSpreadOp op, Operands operands, Results results);
llvm::Error evaluatePreferenceLoss(train::PreferenceLossOp op, Operands operands, Results results);
llvm::Error evaluatePreferenceLossGrad(train::PreferenceLossGradOp op, Operands operands, Results results);

/// Losses of a student and its teacher (TrainDistillation.cpp); `evaluate` calls these.
llvm::Error evaluateDistillationLoss(train::DistillationLossOp op, Operands operands, Results results);
llvm::Error evaluateDistillationLossGrad(train::DistillationLossGradOp op, Operands operands, Results results);

/// train.attention and train.attention_grad; `evaluate` calls these.
llvm::Error evaluateAttention(train::AttentionOp op, Operands operands, Results results);
llvm::Error evaluateAttentionGrad(train::AttentionGradOp op, Operands operands, Results results);

/// The same of the plan dialect: operands are the buffers that are read, results those that are written.
llvm::Error evaluatePlanAttention(plan::AttentionOp op, Operands operands, Results results);
llvm::Error evaluatePlanAttentionGrad(plan::AttentionGradOp op, Operands operands, Results results);

/// ln sum exp of row `row` of a matrix.
double logSumExp(const Tensor &matrix, int64_t row);

/// Fails unless `index`, element `at` of the operand `what`, is in [0, bound).
llvm::Error checkIndex(mlir::Operation *op, llvm::StringRef what, int64_t at, int64_t index, int64_t bound);

/// An error that names the op and its place.
llvm::Error errorAt(mlir::Operation *op, const llvm::Twine &message);

} // namespace ftc::reference

#endif // FTC_LIB_REFERENCE_TRAINKERNELS_H

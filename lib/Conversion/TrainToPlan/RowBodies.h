//===- RowBodies.h - What each row-wise op computes in its row --*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_TRAINTOPLAN_ROWBODIES_H
#define FTC_LIB_CONVERSION_TRAINTOPLAN_ROWBODIES_H

#include "dialects/Train/IR/Train.h"
#include "lib/Conversion/TrainToPlan/KernelTable.h"

namespace ftc {

/// Where a value of the train graph is: a buffer of the entry, or a splat constant that bodies spell out.
struct Place {
  mlir::Value buffer;
  mlir::ElementsAttr constant;
};

/// Arithmetic on scalars and row values; a scalar meeting a row value is broadcast.
class RowMath {
public:
  RowMath(mlir::OpBuilder &builder, mlir::Location loc) : builder(builder), loc(loc) {}

  mlir::Value constant(double value, mlir::Type like);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value neg(mlir::Value x);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value exp(mlir::Value x);
  mlir::Value log(mlir::Value x);
  mlir::Value sqrt(mlir::Value x);
  mlir::Value tanh(mlir::Value x);
  /// 1 / (1 + exp(-x)).
  mlir::Value sigmoid(mlir::Value x);
  /// The nearest whole number of f32 or f64, ties to even, without -0. Of numbers from 2^22 on (f64: 2^51) a whole
  /// number that is near.
  mlir::Value roundEven(mlir::Value x);
  /// `x`, or the number that bounds it; a NaN stays one.
  mlir::Value atLeast(mlir::Value x, double least);
  mlir::Value atMost(mlir::Value x, double most);
  /// Sum or maximum of a row value; a scalar is its own.
  mlir::Value reduce(plan::ReduceKind kind, mlir::Value x);
  /// `x` in element type `element`, rounded to nearest even where that is narrower.
  mlir::Value convert(mlir::Value x, mlir::Type element);
  /// `chosen` where `condition` (i1 scalar or row), else `other`.
  mlir::Value select(mlir::Value condition, mlir::Value chosen, mlir::Value other);
  /// `scalar` in every column of a row like `like`; `scalar` itself where `like` is a scalar.
  mlir::Value broadcast(mlir::Value scalar, mlir::Type like);

private:
  void match(mlir::Value &x, mlir::Value &y);

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

/// What the body of one launch knows of the entry around it.
struct RowContext {
  RowContext(KernelTable &kernels, mlir::OpBuilder &entry, std::string label)
      : kernels(kernels), entry(entry), label(std::move(label)) {}

  KernelTable &kernels;
  mlir::OpBuilder &entry;
  /// Words for the launch; buffers of partial sums take them up.
  std::string label;
  /// Values that come from outside of the launch, as the ops name them.
  llvm::DenseMap<mlir::Value, Place> places;
  /// Buffers that want a value, as the ops name it.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value, 1>> destinations;
  /// A buffer of three scalars for train.adamw, see emitAdamWScalars.
  llvm::function_ref<mlir::Value(train::AdamWOp)> adamwScalars;
};

/// Emits row-wise ops into one launch, then the small launches that finish their reductions over rows.
class RowEmitter {
public:
  RowEmitter(RowContext &context, RowLaunch &launch)
      : context(context), launch(launch), math(launch.body(), launch.loc()) {}

  /// Emits what `op` computes in a row. Fails, with an error on `op`, for an op that has no row body.
  mlir::LogicalResult emit(mlir::Operation *op);

  /// Stores `value` of the group in every buffer that wants it.
  void storeResults(mlir::Value value);

  /// After the launch: adds up partial sums.
  void finishReductions();

private:
  mlir::Value stored(mlir::Value tensor);
  mlir::Value row(mlir::Value tensor);
  mlir::Value element(mlir::Value tensor);
  mlir::Value scalar(mlir::Value tensor);
  void set(mlir::Value tensor, mlir::Value value);
  mlir::Value partial(mlir::Type element, int64_t columns, llvm::StringRef what);

  void emitDropout(train::DropoutOp op);
  void emitFakeQuantize(train::FakeQuantizeOp op);
  mlir::Value geluArgument(mlir::Value x);
  void emitGeGLUGrad(train::GeGLUGradOp op);
  void emitRmsNormGrad(train::RmsNormGradOp op);
  void emitScaleColumnsGrad(train::ScaleColumnsGradOp op);
  void sumOverRows(mlir::Value value, mlir::Value result, llvm::StringRef what);
  mlir::Value sumsOfRows(mlir::Value sums, int64_t count, const std::string &name, const std::string &what);
  mlir::Value labelLogit(mlir::Value logits, mlir::Value label, mlir::Value valid);
  void emitCrossEntropy(train::CrossEntropyOp op);
  void emitCrossEntropyGrad(train::CrossEntropyGradOp op);
  void emitDistillationLoss(train::DistillationLossOp op);
  void emitDistillationLossGrad(train::DistillationLossGradOp op);
  void emitLabelLogProbs(train::LabelLogProbsOp op);
  void emitLabelLogProbsGrad(train::LabelLogProbsGradOp op);
  void emitSGDMomentum(train::SGDMomentumOp op);
  void emitAdamW(train::AdamWOp op);
  void emitStochasticRound(train::StochasticRoundOp op);
  /// Whether the scalar `step` is 1, as an i1.
  mlir::Value isFirstStep(mlir::Value step);

  RowContext &context;
  RowLaunch &launch;
  RowMath math;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
  llvm::SmallVector<std::function<void()>> reductions;
};

/// The type of arithmetic: f32, or f64 for elements of f64.
mlir::Type computeType(mlir::Type element);

mlir::Type elementOf(mlir::Value tensor);

/// The scalar of a rank-0 value, inside a launch.
mlir::Value loadScalar(RowLaunch &launch, Place place);

/// Which columns of a row are its label's.
mlir::Value labelColumn(RowLaunch &launch, RowMath &math, mlir::Value label, mlir::RankedTensorType rowType);

/// Whether labels, a scalar or a row, are not `ignored`.
mlir::Value isLabel(RowLaunch &launch, RowMath &math, mlir::Value labels, int64_t ignored);

/// Launches the kernel that prepares the scalars of train.adamw, so that rows do not compute them again:
/// [1 - lr * weight_decay, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)], computed in fp64, rounded to fp32 once.
/// `element`: f32, or f64 for parameters of f64.
mlir::Value emitAdamWScalars(KernelTable &kernels, mlir::OpBuilder &entry, mlir::Location loc, mlir::Type element,
                             train::AdamWAttr adamw, Place learningRate, Place step);

/// What AdamW makes of an element: all of the same type, rows or scalars.
struct AdamWElement {
  mlir::Value parameter, expAvg, expAvgSq;
};

/// One update, of a gradient that is scaled already. `scalars` are the three numbers of emitAdamWScalars.
AdamWElement emitAdamWFormula(RowMath &math, AdamWElement old, mlir::Value gradient,
                              llvm::ArrayRef<mlir::Value> scalars, train::AdamWAttr adamw);

/// Whether `op` has a result that is a reduction over rows: its launch keeps a partial sum for each task.
bool accumulates(mlir::Operation *op);

} // namespace ftc

#endif // FTC_LIB_CONVERSION_TRAINTOPLAN_ROWBODIES_H

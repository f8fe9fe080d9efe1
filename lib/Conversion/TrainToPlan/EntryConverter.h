//===- EntryConverter.h - One entry from train to plan ----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CONVERSION_TRAINTOPLAN_ENTRYCONVERTER_H
#define FTC_LIB_CONVERSION_TRAINTOPLAN_ENTRYCONVERTER_H

#include "lib/Conversion/TrainToPlan/FarCopies.h"
#include "lib/Conversion/TrainToPlan/RowBodies.h"

namespace ftc {

/// Turns one train.entry into a plan.entry: launches in the order of the ops, over allocs and variables.
class EntryConverter {
public:
  EntryConverter(KernelTable &kernels, train::EntryOp source, plan::EntryOp target);
  mlir::LogicalResult convert();

private:
  // Analysis of the train entry, before anything is built.
  void findLastUses();
  void findInPlaceWrites();
  void findGradients();
  bool mayWriteInPlace(mlir::Value written, llvm::ArrayRef<train::ReadOp> reads);
  bool isRowOperandOnly(mlir::Operation *op, mlir::Value operand);
  bool isRowResult(mlir::OpResult result);
  void findPartsOfConcats();

  // Where values are.
  static constexpr int64_t atEnd = std::numeric_limits<int64_t>::max();
  bool diesAt(mlir::Value value, mlir::Operation *op);
  mlir::MemRefType bufferType(mlir::Type tensor);
  mlir::Value alloc(mlir::Type type, const llvm::Twine &label);
  mlir::Value variable(llvm::StringRef name, mlir::MemRefType type);
  /// The buffer that holds `value`; a constant gets one, filled, at its first use here.
  mlir::Value bufferOf(mlir::Value value);
  Place placeOf(mlir::Value value);
  /// The buffer in which `result` of `op` is made: a variable, a dying operand among `reusable`, or a new one.
  mlir::Value resultBuffer(mlir::OpResult result, llvm::ArrayRef<mlir::Value> reusable, const llvm::Twine &label);

  // One function a kind of op.
  mlir::LogicalResult convertOp(mlir::Operation *op);
  mlir::LogicalResult convertKind(mlir::Operation *op);
  mlir::LogicalResult convertRowWise(mlir::Operation *op);
  /// A train.matmul or train.matmul_pair.
  mlir::LogicalResult convertMatmul(mlir::Operation *op);
  void convertRotary(train::RotaryOp op);
  void convertAdamWQuantized(train::AdamWQuantizedOp op);
  /// The buffer of emitAdamWScalars, made once for the same inputs.
  mlir::Value adamwScalars(mlir::Location loc, mlir::Type element, train::AdamWAttr adamw, Place learningRate,
                           Place step);
  void convertEmbeddingGrad(train::EmbeddingGradOp op);
  void convertGatherRow(train::GatherRowOp op);
  void convertInverseNorm(train::InverseNormOp op);
  void convertSequenceSums(train::SequenceSumsOp op);
  void convertSequenceSpread(train::SequenceSpreadOp op);
  void convertPreferenceLoss(train::PreferenceLossOp op);
  void convertPreferenceLossGrad(train::PreferenceLossGradOp op);
  void convertSliceRows(train::SliceRowsOp op);
  void convertConcatRows(train::ConcatRowsOp op);
  void convertAttention(train::AttentionOp op);
  void convertAttentionGrad(train::AttentionGradOp op);
  void convertOffload(train::OffloadOp op);
  void convertEnd(train::ReturnOp op);

  void emitCopy(mlir::Location loc, mlir::Value from, mlir::Value to, llvm::StringRef label);
  void emitFill(mlir::Location loc, mlir::TypedAttr value, mlir::Value to, llvm::StringRef label);

  KernelTable &kernels;
  train::EntryOp source;
  mlir::OpBuilder builder;
  FarCopies farCopies;
  llvm::DenseMap<mlir::Operation *, int64_t> order;
  llvm::DenseMap<mlir::Value, int64_t> lastUse;
  /// Values computed straight into a variable.
  llvm::DenseMap<mlir::Value, llvm::StringRef> writtenInPlace;
  llvm::SmallVector<train::WriteOp> copiedAtEnd;
  /// Values that become the gradient of a parameter: the parameter's name. For reports only.
  llvm::DenseMap<mlir::Value, std::string> gradientOf;
  /// Values that only a train.concat_rows reads, and the row where they begin there: they are made in place.
  llvm::DenseMap<mlir::Value, std::pair<train::ConcatRowsOp, int64_t>> partsOfConcats;
  llvm::StringMap<mlir::Value> variables;
  llvm::DenseMap<mlir::Value, Place> places;
  /// Operand buffers that the launch under construction has taken over for a result.
  llvm::DenseSet<mlir::Value> taken;
  llvm::SmallVector<std::tuple<mlir::Value, mlir::Value, mlir::Attribute, mlir::Value>> preparedScalars;
};

/// The buffers of a weight in four bits, each with what follows the weight's name in its own: codes, absmax, their
/// scales, their offset.
llvm::SmallVector<std::pair<llvm::StringRef, mlir::MemRefType>, 4> piecesOf(mlir::RankedTensorType weight);
plan::Nf4Attr nf4AttrOf(train::Nf4Type type);

/// Words for an op: the name that its location carries, then the op's own.
std::string labelOf(mlir::Operation *op);

} // namespace ftc

#endif // FTC_LIB_CONVERSION_TRAINTOPLAN_ENTRYCONVERTER_H

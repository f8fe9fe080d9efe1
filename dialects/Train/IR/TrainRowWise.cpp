//===- TrainRowWise.cpp - Which operands and results of row-wise ops are rows -===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

// Element-wise ops: every operand that is shaped like the first is a row operand; scalars are not.
#define FTC_ELEMENTWISE(OP)                                                                                            \
  int64_t OP::getRows() { return rowsOf((*this)->getOperand(0).getType()); }                                           \
  bool OP::isRowOperand(unsigned index) {                                                                              \
    auto like = cast<RankedTensorType>((*this)->getOperand(0).getType());                                              \
    auto type = cast<RankedTensorType>((*this)->getOperand(index).getType());                                          \
    return index == 0 || (like.getRank() > 0 && type.getShape() == like.getShape());                                   \
  }                                                                                                                    \
  bool OP::isRowResult(unsigned) { return true; }

FTC_ELEMENTWISE(AddOp)
FTC_ELEMENTWISE(MultiplyOp)
FTC_ELEMENTWISE(CastOp)
FTC_ELEMENTWISE(ScaleOp)
FTC_ELEMENTWISE(DropoutOp)
FTC_ELEMENTWISE(AccumulateOp)
FTC_ELEMENTWISE(SwiGLUOp)
FTC_ELEMENTWISE(SwiGLUGradOp)
FTC_ELEMENTWISE(GeGLUOp)
FTC_ELEMENTWISE(GeGLUGradOp)
FTC_ELEMENTWISE(SoftcapOp)
FTC_ELEMENTWISE(SoftcapGradOp)
FTC_ELEMENTWISE(SGDOp)
FTC_ELEMENTWISE(SGDMomentumOp)
FTC_ELEMENTWISE(AdamWOp)
FTC_ELEMENTWISE(FirstStepOp)
FTC_ELEMENTWISE(StochasticRoundOp)
FTC_ELEMENTWISE(ClipFactorOp)
#undef FTC_ELEMENTWISE

int64_t EmbeddingOp::getRows() { return getResult().getType().getDimSize(0); }
bool EmbeddingOp::isRowOperand(unsigned index) { return index == 1; }
bool EmbeddingOp::isRowResult(unsigned) { return true; }

/// Each head of a row is a row of its own.
static int64_t rowsOfNorm(RankedTensorType input, RankedTensorType weight) {
  return input.getNumElements() / weight.getDimSize(0);
}

int64_t RmsNormOp::getRows() { return rowsOfNorm(getInput().getType(), getWeight().getType()); }
bool RmsNormOp::isRowOperand(unsigned index) { return index == 0; }
bool RmsNormOp::isRowResult(unsigned) { return true; }

int64_t RmsNormGradOp::getRows() { return rowsOfNorm(getInput().getType(), getWeight().getType()); }
bool RmsNormGradOp::isRowOperand(unsigned index) { return index != 1; }
bool RmsNormGradOp::isRowResult(unsigned index) { return index == 0; }

/// Each group of a row is a row of its own.
int64_t FakeQuantizeOp::getRows() { return getInput().getType().getNumElements() / static_cast<int64_t>(getGroup()); }
bool FakeQuantizeOp::isRowOperand(unsigned index) { return index == 0; }
bool FakeQuantizeOp::isRowResult(unsigned) { return true; }

int64_t AddBiasOp::getRows() { return getInput().getType().getDimSize(0); }
bool AddBiasOp::isRowOperand(unsigned index) { return index == 0; }
bool AddBiasOp::isRowResult(unsigned) { return true; }

int64_t ColumnSumsOp::getRows() { return getInput().getType().getDimSize(0); }
bool ColumnSumsOp::isRowOperand(unsigned) { return true; }
bool ColumnSumsOp::isRowResult(unsigned) { return false; }

int64_t ScaleColumnsOp::getRows() { return getInput().getType().getDimSize(0); }
bool ScaleColumnsOp::isRowOperand(unsigned index) { return index == 0; }
bool ScaleColumnsOp::isRowResult(unsigned) { return true; }

int64_t ScaleColumnsGradOp::getRows() { return getInput().getType().getDimSize(0); }
bool ScaleColumnsGradOp::isRowOperand(unsigned index) { return index != 1; }
bool ScaleColumnsGradOp::isRowResult(unsigned index) { return index == 0; }

int64_t CrossEntropyOp::getRows() { return getLogits().getType().getDimSize(0); }
bool CrossEntropyOp::isRowOperand(unsigned index) { return index < 2; }
bool CrossEntropyOp::isRowResult(unsigned index) { return index == 2; }

int64_t CrossEntropyGradOp::getRows() { return getLogits().getType().getDimSize(0); }
bool CrossEntropyGradOp::isRowOperand(unsigned index) { return index < 3; }
bool CrossEntropyGradOp::isRowResult(unsigned) { return true; }

int64_t SumSquaresOp::getRows() { return rowsOf(getInput().getType()); }
bool SumSquaresOp::isRowOperand(unsigned index) { return index == 0; }
bool SumSquaresOp::isRowResult(unsigned) { return false; }

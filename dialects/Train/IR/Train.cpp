//===- Train.cpp - The train dialect -----------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/IR/Train.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

#include "dialects/Train/IR/TrainDialect.cpp.inc"
#include "dialects/Train/IR/TrainEnums.cpp.inc"
#include "dialects/Train/IR/TrainInterfaces.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Train/IR/TrainTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Train/IR/TrainAttrs.cpp.inc"

void TrainDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Train/IR/TrainTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Train/IR/TrainAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Train/IR/TrainOps.cpp.inc"
      >();
}

/// What a module's attribute has to be, for messages; empty if `value` is that. Nullopt for names of no module
/// attribute.
static std::optional<StringRef> moduleAttributeError(StringRef name, Attribute value) {
  auto check = [](bool good, StringRef what) { return good ? StringRef() : what; };
  if (name == TrainDialect::offloadAttrName || name == TrainDialect::pageStatesAttrName ||
      name == TrainDialect::masterWeightsAttrName || name == TrainDialect::stochasticRoundingAttrName)
    return check(isa<UnitAttr>(value), "an attribute without a value");
  if (name == TrainDialect::rematAttrName)
    return check(isa<RematAttr>(value), "a #train.remat");
  if (name == TrainDialect::fakeQuantizeAttrName)
    return check(isa<QatAttr>(value), "a #train.qat");
  if (name == TrainDialect::updatesAttrName)
    return check(isa<UpdatesAttr>(value), "a #train.updates");
  if (name == TrainDialect::optimizerAttrName)
    return check(isa<SGDAttr, SGDMomentumAttr, AdamWAttr>(value), "#train.sgd, #train.sgd_momentum or #train.adamw");
  if (name == TrainDialect::adaptersAttrName)
    return check(isa<LoraAttr>(value), "a #train.lora");
  if (name == TrainDialect::quantizeAttrName)
    return check(isa<QuantizeAttr>(value), "a #train.quantize");
  if (name == TrainDialect::quantizedStatesAttrName)
    return check(isa<StateFormatAttr>(value), "a #train<state_format ...>");
  if (name == TrainDialect::stateTypeAttrName) {
    auto type = dyn_cast<TypeAttr>(value);
    return check(type && (type.getValue().isF32() || type.getValue().isBF16()), "f32 or bf16");
  }
  if (name == TrainDialect::lossChunksAttrName) {
    auto chunks = dyn_cast<IntegerAttr>(value);
    return check(chunks && chunks.getType().isInteger(64) && chunks.getInt() >= 0,
                 "an i64, a number of chunks, or 0 for one that is chosen");
  }
  if (name == TrainDialect::clipGradNormAttrName) {
    auto norm = dyn_cast<FloatAttr>(value);
    return check(norm && norm.getType().isF64() && norm.getValueAsDouble() > 0, "a positive f64");
  }
  return std::nullopt;
}

LogicalResult TrainDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName();
  if (std::optional<StringRef> error = moduleAttributeError(name, attribute.getValue())) {
    if (!isa<ModuleOp>(op))
      return op->emitOpError("has the attribute ") << name << ", which belongs to a module";
    if (!error->empty())
      return op->emitOpError("has the attribute ")
             << name << " = " << attribute.getValue() << "; it must be " << *error;
    return success();
  }
  if (name == layerAttrName) {
    auto layer = dyn_cast<IntegerAttr>(attribute.getValue());
    if (isa<ModuleOp>(op) || !layer || !layer.getType().isInteger(64) || layer.getInt() < 0)
      return op->emitOpError("has the attribute ") << layerAttrName << ", which must be an i64 of at least 0, of an op";
  } else if (name == backwardAttrName || name == recomputeAttrName || name == referenceAttrName) {
    if (!isa<UnitAttr>(attribute.getValue()))
      return op->emitOpError("has the attribute ") << name << ", which takes no value";
  } else if (name == awayAttrName) {
    auto numbers = dyn_cast<DenseI64ArrayAttr>(attribute.getValue());
    if (!numbers || numbers.empty() || llvm::any_of(numbers.asArrayRef(), [&](int64_t number) {
          return number < 0 || number >= static_cast<int64_t>(op->getNumResults());
        }))
      return op->emitOpError("has the attribute ") << name << ", which must be an array of numbers of its results";
  } else {
    return op->emitOpError("has the attribute ") << name << ", which no pass reads";
  }
  return success();
}

LogicalResult RematAttr::verify(function_ref<InFlightDiagnostic()> emitError, RematMode mode, int64_t every,
                                int64_t bytes) {
  if (every < 1)
    return emitError() << "every must be at least 1";
  if (bytes < 0)
    return emitError() << "bytes must be at least 0";
  if (bytes > 0 && mode != RematMode::Budget)
    return emitError() << "bytes has a meaning only with budget";
  return success();
}

LogicalResult QatAttr::verify(function_ref<InFlightDiagnostic()> emitError, FakeQuantization, int64_t group, bool,
                              int64_t after) {
  if (group < 2)
    return emitError() << "group must be at least 2";
  if (after < 0)
    return emitError() << "after must be at least 0";
  return success();
}

LogicalResult Nf4Type::verify(function_ref<InFlightDiagnostic()> emitError, Quantizer, Type decoded) {
  if (!decoded.isF32() && !decoded.isBF16())
    return emitError() << "decodes to " << decoded << "; it must be f32 or bf16";
  return success();
}

Nf4Format train::formatOf(Nf4Type type) {
  return {type.getQuantizer() == Quantizer::Torchao ? Nf4Quantizer::Torchao : Nf4Quantizer::Bitsandbytes,
          type.getDecoded().isBF16()};
}

RopeScaling train::scalingOf(RotaryInitAttr init) {
  RopeScaling scaling;
  scaling.factor = init.getFactor().getValueAsDouble();
  scaling.lowFactor = init.getLowFactor().getValueAsDouble();
  scaling.highFactor = init.getHighFactor().getValueAsDouble();
  scaling.oldContext = init.getOldContext();
  if (DenseF64ArrayAttr divisors = init.getDivisors())
    scaling.divisors.assign(divisors.asArrayRef().begin(), divisors.asArrayRef().end());
  if (FloatAttr amplitude = init.getAmplitude())
    scaling.amplitude = amplitude.getValueAsDouble();
  return scaling;
}

int64_t train::rowsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t rows = 1;
  for (int64_t dim : tensor.getShape().drop_back(tensor.getRank() > 0 ? 1 : 0))
    rows *= dim;
  return rows;
}

int64_t train::columnsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return tensor.getRank() == 0 ? 1 : tensor.getShape().back();
}

int64_t train::columnsPerRow(RowWiseOpInterface op) {
  int64_t columns = 1;
  auto count = [&](Type type) {
    columns = std::max(columns, cast<RankedTensorType>(type).getNumElements() / std::max<int64_t>(op.getRows(), 1));
  };
  for (auto [index, type] : llvm::enumerate(op->getOperandTypes()))
    if (op.isRowOperand(index))
      count(type);
  for (auto [index, type] : llvm::enumerate(op->getResultTypes()))
    if (op.isRowResult(index))
      count(type);
  return columns;
}

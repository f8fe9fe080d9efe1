//===- QuantizedStates.cpp - AdamW with quantized moments -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The parameter is seen as rows of a block's elements, whatever its shape. A row decodes its two moments, updates them,
// finds their largest magnitudes and encodes them again; nothing but codes and scales is in memory. Where a byte holds
// two codes, a row is two halves, each as long as the bytes: the first is in the upper bits.
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/QuantizedStates.h"

#include "lib/Conversion/TrainToPlan/EntryConverter.h"
#include "lib/Conversion/TrainToPlan/RowBodies.h"

using namespace mlir;
using namespace ftc;

namespace {

/// Emits what happens in one block.
struct BlockEmitter {
  RowLaunch &launch;
  RowMath math;
  StateFormat format;

  OpBuilder &b() { return launch.body(); }
  Location loc() { return launch.loc(); }
  bool isPacked() const { return stateBlockBytes(format) != stateBlock(format); }
  int64_t halves() const { return isPacked() ? 2 : 1; }

  plan::StateMapAttr map(bool isSigned) {
    return plan::StateMapAttr::get(b().getContext(), static_cast<plan::StateFormat>(format), isSigned);
  }

  /// A row of bytes that are all `value`.
  Value number(RankedTensorType type, int64_t value) {
    auto splat = DenseElementsAttr::get(type, APInt(8, static_cast<uint64_t>(value)));
    return arith::ConstantOp::create(b(), loc(), splat);
  }

  /// The moment of each half of the row.
  SmallVector<Value> decode(Value bytes, Value scale, bool isSigned) {
    auto type = cast<RankedTensorType>(bytes.getType());
    SmallVector<Value> codes{bytes};
    if (isPacked())
      codes = {arith::ShRUIOp::create(b(), loc(), bytes, number(type, 4)),
               arith::AndIOp::create(b(), loc(), bytes, number(type, 15))};
    for (Value &code : codes)
      code = math.mul(plan::DecodeOp::create(b(), loc(), type.clone(b().getF32Type()), code, map(isSigned)), scale);
    return codes;
  }

  /// Codes of the halves of a moment, and the scale of the block.
  std::pair<Value, Value> encode(ArrayRef<Value> moments, bool isSigned) {
    Value scale;
    for (Value moment : moments) {
      auto type = cast<RankedTensorType>(moment.getType());
      Value zeros = math.broadcast(math.constant(0.0, type.getElementType()), type), magnitude = moment;
      if (isSigned) {
        Value negative = arith::CmpFOp::create(b(), loc(), arith::CmpFPredicate::OLT, moment, zeros);
        magnitude = math.select(negative, math.neg(moment), moment);
      }
      Value largest = math.reduce(plan::ReduceKind::Max, magnitude);
      scale = scale ? Value(arith::MaximumFOp::create(b(), loc(), scale, largest)) : largest;
    }
    if (format != StateFormat::Bitsandbytes8) {
      // At least 1e-12, in what is kept too.
      Value least = math.constant(1e-12, scale.getType());
      Value small = arith::CmpFOp::create(b(), loc(), arith::CmpFPredicate::OLT, scale, least);
      scale = math.select(small, least, scale);
    }
    // In bitsandbytes' numerics a block of zeros is NaNs here: codes 0, as in the library, and with scale 0 zeros
    // again.
    SmallVector<Value> codes;
    auto type = cast<RankedTensorType>(moments.front().getType()).clone(b().getI8Type());
    for (Value moment : moments)
      codes.push_back(plan::EncodeOp::create(b(), loc(), type, math.div(moment, scale), map(isSigned)));
    if (isPacked())
      codes = {
          arith::OrIOp::create(b(), loc(), arith::MulIOp::create(b(), loc(), codes[0], number(type, 16)), codes[1])};
    return {codes.front(), scale};
  }
};

} // namespace

void EntryConverter::convertAdamWQuantized(train::AdamWQuantizedOp op) {
  std::string label = labelOf(op);
  const auto format = static_cast<StateFormat>(op.getFormat());
  auto type = op.getParameter().getType();
  const int64_t block = stateBlock(format), bytes = stateBlockBytes(format), rows = type.getNumElements() / block;
  auto blocks = MemRefType::get({rows, block}, type.getElementType());
  Value parameter = bufferOf(op.getParameter()), gradient = bufferOf(op.getGradient());
  Value codes[] = {bufferOf(op.getExpAvg()), bufferOf(op.getExpAvgSq())};
  Value scales[] = {bufferOf(op.getExpAvgScale()), bufferOf(op.getExpAvgSqScale())};
  SmallVector<Value> outputs;
  for (OpResult result : op->getResults()) {
    outputs.push_back(resultBuffer(result, {}, label));
    places[result].buffer = outputs.back();
  }
  Place scale = placeOf(op.getScale());
  Value prepared = adamwScalars(op.getLoc(), builder.getF32Type(), op.getOptimizer(), placeOf(op.getLearningRate()),
                                placeOf(op.getStep()));

  RowLaunch launch(kernels, builder, op.getLoc(), rows, chooseRowsPerTask(rows, block));
  OpBuilder &b = launch.body();
  BlockEmitter emitter{launch, RowMath(b, op.getLoc()), format};
  RowMath &math = emitter.math;
  Type f32 = b.getF32Type();
  auto partOf = [&](Value buffer, int64_t half) {
    auto row = RankedTensorType::get({bytes}, type.getElementType());
    Value argument = launch.argument(buffer, blocks);
    return math.convert(plan::LoadOp::create(b, op.getLoc(), row, argument, ValueRange(launch.row()), half * bytes),
                        f32);
  };
  SmallVector<Value> moments[2];
  for (int i : {0, 1})
    moments[i] = emitter.decode(launch.loadRow(codes[i]), launch.loadElement(scales[i], launch.row()), i == 0);
  SmallVector<Value> scalars;
  for (int64_t index : {0, 1, 2})
    scalars.push_back(launch.loadElement(prepared, arith::ConstantIndexOp::create(b, op.getLoc(), index).getResult()));
  Value factor = math.convert(loadScalar(launch, scale), f32);
  for (int64_t half = 0; half < emitter.halves(); ++half) {
    AdamWElement updated = emitAdamWFormula(math, {partOf(parameter, half), moments[0][half], moments[1][half]},
                                            math.mul(factor, partOf(gradient, half)), scalars, op.getOptimizer());
    launch.storeAt(math.convert(updated.parameter, type.getElementType()), launch.argument(outputs[0], blocks),
                   launch.row(), half * bytes);
    moments[0][half] = updated.expAvg;
    moments[1][half] = updated.expAvgSq;
  }
  for (int i : {0, 1}) {
    auto [code, largest] = emitter.encode(moments[i], i == 0);
    launch.storeRow(code, outputs[1 + 2 * i]);
    launch.storeRow(largest, outputs[2 + 2 * i]);
  }
  launch.finish((emitter.isPacked() ? "adamw_4bit_" : "adamw_8bit_") + shapeName(blocks), label);
}

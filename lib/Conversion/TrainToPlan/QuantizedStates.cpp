//===- QuantizedStates.cpp - AdamW with moments of eight bits -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The parameter is seen as rows of 256 elements, a block of codes each, whatever its shape. A row decodes its two
// moments, updates them, finds their largest magnitudes and encodes them again; nothing but codes and scales is in
// memory.
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/QuantizedStates.h"

#include "lib/Conversion/TrainToPlan/EntryConverter.h"
#include "lib/Conversion/TrainToPlan/RowBodies.h"

using namespace mlir;
using namespace ftc;

/// Codes of `moment` and the scale of its block.
static std::pair<Value, Value> encode(OpBuilder &b, RowMath &math, Value moment, plan::StateMapAttr map) {
  Location loc = moment.getLoc();
  auto type = cast<RankedTensorType>(moment.getType());
  Value zero = math.constant(0.0, type.getElementType()), zeros = math.broadcast(zero, type);
  Value magnitude = moment;
  if (map.getIsSigned()) {
    Value negative = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, moment, zeros);
    magnitude = math.select(negative, math.neg(moment), moment);
  }
  Value scale = math.reduce(plan::ReduceKind::Max, magnitude);
  if (map.getQuantizer() == plan::Quantizer::Torchao) {
    // At least 1e-12, in what is kept too.
    Value least = math.constant(1e-12, scale.getType());
    Value small = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, scale, least);
    scale = math.select(small, least, scale);
  }
  // In bitsandbytes' numerics a block of zeros is NaNs here: codes 0, as in the library, and with scale 0 zeros again.
  Value codes = plan::EncodeOp::create(b, loc, type.clone(b.getI8Type()), math.div(moment, scale), map);
  return {codes, scale};
}

void EntryConverter::convertAdamW8bit(train::AdamW8bitOp op) {
  std::string label = labelOf(op);
  auto type = op.getParameter().getType();
  int64_t rows = type.getNumElements() / stateBlock;
  auto blocks = MemRefType::get({rows, stateBlock}, type.getElementType());
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

  RowLaunch launch(kernels, builder, op.getLoc(), rows, chooseRowsPerTask(rows, stateBlock));
  OpBuilder &b = launch.body();
  RowMath math(b, op.getLoc());
  Type f32 = b.getF32Type();
  auto rowOf = [&](Value buffer) {
    Value argument = launch.argument(buffer, blocks);
    auto row = RankedTensorType::get({stateBlock}, type.getElementType());
    return math.convert(plan::LoadOp::create(b, op.getLoc(), row, argument, ValueRange(launch.row()), 0), f32);
  };
  plan::StateMapAttr maps[2];
  Value moments[2];
  for (int i : {0, 1}) {
    maps[i] = plan::StateMapAttr::get(b.getContext(), static_cast<plan::Quantizer>(op.getQuantizer()), i == 0);
    Value loaded = launch.loadRow(codes[i]);
    Value number = plan::DecodeOp::create(b, op.getLoc(), RankedTensorType::get({stateBlock}, f32), loaded, maps[i]);
    moments[i] = math.mul(number, launch.loadElement(scales[i], launch.row()));
  }
  SmallVector<Value> scalars;
  for (int64_t index : {0, 1, 2})
    scalars.push_back(launch.loadElement(prepared, arith::ConstantIndexOp::create(b, op.getLoc(), index).getResult()));
  Value g = math.mul(math.convert(loadScalar(launch, scale), f32), rowOf(gradient));
  AdamWElement updated =
      emitAdamWFormula(math, {rowOf(parameter), moments[0], moments[1]}, g, scalars, op.getOptimizer());
  launch.storeAt(math.convert(updated.parameter, type.getElementType()), launch.argument(outputs[0], blocks),
                 launch.row());
  Value results[] = {updated.expAvg, updated.expAvgSq};
  for (int i : {0, 1}) {
    auto [code, largest] = encode(b, math, results[i], maps[i]);
    launch.storeRow(code, outputs[1 + 2 * i]);
    launch.storeRow(largest, outputs[2 + 2 * i]);
  }
  launch.finish("adamw_8bit_" + shapeName(blocks), label);
}

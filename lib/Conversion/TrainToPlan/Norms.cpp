//===- Norms.cpp - Norms of adapted weights from train to plan ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Conversion/TrainToPlan/EntryConverter.h"

using namespace mlir;
using namespace ftc;

/// One row for each output. Its column of p lies across rows, so all is loaded an element at a time: rank is small.
void EntryConverter::convertInverseNorm(train::InverseNormOp op) {
  std::string label = labelOf(op);
  Value base = bufferOf(op.getBase()), b = bufferOf(op.getB()), p = bufferOf(op.getP()), q = bufferOf(op.getQ());
  Value result = resultBuffer(cast<OpResult>(op.getResult()), {}, label);
  places[op.getResult()].buffer = result;

  const int64_t rows = op.getB().getType().getDimSize(0), rank = op.getRank();
  RowLaunch launch(kernels, builder, op.getLoc(), rows, chooseRowsPerTask(rows, 1 + rank));
  OpBuilder &body = launch.body();
  RowMath math(body, op.getLoc());
  Type type = op.getBase().getType().getElementType();
  auto load = [&](Value buffer, ValueRange indices) { return math.convert(launch.loadElement(buffer, indices), type); };
  const double scale = op.getScale().convertToDouble();
  Value twice = math.constant(2 * scale, type), square = math.constant(scale * scale, type), row = launch.row();
  Value norm = load(base, row), squares = math.mul(norm, norm);
  for (int64_t k = 0; k < rank; ++k) {
    Value column = arith::ConstantIndexOp::create(body, op.getLoc(), k);
    Value change = math.fma(square, load(q, {row, column}), math.mul(twice, load(p, {column, row})));
    squares = math.fma(load(b, {row, column}), change, squares);
  }
  launch.storeRow(math.div(math.constant(1.0, type), math.sqrt(squares)), result);
  launch.finish("inverse_norm_" + shapeName(op.getB().getType()), label);
}

//===- Nf4Decoder.cpp - Elements of a weight in four bits ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Nf4Decoder.h"

#include "ftc/Support/Nf4.h"
#include "lib/Target/Common/Build.h"

using namespace mlir;
using namespace ftc;
using target::Nf4Decoder;

std::string target::nameOf(plan::Nf4Attr encoding) {
  std::string name = "nf4.";
  llvm::raw_string_ostream(name) << plan::stringifyQuantizer(encoding.getQuantizer()) << '.' << encoding.getDecoded();
  return name;
}

Value Nf4Decoder::constant(OpBuilder &b, int64_t value) { return constantI64(b, loc, value); }

Value Nf4Decoder::shiftRight(OpBuilder &b, Value index, int64_t bits) {
  return arith::ShRUIOp::create(b, loc, index, constant(b, bits));
}

Value Nf4Decoder::load(OpBuilder &b, Type type, Value pointer, Value index) {
  unsigned alignment = type.getIntOrFloatBitWidth() / 8;
  return LLVM::LoadOp::create(b, loc, type, elementPointer(b, loc, pointer, type, index), alignment);
}

Value Nf4Decoder::round(OpBuilder &b, Value value) {
  return emitWiden(b, loc, emitNarrow(b, loc, value, encoding.getDecoded()));
}

Value Nf4Decoder::scale(OpBuilder &b, Value index) {
  Value block = shiftRight(b, index, 6), above = load(b, b.getF32Type(), nested, shiftRight(b, block, 8));
  Value mean = load(b, b.getF32Type(), offset, constant(b, 0)), code = load(b, b.getI8Type(), absmax, block);
  if (isTorchao()) {
    Value number = arith::SIToFPOp::create(b, loc, b.getF32Type(), code);
    return round(b, arith::AddFOp::create(b, loc, round(b, arith::DivFOp::create(b, loc, number, above)), mean));
  }
  Value place = arith::ExtUIOp::create(b, loc, b.getI64Type(), code);
  Value map = constantTable<float>(b, loc, "ftc.nf4.map", nf4ScaleMap());
  Value number = load(b, b.getF32Type(), map, place);
  return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, number, above), mean);
}

Value Nf4Decoder::decode(OpBuilder &b, Value code, Value scale) {
  Value numbers = constantTable<float>(b, loc, "ftc." + nameOf(encoding), nf4Codes(plan::formatOf(encoding)));
  return round(b, arith::MulFOp::create(b, loc, load(b, b.getF32Type(), numbers, code), scale));
}

Value Nf4Decoder::scalar(OpBuilder &b, Value index) {
  Value byte = load(b, b.getI8Type(), codes, shiftRight(b, index, 1));
  Value wide = arith::ExtUIOp::create(b, loc, b.getI64Type(), byte);
  // The first of two elements is in the upper bits.
  Value odd = arith::AndIOp::create(b, loc, index, constant(b, 1));
  Value shift = arith::ShLIOp::create(b, loc, arith::XOrIOp::create(b, loc, odd, constant(b, 1)), constant(b, 2));
  Value code = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, wide, shift), constant(b, 15));
  return decode(b, code, scale(b, index));
}

//===- Codes.cpp - Codes of quantized moments in rows --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decoding gathers from a table of 256 numbers. Encoding takes sign, exponent and seven bits of the mantissa for a
// place in two tables (ftc/Support/QuantizedStates.h, StateBuckets): the codes at both ends of the bucket, and the
// number from which on it is the upper one. Two gathers and a comparison, where a search among 256 numbers would take
// eight of each.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/Common/Codes.h"

#include "lib/Target/Common/Build.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;
using namespace ftc;

static std::string nameOf(plan::StateMapAttr map, StringRef what) {
  return ("ftc.states." + plan::stringifyStateFormat(map.getFormat()) +
          (map.getIsSigned() ? ".signed." : ".unsigned.") + what)
      .str();
}

/// `table[index]` in every lane; `index` is a vector of i32.
static Value gather(OpBuilder &b, Location loc, Value base, Type element, Value index) {
  auto indices = cast<VectorType>(index.getType());
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value places = LLVM::GEPOp::create(b, loc, VectorType::get(indices.getShape(), pointer), element, base,
                                     ArrayRef<LLVM::GEPArg>{index});
  auto all = VectorType::get(indices.getShape(), b.getI1Type());
  Value mask = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(all, true));
  return LLVM::masked_gather::create(b, loc, VectorType::get(indices.getShape(), element), places, mask, ValueRange(),
                                     4);
}

Value target::emitDecode(OpBuilder &b, plan::DecodeOp op, Value codes) {
  Location loc = op.getLoc();
  Value table = target::constantTable<float>(b, loc, nameOf(op.getMap(), "values"), op.getMap().getMap().values);
  auto wide = cast<VectorType>(codes.getType()).clone(b.getI32Type());
  return gather(b, loc, table, b.getF32Type(), arith::ExtUIOp::create(b, loc, wide, codes));
}

Value target::emitEncode(OpBuilder &b, plan::EncodeOp op, Value numbers) {
  Location loc = op.getLoc();
  StateBuckets buckets = bucketsOf(op.getMap().getMap());
  Value first = target::constantTable<int32_t>(b, loc, nameOf(op.getMap(), "codes"), buckets.codes);
  Value starts = target::constantTable<float>(b, loc, nameOf(op.getMap(), "starts"), buckets.starts);
  auto integers = cast<VectorType>(numbers.getType()).clone(b.getI32Type());
  auto splat = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(integers, value));
  };
  // A NaN counts as 1 here, and begins no code; see below.
  Value bits = arith::BitcastOp::create(b, loc, integers, numbers);
  Value magnitude = arith::ShRUIOp::create(b, loc, arith::AndIOp::create(b, loc, bits, splat(0x7fffffff)), splat(16));
  magnitude = arith::MaxSIOp::create(b, loc, magnitude, splat(StateBuckets::firstKey));
  magnitude = arith::MinSIOp::create(b, loc, magnitude, splat(StateBuckets::firstKey + StateBuckets::perSign - 1));
  Value negative = arith::ShRSIOp::create(b, loc, bits, splat(31));
  Value bucket = arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, magnitude, splat(StateBuckets::firstKey)),
                                       arith::AndIOp::create(b, loc, negative, splat(StateBuckets::perSign)));
  Value code = gather(b, loc, first, b.getI32Type(), bucket);
  Value next =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE, numbers, gather(b, loc, starts, b.getF32Type(), bucket));
  // The lower eight bits are what is kept.
  code = arith::SelectOp::create(b, loc, next, arith::ShRUIOp::create(b, loc, code, splat(8)), code);
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, numbers, numbers);
  code = arith::SelectOp::create(b, loc, isNaN, splat(0), code);
  return arith::TruncIOp::create(b, loc, integers.clone(b.getI8Type()), code);
}

//===- LowerNf4.cpp - Packing of a matrix in four bits -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The matrix, row-major [outputs, inputs], is one run of elements in blocks of 64 (ftc/Support/Nf4.h). Where rows are
// multiples of a vector, a vector never crosses a block and begins at a whole byte: its codes are one or two words,
// shifted apart, and looked up in registers (the 16 numbers are two permutes of 8, or one of 16). Other matrices are
// decoded one element after the other. Every operation is one of nf4Decode's, in its order, so both give the same bits.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CPU/LowerMatmul.h"
#include "lib/Target/Common/Nf4Decoder.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::cpu;

namespace {

/// Decodes vectors of elements too.
struct Decoder : target::Nf4Decoder {
  int64_t lanes;

  /// `lanes` elements from `index` on, a multiple of `lanes`.
  Value vector(OpBuilder &b, Value index) {
    Type i32 = b.getI32Type();
    auto words = VectorType::get({lanes / 8}, i32), integers = VectorType::get({lanes}, i32),
         floats = VectorType::get({lanes}, b.getF32Type());
    Value stored = emitLoad(b, loc, words, elementPointer(b, loc, codes, b.getI8Type(), shiftRight(b, index, 1)), 1);
    SmallVector<int64_t> which;
    SmallVector<int32_t> shifts;
    for (int64_t i = 0; i < lanes; ++i) {
      which.push_back(i / 8);
      shifts.push_back(static_cast<int32_t>(i % 8 / 2 * 8 + (i % 2 ? 0 : 4)));
    }
    auto splat = [&](int32_t value) -> Value {
      return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(integers, value));
    };
    Value spread = vector::ShuffleOp::create(b, loc, stored, stored, which);
    Value shift = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(integers, ArrayRef<int32_t>(shifts)));
    Value code = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, spread, shift), splat(15));
    const std::array<float, 16> &numbers = nf4Codes(plan::formatOf(encoding));
    auto table = [&](int64_t first) -> Value {
      return arith::ConstantOp::create(b, loc,
                                       DenseElementsAttr::get(floats, ArrayRef<float>(numbers).slice(first, lanes)));
    };
    auto permute = [&](StringRef intrinsic, Value from) -> Value {
      return LLVM::CallIntrinsicOp::create(b, loc, floats, b.getStringAttr(intrinsic), ValueRange{from, code})
          .getResults();
    };
    Value number;
    if (lanes == 16) {
      number = permute("llvm.x86.avx512.permvar.sf.512", table(0));
    } else {
      // A permute looks at the lowest three bits.
      Value upper = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, code, splat(7));
      number = arith::SelectOp::create(b, loc, upper, permute("llvm.x86.avx2.permps", table(8)),
                                       permute("llvm.x86.avx2.permps", table(0)));
    }
    Value factor = vector::BroadcastOp::create(b, loc, floats, scale(b, index));
    return round(b, arith::MulFOp::create(b, loc, number, factor));
  }
};

/// Arguments of a packing function.
struct PackArguments {
  Value first, to, ld, valid, k, panelSize;
};

} // namespace

/// As packing along k of plain elements (LowerMatmulPieces.cpp), which says why groups run backwards.
static void emitAlongK(OpBuilder &builder, Decoder &decode, const PackArguments &a, int64_t width, bool inVectors) {
  Location loc = decode.loc;
  int64_t lanes = decode.lanes;
  Type f32 = builder.getF32Type();
  auto row = VectorType::get({lanes}, f32);
  Value zero = constantI64(builder, loc, 0), one = constantI64(builder, loc, 1);
  Value kWhole = inVectors ? Value(arith::AndIOp::create(builder, loc, a.k, constantI64(builder, loc, -lanes))) : zero;
  emitFor(builder, loc, zero, a.valid, width, a.to, [&](OpBuilder &panel, Value firstRow, ValueRange state) {
    SizeMath s{panel, loc};
    Value out = state.front(), last = s.sub(s.sub(a.valid, firstRow), one);
    Value base = s.add(a.first, s.mul(firstRow, a.ld));
    for (int64_t group = (width - 1) / lanes * lanes; group >= 0; group -= lanes) {
      int64_t rows = std::min(lanes, width - group);
      SmallVector<Value> begins;
      for (int64_t r = 0; r < rows; ++r)
        begins.push_back(s.add(base, s.mul(s.min(s.constant(group + r), last), a.ld)));
      Value groupOut = s.at(out, f32, s.constant(group));
      if (inVectors)
        emitFor(panel, loc, zero, kWhole, lanes, {}, [&](OpBuilder &inner, Value step, ValueRange) {
          SizeMath t{inner, loc};
          SmallVector<Value> loaded(lanes);
          for (int64_t r = 0; r < rows; ++r)
            loaded[r] = decode.vector(inner, t.add(begins[r], step));
          for (int64_t r = rows; r < (rows + 3) / 4 * 4; ++r)
            loaded[r] = loaded[r / 4 * 4];
          SmallVector<Value> columns = emitTranspose(inner, loc, loaded, row);
          Value place = t.at(groupOut, f32, t.mul(step, width));
          for (int64_t c = 0; c < lanes; ++c)
            emitStore(inner, loc, columns[c], t.at(place, f32, t.constant(c * width)));
          return SmallVector<Value>{};
        });
      emitFor(panel, loc, kWhole, a.k, 1, {}, [&](OpBuilder &inner, Value step, ValueRange) {
        SizeMath t{inner, loc};
        Value place = t.at(groupOut, f32, t.mul(step, width));
        for (int64_t r = 0; r < rows; ++r)
          emitStore(inner, loc, decode.scalar(inner, t.add(begins[r], step)), t.at(place, f32, t.constant(r)));
        return SmallVector<Value>{};
      });
    }
    return SmallVector<Value>{s.at(out, f32, a.panelSize)};
  });
}

static void emitAcrossK(OpBuilder &builder, Decoder &decode, const PackArguments &a, int64_t width, bool inVectors) {
  Location loc = decode.loc;
  Type f32 = builder.getF32Type();
  SizeMath s{builder, loc};
  Value zero = s.constant(0), whole = inVectors ? s.sub(a.valid, s.rem(a.valid, width)) : zero;
  emitFor(builder, loc, zero, a.k, 1, {}, [&](OpBuilder &step, Value index, ValueRange) {
    SizeMath t{step, loc};
    Value from = t.add(a.first, t.mul(index, a.ld)), to = t.at(a.to, f32, t.mul(index, width));
    if (inVectors)
      emitFor(step, loc, zero, whole, width, to, [&](OpBuilder &panel, Value column, ValueRange state) {
        SizeMath u{panel, loc};
        for (int64_t i = 0; i < width; i += decode.lanes)
          emitStore(panel, loc, decode.vector(panel, u.add(u.add(from, column), u.constant(i))),
                    u.at(state.front(), f32, u.constant(i)));
        return SmallVector<Value>{u.at(state.front(), f32, a.panelSize)};
      });
    emitFor(step, loc, whole, a.valid, 1, {}, [&](OpBuilder &inner, Value column, ValueRange) {
      SizeMath u{inner, loc};
      Value panel = u.div(column, width), place = u.add(u.mul(panel, a.panelSize), u.rem(column, width));
      emitStore(inner, loc, decode.scalar(inner, u.add(from, column)), u.at(to, f32, place));
      return SmallVector<Value>{};
    });
    return SmallVector<Value>{};
  });
}

void cpu::emitPackNf4(OpBuilder &builder, Location loc, const CpuTarget &target, int64_t width, const Nf4Source &source,
                      Value first, Value to, Value ld, Value valid, Value k, Value panelStride) {
  auto module = builder.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  const int64_t lanes = target.lanes();
  bool inVectors = source.inputs % lanes == 0 && width % lanes == 0;
  std::string name = ("ftc.pack." + Twine(source.form == PanelForm::AlongK ? "along." : "across.") + Twine(width) +
                      "." + target::nameOf(source.encoding) + (inVectors ? "" : ".odd"))
                         .str();
  SmallVector<Value> operands(source.buffers.begin(), source.buffers.end());
  operands.append({first, to, ld, valid, k, panelStride});
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function) {
    OpBuilder inside = OpBuilder::atBlockEnd(module.getBody());
    SmallVector<Type> types;
    for (Value operand : operands)
      types.push_back(operand.getType());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(module.getContext()), types);
    function = LLVM::LLVMFuncOp::create(inside, module.getLoc(), name, type, LLVM::Linkage::Internal);
    for (unsigned argument : {0, 1, 2, 3, 5})
      function.setArgAttr(argument, LLVM::LLVMDialect::getNoAliasAttrName(), inside.getUnitAttr());
    Block *entry = function.addEntryBlock(inside);
    inside.setInsertionPointToStart(entry);
    auto argument = [&](unsigned number) -> Value { return entry->getArgument(number); };
    Decoder decode{{module.getLoc(), source.encoding, argument(0), argument(1), argument(2), argument(3)}, lanes};
    PackArguments arguments{argument(4), argument(5), argument(6), argument(7), argument(8), argument(9)};
    if (source.form == PanelForm::AlongK)
      emitAlongK(inside, decode, arguments, width, inVectors);
    else
      emitAcrossK(inside, decode, arguments, width, inVectors);
    LLVM::ReturnOp::create(inside, module.getLoc(), ValueRange{});
  }
  LLVM::CallOp::create(builder, loc, function, operands);
}

//===- ConvertBf16.cpp - bf16 in the GPU's instructions -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/ConvertBf16.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ftc;

/// Two numbers rounded, as the bits of one register.
static Value emitPair(OpBuilder &builder, Location loc, Value low, Value high) {
  auto two = VectorType::get({2}, builder.getBF16Type());
  Value pair = NVVM::ConvertF32x2ToBF16x2Op::create(builder, loc, two, high, low, Value(), NVVM::FPRoundingMode::RN);
  return LLVM::BitcastOp::create(builder, loc, builder.getI32Type(), pair);
}

static Value emitTruncate(OpBuilder &builder, Location loc, Value x) {
  Type bf16 = builder.getBF16Type(), i32 = builder.getI32Type();
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type) {
    Value bits = arith::TruncIOp::create(builder, loc, builder.getI16Type(), emitPair(builder, loc, x, x));
    return arith::BitcastOp::create(builder, loc, bf16, bits);
  }
  const int64_t count = type.getNumElements(), pairs = llvm::divideCeil(count, 2);
  auto at = [&](int64_t index) -> Value {
    return vector::ExtractOp::create(builder, loc, x, ArrayRef<int64_t>{std::min(index, count - 1)});
  };
  SmallVector<Value> registers;
  for (int64_t i = 0; i < pairs; ++i)
    registers.push_back(emitPair(builder, loc, at(2 * i), at(2 * i + 1)));
  Value all = vector::FromElementsOp::create(builder, loc, VectorType::get({pairs}, i32), registers);
  Value bits = vector::BitCastOp::create(builder, loc, VectorType::get({2 * pairs}, builder.getI16Type()), all);
  if (count % 2 != 0)
    bits = vector::ShuffleOp::create(builder, loc, bits, bits, llvm::to_vector(llvm::seq<int64_t>(0, count)));
  return arith::BitcastOp::create(builder, loc, VectorType::get({count}, bf16), bits);
}

static Value emitExtend(OpBuilder &builder, Location loc, Value x) {
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type || type.getNumElements() % 2 != 0)
    return target::emitExtendBf16(builder, loc, x);
  const int64_t count = type.getNumElements();
  auto words = VectorType::get({count / 2}, builder.getI32Type());
  auto splat = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(builder, loc, DenseElementsAttr::get(words, value));
  };
  Value halves = arith::BitcastOp::create(builder, loc, VectorType::get({count}, builder.getI16Type()), x);
  Value both = vector::BitCastOp::create(builder, loc, words, halves);
  Value low = arith::ShLIOp::create(builder, loc, both, splat(16));
  Value high = arith::AndIOp::create(builder, loc, both, splat(static_cast<int32_t>(0xFFFF0000)));
  SmallVector<int64_t> turns;
  for (int64_t i = 0; i < count / 2; ++i)
    turns.append({i, count / 2 + i});
  Value bits = vector::ShuffleOp::create(builder, loc, low, high, turns);
  return arith::BitcastOp::create(builder, loc, VectorType::get({count}, builder.getF32Type()), bits);
}

target::Bf16Conversions cuda::bf16Conversions() { return {emitExtend, emitTruncate}; }

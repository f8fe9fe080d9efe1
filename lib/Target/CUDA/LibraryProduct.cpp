//===- LibraryProduct.cpp - Products that cuBLASLt computes --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A seam is recognized by what its body computes, whatever the order of the operands of a sum. Which types go together
// is in the table of supported types of cublasLtMatmul (NVIDIA, cuBLAS library documentation): with 32-bit computation,
// A and B both in fp32 with C and D in fp32, or both in bf16 with C and D in bf16 or fp32.
//
//===----------------------------------------------------------------------===//

#include "lib/Target/CUDA/LibraryProduct.h"

using namespace mlir;
using namespace ftc;
using cuda::LibraryProduct;

static Type elementOf(Value buffer) { return cast<MemRefType>(buffer.getType()).getElementType(); }

/// Whether `value` is `source`, possibly widened or narrowed by `Cast`.
template <typename Cast> static Value withoutCast(Value value) {
  auto conversion = value.getDefiningOp<Cast>();
  return conversion ? conversion.getIn() : value;
}

static Value yieldedBy(Region &seam) { return cast<plan::YieldOp>(seam.front().getTerminator()).getValue(); }

/// Whether a seam reads elements as they are.
static bool readsPlainly(Region &seam) {
  return seam.empty() || withoutCast<arith::ExtFOp>(yieldedBy(seam)) == seam.front().getArgument(0);
}

namespace {
enum class Store { Plain, Onto, Other };
}

static Store storeOf(Region &seam) {
  if (seam.empty())
    return Store::Plain;
  Block &block = seam.front();
  Value stored = withoutCast<arith::TruncFOp>(yieldedBy(seam));
  if (stored == block.getArgument(0))
    return Store::Plain;
  auto sum = stored.getDefiningOp<arith::AddFOp>();
  if (!sum || !sum.getType().isF32() || block.getNumArguments() != 2)
    return Store::Other;
  Value left = withoutCast<arith::ExtFOp>(sum.getLhs()), right = withoutCast<arith::ExtFOp>(sum.getRhs());
  bool onto = (left == block.getArgument(1) && right == block.getArgument(0)) ||
              (left == block.getArgument(0) && right == block.getArgument(1));
  return onto ? Store::Onto : Store::Other;
}

static uint32_t typeOf(Type type) { return type.isBF16() ? FTRT_BF16 : FTRT_F32; }

/// Columns of a slab are a multiple of this: whole blocks of a weight in four bits, and of 128 bytes of d.
static constexpr int64_t slabStep = 64;
/// Words of eight codes must not reach over rows where a weight is cut.
static constexpr int64_t wordElements = 8;

/// Cuts b into slabs of a quarter of the L2 cache: the one that is decoded and the one that is multiplied stay in it,
/// with as much room for the rest.
static void cutSlabs(LibraryProduct &result, plan::MatmulOp op, Type element, const cuda::CudaTarget &target) {
  int64_t k = op.getK(), n = op.getN(), bytes = k * (element.isF32() ? 4 : 2);
  int64_t most = std::max(target.l2Bytes / 4 / bytes / slabStep * slabStep, slabStep);
  result.slabs = n % wordElements == 0 && k % wordElements == 0 ? llvm::divideCeil(n, most) : 1;
  result.slabColumns = result.slabs == 1 ? n : llvm::alignTo(llvm::divideCeil(n, result.slabs), slabStep);
  result.slabs = llvm::divideCeil(n, result.slabColumns);
  result.slabBytes = result.slabColumns * bytes;
  result.product.n = result.slabColumns;
  result.product.ldb = op.getTransposeB() ? k : result.slabColumns;
}

std::optional<LibraryProduct> cuda::asLibraryProduct(plan::MatmulOp op, const CudaTarget &target, std::string &reason) {
  bool decodes = op.getDecodeB().has_value();
  Type a = elementOf(op.getA()), b = decodes ? op.getDecodeB()->getDecoded() : elementOf(op.getB());
  Type d = elementOf(op.getC());
  Store store = storeOf(op.getStoreC());
  if (!readsPlainly(op.getReadA()) || !readsPlainly(op.getReadB()))
    reason = "it computes while it reads";
  else if (store == Store::Other)
    reason = "it computes while it stores";
  else if (a != b || !(a.isF32() || a.isBF16()) || !(d.isF32() || d == a))
    reason = "the library has no product of these types";
  else if (store == Store::Onto && elementOf(op.getExtras()[0]) != d)
    reason = "it adds to another type than it stores";
  if (!reason.empty())
    return std::nullopt;
  auto pitch = [](Value buffer) -> uint64_t { return cast<MemRefType>(buffer.getType()).getShape().back(); };
  LibraryProduct result{};
  result.product.m = op.getM();
  result.product.n = op.getN();
  result.product.k = op.getK();
  result.product.lda = pitch(op.getA());
  result.product.ldb = decodes ? 0 : pitch(op.getB()); // set below
  result.product.ldd = pitch(op.getC());
  result.product.type_a = typeOf(a);
  result.product.type_b = typeOf(b);
  result.product.type_d = typeOf(d);
  result.product.transpose_a = op.getTransposeA();
  result.product.transpose_b = op.getTransposeB();
  result.product.has_addend = store == Store::Onto;
  result.product.workspace_bytes = target.productWorkspaceBytes;
  if (decodes)
    cutSlabs(result, op, b, target);
  if (store == Store::Onto)
    result.addend = op.getExtras()[0];
  return result;
}

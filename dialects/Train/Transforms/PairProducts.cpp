//===- PairProducts.cpp - Narrow products inside wide ones -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A low-rank adapter adds to the result of a layer a product of a few terms. By itself it does little arithmetic and
// reads and writes the whole result once more. Beside the layer's own product it is a few more terms of each sum.
//
// Assumes: train-fuse-sums has put sums of products into their stores; products stand in the block of their sum.
//
// Promises: one rounding where there were two. In fp32 the CPU's numbers are those of the two products apart, unless
// something else is added as well: then sums are made in another order. The pair stands where the later of its two
// products stood, so operands of the earlier one may live until there.
//
// Leaves alone: products of more than 64 terms, or of more than a quarter of the other's; a narrow product with its
// left factor transposed or a right one in four bits; a product that something else reads too.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_PAIRPRODUCTSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("pair").category("train-pair-products");

/// Terms of the longest sum that is worth a place beside another: the factors of the narrow product are packed whole.
constexpr int64_t narrowTerms = 64;
/// How often the wide product has as many terms, at least: above, reading and writing the result once more is little.
constexpr int64_t timesWider = 4;

bool isNarrow(MatmulOp product, MatmulOp wide) {
  return product.getK() <= narrowTerms && timesWider * product.getK() <= wide.getK() && !product.getTransposeA() &&
         !isa<Nf4Type>(product.getB().getType().getElementType());
}

/// The pair that `product` and the product it is added to make: the wide one, then the narrow one.
std::optional<std::pair<MatmulOp, MatmulOp>> findPair(MatmulOp product) {
  auto earlier = product.getOnto() ? product.getOnto().getDefiningOp<MatmulOp>() : MatmulOp();
  if (!earlier)
    return std::nullopt;
  if (isNarrow(product, earlier))
    return std::pair(earlier, product);
  if (isNarrow(earlier, product))
    return std::pair(product, earlier);
  return std::nullopt;
}

struct PairProductsPass : impl::PairProductsPassBase<PairProductsPass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<EntryOp>())
      for (auto product : llvm::make_early_inc_range(entry.getBody().front().getOps<MatmulOp>()))
        if (auto found = findPair(product))
          visit(product, found->first, found->second);
  }

  /// `later` is the one of the two that adds the other.
  static void visit(MatmulOp later, MatmulOp wide, MatmulOp narrow) {
    MatmulOp earlier = later == wide ? narrow : wide;
    auto type = later.getResult().getType();
    if (earlier.getResult().getType() != type || !earlier.getResult().hasOneUse()) {
      remark::missed(later.getLoc(), remarkOpts)
          << remark::add("a product of {0} terms stays apart: something else reads what it is added to", narrow.getK());
      return;
    }
    OpBuilder builder(later);
    auto pair =
        MatmulPairOp::create(builder, wide.getLoc(), type, wide.getA(), wide.getB(), narrow.getA(), narrow.getB(),
                             wide.getTransposeA(), wide.getTransposeB(), narrow.getTransposeB(), earlier.getOnto());
    // What only one of them says of itself holds for both: the layer of a frozen product is its adapter's.
    for (MatmulOp product : {narrow, wide})
      for (NamedAttribute attribute : product->getDiscardableAttrs())
        pair->setDiscardableAttr(attribute.getName(), attribute.getValue());
    remark::passed(later.getLoc(), remarkOpts)
        << remark::add("a product of {0} terms joins one of {1}", narrow.getK(), wide.getK())
        << remark::metric("traffic_saved",
                          2 * type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8)));
    later.getResult().replaceAllUsesWith(pair.getResult());
    later.erase();
    earlier.erase();
  }
};

} // namespace
} // namespace ftc::train

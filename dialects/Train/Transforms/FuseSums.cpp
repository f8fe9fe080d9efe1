//===- FuseSums.cpp - Sums of products in the products -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A product that is made only to be added to something can add it while it stores: what it is added to is read once
// there, instead of being read, with the product, by a kernel of its own.
//
// Assumes: pure products in the block of their sum. Runs when the graph is complete (behind differentiation, whose sums
// of gradients are most of what is found), before recomputation is chosen and kernels are formed.
//
// Promises: one rounding instead of two, the exact product and the other operand before it. In fp32 the CPU's sums are
// the same bits; in bf16 they are closer to the exact ones. No op moves, so no value lives longer.
//
// The gradient of tied embeddings is a product, of the head, and a sum of rows: the rows are added to the product,
// which needs no second table. Each row is one addition more, so in bf16 sums round otherwise than apart.
//
// Leaves alone: a product that something else reads too, one that adds already, one that stands before what it
// would be added to, and one of a reference (`train.reference`) whose twin in the trained model is not fused: a product
// with an adapter adds that already. Both models must round alike, or a model that has learned nothing yet would
// differ from its own reference. The twin reads the same weight, or, where the reference has copies of its own, the
// parameter that this is the copy of.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "ftc/Support/Reference.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_FUSESUMSPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

constexpr remark::RemarkOpts remarkOpts = remark::RemarkOpts::name("sum").category("train-fuse-sums");

/// Why `value` cannot take `other` into its store; empty if it can.
StringRef whyNot(Value value, Value other) {
  auto product = value.getDefiningOp<MatmulOp>();
  if (!value.hasOneUse())
    return "something else reads the product";
  if (product.getOnto())
    return "the product is added to something already";
  if (product.getResult().getType() != other.getType())
    return "the product has another type";
  Operation *producer = other.getDefiningOp();
  if (producer && !producer->isBeforeInBlock(product))
    return "what it is added to is computed later";
  return {};
}

/// Replaces `sum` of `product` and `other` by one product.
void fuse(AddOp sum, MatmulOp product, Value other) {
  OpBuilder builder(product);
  auto fused = MatmulOp::create(builder, product.getLoc(), product.getResult().getType(), product.getA(),
                                product.getB(), product.getTransposeA(), product.getTransposeB(), other);
  fused->setDiscardableAttrs(product->getDiscardableAttrDictionary());
  sum.getResult().replaceAllUsesWith(fused.getResult());
  sum.erase();
  product.erase();
}

bool isReference(Operation *op) { return op->hasAttr(TrainDialect::referenceAttrName); }

/// The parameter that a product multiplies with, or that its factor is a reference's copy of, perhaps decoded or cast
/// first; null where that is none.
StringAttr weightOf(MatmulOp product) {
  Operation *op = product.getB().getDefiningOp();
  while (op && !isa<ReadOp>(op) && op->getNumOperands() == 1)
    op = op->getOperand(0).getDefiningOp();
  auto read = dyn_cast_or_null<ReadOp>(op);
  if (!read)
    return {};
  return StringAttr::get(product.getContext(), parameterOf(read.getVariable()));
}

/// add(embedding_grad(ids, g), base) becomes embedding_grad(ids, g) onto base.
void fuseTable(AddOp sum) {
  for (auto [table, base] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    auto grad = table.getDefiningOp<EmbeddingGradOp>();
    if (!grad || grad.getBase() || !grad->hasOneUse())
      continue;
    OpBuilder builder(sum);
    auto fused = EmbeddingGradOp::create(builder, sum.getLoc(), sum.getType(), grad.getIds(), grad.getGradient(), base);
    fused->setDiscardableAttrs(sum->getDiscardableAttrDictionary());
    sum.getResult().replaceAllUsesWith(fused.getResult());
    sum.erase();
    grad.erase();
    return;
  }
}

struct FuseSumsPass : impl::FuseSumsPassBase<FuseSumsPass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<EntryOp>()) {
      Block &body = entry.getBody().front();
      for (auto sum : llvm::make_early_inc_range(body.getOps<AddOp>()))
        fuseTable(sum);
      // The weights of the trained model's products that add something. Only what they do, a reference does.
      llvm::DenseSet<StringAttr> adding;
      for (bool ofReference : {false, true}) {
        for (auto sum : llvm::make_early_inc_range(body.getOps<AddOp>()))
          if (isReference(sum) == ofReference)
            visit(sum, ofReference ? &adding : nullptr);
        if (!ofReference)
          for (auto product : body.getOps<MatmulOp>())
            if (product.getOnto() && !isReference(product) && !product->hasAttr(TrainDialect::backwardAttrName))
              adding.insert(weightOf(product));
      }
    }
  }

  /// `twins`: for a sum of a reference, the weights of products that may be fused.
  static void visit(AddOp sum, const llvm::DenseSet<StringAttr> *twins) {
    StringRef reason;
    for (auto [value, other] : {std::pair(sum.getRhs(), sum.getLhs()), std::pair(sum.getLhs(), sum.getRhs())}) {
      auto product = value.getDefiningOp<MatmulOp>();
      if (!product)
        continue;
      StringRef obstacle = whyNot(value, other);
      if (obstacle.empty() && twins && !twins->contains(weightOf(product)))
        obstacle = "the model that is trained adds it apart, and its reference rounds as it does";
      if (!obstacle.empty()) {
        reason = obstacle;
        continue;
      }
      auto type = cast<RankedTensorType>(value.getType());
      remark::passed(sum.getLoc(), remarkOpts)
          << remark::add("a product is added while it is stored")
          << remark::metric("traffic_saved",
                            2 * type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8)));
      return fuse(sum, product, other);
    }
    if (!reason.empty())
      remark::missed(sum.getLoc(), remarkOpts)
          << remark::add("a product is added by a kernel of its own: {0}", reason.str());
  }
};

} // namespace
} // namespace ftc::train

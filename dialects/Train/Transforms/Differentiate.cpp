//===- Differentiate.cpp - Reverse-mode differentiation ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reverse-mode differentiation of a straight-line graph (Griewank and Walther, "Evaluating Derivatives", chapter 3).
//
// Assumes: an entry is one block in SSA form, and a value's uses stand after it, so one sweep over the ops in reverse
// meets every use of a value before the value itself.
//
// Promises: the forward ops are untouched (but for reads of one variable, which become one), and the backward ops
// follow them in the order of the sweep: gradients of the last layer first, each marked `train.backward`. A gradient is
// built only if a trainable variable needs it: `needsGradient` marks, forwards, what depends on one. Sums of gradients
// are formed last use first, so their order is a function of the graph alone.
//
// Refuses: an op on the way from a trainable variable to the loss that states no vector-Jacobian product, or none for
// the result or the operand that is on that way. Of an op's results only the first has one (the others are statistics
// and counts); what an op takes for a constant by its definition (`isConstant`) needs none.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;

namespace ftc::train {
#define GEN_PASS_DEF_DIFFERENTIATEPASS
#include "dialects/Train/Transforms/Passes.h.inc"

namespace {

class Differentiation {
public:
  explicit Differentiation(EntryOp entry, LossOp loss) : entry(entry), loss(loss), builder(loss) {}

  LogicalResult run() {
    mergeReads();
    markDependents();
    builder.setInsertionPoint(loss);
    auto type = cast<RankedTensorType>(loss.getLoss().getType());
    Attribute one = builder.getFloatAttr(type.getElementType(), 1.0);
    auto seed = ConstantOp::create(builder, loss.getLoc(), DenseElementsAttr::get(type, one));
    addGradient(loss.getLoss(), seed.getResult());

    SmallVector<Operation *> forward;
    for (Operation &op : entry.getBody().front()) {
      if (&op == loss)
        break;
      if (llvm::any_of(op.getResults(), [&](Value result) { return needsGradient.contains(result); }))
        forward.push_back(&op);
    }
    for (Operation *op : llvm::reverse(forward))
      if (failed(propagate(op)))
        return failure();
    // Everything from the seed to the loss is new. A constant is a constant on either side.
    for (Operation *op = seed->getNextNode(); op != loss; op = op->getNextNode())
      op->setAttr(TrainDialect::backwardAttrName, builder.getUnitAttr());
    loss.erase();
    return success();
  }

private:
  /// Marks the values that depend on a trainable variable and can have a gradient.
  void markDependents() {
    SymbolTable symbols(entry->getParentOp());
    for (Operation &op : entry.getBody().front()) {
      if (&op == loss)
        break;
      bool depends = false;
      if (auto read = dyn_cast<ReadOp>(op))
        depends = symbols.lookup<VariableOp>(read.getVariable()).getTrainable();
      else
        depends = llvm::any_of(op.getOperands(), [&](Value operand) { return needsGradient.contains(operand); });
      if (!depends)
        continue;
      for (Value result : op.getResults())
        if (isa<FloatType>(getElementTypeOrSelf(result.getType())))
          needsGradient.insert(result);
    }
  }

  void addGradient(Value value, Value gradient) {
    Value &sum = gradients[value];
    sum = sum ? AddOp::create(builder, gradient.getLoc(), sum, gradient).getResult() : gradient;
  }

  /// Operands that an op's definition makes constants of, whatever they depend on: norms of adapted weights, as in
  /// DoRA, a teacher's logits, a reference and counts beside the log-probabilities that are trained.
  static bool isConstant(Operation *op, unsigned operand) {
    return isa<InverseNormOp>(op) || (isa<DistillationLossOp, PreferenceLossOp>(op) && operand > 0);
  }

  LogicalResult propagate(Operation *op) {
    SmallVector<Value> resultGradients;
    for (Value result : op->getResults())
      resultGradients.push_back(gradients.lookup(result));
    if (llvm::none_of(resultGradients, [](Value gradient) { return !!gradient; }))
      return success();
    builder.setInsertionPoint(loss);
    if (auto read = dyn_cast<ReadOp>(op)) {
      UpdateOp::create(builder, op->getLoc(), read.getVariableAttr(), resultGradients[0], Value());
      return success();
    }
    auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
    if (!differentiable)
      return op->emitOpError("stands between a trainable variable and the loss but states no vector-Jacobian product");
    for (size_t i = 1; i < resultGradients.size(); ++i)
      if (resultGradients[i])
        return op->emitOpError("states no vector-Jacobian product for its result ")
               << i << ", which the loss depends on";
    SmallVector<bool> needed;
    for (Value operand : op->getOperands())
      needed.push_back(needsGradient.contains(operand));
    SmallVector<Value> operandGradients = differentiable.buildVjp(builder, resultGradients, needed);
    for (auto [index, gradient] : llvm::enumerate(operandGradients)) {
      if (!needed[index] || isConstant(op, index))
        continue;
      if (!gradient)
        return op->emitOpError("states no vector-Jacobian product for its operand ")
               << index << ", which depends on a trainable variable";
      addGradient(op->getOperand(index), gradient);
    }
    return success();
  }

  /// Reads see the value before the entry's writes, so all reads of a variable are one value; one gradient then.
  void mergeReads() {
    DenseMap<Attribute, ReadOp> first;
    for (auto read : llvm::make_early_inc_range(entry.getBody().front().getOps<ReadOp>())) {
      auto [it, inserted] = first.try_emplace(read.getVariableAttr(), read);
      if (inserted)
        continue;
      read.getResult().replaceAllUsesWith(it->second.getResult());
      read.erase();
    }
  }

  EntryOp entry;
  LossOp loss;
  OpBuilder builder;
  DenseSet<Value> needsGradient;
  DenseMap<Value, Value> gradients;
};

struct DifferentiatePass : impl::DifferentiatePassBase<DifferentiatePass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<EntryOp>()) {
      auto losses = llvm::to_vector(entry.getBody().front().getOps<LossOp>());
      if (losses.empty())
        continue;
      if (losses.size() > 1) {
        losses[1].emitOpError("is the second loss of its entry");
        return signalPassFailure();
      }
      if (failed(Differentiation(entry, losses.front()).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace ftc::train

//===- Remat.cpp - Which activations are computed again -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Remat.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/Timeline.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

constexpr int64_t noLayer = -1;

/// Inputs, variables and constants are there for the whole entry.
bool isAlwaysThere(Value value) {
  Operation *op = value.getDefiningOp();
  return !op || isa<ReadOp>(op) || op->hasTrait<OpTrait::ConstantLike>();
}

/// What is made of a variable alone at the price of reading it.
bool isAlwaysAgain(Operation *op) {
  auto quantized = dyn_cast<FakeQuantizeOp>(op);
  return quantized && quantized.getInput().getDefiningOp<ReadOp>();
}

/// A handful of operations for each element that is read or written.
bool isCheap(Operation *op) { return isa<RowWiseOpInterface, RotaryOp>(op); }

class Chooser {
public:
  Chooser(Block &block, RematMode mode, int64_t every, RematSelector select)
      : mode(mode), every(every), select(select) {
    for (Operation &op : block) {
      number[&op] = static_cast<int64_t>(ops.size());
      ops.push_back(&op);
    }
    choice.backward = backwardOps(block);
  }

  RematChoice run() {
    findLayers();
    findCandidates();
    place();
    tellKept();
    return std::move(choice);
  }

private:
  bool isBackward(Operation *op) const { return choice.backward.contains(op); }
  int64_t layerOf(Operation *op) const { return layers.lookup_or(op, noLayer); }
  bool isChosen(int64_t layer) const { return layer != noLayer && (layer + 1) % every == 0; }
  bool hasBackwardUse(Value value) const {
    return llvm::any_of(value.getUsers(), [&](Operation *user) { return isBackward(user); });
  }

  void findLayers() {
    llvm::DenseMap<Operation *, int64_t> from; // the latest layer that feeds an op
    for (Operation *op : ops) {
      if (isBackward(op))
        continue;
      if (auto layer = op->getAttrOfType<IntegerAttr>(TrainDialect::layerAttrName)) {
        from[op] = layers[op] = layer.getInt();
        continue;
      }
      int64_t latest = noLayer;
      for (Value operand : op->getOperands())
        if (Operation *producer = operand.getDefiningOp())
          latest = std::max(latest, from.lookup_or(producer, noLayer));
      from[op] = latest;
    }
    for (Operation *op : llvm::reverse(ops)) {
      if (isBackward(op) || layers.contains(op) || from[op] == noLayer)
        continue;
      bool read = false, inside = true;
      for (Operation *user : op->getUsers())
        if (!isBackward(user)) {
          read = true;
          inside &= layerOf(user) == from[op];
        }
      if (read && inside)
        layers[op] = from[op];
    }
  }

  /// Whether a forward op outside its layer reads `value`, or it is returned or written to a variable.
  bool leavesLayer(Value value) const {
    int64_t layer = layerOf(value.getDefiningOp());
    return llvm::any_of(value.getUsers(), [&](Operation *user) { return !isBackward(user) && layerOf(user) != layer; });
  }

  bool isAvailable(Value value) const {
    Operation *op = value.getDefiningOp();
    return isAlwaysThere(value) || candidates.contains(op) || hasBackwardUse(value);
  }

  /// Why `op` of a chosen layer is not computed again; empty if it can be.
  std::string whyKept(Operation *op) const {
    if (!isMemoryEffectFree(op) || op->getNumRegions() > 0)
      return "its op has effects that must not happen twice";
    if (llvm::any_of(op->getResultTypes(), [](Type type) { return isa<FarType>(type); }))
      return "it lies in the far tier";
    if (op->getNumOperands() == 0)
      return "its op has no operand that could wait for a gradient";
    if (llvm::any_of(op->getResults(), [&](Value result) { return leavesLayer(result); }))
      return "ops outside the layer read it too";
    if (mode != RematMode::Selective)
      return {};
    if (!isCheap(op))
      return "computing it again is dear";
    for (Value operand : op->getOperands())
      if (!isAvailable(operand))
        return "a result of " + operand.getDefiningOp()->getName().getStringRef().str() +
               " would have to be kept instead";
    return {};
  }

  void findCandidates() {
    for (Operation *op : ops) {
      if (isBackward(op) || isa<ReadOp>(op) || op->hasTrait<OpTrait::ConstantLike>())
        continue;
      if (!isChosen(layerOf(op)) && !(isAlwaysAgain(op) && layerOf(op) != noLayer))
        continue;
      std::string reason = whyKept(op);
      if (reason.empty())
        candidates.insert(op);
      else
        reasons[op] = std::move(reason);
    }
    if (mode == RematMode::Budget)
      keepWithinBudget();
  }

  /// Leaves those candidates that are worth it.
  void keepWithinBudget() {
    std::vector<RematCandidate> all;
    for (Operation *op : ops) {
      if (isBackward(op) || layerOf(op) == noLayer || isAlwaysAgain(op))
        continue;
      RematCandidate &candidate = all.emplace_back();
      candidate.op = op;
      candidate.layer = layerOf(op);
      candidate.mayBeAgain = candidates.contains(op);
      for (Value result : op->getResults())
        candidate.read.push_back(hasBackwardUse(result));
      // What other layers make and the backward graph reads is kept by them.
      for (Value operand : op->getOperands())
        if (!isAlwaysThere(operand) && !isAlwaysAgain(operand.getDefiningOp()) &&
            (layerOf(operand.getDefiningOp()) == layerOf(op) || !hasBackwardUse(operand)))
          candidate.needed.push_back(operand);
    }
    llvm::DenseSet<Operation *> again = select(all);
    for (const RematCandidate &candidate : all)
      if (candidate.mayBeAgain && !again.contains(candidate.op)) {
        candidates.erase(candidate.op);
        reasons[candidate.op] = "there is room for it";
      }
  }

  /// The latest gradient that exists before `op`, one that `op` reads if possible; null if there is none.
  Value gradientAt(Operation *op) const {
    auto isGradient = [&](Operation *producer) {
      return producer && isBackward(producer) && producer->getNumResults() > 0;
    };
    Value latest;
    for (Value operand : op->getOperands())
      if (isGradient(operand.getDefiningOp()) &&
          (!latest || number.lookup(operand.getDefiningOp()) > number.lookup(latest.getDefiningOp())))
        latest = operand;
    for (int64_t i = number.lookup(op) - 1; i >= 0 && !latest; --i)
      if (isGradient(ops[i]))
        latest = ops[i]->getResult(0);
    return latest;
  }

  /// Orders the copies by the first backward op that reads them.
  void place() {
    std::vector<std::pair<int64_t, int64_t>> needed; // numbers of the first reader, of the op
    for (Operation *op : ops) {
      if (!candidates.contains(op))
        continue;
      int64_t first = INT64_MAX;
      for (Operation *user : op->getUsers())
        if (isBackward(user))
          first = std::min(first, number.lookup(user));
      if (first != INT64_MAX)
        needed.emplace_back(first, number.lookup(op));
    }
    llvm::sort(needed);
    for (auto [reader, op] : needed) {
      if (Value until = gradientAt(ops[reader])) {
        add(ops[op], ops[reader], until);
      } else {
        candidates.erase(ops[op]);
        reasons[ops[op]] = "no gradient exists before it is read";
      }
    }
  }

  /// A copy is made of the ops between kept values and `op`, each once, before the first that needs it. Chains may be
  /// as long as a model is deep, so this keeps its own stack: an op, and the operand that is next.
  void add(Operation *op, Operation *before, Value until) {
    if (!placed.insert(op).second)
      return;
    SmallVector<std::pair<Operation *, unsigned>> stack{{op, 0}};
    while (!stack.empty()) {
      auto &[current, next] = stack.back();
      if (next < current->getNumOperands()) {
        Operation *producer = current->getOperand(next++).getDefiningOp();
        if (producer && candidates.contains(producer) && placed.insert(producer).second)
          stack.emplace_back(producer, 0);
        continue;
      }
      int64_t freed = 0;
      for (Value result : current->getResults())
        if (hasBackwardUse(result))
          freed += bytesOf(result);
      choice.recomputed.push_back({current, before, until, freed, flopsOf(current)});
      stack.pop_back();
    }
  }

  void tellKept() {
    for (Operation *op : ops) {
      auto reason = reasons.find(op);
      if (reason == reasons.end() || placed.contains(op))
        continue;
      for (Value result : op->getResults())
        if (hasBackwardUse(result))
          choice.kept.push_back({result, reason->second, bytesOf(result), flopsOf(op)});
    }
  }

  RematMode mode;
  int64_t every;
  RematSelector select;
  std::vector<Operation *> ops;
  llvm::DenseMap<Operation *, int64_t> number, layers;
  llvm::DenseSet<Operation *> candidates; ///< may be computed again
  llvm::DenseSet<Operation *> placed;
  llvm::DenseMap<Operation *, std::string> reasons;
  RematChoice choice;
};

} // namespace

RematChoice ftc::chooseRemat(Block &block, RematMode mode, int64_t every, RematSelector select) {
  return Chooser(block, mode, every, select).run();
}

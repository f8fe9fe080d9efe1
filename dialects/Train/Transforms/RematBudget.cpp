//===- RematBudget.cpp - Which recomputations a limit of bytes asks for ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Layers repeat: the corners of each distinct layer's trade of bytes for seconds are found once, then one is taken for
// every layer so that all together stay below the limit and cost least. A layer's choice touches no other's, since what
// passes from layer to layer is always kept.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/RematBudget.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Planning/Options.h"
#include "ftc/Planning/Recompute.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <map>

using namespace mlir;
using namespace ftc;

namespace {

/// A layer as a problem without ops.
struct Layer {
  RecomputeProblem problem;
  std::vector<Operation *> ops; ///< those of the problem

  int valueOf(Value value, bool needed) {
    auto [at, isNew] = values.try_emplace(value, static_cast<int>(problem.values.size()));
    if (isNew) {
      auto type = cast<RankedTensorType>(value.getType());
      problem.values.push_back(
          {type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8)), needed});
    }
    return at->second;
  }

  void add(const RematCandidate &candidate, const LinkModel &device) {
    RecomputeProblem::Op node;
    for (Value operand : candidate.needed)
      node.operands.push_back(valueOf(operand, false));
    for (auto [result, isRead] : llvm::zip(candidate.op->getResults(), candidate.read))
      if (isRead || candidate.mayBeAgain)
        node.results.push_back(valueOf(result, isRead));
    if (!candidate.mayBeAgain)
      return;
    node.seconds = secondsOf(candidate.op, device);
    problem.ops.push_back(std::move(node));
    ops.push_back(candidate.op);
  }

private:
  llvm::DenseMap<Value, int> values;
};

/// Layers that are alike.
struct Kind {
  const RecomputeProblem *problem;
  std::vector<RecomputeOption> options;
  std::vector<const Layer *> layers; ///< from the first to the last
  std::vector<size_t> chosen;        ///< an option for each
};

} // namespace

train::RematWithinBudget train::chooseWithinBudget(ArrayRef<RematCandidate> candidates, int64_t bytes,
                                                   const LinkModel &device) {
  std::map<int64_t, Layer> layers;
  for (const RematCandidate &candidate : candidates)
    layers[candidate.layer].add(candidate, device);

  std::vector<Kind> kinds;
  std::vector<size_t> kindOf;
  std::vector<std::vector<Option>> groups;
  RematWithinBudget result;
  int64_t least = 0;
  for (auto &[number, layer] : layers) {
    auto known = llvm::find_if(kinds, [&](const Kind &kind) { return *kind.problem == layer.problem; });
    if (known == kinds.end())
      known = kinds.insert(kinds.end(), {&layer.problem, recomputeOptions(layer.problem), {}, {}});
    known->layers.push_back(&layer);
    kindOf.push_back(static_cast<size_t>(known - kinds.begin()));
    std::vector<Option> options;
    for (const RecomputeOption &option : known->options)
      options.push_back({option.bytes, option.seconds});
    result.allBytes += options.front().bytes;
    least += options.back().bytes;
    groups.push_back(std::move(options));
  }
  OptionChoice choice = *chooseOptions(groups, std::max(bytes, least));
  result.keptBytes = choice.bytes;
  result.seconds = choice.seconds;
  result.bound = choice.bound;
  for (auto [kind, option] : llvm::zip(kindOf, choice.options))
    kinds[kind].chosen.push_back(option);
  for (Kind &kind : kinds) {
    // Later options keep less.
    llvm::sort(kind.chosen, std::greater<>());
    for (auto [layer, option] : llvm::zip(kind.layers, kind.chosen))
      for (auto [op, isAgain] : llvm::zip(layer->ops, kind.options[option].again))
        if (isAgain)
          result.again.insert(op);
  }
  return result;
}

int64_t train::mostKeptBytes(ModuleOp module) {
  int64_t most = 0;
  for (auto entry : module.getOps<EntryOp>())
    chooseRemat(entry.getBody().front(), RematMode::Budget, /*every=*/1, [&](ArrayRef<RematCandidate> candidates) {
      most = std::max(most, chooseWithinBudget(candidates, INT64_MAX, {}).allBytes);
      return llvm::DenseSet<Operation *>();
    });
  return most;
}

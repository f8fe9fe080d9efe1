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
// A byte that leaves for the far tier makes room for another, whichever layer it is of; so the choice for layers is one
// with a larger limit and a price for what is above it (Planning/Options.h), and values are picked afterwards.
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/RematBudget.h"

#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/Timeline.h"
#include "ftc/Planning/Options.h"
#include "ftc/Planning/Recompute.h"

#include "llvm/ADT/STLExtras.h"

#include <map>
#include <tuple>

using namespace mlir;
using namespace ftc;

namespace {

/// One of so many bytes of a layer may stay near because it is in small values.
constexpr int64_t smallShare = 50;

/// A layer as a problem without ops.
struct Layer {
  RecomputeProblem problem;
  std::vector<Operation *> ops; ///< those of the problem
  std::vector<Value> values;    ///< those of the problem

  int valueOf(Value value, bool needed) {
    auto [at, isNew] = numbers.try_emplace(value, static_cast<int>(values.size()));
    if (isNew) {
      problem.values.push_back({bytesOf(value), needed});
      values.push_back(value);
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
  llvm::DenseMap<Value, int> numbers;
};

using Layers = std::map<int64_t, Layer>;

/// Layers that are alike.
struct Kind {
  const RecomputeProblem *problem;
  std::vector<RecomputeOption> options;
  std::vector<const Layer *> layers; ///< from the first to the last
  std::vector<size_t> chosen;        ///< an option for each
};

/// Finds what may leave, and what the link has time for.
class Departures {
public:
  Departures(Block &block, const LinkModel &device)
      : device(device), time(block, device, /*willGroup=*/true), backward(backwardOps(block)) {
    for (int64_t i = time.size(); i-- > 0;)
      if (backward.contains(time.op(i)))
        border = time.startOf(i);
  }

  void mark(Layer &layer) {
    double needed = time.startOf(time.size());
    for (Value value : layer.values)
      for (Operation *user : value.getUsers())
        if (backward.contains(user))
          needed = std::min(needed, time.startOf(time.numberOf(user)));
    std::vector<size_t> bySize;
    int64_t all = 0, small = 0;
    for (auto [i, value] : llvm::enumerate(layer.problem.values)) {
      bySize.push_back(i);
      all += value.bytes;
    }
    llvm::sort(bySize, [&](size_t a, size_t b) {
      int64_t first = layer.problem.values[a].bytes, second = layer.problem.values[b].bytes;
      return first != second ? first < second : a < b;
    });
    for (size_t i : bySize) {
      RecomputeProblem::Value &value = layer.problem.values[i];
      small += value.bytes;
      if (small * smallShare <= all || !whyNear(layer.values[i]).empty())
        continue;
      double made = time.endOf(time.numberOf(layer.values[i].getDefiningOp()));
      double copying = device.plannedCopySeconds(value.bytes);
      if (made + copying > border || border + copying > needed)
        continue;
      value.mayGo = true;
      first = std::min(first, made);
      last = std::max(last, needed);
    }
  }

  CopyLink link() const {
    CopyLink link;
    link.bytesPerSecond = 1 / device.plannedCopySeconds(1);
    link.outSeconds = std::max(0.0, border - first);
    link.inSeconds = std::max(0.0, last - border);
    link.secondsAByte = 2 * device.hiddenCopySeconds(1);
    return link;
  }

private:
  LinkModel device;
  Timeline time;
  llvm::DenseSet<Operation *> backward;
  double border = 0;                                      ///< when the backward graph begins
  double first = std::numeric_limits<double>::infinity(); ///< when the first that may leave is made
  double last = 0;                                        ///< when the last of them is needed
};

/// The values that leave: of the first layers, the largest of each first, so that together they have `bytes` or hardly
/// more.
void pickAway(const Layers &layers, int64_t bytes, train::RematWithinBudget &result) {
  std::vector<std::pair<int64_t, Value>> left;
  for (const auto &[number, layer] : layers) {
    std::vector<bool> again;
    for (Operation *op : layer.ops)
      again.push_back(result.again.contains(op));
    std::vector<std::tuple<int64_t, size_t, Value>> mayGo; // sizes, and the order of what has the same
    for (int value : keptValues(layer.problem, again))
      if (layer.problem.values[value].mayGo)
        mayGo.emplace_back(layer.problem.values[value].bytes, mayGo.size(), layer.values[value]);
    llvm::sort(mayGo, [](const auto &a, const auto &b) {
      return std::get<0>(a) != std::get<0>(b) ? std::get<0>(a) > std::get<0>(b) : std::get<1>(a) < std::get<1>(b);
    });
    for (auto [size, number, value] : mayGo) {
      if (size > bytes - result.farBytes)
        left.emplace_back(size, value);
      else if (result.away.insert(value))
        result.farBytes += size;
    }
  }
  // What is missing is less than any of the others.
  if (result.farBytes < bytes && !left.empty()) {
    auto [size, value] =
        *std::min_element(left.begin(), left.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    if (result.away.insert(value))
      result.farBytes += size;
  }
}

/// Gives each layer its option. Later options keep less.
void assign(std::vector<Kind> &kinds, const std::vector<size_t> &kindOf, int64_t away) {
  for (Kind &kind : kinds)
    llvm::sort(kind.chosen, std::greater<>());
  // The fewest first layers that keep what leaves, if they have the options that keep most.
  std::vector<size_t> front(kinds.size());
  for (size_t kind : kindOf) {
    if (away <= 0)
      break;
    const std::vector<size_t> &chosen = kinds[kind].chosen;
    away -= kinds[kind].options[chosen[chosen.size() - ++front[kind]]].movable;
  }
  for (auto [kind, count] : llvm::zip(kinds, front)) {
    std::reverse(kind.chosen.end() - static_cast<ptrdiff_t>(count), kind.chosen.end());
    std::rotate(kind.chosen.begin(), kind.chosen.end() - static_cast<ptrdiff_t>(count), kind.chosen.end());
  }
}

} // namespace

train::RematWithinBudget train::chooseWithinBudget(ArrayRef<RematCandidate> candidates, int64_t bytes,
                                                   const LinkModel &device, bool mayOffload) {
  Layers layers;
  for (const RematCandidate &candidate : candidates)
    layers[candidate.layer].add(candidate, device);
  CopyLink link;
  if (mayOffload && !candidates.empty()) {
    Departures departures(*candidates.front().op->getBlock(), device);
    for (auto &[number, layer] : layers)
      departures.mark(layer);
    link = departures.link();
  }

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
    int64_t fewest = INT64_MAX;
    for (const RecomputeOption &option : known->options) {
      options.push_back({option.bytes, option.seconds, option.movable});
      fewest = std::min(fewest, option.bytes - option.movable);
    }
    result.allBytes += options.front().bytes;
    least += fewest;
    groups.push_back(std::move(options));
  }
  int64_t limit = std::max(std::min(bytes, result.allBytes), least);
  OptionChoice choice = *(mayOffload ? chooseOptions(groups, limit, link) : chooseOptions(groups, limit));
  result.bound = choice.bound;
  for (auto [i, option] : llvm::enumerate(choice.options)) {
    kinds[kindOf[i]].chosen.push_back(option);
    result.seconds += groups[i][option].seconds;
  }
  assign(kinds, kindOf, choice.away);
  for (const Kind &kind : kinds)
    for (auto [layer, option] : llvm::zip(kind.layers, kind.chosen))
      for (auto [op, isAgain] : llvm::zip(layer->ops, kind.options[option].again))
        if (isAgain)
          result.again.insert(op);
  pickAway(layers, choice.away, result);
  result.keptBytes = choice.bytes - result.farBytes;
  result.stallSeconds = link.stall(result.farBytes);
  result.copySeconds = link.seconds(result.farBytes) - result.stallSeconds;
  if (result.away.empty())
    return result;
  // Whole values may be more than had to leave, and then nothing is gained.
  RematWithinBudget near = chooseWithinBudget(candidates, bytes, device);
  if (near.keptBytes > limit || near.seconds > result.seconds + result.copySeconds + result.stallSeconds)
    return result;
  near.bound = std::min(near.bound, result.bound);
  return near;
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

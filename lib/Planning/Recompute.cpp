//===- Recompute.cpp - What to keep of a layer, what to compute again -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For one price of a second in bytes, the best answer is a closure of largest weight. Its nodes:
//
//   an op that is computed again     weight -price * seconds, needs that its operands be at hand
//   a value at hand for the backward pass though no backward op reads it     weight -bytes
//   a value whose memory is spared   weight +bytes, needs that its op be computed again, and that it be at hand: what
//                                    is not at hand has no memory to spare
//
// Corners of the hull are found between two known ones: with the price at which both cost the same, either a third
// answer costs less, or no corner lies between them (Eisner and Severance 1976).
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Recompute.h"

#include "ftc/Planning/Closure.h"

#include <algorithm>
#include <cmath>

using namespace ftc;

std::vector<int> ftc::keptValues(const RecomputeProblem &problem, const std::vector<bool> &again) {
  std::vector<bool> atHand(problem.values.size()), spared(problem.values.size());
  for (size_t i = 0; i < problem.values.size(); ++i)
    atHand[i] = problem.values[i].needed;
  for (size_t i = 0; i < problem.ops.size(); ++i) {
    if (!again[i])
      continue;
    for (int operand : problem.ops[i].operands)
      atHand[operand] = true;
    for (int result : problem.ops[i].results)
      spared[result] = true;
  }
  std::vector<int> kept;
  for (size_t i = 0; i < problem.values.size(); ++i)
    if (atHand[i] && !spared[i])
      kept.push_back(static_cast<int>(i));
  return kept;
}

RecomputeOption ftc::evaluate(const RecomputeProblem &problem, std::vector<bool> again) {
  RecomputeOption option;
  for (size_t i = 0; i < problem.ops.size(); ++i)
    if (again[i])
      option.seconds += problem.ops[i].seconds;
  for (int value : keptValues(problem, again)) {
    option.bytes += problem.values[value].bytes;
    option.movable += problem.values[value].mayGo ? problem.values[value].bytes : 0;
  }
  option.again = std::move(again);
  return option;
}

/// More than all memory, in bytes: keeps sums of weights within 62 bits.
constexpr double dearest = 1e15;

/// The answer with the fewest bytes + price * seconds, and of those the one that computes least again.
static RecomputeOption cheapest(const RecomputeProblem &problem, double price) {
  std::vector<int64_t> weights;
  std::vector<Need> needs;
  auto add = [&](int64_t weight) {
    weights.push_back(weight);
    return static_cast<int>(weights.size()) - 1;
  };
  std::vector<int> opNode, handNode;
  for (const RecomputeProblem::Op &op : problem.ops)
    opNode.push_back(add(op.seconds > 0 ? -std::llround(std::min(price * op.seconds, dearest)) : 0));
  for (const RecomputeProblem::Value &value : problem.values)
    handNode.push_back(value.needed ? -1 : add(-value.bytes));
  for (size_t i = 0; i < problem.ops.size(); ++i) {
    for (int operand : problem.ops[i].operands)
      if (handNode[operand] >= 0)
        needs.push_back({opNode[i], handNode[operand]});
    for (int result : problem.ops[i].results) {
      int spared = add(problem.values[result].bytes);
      needs.push_back({spared, opNode[i]});
      if (handNode[result] >= 0)
        needs.push_back({spared, handNode[result]});
    }
  }
  std::vector<bool> chosen = maximumClosure(weights, needs);
  std::vector<bool> again(problem.ops.size());
  for (size_t i = 0; i < problem.ops.size(); ++i)
    again[i] = chosen[opNode[i]];
  return evaluate(problem, std::move(again));
}

/// Appends the corners between `first` and `last`, without the two.
static void appendBetween(const RecomputeProblem &problem, const RecomputeOption &first, const RecomputeOption &last,
                          std::vector<RecomputeOption> &options) {
  if (last.seconds <= first.seconds || last.bytes >= first.bytes)
    return;
  double price = static_cast<double>(first.bytes - last.bytes) / (last.seconds - first.seconds);
  RecomputeOption between = cheapest(problem, price);
  if (between.bytes >= first.bytes || between.bytes <= last.bytes)
    return;
  auto cost = [&](const RecomputeOption &option) { return static_cast<double>(option.bytes) + price * option.seconds; };
  if (cost(between) >= cost(first) - 1) // a byte of rounding
    return;
  appendBetween(problem, first, between, options);
  options.push_back(between);
  appendBetween(problem, between, last, options);
}

std::vector<RecomputeOption> ftc::recomputeOptions(const RecomputeProblem &problem) {
  RecomputeOption all = cheapest(problem, INFINITY), least = cheapest(problem, 0);
  std::vector<RecomputeOption> options{all};
  if (least.bytes >= all.bytes)
    return options;
  appendBetween(problem, all, least, options);
  options.push_back(least);
  return options;
}

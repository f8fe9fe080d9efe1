//===- KernelGroups.cpp - Which row-wise ops share a kernel ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/KernelGroups.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// An op's number in its block. Every op starts as a node of its own; merged nodes are one group.
using Node = unsigned;

class Grouper {
public:
  explicit Grouper(Block &block) {
    for (Operation &op : block) {
      number[&op] = ops.size();
      ops.push_back(&op);
    }
    members.resize(ops.size());
    users.resize(ops.size());
    for (Node node = 0; node < ops.size(); ++node) {
      groupOf.push_back(node);
      lastOf.push_back(node);
      members[node] = {node};
      for (Operation *user : ops[node]->getUsers())
        users[node].push_back(number.lookup(user));
    }
  }

  KernelGroups run() {
    // A merge can bring what stood on a path into a group and so open the way for another merge: repeat until nothing
    // changes.
    for (bool changed = true; changed;) {
      changed = false;
      boundaries.clear();
      for (Node consumer = 0; consumer < ops.size(); ++consumer)
        if (isa<RowWiseOpInterface>(ops[consumer]))
          changed |= mergeProducers(consumer);
    }
    KernelGroups result;
    for (std::vector<Node> &group : members) {
      if (group.size() < 2)
        continue;
      llvm::sort(group);
      KernelGroup &added = result.groups.emplace_back();
      for (Node node : group)
        added.ops.push_back(ops[node]);
      added.bytesSaved = bytesSaved(group);
    }
    llvm::sort(result.groups, [&](const KernelGroup &a, const KernelGroup &b) {
      return number.lookup(a.ops.front()) < number.lookup(b.ops.front());
    });
    result.boundaries = std::move(boundaries);
    return result;
  }

private:
  /// Merges the group of `consumer` with those of its row-wise producers where that is allowed.
  bool mergeProducers(Node consumer) {
    bool changed = false;
    llvm::SmallSetVector<Node, 4> producers;
    for (OpOperand &operand : ops[consumer]->getOpOperands())
      if (passesRowByRow(operand))
        producers.insert(number.lookup(operand.get().getDefiningOp()));
    for (Node producer : producers) {
      Node above = groupOf[producer], below = groupOf[consumer];
      if (above == below)
        continue;
      std::string reason = whyNot(above, below);
      if (!reason.empty()) {
        boundaries.push_back({ops[producer], ops[consumer], reason});
        continue;
      }
      for (Node node : members[below])
        groupOf[node] = above;
      members[above].insert(members[above].end(), members[below].begin(), members[below].end());
      lastOf[above] = std::max(lastOf[above], lastOf[below]);
      members[below].clear();
      changed = true;
    }
    return changed;
  }

  /// Why two groups, the first of which feeds the second, cannot be one; empty if they can.
  std::string whyNot(Node above, Node below) {
    auto first = cast<RowWiseOpInterface>(ops[members[above].front()]);
    auto second = cast<RowWiseOpInterface>(ops[members[below].front()]);
    if (first.getRows() != second.getRows())
      return "they have " + std::to_string(first.getRows()) + " and " + std::to_string(second.getRows()) + " rows";
    int64_t columns[] = {columnsPerRow(first), columnsPerRow(second)};
    if (columns[0] != columns[1])
      return "they have " + std::to_string(columns[0]) + " and " + std::to_string(columns[1]) + " columns";
    if (readsBeyondItsRow(above, below) || readsBeyondItsRow(below, above))
      return "a value that passes between them is not one of the same row";
    auto updates = [&](Node group) {
      return llvm::count_if(members[group], [&](Node node) { return isa<SGDOp, SGDMomentumOp, AdamWOp>(ops[node]); });
    };
    if (updates(above) + updates(below) > 1)
      return "each parameter keeps an update of its own";
    if (hasPathAround(above, below))
      return "another op stands on a path between them";
    return {};
  }

  /// Whether a row-wise op made what `operand` reads, as a row result, and its owner reads it at its own row.
  static bool passesRowByRow(OpOperand &operand) {
    auto result = dyn_cast<OpResult>(operand.get());
    auto producer = result ? dyn_cast<RowWiseOpInterface>(result.getOwner()) : RowWiseOpInterface();
    return producer && producer.isRowResult(result.getResultNumber()) &&
           cast<RowWiseOpInterface>(operand.getOwner()).isRowOperand(operand.getOperandNumber());
  }

  /// Whether an op of group `to` reads a result of group `from` other than row by row.
  bool readsBeyondItsRow(Node from, Node to) {
    for (Node node : members[to])
      for (OpOperand &operand : ops[node]->getOpOperands())
        if (Operation *producer = operand.get().getDefiningOp();
            producer && groupOf[number.lookup(producer)] == from && !passesRowByRow(operand))
          return true;
    return false;
  }

  /// Whether a path leads from group `from` to group `to` through a third one. There is none back: groups never form a
  /// cycle.
  bool hasPathAround(Node from, Node to) {
    // Users stand behind what they use, but a path can go back in the block inside a group: enter it late and leave it
    // early. Behind `end` no group reaches back to `to`, so that no path does.
    Node end = lastOf[to];
    for (Node node = 0; node <= end; ++node)
      end = std::max(end, lastOf[groupOf[node]]);
    std::vector<bool> seen(ops.size());
    seen[from] = true;
    SmallVector<Node> pending{from};
    while (!pending.empty()) {
      Node group = pending.pop_back_val();
      for (Node node : members[group])
        for (Node user : users[node]) {
          Node next = groupOf[user];
          if (next == to && group != from)
            return true;
          if (next == to || seen[next] || user > end)
            continue;
          seen[next] = true;
          pending.push_back(next);
        }
    }
    return false;
  }

  /// Of each value that stays inside: one read for every op that has it as an operand, and the write if nobody outside
  /// reads it.
  int64_t bytesSaved(ArrayRef<Node> group) {
    int64_t bytes = 0;
    auto isInside = [&](Operation *op) { return groupOf[number.lookup(op)] == groupOf[group.front()]; };
    for (Node node : group)
      for (OpResult result : ops[node]->getResults()) {
        llvm::SmallPtrSet<Operation *, 4> users(result.getUsers().begin(), result.getUsers().end());
        int64_t inside = llvm::count_if(users, isInside);
        if (inside == 0)
          continue;
        auto type = cast<RankedTensorType>(result.getType());
        int64_t passes = inside + (inside == int64_t(users.size()) ? 1 : 0);
        bytes += passes * type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
      }
    return bytes;
  }

  llvm::DenseMap<Operation *, Node> number;
  std::vector<Operation *> ops;
  std::vector<SmallVector<Node, 4>> users; ///< by node
  std::vector<Node> groupOf;               ///< by node; a group is called after one of its nodes
  std::vector<Node> lastOf;                ///< by group: its last op
  std::vector<std::vector<Node>> members;  ///< by group; empty for nodes that joined another's
  std::vector<KernelBoundary> boundaries;
};

} // namespace

KernelGroups ftc::findKernelGroups(Block &block) { return Grouper(block).run(); }

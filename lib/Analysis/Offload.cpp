//===- Offload.cpp - Which activations go to the far tier -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Offload.h"

#include "ftc/Analysis/Costs.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// One of so many bytes may stay near because it is in small values.
constexpr int64_t smallShare = 50;

int64_t bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * int64_t(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
}

/// A value that might go.
struct Candidate {
  Value value;
  int64_t bytes;
  int64_t made;  ///< number of its op
  int64_t first; ///< number of the first backward op that reads it
  double gone = 0;
  std::string reason; ///< to stay; empty: none yet
  Offload offload;
};

class Chooser {
public:
  Chooser(Block &block, const LinkModel &link) : link(link) {
    for (Operation &op : block) {
      number[&op] = static_cast<int64_t>(ops.size());
      ops.push_back(&op);
      start.push_back(now);
      now += secondsOf(&op, link);
    }
  }

  OffloadChoice run() {
    markBackward();
    findCandidates();
    keepSmall();
    copyOut();
    copyIn();
    for (Candidate &candidate : candidates) {
      if (candidate.reason.empty())
        choice.offloaded.push_back(candidate.offload);
      else
        choice.kept.push_back({candidate.value, candidate.reason, candidate.bytes});
    }
    return std::move(choice);
  }

private:
  void markBackward() {
    for (Operation *op : ops) {
      auto marked = [](Operation *op) { return op->hasAttr(TrainDialect::backwardAttrName); };
      bool is = marked(op);
      if (auto group = dyn_cast<FusedOp>(op))
        is = llvm::any_of(group.getBody().front(), [&](Operation &inner) { return marked(&inner); });
      for (Value operand : op->getOperands())
        is |= operand.getDefiningOp() && choice.backward.contains(operand.getDefiningOp());
      if (is && !op->hasTrait<OpTrait::IsTerminator>())
        choice.backward.insert(op);
    }
  }

  void findCandidates() {
    for (Operation *op : ops) {
      if (choice.backward.contains(op) || isa<ReadOp, SliceRowsOp, OffloadOp>(op) ||
          op->hasTrait<OpTrait::ConstantLike>())
        continue;
      for (Value value : op->getResults()) {
        int64_t first = INT64_MAX;
        bool leaves = false, isPart = false;
        for (Operation *user : value.getUsers()) {
          if (choice.backward.contains(user))
            first = std::min(first, number.lookup(user));
          leaves |= isa<ReturnOp, WriteOp>(user);
          isPart |= isa<ConcatRowsOp>(user);
        }
        if (first == INT64_MAX)
          continue;
        candidates.push_back({value, bytesOf(value), number.lookup(op), first});
        if (leaves)
          candidates.back().reason = "the entry returns it or writes it to a variable";
        else if (isPart)
          candidates.back().reason = "it is part of a larger value";
      }
    }
  }

  void keepSmall() {
    std::vector<Candidate *> bySize;
    int64_t all = 0, small = 0;
    for (Candidate &candidate : candidates) {
      bySize.push_back(&candidate);
      all += candidate.bytes;
    }
    llvm::stable_sort(bySize, [](Candidate *a, Candidate *b) { return a->bytes < b->bytes; });
    for (Candidate *candidate : bySize) {
      small += candidate->bytes;
      if (small * smallShare > all)
        return;
      if (candidate->reason.empty())
        candidate->reason = "it is among the smallest";
    }
  }

  /// When each is gone, if the link takes them in the order in which they are made.
  void copyOut() {
    double free = 0;
    for (Candidate &candidate : candidates) {
      if (!candidate.reason.empty())
        continue;
      double begin = std::max(free, timeAfter(candidate.made)), end = begin + link.plannedCopySeconds(candidate.bytes);
      if (end + link.plannedCopySeconds(candidate.bytes) > start[candidate.first]) {
        candidate.reason = "it is needed again before the link could bring it away and back";
        continue;
      }
      candidate.gone = free = end;
    }
  }

  /// Copies in from the last to the first, each as late as its reader and the copies after it allow.
  void copyIn() {
    std::vector<Candidate *> byReader;
    for (Candidate &candidate : candidates)
      if (candidate.reason.empty())
        byReader.push_back(&candidate);
    llvm::stable_sort(byReader, [](Candidate *a, Candidate *b) { return a->first > b->first; });
    double free = now;
    for (Candidate *candidate : byReader) {
      double end = std::min(free, start[candidate->first]);
      double begin = end - link.plannedCopySeconds(candidate->bytes);
      // The last op that begins early enough.
      auto after = std::upper_bound(start.begin(), start.begin() + candidate->first + 1, begin);
      int64_t before = after - start.begin() - 1;
      Value until = before >= 0 ? gradientBefore(before) : Value();
      if (begin < candidate->gone || !until) {
        candidate->reason = "it is needed again before the link could bring it away and back";
        continue;
      }
      free = begin;
      candidate->offload = {candidate->value, ops[before], until, candidate->bytes};
    }
  }

  double timeAfter(int64_t op) const { return op + 1 < int64_t(start.size()) ? start[op + 1] : now; }

  /// The latest gradient made before op `before`.
  Value gradientBefore(int64_t before) const {
    for (int64_t i = before - 1; i >= 0; --i)
      if (choice.backward.contains(ops[i]))
        for (Value result : ops[i]->getResults())
          if (isa<RankedTensorType>(result.getType()))
            return result;
    return {};
  }

  LinkModel link;
  std::vector<Operation *> ops;
  std::vector<double> start; ///< seconds from the entry's start, by op
  double now = 0;
  llvm::DenseMap<Operation *, int64_t> number;
  std::vector<Candidate> candidates;
  OffloadChoice choice;
};

} // namespace

OffloadChoice ftc::chooseOffload(Block &block, const LinkModel &link) { return Chooser(block, link).run(); }

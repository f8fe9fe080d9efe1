//===- Offload.cpp - Which activations go to the far tier -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Analysis/Offload.h"

#include "ftc/Analysis/Timeline.h"

#include "llvm/ADT/STLExtras.h"

#include <tuple>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// One of so many bytes may stay near because it is in small values.
constexpr int64_t smallShare = 50;

/// A value that might go.
struct Candidate {
  Value value;
  int64_t bytes;
  int64_t made;  ///< number of its op
  int64_t first; ///< number of the first backward op that reads it
  size_t number; ///< of the candidate: what is equal stays in this order
  double gone = 0;
  std::string reason; ///< to stay; empty: none yet
  Offload offload;
};

class Chooser {
public:
  Chooser(Block &block, const LinkModel &link) : link(link), time(block, link) {
    choice.backward = backwardOps(block);
    for (; firstBackward < time.size(); ++firstBackward)
      if (choice.backward.contains(time.op(firstBackward)))
        break;
  }

  OffloadChoice hidden() {
    findCandidates([](Value) { return true; });
    keepSmall();
    copyOut();
    copyIn();
    return finish();
  }

  OffloadChoice asked() {
    findCandidates(isAskedAway);
    scheduleOut();
    scheduleIn();
    return finish();
  }

private:
  OffloadChoice finish() {
    for (Candidate &candidate : candidates) {
      if (candidate.reason.empty())
        choice.offloaded.push_back(candidate.offload);
      else
        choice.kept.push_back({candidate.value, candidate.reason, candidate.bytes});
    }
    return std::move(choice);
  }

  void findCandidates(llvm::function_ref<bool(Value)> mayGo) {
    for (int64_t i = 0; i < time.size(); ++i) {
      Operation *op = time.op(i);
      if (choice.backward.contains(op) || isa<ReadOp, SliceRowsOp, OffloadOp>(op) ||
          op->hasTrait<OpTrait::ConstantLike>())
        continue;
      for (Value value : op->getResults()) {
        int64_t first = INT64_MAX;
        for (Operation *user : value.getUsers())
          if (choice.backward.contains(user))
            first = std::min(first, time.numberOf(user));
        if (first == INT64_MAX || !mayGo(value))
          continue;
        candidates.push_back({value, bytesOf(value), i, first, candidates.size(), 0, whyNear(value), {}});
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
    llvm::sort(bySize, [](Candidate *a, Candidate *b) {
      return std::tie(a->bytes, a->number) < std::tie(b->bytes, b->number);
    });
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
      double begin = std::max(free, time.endOf(candidate.made)), end = begin + link.plannedCopySeconds(candidate.bytes);
      if (end + link.plannedCopySeconds(candidate.bytes) > time.startOf(candidate.first)) {
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
    llvm::sort(byReader, [](Candidate *a, Candidate *b) {
      return a->first != b->first ? a->first > b->first : a->number < b->number;
    });
    double free = time.startOf(time.size());
    for (Candidate *candidate : byReader) {
      double end = std::min(free, time.startOf(candidate->first));
      double begin = end - link.plannedCopySeconds(candidate->bytes);
      // The last op that begins early enough.
      int64_t before = candidate->first;
      while (before >= 0 && time.startOf(before) > begin)
        --before;
      Value until = before >= 0 ? gradientBefore(before) : Value();
      if (begin < candidate->gone || !until) {
        candidate->reason = "it is needed again before the link could bring it away and back";
        continue;
      }
      free = begin;
      candidate->offload = {candidate->value, time.op(before), until, candidate->bytes};
    }
  }

  /// What is asked for leaves in the order in which it is made; all of it has to be gone when the backward graph
  /// begins.
  void scheduleOut() {
    double free = 0;
    for (Candidate &candidate : candidates)
      if (candidate.reason.empty())
        free = std::max(free, time.endOf(candidate.made)) + link.plannedCopySeconds(candidate.bytes);
    choice.stallSeconds = std::max(0.0, free - time.startOf(firstBackward));
  }

  /// It comes back in the order in which it is read. If copies begin as early as they can, a reader waits for what is
  /// not there; with these waits in the timeline, each copy begins as late as it can without another.
  void scheduleIn() {
    // The first op that a copy can begin before.
    int64_t earliest = firstBackward;
    while (earliest < time.size() && !gradientBefore(earliest))
      ++earliest;
    std::vector<Candidate *> byReader;
    for (Candidate &candidate : candidates) {
      if (candidate.reason.empty() && candidate.first < earliest)
        candidate.reason = "it is read before there is a gradient that a copy could wait for";
      if (candidate.reason.empty())
        byReader.push_back(&candidate);
    }
    llvm::sort(byReader, [](Candidate *a, Candidate *b) {
      return std::tie(a->first, a->number) < std::tie(b->first, b->number);
    });
    double delay = choice.stallSeconds, free = time.startOf(earliest) + delay;
    std::vector<double> start(time.size()); // of backward ops, with waits
    auto next = byReader.begin();
    for (int64_t i = earliest; i < time.size(); ++i) {
      for (; next != byReader.end() && (*next)->first == i; ++next) {
        free += link.plannedCopySeconds((*next)->bytes);
        delay = std::max(delay, free - time.startOf(i));
      }
      start[i] = time.startOf(i) + delay;
    }
    choice.stallSeconds = delay;
    free = std::numeric_limits<double>::infinity();
    for (Candidate *candidate : llvm::reverse(byReader)) {
      free = std::min(free, start[candidate->first]) - link.plannedCopySeconds(candidate->bytes);
      int64_t before = candidate->first, least = std::max(earliest, candidate->made + 1);
      while (before > least && start[before] > free)
        --before;
      candidate->offload = {candidate->value, time.op(before), gradientBefore(before), candidate->bytes};
    }
    // Copies that begin at one place begin in the order in which they are needed.
    llvm::sort(candidates, [](const Candidate &a, const Candidate &b) {
      return std::tie(a.first, a.number) < std::tie(b.first, b.number);
    });
  }

  /// The latest gradient made before op `before`.
  Value gradientBefore(int64_t before) const {
    for (int64_t i = before - 1; i >= 0; --i)
      if (choice.backward.contains(time.op(i)))
        for (Value result : time.op(i)->getResults())
          if (isa<RankedTensorType>(result.getType()))
            return result;
    return {};
  }

  LinkModel link;
  Timeline time;
  int64_t firstBackward = 0;
  std::vector<Candidate> candidates;
  OffloadChoice choice;
};

} // namespace

bool ftc::isAskedAway(Value value) {
  auto result = cast<OpResult>(value);
  // A group hands on what an op in it makes.
  if (auto group = dyn_cast<FusedOp>(result.getOwner())) {
    auto inner = dyn_cast<OpResult>(group.getBody().front().getTerminator()->getOperand(result.getResultNumber()));
    if (!inner)
      return false;
    result = inner;
  }
  auto away = result.getOwner()->getAttrOfType<DenseI64ArrayAttr>(TrainDialect::awayAttrName);
  return away && llvm::is_contained(away.asArrayRef(), static_cast<int64_t>(result.getResultNumber()));
}

void ftc::askAway(Value value) {
  auto result = cast<OpResult>(value);
  SmallVector<int64_t> numbers;
  if (auto away = result.getOwner()->getAttrOfType<DenseI64ArrayAttr>(TrainDialect::awayAttrName))
    llvm::append_range(numbers, away.asArrayRef());
  numbers.push_back(result.getResultNumber());
  llvm::sort(numbers);
  result.getOwner()->setAttr(TrainDialect::awayAttrName, DenseI64ArrayAttr::get(value.getContext(), numbers));
}

OffloadChoice ftc::chooseOffload(Block &block, const LinkModel &link) { return Chooser(block, link).hidden(); }

OffloadChoice ftc::scheduleOffload(Block &block, const LinkModel &link) { return Chooser(block, link).asked(); }

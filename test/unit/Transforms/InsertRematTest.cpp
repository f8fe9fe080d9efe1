//===- InsertRematTest.cpp - Activations computed again change no bit --------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "dialects/Train/Transforms/RematBudget.h"
#include "ftc/Analysis/Costs.h"
#include "ftc/Analysis/Offload.h"
#include "mlir/Transforms/Passes.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using test::context, test::countCopies, test::mark, test::runPasses;
using train::TrainDialect;

namespace {

class InsertRemat : public testing::TestWithParam<std::tuple<train::RematMode, int>> {};

TEST_P(InsertRemat, RandomGraphsKeepEveryBit) {
  auto [mode, every] = GetParam();
  int copies = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    test::Outcome before = test::interpret(*graph.module, graph.inputs);
    // Equal ops are one before the pass, so CSE afterwards has nothing to find but a copy and its original.
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(createCanonicalizerPass());
      passes.addPass(createCSEPass());
    }));
    mark(*graph.module, seed);
    (*graph.module)->setAttr(TrainDialect::rematAttrName, train::RematAttr::get(&context(), mode, every));
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) { passes.addPass(train::createInsertRematPass()); }));
    int inserted = countCopies(*graph.module);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createCSEPass()); }));
    EXPECT_EQ(countCopies(*graph.module), inserted);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(train::createFormKernelsPass());
      passes.addPass(createCanonicalizerPass());
    }));
    test::expectIdentical(before, test::interpret(*graph.module, graph.inputs));
    if (HasFailure()) {
      graph.module->dump();
      return;
    }
    copies += inserted;
  }
  EXPECT_GT(copies, 150 / every); // the comparison means something
}

INSTANTIATE_TEST_SUITE_P(Modes, InsertRemat,
                         testing::Combine(testing::Values(train::RematMode::Full, train::RematMode::Selective,
                                                          train::RematMode::Budget),
                                          testing::Values(1, 2)));

/// Bytes of forward values that backward ops read, or that copies in the backward graph read.
int64_t keptBytes(ModuleOp module) {
  int64_t bytes = 0;
  for (auto entry : module.getOps<train::EntryOp>()) {
    llvm::DenseSet<Operation *> backward;
    for (Operation &op : entry.getBody().front().without_terminator()) {
      bool isBackward = op.hasAttr(TrainDialect::backwardAttrName) || isa<train::DelayOp>(op);
      for (Value operand : op.getOperands())
        isBackward |= operand.getDefiningOp() && backward.contains(operand.getDefiningOp());
      if (isBackward)
        backward.insert(&op);
    }
    for (Operation &op : entry.getBody().front().without_terminator())
      for (Value result : op.getResults())
        if (!backward.contains(&op) && !isa<train::ReadOp>(op) && !op.hasTrait<OpTrait::ConstantLike>() &&
            llvm::any_of(result.getUsers(), [&](Operation *user) { return backward.contains(user); }))
          bytes += cast<RankedTensorType>(result.getType()).getNumElements() *
                   cast<RankedTensorType>(result.getType()).getElementTypeBitWidth() / 8;
  }
  return bytes;
}

/// Whether a value that is to be computed again is read before any gradient exists.
bool hasEarlyReader(ModuleOp module, int64_t bytes) {
  for (auto entry : module.getOps<train::EntryOp>()) {
    RematChoice choice =
        chooseRemat(entry.getBody().front(), train::RematMode::Budget, 1, [&](ArrayRef<RematCandidate> candidates) {
          return train::chooseWithinBudget(candidates, bytes, LinkModel()).again;
        });
    if (llvm::any_of(choice.kept, [](const KeptActivation &kept) { return StringRef(kept.reason).starts_with("no "); }))
      return true;
  }
  return false;
}

TEST(InsertRematWithinBudget, LessIsKeptTheSmallerItIs) {
  int fewer = 0, copies = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(createCanonicalizerPass());
      passes.addPass(createCSEPass());
    }));
    mark(*graph.module, seed);
    int64_t most = train::mostKeptBytes(*graph.module), before = INT64_MAX;
    for (int64_t bytes : {most, most / 2, int64_t(0)}) {
      OwningOpRef<ModuleOp> module = graph.module->clone();
      (*module)->setAttr(TrainDialect::rematAttrName,
                         train::RematAttr::get(&context(), train::RematMode::Budget, 1, bytes));
      ASSERT_TRUE(runPasses(*module, [](PassManager &passes) { passes.addPass(train::createInsertRematPass()); }));
      int64_t kept = keptBytes(*module);
      // What is read before there is a gradient to wait for is kept all the same.
      if (!hasEarlyReader(*graph.module, bytes))
        EXPECT_LE(kept, before);
      fewer += kept < before && before != INT64_MAX;
      if (bytes == most) // but what is no kernel costs nothing
        module->walk([](Operation *op) {
          EXPECT_FALSE(op->hasAttr(TrainDialect::recomputeAttrName) && secondsOf(op, LinkModel()) > 0);
        });
      copies += countCopies(*module);
      before = kept;
    }
  }
  EXPECT_GT(fewer, 50);
  EXPECT_GT(copies, 100);
}

/// From a device whose link is worth nothing to one whose link hides everything.
LinkModel deviceOf(uint64_t seed) {
  LinkModel device;
  device.flopsPerSecond = device.nearBytesPerSecond = 1e9;
  device.linkBytesPerSecond = std::pow(100.0, 3 + seed % 4);
  device.hasCopyEngine = true;
  return device;
}

TEST(InsertRematWithinBudget, WhatLeavesChangesNoBit) {
  int away = 0, both = 0, none = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    test::Outcome before = test::interpret(*graph.module, graph.inputs);
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(createCanonicalizerPass());
      passes.addPass(createCSEPass());
    }));
    mark(*graph.module, seed);
    int64_t bytes = train::mostKeptBytes(*graph.module) * static_cast<int64_t>(seed % 3) / 2;
    (*graph.module)
        ->setAttr(TrainDialect::rematAttrName, train::RematAttr::get(&context(), train::RematMode::Budget, 1, bytes));
    (*graph.module)->setAttr(TrainDialect::offloadAttrName, UnitAttr::get(&context()));
    deviceOf(seed).attachTo(*graph.module);
    ASSERT_TRUE(runPasses(*graph.module, [&](PassManager &passes) {
      passes.addPass(train::createInsertRematPass());
      if (seed % 2)
        passes.addPass(train::createFormKernelsPass());
    }));
    llvm::DenseSet<Value> asked;
    graph.module->walk([&](Operation *op) {
      for (Value result : op->getResults())
        if (!op->getParentOfType<train::FusedOp>() && isAskedAway(result))
          asked.insert(result);
    });
    ASSERT_TRUE(runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(train::createOffloadActivationsPass());
      passes.addPass(createCSEPass());
    }));
    graph.module->walk([&](train::OffloadOp op) { EXPECT_TRUE(asked.contains(op.getValue())); });
    int copies = test::countOps<train::OffloadOp>(*graph.module);
    EXPECT_EQ(test::countOps<train::PrefetchOp>(*graph.module), copies);
    test::expectIdentical(before, test::interpret(*graph.module, graph.inputs));
    if (HasFailure()) {
      graph.module->dump();
      return;
    }
    away += copies;
    both += copies > 0 && countCopies(*graph.module) > 0;
    none += copies == 0;
  }
  EXPECT_GT(away, 60);
  EXPECT_GT(both, 25);
  EXPECT_GT(none, 50);
}

TEST(InsertRematWithinBudget, OffloadingCostsNoMore) {
  int cheaper = 0, same = 0, fits = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomGraph graph(context(), seed);
    mark(*graph.module, seed);
    LinkModel device = deviceOf(seed);
    for (auto entry : graph.module->getOps<train::EntryOp>())
      chooseRemat(entry.getBody().front(), train::RematMode::Budget, 1, [&](ArrayRef<RematCandidate> candidates) {
        int64_t all = train::chooseWithinBudget(candidates, INT64_MAX, device).allBytes;
        for (int64_t bytes : {all, all * 3 / 4, all / 2, all / 4, int64_t(0)}) {
          train::RematWithinBudget near = train::chooseWithinBudget(candidates, bytes, device);
          train::RematWithinBudget ours = train::chooseWithinBudget(candidates, bytes, device, /*mayOffload=*/true);
          double cost = ours.seconds + ours.copySeconds + ours.stallSeconds;
          int64_t sum = 0;
          for (Value value : ours.away)
            sum += cast<RankedTensorType>(value.getType()).getNumElements() *
                   cast<RankedTensorType>(value.getType()).getElementTypeBitWidth() / 8;
          EXPECT_EQ(sum, ours.farBytes);
          EXPECT_LE(ours.bound, cost * (1 + 1e-9));
          EXPECT_LE(ours.keptBytes, std::max(near.keptBytes, bytes));
          if (near.keptBytes <= bytes)
            EXPECT_LE(cost, near.seconds);
          fits += ours.keptBytes <= bytes && near.keptBytes > bytes;
          if (ours.away.empty()) {
            EXPECT_EQ(ours.keptBytes, near.keptBytes);
            EXPECT_EQ(ours.again.size(), near.again.size());
            ++same;
          } else {
            ++cheaper;
          }
        }
        return llvm::DenseSet<Operation *>();
      });
  }
  EXPECT_GT(cheaper, 150);
  EXPECT_GT(same, 200);
  EXPECT_GT(fits, 40);
}

} // namespace

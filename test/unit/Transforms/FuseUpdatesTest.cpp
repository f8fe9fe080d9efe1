//===- FuseUpdatesTest.cpp - Where updates stand changes no bit --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include "RandomGraph.h"

#include "dialects/Train/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// A random graph with some of its values called backward, one of which is the gradient of each variable that has one
/// of its shape. The graph's own writes are gone.
struct RandomUpdates : test::RandomGraph {
  explicit RandomUpdates(uint64_t seed) : RandomGraph(test::context(), seed) {
    // Equal ops are one before the pass, so that CSE afterwards has nothing to find but a copy and its original.
    EXPECT_TRUE(test::runPasses(*module, [](PassManager &passes) {
      passes.addPass(createCanonicalizerPass());
      passes.addPass(createCSEPass());
    }));
    test::mark(*module, seed);
    auto entry = *module->getOps<EntryOp>().begin();
    Block &body = entry.getBody().front();
    for (auto write : llvm::make_early_inc_range(body.getOps<WriteOp>()))
      write.erase();
    OpBuilder builder(body.getTerminator());
    CounterRandom random(seed, "updates");
    uint64_t next = 0;
    for (auto variable : module->getOps<VariableOp>()) {
      SmallVector<Value> candidates;
      for (Operation &op : body)
        if (op.hasAttr(TrainDialect::backwardAttrName))
          llvm::copy_if(op.getResults(), std::back_inserter(candidates),
                        [&](Value value) { return value.getType() == variable.getTensorType(); });
      if (candidates.empty())
        continue;
      Value gradient = candidates[random.below(next++, candidates.size())];
      UpdateOp::create(builder, builder.getUnknownLoc(), variable.getSymName(), gradient, Value());
      ++updates;
    }
    auto number = [&](double value) { return builder.getF64FloatAttr(value); };
    (*module)->setAttr("train.optimizer",
                       AdamWAttr::get(builder.getContext(), number(0.1), number(0.9), number(0.95), number(1e-3)));
    SmallVector<Attribute> names(entry.getInputNames().begin(), entry.getInputNames().end());
    for (Attribute &name : names)
      if (cast<StringAttr>(name).getValue() == "s0")
        name = builder.getStringAttr("learning_rate");
    entry.setInputNamesAttr(builder.getArrayAttr(names));
    inputs["learning_rate"] = inputs.at("s0");
    inputs.erase("s0");
    inputs["learning_rate"].set(0, 0.125);
  }

  int updates = 0;
};

/// Ops behind the first update that are no updates.
int countBehind(ModuleOp module) {
  int behind = 0;
  bool seen = false;
  for (Operation &op : (*module.getOps<EntryOp>().begin()).getBody().front().without_terminator()) {
    seen |= isa<UpdateOp>(op);
    behind += seen && !isa<UpdateOp>(op);
  }
  return behind;
}

/// The bound of clipping (infinite: the norm is reported; below 0: there is none), and where updates go.
class FuseUpdates : public testing::TestWithParam<std::tuple<double, UpdatePlacement>> {};

TEST_P(FuseUpdates, RandomGraphsKeepEveryBit) {
  auto [bound, placement] = GetParam();
  int all = 0, behind = 0, copies = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomUpdates graph(seed);
    if (bound >= 0)
      (*graph.module)->setAttr("train.clip_grad_norm", Builder(&test::context()).getF64FloatAttr(bound));
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createClipGradientsPass()); }));
    OwningOpRef<ModuleOp> plain = graph.module->clone();
    ASSERT_TRUE(test::runPasses(*plain, [](PassManager &passes) { passes.addPass(createLowerOptimizerPass()); }));

    (*graph.module)->setAttr(TrainDialect::updatesAttrName, UpdatesAttr::get(&test::context(), placement));
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createFuseUpdatesPass()); }));
    all += graph.updates;
    behind += countBehind(*graph.module);
    int copied = test::countCopies(*graph.module);
    copies += copied;
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) { passes.addPass(createCSEPass()); }));
    EXPECT_EQ(test::countCopies(*graph.module), copied);
    ASSERT_TRUE(test::runPasses(*graph.module, [](PassManager &passes) {
      passes.addPass(createLowerOptimizerPass());
      passes.addPass(createFormKernelsPass());
      passes.addPass(createCanonicalizerPass());
    }));
    test::expectIdentical(test::interpret(*plain, graph.inputs, 2), test::interpret(*graph.module, graph.inputs, 2));
    if (HasFailure()) {
      graph.module->dump();
      return;
    }
  }
  // The comparison means something.
  EXPECT_GT(all, 200);
  bool scaled = bound >= 0 && !std::isinf(bound);
  if (placement == UpdatePlacement::TwoPasses && scaled)
    EXPECT_GT(copies, all);
  else
    EXPECT_EQ(copies, 0);
  if (placement == UpdatePlacement::End)
    EXPECT_EQ(behind, 0);
  else if (!scaled)
    EXPECT_GT(behind, all);
}

INSTANTIATE_TEST_SUITE_P(Placements, FuseUpdates,
                         testing::Combine(testing::Values(-1.0, HUGE_VAL, 0.5),
                                          testing::Values(UpdatePlacement::Backward, UpdatePlacement::End,
                                                          UpdatePlacement::TwoPasses)));

} // namespace

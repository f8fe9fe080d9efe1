//===- FuseSumsTest.cpp - Products added while they are stored ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "dialects/Train/Transforms/Passes.h"

using namespace mlir;
using namespace ftc;
using namespace ftc::train;

namespace {

/// Sums of products, of each other and of inputs, in a random order; some values have several readers.
struct RandomSums {
  RandomSums(uint64_t seed, Type element) : random(seed, "sums"), builder(&test::context()), element(element) {
    Location loc = builder.getUnknownLoc();
    module = ModuleOp::create(loc);
    builder.setInsertionPointToEnd(module->getBody());
    int64_t m = 1 + below(6), n = 1 + below(6);
    auto entry = EntryOp::create(builder, loc, "step", EntryKind::Step, 1, m, ArrayAttr(), ArrayAttr());
    Block &body = entry.getBody().emplaceBlock();
    SmallVector<Attribute> inputNames, outputNames;
    auto input = [&](int64_t rows, int64_t columns) -> Value {
      auto type = RankedTensorType::get({rows, columns}, element);
      std::string name = "x" + std::to_string(inputNames.size());
      inputNames.push_back(builder.getStringAttr(name));
      reference::Tensor tensor(type);
      for (int64_t i = 0; i < tensor.size(); ++i)
        tensor.set(i, random.uniform(1000 + next++) - 0.5);
      inputs.emplace(name, tensor);
      return body.addArgument(type, loc);
    };
    SmallVector<Value> values{input(m, n), input(m, n)};
    builder.setInsertionPointToEnd(&body);
    auto pick = [&] { return values[values.size() - 1 - below(std::min<uint32_t>(values.size(), 3))]; };
    for (int count = 8 + below(12); count > 0; --count) {
      if (below(2)) {
        bool transposeA = below(2), transposeB = below(2);
        int64_t k = 1 + below(12);
        Value a = transposeA ? input(k, m) : input(m, k), b = transposeB ? input(n, k) : input(k, n);
        values.push_back(MatmulOp::create(builder, loc, values.front().getType(), a, b, transposeA, transposeB,
                                          below(4) ? Value() : pick()));
      } else {
        values.push_back(AddOp::create(builder, loc, pick(), pick()));
      }
    }
    SmallVector<Value> returned;
    for (Value value : values)
      if (value.use_empty())
        returned.push_back(value);
    for (size_t i = 0; i < returned.size(); ++i)
      outputNames.push_back(builder.getStringAttr("y" + std::to_string(i)));
    ReturnOp::create(builder, loc, returned);
    entry.setInputNamesAttr(builder.getArrayAttr(inputNames));
    entry.setOutputNamesAttr(builder.getArrayAttr(outputNames));
  }

  uint32_t below(uint32_t bound) { return random.below(next++, bound); }

  CounterRandom random;
  uint64_t next = 0;
  OpBuilder builder;
  Type element;
  OwningOpRef<ModuleOp> module;
  reference::NamedTensors inputs;
};

/// Largest difference over the largest element.
double difference(const reference::Tensor &a, const reference::Tensor &b) {
  double most = 0, size = 1e-30;
  for (int64_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(a.reals[i] - b.reals[i]));
    size = std::max(size, std::abs(a.reals[i]));
  }
  return most / size;
}

/// Compares 300 graphs before and after; `unit` is half a unit in the last place. The fused ones must be no farther
/// from what f64 gives than the others, all in all.
void compareRandomSums(Type element, double unit) {
  int fused = 0, apart = 0;
  double offBefore = 0, offAfter = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomSums sums(seed, element), exact(seed, Float64Type::get(&test::context()));
    for (auto &[name, tensor] : exact.inputs)
      tensor.reals = sums.inputs.at(name).reals;
    test::Outcome before = test::interpret(*sums.module, sums.inputs);
    test::Outcome wanted = test::interpret(*exact.module, exact.inputs);
    int adds = test::countOps<AddOp>(*sums.module), products = test::countOps<MatmulOp>(*sums.module);
    ASSERT_TRUE(test::runPasses(*sums.module, [](PassManager &passes) { passes.addPass(createFuseSumsPass()); }));
    fused += adds - test::countOps<AddOp>(*sums.module);
    apart += test::countOps<AddOp>(*sums.module);
    EXPECT_EQ(test::countOps<MatmulOp>(*sums.module), products);
    test::Outcome after = test::interpret(*sums.module, sums.inputs);
    ASSERT_EQ(before.outputs.size(), after.outputs.size());
    for (const auto &[name, tensor] : before.outputs) {
      // At most 20 roundings, each of a number that grows into a result at most.
      EXPECT_LE(difference(tensor, after.outputs.at(name)), 32 * unit) << name;
      offBefore += difference(wanted.outputs.at(name), tensor);
      offAfter += difference(wanted.outputs.at(name), after.outputs.at(name));
    }
    if (testing::Test::HasFailure()) {
      sums.module->dump();
      return;
    }
  }
  EXPECT_GT(fused, 200); // the comparison means something
  EXPECT_GT(apart, 200);
  if (unit > 1e-10)
    EXPECT_LT(offAfter, offBefore);
}

TEST(FuseSums, RandomSumsInFp64) { compareRandomSums(Float64Type::get(&test::context()), 0x1p-53); }
TEST(FuseSums, RandomSumsInFp32) { compareRandomSums(Float32Type::get(&test::context()), 0x1p-24); }
TEST(FuseSums, RandomSumsInBf16) { compareRandomSums(BFloat16Type::get(&test::context()), 0x1p-9); }

} // namespace

//===- PairProductsTest.cpp - Pairs are the sums of their products -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Random.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace ftc;

namespace {

/// A step `y = x w + xa b`, in one of the two orders, with or without something else added.
std::string stepText(uint64_t seed) {
  CounterRandom random(seed, "shapes");
  auto size = [&](int which, int most) { return std::to_string(1 + random.below(which, most)); };
  std::string m = size(0, 20), n = size(1, 20), k = std::to_string(32 + random.below(2, 20)), r = size(3, 8);
  bool transposeW = random.below(4, 2), transposeB = random.below(5, 2), narrowFirst = random.below(6, 2);
  bool more = random.below(7, 2), bf16 = random.below(8, 2);
  std::string element = bf16 ? "bf16" : "f32";
  auto matrix = [&](std::string rows, std::string columns) {
    return "tensor<" + rows + "x" + columns + "x" + element + ">";
  };
  std::string x = matrix(m, k), w = transposeW ? matrix(n, k) : matrix(k, n), xa = matrix(m, r);
  std::string b = transposeB ? matrix(n, r) : matrix(r, n), y = matrix(m, n);
  auto product = [&](bool narrow, std::string onto) {
    std::string factors = narrow ? "%xa, %b" : "%x, %w", types = narrow ? xa + ", " + b : x + ", " + w;
    if (narrow ? transposeB : transposeW)
      factors += " transpose_b";
    return "train.matmul " + factors + (onto.empty() ? " : " : " onto " + onto + " : " + y + ", ") + types + " -> " + y;
  };
  return "train.entry @step kind(step) batch 1 sequence " + m +
         " inputs [\"x\", \"w\", \"xa\", \"b\", \"more\"] outputs [\"y\"] {\n" + "^bb0(%x: " + x + ", %w: " + w +
         ", %xa: " + xa + ", %b: " + b + ", %more: " + y +
         "):\n  %first = " + product(narrowFirst, more ? "%more" : "") + "\n  %y = " + product(!narrowFirst, "%first") +
         "\n  train.return %y : " + y + "\n}\n";
}

TEST(PairProducts, RandomPairsGiveTheirSums) {
  DialectRegistry registry;
  registry.insert<train::TrainDialect>();
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::string text = stepText(seed);
    SCOPED_TRACE(text);
    auto module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    reference::NamedTensors inputs;
    auto entry = *module->getOps<train::EntryOp>().begin();
    CounterRandom random(seed, "inputs");
    uint64_t next = 0;
    for (auto [name, argument] : llvm::zip(entry.getInputNames(), entry.getBody().getArguments())) {
      reference::Tensor tensor(cast<RankedTensorType>(argument.getType()));
      for (int64_t i = 0; i < tensor.size(); ++i)
        tensor.set(i, random.uniform(next++) - 0.5);
      inputs.emplace(cast<StringAttr>(name).str(), tensor);
    }
    auto interpret = [&] {
      reference::TrainInterpreter interpreter(*module);
      return llvm::cantFail(interpreter.run("step", inputs)).at("y");
    };
    reference::Tensor before = interpret();
    PassManager passes(&context);
    passes.addPass(train::createPairProductsPass());
    ASSERT_TRUE(succeeded(passes.run(*module)));
    int pairs = 0;
    module->walk([&](train::MatmulPairOp) { ++pairs; });
    ASSERT_EQ(pairs, 1);
    reference::Tensor after = interpret();
    // Sums of at most 60 terms below 1/4: two roundings of the first, or one.
    double unit = text.find("bf16") != std::string::npos ? 1.0 / 128 : 1.0 / (1 << 23);
    for (int64_t i = 0; i < before.size(); ++i)
      ASSERT_NEAR(before.reals[i], after.reals[i], 2 * unit * (std::abs(before.reals[i]) + 1)) << i;
  }
}

} // namespace

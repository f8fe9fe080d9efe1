//===- ChunkLossTest.cpp - Head and loss by chunks compute the same ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialects/Train/Transforms/Passes.h"
#include "ftc/Reference/TrainInterpreter.h"
#include "ftc/Support/Random.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::train;
using reference::NamedTensors;
using reference::Tensor;

namespace {

MLIRContext &context() {
  static MLIRContext instance([] {
    DialectRegistry registry;
    registry.insert<TrainDialect>();
    return registry;
  }());
  instance.loadAllAvailableDialects();
  return instance;
}

/// A norm, a head and its loss; sometimes an adapter beside the head, a second reader of the hidden states, a frozen
/// head, a cap on the logits. Sizes and labels are random.
struct RandomHead {
  explicit RandomHead(uint64_t seed, Type element) : random(seed, "head"), builder(&context()), element(element) {
    loc = builder.getUnknownLoc();
    scalar = RankedTensorType::get({}, element.isF64() ? element : builder.getF32Type());
    rows = 1 + below(40);
    width = 1 + below(12);
    words = 1 + below(30);
    chunks = 1 + below(rows + 2);
    build();
  }

  uint32_t below(uint32_t bound) { return random.below(next++, bound); }
  RankedTensorType matrix(int64_t a, int64_t b) { return RankedTensorType::get({a, b}, element); }

  Value parameter(StringRef name, RankedTensorType type, bool trainable) {
    OpBuilder outer(module->getBodyRegion());
    outer.setInsertionPointToStart(module->getBody());
    VariableOp::create(outer, loc, name, type, VariableRole::Parameter,
                       NormalInitAttr::get(&context(), builder.getF64FloatAttr(0.5)), trainable);
    return ReadOp::create(builder, loc, type, name);
  }

  void build() {
    module = ModuleOp::create(loc);
    (*module)->setAttr("train.loss_chunks", builder.getI64IntegerAttr(chunks));
    (*module)->setAttr("train.optimizer", SGDAttr::get(&context(), builder.getF64FloatAttr(0)));
    builder.setInsertionPointToEnd(module->getBody());
    SmallVector<Attribute> inputNames, outputNames;
    for (const char *name : {"x", "labels", "inv_tokens", "learning_rate"})
      inputNames.push_back(builder.getStringAttr(name));
    for (const char *name : {"loss", "lse"})
      outputNames.push_back(builder.getStringAttr(name));
    auto entry = EntryOp::create(builder, loc, "step", EntryKind::Step, 1, rows, builder.getArrayAttr(inputNames),
                                 builder.getArrayAttr(outputNames));
    Block &body = entry.getBody().emplaceBlock();
    auto ids = RankedTensorType::get({rows}, builder.getI32Type());
    Value x = body.addArgument(matrix(rows, width), loc), labels = body.addArgument(ids, loc);
    Value inverse = body.addArgument(scalar, loc);
    body.addArgument(scalar, loc);
    builder.setInsertionPointToEnd(&body);

    Value scale = parameter("norm", RankedTensorType::get({width}, element), true);
    Value h = RmsNormOp::create(builder, loc, x.getType(), x, scale, builder.getF64FloatAttr(0.01));
    bool transposed = below(4) != 0;
    Value w = parameter("head", transposed ? matrix(words, width) : matrix(width, words), below(4) != 0);
    Value logits = MatmulOp::create(builder, loc, matrix(rows, words), h, w, false, transposed);
    if (below(2)) {
      int64_t rank = 1 + below(4);
      Value a = parameter("a", matrix(rank, width), true), b = parameter("b", matrix(words, rank), true);
      Value t = MatmulOp::create(builder, loc, matrix(rows, rank), h, a, false, true);
      if (below(2)) {
        logits = MatmulOp::create(builder, loc, logits.getType(), t, b, false, true, logits);
      } else {
        Value u = MatmulOp::create(builder, loc, logits.getType(), t, b, false, true);
        u = ScaleOp::create(builder, loc, u.getType(), u, inverse);
        logits = AddOp::create(builder, loc, logits, u);
      }
    }
    if (below(3) == 0)
      logits = SoftcapOp::create(builder, loc, logits, builder.getF64FloatAttr(2.0));
    auto count = RankedTensorType::get({}, builder.getI32Type());
    auto loss = CrossEntropyOp::create(builder, loc,
                                       TypeRange{scalar, count, RankedTensorType::get({rows}, scalar.getElementType())},
                                       logits, labels, inverse, -100);
    LossOp::create(builder, loc, loss.getLoss());
    ReturnOp::create(builder, loc, ValueRange{loss.getLoss(), loss.getLse()});

    Tensor input(matrix(rows, width)), targets(ids), inverseTensor(scalar), rate(scalar);
    for (int64_t i = 0; i < input.size(); ++i)
      input.set(i, random.normal(1000 + i));
    for (int64_t i = 0; i < rows; ++i)
      targets.integers[i] = below(5) ? static_cast<int64_t>(below(words)) : -100;
    inverseTensor.set(0, 1.0 / static_cast<double>(rows));
    rate.set(0, 0.5);
    inputs = {{"x", input}, {"labels", targets}, {"inv_tokens", inverseTensor}, {"learning_rate", rate}};
  }

  CounterRandom random;
  uint64_t next = 0;
  OpBuilder builder;
  Type element;
  Location loc = UnknownLoc::get(&context());
  RankedTensorType scalar;
  int64_t rows, width, words, chunks;
  OwningOpRef<ModuleOp> module;
  NamedTensors inputs;
};

/// Outputs, then what the update made of the variables.
NamedTensors interpret(ModuleOp module, const NamedTensors &inputs) {
  reference::TrainInterpreter interpreter(module);
  interpreter.initialize(3);
  auto outputs = interpreter.run("step", inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  NamedTensors all = *outputs;
  for (const auto &[name, value] : interpreter.getVariables())
    all.emplace("variable " + name, value);
  return all;
}

/// Largest difference over the largest element.
double difference(const Tensor &a, const Tensor &b) {
  if (a.type != b.type || a.integers != b.integers)
    return INFINITY;
  double most = 0, size = 1e-30;
  for (size_t i = 0; i < a.reals.size(); ++i) {
    most = std::max(most, std::abs(a.reals[i] - b.reals[i]));
    size = std::max(size, std::abs(a.reals[i]));
  }
  return most / size;
}

/// Compares 150 random heads whole and in chunks; returns how many were chunked.
int compareRandomHeads(Type element, double tolerance) {
  int chunked = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomHead head(seed, element);
    PassManager before(&context()), after(&context());
    before.addPass(createDifferentiatePass());
    EXPECT_TRUE(succeeded(before.run(*head.module)));
    OwningOpRef<ModuleOp> whole = head.module->clone();
    after.addPass(createChunkLossPass());
    EXPECT_TRUE(succeeded(after.run(*head.module)));

    int64_t chunkRows = (head.rows + head.chunks - 1) / head.chunks, losses = 0;
    head.module->walk([&](CrossEntropyOp loss) {
      ++losses;
      EXPECT_LE(loss.getLogits().getType().getDimSize(0), chunkRows);
    });
    EXPECT_EQ(losses, (head.rows + chunkRows - 1) / chunkRows);
    // No value as large as the logits is left, where it cannot be another's by chance.
    if (losses > 1 && head.words != head.width && head.words > 4 && head.rows != head.width && head.rows > 4)
      head.module->walk([&](Operation *op) {
        for (Type type : op->getResultTypes())
          EXPECT_NE(type, head.matrix(head.rows, head.words));
      });
    chunked += losses > 1;

    for (ModuleOp module : {*whole, *head.module}) {
      PassManager lower(&context());
      lower.addPass(createLowerOptimizerPass());
      EXPECT_TRUE(succeeded(lower.run(module)));
    }
    NamedTensors expected = interpret(*whole, head.inputs), actual = interpret(*head.module, head.inputs);
    EXPECT_EQ(expected.size(), actual.size());
    for (const auto &[name, value] : expected)
      EXPECT_LE(difference(value, actual[name]), tolerance) << name;
    if (testing::Test::HasFailure()) {
      head.module->dump();
      break;
    }
  }
  return chunked;
}

TEST(ChunkLoss, RandomHeadsInFp64) { EXPECT_GT(compareRandomHeads(Float64Type::get(&context()), 1e-13), 100); }
TEST(ChunkLoss, RandomHeadsInFp32) { EXPECT_GT(compareRandomHeads(Float32Type::get(&context()), 1e-6), 100); }
TEST(ChunkLoss, RandomHeadsInBf16) { EXPECT_GT(compareRandomHeads(BFloat16Type::get(&context()), 2e-2), 100); }

} // namespace

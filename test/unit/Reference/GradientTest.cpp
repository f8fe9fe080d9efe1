//===- GradientTest.cpp - Every op's gradient against differences ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For each differentiable op, in f64: the vector-Jacobian product that the op builds, with a random vector R, against
// central differences of <R, result> in every element of every operand that has a gradient.
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include <cmath>
#include <ostream>

using namespace mlir;
using namespace ftc;
using namespace ftc::reference;
using namespace ftc::reference::test;

namespace {

struct Operand {
  const char *type;
  std::vector<int64_t> values; ///< of an integer operand
};

struct Case {
  const char *name;
  /// One op with operands %x0, %x1, ...; its first result is projected.
  const char *op;
  const char *resultTypes;
  std::vector<Operand> operands;
  /// Operands that must have a gradient; all others must have none.
  std::vector<unsigned> differentiable;
  double step = 1e-4;
  double tolerance = 1e-7; ///< relative to the largest element of the operand's gradient
};

std::ostream &operator<<(std::ostream &stream, const Case &test) { return stream << test.name; }

const std::vector<int64_t> segments = {0, 0, 0, 3, 3, 0, 0, 2, 2, 4}; // two rows of five tokens

std::vector<Case> cases() {
  std::vector<Case> result = {
      {"add",
       "train.add %x0, %x1 : tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<3x5xf64>"}},
       {0, 1}},
      // Linear, so that a large step has no error of its own and hides the rounding to f32.
      {"cast",
       "train.cast %x0 : tensor<3x5xf64> to tensor<3x5xf32>",
       "tensor<3x5xf32>",
       {{"tensor<3x5xf64>"}},
       {0},
       4.0,
       1e-6},
      {"scale",
       "train.scale %x0 by %x1 : tensor<3x5xf64>, tensor<f64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<f64>"}},
       {0}},
      {"multiply",
       "train.multiply %x0, %x1 : tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<3x5xf64>"}},
       {0, 1}},
      {"rms_norm_of_heads",
       "train.rms_norm %x0, %x1 eps 1.0e-5 : tensor<3x6xf64>, tensor<2xf64>",
       "tensor<3x6xf64>",
       {{"tensor<3x6xf64>"}, {"tensor<2xf64>"}},
       {0, 1}},
      {"add_bias",
       "train.add_bias %x0, %x1 : tensor<3x5xf64>, tensor<5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<5xf64>"}},
       {0, 1}},
      {"scale_columns",
       "train.scale_columns %x0 by %x1 : tensor<3x5xf64>, tensor<5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<5xf64>"}},
       {0, 1}},
      // A constant by definition.
      {"inverse_norm",
       "train.inverse_norm %x0, %x1, %x2, %x3 scale 0.1 : tensor<5xf64>, tensor<5x2xf64>, tensor<2x5xf64>, "
       "tensor<5x2xf64>",
       "tensor<5xf64>",
       {{"tensor<5xf64>"}, {"tensor<5x2xf64>"}, {"tensor<2x5xf64>"}, {"tensor<5x2xf64>"}},
       {}},
      {"dropout",
       "train.dropout %x0 probability 0.4 stream \"s\" seed %x1 step %x2 micro %x3 : tensor<3x5xf64>, tensor<i64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<i64>", {7}}, {"tensor<i64>", {2}}, {"tensor<i64>", {1}}},
       {0}},
      {"swiglu",
       "train.swiglu %x0, %x1 : tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<3x5xf64>"}},
       {0, 1}},
      {"geglu",
       "train.geglu %x0, %x1 : tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x5xf64>"}, {"tensor<3x5xf64>"}},
       {0, 1}},
      // A cap that the numbers come close to.
      {"softcap", "train.softcap %x0 cap 1.5 : tensor<3x5xf64>", "tensor<3x5xf64>", {{"tensor<3x5xf64>"}}, {0}},
      {"rms_norm_of_heads_zero_centered",
       "train.rms_norm %x0, %x1 eps 1.0e-2 zero_centered : tensor<3x6xf64>, tensor<2xf64>",
       "tensor<3x6xf64>",
       {{"tensor<3x6xf64>"}, {"tensor<2xf64>"}},
       {0, 1}},
      {"rms_norm_zero_centered",
       "train.rms_norm %x0, %x1 eps 1.0e-2 zero_centered : tensor<4x6xf64>, tensor<6xf64>",
       "tensor<4x6xf64>",
       {{"tensor<4x6xf64>"}, {"tensor<6xf64>"}},
       {0, 1}},
      {"matmul_nn",
       "train.matmul %x0, %x1 : tensor<3x4xf64>, tensor<4x5xf64> -> tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x4xf64>"}, {"tensor<4x5xf64>"}},
       {0, 1}},
      {"matmul_nt",
       "train.matmul %x0, %x1 transpose_b : tensor<3x4xf64>, tensor<5x4xf64> -> tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<3x4xf64>"}, {"tensor<5x4xf64>"}},
       {0, 1}},
      {"matmul_tn",
       "train.matmul %x0, %x1 transpose_a : tensor<4x3xf64>, tensor<4x5xf64> -> tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<4x3xf64>"}, {"tensor<4x5xf64>"}},
       {0, 1}},
      {"matmul_tt",
       "train.matmul %x0, %x1 transpose_a transpose_b : tensor<4x3xf64>, tensor<5x4xf64> -> tensor<3x5xf64>",
       "tensor<3x5xf64>",
       {{"tensor<4x3xf64>"}, {"tensor<5x4xf64>"}},
       {0, 1}},
      {"embedding",
       "train.embedding %x0, %x1 : tensor<6x4xf64>, tensor<5xi32> -> tensor<5x4xf64>",
       "tensor<5x4xf64>",
       {{"tensor<6x4xf64>"}, {"tensor<5xi32>", {2, 0, 2, 5, 2}}},
       {0}},
      {"rms_norm",
       "train.rms_norm %x0, %x1 eps 1.0e-2 : tensor<4x6xf64>, tensor<6xf64>",
       "tensor<4x6xf64>",
       {{"tensor<4x6xf64>"}, {"tensor<6xf64>"}},
       {0, 1}},
      {"rotary",
       "train.rotary %x0, %x1, %x2, %x3 head_dim 4 : tensor<5x8xf64>, tensor<5xi32>, tensor<7x2xf64>, tensor<7x2xf64>",
       "tensor<5x8xf64>",
       {{"tensor<5x8xf64>"}, {"tensor<5xi32>", {0, 3, 6, 1, 1}}, {"tensor<7x2xf64>"}, {"tensor<7x2xf64>"}},
       {0}},
      {"rotary_inverse",
       "train.rotary %x0, %x1, %x2, %x3 head_dim 4 inverse : tensor<5x8xf64>, tensor<5xi32>, tensor<7x2xf64>, "
       "tensor<7x2xf64>",
       "tensor<5x8xf64>",
       {{"tensor<5x8xf64>"}, {"tensor<5xi32>", {0, 3, 6, 1, 1}}, {"tensor<7x2xf64>"}, {"tensor<7x2xf64>"}},
       {0}},
      // Of a head of eight columns four are turned, and four stay; the tables are of no length 1.
      {"rotary_of_a_part",
       "train.rotary %x0, %x1, %x2, %x3 head_dim 8 : tensor<5x16xf64>, tensor<5xi32>, tensor<7x2xf64>, tensor<7x2xf64>",
       "tensor<5x16xf64>",
       {{"tensor<5x16xf64>"}, {"tensor<5xi32>", {0, 3, 6, 1, 1}}, {"tensor<7x2xf64>"}, {"tensor<7x2xf64>"}},
       {0}},
      {"attention_grouped",
       "train.attention %x0, %x1, %x2, %x3 batch 2 heads 4 kv_heads 2 scale 0.7 : tensor<10x12xf64>, tensor<10x6xf64>, "
       "tensor<10xi32> -> tensor<10x4xf64>",
       "tensor<10x12xf64>, tensor<10x4xf64>",
       {{"tensor<10x12xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10xi32>", segments}},
       {0, 1, 2}},
      {"attention_full_heads",
       "train.attention %x0, %x1, %x2, %x3 batch 1 heads 2 kv_heads 2 scale 0.5 : tensor<5x6xf64>, tensor<5x6xf64>, "
       "tensor<5xi32> -> tensor<5x2xf64>",
       "tensor<5x6xf64>, tensor<5x2xf64>",
       {{"tensor<5x6xf64>"}, {"tensor<5x6xf64>"}, {"tensor<5x6xf64>"}, {"tensor<5xi32>", {0, 0, 0, 0, 0}}},
       {0, 1, 2}},
      {"attention_window",
       "train.attention %x0, %x1, %x2, %x3 batch 2 heads 4 kv_heads 2 scale 0.7 window 2 : tensor<10x12xf64>, "
       "tensor<10x6xf64>, tensor<10xi32> -> tensor<10x4xf64>",
       "tensor<10x12xf64>, tensor<10x4xf64>",
       {{"tensor<10x12xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10xi32>", segments}},
       {0, 1, 2}},
      // Below the largest scores, so that the cap's slope is far from 1.
      {"attention_softcap",
       "train.attention %x0, %x1, %x2, %x3 batch 2 heads 4 kv_heads 2 scale 0.7 softcap 0.9 : tensor<10x12xf64>, "
       "tensor<10x6xf64>, tensor<10xi32> -> tensor<10x4xf64>",
       "tensor<10x12xf64>, tensor<10x4xf64>",
       {{"tensor<10x12xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10x6xf64>"}, {"tensor<10xi32>", segments}},
       {0, 1, 2}},
      {"attention_window_softcap",
       "train.attention %x0, %x1, %x2, %x3 batch 2 heads 2 kv_heads 1 scale 0.7 window 3 softcap 0.9 : "
       "tensor<10x6xf64>, tensor<10x3xf64>, tensor<10xi32> -> tensor<10x2xf64>",
       "tensor<10x6xf64>, tensor<10x2xf64>",
       {{"tensor<10x6xf64>"}, {"tensor<10x3xf64>"}, {"tensor<10x3xf64>"}, {"tensor<10xi32>", segments}},
       {0, 1, 2}},
      {"cross_entropy",
       "train.cross_entropy %x0, %x1, %x2 ignore -100 : tensor<5x7xf64>, tensor<5xi32>, tensor<f64> -> tensor<f64>, "
       "tensor<i32>, tensor<5xf64>",
       "tensor<f64>, tensor<i32>, tensor<5xf64>",
       {{"tensor<5x7xf64>"}, {"tensor<5xi32>", {3, -100, 0, 6, -100}}, {"tensor<f64>"}},
       {0}},
      {"label_log_probs",
       "train.label_log_probs %x0, %x1 ignore -100 : tensor<5x7xf64>, tensor<5xi32> -> tensor<5xf64>, tensor<5xf64>",
       "tensor<5xf64>, tensor<5xf64>",
       {{"tensor<5x7xf64>"}, {"tensor<5xi32>", {3, -100, 0, 6, -100}}},
       {0}},
      {"distillation_loss",
       "train.distillation_loss %x0, %x1, %x2, %x3 ratio 0.25 ignore -100 : tensor<5x7xf64>, tensor<5xi32>, "
       "tensor<f64> "
       "-> tensor<i32>, tensor<5xf64>",
       "tensor<f64>, tensor<f64>, tensor<f64>, tensor<i32>, tensor<5xf64>, tensor<5xf64>",
       {{"tensor<5x7xf64>"}, {"tensor<5x7xf64>"}, {"tensor<5xi32>", {3, -100, 0, 6, -100}}, {"tensor<f64>"}},
       {0}},
      {"sequence_sums",
       "train.sequence_sums %x0, %x1 batch 2 ignore -100 : tensor<6xf64>, tensor<6xi32> -> tensor<2xf64>",
       "tensor<2xf64>, tensor<2xf64>",
       {{"tensor<6xf64>"}, {"tensor<6xi32>", {3, -100, 0, 6, -100, 2}}},
       {0}},
      // Of the counts, normal numbers, some pairs' are below 0: those have no gradient.
      {"preference_loss",
       "train.preference_loss sigmoid %x0, %x1, %x2, %x3 beta 0.5 label_smoothing 0.125 : tensor<12xf64>, tensor<f64> "
       "-> tensor<i32>",
       "tensor<f64>, tensor<i32>",
       {{"tensor<12xf64>"}, {"tensor<12xf64>"}, {"tensor<12xf64>"}, {"tensor<f64>"}},
       {0}},
      {"preference_loss_by_a_hinge",
       "train.preference_loss hinge %x0, %x1, %x2, %x3 beta 0.5 label_smoothing 0.0 : tensor<12xf64>, tensor<f64> "
       "-> tensor<i32>",
       "tensor<f64>, tensor<i32>",
       {{"tensor<12xf64>"}, {"tensor<12xf64>"}, {"tensor<12xf64>"}, {"tensor<f64>"}},
       {0}},
  };
  return result;
}

std::string inputName(size_t index) { return "x" + std::to_string(index); }

class Gradient : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    const Case &test = GetParam();
    size_t results = llvm::StringRef(test.resultTypes).count("tensor<");
    std::string arguments, names;
    for (auto [i, operand] : llvm::enumerate(test.operands)) {
      names += (i ? ", \"" : "\"") + inputName(i) + "\"";
      arguments += (i ? ", %" : "%") + inputName(i) + ": " + operand.type;
      inputs[inputName(i)] =
          operand.values.empty() ? normals(typeOf(operand.type), inputName(i)) : integers(operand.type, operand.values);
    }
    // Distinct names for the results, as MLIR wants them: %y:2 = ..., returned as %y#0.
    std::string result = results == 1 ? "%y" : "%y:" + std::to_string(results);
    std::string first = results == 1 ? "%y" : "%y#0";
    llvm::StringRef firstType =
        llvm::StringRef(test.resultTypes).take_front(llvm::StringRef(test.resultTypes).find('>') + 1);
    module = parse("train.entry @forward kind(evaluate) batch 1 sequence 1 inputs [" + names +
                   "] outputs [\"y\"] {\n^bb0(" + arguments + "):\n  " + result + " = " + test.op +
                   "\n  train.return " + first + " : " + firstType.str() + "\n}\n");
    ASSERT_TRUE(module);
    buildBackward();
    ASSERT_TRUE(succeeded(verify(*module)));
    projection = normals(resultType, "projection");
  }

  /// Adds the entry @backward: the inputs of @forward and `d`, the gradient of its result, to the gradients of the
  /// operands, called d0, d1, ...
  void buildBackward() {
    auto forward = module->lookupSymbol<train::EntryOp>("forward");
    Block &body = forward.getBody().front();
    resultType = cast<RankedTensorType>(body.getTerminator()->getOperand(0).getType());
    auto backward = cast<train::EntryOp>(forward->clone());
    module->push_back(backward);
    backward.setSymName("backward");
    Block &block = backward.getBody().front();
    Value gradient = block.addArgument(resultType, module->getLoc());
    Operation *op = &block.front();
    SmallVector<Value> resultGradients(op->getNumResults());
    resultGradients.front() = gradient;
    SmallVector<bool> needed(op->getNumOperands(), true);
    OpBuilder builder(block.getTerminator());
    auto gradients = cast<train::DifferentiableOpInterface>(op).buildVjp(builder, resultGradients, needed);
    ASSERT_EQ(gradients.size(), op->getNumOperands());

    SmallVector<Attribute> inputNames(forward.getInputNames().begin(), forward.getInputNames().end()), outputNames;
    inputNames.push_back(builder.getStringAttr("d"));
    SmallVector<Value> returned;
    for (auto [i, value] : llvm::enumerate(gradients)) {
      EXPECT_EQ(value != nullptr, llvm::is_contained(GetParam().differentiable, i)) << "operand " << i;
      if (!value)
        continue;
      EXPECT_EQ(value.getType(), op->getOperand(i).getType()) << "operand " << i;
      returned.push_back(value);
      outputNames.push_back(builder.getStringAttr("d" + std::to_string(i)));
    }
    train::ReturnOp::create(builder, module->getLoc(), returned);
    block.getTerminator()->erase(); // what @forward returned
    backward.setInputNamesAttr(builder.getArrayAttr(inputNames));
    backward.setOutputNamesAttr(builder.getArrayAttr(outputNames));
  }

  double projected(TrainInterpreter &interpreter) {
    Tensor y = run(interpreter, "forward", inputs)["y"];
    double sum = 0;
    for (int64_t i = 0; i < y.size(); ++i)
      sum += y.reals[i] * projection.reals[i];
    return sum;
  }

  OwningOpRef<ModuleOp> module;
  RankedTensorType resultType;
  NamedTensors inputs;
  Tensor projection;
};

TEST_P(Gradient, AgreesWithCentralDifferences) {
  const Case &test = GetParam();
  TrainInterpreter interpreter(*module);
  NamedTensors backwardInputs = inputs;
  backwardInputs["d"] = projection;
  NamedTensors gradients = run(interpreter, "backward", backwardInputs);
  ASSERT_EQ(gradients.size(), test.differentiable.size());
  for (unsigned operand : test.differentiable) {
    const Tensor &gradient = gradients["d" + std::to_string(operand)];
    Tensor &x = inputs[inputName(operand)];
    double largest = 0;
    for (double element : gradient.reals)
      largest = std::max(largest, std::abs(element));
    EXPECT_GT(largest, 1e-2) << "a gradient of nothing proves nothing";
    for (int64_t i = 0; i < x.size(); ++i) {
      double kept = x.reals[i];
      x.reals[i] = kept + test.step;
      double above = projected(interpreter);
      x.reals[i] = kept - test.step;
      double below = projected(interpreter);
      x.reals[i] = kept;
      EXPECT_NEAR(gradient.reals[i], (above - below) / (2 * test.step), test.tolerance * largest)
          << "operand " << operand << ", element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, Gradient, testing::ValuesIn(cases()),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(GradientCoverage, EveryDifferentiableOpHasACase) {
  context().getOrLoadDialect<train::TrainDialect>();
  for (RegisteredOperationName name : context().getRegisteredOperations()) {
    // Fake quantization is a step function: its gradient is not its derivative (test/unit/Target/FakeQuantizeTest.cpp).
    if (!name.hasInterface<train::DifferentiableOpInterface>() || name.getStringRef() == "train.fake_quantize")
      continue;
    bool covered = llvm::any_of(cases(), [&](const Case &test) {
      return llvm::StringRef(test.op).starts_with((name.getStringRef() + " ").str());
    });
    EXPECT_TRUE(covered) << name.getStringRef().str();
  }
}

TEST(MatmulGradient, BuildsOnlyWhatIsNeeded) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["a", "b"] outputs ["y"] {
    ^bb0(%a: tensor<3x4xf64>, %b: tensor<4x5xf64>):
      %y = train.matmul %a, %b : tensor<3x4xf64>, tensor<4x5xf64> -> tensor<3x5xf64>
      train.return %y : tensor<3x5xf64>
    })");
  Block &block = module->lookupSymbol<train::EntryOp>("f").getBody().front();
  auto op = cast<train::MatmulOp>(block.front());
  for (auto [first, second] : {std::pair(true, false), std::pair(false, true)}) {
    OpBuilder builder(block.getTerminator());
    auto gradients = op.buildVjp(builder, {op.getResult()}, {first, second});
    EXPECT_EQ(gradients[0] != nullptr, first);
    EXPECT_EQ(gradients[1] != nullptr, second);
  }
}

} // namespace

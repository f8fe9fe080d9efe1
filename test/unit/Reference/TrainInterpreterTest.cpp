//===- TrainInterpreterTest.cpp - The train interpreter itself ---------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace ftc;
using namespace ftc::reference;
using namespace ftc::reference::test;

namespace {

TEST(RoundTo, NearestEvenInEveryType) {
  Type f64 = Float64Type::get(&context()), f32 = Float32Type::get(&context()), bf16 = BFloat16Type::get(&context());
  EXPECT_EQ(roundTo(f64, 1.0 + 1e-15), 1.0 + 1e-15);
  EXPECT_EQ(roundTo(f32, 1.0 + 0x1p-24), 1.0); // a tie, to even
  EXPECT_EQ(roundTo(f32, 1.0 + 3 * 0x1p-24), 1.0 + 0x1p-22);
  EXPECT_EQ(roundTo(bf16, 1.0 + 0x1p-8), 1.0); // bf16 keeps seven bits after the point
  EXPECT_EQ(roundTo(bf16, 1.0 + 3 * 0x1p-8), 1.0 + 0x1p-6);
  EXPECT_EQ(roundTo(bf16, 1.0 + 0x1.01p-8), 1.0 + 0x1p-7);
  EXPECT_EQ(roundTo(bf16, -3.4e38), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(roundTo(bf16, NAN)));
  EXPECT_EQ(roundTo(bf16, INFINITY), INFINITY);
}

TEST(Tensor, IdenticalMeansTheSameBits) {
  Tensor zero = reals("tensor<1xf32>", {0.0}), negative = reals("tensor<1xf32>", {-0.0});
  EXPECT_TRUE(zero.isIdenticalTo(zero));
  EXPECT_FALSE(zero.isIdenticalTo(negative));
  EXPECT_FALSE(zero.isIdenticalTo(reals("tensor<1xf64>", {0.0})));
  EXPECT_TRUE(reals("tensor<1xf32>", {NAN}).isIdenticalTo(reals("tensor<1xf32>", {NAN})));
}

constexpr const char *sgdModule = R"(
  train.variable @w : tensor<3xf32> parameter init #train.ones trainable
  train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate"] outputs ["before", "after"] {
  ^bb0(%g: tensor<3xf32>, %lr: tensor<f32>):
    %w = train.read @w : tensor<3xf32>
    %half = train.constant dense<0.5> : tensor<f32>
    %w1 = train.sgd %w, %g, %lr, %half with <weightDecay = 1.000000e-01> : tensor<3xf32>, tensor<f32>, tensor<f32>
    train.write @w, %w1 : tensor<3xf32>
    train.return %w, %w1 : tensor<3xf32>, tensor<3xf32>
  })";

TEST(Sgd, FollowsItsFormulaAndWritesAfterTheEntry) {
  auto module = parse(sgdModule);
  TrainInterpreter interpreter(*module);
  interpreter.initialize(0);
  ASSERT_TRUE(interpreter.find("w"));
  std::vector<double> p = {1, 1, 1}, g = {2, -1, 0.25};
  for (int step = 0; step < 2; ++step) {
    NamedTensors outputs =
        run(interpreter, "step", {{"g", reals("tensor<3xf32>", g)}, {"learning_rate", reals("tensor<f32>", {0.5})}});
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(outputs["before"].reals[i], p[i]); // the read gives the value before the write
      p[i] = static_cast<float>(p[i] - 0.5 * (0.5 * g[i] + 0.1 * p[i]));
      EXPECT_EQ(outputs["after"].reals[i], p[i]);
      EXPECT_EQ(interpreter.find("w")->reals[i], p[i]);
    }
  }
}

TEST(InverseNorm, IsThatOfTheAdaptedWeight) {
  auto module = parse(R"(
    train.variable @w : tensor<5x4xf64> parameter init #train.normal<1.0>
    train.variable @norm : tensor<5xf64> constant init #train.row_norms<@w>
    train.entry @step kind(step) batch 1 sequence 1 inputs ["a", "b"] outputs ["inverse", "change", "w"] {
    ^bb0(%a: tensor<2x4xf64>, %b: tensor<5x2xf64>):
      %w = train.read @w : tensor<5x4xf64>
      %n = train.read @norm : tensor<5xf64>
      %p = train.matmul %a, %w transpose_b : tensor<2x4xf64>, tensor<5x4xf64> -> tensor<2x5xf64>
      %g = train.matmul %a, %a transpose_b : tensor<2x4xf64>, tensor<2x4xf64> -> tensor<2x2xf64>
      %q = train.matmul %b, %g : tensor<5x2xf64>, tensor<2x2xf64> -> tensor<5x2xf64>
      %i = train.inverse_norm %n, %b, %p, %q scale 0.75
        : tensor<5xf64>, tensor<5x2xf64>, tensor<2x5xf64>, tensor<5x2xf64>
      %change = train.matmul %b, %a : tensor<5x2xf64>, tensor<2x4xf64> -> tensor<5x4xf64>
      train.return %i, %change, %w : tensor<5xf64>, tensor<5x4xf64>, tensor<5x4xf64>
    })");
  TrainInterpreter interpreter(*module);
  interpreter.initialize(3);
  NamedTensors out =
      run(interpreter, "step",
          {{"a", normals(typeOf("tensor<2x4xf64>"), "a")}, {"b", normals(typeOf("tensor<5x2xf64>"), "b")}});
  for (int64_t row = 0; row < 5; ++row) {
    double squares = 0;
    for (int64_t column = 0; column < 4; ++column) {
      double element = out["w"].at(row, column) + 0.75 * out["change"].at(row, column);
      squares += element * element;
    }
    EXPECT_NEAR(out["inverse"].reals[row], 1 / std::sqrt(squares), 1e-12);
  }
}

TEST(AdamW, FollowsTheTextbookForSeveralSteps) {
  auto module = parse(R"(
    train.variable @w : tensor<2x2xf64> parameter init #train.ones trainable
    train.variable @m : tensor<2x2xf64> state init #train.zeros
    train.variable @v : tensor<2x2xf64> state init #train.zeros
    train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate", "step"] outputs [] {
    ^bb0(%g: tensor<2x2xf64>, %lr: tensor<f64>, %t: tensor<i64>):
      %w = train.read @w : tensor<2x2xf64>
      %m = train.read @m : tensor<2x2xf64>
      %v = train.read @v : tensor<2x2xf64>
      %s = train.constant dense<0.25> : tensor<f64>
      %w1, %m1, %v1 = train.adamw %w, %g, %m, %v, %lr, %t, %s
        with <weightDecay = 1.000000e-01, beta1 = 8.000000e-01, beta2 = 9.000000e-01, eps = 1.000000e-03>
        : tensor<2x2xf64>, tensor<2x2xf64>, tensor<f64>, tensor<i64>, tensor<f64>
      train.write @w, %w1 : tensor<2x2xf64>
      train.write @m, %m1 : tensor<2x2xf64>
      train.write @v, %v1 : tensor<2x2xf64>
      train.return
    })");
  TrainInterpreter interpreter(*module);
  interpreter.initialize(0);
  // Written as PyTorch's documentation states the algorithm, in another order than the op's formula.
  double lr = 0.01, decay = 0.1, beta1 = 0.8, beta2 = 0.9, eps = 1e-3;
  std::vector<double> p(4, 1.0), m(4, 0.0), v(4, 0.0);
  for (int t = 1; t <= 5; ++t) {
    Tensor g = normals(typeOf("tensor<2x2xf64>"), "g" + std::to_string(t));
    run(interpreter, "step",
        {{"g", g}, {"learning_rate", reals("tensor<f64>", {lr})}, {"step", integers("tensor<i64>", {t})}});
    for (int i = 0; i < 4; ++i) {
      double gradient = 0.25 * g.reals[i];
      p[i] -= lr * decay * p[i];
      m[i] = beta1 * m[i] + (1 - beta1) * gradient;
      v[i] = beta2 * v[i] + (1 - beta2) * gradient * gradient;
      double mHat = m[i] / (1 - std::pow(beta1, t)), vHat = v[i] / (1 - std::pow(beta2, t));
      p[i] -= lr * mHat / (std::sqrt(vHat) + eps);
      EXPECT_NEAR(interpreter.find("w")->reals[i], p[i], 1e-14);
      EXPECT_NEAR(interpreter.find("m")->reals[i], m[i], 1e-14);
      EXPECT_NEAR(interpreter.find("v")->reals[i], v[i], 1e-14);
    }
  }
}

Tensor clip(double maxNorm, std::vector<double> a, std::vector<double> b, double &factor) {
  std::string limit = std::isinf(maxNorm) ? "0x7FF0000000000000" : "1.500000e+00";
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["a", "b"] outputs ["norm", "factor"] {
    ^bb0(%a: tensor<2x2xf32>, %b: tensor<3xf32>):
      %zero = train.constant dense<0.0> : tensor<f32>
      %s0 = train.sum_squares %a onto %zero : tensor<2x2xf32>, tensor<f32> -> tensor<f32>
      %s1 = train.sum_squares %b onto %s0 : tensor<3xf32>, tensor<f32> -> tensor<f32>
      %norm, %factor = train.clip_factor %s1 max_norm )" +
                      limit + R"( : tensor<f32> -> tensor<f32>, tensor<f32>
      train.return %norm, %factor : tensor<f32>, tensor<f32>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "f", {{"a", reals("tensor<2x2xf32>", a)}, {"b", reals("tensor<3xf32>", b)}});
  factor = outputs["factor"].reals.front();
  return outputs["norm"];
}

TEST(ClipFactor, ClipsOnlyAboveTheLimit) {
  double factor;
  EXPECT_EQ(clip(1.5, {1, 2, 2, 0}, {0, 4, 0}, factor).reals.front(), 5.0);
  EXPECT_FLOAT_EQ(factor, 1.5 / (5 + 1e-6));
  EXPECT_FLOAT_EQ(clip(1.5, {0.5, 0.5, 0, 0}, {0.5, 0, 0.5}, factor).reals.front(), 1.0);
  EXPECT_EQ(factor, 1.0);
  EXPECT_EQ(clip(INFINITY, {1e3, 0, 0, 0}, {0, 0, 0}, factor).reals.front(), 1e3);
  EXPECT_EQ(factor, 1.0);
  clip(1.5, {NAN, 0, 0, 0}, {0, 0, 0}, factor);
  EXPECT_TRUE(std::isnan(factor)); // the run must show it, not hide it
}

TEST(RmsNorm, RoundsBeforeTheWeight) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["x", "w"] outputs ["y"] {
    ^bb0(%x: tensor<1x3xbf16>, %w: tensor<3xbf16>):
      %y = train.rms_norm %x, %w eps 0.0 : tensor<1x3xbf16>, tensor<3xbf16>
      train.return %y : tensor<1x3xbf16>
    })");
  TrainInterpreter interpreter(*module);
  Tensor x = reals("tensor<1x3xbf16>", {1.25, -0.71875, 3}), w = reals("tensor<3xbf16>", {1.3125, 0.90625, 2.75});
  Tensor y = run(interpreter, "f", {{"x", x}, {"w", w}})["y"];
  Type bf16 = BFloat16Type::get(&context());
  double r = 1 / std::sqrt((1.25 * 1.25 + 0.71875 * 0.71875 + 9) / 3);
  bool differs = false;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(y.reals[i], roundTo(bf16, roundTo(bf16, x.reals[i] * r) * w.reals[i]));
    differs |= y.reals[i] != roundTo(bf16, x.reals[i] * r * w.reals[i]);
  }
  EXPECT_TRUE(differs) << "these numbers do not tell the two orders of rounding apart";
}

TEST(RmsNorm, ZeroCenteredRoundsOnce) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["x", "w"] outputs ["y"] {
    ^bb0(%x: tensor<1x3xbf16>, %w: tensor<3xbf16>):
      %y = train.rms_norm %x, %w eps 0.0 zero_centered : tensor<1x3xbf16>, tensor<3xbf16>
      train.return %y : tensor<1x3xbf16>
    })");
  TrainInterpreter interpreter(*module);
  Tensor x = reals("tensor<1x3xbf16>", {1.25, -0.71875, 3}), w = reals("tensor<3xbf16>", {0.3125, -0.09375, 1.75});
  Tensor y = run(interpreter, "f", {{"x", x}, {"w", w}})["y"];
  Type bf16 = BFloat16Type::get(&context());
  double r = 1 / std::sqrt((1.25 * 1.25 + 0.71875 * 0.71875 + 9) / 3);
  bool differs = false;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(y.reals[i], roundTo(bf16, x.reals[i] * r * (1 + w.reals[i])));
    differs |= y.reals[i] != roundTo(bf16, roundTo(bf16, x.reals[i] * r) * (1 + w.reals[i]));
  }
  EXPECT_TRUE(differs) << "these numbers do not tell the two orders of rounding apart";
}

TEST(Softcap, IsTheIdentityNearZeroAndTheCapFarAway) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["x", "d"] outputs ["y", "dx"] {
    ^bb0(%x: tensor<1x4xf32>, %d: tensor<1x4xf32>):
      %y = train.softcap %x cap 3.0e+01 : tensor<1x4xf32>
      %dx = train.softcap_grad %y, %d cap 3.0e+01 : tensor<1x4xf32>
      train.return %y, %dx : tensor<1x4xf32>, tensor<1x4xf32>
    })");
  TrainInterpreter interpreter(*module);
  Tensor x = reals("tensor<1x4xf32>", {1e-3, 15, 1e4, -1e4}), d = reals("tensor<1x4xf32>", {2, 2, 2, 2});
  auto results = run(interpreter, "f", {{"x", x}, {"d", d}});
  const Tensor &y = results["y"], &dx = results["dx"];
  EXPECT_FLOAT_EQ(y.reals[0], 1e-3);
  EXPECT_FLOAT_EQ(y.reals[1], 30 * std::tanh(0.5));
  EXPECT_EQ(y.reals[2], 30);
  EXPECT_EQ(y.reals[3], -30);
  EXPECT_FLOAT_EQ(dx.reals[0], 2);
  EXPECT_FLOAT_EQ(dx.reals[1], 2 * (1 - std::tanh(0.5) * std::tanh(0.5)));
  EXPECT_EQ(dx.reals[2], 0);
}

TEST(EmbeddingGrad, AddsOntoTheBaseAndRoundsOnce) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["ids", "d", "base"] outputs ["y"] {
    ^bb0(%ids: tensor<3xi32>, %d: tensor<3x1xbf16>, %base: tensor<2x1xbf16>):
      %y = train.embedding_grad %ids, %d onto %base : tensor<2x1xbf16>, tensor<3xi32>, tensor<3x1xbf16> -> tensor<2x1xbf16>
      train.return %y : tensor<2x1xbf16>
    })");
  TrainInterpreter interpreter(*module);
  // 256 + 1 is a tie in bf16 and would stay 256 each time.
  Tensor y = run(interpreter, "f",
                 {{"ids", integers("tensor<3xi32>", {1, 1, 1})},
                  {"d", reals("tensor<3x1xbf16>", {1, 1, 2})},
                  {"base", reals("tensor<2x1xbf16>", {5, 256})}})["y"];
  EXPECT_EQ(y.reals, (std::vector<double>{5, 260}));
}

TEST(CrossEntropy, CountsAndWeighsValidRows) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 3 inputs ["logits", "labels", "inv"] outputs ["loss", "count", "lse"] {
    ^bb0(%logits: tensor<3x2xf32>, %labels: tensor<3xi32>, %inv: tensor<f32>):
      %loss, %count, %lse = train.cross_entropy %logits, %labels, %inv ignore -100
        : tensor<3x2xf32>, tensor<3xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<3xf32>
      train.return %loss, %count, %lse : tensor<f32>, tensor<i32>, tensor<3xf32>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors inputs = {{"logits", reals("tensor<3x2xf32>", {1, 3, 500, -500, 0, 0})},
                         {"labels", integers("tensor<3xi32>", {0, 1, -100})},
                         {"inv", reals("tensor<f32>", {0.5})}};
  NamedTensors outputs = run(interpreter, "f", inputs);
  EXPECT_EQ(outputs["count"].integers.front(), 2);
  EXPECT_FLOAT_EQ(outputs["lse"].reals[0], 3 + std::log1p(std::exp(-2.0)));
  EXPECT_EQ(outputs["lse"].reals[1], 500); // no overflow
  EXPECT_FLOAT_EQ(outputs["loss"].reals[0], 0.5 * (2 + std::log1p(std::exp(-2.0)) + 1000));
  inputs["labels"].integers[0] = 2;
  EXPECT_NE(runError(interpreter, "f", inputs).find("labels[0] is 2; it must be from 0 to 1"), std::string::npos);
}

TEST(Attention, ATokenThatSeesOnlyItselfCopiesItsValue) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 2 inputs ["q", "k", "v", "starts"] outputs ["y"] {
    ^bb0(%q: tensor<2x4xf32>, %k: tensor<2x2xf32>, %v: tensor<2x2xf32>, %starts: tensor<2xi32>):
      %y, %lse = train.attention %q, %k, %v, %starts batch 1 heads 2 kv_heads 1 scale 1.0
        : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2xi32> -> tensor<2x2xf32>
      train.return %y : tensor<2x4xf32>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors inputs = {{"q", normals(typeOf("tensor<2x4xf32>"), "q")},
                         {"k", normals(typeOf("tensor<2x2xf32>"), "k")},
                         {"v", reals("tensor<2x2xf32>", {1, 2, 3, 4})},
                         {"starts", integers("tensor<2xi32>", {0, 1})}};
  EXPECT_EQ(run(interpreter, "f", inputs)["y"].reals, (std::vector<double>{1, 2, 1, 2, 3, 4, 3, 4}));
  inputs["starts"].integers[0] = 1; // later than the token itself
  EXPECT_NE(runError(interpreter, "f", inputs).find("segment_starts[0] is 1"), std::string::npos);
}

TEST(Attention, AWindowHasItsOwnTokenInItAndACapBoundsScores) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 4 inputs ["q", "k", "v", "starts"] outputs ["y", "lse"] {
    ^bb0(%q: tensor<4x1xf32>, %k: tensor<4x1xf32>, %v: tensor<4x1xf32>, %starts: tensor<4xi32>):
      %y, %lse = train.attention %q, %k, %v, %starts batch 1 heads 1 kv_heads 1 scale 2.0 window 2 softcap 5.0
        : tensor<4x1xf32>, tensor<4x1xf32>, tensor<4xi32> -> tensor<4x1xf32>
      train.return %y, %lse : tensor<4x1xf32>, tensor<4x1xf32>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors inputs = {{"q", reals("tensor<4x1xf32>", {0, 0, 0, 1000})},
                         {"k", reals("tensor<4x1xf32>", {1, 1, 1, 1})},
                         {"v", reals("tensor<4x1xf32>", {1, 3, 7, 15})},
                         {"starts", integers("tensor<4xi32>", {0, 0, 0, 0})}};
  NamedTensors outputs = run(interpreter, "f", inputs);
  // Two keys of equal scores: the mean of a token's value and of the one before it.
  EXPECT_EQ(outputs["y"].reals, (std::vector<double>{1, 2, 5, 11}));
  EXPECT_FLOAT_EQ(outputs["lse"].reals[2], std::log(2.0));
  EXPECT_FLOAT_EQ(outputs["lse"].reals[3], 5 + std::log(2.0));
}

TEST(Interpreter, AFusedGroupIsItsOpsOneByOne) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 1 sequence 1 inputs ["x", "y", "w"] outputs ["sum", "norm", "fused_sum", "fused_norm"] {
    ^bb0(%x: tensor<3x4xbf16>, %y: tensor<3x4xbf16>, %w: tensor<4xbf16>):
      %s = train.add %x, %y : tensor<3x4xbf16>
      %n = train.rms_norm %s, %w eps 1.0e-5 : tensor<3x4xbf16>, tensor<4xbf16>
      %fs, %fn = train.fused(%a = %x, %b = %y, %c = %w)
        : (tensor<3x4xbf16>, tensor<3x4xbf16>, tensor<4xbf16>) -> (tensor<3x4xbf16>, tensor<3x4xbf16>) {
        %0 = train.add %a, %b : tensor<3x4xbf16>
        %1 = train.rms_norm %0, %c eps 1.0e-5 : tensor<3x4xbf16>, tensor<4xbf16>
        train.yield %0, %1 : tensor<3x4xbf16>, tensor<3x4xbf16>
      }
      train.return %s, %n, %fs, %fn : tensor<3x4xbf16>, tensor<3x4xbf16>, tensor<3x4xbf16>, tensor<3x4xbf16>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "f",
                             {{"x", normals(typeOf("tensor<3x4xbf16>"), "x")},
                              {"y", normals(typeOf("tensor<3x4xbf16>"), "y")},
                              {"w", normals(typeOf("tensor<4xbf16>"), "w")}});
  EXPECT_TRUE(outputs["sum"].isIdenticalTo(outputs["fused_sum"]));
  EXPECT_TRUE(outputs["norm"].isIdenticalTo(outputs["fused_norm"]));
}

TEST(Interpreter, InitializesVariablesAsTheyAsk) {
  auto module = parse(R"(
    train.variable @a : tensor<40x50xf32> parameter init #train.normal<5.000000e-01> trainable
    train.variable @b : tensor<40x50xf32> parameter init #train.normal<5.000000e-01> trainable
    train.variable @cos : tensor<4x2xf32> constant init #train.rotary<sine = false, headDim = 4, base = 1.000000e+04,
      factor = 1.000000e+00, lowFactor = 1.000000e+00, highFactor = 4.000000e+00, oldContext = 8192>
    train.variable @sin : tensor<4x2xf32> constant init #train.rotary<sine = true, headDim = 4, base = 1.000000e+04,
      factor = 1.000000e+00, lowFactor = 1.000000e+00, highFactor = 4.000000e+00, oldContext = 8192>)");
  TrainInterpreter interpreter(*module);
  interpreter.initialize(3);
  Tensor a = *interpreter.find("a");
  double sum = 0, squares = 0;
  for (double x : a.reals) {
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / a.size(), 0, 0.05);
  EXPECT_NEAR(std::sqrt(squares / a.size()), 0.5, 0.05);
  EXPECT_NE(a.reals, interpreter.find("b")->reals); // the name is part of the stream
  for (int position = 0; position < 4; ++position)
    for (int i = 0; i < 2; ++i) {
      double angle = position * std::pow(1e4, -i / 2.0);
      EXPECT_FLOAT_EQ(interpreter.find("cos")->at(position, i), std::cos(angle));
      EXPECT_FLOAT_EQ(interpreter.find("sin")->at(position, i), std::sin(angle));
    }
  interpreter.initialize(3);
  EXPECT_TRUE(a.isIdenticalTo(*interpreter.find("a")));
  interpreter.initialize(4);
  EXPECT_FALSE(a.isIdenticalTo(*interpreter.find("a")));
}

TEST(Interpreter, RefusesWhatItCannotRun) {
  auto module = parse(sgdModule);
  TrainInterpreter interpreter(*module);
  Tensor g = reals("tensor<3xf32>", {1, 1, 1}), lr = reals("tensor<f32>", {1});
  EXPECT_EQ(runError(interpreter, "train", {}), "the module has no entry 'train'");
  EXPECT_EQ(runError(interpreter, "step", {{"g", g}}), "entry 'step' needs the input 'learning_rate'");
  EXPECT_EQ(runError(interpreter, "step", {{"g", lr}, {"learning_rate", lr}}),
            "input 'g' of entry 'step' is tensor<3xf32>, not tensor<f32>");
  EXPECT_EQ(runError(interpreter, "step", {{"g", g}, {"learning_rate", lr}, {"seed", lr}}),
            "entry 'step' has no input 'seed'");
  EXPECT_EQ(llvm::toString(interpreter.set("u", g)), "the module has no variable 'u'");
  EXPECT_EQ(llvm::toString(interpreter.set("w", lr)), "variable 'w' is tensor<3xf32>, not tensor<f32>");
}

TEST(Interpreter, AFailedRunWritesNothing) {
  auto module = parse(R"(
    train.variable @w : tensor<2x2xf32> parameter init #train.ones trainable
    train.entry @f kind(step) batch 1 sequence 1 inputs ["ids"] outputs ["y"] {
    ^bb0(%ids: tensor<1xi32>):
      %zero = train.constant dense<0.0> : tensor<2x2xf32>
      train.write @w, %zero : tensor<2x2xf32>
      %y = train.embedding %zero, %ids : tensor<2x2xf32>, tensor<1xi32> -> tensor<1x2xf32>
      train.return %y : tensor<1x2xf32>
    })");
  TrainInterpreter interpreter(*module);
  interpreter.initialize(0);
  runError(interpreter, "f", {{"ids", integers("tensor<1xi32>", {2})}});
  EXPECT_EQ(interpreter.find("w")->reals, std::vector<double>(4, 1.0));
  run(interpreter, "f", {{"ids", integers("tensor<1xi32>", {1})}});
  EXPECT_EQ(interpreter.find("w")->reals, std::vector<double>(4, 0.0));
}

// A weight in four bits is the numbers that it decodes to: initial ones, and those that it is given.
TEST(TrainInterpreter, WeightsInFourBits) {
  auto module = parse(R"(
    train.variable @w : tensor<4x32x!train.nf4<bitsandbytes, f32>> parameter init #train.normal<1.0>
    train.entry @e kind(step) batch 1 sequence 2 inputs ["x"] outputs ["y"] {
    ^bb0(%x: tensor<2x32xf32>):
      %w = train.read @w : tensor<4x32x!train.nf4<bitsandbytes, f32>>
      %y = train.matmul %x, %w transpose_b : tensor<2x32xf32>, tensor<4x32x!train.nf4<bitsandbytes, f32>> -> tensor<2x4xf32>
      train.return %y : tensor<2x4xf32>
    })");
  TrainInterpreter interpreter(*module);
  interpreter.initialize(7);
  Tensor source = normals(typeOf("tensor<4x32xf32>"), "w");
  std::vector<float> values(source.reals.begin(), source.reals.end());
  std::vector<uint8_t> codes(64), absmax(2);
  float nested, offset;
  ftc::Nf4Arrays arrays{codes.data(), absmax.data(), &nested, &offset};
  ftc::Nf4Encoder({}, 128, arrays).append(values.data(), 128);
  ftc::nf4Decode({}, arrays, 0, 128, values.data());
  std::vector<double> decoded(values.begin(), values.end());
  EXPECT_EQ(interpreter.find("w")->reals, decoded);
  EXPECT_NE(decoded, source.reals);
  interpreter.initialize(8);
  EXPECT_NE(interpreter.find("w")->reals, decoded);
  EXPECT_FALSE(static_cast<bool>(interpreter.set("w", source)));
  EXPECT_EQ(interpreter.find("w")->reals, decoded);
  Tensor x = normals(typeOf("tensor<2x32xf32>"), "x");
  double sum = 0;
  for (int64_t i = 0; i < 32; ++i)
    sum += x.at(1, i) * decoded[3 * 32 + i];
  EXPECT_NEAR(run(interpreter, "e", {{"x", x}}).at("y").at(1, 3), sum, 1e-6);
}

} // namespace

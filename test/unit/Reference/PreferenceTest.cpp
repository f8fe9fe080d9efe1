//===- PreferenceTest.cpp - Losses of pairs of answers, by hand -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include <cmath>

using namespace ftc;
using namespace ftc::reference;
using namespace ftc::reference::test;

namespace {

TEST(LabelLogProbs, OfTokensAndOfSequences) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 2 sequence 2 inputs ["logits", "labels"] outputs ["p", "lse", "s", "n"] {
    ^bb0(%logits: tensor<4x2xf32>, %labels: tensor<4xi32>):
      %p, %lse = train.label_log_probs %logits, %labels ignore -100 : tensor<4x2xf32>, tensor<4xi32> -> tensor<4xf32>, tensor<4xf32>
      %s, %n = train.sequence_sums %p, %labels batch 2 ignore -100 : tensor<4xf32>, tensor<4xi32> -> tensor<2xf32>
      train.return %p, %lse, %s, %n : tensor<4xf32>, tensor<4xf32>, tensor<2xf32>, tensor<2xf32>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors inputs = {{"logits", reals("tensor<4x2xf32>", {1, 3, 500, -500, 0, 0, 7, 7})},
                         {"labels", integers("tensor<4xi32>", {0, 1, -100, 0})}};
  NamedTensors outputs = run(interpreter, "f", inputs);
  EXPECT_FLOAT_EQ(outputs["p"].reals[0], -2 - std::log1p(std::exp(-2.0)));
  EXPECT_EQ(outputs["p"].reals[1], -1000); // no overflow
  EXPECT_EQ(outputs["p"].reals[2], 0);
  EXPECT_FLOAT_EQ(outputs["s"].reals[0], -1002 - std::log1p(std::exp(-2.0)));
  EXPECT_FLOAT_EQ(outputs["s"].reals[1], -std::log(2.0));
  EXPECT_EQ(outputs["n"].reals, (std::vector<double>{2, 1}));
  inputs["labels"].integers[0] = 2;
  EXPECT_NE(runError(interpreter, "f", inputs).find("labels[0] is 2; it must be from 0 to 1"), std::string::npos);
}

TEST(PreferenceLoss, CountsPairsWithALabelAndKeepsSmallLosses) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 6 sequence 1 inputs ["p", "r", "n", "inv"] outputs ["dpo", "m", "rso", "k", "d"] {
    ^bb0(%p: tensor<6xf32>, %r: tensor<6xf32>, %n: tensor<6xf32>, %inv: tensor<f32>):
      %dpo, %m = train.preference_loss sigmoid %p, %r, %n, %inv beta 0.5 label_smoothing 0.0 : tensor<6xf32>, tensor<f32> -> tensor<i32>
      %rso, %k = train.preference_loss hinge %p, %r, %n, %inv beta 0.5 label_smoothing 0.0 : tensor<6xf32>, tensor<f32> -> tensor<i32>
      %d = train.preference_loss_grad sigmoid %p, %r, %n, %inv, %inv beta 0.5 label_smoothing 0.0 : tensor<6xf32>, tensor<f32>
      train.return %dpo, %m, %rso, %k, %d : tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<6xf32>
    })");
  TrainInterpreter interpreter(*module);
  // Margins of the log-ratios: 3 - 1 = 2; 60; a pair of padding, which would cost log 2.
  NamedTensors outputs = run(interpreter, "f",
                             {{"p", reals("tensor<6xf32>", {-4, -10, 0, -7, -70, 0})},
                              {"r", reals("tensor<6xf32>", {-5, -20, 0, -6, -20, 0})},
                              {"n", reals("tensor<6xf32>", {2, 1, 0, 0, 4, 0})},
                              {"inv", reals("tensor<f32>", {0.5})}});
  EXPECT_EQ(outputs["m"].integers.front(), 2);
  EXPECT_EQ(outputs["k"].integers.front(), 2);
  EXPECT_FLOAT_EQ(outputs["dpo"].reals.front(), 0.5 * (std::log1p(std::exp(-1.0)) + std::log1p(std::exp(-30.0))));
  EXPECT_EQ(outputs["rso"].reals.front(), 0);
  const double slope = 0.5 * 0.5 * 0.5 / (1 + std::exp(1.0));
  EXPECT_FLOAT_EQ(outputs["d"].reals[0], -slope);
  EXPECT_FLOAT_EQ(outputs["d"].reals[3], slope);
  EXPECT_FLOAT_EQ(outputs["d"].reals[1], -0.125 * std::exp(-30.0));
  EXPECT_EQ(outputs["d"].reals[2], 0);
}

} // namespace

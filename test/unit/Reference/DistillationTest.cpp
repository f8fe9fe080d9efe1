//===- DistillationTest.cpp - Losses of a student and its teacher, by hand -===//
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

TEST(DistillationLoss, OfTwoRowsAndOneWithoutALabel) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 3 sequence 1 inputs ["x", "t", "labels", "inv"] outputs ["l", "c", "k", "n", "lse", "tlse", "d"] {
    ^bb0(%x: tensor<3x2xf32>, %t: tensor<3x2xf32>, %labels: tensor<3xi32>, %inv: tensor<f32>):
      %l, %c, %k, %n, %lse, %tlse = train.distillation_loss %x, %t, %labels, %inv ratio 0.25 ignore -100 : tensor<3x2xf32>, tensor<3xi32>, tensor<f32> -> tensor<i32>, tensor<3xf32>
      %d = train.distillation_loss_grad %x, %t, %labels, %lse, %tlse, %inv, %inv ratio 0.25 ignore -100 : tensor<3x2xf32>, tensor<3xi32>, tensor<3xf32>, tensor<f32>
      train.return %l, %c, %k, %n, %lse, %tlse, %d : tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<3xf32>, tensor<3xf32>, tensor<3x2xf32>
    })");
  TrainInterpreter interpreter(*module);
  // Probabilities of the student: 1/4 and 3/4; certainty of the second; of the teacher: halves; 1/5 and 4/5.
  NamedTensors inputs = {{"x", reals("tensor<3x2xf32>", {0, std::log(3.0), -500, 500, 7, 7})},
                         {"t", reals("tensor<3x2xf32>", {2, 2, 0, std::log(4.0), 900, 0})},
                         {"labels", integers("tensor<3xi32>", {1, 1, -100})},
                         {"inv", reals("tensor<f32>", {0.5})}};
  NamedTensors outputs = run(interpreter, "f", inputs);
  const double classes = 0.5 * std::log(4.0 / 3);
  const double kd = 0.5 * (0.5 * std::log(4.0) + 0.5 * std::log(4.0 / 3) + 0.2 * 1000);
  EXPECT_FLOAT_EQ(outputs["c"].reals.front(), classes);
  EXPECT_FLOAT_EQ(outputs["k"].reals.front(), kd);
  EXPECT_FLOAT_EQ(outputs["l"].reals.front(), 0.75 * classes + 0.25 * kd);
  EXPECT_EQ(outputs["n"].integers.front(), 2);
  EXPECT_FLOAT_EQ(outputs["tlse"].reals[0], 2 + std::log(2.0));
  EXPECT_EQ(outputs["tlse"].reals[2], 900); // no overflow
  const std::vector<double> &d = outputs["d"].reals;
  EXPECT_FLOAT_EQ(d[0], 0.25 * (0.25 - 0.25 * 0.5));
  EXPECT_FLOAT_EQ(d[1], 0.25 * (0.75 - 0.75 - 0.25 * 0.5));
  EXPECT_FLOAT_EQ(d[2], 0.25 * (0 - 0.25 * 0.2));
  EXPECT_EQ(d[4], 0);
  EXPECT_EQ(d[5], 0);
  inputs["labels"].integers[0] = 2;
  EXPECT_NE(runError(interpreter, "f", inputs).find("labels[0] is 2; it must be from 0 to 1"), std::string::npos);
}

TEST(DistillationLoss, OfATeacherThatIsTheStudentItsGradientIsTheLabelsShare) {
  auto module = parse(R"(
    train.entry @f kind(evaluate) batch 2 sequence 1 inputs ["x", "labels", "inv"] outputs ["d", "e"] {
    ^bb0(%x: tensor<2x5xf64>, %labels: tensor<2xi32>, %inv: tensor<f64>):
      %p:6 = train.distillation_loss %x, %x, %labels, %inv ratio 0.25 ignore -100 : tensor<2x5xf64>, tensor<2xi32>, tensor<f64> -> tensor<i32>, tensor<2xf64>
      %d = train.distillation_loss_grad %x, %x, %labels, %p#4, %p#5, %inv, %inv ratio 0.25 ignore -100 : tensor<2x5xf64>, tensor<2xi32>, tensor<2xf64>, tensor<f64>
      %e = train.cross_entropy_grad %x, %labels, %p#4, %inv, %inv ignore -100 : tensor<2x5xf64>, tensor<2xi32>, tensor<2xf64>, tensor<f64>, tensor<f64>
      train.return %d, %e : tensor<2x5xf64>, tensor<2x5xf64>
    })");
  TrainInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "f",
                             {{"x", normals(typeOf("tensor<2x5xf64>"), "x")},
                              {"labels", integers("tensor<2xi32>", {4, 0})},
                              {"inv", reals("tensor<f64>", {1})}});
  for (size_t i = 0; i < 10; ++i)
    EXPECT_NEAR(outputs["d"].reals[i], 0.75 * outputs["e"].reals[i], 1e-14);
}

} // namespace

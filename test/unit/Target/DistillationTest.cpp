//===- DistillationTest.cpp - Compiled losses of a student and its teacher --===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

using namespace ftc;
using namespace ftc::test;

namespace {

/// All results of the loss, and the gradient.
void lossAndGradient(const char *type, const char *ratio) {
  std::string text = R"(
    train.entry @step kind(step) batch 2 sequence 3 inputs ["x", "t", "labels", "inv_tokens", "d"] outputs ["l", "c", "k", "n", "lse", "tlse", "dx"] {
    ^bb0(%x: tensor<6x83xE>, %t: tensor<6x83xE>, %labels: tensor<6xi32>, %inv: tensor<f32>, %d: tensor<f32>):
      %l, %c, %k, %n, %lse, %tlse = train.distillation_loss %x, %t, %labels, %inv ratio R ignore -100 : tensor<6x83xE>, tensor<6xi32>, tensor<f32> -> tensor<i32>, tensor<6xf32>
      %dx = train.distillation_loss_grad %x, %t, %labels, %lse, %tlse, %inv, %d ratio R ignore -100 : tensor<6x83xE>, tensor<6xi32>, tensor<6xf32>, tensor<f32>
      train.return %l, %c, %k, %n, %lse, %tlse, %dx : tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<6xf32>, tensor<6xf32>, tensor<6x83xE>
    })";
  for (size_t at = text.find("xE>"); at != std::string::npos; at = text.find("xE>", at))
    text.replace(at + 1, 1, type);
  for (size_t at = text.find("ratio R"); at != std::string::npos; at = text.find("ratio R", at))
    text.replace(at + 6, 1, ratio);
  expectAsInterpreted(text, {{"labels", integers("tensor<6xi32>", {0, 82, -100, 5, -100, 7})}},
                      {.ulps = 16, .scale = 4});
}

TEST(Distillation, LossAndGradient) {
  for (const char *type : {"f32", "bf16"})
    for (const char *ratio : {"0.0", "0.5", "1.0"}) {
      SCOPED_TRACE(std::string(type) + ", ratio " + ratio);
      lossAndGradient(type, ratio);
    }
}

// Kernels keep partial sums of what is read alone.
TEST(Distillation, OneResultOfTheLoss) {
  for (const char *name : {"%l", "%c", "%k"})
    expectAsInterpreted(std::string(R"(
      train.entry @evaluate kind(evaluate) batch 2 sequence 3 inputs ["x", "t", "labels", "inv_tokens"] outputs ["y"] {
      ^bb0(%x: tensor<6x83xf32>, %t: tensor<6x83xf32>, %labels: tensor<6xi32>, %inv: tensor<f32>):
        %l, %c, %k, %n, %lse, %tlse = train.distillation_loss %x, %t, %labels, %inv ratio 0.25 ignore -100 : tensor<6x83xf32>, tensor<6xi32>, tensor<f32> -> tensor<i32>, tensor<6xf32>
        train.return )") + name +
                            " : tensor<f32>\n}",
                        {{"labels", integers("tensor<6xi32>", {0, 82, -100, 5, -100, 7})}}, {.ulps = 16, .scale = 4});
}

} // namespace

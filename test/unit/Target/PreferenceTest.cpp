//===- PreferenceTest.cpp - Compiled losses of pairs of answers -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

using namespace ftc;
using namespace ftc::test;

namespace {

reference::Tensor reals(llvm::StringRef type, const std::vector<double> &values) {
  reference::Tensor tensor = integers(type, {});
  for (size_t i = 0; i < values.size(); ++i)
    tensor.set(static_cast<int64_t>(i), static_cast<float>(values[i]));
  return tensor;
}

TEST(Preference, LogProbabilitiesOfAnswers) {
  for (const char *type : {"f32", "bf16"}) {
    std::string text = R"(
      train.entry @step kind(step) batch 2 sequence 3 inputs ["x", "labels", "d"] outputs ["s", "n", "p", "lse", "dx"] {
      ^bb0(%x: tensor<6x83xE>, %labels: tensor<6xi32>, %d: tensor<2xf32>):
        %p, %lse = train.label_log_probs %x, %labels ignore -100 : tensor<6x83xE>, tensor<6xi32> -> tensor<6xf32>, tensor<6xf32>
        %s, %n = train.sequence_sums %p, %labels batch 2 ignore -100 : tensor<6xf32>, tensor<6xi32> -> tensor<2xf32>
        %g = train.sequence_spread %d : tensor<2xf32> -> tensor<6xf32>
        %dx = train.label_log_probs_grad %x, %labels, %lse, %g ignore -100 : tensor<6x83xE>, tensor<6xi32>, tensor<6xf32>, tensor<6xf32>
        train.return %s, %n, %p, %lse, %dx : tensor<2xf32>, tensor<2xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6x83xE>
      })";
    for (size_t at = text.find("xE>"); at != std::string::npos; at = text.find("xE>", at))
      text.replace(at + 1, 1, type);
    expectAsInterpreted(text, {{"labels", integers("tensor<6xi32>", {0, 82, -100, 5, -100, -100})}},
                        {.ulps = 16, .scale = 4});
  }
}

// Margins of 1, 30 and -30: a loss of 1e-13, alone, has its digits, and one of 30 does not overflow. A pair of padding
// is left out. With smoothing a gradient is the difference of two terms.
void lossOfPairs(const std::vector<double> &counts) {
  const reference::NamedTensors inputs = {{"p", reals("tensor<8xf32>", {-4, -10, 0, -90, -7, -70, 0, -30})},
                                          {"r", reals("tensor<8xf32>", {-5, -20, 0, -30, -6, -20, 0, -30})},
                                          {"n", reals("tensor<8xf32>", counts)}};
  for (const char *kind : {"sigmoid", "hinge"})
    for (const char *smoothing : {"0.0", "0.25"}) {
      if (kind == std::string("hinge") && smoothing != std::string("0.0"))
        continue;
      std::string numbers = std::string(" beta 0.5 label_smoothing ") + smoothing + " : tensor<8xf32>, tensor<f32>";
      expectAsInterpreted(std::string(R"(
        train.entry @step kind(step) batch 8 sequence 1 inputs ["p", "r", "n", "inv_tokens", "d"] outputs ["l", "m", "g"] {
        ^bb0(%p: tensor<8xf32>, %r: tensor<8xf32>, %n: tensor<8xf32>, %inv: tensor<f32>, %d: tensor<f32>):
          %l, %m = train.preference_loss )") +
                              kind + " %p, %r, %n, %inv" + numbers + R"( -> tensor<i32>
          %g = train.preference_loss_grad )" +
                              kind + " %p, %r, %n, %inv, %d" + numbers + R"(
          train.return %l, %m, %g : tensor<f32>, tensor<i32>, tensor<8xf32>
        })",
                          inputs, {.ulps = 8, .scale = smoothing == std::string("0.0") ? 0 : 0.05});
    }
}

TEST(Preference, LossOfPairs) {
  lossOfPairs({2, 1, 0, 9, 0, 4, 0, 3});
  lossOfPairs({0, 1, 0, 0, 0, 0, 0, 0});
}

} // namespace

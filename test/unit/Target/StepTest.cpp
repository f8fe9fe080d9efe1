//===- StepTest.cpp - The C ABI of a compiled step, and real kernels ---------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

#include "ftc/Target/TargetBackend.h"

#include "mlir/Parser/Parser.h"

#include <cfloat>
#include <cmath>

using namespace ftc;
using namespace ftc::test;

namespace {

const char *copyScalar = R"(
  plan.kernel @k {
  ^bb0(%a: memref<f32>, %n: memref<i64>, %b: memref<f32>):
    plan.rows 1 per_task 1 parallel {
    ^bb0(%r: index):
      %0 = plan.load %a[] : memref<f32> -> f32
      %1 = plan.load %n[] : memref<i64> -> i64
      %2 = arith.sitofp %1 : i64 to f32
      %3 = arith.mulf %0, %2 : f32
      plan.store %3, %b[] : f32, memref<f32>
    }
  }
  plan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {
    %a = plan.input "inv_tokens" : memref<f32>
    %n = plan.input "position" : memref<i64>
    %b = plan.alloc "b" : memref<f32>
    plan.launch @k(%a, %n, %b) "k" : memref<f32>, memref<i64>, memref<f32>
    plan.output "b", %b : memref<f32>
  }
)";

TEST(Step, ScalarsReachTheirPlaces) { expectAsInterpreted(copyScalar); }

TEST(Step, RefusesOtherServices) {
  auto module = parsePlan(copyScalar);
  ASSERT_TRUE(module);
  CompiledPlan compiled(*module, "x86-64-v3", /*threads=*/3);
  ASSERT_TRUE(compiled.ok());
  ftrt_scalars scalars{};
  ftrt_services good = services(3);
  EXPECT_EQ(compiled.call(0, good, scalars), FTRT_OK);
  ftrt_services bad = good;
  bad.abi_version = FTRT_ABI_VERSION + 1;
  EXPECT_EQ(compiled.call(0, bad, scalars), FTRT_BAD_ABI);
  bad = good;
  bad.size -= 8;
  EXPECT_EQ(compiled.call(0, bad, scalars), FTRT_BAD_ABI);
  bad = good;
  bad.threads = 0;
  EXPECT_EQ(compiled.call(0, bad, scalars), FTRT_BAD_THREADS);
  bad.threads = 4;
  EXPECT_EQ(compiled.call(0, bad, scalars), FTRT_BAD_THREADS);
}

TEST(Step, SameInputSameBytes) {
  auto module = parsePlan(copyScalar);
  ASSERT_TRUE(module);
  CompiledPlan first(*module, "x86-64-v3"), second(*module, "x86-64-v3");
  EXPECT_EQ(first.bytes(), second.bytes());
  EXPECT_EQ(first.bytes().find("/tmp"), std::string::npos);
}

TEST(Step, UnknownCpus) {
  std::string error;
  EXPECT_FALSE(createCpuBackend("znver33", 2, error));
  EXPECT_NE(error.find("did you mean 'znver3'?"), std::string::npos) << error;
  EXPECT_FALSE(createCpuBackend("core2", 2, error));
  EXPECT_NE(error.find("x86-64-v3"), std::string::npos) << error;
  EXPECT_FALSE(createCpuBackend("x86-64-v3", 0, error));
  EXPECT_NE(error.find("0 threads"), std::string::npos) << error;
  for (const char *cpu : {"native", "x86-64-v3", "x86-64-v4", "znver3", "znver5", "sapphirerapids", "haswell"})
    EXPECT_TRUE(createCpuBackend(cpu, 2, error)) << cpu << ": " << error;
}

// Whole train ops, as TrainToPlan writes them.

class Kernels : public testing::TestWithParam<const char *> {
protected:
  /// `text` with E replaced by the element type.
  std::string typed(std::string text) {
    for (size_t at = text.find("xE>"); at != std::string::npos; at = text.find("xE>", at))
      text.replace(at + 1, 1, GetParam());
    return text;
  }
};
INSTANTIATE_TEST_SUITE_P(Types, Kernels, testing::Values("f32", "bf16"));

TEST_P(Kernels, AdamW) {
  reference::Tensor v = numbers(mlir::MemRefType::get({9, 70}, mlir::Float32Type::get(&context())), "v");
  for (double &element : v.reals)
    element = element * element;
  for (int64_t i = 0; i < v.size(); ++i)
    v.set(i, static_cast<float>(v.reals[i]));
  reference::NamedTensors inputs{{"step", integers("tensor<i64>", {3})}};
  if (GetParam() == std::string("f32"))
    inputs["v"] = v;
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 1 sequence 1 inputs ["p", "g", "m", "v", "learning_rate", "step", "s"]
        outputs ["p1", "m1", "v1"] {
    ^bb0(%p: tensor<9x70xE>, %g: tensor<9x70xE>, %m: tensor<9x70xE>, %v: tensor<9x70xE>, %lr: tensor<f32>,
         %step: tensor<i64>, %s: tensor<f32>):
      %p1, %m1, %v1 = train.adamw %p, %g, %m, %v, %lr, %step, %s
        with <weightDecay = 0.01, beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8>
        : tensor<9x70xE>, tensor<9x70xE>, tensor<f32>, tensor<i64>, tensor<f32>
      train.return %p1, %m1, %v1 : tensor<9x70xE>, tensor<9x70xE>, tensor<9x70xE>
    }
  )"),
                      inputs);
}

TEST_P(Kernels, SgdUpdatesInPlace) {
  expectAsInterpreted(typed(R"(
    train.variable @w : tensor<9x70xE> parameter init #train.ones trainable
    train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate", "s"] outputs [] {
    ^bb0(%g: tensor<9x70xE>, %lr: tensor<f32>, %s: tensor<f32>):
      %w = train.read @w : tensor<9x70xE>
      %w1 = train.sgd %w, %g, %lr, %s with <weightDecay = 0.1> : tensor<9x70xE>, tensor<f32>, tensor<f32>
      train.write @w, %w1 : tensor<9x70xE>
      train.return
    }
  )"));
}

TEST_P(Kernels, SgdWithMomentum) {
  for (int64_t step : {1, 2})
    for (const char *nesterov : {"dampening = 0.25, nesterov = false", "dampening = 0.0, nesterov = true"})
      expectAsInterpreted(typed(std::string(R"(
    train.variable @w : tensor<9x70xE> parameter init #train.ones trainable
    train.variable @b : tensor<9x70xbf16> state init #train.zeros
    train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate", "step", "s"] outputs [] {
    ^bb0(%g: tensor<9x70xE>, %lr: tensor<f32>, %step: tensor<i64>, %s: tensor<f32>):
      %w = train.read @w : tensor<9x70xE>
      %b = train.read @b : tensor<9x70xbf16>
      %w1, %b1 = train.sgd_momentum %w, %g, %b, %lr, %step, %s with <weightDecay = 0.1, momentum = 0.9, )") +
                                nesterov +
                                R"(> : tensor<9x70xE>, tensor<9x70xbf16>, tensor<f32>, tensor<i64>, tensor<f32>
      train.write @w, %w1 : tensor<9x70xE>
      train.write @b, %b1 : tensor<9x70xbf16>
      train.return
    }
  )"),
                          {{"step", integers("tensor<i64>", {step})}});
}

TEST(Step, MasterWeightsStartAsTheParameter) {
  for (int64_t step : {1, 2})
    expectAsInterpreted(R"(
    train.variable @w : tensor<9x70xbf16> parameter init #train.ones trainable
    train.variable @w.master : tensor<9x70xf32> state init #train.zeros
    train.entry @step kind(step) batch 1 sequence 1 inputs ["g", "learning_rate", "step", "s"] outputs [] {
    ^bb0(%g: tensor<9x70xbf16>, %lr: tensor<f32>, %step: tensor<i64>, %s: tensor<f32>):
      %w = train.read @w : tensor<9x70xbf16>
      %kept = train.read @w.master : tensor<9x70xf32>
      %wide = train.cast %w : tensor<9x70xbf16> to tensor<9x70xf32>
      %gradient = train.cast %g : tensor<9x70xbf16> to tensor<9x70xf32>
      %master = train.first_step %wide, %kept at %step : tensor<9x70xf32>, tensor<i64>
      %new = train.sgd %master, %gradient, %lr, %s with <weightDecay = 0.1> : tensor<9x70xf32>, tensor<f32>, tensor<f32>
      train.write @w.master, %new : tensor<9x70xf32>
      %w1 = train.cast %new : tensor<9x70xf32> to tensor<9x70xbf16>
      train.write @w, %w1 : tensor<9x70xbf16>
      train.return
    }
  )",
                        {{"step", integers("tensor<i64>", {step})}});
}

// Compiled, in the plan's interpreter and in the train interpreter: three texts of the random bits, one result.
TEST(Step, StochasticRounding) {
  const char *text = R"(
    train.entry @step kind(step) batch 1 sequence 1 inputs ["x", "v", "seed", "step"] outputs ["y", "z"] {
    ^bb0(%x: tensor<9x77xf32>, %v: tensor<3xf32>, %seed: tensor<i64>, %step: tensor<i64>):
      %y = train.stochastic_round %x, %seed, %step stream -6146120467014337905
        : tensor<9x77xf32>, tensor<i64>, tensor<i64> -> tensor<9x77xbf16>
      %z = train.stochastic_round %v, %seed, %step stream 7 : tensor<3xf32>, tensor<i64>, tensor<i64> -> tensor<3xbf16>
      train.return %y, %z : tensor<9x77xbf16>, tensor<3xbf16>
    }
  )";
  reference::NamedTensors inputs{
      {"x", numbers(mlir::MemRefType::get({9, 77}, mlir::Float32Type::get(&context())), "x")},
      {"v", numbers(mlir::MemRefType::get({3}, mlir::Float32Type::get(&context())), "v")},
      {"seed", integers("tensor<i64>", {-3})},
      {"step", integers("tensor<i64>", {12345678901})}};
  inputs["v"].reals = {INFINITY, NAN, -FLT_MAX};
  expectAsInterpreted(text, inputs);

  auto train = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
  ASSERT_TRUE(train);
  auto direct = reference::TrainInterpreter(*train).run("step", inputs);
  ASSERT_TRUE(static_cast<bool>(direct)) << llvm::toString(direct.takeError());
  auto plan = parsePlan(text);
  ASSERT_TRUE(plan);
  auto planned = reference::PlanInterpreter(*plan).run("step", inputs);
  ASSERT_TRUE(static_cast<bool>(planned)) << llvm::toString(planned.takeError());
  for (const char *name : {"y", "z"})
    EXPECT_TRUE((*direct)[name].isIdenticalTo((*planned)[name])) << name;
}

TEST_P(Kernels, RmsNormAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "w", "d"] outputs ["y", "dx", "dw"] {
    ^bb0(%x: tensor<18x72xE>, %w: tensor<72xE>, %d: tensor<18x72xE>):
      %y = train.rms_norm %x, %w eps 1.0e-5 : tensor<18x72xE>, tensor<72xE>
      %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-5 : tensor<18x72xE>, tensor<72xE>
      train.return %y, %dx, %dw : tensor<18x72xE>, tensor<18x72xE>, tensor<72xE>
    }
  )"));
}

TEST_P(Kernels, ScaledColumnsAndTheirGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "f", "d", "m"] outputs ["y", "dx", "df", "p"] {
    ^bb0(%x: tensor<18x72xE>, %f: tensor<72xf32>, %d: tensor<18x72xE>, %m: tensor<72xf32>):
      %y = train.scale_columns %x by %f : tensor<18x72xE>, tensor<72xf32>
      %dx, %df = train.scale_columns_grad %x, %f, %d : tensor<18x72xE>, tensor<72xf32>
      %p = train.multiply %f, %m : tensor<72xf32>
      train.return %y, %dx, %df, %p : tensor<18x72xE>, tensor<18x72xE>, tensor<72xf32>, tensor<72xf32>
    }
  )"));
}

// Widths of heads: a vector and more, and none of whole vectors.
TEST_P(Kernels, NormsOfHeadsAndTheirGradients) {
  for (const char *columns : {"18", "8"}) {
    std::string text = typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "w", "d"] outputs ["y", "dx", "dw"] {
    ^bb0(%x: tensor<18x72xE>, %w: tensor<WxE>, %d: tensor<18x72xE>):
      %y = train.rms_norm %x, %w eps 1.0e-6 : tensor<18x72xE>, tensor<WxE>
      %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-6 : tensor<18x72xE>, tensor<WxE>
      train.return %y, %dx, %dw : tensor<18x72xE>, tensor<18x72xE>, tensor<WxE>
    }
  )");
    for (size_t at; (at = text.find("<Wx")) != text.npos;)
      text.replace(at + 1, 1, columns);
    expectAsInterpreted(text);
  }
}

TEST_P(Kernels, BiasAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "b", "d"] outputs ["y", "db"] {
    ^bb0(%x: tensor<18x72xE>, %b: tensor<72xE>, %d: tensor<18x72xE>):
      %y = train.add_bias %x, %b : tensor<18x72xE>, tensor<72xE>
      %db = train.column_sums %d : tensor<18x72xE> -> tensor<72xE>
      train.return %y, %db : tensor<18x72xE>, tensor<72xE>
    }
  )"));
}

// Far from the point where the squares that are added up would be negative.
TEST_P(Kernels, InverseNormOfAnAdaptedWeight) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 1 sequence 9 inputs ["n", "b", "p", "q"] outputs ["y"] {
    ^bb0(%n: tensor<35xf32>, %b: tensor<35x3xE>, %p: tensor<3x35xf32>, %q: tensor<35x3xf32>):
      %far = train.constant dense<1.0e2> : tensor<35xf32>
      %base = train.add %n, %far : tensor<35xf32>
      %y = train.inverse_norm %base, %b, %p, %q scale 1.5
        : tensor<35xf32>, tensor<35x3xE>, tensor<3x35xf32>, tensor<35x3xf32>
      train.return %y : tensor<35xf32>
    }
  )"));
}

TEST_P(Kernels, SwiGLUAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["g", "u", "d"] outputs ["y", "dg", "du"] {
    ^bb0(%g: tensor<18x72xE>, %u: tensor<18x72xE>, %d: tensor<18x72xE>):
      %y = train.swiglu %g, %u : tensor<18x72xE>
      %dg, %du = train.swiglu_grad %g, %u, %d : tensor<18x72xE>
      train.return %y, %dg, %du : tensor<18x72xE>, tensor<18x72xE>, tensor<18x72xE>
    }
  )"),
                      {}, {.ulps = 8, .scale = 1});
}

TEST_P(Kernels, GeGLUAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["g", "u", "d"] outputs ["y", "dg", "du"] {
    ^bb0(%g: tensor<18x72xE>, %u: tensor<18x72xE>, %d: tensor<18x72xE>):
      %y = train.geglu %g, %u : tensor<18x72xE>
      %dg, %du = train.geglu_grad %g, %u, %d : tensor<18x72xE>
      train.return %y, %dg, %du : tensor<18x72xE>, tensor<18x72xE>, tensor<18x72xE>
    }
  )"),
                      {}, {.ulps = 8, .scale = 1});
}

// The capped numbers are of the size of the cap, and where the gradient vanishes its error does not.
TEST_P(Kernels, SoftcapAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "d"] outputs ["y", "dx"] {
    ^bb0(%x: tensor<18x72xE>, %d: tensor<18x72xE>):
      %y = train.softcap %x cap 1.5 : tensor<18x72xE>
      %dx = train.softcap_grad %y, %d cap 1.5 : tensor<18x72xE>
      train.return %y, %dx : tensor<18x72xE>, tensor<18x72xE>
    }
  )"),
                      {}, {.ulps = 8, .scale = 1});
}

TEST_P(Kernels, ZeroCenteredNormAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 2 sequence 9 inputs ["x", "w", "d"] outputs ["y", "dx", "dw"] {
    ^bb0(%x: tensor<18x72xE>, %w: tensor<72xE>, %d: tensor<18x72xE>):
      %y = train.rms_norm %x, %w eps 1.0e-6 zero_centered : tensor<18x72xE>, tensor<72xE>
      %dx, %dw = train.rms_norm_grad %x, %w, %d eps 1.0e-6 zero_centered : tensor<18x72xE>, tensor<72xE>
      train.return %y, %dx, %dw : tensor<18x72xE>, tensor<18x72xE>, tensor<72xE>
    }
  )"));
}

TEST_P(Kernels, CrossEntropyAndItsGradient) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 1 sequence 6 inputs ["x", "labels", "inv_tokens", "d"]
        outputs ["loss", "count", "lse", "dx"] {
    ^bb0(%x: tensor<6x83xE>, %labels: tensor<6xi32>, %inv: tensor<f32>, %d: tensor<f32>):
      %loss, %count, %lse = train.cross_entropy %x, %labels, %inv ignore -100
        : tensor<6x83xE>, tensor<6xi32>, tensor<f32> -> tensor<f32>, tensor<i32>, tensor<6xf32>
      %dx = train.cross_entropy_grad %x, %labels, %lse, %inv, %d ignore -100
        : tensor<6x83xE>, tensor<6xi32>, tensor<6xf32>, tensor<f32>, tensor<f32>
      train.return %loss, %count, %lse, %dx : tensor<f32>, tensor<i32>, tensor<6xf32>, tensor<6x83xE>
    }
  )"),
                      {{"labels", integers("tensor<6xi32>", {0, 82, -100, 5, 5, -100})}}, {.ulps = 16, .scale = 4});
}

TEST_P(Kernels, EmbeddingRotaryAndNorm) {
  expectAsInterpreted(typed(R"(
    train.entry @step kind(step) batch 1 sequence 6 inputs ["table", "ids", "positions", "cos", "sin", "zero"]
        outputs ["x", "y", "dt", "norm", "factor"] {
    ^bb0(%table: tensor<4x64xE>, %ids: tensor<6xi32>, %pos: tensor<6xi32>, %cos: tensor<4x8xf32>, %sin: tensor<4x8xf32>,
         %zero: tensor<f32>):
      %x = train.embedding %table, %ids : tensor<4x64xE>, tensor<6xi32> -> tensor<6x64xE>
      %y = train.rotary %x, %pos, %cos, %sin head_dim 16 : tensor<6x64xE>, tensor<6xi32>, tensor<4x8xf32>, tensor<4x8xf32>
      %dt = train.embedding_grad %ids, %y : tensor<6xi32>, tensor<6x64xE> -> tensor<4x64xE>
      %q = train.scale %zero by %zero : tensor<f32>, tensor<f32>
      %s = train.sum_squares %dt onto %q : tensor<4x64xE>, tensor<f32> -> tensor<f32>
      %norm, %factor = train.clip_factor %s max_norm 1.0 : tensor<f32> -> tensor<f32>, tensor<f32>
      train.return %x, %y, %dt, %norm, %factor : tensor<6x64xE>, tensor<6x64xE>, tensor<4x64xE>, tensor<f32>, tensor<f32>
    }
  )"));
}

/// A token that is in every other of 600 rows, as a space of text, and one that no row has a gradient for, as padding.
TEST(EmbeddingGradient, RoundsTheSumOfAFrequentTokenOnce) {
  auto module = parsePlan(R"(
    train.entry @step kind(step) batch 1 sequence 600 inputs ["ids", "d", "base"] outputs ["table"] {
    ^bb0(%ids: tensor<600xi32>, %d: tensor<600x40xbf16>, %base: tensor<9x40xbf16>):
      %table = train.embedding_grad %ids, %d onto %base
        : tensor<9x40xbf16>, tensor<600xi32>, tensor<600x40xbf16> -> tensor<9x40xbf16>
      train.return %table : tensor<9x40xbf16>
    }
  )");
  ASSERT_TRUE(module);
  mlir::Type i32 = mlir::IntegerType::get(&context(), 32), bf16 = mlir::BFloat16Type::get(&context());
  reference::Tensor ids = numbers(mlir::RankedTensorType::get({600}, i32), "ids", 7);
  reference::Tensor d = numbers(mlir::RankedTensorType::get({600, 40}, bf16), "d");
  reference::Tensor base = numbers(mlir::RankedTensorType::get({9, 40}, bf16), "base");
  for (int64_t row = 0; row < 600; ++row) {
    if (row % 2)
      ids.integers[row] = 7;
    else if (row % 10 == 0) // its gradient is zero, or one of either sign
      ids.integers[row] = 8;
    for (int64_t c = 0; c < 40; ++c) // all of one sign, so that partial sums outgrow what is added
      d.set(row, c, ids.integers[row] == 8 ? (row % 20 ? -0.0 : 0.0) : std::abs(d.at(row, c)));
  }
  base.set(8, 3, -0.0);
  CompiledPlan compiled(*module, "x86-64-v3");
  ASSERT_TRUE(compiled.ok());
  reference::Tensor table = compiled.run("step", {{"ids", ids}, {"d", d}, {"base", base}}, 2)["table"];
  std::vector<double> exact = base.reals;
  for (int64_t row = 0; row < 600; ++row)
    for (int64_t c = 0; c < 40; ++c)
      exact[ids.integers[row] * 40 + c] += d.at(row, c);
  for (int64_t i = 0; i < 9 * 40; ++i)
    EXPECT_LE(std::abs(table.reals[i] - exact[i]), 0x1.01p-8 * std::abs(exact[i])) << "element " << i;
  // Padding adds nothing at all, not even a zero to a negative zero.
  EXPECT_TRUE(std::signbit(table.at(8, 3)));
}

} // namespace

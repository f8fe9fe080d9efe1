//===- MathTest.cpp - exp, tanh, log and bf16 rounding of generated code -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompiledPlan.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

using namespace ftc;
using namespace ftc::test;

namespace {

constexpr int64_t count = 1 << 16;

/// out[i] = op(x[i]) over 65536 values, as vectors, with a tail; or then(op(x[i])), with %1 what `op` gives.
std::string unary(const std::string &op, const std::string &result = "f32", const std::string &then = "") {
  return R"(
    plan.kernel @k {
    ^bb0(%x: memref<16x4096xf32>, %out: memref<16x4096x)" +
         result + R"(>):
      plan.rows 16 per_task 4 parallel {
      ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<16x4096xf32> -> tensor<4096xf32>
        %one = arith.constant dense<1.0> : tensor<4096xf32>
        %minus = arith.negf %0 : tensor<4096xf32>
        %1 = )" +
         op + (then.empty() ? "" : "\n        %2 = " + then) + R"(
        plan.store )" +
         (then.empty() ? "%1" : "%2") + R"(, %out[%r] : tensor<4096x)" + result + R"(>, memref<16x4096x)" + result +
         R"(>
      }
    }
    plan.entry @step kind(step) batch 1 sequence 16 flops 0.0 {
      %x = plan.input "x" : memref<16x4096xf32>
      %out = plan.alloc "out" : memref<16x4096x)" +
         result + R"(>
      plan.launch @k(%x, %out) "k" : memref<16x4096xf32>, memref<16x4096x)" +
         result + R"(>
      plan.output "out", %out : memref<16x4096x)" +
         result + R"(>
    }
  )";
}

/// A compiled function of 65536 values at once.
class Function {
public:
  Function(const std::string &text, const char *cpu) : module(parsePlan(text)), compiled(*module, cpu) {
    input = numbers(mlir::MemRefType::get({16, 4096}, mlir::Float32Type::get(&context())), "x");
  }
  std::vector<double> operator()(const std::vector<float> &values) {
    for (int64_t i = 0; i < count; ++i)
      input.reals[i] = values[i % values.size()];
    return compiled.run("step", {{"x", input}}, 2)["out"].reals;
  }

private:
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CompiledPlan compiled;
  reference::Tensor input;
};

/// Distance of `actual` from `exact` in units in the last place of a float near `exact`.
double ulps(double actual, double exact) {
  int exponent;
  std::frexp(exact, &exponent);
  double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(actual - exact) / ulp;
}

class Math : public testing::TestWithParam<const char *> {};
INSTANTIATE_TEST_SUITE_P(Cpu, Math, testing::Values("x86-64-v3", "native"));

TEST_P(Math, ExpIsWithinOneUlp) {
  Function exp(unary("math.exp %0 : tensor<4096xf32>"), GetParam());
  std::mt19937 random(1);
  std::uniform_real_distribution<float> wide(-87.0f, 88.7f), near(-1.0f, 1.0f);
  double worst = 0;
  for (int round = 0; round < 8; ++round) {
    std::vector<float> values(count);
    for (float &value : values)
      value = round % 2 ? wide(random) : near(random);
    std::vector<double> results = exp(values);
    for (int64_t i = 0; i < count; ++i)
      worst = std::max(worst, ulps(results[i], std::exp(static_cast<double>(values[i]))));
  }
  EXPECT_LT(worst, 1.0);
  RecordProperty("worst_ulps", std::to_string(worst));
  std::printf("exp on %s: %.3f ulp\n", GetParam(), worst);
}

TEST_P(Math, ExpAtTheEnds) {
  Function exp(unary("math.exp %0 : tensor<4096xf32>"), GetParam());
  float inf = INFINITY, nan = NAN;
  std::vector<float> values{0.0f,  -0.0f, inf,    -inf,    nan,     88.72f, 88.73f,
                            89.5f, 1e30f, -1e30f, -104.1f, -150.0f, 1e-30f};
  std::vector<double> results = exp(values);
  EXPECT_EQ(results[0], 1.0);
  EXPECT_EQ(results[1], 1.0);
  EXPECT_EQ(results[2], inf);
  EXPECT_EQ(results[3], 0.0);
  EXPECT_TRUE(std::isnan(results[4]));
  EXPECT_LT(ulps(results[5], std::exp(static_cast<double>(88.72f))), 1.0);
  EXPECT_EQ(results[6], inf);
  EXPECT_EQ(results[7], inf);
  EXPECT_EQ(results[8], inf);
  EXPECT_EQ(results[9], 0.0);
  EXPECT_EQ(results[10], 0.0);
  EXPECT_EQ(results[11], 0.0);
  EXPECT_EQ(results[12], 1.0);
  // Denormal results: at most one unit of the smallest number away.
  std::vector<float> small;
  for (float x = -104.0f; x < -87.0f; x += 0.001f)
    small.push_back(x);
  results = exp(small);
  for (size_t i = 0; i < small.size(); ++i)
    ASSERT_LE(ulps(results[i], std::exp(static_cast<double>(small[i]))), 1.0) << small[i];
}

// Beside 1 what is below 2^-126 vanishes, and the expansion of such a sum uses it; its ends must be the same.
TEST_P(Math, ExpPlusAConstantAtTheEndsAndBetween) {
  float payload = std::bit_cast<float>(0x7FC00155u), negative = std::bit_cast<float>(0xFFC001FFu);
  std::vector<float> values{0.0f, -0.0f, INFINITY, -INFINITY, NAN, payload, negative, 1e30f, -1e30f, -150.0f, 89.0f};
  for (float x = 88.0f; x < 89.0f; x += 0.001f)
    values.push_back(x);
  for (float x = -110.0f; x < 88.0f; x += 0.0033f)
    values.push_back(x);
  ASSERT_LE(values.size(), static_cast<size_t>(count));
  const char *sum = "arith.addf %1, %one : tensor<4096xf32>";
  Function plus(unary("math.exp %0 : tensor<4096xf32>", "f32", sum), GetParam());
  Function minus(unary("math.exp %minus : tensor<4096xf32>", "f32", sum), GetParam());
  std::vector<double> up = plus(values), down = minus(values);
  double worst = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    for (auto [x, result] : {std::pair<double, double>(values[i], up[i]), {-values[i], down[i]}}) {
      double exact = 1 + std::exp(x);
      if (std::isnan(x))
        ASSERT_TRUE(std::isnan(result)) << i;
      else if (exact > std::numeric_limits<float>::max())
        ASSERT_EQ(result, INFINITY) << x;
      else
        worst = std::max(worst, ulps(result, exact));
    }
  }
  EXPECT_LT(worst, 1.5);
  std::printf("1 + exp on %s: %.3f ulp\n", GetParam(), worst);
}

TEST_P(Math, TanhIsWithinThreeUlps) {
  Function tanh(unary("math.tanh %0 : tensor<4096xf32>"), GetParam());
  std::mt19937 random(4);
  std::uniform_real_distribution<float> wide(-12.0f, 12.0f), near(-1.0f, 1.0f), exponent(-149.0f, 0.0f);
  double worst = 0;
  for (int round = 0; round < 9; ++round) {
    std::vector<float> values(count);
    for (float &value : values)
      value = round % 3 == 0   ? wide(random)
              : round % 3 == 1 ? near(random)
                               : near(random) * std::exp2(exponent(random)); // small ones, where it is the identity
    std::vector<double> results = tanh(values);
    for (int64_t i = 0; i < count; ++i)
      worst = std::max(worst, ulps(results[i], std::tanh(static_cast<double>(values[i]))));
  }
  EXPECT_LT(worst, 3.0);
  std::printf("tanh on %s: %.3f ulp\n", GetParam(), worst);
}

TEST_P(Math, TanhAtTheEnds) {
  Function tanh(unary("math.tanh %0 : tensor<4096xf32>"), GetParam());
  std::vector<double> results = tanh({0.0f, -0.0f, INFINITY, -INFINITY, NAN, 9.5f, -9.5f, 3e38f, -3e38f, 1e-45f});
  EXPECT_EQ(results[0], 0.0);
  EXPECT_EQ(results[1], 0.0);
  for (size_t i : {2, 5, 7})
    EXPECT_EQ(results[i], 1.0) << i;
  for (size_t i : {3, 6, 8})
    EXPECT_EQ(results[i], -1.0) << i;
  EXPECT_TRUE(std::isnan(results[4]));
  EXPECT_EQ(results[9], static_cast<double>(1e-45f));
}

TEST_P(Math, LogIsWithinOneUlp) {
  Function log(unary("math.log %0 : tensor<4096xf32>"), GetParam());
  std::mt19937 random(2);
  std::uniform_real_distribution<float> nearOne(0.5f, 2.0f);
  double worst = 0;
  for (int round = 0; round < 8; ++round) {
    std::vector<float> values(count);
    for (float &value : values) {
      // Positive finite bit patterns, denormal ones too.
      value = round % 2 ? nearOne(random) : std::bit_cast<float>(static_cast<uint32_t>(random() % 0x7F800000u));
      if (value == 0)
        value = 1;
    }
    std::vector<double> results = log(values);
    for (int64_t i = 0; i < count; ++i)
      worst = std::max(worst, ulps(results[i], std::log(static_cast<double>(values[i]))));
  }
  EXPECT_LT(worst, 0.51);
  std::printf("log on %s: %.3f ulp\n", GetParam(), worst);
}

TEST_P(Math, LogAtTheEnds) {
  Function log(unary("math.log %0 : tensor<4096xf32>"), GetParam());
  std::vector<double> results = log({0.0f, -0.0f, 1.0f, INFINITY, NAN, -1.0f, -INFINITY});
  EXPECT_EQ(results[0], -INFINITY);
  EXPECT_EQ(results[1], -INFINITY);
  EXPECT_EQ(results[2], 0.0);
  EXPECT_EQ(results[3], INFINITY);
  EXPECT_TRUE(std::isnan(results[4]));
  EXPECT_TRUE(std::isnan(results[5]));
  EXPECT_TRUE(std::isnan(results[6]));
}

TEST_P(Math, RootsAreExact) {
  Function root(unary("math.rsqrt %0 : tensor<4096xf32>"), GetParam());
  std::vector<float> values;
  std::mt19937 random(3);
  for (int64_t i = 0; i < count; ++i)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random() % 0x7F000000u + 0x00800000u)));
  std::vector<double> results = root(values);
  for (int64_t i = 0; i < count; ++i)
    ASSERT_EQ(static_cast<float>(results[i]), 1.0f / std::sqrt(values[i]));
}

TEST_P(Math, Bf16RoundsToNearestEven) {
  Function round(unary("arith.truncf %0 : tensor<4096xf32> to tensor<4096xbf16>", "bf16"), GetParam());
  std::mt19937 random(4);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    auto bits = static_cast<uint32_t>(random());
    if (i % 4 == 0) // ties
      bits = (bits & 0xFFFF0000u) | 0x8000u;
    values.push_back(std::bit_cast<float>(bits));
  }
  values[0] = std::bit_cast<float>(0x00000001u); // denormal
  values[1] = std::bit_cast<float>(0x7F7FFFFFu); // rounds to infinity
  values[2] = std::bit_cast<float>(0x7F800001u); // NaN whose upper bits are infinity's
  values[3] = std::bit_cast<float>(0x00018000u); // denormal tie
  std::vector<double> results = round(values);
  for (int64_t i = 0; i < count; ++i) {
    if (std::isnan(values[i])) {
      ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(results[i])), 0x7FFF0000u) << i;
      continue;
    }
    // The two neighbours, and the rule.
    uint32_t bits = std::bit_cast<uint32_t>(values[i]), low = bits & 0xFFFF0000u, rest = bits & 0xFFFFu;
    bool up = rest > 0x8000u || (rest == 0x8000u && (low >> 16 & 1));
    auto expected = std::bit_cast<float>(up ? low + 0x10000u : low);
    ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(results[i])), std::bit_cast<uint32_t>(expected)) << i;
  }
}

} // namespace

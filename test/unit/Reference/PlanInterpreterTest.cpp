//===- PlanInterpreterTest.cpp - The oracle of the plan dialect -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"

#include "ftc/Reference/PlanInterpreter.h"

#include <cmath>

using namespace ftc::reference;
using namespace ftc::reference::test;
using namespace mlir;

namespace {

OwningOpRef<ModuleOp> parsePlan(StringRef text) {
  context().loadDialect<ftc::plan::PlanDialect>();
  return parse(text);
}

NamedTensors run(PlanInterpreter &interpreter, StringRef entry, const NamedTensors &inputs) {
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs) {
    ADD_FAILURE() << llvm::toString(outputs.takeError());
    return {};
  }
  return *outputs;
}

std::string runError(PlanInterpreter &interpreter, StringRef entry, const NamedTensors &inputs) {
  auto outputs = interpreter.run(entry, inputs);
  if (!outputs)
    return llvm::toString(outputs.takeError());
  ADD_FAILURE() << "the run did not fail";
  return {};
}

/// A kernel `k` from x to y by `body`, which sees row %r of 2 and stores, and an entry that runs it.
std::string rowKernel(const std::string &from, const std::string &to, const std::string &body, int perTask = 1) {
  return "plan.kernel @k { ^bb0(%x: " + from + ", %y: " + to + "): plan.rows 2 per_task " + std::to_string(perTask) +
         " parallel { ^bb0(%r: index): " + body + " } }\n" +
         "plan.entry @e kind(step) batch 1 sequence 2 flops 0.0 { %x = plan.input \"x\" : " + from +
         "\n %y = plan.alloc \"y\" : " + to + "\n plan.launch @k(%x, %y) \"label\" : " + from + ", " + to +
         "\n plan.output \"y\", %y : " + to + " }";
}

TEST(PlanInterpreter, ReductionAddsInTheStatedOrder) {
  for (int64_t columns : {1, 3, 70, 127, 128, 131, 300}) {
    SCOPED_TRACE(columns);
    const std::string n = std::to_string(columns), from = "memref<2x" + n + "xf32>", row = "tensor<" + n + "xf32>";
    auto module =
        parsePlan(rowKernel(from, "memref<2xf32>",
                            "%0 = plan.load %x[%r] : " + from + " -> " + row + "\n%1 = plan.reduce add %0 : " + row +
                                " -> f32\nplan.store %1, %y[%r] : f32, memref<2xf32>"));
    PlanInterpreter interpreter(*module);
    Tensor x = normals(typeOf("tensor<2x" + n + "xf32>"), "x");
    NamedTensors outputs = run(interpreter, "e", {{"x", x}});
    for (int64_t row = 0; row < 2; ++row) {
      float p[128];
      std::fill_n(p, 128, -0.0f);
      for (int64_t i = 0; i < columns; ++i)
        p[i % 128] += static_cast<float>(x.at(row, i));
      for (int half = 64; half; half /= 2)
        for (int i = 0; i < half; ++i)
          p[i] += p[i + half];
      EXPECT_EQ(outputs.at("y").reals[row], p[0]);
    }
  }
}

TEST(PlanInterpreter, SumsOfNothingKeepSigns) {
  // Partial sums start from -0.0: a sum of -0.0 stays that.
  auto module = parsePlan(rowKernel("memref<2x3xf32>", "memref<2xf32>",
                                    "%0 = plan.load %x[%r] : memref<2x3xf32> -> tensor<3xf32>\n"
                                    "%1 = plan.reduce add %0 : tensor<3xf32> -> f32\n"
                                    "plan.store %1, %y[%r] : f32, memref<2xf32>"));
  PlanInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "e", {{"x", reals("tensor<2x3xf32>", {-0.0, -0.0, -0.0, -0.0, 0.0, -0.0})}});
  EXPECT_TRUE(std::signbit(outputs.at("y").reals[0]));
  EXPECT_FALSE(std::signbit(outputs.at("y").reals[1]));
}

// A factor in four bits counts as what it decodes to, lying either way.
TEST(PlanInterpreter, ProductDecodes) {
  for (bool transpose : {true, false}) {
    // 5 × 13 elements: 33 bytes of codes, a block and the beginning of another.
    int64_t n = transpose ? 5 : 13, k = transpose ? 13 : 5;
    std::string a = "memref<2x" + std::to_string(k) + "xf32>", c = "memref<2x" + std::to_string(n) + "xf32>";
    std::string types = a + ", memref<33xi8>, " + c + ", memref<2xi8>, memref<1xf32>, memref<1xf32>";
    auto module = parsePlan(
        "plan.kernel @k { ^bb0(%a: " + a + ", %w: memref<33xi8>, %c: " + c +
        ", %s: memref<2xi8>, %n: memref<1xf32>, %o: memref<1xf32>): plan.matmul %a, %w, %c decode_b <bitsandbytes, "
        "f32> "
        "scales(%s, %n, %o : memref<2xi8>, memref<1xf32>, memref<1xf32>)" +
        (transpose ? " transpose_b" : "") + " : " + a + ", memref<33xi8>, " + c +
        " read_a {} read_b {} store_c {} }\n"
        "plan.entry @e kind(step) batch 1 sequence 2 flops 0.0 { %a = plan.input \"a\" : " +
        a +
        "\n %w = plan.input \"w\" : memref<33xi8>\n %s = plan.input \"s\" : memref<2xi8>\n"
        " %n = plan.input \"n\" : memref<1xf32>\n %o = plan.input \"o\" : memref<1xf32>\n %c = plan.alloc \"c\" : " +
        c + "\n plan.launch @k(%a, %w, %c, %s, %n, %o) \"label\" : " + types + "\n plan.output \"c\", %c : " + c +
        " }");
    PlanInterpreter interpreter(*module);
    Tensor weight = normals(typeOf("tensor<5x13xf32>"), "w");
    std::vector<float> values(weight.reals.begin(), weight.reals.end());
    std::vector<uint8_t> codes(33), absmax(2);
    float nested, offset;
    ftc::Nf4Arrays arrays{codes.data(), absmax.data(), &nested, &offset};
    ftc::Nf4Encoder({}, 65, arrays).append(values.data(), 65);
    ftc::nf4Decode({}, arrays, 0, 65, values.data());
    auto bytes = [&](const char *type, const std::vector<uint8_t> &from) {
      Tensor tensor(typeOf(type));
      for (size_t i = 0; i < from.size(); ++i)
        tensor.integers[i] = static_cast<int8_t>(from[i]);
      return tensor;
    };
    Tensor x = normals(typeOf("tensor<2x" + std::to_string(k) + "xf32>"), "x");
    NamedTensors outputs = run(interpreter, "e",
                               {{"a", x},
                                {"w", bytes("tensor<33xi8>", codes)},
                                {"s", bytes("tensor<2xi8>", absmax)},
                                {"n", reals("tensor<1xf32>", {nested})},
                                {"o", reals("tensor<1xf32>", {offset})}});
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum = std::fma(static_cast<float>(x.at(i, l)), values[transpose ? j * 13 + l : l * 13 + j], sum);
        EXPECT_EQ(outputs.at("c").at(i, j), sum);
      }
  }
}

TEST(PlanInterpreter, MaximumKeepsNaN) {
  auto module = parsePlan(rowKernel("memref<2x3xf32>", "memref<2xf32>",
                                    "%0 = plan.load %x[%r] : memref<2x3xf32> -> tensor<3xf32>\n"
                                    "%1 = plan.reduce max %0 : tensor<3xf32> -> f32\n"
                                    "plan.store %1, %y[%r] : f32, memref<2xf32>"));
  PlanInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "e", {{"x", reals("tensor<2x3xf32>", {1, NAN, 3, -5, -4, -6})}});
  EXPECT_TRUE(std::isnan(outputs.at("y").reals[0]));
  EXPECT_EQ(outputs.at("y").reals[1], -4);
}

TEST(PlanInterpreter, ArithmeticIsOfTheBodysType) {
  // In f32 the product and the sum round one after the other; fma rounds once; bf16 rounds when it is stored.
  auto module = parsePlan(rowKernel("memref<2x2xf32>", "memref<2x2xbf16>",
                                    "%0 = plan.load %x[%r] : memref<2x2xf32> -> tensor<2xf32>\n"
                                    "%1 = arith.mulf %0, %0 : tensor<2xf32>\n"
                                    "%2 = arith.negf %1 : tensor<2xf32>\n"
                                    "%3 = math.fma %0, %0, %2 : tensor<2xf32>\n"
                                    "%4 = arith.truncf %3 : tensor<2xf32> to tensor<2xbf16>\n"
                                    "plan.store %4, %y[%r] : tensor<2xbf16>, memref<2x2xbf16>"));
  PlanInterpreter interpreter(*module);
  float v = 1.0f + std::ldexp(1.0f, -13);
  NamedTensors outputs = run(interpreter, "e", {{"x", reals("tensor<2x2xf32>", {v, 1, 2, 3})}});
  EXPECT_EQ(outputs.at("y").reals[0], std::ldexp(1.0, -26)); // what the product lost
  EXPECT_EQ(outputs.at("y").reals[1], 0);
}

TEST(PlanInterpreter, AccumulationOverwritesAtTheFirstRowOfATask) {
  for (int perTask : {1, 2}) {
    std::string partials = "memref<" + std::to_string(2 / perTask) + "x2xf32>";
    auto module = parsePlan(rowKernel("memref<2x2xf32>", partials,
                                      "%0 = plan.load %x[%r] : memref<2x2xf32> -> tensor<2xf32>\n"
                                      "plan.accumulate %0, %y : tensor<2xf32>, " +
                                          partials,
                                      perTask));
    PlanInterpreter interpreter(*module);
    NamedTensors inputs{{"x", reals("tensor<2x2xf32>", {1, 2, 10, 20})}};
    std::vector<double> expected = perTask == 1 ? std::vector<double>{1, 2, 10, 20} : std::vector<double>{11, 22};
    EXPECT_EQ(run(interpreter, "e", inputs).at("y").reals, expected);
    interpreter.setReverseTasks(true);
    EXPECT_EQ(run(interpreter, "e", inputs).at("y").reals, expected);
  }
}

TEST(PlanInterpreter, TellsAReadOfWhatNothingWrote) {
  auto module = parsePlan(rowKernel("memref<2x2xf32>", "memref<2x2xf32>",
                                    "%0 = plan.load %y[%r] : memref<2x2xf32> -> tensor<2xf32>\n"
                                    "plan.store %0, %y[%r] : tensor<2xf32>, memref<2x2xf32>"));
  PlanInterpreter interpreter(*module);
  std::string error = runError(interpreter, "e", {{"x", reals("tensor<2x2xf32>", {1, 2, 3, 4})}});
  EXPECT_NE(error.find("(label)"), std::string::npos) << error;
  EXPECT_NE(error.find("nothing has written it"), std::string::npos) << error;
}

TEST(PlanInterpreter, ForgetsTransientsOfThePlacedSlabBetweenRuns) {
  // The second half of y is never written; that a first run wrote x there does not count.
  auto module = parsePlan(R"(
    plan.slab @near bytes 128 alignment 64
    plan.variable @w : memref<4xf32> parameter init #train.ones at @near[0]
    plan.kernel @k { ^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
      plan.rows 2 per_task 1 parallel { ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<4xf32> -> f32
        plan.store %0, %y[%r] : f32, memref<4xf32> } }
    plan.entry @e kind(step) batch 1 sequence 2 flops 0.0 {
      %w = plan.get @w : memref<4xf32>
      %y = plan.view @near[64] "y" : memref<4xf32>
      plan.launch @k(%w, %y) "half" : memref<4xf32>, memref<4xf32>
      plan.output "y", %y : memref<4xf32> }
    plan.entry @whole kind(evaluate) batch 1 sequence 2 flops 0.0 {
      %x = plan.input "x" : memref<4xf32> at @near[64]
      plan.output "x", %x : memref<4xf32> })");
  context().loadDialect<ftc::train::TrainDialect>();
  PlanInterpreter interpreter(*module);
  llvm::cantFail(interpreter.set("w", reals("tensor<4xf32>", {1, 2, 3, 4})));
  run(interpreter, "whole", {{"x", reals("tensor<4xf32>", {5, 6, 7, 8})}});
  EXPECT_NE(runError(interpreter, "e", {}).find("nothing has written it"), std::string::npos);
  auto w = interpreter.get("w");
  ASSERT_TRUE(static_cast<bool>(w));
  EXPECT_EQ(w->reals, (std::vector<double>{1, 2, 3, 4}));
}

TEST(PlanInterpreter, CopiesWhereTheyBeginOrWhereTheyAreWaitedFor) {
  auto text = [](const char *wait) {
    return std::string(R"(
    plan.kernel @k { ^bb0(%x: memref<2xf32>, %y: memref<2xf32>):
      plan.rows 2 per_task 1 parallel { ^bb0(%r: index):
        %0 = plan.load %x[%r] : memref<2xf32> -> f32
        plan.store %0, %y[%r] : f32, memref<2xf32> } }
    plan.entry @e kind(step) batch 1 sequence 2 flops 0.0 {
      %x = plan.input "x" : memref<2xf32>
      %f = plan.alloc far "f" : memref<2xf32>
      %y = plan.alloc "y" : memref<2xf32>
      %z = plan.alloc "z" : memref<2xf32>
      %o = plan.copy_out %x to %f : memref<2xf32>
      plan.wait %o
      %i = plan.copy_in %f to %y : memref<2xf32>
      )") + wait +
           R"(
      plan.launch @k(%y, %z) "label" : memref<2xf32>, memref<2xf32>
      plan.output "z", %z : memref<2xf32> })";
  };
  NamedTensors inputs{{"x", reals("tensor<2xf32>", {1, 2})}};
  for (bool late : {false, true}) {
    auto module = parsePlan(text("plan.wait %i"));
    PlanInterpreter interpreter(*module);
    interpreter.setLateCopies(late);
    EXPECT_EQ(run(interpreter, "e", inputs).at("z").reals, (std::vector<double>{1, 2}));
  }
  // Without the wait it is an accident that the copy is over; a late one tells.
  auto module = parsePlan(text(""));
  PlanInterpreter interpreter(*module);
  EXPECT_EQ(run(interpreter, "e", inputs).at("z").reals, (std::vector<double>{1, 2}));
  interpreter.setLateCopies(true);
  EXPECT_NE(runError(interpreter, "e", inputs).find("nothing has written it"), std::string::npos);
}

TEST(PlanInterpreter, TellsAnIndexOutsideAndADivisionByZero) {
  auto outside = parsePlan(rowKernel("memref<2xi32>", "memref<2xi32>",
                                     "%0 = plan.load %x[%r] : memref<2xi32> -> i32\n"
                                     "%1 = arith.index_cast %0 : i32 to index\n"
                                     "plan.store %0, %y[%1] : i32, memref<2xi32>"));
  PlanInterpreter first(*outside);
  EXPECT_NE(runError(first, "e", {{"x", integers("tensor<2xi32>", {0, 2})}}).find("index 2 is outside"),
            std::string::npos);
  auto division = parsePlan(rowKernel("memref<2xi32>", "memref<2xi32>",
                                      "%0 = plan.load %x[%r] : memref<2xi32> -> i32\n"
                                      "%1 = arith.divui %0, %0 : i32\n"
                                      "plan.store %1, %y[%r] : i32, memref<2xi32>"));
  PlanInterpreter second(*division);
  EXPECT_NE(runError(second, "e", {{"x", integers("tensor<2xi32>", {0, 2})}}).find("divides by zero"),
            std::string::npos);
}

TEST(PlanInterpreter, ProductReadsAndStoresThroughItsSeams) {
  auto module = parsePlan(R"(
    plan.kernel @k { ^bb0(%a: memref<3x2xbf16>, %b: memref<3x2xf32>, %c: memref<2x2xf32>):
      plan.matmul %a, %b, %c extras(%c : memref<2x2xf32>) transpose_a : memref<3x2xbf16>, memref<3x2xf32>, memref<2x2xf32>
        read_a { ^bb0(%e: bf16):
          %f = arith.extf %e : bf16 to f32
          plan.yield %f : f32
        } read_b {} store_c { ^bb0(%s: f32, %old: f32):
          %r = arith.addf %s, %old : f32
          plan.yield %r : f32 } }
    plan.entry @e kind(step) batch 1 sequence 2 flops 0.0 {
      %a = plan.input "a" : memref<3x2xbf16>
      %b = plan.input "b" : memref<3x2xf32>
      %c = plan.input "c" : memref<2x2xf32>
      plan.launch @k(%a, %b, %c) "k" : memref<3x2xbf16>, memref<3x2xf32>, memref<2x2xf32>
      plan.output "c", %c : memref<2x2xf32> })");
  PlanInterpreter interpreter(*module);
  NamedTensors outputs = run(interpreter, "e",
                             {{"a", reals("tensor<3x2xbf16>", {1, 2, 3, 4, 5, 6})},
                              {"b", reals("tensor<3x2xf32>", {1, 0, 0, 1, 2, 2})},
                              {"c", reals("tensor<2x2xf32>", {100, 200, 300, 400})}});
  // aᵀ b = [[1 + 10, 3 + 10], [2 + 12, 4 + 12]].
  EXPECT_EQ(outputs.at("c").reals, (std::vector<double>{111, 213, 314, 416}));
}

TEST(PlanInterpreter, ScatterRoundsARunOnce) {
  auto module = parsePlan(R"(
    plan.kernel @k {
    ^bb0(%ids: memref<5xi32>, %g: memref<5x1xbf16>, %t: memref<3x1xbf16>):
      plan.rows 5 per_task 5 sequential {
      ^bb0(%r: index):
        %id = plan.load %ids[%r] : memref<5xi32> -> i32
        %i = arith.index_cast %id : i32 to index
        %0 = plan.load %g[%r] : memref<5x1xbf16> -> tensor<1xbf16>
        %1 = arith.extf %0 : tensor<1xbf16> to tensor<1xf32>
        plan.scatter %1, %t[%i] : tensor<1xf32>, memref<3x1xbf16>
      }
    }
    plan.entry @e kind(step) batch 1 sequence 5 flops 0.0 {
      %ids = plan.input "ids" : memref<5xi32>
      %g = plan.input "g" : memref<5x1xbf16>
      %t = plan.input "t" : memref<3x1xbf16>
      plan.launch @k(%ids, %g, %t) "k" : memref<5xi32>, memref<5x1xbf16>, memref<3x1xbf16>
      plan.output "t", %t : memref<3x1xbf16> })");
  PlanInterpreter interpreter(*module);
  auto inputs = [&](std::vector<int64_t> ids) {
    return NamedTensors{{"ids", integers("tensor<5xi32>", std::move(ids))},
                        {"g", reals("tensor<5x1xbf16>", {1, 1, 2, 8, 1})},
                        {"t", reals("tensor<3x1xbf16>", {256, 7, 3})}};
  };
  // 256 + 1 is a tie in bf16 and would stay 256 each time.
  EXPECT_EQ(run(interpreter, "e", inputs({0, 0, 0, -1, 2})).at("t").reals, (std::vector<double>{260, 7, 4}));
  EXPECT_NE(runError(interpreter, "e", inputs({0, 1, 0, -1, -1})).find("rows of index 0 do not follow each other"),
            std::string::npos);
  EXPECT_NE(runError(interpreter, "e", inputs({0, 0, 3, 3, 3})).find("index 3 is outside"), std::string::npos);
}

TEST(PlanInterpreter, NamesWhatIsMissing) {
  auto module = parsePlan(rowKernel("memref<2xi32>", "memref<2xi32>",
                                    "%0 = plan.load %x[%r] : memref<2xi32> -> i32\n"
                                    "plan.store %0, %y[%r] : i32, memref<2xi32>"));
  PlanInterpreter interpreter(*module);
  Tensor x = integers("tensor<2xi32>", {1, 2});
  EXPECT_EQ(runError(interpreter, "f", {}), "the module has no entry 'f'");
  EXPECT_EQ(runError(interpreter, "e", {}), "entry 'e' needs input 'x'");
  EXPECT_EQ(runError(interpreter, "e", {{"x", x}, {"z", x}}), "entry 'e' has no input 'z'");
  EXPECT_EQ(runError(interpreter, "e", {{"x", reals("tensor<2xf32>", {1, 2})}}),
            "input 'x' is memref<2xi32>, not tensor<2xf32>");
  EXPECT_EQ(llvm::toString(interpreter.set("w", x)), "the module has no variable 'w'");
  EXPECT_EQ(run(interpreter, "e", {{"x", x}}).at("y").integers, x.integers);
}

} // namespace

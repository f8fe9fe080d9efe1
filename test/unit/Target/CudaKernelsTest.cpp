//===- CudaKernelsTest.cpp - Products and attention in the emulation -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStep.h"

#include "ftc/Support/Nf4.h"
#include "ftc/Support/Random.h"

#include <cmath>

using namespace mlir;
using namespace ftc;
using namespace ftc::test;
using reference::NamedTensors;
using reference::Tensor;

namespace {

std::string matrix(int64_t rows, int64_t columns, const std::string &type) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + type + ">";
}

/// A kernel that is launched once on inputs called as its arguments; `outputs` of them are given back.
struct Text {
  std::string arguments, launch, types, inputs, outputs, work;

  void add(const std::string &name, const std::string &type, bool isOutput = false) {
    auto separate = [](std::string &list, const std::string &item) { list += (list.empty() ? "" : ", ") + item; };
    separate(arguments, "%" + name + ": " + type);
    separate(launch, "%" + name);
    separate(types, type);
    inputs += "  %" + name + " = plan.input \"" + name + "\" : " + type + "\n";
    if (isOutput)
      outputs += "  plan.output \"" + name + "\", %" + name + " : " + type + "\n";
  }
  std::string str() const {
    return "plan.kernel @k {\n^bb0(" + arguments + "):\n" + work +
           "}\nplan.entry @step kind(step) batch 1 sequence 1 flops 0.0 {\n" + inputs + "  plan.launch @k(" + launch +
           ") \"k\" : " + types + "\n" + outputs + "}\n";
  }
};

/// Compares with the interpreter: within `bar` of the largest number of an output. `roundsWeights`: so do terms of
/// sums.
void expectNear(NamedTensors &actual, const NamedTensors &expected, const NamedTensors &inputs, double bar,
                bool roundsWeights) {
  ASSERT_FALSE(expected.empty());
  for (auto &[name, wanted] : expected) {
    double largest = 0;
    for (double value : wanted.reals)
      largest = std::max(largest, std::abs(value));
    EXPECT_FALSE(wanted.isIdenticalTo(inputs.at(name))) << name;
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(actual[name].reals[i], wanted.reals[i], bar * largest) << name << "[" << i << "]";
      difference += std::pow(actual[name].reals[i] - wanted.reals[i], 2);
      norm += std::pow(wanted.reals[i], 2);
    }
    // One rounding to bf16 is 1.1e-3 of a number on average; here are two of the output and one of each term.
    EXPECT_LE(std::sqrt(difference / norm), roundsWeights ? 4e-3 : bar) << name;
  }
}

/// Runs the entry in both orders, which must give the same bits, and compares with the interpreter. `tensorCores`:
/// whether it has to be computed on those. Attention that cuDNN is asked for is computed a third time by it.
void expectNearInterpreted(const Text &text, const NamedTensors &given, double bar, bool tensorCores = false,
                           const std::string &device = "h100") {
  OwningOpRef<ModuleOp> module = parsePlan(text.str(), device);
  ASSERT_TRUE(module) << text.str();
  NamedTensors inputs;
  for (auto input : module->lookupSymbol<plan::EntryOp>("step").getBody().front().getOps<plan::InputOp>()) {
    std::string name = input.getName().str();
    auto found = given.find(name);
    inputs[name] = found != given.end() ? found->second : numbers(input.getBuffer().getType(), name);
  }
  reference::PlanInterpreter interpreter(*module);
  auto expected = interpreter.run("step", inputs);
  ASSERT_TRUE(static_cast<bool>(expected)) << llvm::toString(expected.takeError());
  EmulatedStep step(*module, device);
  ASSERT_TRUE(step.ok());
  NamedTensors forwards = step.run("step", inputs, 1);
  step.setBackwards(true);
  NamedTensors backwards = step.run("step", inputs, 1);
  EXPECT_EQ(step.tensorProducts() > 0, tensorCores);
  for (auto &[name, wanted] : *expected)
    EXPECT_TRUE(forwards[name].isIdenticalTo(backwards[name])) << name << " depends on the order of blocks";
  expectNear(forwards, *expected, inputs, bar, tensorCores);
  EXPECT_EQ(step.attentions, 0);
  if (step.table().attention_count == 0)
    return;
  SCOPED_TRACE("attention by the library");
  const int64_t products = step.tensorProducts();
  step.attendByLibrary(true);
  NamedTensors byLibrary = step.run("step", inputs, 1);
  EXPECT_EQ(step.attentions, 1);
  EXPECT_EQ(step.tensorProducts(), products) << "computed twice";
  expectNear(byLibrary, *expected, inputs, bar, /*roundsWeights=*/true);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

std::string readSeam(const std::string &type) {
  return type == "f32" ? "{}" : "{\n^bb0(%e: bf16):\n  %f = arith.extf %e : bf16 to f32\n  plan.yield %f : f32\n}";
}

struct Product {
  int64_t m, n, k;
  bool transposeA, transposeB;
};

class GeneratedProduct : public testing::TestWithParam<Product> {};

// Mixed types have no product in the library, nor has a store that does more than add.
TEST_P(GeneratedProduct, IsTheInterpretersNearly) {
  auto [m, n, k, transposeA, transposeB] = GetParam();
  Text text;
  std::string a = transposeA ? matrix(k, m, "bf16") : matrix(m, k, "bf16");
  std::string b = transposeB ? matrix(n, k, "f32") : matrix(k, n, "f32"), c = matrix(m, n, "f32");
  text.add("a", a);
  text.add("b", b);
  text.add("c", c, /*isOutput=*/true);
  text.add("x", matrix(m, n, "bf16"));
  text.work = "  plan.matmul %a, %b, %c extras(%c, %x : " + c + ", " + matrix(m, n, "bf16") + ")" +
              (transposeA ? " transpose_a" : "") + (transposeB ? " transpose_b" : "") + " : " + a + ", " + b + ", " +
              c + " read_a " + readSeam("bf16") + " read_b {} store_c {\n^bb0(%s: f32, %old: f32, %e: bf16):\n" +
              "  %f = arith.extf %e : bf16 to f32\n  %p = arith.mulf %s, %f : f32\n" +
              "  %r = arith.addf %old, %p : f32\n  plan.yield %r : f32\n}\n";
  expectNearInterpreted(text, {}, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Sizes, GeneratedProduct,
                         testing::Values(Product{64, 64, 64, false, false}, Product{70, 130, 33, false, true},
                                         Product{5, 3, 150, true, false}, Product{1, 65, 1, true, true},
                                         Product{129, 1, 64, false, false}),
                         [](const auto &info) {
                           const Product &p = info.param;
                           return std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k) +
                                  (p.transposeA ? "t" : "n") + (p.transposeB ? "t" : "n");
                         });

class DecodedProduct : public testing::TestWithParam<const char *> {};

// A weight in four bits: odd sizes end inside of a block, a word and a byte.
TEST_P(DecodedProduct, IsTheInterpretersNearly) {
  for (auto [n, k] : {std::pair<int64_t, int64_t>{64, 256}, {50, 37}, {7, 9}}) {
    std::string quantizer = GetParam(), type = n == 50 ? "bf16" : "f32";
    int64_t elements = n * k;
    if (quantizer == "torchao" && elements % 16384 != 0)
      continue;
    Text text;
    auto vector = [](int64_t size, const char *element) {
      return "memref<" + std::to_string(size) + "x" + element + ">";
    };
    std::string codes = vector(nf4CodeBytes(elements), "i8"), absmax = vector(nf4Blocks(elements), "i8");
    std::string nested = vector(nf4NestedBlocks(elements), "f32"), a = matrix(6, k, type), c = matrix(6, n, "f32");
    text.add("a", a);
    text.add("w", codes);
    text.add("s", absmax);
    text.add("n", nested);
    text.add("o", "memref<1xf32>");
    text.add("c", c, /*isOutput=*/true);
    text.work = "  plan.matmul %a, %w, %c decode_b <" + quantizer + ", " + type + "> scales(%s, %n, %o : " + absmax +
                ", " + nested + ", memref<1xf32>) transpose_b : " + a + ", " + codes + ", " + c + " read_a " +
                readSeam(type) + " read_b {} store_c {}\n";
    NamedTensors inputs;
    CounterRandom random(9, quantizer);
    for (auto [name, size] :
         {std::pair<const char *, int64_t>{"w", nf4CodeBytes(elements)}, {"s", nf4Blocks(elements)}}) {
      std::vector<int64_t> values;
      for (int64_t i = 0; i < size; ++i)
        values.push_back(static_cast<int64_t>(random.below(values.size() + size, 256)) - 128);
      inputs[name] = integers("tensor<" + std::to_string(size) + "xi8>", values);
    }
    Tensor scale(RankedTensorType::get({nf4NestedBlocks(elements)}, Float32Type::get(&context())));
    for (int64_t i = 0; i < scale.size(); ++i)
      scale.set(i, quantizer == "torchao" ? 2000 : 0.04);
    inputs["n"] = scale;
    expectNearInterpreted(text, inputs, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Quantizers, DecodedProduct, testing::Values("bitsandbytes", "torchao"),
                         [](const auto &info) { return std::string(info.param); });

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

struct Shape {
  const char *name, *type;
  int64_t batch, sequence, heads, kvHeads, headDim;
  std::vector<int64_t> segments; ///< first positions of segments behind the first
  double bar;
  bool tensorCores = false;
  int64_t window = 0; ///< 0: none
  double softcap = 0; ///< 0: none
  const char *device = "h100";
};

class TiledAttention : public testing::TestWithParam<Shape> {
protected:
  Tensor starts() const {
    const Shape &shape = GetParam();
    std::vector<int64_t> values;
    for (int64_t row = 0; row < shape.batch; ++row)
      for (int64_t at = 0; at < shape.sequence; ++at) {
        int64_t start = 0;
        for (int64_t segment : shape.segments)
          if (row % 2 == 0 && at >= segment)
            start = segment;
        // Padding at the end of the last row attends to itself.
        values.push_back(row == shape.batch - 1 && at >= shape.sequence - 3 ? at : start);
      }
    return integers("tensor<" + std::to_string(values.size()) + "xi32>", values);
  }
};

// Forward and, on what the forward pass gives, backward.
TEST_P(TiledAttention, IsTheInterpretersNearly) {
  const Shape &shape = GetParam();
  int64_t tokens = shape.batch * shape.sequence;
  std::string q = matrix(tokens, shape.heads * shape.headDim, shape.type);
  std::string k = matrix(tokens, shape.kvHeads * shape.headDim, shape.type);
  std::string s = "memref<" + std::to_string(tokens) + "xi32>", lse = matrix(tokens, shape.heads, "f32");
  std::string sizes = " batch " + std::to_string(shape.batch) + " heads " + std::to_string(shape.heads) + " kv_heads " +
                      std::to_string(shape.kvHeads) + " scale " + std::to_string(1 / std::sqrt(double(shape.headDim))) +
                      (shape.window ? " window " + std::to_string(shape.window) : "") +
                      (shape.softcap ? " softcap " + std::to_string(shape.softcap) : "") + " : ";
  Text forward;
  for (const char *name : {"q", "k", "v"})
    forward.add(name, *name == 'q' ? q : k);
  forward.add("s", s);
  forward.add("o", q, /*isOutput=*/true);
  forward.add("l", lse, /*isOutput=*/true);
  forward.work = "  plan.attention %q, %k, %v, %s, %o, %l" + sizes + q + ", " + k + ", " + k + ", " + s + ", " + q +
                 ", " + lse + "\n";
  NamedTensors inputs{{"s", starts()}};
  expectNearInterpreted(forward, inputs, shape.bar, shape.tensorCores, shape.device);

  OwningOpRef<ModuleOp> module = parsePlan(forward.str());
  ASSERT_TRUE(module);
  for (const char *name : {"q", "k", "v", "o", "l"})
    inputs[name] =
        numbers(MemRefType::get({tokens, *name == 'l' ? shape.heads
                                                      : (*name == 'q' || *name == 'o' ? shape.heads : shape.kvHeads) *
                                                            shape.headDim},
                                *name == 'l' || shape.type == std::string("f32") ? Type(Float32Type::get(&context()))
                                                                                 : Type(BFloat16Type::get(&context()))),
                name);
  auto outputs = reference::PlanInterpreter(*module).run("step", inputs);
  ASSERT_TRUE(static_cast<bool>(outputs)) << llvm::toString(outputs.takeError());
  inputs["o"] = outputs->at("o");
  inputs["l"] = outputs->at("l");
  Text backward;
  for (const char *name : {"q", "k", "v"})
    backward.add(name, *name == 'q' ? q : k);
  backward.add("s", s);
  backward.add("o", q);
  backward.add("l", lse);
  backward.add("g", q);
  backward.add("dq", q, /*isOutput=*/true);
  backward.add("dk", k, /*isOutput=*/true);
  backward.add("dv", k, /*isOutput=*/true);
  backward.work = "  plan.attention_grad %q, %k, %v, %s, %o, %l, %g, %dq, %dk, %dv" + sizes + q + ", " + k + ", " + k +
                  ", " + s + ", " + q + ", " + lse + ", " + q + ", " + q + ", " + k + ", " + k + "\n";
  expectNearInterpreted(backward, inputs, shape.bar, shape.tensorCores, shape.device);
}

INSTANTIATE_TEST_SUITE_P(Shapes, TiledAttention,
                         testing::Values(Shape{"OneTile", "f32", 1, 64, 2, 2, 64, {}, 1e-5},
                                         Shape{"Segments", "f32", 2, 150, 2, 1, 32, {10, 64, 100, 101}, 1e-5},
                                         Shape{"WideHeads", "f32", 1, 70, 2, 1, 128, {}, 1e-5},
                                         Shape{"OddHeads", "f32", 2, 67, 3, 1, 10, {66}, 1e-5},
                                         Shape{"OddHeadsBf16", "bf16", 1, 9, 4, 2, 7, {4}, 1e-2},
                                         Shape{"Above128", "f32", 1, 5, 1, 1, 160, {}, 1e-5},
                                         // Four tiles so wide do not fit: two take turns in one place.
                                         Shape{"Above192", "f32", 1, 140, 2, 1, 256, {70}, 1e-5},
                                         Shape{"Above192Capped", "f32", 1, 70, 1, 1, 200, {}, 1e-5, false, 30, 1}),
                         [](const auto &info) { return std::string(info.param.name); });

// Head sizes up to 64, 128 and 256 are cut differently. Sequences end inside of a block and of a tile, begin with whole
// tiles that nothing is hidden in, and have segments that begin on a tile's border, inside of it, and one after the
// other.
INSTANTIATE_TEST_SUITE_P(TensorCores, TiledAttention,
                         testing::Values(Shape{"Heads16", "bf16", 2, 150, 2, 1, 16, {10, 64, 100, 101}, 1e-2, true},
                                         Shape{"Heads32", "bf16", 1, 40, 3, 3, 32, {}, 1e-2, true},
                                         Shape{"Heads48", "bf16", 2, 129, 2, 2, 48, {128}, 1e-2, true},
                                         Shape{"Heads64", "bf16", 1, 210, 3, 1, 64, {}, 1e-2, true},
                                         Shape{"Heads64Segments", "bf16", 2, 200, 2, 1, 64, {63, 130, 192}, 1e-2, true},
                                         Shape{"Heads80", "bf16", 1, 140, 2, 1, 80, {70}, 1e-2, true},
                                         Shape{"Heads128", "bf16", 1, 180, 2, 1, 128, {30}, 1e-2, true},
                                         Shape{"Heads128Short", "bf16", 2, 4, 2, 1, 128, {}, 1e-2, true},
                                         Shape{"Heads160", "bf16", 1, 70, 2, 1, 160, {65}, 1e-2, true},
                                         Shape{"Heads256", "bf16", 1, 140, 3, 1, 256, {35}, 1e-2, true}),
                         [](const auto &info) { return std::string(info.param.name); });

// Where a block has 99 KiB of shared memory, it has half the rows.
INSTANTIATE_TEST_SUITE_P(
    SmallBlocks, TiledAttention,
    testing::Values(Shape{"Heads80", "bf16", 1, 140, 2, 1, 80, {70}, 1e-2, true, 0, 0, "rtx4090"},
                    Shape{"Heads128", "bf16", 1, 180, 2, 1, 128, {30}, 1e-2, true, 0, 0, "rtx4090"},
                    Shape{"Heads128Segments", "bf16", 2, 200, 2, 1, 128, {63, 130, 192}, 1e-2, true, 0, 0, "rtx4090"},
                    Shape{"Heads128Ampere", "bf16", 2, 70, 4, 2, 128, {64}, 1e-2, true, 0, 0, "a10"},
                    Shape{"Heads128WindowAndCap", "bf16", 1, 200, 2, 1, 128, {30}, 1e-2, true, 64, 1, "rtx4090"},
                    Shape{"Heads160", "bf16", 1, 70, 2, 1, 160, {65}, 1e-2, true, 0, 0, "rtx4090"},
                    Shape{"Heads256", "bf16", 1, 140, 3, 1, 256, {35}, 1e-2, true, 0, 0, "rtx4090"},
                    Shape{"Heads256WindowAndCap", "bf16", 1, 200, 2, 1, 256, {}, 1e-2, true, 90, 1, "rtx4090"}),
    [](const auto &info) { return std::string(info.param.name); });

// Tiles have 64 keys and blocks 64 queries: windows of two tokens, inside of a tile, as long as one, and over several;
// caps far above scores, where most are, and below.
INSTANTIATE_TEST_SUITE_P(
    WindowsAndCaps, TiledAttention,
    testing::Values(Shape{"WindowOfTwo", "f32", 1, 70, 2, 1, 16, {}, 1e-5, false, 2},
                    Shape{"WindowInATile", "f32", 2, 150, 2, 1, 32, {10, 64, 100, 101}, 1e-5, false, 20},
                    Shape{"WindowOfATile", "f32", 1, 200, 2, 1, 16, {}, 1e-5, false, 64},
                    Shape{"WindowOverTiles", "f32", 1, 270, 2, 1, 16, {40}, 1e-5, false, 101},
                    Shape{"Cap50", "f32", 1, 70, 2, 1, 32, {}, 1e-5, false, 0, 50},
                    Shape{"Cap1", "f32", 2, 100, 2, 1, 32, {10, 64}, 1e-5, false, 0, 1},
                    Shape{"WindowAndCap", "f32", 1, 200, 2, 1, 32, {90}, 1e-5, false, 70, 0.5},
                    Shape{"OddHeadsBf16WindowAndCap", "bf16", 1, 30, 4, 2, 7, {4}, 1e-2, false, 7, 1}),
    [](const auto &info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(
    WindowsAndCapsOnTensorCores, TiledAttention,
    testing::Values(Shape{"WindowOfTwo", "bf16", 1, 140, 2, 1, 64, {}, 1e-2, true, 2},
                    Shape{"Heads64Window", "bf16", 2, 300, 2, 1, 64, {63, 130, 192}, 1e-2, true, 50},
                    Shape{"Heads64LongWindow", "bf16", 1, 420, 2, 1, 64, {}, 1e-2, true, 200},
                    Shape{"Heads128Window", "bf16", 1, 300, 2, 1, 128, {30}, 1e-2, true, 64},
                    Shape{"Heads256Window", "bf16", 1, 200, 2, 1, 256, {}, 1e-2, true, 90},
                    Shape{"Heads64Cap50", "bf16", 1, 140, 2, 1, 64, {}, 1e-2, true, 0, 50},
                    Shape{"Heads128Cap", "bf16", 1, 180, 2, 1, 128, {30}, 1e-2, true, 0, 1},
                    Shape{"Heads256Cap", "bf16", 1, 140, 2, 1, 256, {35}, 1e-2, true, 0, 1},
                    Shape{"Heads64WindowAndCap", "bf16", 2, 200, 4, 2, 64, {63, 130}, 1e-2, true, 40, 0.5},
                    Shape{"Heads256WindowAndCap", "bf16", 1, 200, 2, 1, 256, {}, 1e-2, true, 90, 1}),
    [](const auto &info) { return std::string(info.param.name); });

/// A row of 128 tokens with heads of 64 columns is one block, whose four warps have 32 rows each, and two tiles of the
/// others. What lies above the diagonal for all rows of a warp is no operand of it: 0 times NaN would be NaN.
TEST(TensorCoreAttention, WarpsAboveTheDiagonalMultiplyNothing) {
  const int64_t tokens = 128, columns = 64;
  const std::string q = matrix(tokens, columns, "bf16"), s = "memref<128xi32>", l = matrix(tokens, 1, "f32");
  const std::string sizes = " batch 1 heads 1 kv_heads 1 scale 0.125 : ";
  Text forward, backward;
  for (const char *name : {"q", "k", "v"})
    forward.add(name, q), backward.add(name, q);
  forward.add("s", s), backward.add("s", s);
  forward.add("o", q, /*isOutput=*/true), backward.add("o", q);
  forward.add("l", l, /*isOutput=*/true), backward.add("l", l);
  backward.add("g", q);
  for (const char *name : {"dq", "dk", "dv"})
    backward.add(name, q, /*isOutput=*/true);
  forward.work = "  plan.attention %q, %k, %v, %s, %o, %l" + sizes + q + ", " + q + ", " + q + ", " + s + ", " + q +
                 ", " + l + "\n";
  backward.work = "  plan.attention_grad %q, %k, %v, %s, %o, %l, %g, %dq, %dk, %dv" + sizes + q + ", " + q + ", " + q +
                  ", " + s + ", " + q + ", " + l + ", " + q + ", " + q + ", " + q + ", " + q + "\n";
  auto run = [&](const Text &text, const std::vector<std::string> &broken, int64_t from, int64_t to) {
    OwningOpRef<ModuleOp> module = parsePlan(text.str(), "h100");
    EmulatedStep step(*module, "h100");
    EXPECT_TRUE(step.ok());
    NamedTensors inputs;
    for (auto input : module->lookupSymbol<plan::EntryOp>("step").getBody().front().getOps<plan::InputOp>()) {
      std::string name = input.getName().str();
      inputs[name] = numbers(input.getBuffer().getType(), name, /*bound=*/1);
      if (llvm::is_contained(broken, name))
        for (int64_t i = from * columns; i < to * columns; ++i)
          inputs[name].set(i, NAN);
    }
    return step.run("step", inputs, 1);
  };
  auto expectFinite = [&](const Tensor &tensor, int64_t from, int64_t to) {
    for (int64_t i = from * columns; i < to * columns; ++i)
      ASSERT_TRUE(std::isfinite(tensor.reals[i])) << "row " << i / columns;
  };
  // Keys of the second tile, for the queries of the first two warps; queries of the first tile, for keys of the others.
  NamedTensors output = run(forward, {"k", "v"}, 64, 128);
  expectFinite(output["o"], 0, 64);
  EXPECT_TRUE(std::isnan(output["o"].reals[64 * columns]));
  expectFinite(run(backward, {"k", "v"}, 64, 128)["dq"], 0, 64);
  NamedTensors gradients = run(backward, {"q", "g"}, 0, 64);
  expectFinite(gradients["dk"], 64, 128);
  expectFinite(gradients["dv"], 64, 128);
  EXPECT_TRUE(std::isnan(gradients["dv"].reals[0]));
}

} // namespace

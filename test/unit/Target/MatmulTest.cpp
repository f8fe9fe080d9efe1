//===- MatmulTest.cpp - The emitted product against plain loops --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JitKernel.h"
#include "TestMatrix.h"

#include <gtest/gtest.h>

using namespace ftc;
using namespace ftc::test;

namespace {

struct Form {
  int64_t m, n, k;
  bool transposeA = false, transposeB = false;
  bool bf16 = false;     // a, b and c
  bool residual = false; // c = extra + 0.5 * product
  int64_t pairK = 0;     // terms of a second product
  bool transposePair = false;
};

std::string kernelText(const Form &f) {
  std::string element = f.bf16 ? "bf16" : "f32";
  auto matrix = [&](int64_t rows, int64_t columns) {
    return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + "x" + element + ">";
  };
  std::string a = f.transposeA ? matrix(f.k, f.m) : matrix(f.m, f.k);
  std::string b = f.transposeB ? matrix(f.n, f.k) : matrix(f.k, f.n), c = matrix(f.m, f.n);
  std::string read = f.bf16 ? "{\n^bb0(%e: bf16):\n  %f = arith.extf %e : bf16 to f32\n  plan.yield %f : f32\n}" : "{}";
  std::string store = "{}";
  if (f.residual && f.bf16)
    store = "{\n^bb0(%s: f32, %e: bf16):\n  %y = arith.extf %e : bf16 to f32\n  %t = arith.mulf %s, %half : f32\n"
            "  %r = arith.addf %y, %t : f32\n  %q = arith.truncf %r : f32 to bf16\n  plan.yield %q : bf16\n}";
  else if (f.residual)
    store = "{\n^bb0(%s: f32, %e: f32):\n  %t = arith.mulf %s, %half : f32\n  %r = arith.addf %e, %t : f32\n"
            "  plan.yield %r : f32\n}";
  else if (f.bf16)
    store = "{\n^bb0(%s: f32):\n  %q = arith.truncf %s : f32 to bf16\n  plan.yield %q : bf16\n}";
  std::string left = matrix(f.m, f.pairK);
  std::string right = f.transposePair ? matrix(f.n, f.pairK) : matrix(f.pairK, f.n);
  std::string text = "plan.kernel @product {\n^bb0(%a: " + a + ", %b: " + b + ", %c: " + c;
  text += f.pairK ? ", %left: " + left + ", %right: " + right : "";
  text += f.residual ? ", %x: " + c : "";
  text += "):\n  %half = arith.constant 5.0e-01 : f32\n  plan.matmul %a, %b, %c";
  text += f.pairK ? " pair(%left, %right : " + left + ", " + right + ")" : "";
  text += f.residual ? " extras(%x : " + c + ")" : "";
  text += f.transposeA ? " transpose_a" : "";
  text += f.transposeB ? " transpose_b" : "";
  text += f.transposePair ? " transpose_pair" : "";
  return text + " : " + a + ", " + b + ", " + c + " read_a " + read + " read_b " + read + " store_c " + store + "\n}\n";
}

void checkProduct(const Form &f, const std::string &cpu, unsigned seed) {
  SCOPED_TRACE(cpu + ": " + std::to_string(f.m) + " x " + std::to_string(f.n) + " x " + std::to_string(f.k) +
               (f.transposeA ? " transpose_a" : "") + (f.transposeB ? " transpose_b" : "") + (f.bf16 ? " bf16" : "") +
               (f.residual ? " residual" : "") + " pair " + std::to_string(f.pairK) +
               (f.transposePair ? " transposed" : ""));
  JitKernel kernel(kernelText(f), targetFor(cpu, 3));
  std::mt19937 random(seed);
  Matrix a(f.bf16, f.m * f.k), b(f.bf16, f.k * f.n), x(f.bf16, f.m * f.n);
  Matrix left(f.bf16, f.m * f.pairK), right(f.bf16, f.pairK * f.n);
  for (Matrix *matrix : {&a, &b, &x, &left, &right})
    matrix->fill(random);
  std::vector<Matrix> results;
  for (unsigned threads : {1, 2, 3}) {
    Matrix &c = results.emplace_back(f.bf16, f.m * f.n);
    std::vector<void *> buffers{a.data(), b.data(), c.data()};
    if (f.pairK)
      buffers.insert(buffers.end(), {left.data(), right.data()});
    if (f.residual)
      buffers.push_back(x.data());
    ASSERT_TRUE(kernel.run(buffers, threads)) << "wrote past its scratch memory";
    ASSERT_TRUE(c == results.front()) << threads << " threads give other bits than one";
  }
  const Matrix &c = results.front();
  // All elements of small products, a sample of large ones that reaches every place of a tile.
  int64_t step = std::max<int64_t>(1, f.m * f.n * f.k / 100'000'000) * 2 - 1;
  for (int64_t place = 0; place < f.m * f.n; place += step) {
    int64_t i = place / f.n, j = place % f.n;
    double sum = 0, size = 0;
    auto add = [&](double product) {
      sum += product;
      size += std::abs(product);
    };
    for (int64_t p = 0; p < f.k; ++p)
      add(a[f.transposeA ? p * f.m + i : i * f.k + p] * b[f.transposeB ? j * f.k + p : p * f.n + j]);
    for (int64_t p = 0; p < f.pairK; ++p)
      add(left[i * f.pairK + p] * right[f.transposePair ? j * f.pairK + p : p * f.n + j]);
    double expected = f.residual ? x[i * f.n + j] + 0.5 * sum : sum;
    double tolerance = 1e-6 * size + 1e-6 + (f.bf16 ? std::abs(expected) / 256 : 0);
    ASSERT_NEAR(c[i * f.n + j], expected, tolerance) << "at " << i << ", " << j;
  }
}

TEST(Matmul, RandomShapesInAllForms) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int64_t> size(1, 200);
  for (const char *cpu : {"native", "x86-64-v3"})
    for (int i = 0; i < 12; ++i) {
      Form form{size(random), size(random), size(random), (i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i % 3) == 0};
      checkProduct(form, cpu, i);
      if (HasFatalFailure())
        return;
    }
}

TEST(Matmul, TinyAndThin) {
  const Form forms[] = {{1, 1, 1, false, false},  {1, 500, 3, false, true},  {500, 1, 17, true, false},
                        {12, 32, 16, true, true}, {13, 33, 1, false, false}, {6, 16, 8, true, false}};
  for (const char *cpu : {"native", "x86-64-v3"})
    for (const Form &form : forms) {
      checkProduct(form, cpu, 3);
      if (HasFatalFailure())
        return;
    }
}

TEST(Matmul, ManyBlocks) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (int transposed = 0; transposed < 3; ++transposed) {
      checkProduct({613, 391, 1100, transposed == 1, transposed == 2, transposed == 0, true}, cpu, 5);
      if (HasFatalFailure())
        return;
    }
}

// The sum is longer than what is packed at once: unfinished tiles wait in scratch memory.
TEST(Matmul, LongSums) {
  for (const char *cpu : {"native", "x86-64-v3"}) {
    checkProduct({1100, 2048, 2100, false, false, false, true}, cpu, 11);
    checkProduct({300, 64, 66000, true, false, true, false}, cpu, 11);
    if (HasFatalFailure())
      return;
  }
}

// One side of at most 16: the large factor is not packed. Rows, sums, and sums stored transposed; at edges of vectors,
// chunks and tasks.
TEST(Matmul, Narrow) {
  std::mt19937 random(17);
  std::uniform_int_distribution<int64_t> size(8, 300), narrow(1, 16);
  for (const char *cpu : {"native", "x86-64-v3"}) {
    for (int i = 0; i < 18; ++i) {
      int64_t wide = size(random), few = i % 3 ? narrow(random) : 8;
      Form rows{wide, few, size(random), false, (i & 1) != 0, (i & 2) != 0, (i & 4) != 0};
      Form sums{few, wide, size(random), true, false, (i & 2) != 0, (i & 4) != 0};
      Form transposed{wide, few, size(random), true, false, (i & 2) != 0, (i & 4) != 0};
      for (const Form &form : {rows, sums, transposed}) {
        checkProduct(form, cpu, i);
        if (HasFatalFailure())
          return;
      }
    }
    for (const Form &form : {Form{1024, 8, 1536, false, true}, Form{100, 8, 1600, false, false, false, true},
                             Form{8, 576, 1000, true, false}, Form{1536, 8, 1030, true, false, true, true}}) {
      checkProduct(form, cpu, 5);
      if (HasFatalFailure())
        return;
    }
  }
}

// A second product beside the first: of few terms and of many, at edges, and where tiles wait for the rest of their
// sums.
TEST(Matmul, Pairs) {
  std::mt19937 random(13);
  std::uniform_int_distribution<int64_t> size(1, 200), narrow(1, 40);
  for (const char *cpu : {"native", "x86-64-v3"}) {
    for (int i = 0; i < 12; ++i) {
      Form form{size(random), size(random), size(random), (i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i % 3) == 0};
      form.pairK = i < 4 ? 8 : narrow(random);
      form.transposePair = (i & 1) == 0;
      checkProduct(form, cpu, i);
      if (HasFatalFailure())
        return;
    }
    checkProduct({613, 2391, 300, false, true, false, true, 8, true}, cpu, 5);
    checkProduct({1100, 2048, 2100, false, false, false, true, 16, false}, cpu, 11);
    checkProduct({64, 5, 100, false, true, false, false, 8, true}, cpu, 3);
    if (HasFatalFailure())
      return;
  }
}

// Where nothing else is added, the pair's numbers are those of the two products apart.
TEST(Matmul, PairsAreTheProductsApart) {
  const Form wide{130, 200, 300, false, true, false, false};
  Form pair = wide, onto{130, 200, 8, false, true, false, true};
  pair.pairK = 8;
  pair.transposePair = true;
  std::mt19937 random(2);
  Matrix a(false, wide.m * wide.k), b(false, wide.n * wide.k), left(false, wide.m * 8), right(false, wide.n * 8);
  for (Matrix *matrix : {&a, &b, &left, &right})
    matrix->fill(random);
  Matrix first(false, wide.m * wide.n), apart(false, wide.m * wide.n), together(false, wide.m * wide.n);
  // The second product of kernelText is halved: twice its factor.
  Matrix twice = left;
  for (int64_t i = 0; i < wide.m * 8; ++i)
    twice.set(i, 2 * left[i]);
  cpu::CpuTarget target = targetFor("native", 2);
  ASSERT_TRUE(JitKernel(kernelText(wide), target).run({a.data(), b.data(), first.data()}, 2));
  ASSERT_TRUE(JitKernel(kernelText(onto), target).run({twice.data(), right.data(), apart.data(), first.data()}, 2));
  ASSERT_TRUE(
      JitKernel(kernelText(pair), target).run({a.data(), b.data(), together.data(), left.data(), right.data()}, 2));
  EXPECT_TRUE(apart == together);
}

TEST(Matmul, ScratchIsBounded) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (auto [m, n, k] : {std::array<int64_t, 3>{2048, 49152, 576}, {2048, 576, 49152}, {49152, 576, 2048}})
      EXPECT_LE(JitKernel(kernelText({m, n, k}), targetFor(cpu, 2)).scratchBytes(), int64_t(32) << 20);
}

} // namespace

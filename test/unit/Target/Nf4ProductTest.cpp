//===- Nf4ProductTest.cpp - Products that decode four bits as they pack ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JitKernel.h"
#include "TestMatrix.h"

#include "ftc/Support/Nf4.h"

#include <gtest/gtest.h>

using namespace ftc;
using namespace ftc::test;

namespace {

std::string vector(int64_t size, const char *element) { return "memref<" + std::to_string(size) + "x" + element + ">"; }
std::string matrix(int64_t rows, int64_t columns, bool bf16) {
  return "memref<" + std::to_string(rows) + "x" + std::to_string(columns) + (bf16 ? "xbf16>" : "xf32>");
}

const char *readSeam(bool bf16) {
  return bf16 ? "{\n^bb0(%e: bf16):\n  %f = arith.extf %e : bf16 to f32\n  plan.yield %f : f32\n}" : "{}";
}

/// The product of `m` rows with a weight of n × k (transposed) or k × n elements; in four bits, or as it decodes.
std::string kernelText(int64_t m, int64_t n, int64_t k, bool transpose, Nf4Format format, bool encoded) {
  int64_t elements = n * k;
  std::string a = matrix(m, k, format.bf16), c = matrix(m, n, false), store = "{}", read = "{}", b, scales, arguments;
  if (encoded) {
    std::string absmax = vector(nf4Blocks(elements), "i8"), nested = vector(nf4NestedBlocks(elements), "f32");
    b = vector(nf4CodeBytes(elements), "i8");
    arguments = ", %s: " + absmax + ", %n: " + nested + ", %o: memref<1xf32>";
    scales = std::string(" decode_b <") + (format.quantizer == Nf4Quantizer::Torchao ? "torchao" : "bitsandbytes") +
             (format.bf16 ? ", bf16>" : ", f32>") + " scales(%s, %n, %o : " + absmax + ", " + nested +
             ", memref<1xf32>)";
  } else {
    b = transpose ? matrix(n, k, format.bf16) : matrix(k, n, format.bf16);
    read = readSeam(format.bf16);
  }
  return "plan.kernel @product {\n^bb0(%a: " + a + ", %b: " + b + ", %c: " + c + arguments +
         "):\n  plan.matmul %a, %b, %c" + scales + (transpose ? " transpose_b" : "") + " : " + a + ", " + b + ", " + c +
         " read_a " + readSeam(format.bf16) + " read_b " + read + " store_c " + store + "\n}\n";
}

/// The product with a weight in four bits has the bits of that with the decoded weight, where the packed nest computes
/// both: above 16 rows or columns.
void checkProduct(int64_t m, int64_t n, int64_t k, bool transpose, Nf4Format format, const std::string &cpu) {
  SCOPED_TRACE(cpu + ": " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) +
               (transpose ? " transpose_b" : "") + (format.bf16 ? " bf16" : "") +
               (format.quantizer == Nf4Quantizer::Torchao ? " torchao" : " bitsandbytes"));
  const int64_t elements = n * k;
  std::mt19937 random(static_cast<unsigned>(m + n + k));
  Matrix weight(format.bf16, elements), a(format.bf16, m * k), decoded(format.bf16, elements);
  weight.fill(random);
  a.fill(random);
  std::vector<float> values(elements);
  for (int64_t i = 0; i < elements; ++i)
    values[i] = static_cast<float>(weight[i]);
  std::vector<uint8_t> codes(nf4CodeBytes(elements)), absmax(nf4Blocks(elements));
  std::vector<float> nested(nf4NestedBlocks(elements));
  float offset = 0;
  Nf4Arrays arrays{codes.data(), absmax.data(), nested.data(), &offset};
  Nf4Encoder(format, elements, arrays).append(values.data(), elements);
  nf4Decode(format, arrays, 0, elements, values.data());
  for (int64_t i = 0; i < elements; ++i)
    decoded.set(i, values[i]);

  JitKernel plain(kernelText(m, n, k, transpose, format, false), targetFor(cpu, 2));
  JitKernel encoded(kernelText(m, n, k, transpose, format, true), targetFor(cpu, 2));
  Matrix expected(false, m * n), c(false, m * n);
  ASSERT_TRUE(plain.run({a.data(), decoded.data(), expected.data()}, 2));
  for (unsigned threads : {1, 2}) {
    ASSERT_TRUE(encoded.run({a.data(), codes.data(), c.data(), absmax.data(), nested.data(), &offset}, threads));
    ASSERT_TRUE(c == expected);
  }
}

TEST(Nf4Product, HasTheBitsOfTheDecodedProduct) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (bool transpose : {true, false})
      for (bool bf16 : {false, true}) {
        checkProduct(70, 64, 768, transpose, {Nf4Quantizer::Torchao, bf16}, cpu);
        checkProduct(33, 200, 320, transpose, {Nf4Quantizer::Bitsandbytes, bf16}, cpu);
        if (HasFatalFailure())
          return;
      }
}

// Rows that are no multiple of a vector, or of a block; the last block and the last byte are cut off.
TEST(Nf4Product, OddSizes) {
  for (const char *cpu : {"native", "x86-64-v3"})
    for (bool transpose : {true, false})
      for (auto [n, k] : {std::pair<int64_t, int64_t>{23, 9}, {50, 37}, {120, 24}, {24, 120}, {100, 1}})
        checkProduct(5, n, k, transpose, {Nf4Quantizer::Bitsandbytes, n == 50}, cpu);
}

// More than is packed at once.
TEST(Nf4Product, ManyBlocks) {
  for (bool transpose : {true, false})
    checkProduct(40, 2304, 2112, transpose, {Nf4Quantizer::Bitsandbytes, false}, "native");
}

} // namespace

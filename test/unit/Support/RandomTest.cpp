//===- RandomTest.cpp - Known answers of the random numbers --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Random.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

using namespace ftc;
using Block = std::array<uint32_t, 4>;

// The known answers that the authors of Philox publish for Philox4x32-10: all zeros, all ones, digits of pi.
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, NameHashKnownAnswers) {
  EXPECT_EQ(hashName(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(hashName("a"), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(hashName("foobar"), 0x85944171f73967e8ull);
}

TEST(Random, BlocksAreKeyedAsDocumented) {
  uint64_t seed = 0x0123456789abcdefull, hash = hashName("w");
  EXPECT_EQ(CounterRandom(seed, "w").block(0x500000007ull),
            philox4x32({7, 5, uint32_t(hash), uint32_t(hash >> 32)}, {0x89abcdefu, 0x01234567u}));
}

TEST(Random, NormalsFollowTheDocumentedFormula) {
  CounterRandom random(7, "model.embed_tokens.weight");
  for (uint64_t i = 0; i < 2000; i += 2) {
    double radius = std::sqrt(-2 * std::log(random.uniform(i))), angle = 2 * M_PI * random.uniform(i + 1);
    EXPECT_NEAR(random.normal(i, 0.02), 0.02 * radius * std::cos(angle), 1e-8);
    EXPECT_NEAR(random.normal(i + 1, 0.02), 0.02 * radius * std::sin(angle), 1e-8);
  }
}

TEST(Random, FillingEqualsOneByOne) {
  CounterRandom random(1, "w");
  for (uint64_t first : {0, 1, 2, 3, 5}) {
    for (uint64_t count : {0, 1, 3, 4, 9, 16}) {
      std::vector<float> out(count + 1, -99.0f);
      random.fillNormal(out.data(), first, count, 0.5);
      for (uint64_t k = 0; k < count; ++k)
        EXPECT_EQ(out[k], random.normal(first + k, 0.5));
      EXPECT_EQ(out[count], -99.0f);
    }
  }
}

// The bits themselves, so that a change of compiler, flags or code cannot pass unnoticed.
TEST(Random, NormalBitsArePinned) {
  std::vector<float> values(1 << 16);
  CounterRandom(42, "model.layers.0.mlp.up_proj.weight").fillNormal(values.data(), 0, values.size(), 0.02);
  std::string_view bytes(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float));
  EXPECT_EQ(hashName(bytes), 8066671820528608044ull);
}

TEST(Random, MomentsAreThoseOfANormal) {
  std::vector<float> values(1 << 18);
  CounterRandom(3, "moments").fillNormal(values.data(), 0, values.size());
  double mean = 0, square = 0, fourth = 0;
  for (float x : values) {
    mean += x;
    square += double(x) * x;
    fourth += double(x) * x * x * x;
  }
  double n = double(values.size());
  EXPECT_NEAR(mean / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(square / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
}

TEST(Random, DropoutBitsArePinned) {
  EXPECT_EQ(mix64(1), 0x5692161D100B05E5u);
  EXPECT_EQ(mix32(1), 0x688990C0u);
  std::string kept;
  const uint64_t key = dropoutKey(7, hashName("model.layers.0.mlp.up_proj.lora_dropout"), 3, 1, 5);
  for (uint32_t column = 0; column < 64; ++column)
    kept += keepsElement(key, column, dropoutThreshold(0.25)) ? '1' : '0';
  EXPECT_EQ(kept, "0111111011101011111011111110111101110111001011110000111101111101");
}

/// Kept parts have the mean and the spread of coins, over rows, columns, and pairs of neighbours in either direction;
/// other seeds, steps, micro-batches and names give other coins.
TEST(Random, DropoutIsFair) {
  const double p = 0.1;
  const uint32_t threshold = dropoutThreshold(p), rows = 512, columns = 512;
  auto kept = [&](uint64_t seed, const char *name, uint64_t step, uint64_t micro, uint32_t row, uint32_t column) {
    return keepsElement(dropoutKey(seed, hashName(name), step, micro, row), column, threshold);
  };
  double all = 0, right = 0, below = 0, other[4] = {};
  std::vector<double> byRow(rows), byColumn(columns);
  for (uint32_t row = 0; row < rows; ++row)
    for (uint32_t column = 0; column < columns; ++column) {
      const bool here = kept(1, "a", 1, 0, row, column);
      all += here;
      byRow[row] += here;
      byColumn[column] += here;
      right += !here && !kept(1, "a", 1, 0, row, column + 1);
      below += !here && !kept(1, "a", 1, 0, row + 1, column);
      other[0] += !here && !kept(2, "a", 1, 0, row, column);
      other[1] += !here && !kept(1, "b", 1, 0, row, column);
      other[2] += !here && !kept(1, "a", 2, 0, row, column);
      other[3] += !here && !kept(1, "a", 1, 1, row, column);
    }
  const double n = double(rows) * columns, pair = p * p;
  EXPECT_NEAR(all / n, 1 - p, 5 * std::sqrt(p * (1 - p) / n));
  for (double both : {right, below, other[0], other[1], other[2], other[3]})
    EXPECT_NEAR(both / n, pair, 5 * std::sqrt(pair * (1 - pair) / n));
  for (const auto &counts : {byRow, byColumn}) {
    double chi = 0;
    for (double count : counts)
      chi += std::pow(count - counts.size() * (1 - p), 2) / (counts.size() * p * (1 - p));
    EXPECT_NEAR(chi, counts.size(), 5 * std::sqrt(2.0 * counts.size()));
  }
  EXPECT_EQ(dropoutThreshold(0), 0u); // keeps everything
}

TEST(Random, StreamsDiffer) {
  EXPECT_NE(CounterRandom(0, "a").block(0), CounterRandom(0, "b").block(0));
  EXPECT_NE(CounterRandom(0, "a").block(0), CounterRandom(1, "a").block(0));
  EXPECT_NE(CounterRandom(0, "a").block(0), CounterRandom(1ull << 32, "a").block(0));
  for (uint64_t i = 0; i < 1000; ++i)
    EXPECT_LT(CounterRandom(0, "a").below(i, 10), 10u);
}

// As a second implementation of the documented formula, in Python's whole numbers, gives them.
TEST(Random, RoundingBitsKnownAnswers) {
  EXPECT_EQ(roundingBits(0x0u, 0x0u, 0x0u, 0, 0), 0xae08u);
  EXPECT_EQ(roundingBits(0x2au, 0x1u, 0xcbf29ce484222325u, 0, 0), 0x4009u);
  EXPECT_EQ(roundingBits(0x2au, 0x1u, 0xcbf29ce484222325u, 0, 1), 0xb7fau);
  EXPECT_EQ(roundingBits(0xffffffffffffffffu, 0x10000000000u, 0x7u, 123456, 4095), 0x86a6u);
}

TEST(Random, RoundingBitsAreSpreadEvenly) {
  // Each of the 16 bits is set half of the time, along columns and along steps; the mean is that of a fair draw.
  for (bool alongColumns : {true, false}) {
    constexpr int count = 1 << 16;
    int set[16] = {};
    double sum = 0;
    for (int i = 0; i < count; ++i) {
      uint32_t bits = alongColumns ? roundingBits(1, 2, 3, 4, i) : roundingBits(1, i, 3, 4, 5);
      ASSERT_LT(bits, 0x10000u);
      sum += bits;
      for (int bit = 0; bit < 16; ++bit)
        set[bit] += bits >> bit & 1;
    }
    for (int bit = 0; bit < 16; ++bit)
      EXPECT_NEAR(set[bit], count / 2, 5 * 128) << bit; // 5 standard deviations
    EXPECT_NEAR(sum / count, 32767.5, 5 * 18918 / 256.0);
  }
}

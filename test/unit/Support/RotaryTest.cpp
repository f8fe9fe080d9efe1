//===- RotaryTest.cpp - Rotary tables against the formula ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Rotary.h"
#include "ftc/Support/PlainMath.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace ftc;

TEST(Rotary, PlainFrequencies) {
  std::vector<double> frequencies = rotaryFrequencies(64, 10000);
  ASSERT_EQ(frequencies.size(), 32u);
  for (size_t i = 0; i < 32; ++i)
    EXPECT_NEAR(frequencies[i] / std::pow(10000.0, -2.0 * double(i) / 64), 1, 1e-14);
}

TEST(Rotary, Llama3Scaling) {
  RopeScaling scaling;
  scaling.factor = 32;
  std::vector<double> plain = rotaryFrequencies(64, 500000), scaled = rotaryFrequencies(64, 500000, scaling);
  int kept = 0, divided = 0, between = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    double wavelength = 2 * M_PI / plain[i];
    if (wavelength < 2048) {
      ++kept;
      EXPECT_EQ(scaled[i], plain[i]);
    } else if (wavelength > 8192) {
      ++divided;
      EXPECT_EQ(scaled[i], plain[i] / 32);
    } else {
      ++between;
      double smooth = (8192 / wavelength - 1) / 3;
      EXPECT_NEAR(scaled[i] / ((1 - smooth) * plain[i] / 32 + smooth * plain[i]), 1, 1e-14);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(divided, 0);
  EXPECT_GT(between, 0);
}

TEST(Rotary, LinearScalingDividesAllAngles) {
  std::vector<double> plain = rotaryFrequencies(256, 1e6), scaled = rotaryFrequencies(256, 1e6, linearScaling(8));
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_EQ(scaled[i], plain[i] / 8) << i;
  EXPECT_EQ(rotaryFrequencies(64, 10000, linearScaling(1)), rotaryFrequencies(64, 10000));
}

TEST(Rotary, FactorOneIsNoScaling) {
  RopeScaling scaling;
  scaling.factor = 1;
  EXPECT_EQ(rotaryFrequencies(128, 500000, scaling), rotaryFrequencies(128, 500000));
}

TEST(Rotary, LongRopeDividesEachAngleByItsOwn) {
  const std::vector<double> divisors = {1, 1.5, 2, 4};
  const RopeScaling scaling = longRope(divisors, 4096, 131072);
  std::vector<double> plain = rotaryFrequencies(8, 10000), scaled = rotaryFrequencies(8, 10000, scaling);
  ASSERT_EQ(scaled.size(), 4u);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(scaled[i], plain[i] / divisors[i]) << i;
  EXPECT_NEAR(scaling.amplitude, std::sqrt(1 + std::log(32) / std::log(4096)), 1e-15);
  EXPECT_NEAR(scaling.amplitude, 1.1902380714238083, 1e-15); // Phi-4 mini's
  RotaryTables tables = rotaryTables(50, 8, 10000, scaling);
  for (size_t t = 0; t < 50; ++t)
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(tables.cos[t * 4 + i], scaling.amplitude * std::cos(double(t) * scaled[i]), 6.2e-8);
      EXPECT_NEAR(tables.sin[t * 4 + i], scaling.amplitude * std::sin(double(t) * scaled[i]), 6.2e-8);
    }
  EXPECT_EQ(longRope(divisors, 4096, 4096).amplitude, 1);
  EXPECT_EQ(longRope(divisors, 4096, 2048).amplitude, 1);
}

TEST(Rotary, TablesAreRoundedCosinesAndSines) {
  RopeScaling scaling;
  scaling.factor = 8;
  RotaryTables tables = rotaryTables(3000, 16, 500000, scaling);
  std::vector<double> frequencies = rotaryFrequencies(16, 500000, scaling);
  ASSERT_EQ(tables.positions, 3000);
  ASSERT_EQ(tables.columns, 8);
  ASSERT_EQ(tables.cos.size(), 3000u * 8);
  ASSERT_EQ(tables.sin.size(), 3000u * 8);
  for (size_t t = 0; t < 3000; ++t) {
    for (size_t i = 0; i < 8; ++i) {
      // Half a unit of a float below 1, and the error of the doubles.
      EXPECT_NEAR(tables.cos[t * 8 + i], std::cos(double(t) * frequencies[i]), 3.1e-8);
      EXPECT_NEAR(tables.sin[t * 8 + i], std::sin(double(t) * frequencies[i]), 3.1e-8);
    }
  }
}

TEST(PlainMath, AgreesWithTheLibrary) {
  double tiny = std::numeric_limits<double>::epsilon();
  for (int i = 1; i <= 200000; ++i) {
    double x = i * 0x1p-17 * (1 + i * 1e-9);
    EXPECT_NEAR(plainLog(x), std::log(x), 2 * tiny * std::max(std::abs(std::log(x)), 1e-6));
    double large = x * 600 - 300;
    EXPECT_NEAR(plainExp(large) / std::exp(large), 1, 4 * tiny);
    double sine, cosine;
    plainSinCos(x * 131072, sine, cosine);
    EXPECT_NEAR(sine, std::sin(x * 131072), 2 * tiny);
    EXPECT_NEAR(cosine, std::cos(x * 131072), 2 * tiny);
  }
  EXPECT_EQ(plainLog(1), 0);
  EXPECT_EQ(plainExp(0), 1);
}

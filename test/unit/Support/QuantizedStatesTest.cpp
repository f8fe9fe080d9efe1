//===- QuantizedStatesTest.cpp - Maps of quantized moments ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/QuantizedStates.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>

using namespace ftc;

namespace {

class Maps : public testing::TestWithParam<std::tuple<StateFormat, bool>> {
protected:
  const StateMap &map = stateMap(std::get<0>(GetParam()), std::get<1>(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(All, Maps,
                         testing::Combine(testing::Values(StateFormat::Bitsandbytes8, StateFormat::Torchao8,
                                                          StateFormat::Torchao4),
                                          testing::Bool()));

TEST_P(Maps, NumbersAscendFromEndToEnd) {
  bool isSigned = std::get<1>(GetParam());
  EXPECT_EQ(map.values.back(), 1);
  const bool fourBits = std::get<0>(GetParam()) == StateFormat::Torchao4;
  EXPECT_EQ(map.count, fourBits ? 16 : 256);
  EXPECT_EQ(map.values[map.count - 1], 1);
  if (!isSigned)
    EXPECT_EQ(map.values.front(), fourBits ? 0.0625f : 0.0f);
  EXPECT_EQ(map.values.front() < -0.8f, isSigned);
  for (int i = 1; i < map.count; ++i) {
    EXPECT_LT(map.values[i - 1], map.values[i]);
    EXPECT_LE(map.starts[i - 1], map.starts[i]);
  }
}

TEST_P(Maps, CodesAreNearest) {
  bool grid = std::get<0>(GetParam()) == StateFormat::Bitsandbytes8;
  for (int i = 0; i <= 20000; ++i) {
    float x = (std::get<1>(GetParam()) ? -1.0f : 0.0f) +
              static_cast<float>(i) / (std::get<1>(GetParam()) ? 10000.0f : 20000.0f);
    float own = std::abs(map.values[map.code(x)] - x), best = 2;
    for (float value : map.values)
      best = std::min(best, std::abs(value - x));
    // bitsandbytes rounds to a grid of 2/65535 first.
    EXPECT_LE(own, best + (grid ? 3.1e-5f : 1e-9f)) << x;
  }
  EXPECT_EQ(map.code(NAN), 0);
}

TEST_P(Maps, BucketsGiveTheSameCodes) {
  StateBuckets buckets = bucketsOf(map);
  auto check = [&](float x) {
    int32_t b = StateBuckets::bucket(x);
    ASSERT_EQ(x >= buckets.starts[b] ? buckets.codes[b] >> 8 : buckets.codes[b] & 255, int(map.code(x))) << x;
  };
  for (float start : map.starts)
    if (std::abs(start) <= 1) {
      check(start);
      check(std::nextafter(start, -1.0f));
      check(std::nextafter(start, 1.0f));
    }
  for (uint32_t bits = 0; bits <= 0x3f800000u; bits += 1021) {
    check(std::bit_cast<float>(bits));
    check(-std::bit_cast<float>(bits));
  }
  check(1.0f);
  check(-1.0f);
}

} // namespace

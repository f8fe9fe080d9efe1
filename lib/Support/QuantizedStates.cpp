//===- QuantizedStates.cpp - Moments of few bits ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/QuantizedStates.h"

#include "ftc/Support/Nf4.h"
#include "lib/Support/DynamicMap.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>

namespace ftc {

static constexpr float infinity = std::numeric_limits<float>::infinity();

/// torch.linspace(0.1, 1, count)[i], in its arithmetic.
static float linspace(int64_t i, int64_t count) {
  const float start = 0.1f, end = 1.0f, step = (end - start) / static_cast<float>(count - 1);
  return i < count / 2 ? start + step * static_cast<float>(i) : end - step * static_cast<float>(count - 1 - i);
}

/// The dynamic map without negative numbers (bitsandbytes' and torchao's `create_dynamic_map(signed=False)`): a decade
/// has two parts at 1e-6 and twice as many in each one above; then come 0 and 1.
static std::array<float, 256> unsignedMap() {
  const float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
  std::array<float, 256> numbers{};
  size_t used = 0;
  numbers[used++] = 0;
  numbers[used++] = 1;
  for (int exponent = 0; exponent < 7; ++exponent)
    for (int i = 0, n = 2 << exponent; i < n; ++i)
      numbers[used++] = powers[exponent] * ((linspace(i, n + 1) + linspace(i + 1, n + 1)) / 2.0f);
  assert(used == numbers.size());
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// torchao's dynamic map of 16 numbers (`create_dynamic_map(True, 3, 4)`): one part at 1e-2, two at 1e-1, four at 1, of
/// either sign, then 0 and 1; or, without a sign, sixteenths.
static std::array<float, 16> fourBitMap(bool isSigned) {
  std::array<float, 16> numbers{};
  size_t used = 0;
  if (!isSigned) {
    for (float &number : numbers)
      number = static_cast<float>(++used) / 16.0f;
    return numbers;
  }
  const float powers[] = {1e-2f, 1e-1f, 1.0f};
  numbers[used++] = 0;
  numbers[used++] = 1;
  for (int exponent = 0; exponent < 3; ++exponent)
    for (int i = 0, n = 1 << exponent; i < n; ++i) {
      float number = powers[exponent] * ((linspace(i, n + 1) + linspace(i + 1, n + 1)) / 2.0f);
      numbers[used++] = number;
      numbers[used++] = -number;
    }
  assert(used == numbers.size());
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// As `quantize_8bit_with_qmap` and `quantize_4bit_with_qmap`.
static int torchaoCode(const StateMap &of, float x) {
  const float *map = of.values.data();
  int code = static_cast<int>(std::upper_bound(map, map + of.count, x) - map) - 1;
  code = std::max(code, 0);
  int above = std::min(code + 1, of.count - 1);
  return x - map[code] >= (map[above] - map[code]) * 0.5f ? above : code;
}

/// f32 as whole numbers in the same order.
static int64_t ordered(float x) {
  auto bits = std::bit_cast<int32_t>(x);
  return bits >= 0 ? bits : -static_cast<int64_t>(bits & 0x7fffffff);
}

static float fromOrdered(int64_t number) {
  return number >= 0 ? std::bit_cast<float>(static_cast<int32_t>(number))
                     : -std::bit_cast<float>(static_cast<int32_t>(-number));
}

uint8_t StateMap::code(float x) const {
  auto end = std::upper_bound(starts.begin() + 1, starts.end(), x);
  return std::isnan(x) ? 0 : static_cast<uint8_t>(end - starts.begin() - 1);
}

static StateMap makeMap(StateFormat format, bool isSigned) {
  StateMap map;
  if (format == StateFormat::Torchao4) {
    map.count = 16;
    map.values.fill(1);
    std::ranges::copy(fourBitMap(isSigned), map.values.begin());
  } else {
    map.values = isSigned ? nf4ScaleMap() : unsignedMap();
  }
  auto code = [&](float x) {
    return format == StateFormat::Bitsandbytes8 ? codeByGrid(map.values, x) : torchaoCode(map, x);
  };
  map.starts.fill(infinity);
  map.starts[0] = -infinity;
  for (int i = 1; i < map.count; ++i) {
    int64_t below = ordered(-1.0f), last = ordered(1.0f);
    if (code(-1.0f) >= i || code(1.0f) < i) {
      map.starts[i] = code(1.0f) < i ? infinity : -infinity;
      continue;
    }
    while (last - below > 1) {
      int64_t middle = below + (last - below) / 2;
      (code(fromOrdered(middle)) >= i ? last : below) = middle;
    }
    map.starts[i] = fromOrdered(last);
  }
  return map;
}

const StateMap &stateMap(StateFormat format, bool isSigned) {
  static const StateMap maps[] = {makeMap(StateFormat::Bitsandbytes8, false), makeMap(StateFormat::Bitsandbytes8, true),
                                  makeMap(StateFormat::Torchao8, false),      makeMap(StateFormat::Torchao8, true),
                                  makeMap(StateFormat::Torchao4, false),      makeMap(StateFormat::Torchao4, true)};
  return maps[2 * static_cast<int>(format) + isSigned];
}

int32_t StateBuckets::bucket(float x) {
  auto bits = std::bit_cast<int32_t>(x);
  int32_t key = std::clamp((bits & 0x7fffffff) >> 16, firstKey, firstKey + perSign - 1) - firstKey;
  return bits < 0 ? key + perSign : key;
}

StateBuckets bucketsOf(const StateMap &map) {
  StateBuckets buckets;
  for (bool negative : {false, true})
    for (int32_t key = 0; key < StateBuckets::perSign; ++key) {
      int32_t shifted = key + StateBuckets::firstKey;
      // The smallest and the largest magnitude of the bucket.
      float low = key == 0 ? 0.0f : std::bit_cast<float>(shifted << 16);
      float high = key == StateBuckets::perSign - 1 ? 1.0f : std::bit_cast<float>((shifted << 16) | 0xffff);
      float first = negative ? -high : low, last = negative ? -low : high;
      int32_t code = map.code(first), above = map.code(last);
      assert((code == above || map.starts[code + 1] == map.starts[above]) && "two changes of code in one bucket");
      buckets.codes.push_back(code | above << 8);
      buckets.starts.push_back(above > code ? map.starts[above] : infinity);
    }
  return buckets;
}

} // namespace ftc

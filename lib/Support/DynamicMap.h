//===- DynamicMap.h - bitsandbytes' look-up of 8-bit codes --------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_SUPPORT_DYNAMICMAP_H
#define FTC_LIB_SUPPORT_DYNAMICMAP_H

#include <algorithm>
#include <array>
#include <cstdint>

namespace ftc {

/// bitsandbytes' 8-bit code for a number in [-1, 1]: the nearest of the (ascending) map to the nearest of 65536 evenly
/// spaced numbers, as the library for CPUs looks it up.
inline uint8_t codeByGrid(const std::array<float, 256> &map, float value) {
  auto place = static_cast<uint32_t>((value + 1.0f) * 0.5f * 65535.0f + 0.5f);
  float grid = static_cast<float>(place) * (2.0f / 65535.0f) - 1.0f;
  auto above = std::upper_bound(map.begin(), map.end(), grid);
  if (above == map.begin())
    return 0;
  if (above == map.end())
    return 255;
  bool up = *above - grid < grid - above[-1];
  return static_cast<uint8_t>(above - map.begin() - (up ? 0 : 1));
}

} // namespace ftc

#endif // FTC_LIB_SUPPORT_DYNAMICMAP_H

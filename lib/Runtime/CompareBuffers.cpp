//===- CompareBuffers.cpp - How far two results are apart ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/CompareBuffers.h"

#include "ftc/Runtime/LoadedStep.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>

namespace ftc {
namespace {

using manifest::ElementType;

bool holdsFloats(ElementType type) { return type == ElementType::F32 || type == ElementType::BF16; }

double floatAt(ElementType type, const std::byte *bytes) {
  uint32_t bits = 0;
  if (type == ElementType::F32)
    std::memcpy(&bits, bytes, 4);
  else
    std::memcpy(reinterpret_cast<std::byte *>(&bits) + 2, bytes, 2);
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

} // namespace

BufferDistance distanceOf(ElementType type, const std::byte *ours, const std::byte *reference, uint64_t bytes) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const uint64_t size = elementSize(type);
  BufferDistance distance;
  distance.elements = bytes / size;
  const bool equal = std::memcmp(ours, reference, bytes) == 0;
  if (equal)
    return distance;
  double difference = 0, whole = 0, largestDifference = 0, largest = 0;
  for (uint64_t index = 0; index < distance.elements; ++index) {
    const std::byte *x = ours + index * size, *y = reference + index * size;
    const bool same = std::memcmp(x, y, size) == 0;
    if (!same && distance.differing++ == 0)
      distance.first = index;
    if (!holdsFloats(type))
      continue;
    const double b = floatAt(type, y);
    if (std::isfinite(b)) {
      whole += b * b;
      largest = std::max(largest, std::abs(b));
    }
    if (same)
      continue;
    const double a = floatAt(type, x);
    if (std::isnan(a) && std::isnan(b))
      continue;
    const double apart = std::isfinite(a) && std::isfinite(b) ? std::abs(a - b) : infinity;
    difference += apart * apart;
    largestDifference = std::max(largestDifference, apart);
  }
  if (difference > 0) { // 0 and -0 differ in a bit and in nothing else
    distance.ofNorm = whole > 0 ? std::sqrt(difference / whole) : infinity;
    distance.ofLargest = largest > 0 ? largestDifference / largest : infinity;
  }
  return distance;
}

DistanceBars barsOf(ElementType type) {
  switch (type) {
  case ElementType::F32:
    return {1e-5, 1e-4, 0};
  case ElementType::BF16:
    return {2e-2, 5e-2, 0};
  case ElementType::U8:
    return {0, 0, 0.02};
  case ElementType::I32:
  case ElementType::I64:
    break;
  }
  return {0, 0, 0};
}

bool isWithin(ElementType type, const BufferDistance &distance) {
  const DistanceBars bars = barsOf(type);
  if (holdsFloats(type))
    return distance.ofNorm <= bars.ofNorm && distance.ofLargest <= bars.ofLargest;
  return static_cast<double>(distance.differing) <= bars.differing * static_cast<double>(distance.elements);
}

std::string describe(ElementType type, const BufferDistance &distance) {
  const DistanceBars bars = barsOf(type);
  const std::string elements =
      fmt::format("{} of {} elements differ, from {} on", distance.differing, distance.elements, distance.first);
  if (!holdsFloats(type))
    return fmt::format("{} (bar {:g} % of them)", elements, 100 * bars.differing);
  return fmt::format("apart by {:.1e} of its norm (bar {:.0e}) and {:.1e} of its largest (bar {:.0e}), {}",
                     distance.ofNorm, bars.ofNorm, distance.ofLargest, bars.ofLargest, elements);
}

} // namespace ftc

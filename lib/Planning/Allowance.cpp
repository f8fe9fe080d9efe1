//===- Allowance.cpp - How much may be kept so that all fits --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Allowance.h"

#include <algorithm>

using namespace ftc;

Allowance ftc::largestFitting(int64_t most, int64_t budget, const std::function<int64_t(int64_t)> &measure, int tries) {
  Allowance above{most, measure(most)}; // does not fit
  if (above.total <= budget)
    return above;
  Allowance below{-1, 0}; // fits, once it is not negative
  const int64_t close = budget / 256;
  bool stairs = false; // the last try changed nothing
  for (int i = 1; i < tries; ++i) {
    bool known = below.kept >= 0;
    // A little more allowed may be one more value kept, which is large.
    if (known && (budget - below.total <= close || above.kept - below.kept <= close / 8))
      return below;
    // The least and the most that the next one can be.
    int64_t low = known ? below.kept + (budget - below.total) : 0, next = above.kept - (above.total - budget);
    if (known && (next <= below.kept || low >= above.kept || low > next))
      low = below.kept, next = below.kept + (above.kept - below.kept) / 2;
    // Where another allowance gave the same plan, stairs are wider than what is thought.
    if (stairs)
      next = low + (next - low) / 2;
    // The third: whether anything fits at all.
    next = known || i != 2 ? std::max<int64_t>(next, 0) : 0;
    Allowance tried{next, measure(next)};
    stairs = tried.total == above.total || tried.total == below.total;
    if (tried.total <= budget)
      below = tried;
    else if (next == 0)
      return tried;
    else
      above = tried;
  }
  if (below.kept < 0)
    below = {0, measure(0)};
  return below;
}

//===- Suggest.h - Did you mean ...? -------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_SUGGEST_H
#define FTC_SUPPORT_SUGGEST_H

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// Number of insertions, deletions, substitutions and swaps of neighbours (each letter touched once) that turn `a` into
/// `b`: the "optimal string alignment" distance. Case counts.
size_t editDistance(std::string_view a, std::string_view b);

/// The candidate nearest to `word` (case ignored), or nothing when none is near enough to be a slip of the pen (a third
/// of the word's letters, at least one). The first of equally near ones wins.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string> &candidates);

} // namespace ftc

#endif // FTC_SUPPORT_SUGGEST_H

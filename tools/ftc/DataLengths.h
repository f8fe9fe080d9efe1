//===- DataLengths.h - Lengths that the data decide -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TOOLS_FTC_DATALENGTHS_H
#define FTC_TOOLS_FTC_DATALENGTHS_H

#include "ftc/Config/Recipe.h"

#include <string>
#include <vector>

namespace ftc {

/// What the data say of a recipe's lengths.
struct DataLengths {
  std::string table;  ///< the lengths, with the shares of batches and positions, as people read them
  double seconds = 0; ///< that reading took
};

/// parseRecipe, with `data` to decide what a recipe leaves open: tokenizer.max_seq_len is what the longest sample
/// needs, sequence_lengths are those that compute the fewest positions. The recipe is that of these two overrides (and
/// of tokenizer.truncation=False, where the first was null), so nothing else of the data enters a step.
std::optional<Recipe> parseRecipeFor(const std::vector<std::string> &data, const std::string &text,
                                     const std::string &fileName, const std::vector<std::string> &overrides,
                                     DataLengths &lengths, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_TOOLS_FTC_DATALENGTHS_H

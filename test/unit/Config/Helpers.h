//===- Helpers.h - Recipes to test with ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_CONFIG_HELPERS_H
#define FTC_TEST_UNIT_CONFIG_HELPERS_H

#include "ftc/Config/Recipe.h"

#include <gtest/gtest.h>

/// A recipe with nothing but what is required; line 1 is "model:", line 9 "tokenizer:".
inline const char *const minimal = "model:\n"
                                   "  _component_: torchtune.models.llama3_1.llama3_1\n"
                                   "  vocab_size: 512\n"
                                   "  num_layers: 2\n"
                                   "  num_heads: 4\n"
                                   "  num_kv_heads: 2\n"
                                   "  embed_dim: 64\n"
                                   "  max_seq_len: 128\n"
                                   "tokenizer:\n"
                                   "  max_seq_len: 32\n";

/// Parses; fails the test if that gives an error.
inline ftc::Recipe good(const std::string &text, const std::vector<std::string> &overrides = {}) {
  std::vector<ftc::Diagnostic> diags;
  std::optional<ftc::Recipe> recipe = ftc::parseRecipe(text, "r.yaml", overrides, diags);
  for (const ftc::Diagnostic &message : diags)
    ADD_FAILURE() << message.str();
  return recipe.value_or(ftc::Recipe());
}

/// All errors of a recipe, a line each, without the last newline. Fails the test if there is none.
inline std::string errors(const std::string &text, const std::vector<std::string> &overrides = {}) {
  std::vector<ftc::Diagnostic> diags;
  std::optional<ftc::Recipe> recipe = ftc::parseRecipe(text, "r.yaml", overrides, diags);
  EXPECT_FALSE(recipe.has_value());
  EXPECT_FALSE(diags.empty());
  std::string result;
  for (const ftc::Diagnostic &message : diags)
    result += (result.empty() ? "" : "\n") + message.str();
  return result;
}

inline std::string remarks(const ftc::Recipe &recipe) {
  std::string result;
  for (const ftc::Diagnostic &message : recipe.remarks)
    result += (result.empty() ? "" : "\n") + message.str();
  return result;
}

inline testing::AssertionResult contains(const std::string &text, const std::string &part) {
  if (text.find(part) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << part << "' is not in:\n" << text;
}

#endif // FTC_TEST_UNIT_CONFIG_HELPERS_H

//===- Regex.h - Patterns of tokenizer.json ---------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PIPELINE_REGEX_H
#define FTC_LIB_TOKENIZER_PIPELINE_REGEX_H

#include "Part.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ftc::pipeline {

/// A part of a text, and whether a pattern matches it.
struct Match {
  size_t begin, end;
  bool isMatch;
};

/// Text that is looked for: {"String": TEXT} or {"Regex": PATTERN}, which is one of Oniguruma's in Ruby's syntax. PCRE2
/// runs it, after what the two read differently is written for PCRE2 (\s, \w, \h, [:punct:], {,n}) or refused.
class Pattern {
public:
  /// Throws a Problem.
  explicit Pattern(const Part &part);
  /// A pattern in PCRE2's syntax, of this program.
  static Pattern ofPcre(const char *pattern);
  Pattern(Pattern &&) noexcept;
  ~Pattern();

  /// All of `text`, valid UTF-8, in order: what matches, and what is between. `out` is cleared before.
  void split(std::string_view text, std::vector<Match> &out) const;

private:
  Pattern();
  struct Code;
  std::string literal;
  std::unique_ptr<Code> code; ///< null: `literal` is looked for
};

/// Inside of [] in PCRE2's syntax: space as Unicode defines White_Space; characters of words as Unicode does (but for
/// what only joins characters), which is Oniguruma's [:word:], and [\w]; and those of its \w outside of brackets, which
/// are six of Latin-1 more.
#define FTC_ONIG_SPACE "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define FTC_UNICODE_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define FTC_ONIG_WORD FTC_UNICODE_WORD "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

} // namespace ftc::pipeline

#endif // FTC_LIB_TOKENIZER_PIPELINE_REGEX_H

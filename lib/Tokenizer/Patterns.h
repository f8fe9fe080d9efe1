//===- Patterns.h - How text is cut into pieces -------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PATTERNS_H
#define FTC_LIB_TOKENIZER_PATTERNS_H

namespace ftc {

// \s as Unicode defines White_Space: PCRE2's own has one character more (U+180E).
#define FTC_SPACE "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define FTC_PIECES(NUMBERS)                                                                                            \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)"                                                                                       \
  "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"                                                                                     \
  "|" NUMBERS "| ?[^" FTC_SPACE "\\p{L}\\p{N}]+[\\r\\n]*"                                                              \
  "|[" FTC_SPACE "]*[\\r\\n]+"                                                                                         \
  "|[" FTC_SPACE "]+(?![^" FTC_SPACE "])"                                                                              \
  "|[" FTC_SPACE "]+"

/// Llama 3's: of digits, up to three are a piece.
inline constexpr const char *llama3Pattern = FTC_PIECES("\\p{N}{1,3}");
/// Qwen2's: each digit is a piece.
inline constexpr const char *qwen2Pattern = FTC_PIECES("\\p{N}");

/// GPT-2's as torchtune has it: words are of letters, digits and '_', contractions of lower case, and \s is Python's,
/// which has four control characters more.
#define FTC_PYTHON_SPACE FTC_SPACE "\\x1C-\\x1F"
inline constexpr const char *gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d"
                                           "| ?[\\p{L}\\p{N}_]+"
                                           "| ?[^" FTC_PYTHON_SPACE "\\p{L}\\p{N}_]+"
                                           "|[" FTC_PYTHON_SPACE "]+(?![^" FTC_PYTHON_SPACE "])"
                                           "|[" FTC_PYTHON_SPACE "]+";

#undef FTC_PYTHON_SPACE
#undef FTC_PIECES
#undef FTC_SPACE

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_PATTERNS_H

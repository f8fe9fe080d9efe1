//===- Utf8.h - Characters of UTF-8 -------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_UTF8_H
#define FTC_LIB_TOKENIZER_UTF8_H

#include <cstdint>
#include <string>
#include <string_view>

namespace ftc {

/// Length of the well-formed character at the front of `bytes` (Unicode 15, table 3-7), or minus the length of the
/// longest front that could have begun one, at least 1. `bytes` is not empty.
int characterLength(std::string_view bytes);

/// The number of the well-formed character at the front of `bytes`, which is `length` bytes long.
uint32_t characterAt(std::string_view bytes, int length);

/// Whether Python takes a character for a space: White_Space of Unicode, and U+001C to U+001F.
bool isSpace(uint32_t character);

/// Unicode's normalization forms (UAX #15): D takes characters apart into letters and marks, C puts them together, and
/// with K characters that are only written differently become one.
enum class UnicodeForm { C, D, KC, KD };

/// `text` in a normalization form. Bytes that are no UTF-8 stay where they are.
std::string inForm(std::string_view text, UnicodeForm form);

/// `text` in form C.
inline std::string composed(std::string_view text) { return inForm(text, UnicodeForm::C); }

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_UTF8_H

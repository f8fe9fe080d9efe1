//===- Utf8.cpp - Characters of UTF-8 -------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Utf8.h"

#include "ftc/Tokenizer/Tokenizer.h"

using namespace ftc;

int ftc::characterLength(std::string_view bytes) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned char lead = at(0);
  if (lead < 0x80)
    return 1;
  int length = lead >= 0xC2 && lead <= 0xDF   ? 2
               : lead >= 0xE0 && lead <= 0xEF ? 3
               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                              : 0;
  if (!length)
    return -1;
  // The second byte is narrower where the general range would give overlong forms, surrogates or beyond U+10FFFF.
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) >= bytes.size() || at(i) < low || at(i) > high)
      return -i;
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

uint32_t ftc::characterAt(std::string_view bytes, int length) {
  auto at = [&](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[static_cast<size_t>(i)])); };
  if (length == 1)
    return at(0);
  uint32_t number = at(0) & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i)
    number = number << 6 | (at(i) & 0x3F);
  return number;
}

bool ftc::isSpace(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string ftc::repairUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    int length = characterLength(bytes);
    if (length > 0)
      text += bytes.substr(0, length);
    else
      text += "\xEF\xBF\xBD"; // U+FFFD
    bytes.remove_prefix(length > 0 ? length : -length);
  }
  return text;
}

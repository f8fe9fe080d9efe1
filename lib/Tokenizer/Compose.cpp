//===- Compose.cpp - Normalization forms ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Utf8.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utf8proc.h>

using namespace ftc;

namespace {

/// U+11A7, a vowel of old Hangul. It stands right before the consonants that end syllables, and utf8proc 2.8 takes it
/// for one and drops it behind a syllable. It is composed with nothing.
constexpr std::string_view notComposed = "\xE1\x86\xA7";

/// Appends `valid`, which is UTF-8, in a form.
void appendInForm(std::string_view valid, UnicodeForm form, std::string &out) {
  // ASCII is its own form, and most of what is read.
  if (std::all_of(valid.begin(), valid.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    out += valid;
    return;
  }
  const bool composes = form == UnicodeForm::C || form == UnicodeForm::KC;
  const bool isCompatible = form == UnicodeForm::KC || form == UnicodeForm::KD;
  const int options =
      UTF8PROC_STABLE | (composes ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (isCompatible ? UTF8PROC_COMPAT : 0);
  utf8proc_uint8_t *composed = nullptr;
  utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &composed, static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, void (*)(void *)> owner(composed, std::free);
  if (length < 0)
    out += valid;
  else
    out.append(reinterpret_cast<const char *>(composed), static_cast<size_t>(length));
}

} // namespace

std::string ftc::inForm(std::string_view text, UnicodeForm form) {
  // utf8proc takes four bytes of memory for each of its input, and all of it at once. Nothing is ever composed with a
  // line feed, so text may be cut there.
  constexpr size_t part = size_t(1) << 16;
  std::string out;
  out.reserve(text.size());
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    int length = characterLength(text.substr(at));
    if (length < 0 || text.substr(at).starts_with(notComposed)) {
      appendInForm(text.substr(begin, at - begin), form, out);
      out += text.substr(at, static_cast<size_t>(std::abs(length)));
      begin = at += static_cast<size_t>(std::abs(length));
      continue;
    }
    at += static_cast<size_t>(length);
    if (text[at - 1] == '\n' && at - begin >= part) {
      appendInForm(text.substr(begin, at - begin), form, out);
      begin = at;
    }
  }
  appendInForm(text.substr(begin), form, out);
  return out;
}

//===- Regex.cpp - Patterns of tokenizer.json -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#define PCRE2_CODE_UNIT_WIDTH 8

#include "Regex.h"

#include <cctype>
#include <pcre2.h>

namespace ftc::pipeline {

struct Pattern::Code {
  pcre2_code *code = nullptr;
  pcre2_match_data *match = nullptr;
  ~Code() {
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }

  /// The error, or "".
  std::string compile(const std::string &pattern) {
    int error = 0;
    size_t at = 0;
    // Oniguruma's ^ and $ in Ruby's syntax are the ends of lines.
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &at, nullptr);
    if (!code) {
      PCRE2_UCHAR message[256] = {};
      pcre2_get_error_message(error, message, sizeof(message));
      return reinterpret_cast<const char *>(message);
    }
    // Without it, which some machines forbid, matching is slower.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    match = pcre2_match_data_create_from_pattern(code, nullptr);
    return "";
  }
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern &&) noexcept = default;
Pattern::~Pattern() = default;

namespace {

/// An escape `\x` of Oniguruma's as PCRE2 has it; "": as it is.
std::string escapeFor(char c, bool inClass) {
  auto oneOf = [&](const char *characters, bool isNot) {
    if (inClass)
      return isNot ? std::string("?") : std::string(characters);
    return fmt::format("[{}{}]", isNot ? "^" : "", characters);
  };
  switch (c) {
  case 's':
  case 'S':
    return oneOf(FTC_ONIG_SPACE, c == 'S');
  case 'w':
  case 'W':
    return oneOf(FTC_ONIG_WORD, c == 'W');
  case 'h':
  case 'H':
    return oneOf("0-9A-Fa-f", c == 'H');
  case 'd':
    return inClass ? "\\p{Nd}" : "";
  default:
    return "";
  }
}

/// A pattern of Oniguruma's (Ruby's syntax) for PCRE2. Refused is what PCRE2 would read as something else.
std::string translated(const Part &part, std::string_view pattern) {
  std::string out;
  int classes = 0; // [ in [
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    std::string_view rest = pattern.substr(i);
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      std::string written = escapeFor(next, classes > 0);
      if (written == "?")
        part.refuse(fmt::format("a pattern with '\\{}' inside of brackets", next));
      if (next == 'u' && i + 4 < pattern.size()) {
        written = fmt::format("\\x{{{}}}", pattern.substr(i + 1, 4));
        i += 4;
      } else if (std::string_view("bByYOMCcgKR").find(next) != std::string_view::npos && classes == 0) {
        part.refuse(fmt::format("a pattern with '\\{}'", next));
      }
      out += written.empty() ? fmt::format("\\{}", next) : written;
      // The braces of a property or a number are no repetition.
      if ((next == 'p' || next == 'P' || next == 'x') && i + 1 < pattern.size() && pattern[i + 1] == '{') {
        const size_t end = std::min(pattern.find('}', i), pattern.size() - 1);
        out += pattern.substr(i + 1, end - i);
        i = end;
      }
      continue;
    }
    if (classes > 0) {
      if (rest.starts_with("&&"))
        part.refuse("a pattern with '&&' inside of brackets");
      if (rest.starts_with("[:")) {
        size_t end = rest.find(":]");
        if (end == rest.npos)
          part.fail("has a pattern in which '[:' does not end");
        out += rest.substr(0, end + 2);
        i += end + 1;
        continue;
      }
      if (c == '[')
        part.refuse("a pattern with brackets inside of brackets");
      classes -= c == ']';
      out += c;
      continue;
    }
    if (c == '[') {
      ++classes;
      out += c;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^')
        out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']')
        out += "\\", out += pattern[++i];
      continue;
    }
    if (rest.starts_with("(?")) {
      size_t end = rest.find_first_of(":)=!>", 2);
      std::string_view flags = rest.substr(2, end == rest.npos ? 0 : end - 2);
      if (flags.find_first_not_of("i-<") != flags.npos || (rest.size() > 2 && rest[2] == '#'))
        part.refuse(fmt::format("a pattern with '(?{}'", flags));
    }
    // {n,m}+ is a repetition of the repetition to Oniguruma, and possessive to PCRE2.
    if (c == '}' && i + 1 < pattern.size() && pattern[i + 1] == '+')
      part.refuse("a pattern with '}+'");
    out += c;
  }
  return out;
}

} // namespace

Pattern::Pattern(const Part &part) {
  part.expectKeys({"String", "Regex"});
  if (!part["String"].isNull()) {
    literal = part["String"].text();
    return;
  }
  const Part regex = part["Regex"];
  code = std::make_unique<Code>();
  if (std::string problem = code->compile(translated(regex, regex.text())); !problem.empty())
    regex.fail(fmt::format("is a pattern that PCRE2 does not take: {}", problem));
}

Pattern Pattern::ofPcre(const char *pattern) {
  Pattern made;
  made.code = std::make_unique<Code>();
  if (std::string problem = made.code->compile(pattern); !problem.empty())
    throw Problem{fmt::format("PCRE2 does not take the pattern {}: {}", pattern, problem)};
  return made;
}

void Pattern::split(std::string_view text, std::vector<Match> &out) const {
  out.clear();
  size_t done = 0;
  auto add = [&](size_t begin, size_t end) {
    if (begin > done)
      out.push_back({done, begin, false});
    out.push_back({begin, end, true});
    done = end;
  };
  if (!code) {
    for (size_t at = 0; !literal.empty() && (at = text.find(literal, at)) != text.npos; at += literal.size())
      add(at, at + literal.size());
  } else {
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(code->match);
    for (size_t at = 0; at <= text.size();) {
      auto match = [&](uint32_t options) {
        return pcre2_match(code->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                           PCRE2_NO_UTF_CHECK | options, code->match, nullptr);
      };
      int found = match(0);
      if (found < PCRE2_ERROR_NOMATCH) // compiled code has a small stack
        found = match(PCRE2_NO_JIT);
      if (found <= 0) // none, or the engine gives up: the rest does not match
        break;
      const size_t begin = place[0], end = place[1];
      if (end > begin) {
        add(begin, end);
        at = end;
        continue;
      }
      // Nothing was matched: on with the next character.
      at = begin + 1;
      while (at < text.size() && (text[at] & 0xC0) == 0x80)
        ++at;
    }
  }
  if (done < text.size())
    out.push_back({done, text.size(), false});
}

} // namespace ftc::pipeline

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
    return oneOf(inClass ? FTC_UNICODE_WORD : FTC_ONIG_WORD, c == 'W');
  case 'h':
  case 'H':
    return oneOf("0-9A-Fa-f", c == 'H');
  case 'd':
    return inClass ? "\\p{Nd}" : "";
  case 'v':
    return "\\x{0B}";
  case 'Q': // PCRE2's quotes
  case 'E':
  case 'V':
    return {c};
  default:
    return "";
  }
}

/// A class `name` of [:name:] inside of [] in PCRE2's syntax, whose own are others beyond ASCII; "": there is none.
std::string_view classFor(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> classes[] = {
      {"alpha", "\\p{Alphabetic}"}, {"alnum", "\\p{Alphabetic}\\p{Nd}"},
      {"ascii", "\\x00-\\x7F"},     {"blank", "\\t\\p{Zs}"},
      {"cntrl", "\\p{Cc}"},         {"digit", "\\p{Nd}"},
      {"^digit", "\\P{Nd}"},        {"lower", "\\p{Lowercase}"},
      {"upper", "\\p{Uppercase}"},  {"punct", "\\p{P}\\p{S}"},
      {"space", FTC_ONIG_SPACE},    {"word", FTC_UNICODE_WORD},
      {"xdigit", "0-9A-Fa-f"}};
  for (const auto &[known, written] : classes)
    if (known == name)
      return written;
  return "";
}

/// Refuses what Oniguruma matches with texts of another length where it ignores case, and PCRE2 does not: "ss" with a
/// sharp s, "fi" with the letter for both.
void refuseFolding(const Part &part, std::string_view pattern, size_t at) {
  auto letter = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const char both[] = {at > 0 ? letter(pattern[at - 1]) : '\0', letter(pattern[at]), '\0'};
  for (const char *pair : {"ss", "st", "ff", "fi", "fl"})
    if (std::string_view(both) == pair)
      part.refuse(fmt::format("a pattern that ignores case, with '{}'", pair));
  if (pattern[at] & 0x80)
    part.refuse("a pattern that ignores case, with characters beyond ASCII");
}

/// A pattern of Oniguruma's (Ruby's syntax) for PCRE2. Refused is what PCRE2 would read as something else.
std::string translated(const Part &part, std::string_view pattern) {
  std::string out;
  int classes = 0;                  // [ in [
  std::vector<bool> ignoresCase(1); // of each group that is open
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    std::string_view rest = pattern.substr(i);
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      std::string written = escapeFor(next, classes > 0);
      if (written == "?")
        part.refuse(fmt::format("a pattern with '\\{}' inside of brackets", next));
      if ((next == 'u' || next == 'x') && ignoresCase.back())
        part.refuse(fmt::format("a pattern that ignores case, with '\\{}'", next));
      if (next == 'u' && i + 4 < pattern.size()) {
        written = fmt::format("\\x{{{}}}", pattern.substr(i + 1, 4));
        i += 4;
      } else if (std::string_view("bByYOMCcgKRXNo").find(next) != std::string_view::npos && classes == 0) {
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
        const std::string_view name = rest.substr(2, end - 2), written = classFor(name);
        if (written.empty())
          part.refuse(fmt::format("a pattern with '[:{}:]'", name));
        out += written;
        i += end + 1;
        continue;
      }
      if (c == '[')
        part.refuse("a pattern with brackets inside of brackets");
      classes -= c == ']';
      if (ignoresCase.back() && (c & 0x80))
        refuseFolding(part, pattern, i);
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
      if (const size_t on = flags.find('i'); on != flags.npos) {
        const bool ignores = flags.find('-') > on;
        if (rest[end] == ')') { // up to the end of the group that this is in; the group that is pushed ends here
          if (i > 0 && std::string_view("(:|").find(pattern[i - 1]) == std::string_view::npos)
            part.refuse(fmt::format("a pattern with '(?{})' behind something else", flags)); // a|b behind it: (a|b)
          ignoresCase.back() = ignores;
          ignoresCase.push_back(ignores);
        } else {
          ignoresCase.push_back(ignores);
        }
      } else {
        ignoresCase.push_back(ignoresCase.back());
      }
    } else if (c == '(') {
      ignoresCase.push_back(ignoresCase.back());
    } else if (c == ')' && ignoresCase.size() > 1) {
      ignoresCase.pop_back();
    } else if (ignoresCase.back()) {
      refuseFolding(part, pattern, i);
    }
    // {,m} counts from 0, which PCRE2 takes for text; {n}? is what may be n times or not there, and PCRE2's is shy.
    if (c == '{' && rest.find_first_not_of("0123456789", 1) != rest.npos) {
      const size_t digits = rest.find_first_not_of("0123456789", 1);
      const size_t more = rest.find_first_not_of("0123456789", digits + 1);
      if (digits == 1 && rest[1] == ',' && more > 2 && more != rest.npos && rest[more] == '}') {
        out += "{0";
        continue;
      }
      if (digits > 1 && rest[digits] == '}' && rest.substr(digits + 1).starts_with('?'))
        part.refuse(fmt::format("a pattern with '{}'", rest.substr(0, digits + 2)));
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

//===- Lexer.cpp - Words of a template ------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Lexer.h"

#include "../Utf8.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

namespace ftc::jinja {

namespace {

/// Bytes of spaces, as Python sees them, at the front of `text`.
size_t spacesAtFront(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    int length = characterLength(text.substr(at));
    if (length < 0 || !isSpace(characterAt(text.substr(at), length)))
      break;
    at += static_cast<size_t>(length);
  }
  return at;
}

/// `text` without the spaces at its end.
std::string_view withoutSpacesBehind(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    int length = characterLength(text.substr(at));
    bool space = length > 0 && isSpace(characterAt(text.substr(at), length));
    at += length > 0 ? static_cast<size_t>(length) : 1;
    if (!space)
      end = at;
  }
  return text.substr(0, end);
}

bool isNameByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
public:
  explicit Lexer(std::string_view source) : source(source) {}
  std::vector<Token> run();

private:
  void addText(size_t end, char sign, bool isBlock);
  void tag(TokenKind begin, TokenKind end, std::string_view closing);
  bool raw();
  void leave(std::string_view closing, bool trims);
  void word(size_t nesting);
  void string();
  void number();
  void escape(std::string &out);
  bool startsWith(std::string_view text) const { return source.substr(at).starts_with(text); }

  std::string_view source;
  size_t at = 0;
  bool isLineStart = true; ///< whether the text from `at` on begins a line of the source
  std::vector<Token> tokens;
};

/// What is written up to `end`, where a tag begins that has `sign` behind its first two characters.
void Lexer::addText(size_t end, char sign, bool isBlock) {
  std::string_view text = source.substr(at, end - at);
  if (sign == '-') {
    text = withoutSpacesBehind(text);
  } else if (isBlock && sign != '+') {
    size_t line = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
    if ((line > 0 || isLineStart) && line < text.size() && withoutSpacesBehind(text.substr(line)).empty())
      text = text.substr(0, line);
  }
  if (!text.empty())
    tokens.push_back({TokenKind::Text, std::string(text), at});
}

/// Behind a tag that ends with `closing` at `at`, before which a sign may have been.
void Lexer::leave(std::string_view closing, bool trims) {
  const char sign = at > 0 ? source[at - 1] : ' ';
  at += closing.size();
  if (sign == '-')
    at += spacesAtFront(source.substr(at));
  else if (trims && sign != '+' && at < source.size() && source[at] == '\n')
    ++at;
  isLineStart = source[at - 1] == '\n';
}

/// {% raw %}, whose text is taken as it is. Whether there is one at `at`.
bool Lexer::raw() {
  auto skip = [&](size_t place, std::string_view name) -> size_t {
    place += 2;
    if (place < source.size() && (source[place] == '-' || source[place] == '+'))
      ++place;
    place += spacesAtFront(source.substr(std::min(place, source.size())));
    if (!source.substr(std::min(place, source.size())).starts_with(name))
      return 0;
    place += name.size();
    place += spacesAtFront(source.substr(place));
    if (place < source.size() && (source[place] == '-' || source[place] == '+'))
      ++place;
    return source.substr(std::min(place, source.size())).starts_with("%}") ? place : 0;
  };
  size_t begin = skip(at, "raw");
  if (!begin)
    return false;
  const size_t place = at;
  at = begin;
  leave("%}", false);
  for (size_t end = at; (end = source.find("{%", end)) != source.npos; end += 2)
    if (size_t behind = skip(end, "endraw")) {
      addText(end, source[end + 2], true);
      at = behind;
      leave("%}", true);
      return true;
    }
  throw Failure{"{% raw %} has no {% endraw %}", place};
}

void Lexer::tag(TokenKind begin, TokenKind end, std::string_view closing) {
  const size_t place = at;
  tokens.push_back({begin, "", at});
  at += 2;
  if (at < source.size() && (source[at] == '-' || source[at] == '+'))
    ++at;
  std::string open; // brackets
  while (true) {
    at += spacesAtFront(source.substr(at));
    if (at >= source.size())
      throw Failure{fmt::format("this tag does not end ('{}' is missing)", closing), place};
    if (open.empty())
      for (std::string_view sign : {"", "-", "+"})
        if (startsWith(std::string(sign) + std::string(closing)) && (sign != "+" || closing == "%}")) {
          at += sign.size();
          tokens.push_back({end, "", at});
          return leave(closing, closing == "%}");
        }
    char c = source[at];
    if (c == '(' || c == '[' || c == '{') {
      open += c;
    } else if (c == ')' || c == ']' || c == '}') {
      const char opening = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back() != opening)
        throw Failure{fmt::format("'{}' closes nothing", c), at};
      open.pop_back();
    }
    word(open.size());
  }
}

void Lexer::word(size_t nesting) {
  if (nesting > 200)
    throw Failure{"more than 200 brackets in each other", at};
  char c = source[at];
  if (c == '\'' || c == '"')
    return string();
  if (isDigit(c))
    return number();
  size_t begin = at;
  if (isNameByte(c)) {
    while (at < source.size() && isNameByte(source[at]))
      ++at;
    tokens.push_back({TokenKind::Name, std::string(source.substr(begin, at - begin)), begin});
    return;
  }
  for (std::string_view sign : {"**", "//", "==", "!=", "<=", ">="})
    if (startsWith(sign)) {
      at += 2;
      tokens.push_back({TokenKind::Operator, std::string(sign), begin});
      return;
    }
  if (std::string_view("+-*/%~()[]{}<>=.:,|").find(c) == std::string_view::npos)
    throw Failure{fmt::format("unexpected character '{}'", c), at};
  ++at;
  tokens.push_back({TokenKind::Operator, std::string(1, c), begin});
}

void Lexer::number() {
  size_t begin = at;
  std::string digits;
  auto take = [&] {
    while (at < source.size() && (isDigit(source[at]) || (source[at] == '_' && at + 1 < source.size() &&
                                                          isDigit(source[at + 1]) && at > begin))) {
      if (source[at] != '_')
        digits += source[at];
      ++at;
    }
  };
  if (source[at] == '0' && at + 1 < source.size() && std::isalpha(static_cast<unsigned char>(source[at + 1])) &&
      std::tolower(source[at + 1]) != 'e')
    throw Failure{"numbers with a base (0x, 0o, 0b) are not built", at};
  take();
  bool isFloat = false;
  // "1.x" is an attribute of 1, and behind a dot "0.1" are two items.
  const bool behindDot = !tokens.empty() && tokens.back().kind == TokenKind::Operator && tokens.back().text == ".";
  if (!behindDot && at + 1 < source.size() && source[at] == '.' && isDigit(source[at + 1])) {
    digits += source[at++];
    take();
    isFloat = true;
  }
  size_t exponent = at;
  if (!behindDot && exponent < source.size() && std::tolower(source[exponent]) == 'e') {
    ++exponent;
    if (exponent < source.size() && (source[exponent] == '+' || source[exponent] == '-'))
      ++exponent;
    if (exponent < source.size() && isDigit(source[exponent])) {
      digits += source.substr(at, exponent - at);
      at = exponent;
      take();
      isFloat = true;
    }
  }
  if (at < source.size() && isNameByte(source[at]))
    throw Failure{fmt::format("'{}' is no number", source.substr(begin, at + 1 - begin)), begin};
  tokens.push_back({isFloat ? TokenKind::Float : TokenKind::Integer, digits, begin});
}

void Lexer::escape(std::string &out) {
  const size_t place = at;
  char c = source[++at];
  ++at;
  static constexpr std::string_view names = "abfnrtv\\'\"", values = "\a\b\f\n\r\t\v\\'\"";
  if (size_t found = names.find(c); found != names.npos) {
    out += values[found];
    return;
  }
  if (c == '\n')
    return;
  size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  int base = 16;
  if (c >= '0' && c <= '7') {
    base = 8, --at, digits = 0;
    while (digits < 3 && at + digits < source.size() && source[at + digits] >= '0' && source[at + digits] <= '7')
      ++digits;
  } else if (!digits) {
    if (c == 'N')
      throw Failure{"characters by name (\\N{...}) are not built", place};
    out += '\\', out += c;
    return;
  }
  uint32_t character = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char digit = at + i < source.size() ? source[at + i] : ' ';
    if (!std::isxdigit(static_cast<unsigned char>(digit)))
      throw Failure{fmt::format("'\\{}' needs {} hexadecimal digits behind it", c, digits), place};
    character = character * static_cast<uint32_t>(base) +
                static_cast<uint32_t>(isDigit(digit) ? digit - '0' : std::tolower(digit) - 'a' + 10);
  }
  at += digits;
  if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000))
    throw Failure{"this is no character of Unicode", place};
  appendCharacter(character, out);
}

void Lexer::string() {
  const size_t place = at;
  const char quote = source[at++];
  std::string out;
  while (at < source.size() && source[at] != quote) {
    if (source[at] == '\\' && at + 1 < source.size())
      escape(out);
    else
      out += source[at++];
  }
  if (at >= source.size())
    throw Failure{"this text in quotes does not end", place};
  ++at;
  tokens.push_back({TokenKind::String, std::move(out), place});
}

std::vector<Token> Lexer::run() {
  while (true) {
    size_t next = at;
    while ((next = source.find('{', next)) != source.npos && next + 1 < source.size() && source[next + 1] != '{' &&
           source[next + 1] != '%' && source[next + 1] != '#')
      ++next;
    if (next == source.npos || next + 1 >= source.size()) {
      addText(source.size(), '+', false);
      tokens.push_back({TokenKind::End, "", source.size()});
      return std::move(tokens);
    }
    const char kind = source[next + 1];
    addText(next, next + 2 < source.size() ? source[next + 2] : ' ', kind != '{');
    at = next;
    isLineStart = false;
    if (kind == '{') {
      tag(TokenKind::BeginOutput, TokenKind::EndOutput, "}}");
    } else if (kind == '%') {
      if (!raw())
        tag(TokenKind::BeginBlock, TokenKind::EndBlock, "%}");
    } else {
      size_t end = source.find("#}", at + 2);
      if (end == source.npos)
        throw Failure{"this comment does not end ('#}' is missing)", at};
      at = end;
      leave("#}", true);
    }
  }
}

} // namespace

std::string normalizedSource(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r')
      out += source[i];
    else if (i + 1 >= source.size() || source[i + 1] != '\n')
      out += '\n';
  }
  if (out.ends_with('\n'))
    out.pop_back();
  return out;
}

std::vector<Token> tokensOf(std::string_view source) { return Lexer(source).run(); }

} // namespace ftc::jinja

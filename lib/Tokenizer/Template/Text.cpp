//===- Text.cpp - Python's text -------------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"

#include "../Utf8.h"

#include <algorithm>

namespace ftc::jinja {

namespace {

uint32_t numberOf(std::string_view character) {
  int length = characterLength(character);
  return length > 0 ? characterAt(character, length) : static_cast<unsigned char>(character[0]);
}

} // namespace

std::string_view stripped(std::string_view text, const std::string *those, bool left, bool right) {
  std::vector<std::string_view> characters = charactersOf(text), wanted;
  if (those)
    wanted = charactersOf(*those);
  auto goes = [&](std::string_view character) {
    return those ? std::find(wanted.begin(), wanted.end(), character) != wanted.end()
                 : characterLength(character) > 0 && isSpace(numberOf(character));
  };
  size_t begin = 0, end = characters.size(), bytes = text.size(), skipped = 0;
  while (left && begin < end && goes(characters[begin]))
    skipped += characters[begin++].size();
  while (right && end > begin && goes(characters[end - 1]))
    bytes -= characters[--end].size();
  return text.substr(skipped, bytes - skipped);
}

std::vector<std::string> linesOf(std::string_view text, bool keepEnds) {
  std::vector<std::string> lines;
  std::string line;
  std::vector<std::string_view> characters = charactersOf(text);
  bool isOpen = false;
  for (size_t i = 0; i < characters.size(); ++i) {
    uint32_t c = characterLength(characters[i]) > 0 ? numberOf(characters[i]) : 0;
    bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    isOpen = !ends;
    if (!ends || keepEnds)
      line += characters[i];
    if (c == '\r' && i + 1 < characters.size() && characters[i + 1] == "\n") {
      ++i;
      if (keepEnds)
        line += '\n';
    }
    if (ends)
      lines.push_back(std::exchange(line, ""));
  }
  if (isOpen)
    lines.push_back(line);
  return lines;
}

std::string replaced(std::string_view text, std::string_view old, std::string_view with, int64_t count) {
  std::string out;
  if (old.empty()) { // before each character, and at the end
    for (std::string_view character : charactersOf(text)) {
      out += count != 0 ? with : "";
      count -= count > 0;
      out += character;
    }
    return out += count != 0 ? with : "";
  }
  for (size_t found; count != 0 && (found = text.find(old)) != text.npos; --count) {
    out += text.substr(0, found);
    out += with;
    if (out.size() > size_t(1) << 28)
      throw Failure{"a text of more than 256 MiB"};
    text.remove_prefix(found + old.size());
  }
  return out += text;
}

} // namespace ftc::jinja

//===- Normalizers.cpp - How text is changed before it is cut -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../Utf8.h"
#include "Regex.h"
#include "Steps.h"

#include <array>
#include <map>
#include <utf8proc.h>

namespace ftc::pipeline {

uint32_t frontOf(std::string_view text, size_t &length) {
  int bytes = characterLength(text);
  length = bytes > 0 ? static_cast<size_t>(bytes) : 1;
  return bytes > 0 ? characterAt(text, bytes) : 0xFFFD;
}

static int categoryOf(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool isWhiteSpace(uint32_t c) { return isSpace(c) && !(c >= 0x1C && c <= 0x1F); }
bool isNumeric(uint32_t c) {
  int kind = categoryOf(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_NO;
}
bool isPunctuation(uint32_t c) {
  if (c < 0x80)
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
  int kind = categoryOf(c);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}
bool isMark(uint32_t c) {
  int kind = categoryOf(c);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool isLetter(uint32_t c) {
  int kind = categoryOf(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool isWordCharacter(uint32_t c) {
  // Letters in circles and squares are symbols that are Alphabetic.
  const bool isRinged = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                        (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  const int kind = categoryOf(c);
  return isLetter(c) || isMark(c) || kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_PC || isRinged || c == 0x200C || c == 0x200D;
}

namespace {

/// GPT-2 writes each byte as a character of its own: printable ones of Latin-1 as themselves, the others in order from
/// U+0100 on.
struct Spelling {
  std::array<std::string, 256> ofByte;
  std::array<int, 0x180> ofCharacter;
  Spelling() {
    ofCharacter.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      uint32_t c = printable ? byte : next++;
      ofCharacter[c] = static_cast<int>(byte);
      ofByte[byte] = c < 0x80 ? std::string(1, static_cast<char>(c))
                              : std::string{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
};
const Spelling spelling;

/// Characters through a function that appends what becomes of each.
template <typename Map> void mapCharacters(std::string &text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0, length; at < text.size(); at += length) {
    uint32_t c = frontOf(std::string_view(text).substr(at), length);
    map(c, std::string_view(text).substr(at, length), out);
  }
  text = std::move(out);
}

class Form final : public Normalizer {
public:
  explicit Form(UnicodeForm form) : form(form) {}
  bool apply(std::string &text) const override {
    text = inForm(text, form);
    return true;
  }

private:
  UnicodeForm form;
};

class Lowercase final : public Normalizer {
public:
  bool apply(std::string &text) const override {
    mapCharacters(text, [](uint32_t c, std::string_view, std::string &out) {
      utf8proc_uint8_t bytes[4];
      utf8proc_ssize_t length = utf8proc_encode_char(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)), bytes);
      out.append(reinterpret_cast<const char *>(bytes), static_cast<size_t>(length));
      if (c == 0x130) // the one letter whose small form is two characters
        out.replace(out.size() - static_cast<size_t>(length), out.npos, "i\xCC\x87");
    });
    return true;
  }
};

class StripSpaces final : public Normalizer {
public:
  StripSpaces(bool left, bool right) : left(left), right(right) {}
  bool apply(std::string &text) const override {
    size_t begin = 0, end = 0;
    bool inside = false;
    for (size_t at = 0, length; at < text.size(); at += length) {
      if (isWhiteSpace(frontOf(std::string_view(text).substr(at), length)))
        continue;
      begin = inside ? begin : at;
      inside = true;
      end = at + length;
    }
    if (!inside)
      begin = left ? text.size() : 0, end = right ? begin : text.size();
    text = text.substr(left ? begin : 0, (right ? end : text.size()) - (left ? begin : 0));
    return !left || begin == 0;
  }

private:
  bool left, right;
};

class StripAccents final : public Normalizer {
public:
  bool apply(std::string &text) const override {
    size_t length;
    const bool stays = text.empty() || !isMark(frontOf(text, length));
    mapCharacters(text, [](uint32_t c, std::string_view character, std::string &out) {
      if (!isMark(c))
        out += character;
    });
    return stays;
  }
};

class Replace final : public Normalizer {
public:
  Replace(Pattern pattern, std::string content) : pattern(std::move(pattern)), content(std::move(content)) {}
  bool apply(std::string &text) const override {
    std::vector<Match> parts;
    pattern.split(text, parts);
    // Of several characters that are replaced the last one is where `tokenizers` finds the new ones.
    size_t length = 0;
    const bool stays = parts.empty() || !parts.front().isMatch ||
                       (!content.empty() && (frontOf(text, length), parts.front().end == length));
    std::string out;
    for (const Match &part : parts)
      out += part.isMatch ? content : text.substr(part.begin, part.end - part.begin);
    text = std::move(out);
    return stays;
  }

private:
  Pattern pattern;
  std::string content;
};

class Prepend final : public Normalizer {
public:
  explicit Prepend(std::string content) : content(std::move(content)) {}
  bool apply(std::string &text) const override {
    if (!text.empty())
      text.insert(0, content);
    return true;
  }

private:
  std::string content;
};

class SpellBytes final : public Normalizer {
public:
  bool apply(std::string &text) const override {
    std::string out;
    spellBytes(text, out);
    text = std::move(out);
    return true;
  }
};

class Chain final : public Normalizer {
public:
  std::vector<std::unique_ptr<Normalizer>> steps;
  bool apply(std::string &text) const override {
    bool stays = true;
    for (const auto &step : steps)
      stays &= step->apply(text);
    return stays;
  }
};

} // namespace

void spellBytes(std::string_view bytes, std::string &out) {
  for (char byte : bytes)
    out += spelling.ofByte[static_cast<unsigned char>(byte)];
}

bool bytesOfSpelling(std::string_view text, std::string &out) {
  while (!text.empty()) {
    size_t length;
    uint32_t c = frontOf(text, length);
    if (c >= spelling.ofCharacter.size() || spelling.ofCharacter[c] < 0)
      return false;
    out += static_cast<char>(spelling.ofCharacter[c]);
    text.remove_prefix(length);
  }
  return true;
}

std::unique_ptr<Normalizer> readNormalizer(const Part &part) {
  if (part.isNull())
    return nullptr;
  const std::string &type = part["type"].text();
  static const std::map<std::string_view, UnicodeForm> forms = {
      {"NFC", UnicodeForm::C}, {"NFD", UnicodeForm::D}, {"NFKC", UnicodeForm::KC}, {"NFKD", UnicodeForm::KD}};
  if (auto form = forms.find(type); form != forms.end()) {
    part.expectKeys({"type"});
    return std::make_unique<Form>(form->second);
  }
  if (type == "Lowercase" || type == "StripAccents" || type == "ByteLevel") {
    part.expectKeys({"type"});
    if (type == "Lowercase")
      return std::make_unique<Lowercase>();
    if (type == "StripAccents")
      return std::make_unique<StripAccents>();
    return std::make_unique<SpellBytes>();
  }
  if (type == "Strip") {
    part.expectKeys({"type", "strip_left", "strip_right"});
    return std::make_unique<StripSpaces>(part["strip_left"].flag(true), part["strip_right"].flag(true));
  }
  if (type == "Replace") {
    part.expectKeys({"type", "pattern", "content"});
    return std::make_unique<Replace>(Pattern(part["pattern"]), part["content"].text());
  }
  if (type == "Prepend") {
    part.expectKeys({"type", "prepend"});
    return std::make_unique<Prepend>(part["prepend"].text());
  }
  if (type == "Sequence") {
    part.expectKeys({"type", "normalizers"});
    auto chain = std::make_unique<Chain>();
    const Part list = part["normalizers"];
    for (size_t i = 0, count = list.listSize(); i < count; ++i)
      if (std::unique_ptr<Normalizer> step = readNormalizer(list.at(i)))
        chain->steps.push_back(std::move(step));
    return chain;
  }
  part["type"].refuse(fmt::format("'{}'", type));
}

} // namespace ftc::pipeline

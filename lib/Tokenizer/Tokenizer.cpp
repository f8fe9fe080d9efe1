//===- Tokenizer.cpp - The byte tokenizer, and repair of UTF-8 ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Tokenizer/Tokenizer.h"

#include <array>

using namespace ftc;

namespace {

constexpr int32_t firstSpecial = 256;
constexpr std::array<std::string_view, 3> specialNames = {"<|begin_of_text|>", "<|end_of_text|>",
                                                          "<|finetune_right_pad_id|>"};
constexpr std::string_view replacement = "\xEF\xBF\xBD"; // U+FFFD

class ByteTokenizer final : public Tokenizer {
public:
  std::string_view name() const override { return "byte"; }
  int64_t vocabSize() const override { return firstSpecial + static_cast<int64_t>(specialNames.size()); }
  int32_t bosId() const override { return firstSpecial; }
  int32_t eosId() const override { return firstSpecial + 1; }
  int32_t padId() const override { return firstSpecial + 2; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    size_t old = ids.size();
    ids.resize(old + text.size());
    for (size_t i = 0; i < text.size(); ++i)
      ids[old + i] = static_cast<unsigned char>(text[i]);
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    std::string text, bytes;
    // A run of bytes is repaired together; any other id ends a character.
    auto flush = [&] {
      text += repairUtf8(bytes);
      bytes.clear();
    };
    for (int32_t id : ids) {
      if (id >= 0 && id < firstSpecial) {
        bytes.push_back(static_cast<char>(id));
        continue;
      }
      flush();
      if (id < 0 || id >= vocabSize())
        text += replacement;
      else if (spellSpecial)
        text += specialNames[id - firstSpecial];
    }
    flush();
    return text;
  }
};

/// A tokenizer that is not built in: all that is known of it is special ids.
class OutsideTokenizer final : public Tokenizer {
public:
  OutsideTokenizer(std::string_view name, int32_t bos, int32_t eos, int32_t pad)
      : component(name), bos(bos), eos(eos), pad(pad) {}

  bool readsText() const override { return false; }
  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return 0; }
  int32_t bosId() const override { return bos; }
  int32_t eosId() const override { return eos; }
  int32_t padId() const override { return pad; }
  void encode(std::string_view, std::vector<int32_t> &) const override {}
  std::string decode(std::span<const int32_t>, bool) const override { return ""; }

private:
  std::string component;
  int32_t bos, eos, pad;
};

/// Length of the well-formed character at the front of `bytes` (Unicode 15, table 3-7), or minus the length of the
/// longest front that could have begun one, at least 1.
int characterLength(std::string_view bytes) {
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

} // namespace

Tokenizer::~Tokenizer() = default;

std::string ftc::repairUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    int length = characterLength(bytes);
    if (length > 0)
      text += bytes.substr(0, length);
    else
      text += replacement;
    bytes.remove_prefix(length > 0 ? length : -length);
  }
  return text;
}

std::unique_ptr<Tokenizer> ftc::makeTokenizer(std::string_view name, std::vector<Diagnostic> &diags) {
  if (name == "byte")
    return std::make_unique<ByteTokenizer>();
  if (name == "torchtune.models.llama2.llama2_tokenizer")
    return std::make_unique<OutsideTokenizer>(name, 1, 2, 0);
  if (name == "torchtune.models.llama3.llama3_tokenizer")
    return std::make_unique<OutsideTokenizer>(name, 128000, 128001, 128004);
  if (name.starts_with("torchtune."))
    return std::make_unique<OutsideTokenizer>(name, -1, -1, -1);
  diags.push_back({Severity::Error, "", 0, 0,
                   "tokenizer '" + std::string(name) +
                       "' is not built in; what works: 'byte' (the text's bytes), or a token file made with any "
                       "tokenizer (--data FILE.bin, see docs/data.md)"});
  return nullptr;
}

//===- Steps.h - What a tokenizer.json is made of ---------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PIPELINE_STEPS_H
#define FTC_LIB_TOKENIZER_PIPELINE_STEPS_H

#include "Part.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ftc::pipeline {

/// Part of a text on its way to the model; valid UTF-8.
struct Piece {
  std::string text;
  bool isFirst; ///< begins where the text does
};
using Pieces = std::vector<Piece>;

/// Changes text. Returns whether its first character is still there, be it as another one.
class Normalizer {
public:
  virtual ~Normalizer() = default;
  virtual bool apply(std::string &text) const = 0;
};

/// Cuts text into pieces that the model sees one at a time, and may change them.
class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces &pieces) const = 0;
};

/// Makes ids out of a piece.
class Model {
public:
  virtual ~Model() = default;
  virtual void encode(std::string_view piece, std::vector<int32_t> &ids) const = 0;
  /// Spellings by id; "" where an id is none.
  const std::vector<std::string> &tokens() const { return spellings; }
  /// -1: there is none.
  virtual int32_t idOf(std::string_view spelling) const = 0;

protected:
  std::vector<std::string> spellings;
};

/// Changes the spellings of tokens into parts of the text.
class Decoder {
public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string> &tokens) const = 0;
};

/// Each reads its part of the file, and throws a Problem where something in it is not built. Null for null.
std::unique_ptr<Normalizer> readNormalizer(const Part &part);
std::unique_ptr<PreTokenizer> readPreTokenizer(const Part &part);
std::unique_ptr<Model> readModel(const Part &part);
std::unique_ptr<Model> readUnigram(const Part &part);
std::unique_ptr<Decoder> readDecoder(const Part &part);

/// How many ids a file may have: they are kept in 32 bits, and no vocabulary comes near.
constexpr int64_t mostTokens = 1 << 24;

/// GPT-2's characters for bytes: those of `bytes`, and the bytes of such characters (false: one is none of them).
void spellBytes(std::string_view bytes, std::string &out);
bool bytesOfSpelling(std::string_view spelling, std::string &out);

/// White_Space of Unicode, and the categories that Rust's standard library and `tokenizers` ask for.
bool isWhiteSpace(uint32_t character);
bool isNumeric(uint32_t character);
bool isPunctuation(uint32_t character);
bool isMark(uint32_t character);
bool isLetter(uint32_t character);
/// What Rust's regex takes for a character of a word (\w).
bool isWordCharacter(uint32_t character);

/// The number of the character at the front of `text`, which is valid and not empty; `length` gets its bytes.
uint32_t frontOf(std::string_view text, size_t &length);

} // namespace ftc::pipeline

#endif // FTC_LIB_TOKENIZER_PIPELINE_STEPS_H

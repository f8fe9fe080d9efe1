//===- Lexer.h - Words of a template ------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_LEXER_H
#define FTC_LIB_TOKENIZER_TEMPLATE_LEXER_H

#include "Value.h"

namespace ftc::jinja {

enum class TokenKind {
  Text,
  BeginOutput,
  EndOutput,
  BeginBlock,
  EndBlock,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind;
  std::string text; ///< of a string its value, of text what is written
  size_t place;
};

/// `source` with each end of a line as a line feed, and without the last one, as Jinja takes it. Places are bytes of
/// this.
std::string normalizedSource(std::string_view source);

/// Text between tags, less what `-` and transformers' settings (trim_blocks, lstrip_blocks) take away, and the words
/// inside of tags; comments are left out. Throws.
std::vector<Token> tokensOf(std::string_view source);

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_LEXER_H

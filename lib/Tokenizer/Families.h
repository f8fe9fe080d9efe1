//===- Families.h - Tokenizers of model families ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_FAMILIES_H
#define FTC_LIB_TOKENIZER_FAMILIES_H

#include "ftc/Tokenizer/Tokenizer.h"

namespace ftc {

/// Llama 3's tokenizer as torchtune has it: byte pairs in tiktoken's format, special tokens behind them. Null with
/// errors.
std::unique_ptr<Tokenizer> makeLlama3Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// Qwen2's or Qwen2.5's tokenizer as torchtune has it: byte pairs with merges, special tokens behind them, ChatML's
/// wording. Null with errors.
std::unique_ptr<Tokenizer> makeQwen2Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// Llama 2's, Mistral's or Gemma's tokenizer as torchtune has it: a SentencePiece model, and the wording of their chats
/// (of Gemma's none). Null with errors.
std::unique_ptr<Tokenizer> makeSentencePieceTokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// Phi-3 mini's tokenizer as torchtune has it: a SentencePiece model, special tokens behind it. Null with errors.
std::unique_ptr<Tokenizer> makePhi3Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// Phi-4's tokenizer as torchtune has it: byte pairs with merges, special tokens behind them. Null with errors.
std::unique_ptr<Tokenizer> makePhi4Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// Any model's tokenizer by Hugging Face's files, as torchtune's HuggingFaceModelTokenizer has it. Null with errors.
std::unique_ptr<Tokenizer> makeHuggingFaceTokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_FAMILIES_H

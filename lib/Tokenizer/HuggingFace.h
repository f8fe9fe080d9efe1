//===- HuggingFace.h - Files of Hugging Face's tokenizers ---------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_HUGGINGFACE_H
#define FTC_LIB_TOKENIZER_HUGGINGFACE_H

#include "BytePairs.h"

#include <map>
#include <span>

namespace ftc {

/// A byte-level BPE vocabulary with its merges, or without where the file has none.
struct HuggingFaceVocabulary {
  Vocabulary vocabulary;
  bool isTokenizerJson = false; ///< special tokens are in the file too
};

/// Reads tokenizer.json; or vocab.json, {"TOKEN": ID, ...}, with its merges from `mergesPath`: a line "LEFT RIGHT" for
/// each, below an optional "#version: ...". Nothing of tokenizer.json but its vocabulary and merges is read, and then
/// `mergesPath` is not; it is "" where only tokenizer.json will do. Nothing, with an error that ends with `wayOut`, for
/// another file.
std::optional<HuggingFaceVocabulary> readVocabulary(const std::string &path, const std::string &mergesPath,
                                                    const char *wayOut, std::vector<Diagnostic> &diags);

/// The list `added_tokens` of a JSON file: ids by text. Those `needed` by `family` must be there.
std::optional<std::map<std::string, int32_t>> readSpecialTokens(const std::string &path,
                                                                std::span<const std::string_view> needed,
                                                                const char *family, std::vector<Diagnostic> &diags);

/// Whether no special token has the id of another token of the vocabulary, which comes from `path`; else an error.
bool areApart(const BytePairs &base, const std::map<std::string, int32_t> &special, const std::string &path,
              std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_HUGGINGFACE_H

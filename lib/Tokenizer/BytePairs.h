//===- BytePairs.h - Byte-pair encoding ---------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_BYTEPAIRS_H
#define FTC_LIB_TOKENIZER_BYTEPAIRS_H

#include "ftc/Support/Diagnostics.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ftc {

/// Byte-pair encoding (Sennrich et al. 2016) over bytes, with the vocabulary and the ids of tiktoken: text is cut into
/// pieces by a regular expression; a piece that is a token is that token; else its bytes are joined, the pair of lowest
/// rank first and among equals the leftmost, as long as two neighbours are a token. A token's rank is its id.
class BytePairs {
public:
  /// Reads tiktoken's format, a line "base64 rank" for each token; all 256 bytes must be tokens. `pattern` (PCRE2) must
  /// match any character. Nothing, with errors in `diags`, where the file is another one.
  static std::optional<BytePairs> read(const std::string &path, const char *pattern, std::vector<Diagnostic> &diags);

  /// From the bytes of each token, in the order of ids; empty where an id is none. `path` is where they come from.
  static std::optional<BytePairs> make(std::vector<std::string> tokens, const std::string &path, const char *pattern,
                                       std::vector<Diagnostic> &diags);

  BytePairs(BytePairs &&) noexcept;
  BytePairs &operator=(BytePairs &&) noexcept;
  ~BytePairs();

  /// 1 + the largest id.
  int64_t size() const { return static_cast<int64_t>(bytes.size()); }
  /// The bytes of a token; empty for an id that is none.
  std::string_view bytesOf(int32_t id) const {
    return id >= 0 && id < size() ? std::string_view(bytes[static_cast<size_t>(id)]) : std::string_view();
  }
  /// Appends the ids of `text`. Bytes that are no UTF-8 are tokens of their own.
  void encode(std::string_view text, std::vector<int32_t> &ids) const;

private:
  struct Pattern;
  BytePairs();

  std::optional<int32_t> rankOf(std::string_view token) const;
  void encodePiece(std::string_view piece, std::vector<int32_t> &ids) const;

  std::vector<std::string> bytes;
  std::unordered_map<std::string_view, int32_t> ranks; ///< keys lie in `bytes`
  std::unique_ptr<Pattern> pattern;
};

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_BYTEPAIRS_H

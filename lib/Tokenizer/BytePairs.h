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
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ftc {

/// Tokens that text is made of.
struct Vocabulary {
  std::vector<std::string> tokens; ///< the bytes of each, in the order of ids; empty where an id is none
  /// Pairs of tokens that become one, the first of them first. Absent: any two tokens that are a third one together,
  /// and its id is their rank.
  std::optional<std::vector<std::pair<std::string, std::string>>> merges;
};

/// Byte-pair encoding (Sennrich et al. 2016) over bytes. Text is cut into pieces by a regular expression; the bytes of
/// a piece are joined, the pair of lowest rank first and among equals the leftmost, as long as there is one.
/// In a vocabulary without merges, as tiktoken's, a piece that is a token is that token, and what a join gives is
/// looked at before anything else. With merges, as GPT-2's, all pairs of the lowest rank are joined before what that
/// gives is looked at.
class BytePairs {
public:
  /// Reads tiktoken's format, a line "base64 rank" for each token; all 256 bytes must be tokens. `pattern` (PCRE2) must
  /// match any character. Nothing, with errors in `diags`, where the file is another one.
  static std::optional<BytePairs> read(const std::string &path, const char *pattern, std::vector<Diagnostic> &diags);

  /// All 256 bytes, and what merges name and give, must be tokens. `path` is where they come from, for errors.
  static std::optional<BytePairs> make(Vocabulary vocabulary, const std::string &path, const char *pattern,
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
  /// How much of the front of `text` may be encoded alone, with every pattern of Patterns.h, whatever follows `text`;
  /// 0: nothing. What is cut off ends with no space, or with a line feed behind a word.
  static size_t cutAt(std::string_view text);
  /// The bytes of all ids, one behind the other: those of `special`, which are no tokens of text, are spelled as it
  /// says or left out, and U+FFFD stands for ids that are neither.
  std::string decode(std::span<const int32_t> ids, const std::map<int32_t, std::string> &special,
                     bool spellSpecial) const;

private:
  struct Pattern;
  BytePairs();

  struct Joined {
    int32_t rank, id;
  };

  std::optional<int32_t> idOf(std::string_view token) const;
  /// The error of merges, or "".
  std::string addMerges(const std::vector<std::pair<std::string, std::string>> &pairs);
  void join(std::string_view piece, std::vector<int32_t> &ids) const;
  void encodePiece(std::string_view piece, std::vector<int32_t> &ids) const;

  std::vector<std::string> bytes;
  std::unordered_map<std::string_view, int32_t> idsOf;        ///< keys lie in `bytes`
  std::optional<std::unordered_map<uint64_t, Joined>> merges; ///< by the left token's id << 32 | the right one's
  std::vector<bool> joins; ///< with merges: whether a token's bytes are joined to it, and not to several
  std::unique_ptr<Pattern> pattern;
};

} // namespace ftc

#endif // FTC_LIB_TOKENIZER_BYTEPAIRS_H

//===- TextFile.h - A document that may be larger than memory ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_TEXTFILE_H
#define FTC_LIB_DATA_TEXTFILE_H

#include "ftc/Tokenizer/Tokenizer.h"

#include <cstdint>
#include <string>
#include <utility>

namespace ftc {

/// A file of text, read in pieces: once to look at it, and once more for its tokens.
class TextFile {
public:
  /// What cannot be read twice (a pipe) is copied to a file without a name in `scratchFolder` first.
  TextFile(std::string path, std::string scratchFolder)
      : path(std::move(path)), scratchFolder(std::move(scratchFolder)) {}
  ~TextFile();
  TextFile(const TextFile &) = delete;
  TextFile &operator=(const TextFile &) = delete;

  /// Reads it to its end. False where that fails: see `error`.
  bool scan();
  /// Whether a scan failed because there was no place for a copy.
  bool hasNoRoom() const { return noRoom; }
  bool hasZeroByte() const { return zeroByte; }
  /// Whether nothing, or a byte order mark alone, is in it.
  bool isEmpty() const { return bytes == textBegin; }
  /// Of its bytes, the byte order mark included: XXH3, 128 bits.
  std::pair<uint64_t, uint64_t> hash() const { return digest; }

  /// Hands all of its ids to `use(ids)`, in order: those that `tokenizer` gives for the text as a whole. Memory holds
  /// no more text than the tokenizer needs to find a place where it may be cut. False where it cannot be read any more.
  template <typename Use> bool encode(const Tokenizer &tokenizer, Use use) const {
    std::vector<int32_t> ids;
    std::string text;
    uint64_t at = textBegin;
    for (size_t wanted = piece; at < bytes || !text.empty();) {
      if (!readMore(at, wanted, text))
        return false;
      size_t front = at == bytes ? text.size() : tokenizer.cutAt(text);
      if (!front) {
        wanted = 2 * text.size();
        continue;
      }
      ids.clear();
      std::string_view part = std::string_view(text).substr(0, front);
      if (at - text.size() == textBegin)
        tokenizer.encode(part, ids);
      else
        tokenizer.encodeRest(part, ids);
      use(ids);
      text.erase(0, front);
      wanted = text.size() + piece;
    }
    return true;
  }

  /// "cannot read 'PATH': CAUSE".
  const std::string &error() const { return problem; }

private:
  static constexpr size_t piece = size_t(1) << 16;

  /// Appends to `text` what lies at `at`, until it has `wanted` bytes or the file ends.
  bool readMore(uint64_t &at, size_t wanted, std::string &text) const;
  bool fail(int code) const;
  bool failToCopy(const char *doing, int code);

  std::string path, scratchFolder;
  int file = -1;
  uint64_t bytes = 0, textBegin = 0;
  bool zeroByte = false, noRoom = false;
  std::pair<uint64_t, uint64_t> digest;
  mutable std::string problem;
};

} // namespace ftc

#endif // FTC_LIB_DATA_TEXTFILE_H

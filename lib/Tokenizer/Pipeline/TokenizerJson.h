//===- TokenizerJson.h - Hugging Face's tokenizer.json ----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PIPELINE_TOKENIZERJSON_H
#define FTC_LIB_TOKENIZER_PIPELINE_TOKENIZERJSON_H

#include "PrefixSet.h"
#include "Steps.h"

#include "ftc/Support/Diagnostics.h"

#include <optional>
#include <span>
#include <unordered_map>

namespace ftc::pipeline {

/// A token beside the model's, which text may spell.
struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool isSpecial = false; ///< left out when ids are spelled
  bool isWord = false;    ///< counts only where no character of a word is next to it
  bool takesSpacesBefore = false, takesSpacesBehind = false;
  bool isNormalized = false; ///< is looked for in text that was normalized
};

/// What `tokenizers` makes of a tokenizer.json: text is cut at added tokens, normalized, cut into pieces, and each
/// piece becomes the model's ids. Parts that are not built are errors with their place in the file.
class TokenizerJson {
public:
  /// Nothing, with an error in `diags`, where `path` is no such file, or has a part that is not built.
  static std::optional<TokenizerJson> read(const std::string &path, std::vector<Diagnostic> &diags);

  /// 1 + the largest id.
  int64_t size() const { return std::ssize(spellings); }
  /// The id of a token, added or the model's; -1: there is none.
  int32_t idOf(std::string_view spelling) const;
  /// An added token that is special, or -1's like, none.
  bool isSpecial(int32_t id) const { return id >= 0 && id < size() && special[static_cast<size_t>(id)]; }
  bool isAdded(int32_t id) const;
  const std::string &spelling(int32_t id) const { return spellings[static_cast<size_t>(id)]; }

  /// Appends ids of a text, without those of the post-processor. `isRest`: it is what follows a cut.
  void encode(std::string_view text, std::vector<int32_t> &ids, bool isRest = false) const;
  /// How much of the front of `text` may be encoded alone, whatever follows it; 0: nothing.
  size_t cutAt(std::string_view text) const;
  /// Ids that the post-processor writes before and behind a text.
  const std::vector<int32_t> &front() const { return before; }
  const std::vector<int32_t> &back() const { return behind; }
  /// Text of ids; U+FFFD stands for those that are none.
  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const;

private:
  struct Segment {
    size_t begin, end;
    int32_t id; ///< -1: text
  };

  void readAdded(const Part &list);
  void readPostProcessor(const Part &part);
  void findCuts(const Part &file);
  void split(std::string_view text, const PrefixSet &words, std::vector<Segment> &out) const;

  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> preTokenizer;
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  std::vector<AddedToken> added;
  std::unordered_map<std::string, int32_t> addedIds;
  PrefixSet inText, inNormalized; ///< places in `added`
  std::vector<std::string> spellings;
  std::vector<bool> special;
  std::vector<int32_t> before, behind;
  bool cutsBetweenWords = false;
};

} // namespace ftc::pipeline

#endif // FTC_LIB_TOKENIZER_PIPELINE_TOKENIZERJSON_H

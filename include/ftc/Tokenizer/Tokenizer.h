//===- Tokenizer.h - Text to token ids and back -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TOKENIZER_TOKENIZER_H
#define FTC_TOKENIZER_TOKENIZER_H

#include "ftc/Support/Diagnostics.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// Turns text into token ids and back. Ids count from 0 and lie below vocabSize().
class Tokenizer {
public:
  virtual ~Tokenizer();

  /// Whether it is built in. One that is not is there for its special ids (-1: not known), next to ids that were made
  /// with it beforehand: it has no vocabulary, and encode and decode do nothing.
  virtual bool readsText() const { return true; }

  /// The name that a recipe uses, e.g. "byte".
  virtual std::string_view name() const = 0;
  /// Number of ids, special ones included.
  virtual int64_t vocabSize() const = 0;
  /// Begin of a document.
  virtual int32_t bosId() const = 0;
  /// End of a document or of an assistant's turn.
  virtual int32_t eosId() const = 0;
  /// Fills the unused rest of a row; never trained.
  virtual int32_t padId() const = 0;

  /// Appends the ids of `text` to `ids`. Adds no special token; text that spells a special token stays text.
  virtual void encode(std::string_view text, std::vector<int32_t> &ids) const = 0;

  /// The text of `ids`, always valid UTF-8: what is not becomes U+FFFD, one for each maximal part of a character as the
  /// Unicode standard recommends, and so does an id that is not in the vocabulary. Special tokens are left out, or
  /// spelled ("<|end_of_text|>") with `spellSpecial`.
  virtual std::string decode(std::span<const int32_t> ids, bool spellSpecial = false) const = 0;
};

/// The tokenizer that a recipe names: "byte" (ids 0..255 are bytes, 256 <|begin_of_text|>, 257 <|end_of_text|>, 258
/// <|finetune_right_pad_id|>, as Llama 3 spells them), or one of torchtune's, which does not read text. Another name is
/// an error that says what works.
std::unique_ptr<Tokenizer> makeTokenizer(std::string_view name, std::vector<Diagnostic> &diags);

/// `bytes` as valid UTF-8: see Tokenizer::decode.
std::string repairUtf8(std::string_view bytes);

} // namespace ftc

#endif // FTC_TOKENIZER_TOKENIZER_H

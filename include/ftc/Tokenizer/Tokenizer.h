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

/// One turn of a conversation.
struct Message {
  std::string role;                ///< "system", "user", "assistant", "tool" or "ipython"
  std::vector<std::string> pieces; ///< its words, mostly one piece
  bool trained = false;
};

/// Turns text into token ids and back. Ids count from 0 and lie below vocabSize().
class Tokenizer {
public:
  virtual ~Tokenizer();

  /// Why it makes no ids out of text, and what to do; "" where it does. One that does not, because it is not built in
  /// or its file is missing, is there for its special ids (-1: not known), next to ids that were made with it
  /// beforehand: it has no vocabulary, and encode and decode do nothing.
  virtual std::string whyNoText() const { return ""; }

  /// The name that a recipe uses, e.g. "byte".
  virtual std::string_view name() const = 0;
  /// Number of ids, special ones included.
  virtual int64_t vocabSize() const = 0;
  /// Begin of a document; -1: there is none.
  virtual int32_t bosId() const = 0;
  /// End of a document or of an assistant's turn.
  virtual int32_t eosId() const = 0;
  /// What a conversation ends with that was cut to the length of a row; -1: nothing.
  virtual int32_t endOfConversationId() const { return eosId(); }
  /// Whether text that is made ends with this id.
  virtual bool ends(int32_t id) const { return id == eosId(); }
  /// Fills the unused rest of a row; never trained.
  virtual int32_t padId() const = 0;

  /// Appends the ids of `text` to `ids`. Adds no special token. Text that spells a special token stays text, but with
  /// Qwen's tokenizers, where it is that token, as torchtune has it.
  virtual void encode(std::string_view text, std::vector<int32_t> &ids) const = 0;

  /// How much of the front of `text` may be encoded alone, whatever follows `text`: `encode` of the front and then
  /// `encodeRest` of all the rest give the ids that `encode` gives for both together. The rest may be cut in its turn.
  /// 0: there is no such place in `text`, or none is known. `text` begins where a document or such a rest does.
  virtual size_t cutAt(std::string_view text) const = 0;
  /// Appends the ids of what follows a cut, or of a front of it that may be cut off.
  virtual void encodeRest(std::string_view text, std::vector<int32_t> &ids) const { encode(text, ids); }

  /// Why encodeConversation has no wording for a conversation, and what to do; "" where it has one.
  virtual std::string whyNotWorded(std::span<const Message> messages) const { return ""; }

  /// Appends a conversation in the wording that the tokenizer's models were trained with, begin and end tokens
  /// included, and to `trained` whether each of its ids is.
  virtual void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                                  std::vector<uint8_t> &trained) const = 0;

  /// Appends what an answer goes on from: the conversation as encodeConversation writes it, up to the words that its
  /// last message, the assistant's, does not have yet. Needs such a message.
  virtual void encodeQuestion(std::span<const Message> messages, std::vector<int32_t> &ids) const;

  /// The text of `ids`, always valid UTF-8: what is not becomes U+FFFD, one for each maximal part of a character as the
  /// Unicode standard recommends, and so does an id that is not in the vocabulary. Special tokens are left out, or
  /// spelled ("<|end_of_text|>") with `spellSpecial`.
  virtual std::string decode(std::span<const int32_t> ids, bool spellSpecial = false) const = 0;
};

/// What a recipe says of its tokenizer.
struct TokenizerConfig {
  /// "byte", or a component of torchtune's.
  std::string component = "byte";
  /// Its file: ranks of byte pairs in tiktoken's format (Llama 3), a SentencePiece model (Llama 2, Mistral, Gemma,
  /// Phi-3), or vocab.json (Qwen, Phi-4); Hugging Face's tokenizer.json for the first and the last, and for any
  /// model's.
  std::string path;
  /// JSON with a list `added_tokens` of {"id", "content"}, such as Hugging Face's tokenizer.json; "": the model's
  /// own, of Llama 3, Qwen and Phi.
  std::string specialTokensPath;
  /// merges.txt of Qwen's tokenizers and Phi-4's, with vocab.json.
  std::string mergesFile = "";
  /// Whether conversations get the wording of the family's chats where that is made of words, [INST] of Llama 2 and
  /// Mistral; else only what the messages say.
  bool ownWording = true;
  /// tokenizer_config.json and generation_config.json of any model's tokenizer of Hugging Face's.
  std::string tokenizerConfigPath = "", generationConfigPath = "";
};

/// The tokenizer that a recipe names: "byte" (ids 0..255 are bytes, 256 <|begin_of_text|>, 257 <|end_of_text|>, 258
/// <|finetune_right_pad_id|>, as Llama 3 spells them), or torchtune's for Llama 3, Llama 2, Mistral, Gemma, Qwen2,
/// Qwen2.5, Qwen3, Phi-3 and Phi-4, with the ids that torchtune gives, or any model's by its tokenizer.json and chat
/// template (HuggingFaceModelTokenizer). Another one of torchtune's, and one whose file does not exist, reads no text.
/// Null with errors: a name that nobody knows, or a file that is not what it should be.
std::unique_ptr<Tokenizer> makeTokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

/// `bytes` as valid UTF-8: see Tokenizer::decode.
std::string repairUtf8(std::string_view bytes);

} // namespace ftc

#endif // FTC_TOKENIZER_TOKENIZER_H

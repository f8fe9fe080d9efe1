//===- Phi3.cpp - Phi-3 mini's tokenizer ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ids and masks are those of torchtune's Phi3MiniTokenizer: a SentencePiece model (Llama 2's), special tokens behind
// it, and Phi-3's wording. Documents end with the model's own </s>; a conversation has no end but that of its last
// message, and padding is <|endoftext|>.
//
//===----------------------------------------------------------------------===//

#include "Families.h"
#include "HuggingFace.h"
#include "SentencePieceModel.h"

#include <fmt/format.h>

using namespace ftc;

namespace {

constexpr const char *endOfText = "<|endoftext|>", *endOfMessage = "<|end|>";
constexpr std::string_view needed[] = {endOfText, endOfMessage, "<|user|>", "<|assistant|>", "<|system|>"};

constexpr int32_t firstSpecial = 32000;
constexpr const char *specialNames[] = {endOfText,          "<|assistant|>",    "<|placeholder1|>", "<|placeholder2|>",
                                        "<|placeholder3|>", "<|placeholder4|>", "<|system|>",       endOfMessage,
                                        "<|placeholder5|>", "<|placeholder6|>", "<|user|>"};

std::map<std::string, int32_t> canonicalTokens() {
  std::map<std::string, int32_t> tokens;
  for (int32_t id = firstSpecial; const char *name : specialNames)
    tokens.emplace(name, id++);
  return tokens;
}

class Phi3Tokenizer final : public Tokenizer {
public:
  Phi3Tokenizer(std::string component, SentencePieceModel base, std::map<std::string, int32_t> special)
      : component(std::move(component)), base(std::move(base)), special(std::move(special)),
        pad(this->special.at(endOfText)), end(this->special.at(endOfMessage)) {
    count = this->base.size();
    for (const auto &[text, id] : this->special) {
      count = std::max<int64_t>(count, id + 1);
      spelling.emplace(id, text);
    }
  }

  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return count; }
  int32_t bosId() const override { return base.bosId(); }
  int32_t eosId() const override { return base.eosId(); }
  int32_t padId() const override { return pad; }
  int32_t endOfConversationId() const override { return -1; }
  bool ends(int32_t id) const override { return id == eosId() || id == pad || id == end; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override { base.encode(text, ids); }
  size_t cutAt(std::string_view text) const override { return base.cutAt(text); }
  void encodeRest(std::string_view text, std::vector<int32_t> &ids) const override { base.encodeInside(text, ids); }

  std::string whyNotWorded(std::span<const Message> messages) const override {
    for (const Message &message : messages)
      if (!special.contains(header(message)))
        return fmt::format(
            "the conversation has a message of the role '{}', for which Phi-3's wording has no place; put "
            "its words into what the user says",
            message.role);
    return "";
  }

  /// BOS; for each message the token of its role, a line feed, its words, <|end|> and a line feed. A message is trained
  /// as a whole, header included, and BOS with the first one.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    for (size_t i = 0; i < messages.size(); ++i) {
      const Message &message = messages[i];
      if (i == 0)
        ids.push_back(bosId());
      ids.push_back(special.at(header(message)));
      encode("\n", ids);
      for (std::string_view piece : message.pieces)
        base.encodeInside(piece.substr(0, piece.find_last_not_of(' ') + 1), ids);
      ids.push_back(end);
      encode("\n", ids);
      trained.resize(ids.size(), message.trained);
    }
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    std::string text;
    std::vector<int32_t> run;
    auto flush = [&] {
      text += base.decode(run);
      run.clear();
    };
    for (int32_t id : ids) {
      auto found = spelling.find(id);
      bool known = id >= 0 && id < base.size() && found == spelling.end();
      if (known && !base.isControl(id)) {
        run.push_back(id);
        continue;
      }
      // What is left out parts no words.
      if (!spellSpecial && (known || found != spelling.end()))
        continue;
      flush();
      text += known ? base.spelling(id) : found != spelling.end() ? found->second : "\xEF\xBF\xBD";
    }
    flush();
    return repairUtf8(text);
  }

private:
  static std::string header(const Message &message) { return "<|" + message.role + "|>"; }

  std::string component;
  SentencePieceModel base;
  std::map<std::string, int32_t> special;
  std::map<int32_t, std::string> spelling;
  int64_t count = 0;
  int32_t pad, end;
};

} // namespace

std::unique_ptr<Tokenizer> ftc::makePhi3Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  SentencePieceModel base;
  if (std::string problem = base.load(config.path); !problem.empty()) {
    diags.push_back(
        {Severity::Error, config.path, 0, 0,
         fmt::format("this is no tokenizer that SentencePiece reads ({}); Phi-3's is tokenizer.model of its "
                     "repository",
                     problem)});
    return nullptr;
  }
  std::optional<std::map<std::string, int32_t>> special =
      config.specialTokensPath.empty() ? canonicalTokens()
                                       : readSpecialTokens(config.specialTokensPath, needed, "Phi-3", diags);
  if (!special)
    return nullptr;
  for (const auto &[text, id] : *special)
    if (id < base.size() && base.spelling(id) != text) {
      diags.push_back({Severity::Error, config.path, 0, 0,
                       fmt::format("id {} is '{}' in this file and the special token '{}'; the file belongs to other "
                                   "special tokens: name them with tokenizer.special_tokens_path=FILE.json",
                                   id, base.spelling(id), text)});
      return nullptr;
    }
  return std::make_unique<Phi3Tokenizer>(config.component, std::move(base), std::move(*special));
}

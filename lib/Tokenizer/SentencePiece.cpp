//===- SentencePiece.cpp - Tokenizers of Llama 2, Mistral and Gemma -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ids and masks are those of torchtune's Llama2Tokenizer with Llama2ChatTemplate, of its MistralTokenizer with
// MistralChatTemplate, of both without a template, and of its GemmaTokenizer, which has none.
//
//===----------------------------------------------------------------------===//

#include "Families.h"
#include "SentencePieceModel.h"

#include <fmt/format.h>

using namespace ftc;

namespace {

/// What is written around the messages of a conversation.
enum class Wording {
  Llama2,  ///< "[INST] " and " [/INST] " around what a user says, with the last system message inside
  Mistral, ///< the same without system messages
  Plain    ///< nothing
};

class SentencePieceTokenizer final : public Tokenizer {
public:
  SentencePieceTokenizer(std::string component, Wording wording) : component(std::move(component)), wording(wording) {}

  /// The error of reading a model, or "".
  std::string load(const std::string &path) { return model.load(path); }

  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return model.size(); }
  int32_t bosId() const override { return model.bosId(); }
  int32_t eosId() const override { return model.eosId(); }
  /// The models of Llama 2 and Mistral have none, Gemma's has this; torchtune takes it for all.
  int32_t padId() const override { return 0; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override { model.encode(text, ids); }
  size_t cutAt(std::string_view text) const override { return model.cutAt(text); }
  void encodeRest(std::string_view text, std::vector<int32_t> &ids) const override { model.encodeInside(text, ids); }

  std::string whyNotWorded(std::span<const Message> messages) const override {
    constexpr const char *ways =
        "put its words into what the user says, or override tokenizer.prompt_template=null for "
        "a wording without [INST]";
    for (const Message &message : messages) {
      if (wording == Wording::Mistral && message.role == "system")
        return fmt::format("the conversation has a system prompt, for which Mistral's wording has no place; {}", ways);
      if (wording == Wording::Mistral && (message.role == "tool" || message.role == "ipython"))
        return fmt::format("the conversation has a message of a tool, for which Mistral's wording has no place; {}",
                           ways);
    }
    return "";
  }

  /// BOS before each turn of the conversation; the messages in their wording; EOS, trained with it, after each answer.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    std::vector<std::string> system;
    bool startOfTurn = true, endedWithSpace = false;
    for (const Message &message : messages) {
      std::vector<std::string> pieces = message.pieces;
      if (wording == Wording::Llama2 && message.role == "system") {
        system = {"<<SYS>>\n"};
        system.insert(system.end(), pieces.begin(), pieces.end());
        system.push_back("\n<</SYS>>\n\n");
        continue;
      }
      if (wording != Wording::Plain && message.role == "user") {
        pieces.insert(pieces.begin(), system.begin(), system.end());
        pieces.insert(pieces.begin(), "[INST] ");
        pieces.push_back(" [/INST] ");
      }
      if (startOfTurn)
        ids.push_back(bosId());
      bool inside = !startOfTurn && !endedWithSpace;
      for (const std::string &piece : pieces) {
        std::string_view text = piece;
        text = text.substr(0, text.find_last_not_of(' ') + 1);
        if (inside)
          model.encodeInside(text, ids);
        else
          encode(text, ids);
        endedWithSpace = piece.ends_with(' ');
      }
      startOfTurn = message.role == "assistant";
      if (startOfTurn)
        ids.push_back(eosId());
      trained.resize(ids.size(), message.trained);
    }
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    std::string text;
    std::vector<int32_t> run;
    auto flush = [&] {
      text += model.decode(run);
      run.clear();
    };
    for (int32_t id : ids) {
      bool known = id >= 0 && id < model.size();
      if (known && !model.isControl(id)) {
        run.push_back(id);
        continue;
      }
      flush();
      if (!known)
        text += "\xEF\xBF\xBD";
      else if (spellSpecial)
        text += model.spelling(id);
    }
    flush();
    return repairUtf8(text);
  }

private:
  std::string component;
  Wording wording;
  SentencePieceModel model;
};

} // namespace

std::unique_ptr<Tokenizer> ftc::makeSentencePieceTokenizer(const TokenizerConfig &config,
                                                           std::vector<Diagnostic> &diags) {
  const bool isMistral = config.component.ends_with(".mistral_tokenizer");
  const bool isGemma = config.component.ends_with(".gemma_tokenizer");
  Wording wording = isMistral ? Wording::Mistral : Wording::Llama2;
  if (!config.ownWording || isGemma)
    wording = Wording::Plain;
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(config.component, wording);
  if (std::string problem = tokenizer->load(config.path); !problem.empty()) {
    diags.push_back({Severity::Error, config.path, 0, 0,
                     fmt::format("this is no tokenizer that SentencePiece reads ({}); {}'s is tokenizer.model of its "
                                 "repository",
                                 problem,
                                 isMistral ? "Mistral"
                                 : isGemma ? "Gemma"
                                           : "Llama 2")});
    return nullptr;
  }
  return tokenizer;
}

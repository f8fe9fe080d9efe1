//===- Phi4.cpp - Phi-4's tokenizer ---------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ids and masks are those of torchtune's Phi4Tokenizer: text cut by GPT-2's pattern, as torchtune has it, and joined by
// merges; special tokens behind the vocabulary; Phi-4's wording. The model's own pieces are those of cl100k_base: they
// are taken where the vocabulary comes from Hugging Face's tokenizer.json, whose pattern that is. The end of what the
// assistant says has no token, as torchtune has it.
//
//===----------------------------------------------------------------------===//

#include "Families.h"
#include "HuggingFace.h"
#include "Patterns.h"

#include <fmt/format.h>

using namespace ftc;

namespace {

constexpr const char *startOfMessage = "<|im_start|>", *endOfHeader = "<|im_sep|>", *endOfMessage = "<|im_end|>",
                     *endOfText = "<|endoftext|>", *padding = "<|dummy_85|>";
constexpr std::string_view needed[] = {startOfMessage, endOfHeader, endOfMessage, endOfText, padding};

std::map<std::string, int32_t> canonicalTokens() {
  std::map<std::string, int32_t> tokens = {
      {endOfText, 100257},      {"<|fim_prefix|>", 100258}, {"<|fim_middle|>", 100259}, {"<|fim_suffix|>", 100260},
      {startOfMessage, 100264}, {endOfMessage, 100265},     {endOfHeader, 100266},      {"<|endofprompt|>", 100276}};
  // What is left of 100256 to 100351 has names by number.
  std::map<int32_t, std::string> taken;
  for (const auto &[text, id] : tokens)
    taken.emplace(id, text);
  for (int32_t id = 100256, number = 0; id < 100352; ++id)
    if (!taken.contains(id))
      tokens.emplace(fmt::format("<|dummy_{}|>", number++), id);
  return tokens;
}

class Phi4Tokenizer final : public Tokenizer {
public:
  Phi4Tokenizer(std::string component, BytePairs base, const std::map<std::string, int32_t> &special)
      : component(std::move(component)), base(std::move(base)), start(special.at(startOfMessage)),
        separator(special.at(endOfHeader)), end(special.at(endOfMessage)), begin(special.at(endOfText)),
        pad(special.at(padding)) {
    count = this->base.size();
    for (const auto &[text, id] : special) {
      count = std::max<int64_t>(count, id + 1);
      spelling.emplace(id, text);
    }
  }

  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return count; }
  int32_t bosId() const override { return begin; }
  int32_t eosId() const override { return end; }
  int32_t padId() const override { return pad; }
  int32_t endOfConversationId() const override { return -1; }
  bool ends(int32_t id) const override { return id == end || id == begin; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override { base.encode(text, ids); }

  size_t cutAt(std::string_view text) const override { return BytePairs::cutAt(text); }

  /// For each message <|im_start|>, its role, <|im_sep|>, its words, and <|im_end|> but for the assistant's. A message
  /// is trained as a whole, header included.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    for (const Message &message : messages) {
      ids.push_back(start);
      encode(message.role, ids);
      ids.push_back(separator);
      for (std::string_view piece : message.pieces)
        encode(piece.substr(0, piece.find_last_not_of(' ') + 1), ids);
      if (message.role != "assistant")
        ids.push_back(end);
      trained.resize(ids.size(), message.trained);
    }
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    return repairUtf8(base.decode(ids, spelling, spellSpecial));
  }

private:
  std::string component;
  BytePairs base;
  std::map<int32_t, std::string> spelling;
  int64_t count = 0;
  int32_t start, separator, end, begin, pad;
};

} // namespace

std::unique_ptr<Tokenizer> ftc::makePhi4Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  constexpr const char *wayOut = "name Phi-4's vocab.json together with tokenizer.merges_path=merges.txt, or its "
                                 "tokenizer.json";
  std::optional<HuggingFaceVocabulary> read = readVocabulary(config.path, config.mergesFile, wayOut, diags);
  if (!read)
    return nullptr;
  if (!read->vocabulary.merges) {
    diags.push_back({Severity::Error, config.path, 0, 0, fmt::format("it has no merges; {}", wayOut)});
    return nullptr;
  }
  std::optional<BytePairs> base = BytePairs::make(std::move(read->vocabulary), config.path,
                                                  read->isTokenizerJson ? llama3Pattern : gpt2Pattern, diags);
  if (!base)
    return nullptr;
  std::string specialFrom =
      config.specialTokensPath.empty() && read->isTokenizerJson ? config.path : config.specialTokensPath;
  std::optional<std::map<std::string, int32_t>> special =
      specialFrom.empty() ? canonicalTokens() : readSpecialTokens(specialFrom, needed, "Phi-4", diags);
  if (!special || !areApart(*base, *special, config.path, diags))
    return nullptr;
  return std::make_unique<Phi4Tokenizer>(config.component, std::move(*base), *special);
}

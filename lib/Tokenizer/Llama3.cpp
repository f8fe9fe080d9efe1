//===- Llama3.cpp - Llama 3's tokenizer -----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ids and masks are those of torchtune's Llama3Tokenizer: its pattern, its special tokens (Meta's model card of Llama
// 3.1), its wording of conversations, and its cuts of very long texts, over which no token reaches.
//
//===----------------------------------------------------------------------===//

#include "BytePairs.h"
#include "Families.h"
#include "HuggingFace.h"
#include "Patterns.h"
#include "Utf8.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <map>

using namespace ftc;

namespace {

constexpr int32_t firstReserved = 128013, endReserved = 128256;

std::map<std::string, int32_t> canonicalTokens() {
  std::map<std::string, int32_t> tokens = {
      {"<|begin_of_text|>", 128000},
      {"<|end_of_text|>", 128001},
      {"<|reserved_special_token_0|>", 128002},
      {"<|reserved_special_token_1|>", 128003},
      {"<|finetune_right_pad_id|>", 128004},
      {"<|step_id|>", 128005},
      {"<|start_header_id|>", 128006},
      {"<|end_header_id|>", 128007},
      {"<|eom_id|>", 128008},
      {"<|eot_id|>", 128009},
      {"<|python_tag|>", 128010},
      {"<|video|>", 128012},
  };
  for (int32_t id = firstReserved; id < endReserved; ++id)
    tokens.emplace(fmt::format("<|reserved_special_token_{}|>", id - firstReserved + 2), id);
  return tokens;
}

/// Most characters of a part that is encoded at once.
constexpr int64_t mostCharacters = 400000;

/// Calls `use` with parts of `text`: at most 400000 characters, and at most 25000 that are all spaces or none.
template <typename Use> void cutLongText(std::string_view text, Use use) {
  constexpr int64_t mostAlike = 25000;
  size_t begin = 0;
  int64_t characters = 0, alike = 0;
  bool wasSpace = false;
  for (size_t at = 0; at < text.size();) {
    int length = characterLength(text.substr(at));
    size_t bytes = static_cast<size_t>(std::abs(length));
    bool space = length > 0 && isSpace(characterAt(text.substr(at), length));
    bool restart = characters == mostCharacters;
    alike = characters == 0 || restart || space != wasSpace ? 1 : alike + 1;
    bool cut = restart || alike > mostAlike;
    if (cut) {
      use(text.substr(begin, at - begin));
      begin = at;
      alike = 1;
    }
    characters = restart ? 1 : characters + 1;
    wasSpace = space;
    at += bytes;
  }
  use(text.substr(begin));
}

/// Without spaces at both ends.
std::string_view stripped(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    int length = characterLength(text.substr(at));
    size_t next = at + static_cast<size_t>(std::abs(length));
    if (length < 0 || !isSpace(characterAt(text.substr(at), length))) {
      begin = std::min(begin, at);
      end = next;
    }
    at = next;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

class Llama3Tokenizer final : public Tokenizer {
public:
  Llama3Tokenizer(BytePairs base, std::map<std::string, int32_t> special)
      : base(std::move(base)), special(std::move(special)) {
    count = this->base.size();
    for (const auto &[text, id] : this->special) {
      count = std::max<int64_t>(count, id + 1);
      spelling.emplace(id, text);
    }
    bos = this->special.at("<|begin_of_text|>");
    eos = this->special.at("<|end_of_text|>");
    startHeader = this->special.at("<|start_header_id|>");
    endHeader = this->special.at("<|end_header_id|>");
    endOfTurn = this->special.at("<|eot_id|>");
    auto endOfMessage = this->special.find("<|eom_id|>"), padding = this->special.find("<|finetune_right_pad_id|>");
    eom = endOfMessage == this->special.end() ? eos : endOfMessage->second;
    pad = padding == this->special.end() ? eos : padding->second;
  }

  std::string_view name() const override { return "torchtune.models.llama3.llama3_tokenizer"; }
  int64_t vocabSize() const override { return count; }
  int32_t bosId() const override { return bos; }
  int32_t eosId() const override { return eos; }
  int32_t padId() const override { return pad; }
  bool ends(int32_t id) const override { return id == eos || id == endOfTurn || id == eom; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    if (!text.empty())
      cutLongText(text, [&](std::string_view part) { base.encode(part, ids); });
  }

  /// Parts that are full: what follows is cut as if the text began there.
  size_t cutAt(std::string_view text) const override {
    size_t cut = 0;
    int64_t characters = 0;
    // The last character may go on in what follows.
    for (size_t at = 0; at + 4 <= text.size(); ++characters) {
      if (characters && characters % mostCharacters == 0)
        cut = at;
      at += static_cast<size_t>(std::abs(characterLength(text.substr(at))));
    }
    return cut;
  }

  /// BOS, then for each message a header with its role, its words without spaces around them, and the end of the turn;
  /// EOS. A message is trained as a whole, header included; BOS and EOS never are.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    auto mark = [&](bool isTrained) { trained.resize(ids.size(), isTrained); };
    ids.push_back(bos);
    mark(false);
    for (const Message &message : messages) {
      ids.push_back(startHeader);
      encode(message.role, ids);
      ids.push_back(endHeader);
      encode("\n\n", ids);
      for (const std::string &piece : message.pieces)
        encode(stripped(piece), ids);
      ids.push_back(endOfTurn);
      mark(message.trained);
    }
    ids.push_back(eos);
    mark(false);
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    return repairUtf8(base.decode(ids, spelling, spellSpecial));
  }

private:
  BytePairs base;
  std::map<std::string, int32_t> special;
  std::map<int32_t, std::string> spelling;
  int64_t count = 0;
  int32_t bos, eos, pad, startHeader, endHeader, endOfTurn, eom;
};

constexpr std::string_view needed[] = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                       "<|end_header_id|>", "<|eot_id|>"};

/// The vocabulary of Hugging Face's tokenizer.json. Llama 3's ids are the ranks of its pairs there too.
std::optional<BytePairs> readJsonVocabulary(const std::string &path, std::vector<Diagnostic> &diags) {
  std::optional<HuggingFaceVocabulary> read =
      readVocabulary(path, "", "name Llama 3's original/tokenizer.model or tokenizer.json", diags);
  if (!read)
    return std::nullopt;
  read->vocabulary.merges.reset();
  return BytePairs::make(std::move(read->vocabulary), path, llama3Pattern, diags);
}

} // namespace

std::unique_ptr<Tokenizer> ftc::makeLlama3Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  bool isJson = config.path.ends_with(".json");
  std::optional<BytePairs> base =
      isJson ? readJsonVocabulary(config.path, diags) : BytePairs::read(config.path, llama3Pattern, diags);
  if (!base)
    return nullptr;
  std::string specialFrom = config.specialTokensPath.empty() && isJson ? config.path : config.specialTokensPath;
  std::optional<std::map<std::string, int32_t>> special =
      specialFrom.empty() ? canonicalTokens() : readSpecialTokens(specialFrom, needed, "Llama 3", diags);
  if (!special)
    return nullptr;
  if (!areApart(*base, *special, config.path, diags))
    return nullptr;
  return std::make_unique<Llama3Tokenizer>(std::move(*base), std::move(*special));
}

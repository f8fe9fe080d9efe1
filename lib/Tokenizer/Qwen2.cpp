//===- Qwen2.cpp - Tokenizers of Qwen2, Qwen2.5 and Qwen3 -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ids and masks are those of torchtune's Qwen2Tokenizer, Qwen2_5Tokenizer and Qwen3Tokenizer: text in normalization
// form C; special tokens that it spells are special; the rest is cut by Qwen's pattern and joined by GPT-2's merges.
// They differ in their special tokens alone, as long as no message is a call of a tool by its format: Qwen3 has tokens
// for thoughts and for the <tool_response> that Qwen2.5 writes too. There is no token for the begin of a text; a text
// or a conversation ends with <|im_end|>.
//
//===----------------------------------------------------------------------===//

#include "Families.h"
#include "HuggingFace.h"
#include "Patterns.h"
#include "Utf8.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

using namespace ftc;

namespace {

/// What of a family differs from the others: how many of the special tokens below it has, and which it needs.
struct Family {
  const char *component, *name;
  size_t special, needed;
};
constexpr const char *startOfMessage = "<|im_start|>", *endOfMessage = "<|im_end|>", *endOfText = "<|endoftext|>";
constexpr std::string_view needed[] = {endOfText,          startOfMessage, endOfMessage,
                                       "<tool_call>",      "</tool_call>", "<tool_response>",
                                       "</tool_response>", "<think>",      "</think>"};
constexpr Family families[] = {{"torchtune.models.qwen2.qwen2_tokenizer", "Qwen2", 3, 3},
                               {"torchtune.models.qwen2_5.qwen2_5_tokenizer", "Qwen2.5", 22, 5},
                               {"torchtune.models.qwen3.qwen3_tokenizer", "Qwen3", 26, 9}};

constexpr int32_t firstSpecial = 151643;
/// Qwen3's special tokens in the order of their ids; those of Qwen2 and Qwen2.5 are the first of them.
constexpr const char *specialNames[] = {
    endOfText,        startOfMessage,   endOfMessage,      "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>",  "<|box_end|>",    "<|quad_start|>",  "<|quad_end|>",         "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>",   "<|video_pad|>",        "<tool_call>",
    "</tool_call>",   "<|fim_prefix|>", "<|fim_middle|>",  "<|fim_suffix|>",       "<|fim_pad|>",
    "<|repo_name|>",  "<|file_sep|>",   "<tool_response>", "</tool_response>",     "<think>",
    "</think>"};

const Family &familyOf(std::string_view component) {
  return *std::find_if(std::begin(families), std::end(families) - 1,
                       [&](const Family &family) { return component == family.component; });
}

std::map<std::string, int32_t> canonicalTokens(const Family &family) {
  std::map<std::string, int32_t> tokens;
  for (int32_t i = 0; const char *name : std::span(specialNames).first(family.special))
    tokens.emplace(name, firstSpecial + i++);
  return tokens;
}

/// Special tokens in text; of several that begin at a place, the longest counts.
class SpecialTokens {
public:
  explicit SpecialTokens(const std::map<std::string, int32_t> &tokens) : tokens(tokens.begin(), tokens.end()) {
    std::sort(this->tokens.begin(), this->tokens.end(),
              [](const auto &a, const auto &b) { return a.first.size() > b.first.size(); });
    for (const auto &[text, id] : this->tokens)
      begins[static_cast<unsigned char>(text[0])] = true;
  }

  /// Calls `useText` with what is between special tokens, and `useId` with their ids, in order.
  template <typename UseText, typename UseId> void split(std::string_view text, UseText useText, UseId useId) const {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      auto found = begins[static_cast<unsigned char>(text[at])]
                       ? std::find_if(tokens.begin(), tokens.end(),
                                      [&](const auto &token) { return text.substr(at).starts_with(token.first); })
                       : tokens.end();
      if (found == tokens.end()) {
        ++at;
        continue;
      }
      if (at > begin)
        useText(text.substr(begin, at - begin));
      useId(found->second);
      begin = at += found->first.size();
    }
    if (begin < text.size())
      useText(text.substr(begin));
  }

  /// Whether no token has a space or the end of a line in it.
  bool areWords() const {
    return std::all_of(tokens.begin(), tokens.end(), [](const auto &token) {
      for (std::string_view rest = token.first; !rest.empty();) {
        int length = characterLength(rest);
        if (length < 0 || isSpace(characterAt(rest, length)))
          return false;
        rest.remove_prefix(static_cast<size_t>(length));
      }
      return true;
    });
  }

private:
  std::vector<std::pair<std::string, int32_t>> tokens;
  std::array<bool, 256> begins{};
};

class Qwen2Tokenizer final : public Tokenizer {
public:
  Qwen2Tokenizer(std::string component, BytePairs base, const std::map<std::string, int32_t> &special)
      : component(std::move(component)), isQwen2(this->component == families[0].component), base(std::move(base)),
        special(special), start(special.at(startOfMessage)), end(special.at(endOfMessage)), pad(special.at(endOfText)) {
    count = this->base.size();
    for (const auto &[text, id] : special) {
      count = std::max<int64_t>(count, id + 1);
      spelling.emplace(id, text);
    }
  }

  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return count; }
  int32_t bosId() const override { return -1; }
  int32_t eosId() const override { return end; }
  int32_t padId() const override { return pad; }
  bool ends(int32_t id) const override { return id == end || id == pad; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    special.split(
        composed(text), [&](std::string_view part) { base.encode(part, ids); }, [&](int32_t id) { ids.push_back(id); });
  }

  /// A space or a line feed is composed with nothing before it, and lies in no special token.
  size_t cutAt(std::string_view text) const override { return special.areWords() ? BytePairs::cutAt(text) : 0; }

  /// For each message <|im_start|>, its role and a line feed, its words, <|im_end|> and a line feed; the last message
  /// goes without the last two if it is the assistant's. <|im_end|> ends all. A message is trained as a whole, header
  /// included, and that last token with the last message. What a tool answers ("ipython") is a message of the user's in
  /// Qwen2.5's and Qwen3's wording, several together, each in <tool_response>; in Qwen2's it is its words alone.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    for (size_t i = 0; i < messages.size(); ++i) {
      const Message &message = messages[i];
      const bool isAnswer = message.role == "ipython", isWorded = !isAnswer || !isQwen2;
      const bool followsOne = isAnswer && i > 0 && messages[i - 1].role == "ipython";
      const bool precedesOne = isAnswer && i + 1 < messages.size() && messages[i + 1].role == "ipython";
      if (isWorded && !followsOne) {
        ids.push_back(start);
        encode((isAnswer ? "user" : message.role) + "\n", ids);
      }
      if (isAnswer && isWorded)
        encode(followsOne ? "\n<tool_response>\n" : "<tool_response>\n", ids);
      for (const std::string &piece : message.pieces)
        encode(piece, ids);
      if (isAnswer && isWorded)
        encode("\n</tool_response>", ids);
      if (isWorded && !precedesOne && (message.role != "assistant" || i + 1 < messages.size())) {
        ids.push_back(end);
        encode("\n", ids);
      }
      trained.resize(ids.size(), message.trained);
    }
    ids.push_back(end);
    trained.resize(ids.size(), !messages.empty() && messages.back().trained);
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    std::string text, bytes;
    // A special token between the bytes of a character cuts it.
    auto flush = [&] {
      text += repairUtf8(bytes);
      bytes.clear();
    };
    for (int32_t id : ids) {
      if (auto found = spelling.find(id); found != spelling.end()) {
        flush();
        text += spellSpecial ? found->second : "";
      } else if (std::string_view token = base.bytesOf(id); !token.empty()) {
        bytes += token;
      } else {
        flush();
        text += "\xEF\xBF\xBD";
      }
    }
    flush();
    return text;
  }

private:
  std::string component;
  bool isQwen2; ///< else 2.5 or 3
  BytePairs base;
  SpecialTokens special;
  std::map<int32_t, std::string> spelling;
  int64_t count = 0;
  int32_t start, end, pad;
};

} // namespace

std::unique_ptr<Tokenizer> ftc::makeQwen2Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  const Family &family = familyOf(config.component);
  const char *wayOut = config.mergesFile.empty()
                           ? "name Qwen's tokenizer.json, or vocab.json together with tokenizer.merges_file=merges.txt"
                           : "name Qwen's vocab.json or tokenizer.json";
  std::optional<HuggingFaceVocabulary> read = readVocabulary(config.path, config.mergesFile, wayOut, diags);
  if (!read)
    return nullptr;
  if (!read->vocabulary.merges) {
    diags.push_back({Severity::Error, config.path, 0, 0, fmt::format("it has no merges; {}", wayOut)});
    return nullptr;
  }
  std::optional<BytePairs> base = BytePairs::make(std::move(read->vocabulary), config.path, qwen2Pattern, diags);
  if (!base)
    return nullptr;
  std::string specialFrom =
      config.specialTokensPath.empty() && read->isTokenizerJson ? config.path : config.specialTokensPath;
  std::optional<std::map<std::string, int32_t>> special =
      specialFrom.empty() ? canonicalTokens(family)
                          : readSpecialTokens(specialFrom, std::span(needed).first(family.needed), family.name, diags);
  if (!special || !areApart(*base, *special, config.path, diags))
    return nullptr;
  return std::make_unique<Qwen2Tokenizer>(config.component, std::move(*base), *special);
}

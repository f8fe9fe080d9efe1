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
#include "Utf8.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

using namespace ftc;

namespace {

// \s as Unicode defines White_Space: PCRE2's own has one character more (U+180E).
#define FTC_SPACE "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
constexpr const char *pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
                                "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
                                "|\\p{N}{1,3}"
                                "| ?[^" FTC_SPACE "\\p{L}\\p{N}]+[\\r\\n]*"
                                "|[" FTC_SPACE "]*[\\r\\n]+"
                                "|[" FTC_SPACE "]+(?![^" FTC_SPACE "])"
                                "|[" FTC_SPACE "]+";
#undef FTC_SPACE

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

/// What Python calls a space.
bool isSpace(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Calls `use` with parts of `text`: at most 400000 characters, and at most 25000 that are all spaces or none.
template <typename Use> void cutLongText(std::string_view text, Use use) {
  constexpr int64_t mostCharacters = 400000, mostAlike = 25000;
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
    std::string bytes;
    for (int32_t id : ids) {
      if (std::string_view token = base.bytesOf(id); !token.empty())
        bytes += token;
      else if (auto found = spelling.find(id); found == spelling.end())
        bytes += "\xEF\xBF\xBD";
      else if (spellSpecial)
        bytes += found->second;
    }
    return repairUtf8(bytes);
  }

private:
  BytePairs base;
  std::map<std::string, int32_t> special;
  std::map<int32_t, std::string> spelling;
  int64_t count = 0;
  int32_t bos, eos, pad, startHeader, endHeader, endOfTurn, eom;
};

std::nullopt_t addError(std::vector<Diagnostic> &diags, const std::string &path, std::string message) {
  diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
  return std::nullopt;
}

nlohmann::json readJson(const std::string &path, std::vector<Diagnostic> &diags) {
  std::string text, error;
  if (!readFile(path, text, error)) {
    addError(diags, path, error);
    return nullptr;
  }
  nlohmann::json file = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || file.is_null()) {
    addError(diags, path, "this is no JSON");
    return nullptr;
  }
  return file;
}

/// The bytes that a token of Hugging Face's byte-level vocabularies spells: GPT-2 writes each byte as a character of
/// its own, printable ones of Latin-1 as themselves, the others in order from U+0100 on.
std::optional<std::string> bytesOfSpelling(std::string_view spelling) {
  static const std::map<uint32_t, char> byteOf = [] {
    std::map<uint32_t, char> map;
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      map.emplace(printable ? byte : next++, static_cast<char>(byte));
    }
    return map;
  }();
  std::string bytes;
  while (!spelling.empty()) {
    int length = characterLength(spelling);
    auto found = length > 0 ? byteOf.find(characterAt(spelling, length)) : byteOf.end();
    if (found == byteOf.end())
      return std::nullopt;
    bytes.push_back(found->second);
    spelling.remove_prefix(static_cast<size_t>(length));
  }
  return bytes;
}

/// The vocabulary of Hugging Face's tokenizer.json. Llama 3's ids are the ranks of its pairs there too.
std::optional<BytePairs> readVocabulary(const std::string &path, std::vector<Diagnostic> &diags) {
  auto fail = [&](std::string message) { return addError(diags, path, std::move(message)); };
  nlohmann::json file = readJson(path, diags);
  if (file.is_null())
    return std::nullopt;
  nlohmann::json model = file.is_object() ? file.value("model", nlohmann::json()) : nlohmann::json();
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object() ||
      model.value("type", nlohmann::json("BPE")) != "BPE")
    return fail("no byte-pair vocabulary ('model' with 'vocab') is in it; name Llama 3's original/tokenizer.model or "
                "tokenizer.json");
  std::vector<std::string> tokens;
  for (const auto &[spelling, id] : model["vocab"].items()) {
    std::optional<std::string> bytes = bytesOfSpelling(spelling);
    if (!bytes || bytes->empty() || !id.is_number_unsigned() || id.get<uint64_t>() >= 1 << 24)
      return fail(fmt::format("'{}' in its vocabulary is no token of a byte-level tokenizer", spelling));
    size_t at = id.get<size_t>();
    if (at >= tokens.size())
      tokens.resize(at + 1);
    tokens[at] = std::move(*bytes);
  }
  return BytePairs::make(std::move(tokens), path, pattern, diags);
}

/// The list `added_tokens` of a JSON file.
std::optional<std::map<std::string, int32_t>> readSpecialTokens(const std::string &path,
                                                                std::vector<Diagnostic> &diags) {
  auto fail = [&](std::string message) { return addError(diags, path, std::move(message)); };
  nlohmann::json file = readJson(path, diags);
  if (file.is_null())
    return std::nullopt;
  if (!file.is_object() || !file.contains("added_tokens") || !file["added_tokens"].is_array())
    return fail(
        "no list 'added_tokens'; name Hugging Face's tokenizer.json, or leave tokenizer.special_tokens_path out");
  std::map<std::string, int32_t> tokens;
  for (const nlohmann::json &token : file["added_tokens"]) {
    if (!token.is_object() || !token.contains("id") || !token["id"].is_number_unsigned() ||
        token["id"].get<uint64_t>() > 0x7FFFFFFE || !token.contains("content") || !token["content"].is_string())
      return fail(
          fmt::format("'added_tokens' holds {}, which is no {{\"id\": NUMBER, \"content\": TEXT}}", token.dump()));
    tokens.emplace(token["content"].get<std::string>(), token["id"].get<int32_t>());
  }
  for (const char *needed :
       {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"})
    if (!tokens.contains(needed))
      return fail(fmt::format("'added_tokens' has no '{}', which Llama 3 needs", needed));
  return tokens;
}

} // namespace

std::unique_ptr<Tokenizer> ftc::makeLlama3Tokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  bool isJson = config.path.ends_with(".json");
  std::optional<BytePairs> base =
      isJson ? readVocabulary(config.path, diags) : BytePairs::read(config.path, pattern, diags);
  if (!base)
    return nullptr;
  std::string specialFrom = config.specialTokensPath.empty() && isJson ? config.path : config.specialTokensPath;
  std::optional<std::map<std::string, int32_t>> special =
      specialFrom.empty() ? canonicalTokens() : readSpecialTokens(specialFrom, diags);
  if (!special)
    return nullptr;
  for (const auto &[text, id] : *special)
    if (!base->bytesOf(id).empty()) {
      addError(
          diags, config.path,
          fmt::format("id {} is a token of this file and the special token '{}'; the file belongs to other special "
                      "tokens: name them with tokenizer.special_tokens_path=FILE.json",
                      id, text));
      return nullptr;
    }
  return std::make_unique<Llama3Tokenizer>(std::move(*base), std::move(*special));
}

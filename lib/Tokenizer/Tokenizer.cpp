//===- Tokenizer.cpp - The byte tokenizer, and the choice among all -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Tokenizer/Tokenizer.h"

#include "Families.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>

using namespace ftc;

namespace {

constexpr int32_t firstSpecial = 256;
constexpr std::array<std::string_view, 3> specialNames = {"<|begin_of_text|>", "<|end_of_text|>",
                                                          "<|finetune_right_pad_id|>"};
constexpr std::string_view replacement = "\xEF\xBF\xBD"; // U+FFFD

class ByteTokenizer final : public Tokenizer {
public:
  std::string_view name() const override { return "byte"; }
  int64_t vocabSize() const override { return firstSpecial + static_cast<int64_t>(specialNames.size()); }
  int32_t bosId() const override { return firstSpecial; }
  int32_t eosId() const override { return firstSpecial + 1; }
  int32_t padId() const override { return firstSpecial + 2; }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override {
    size_t old = ids.size();
    ids.resize(old + text.size());
    for (size_t i = 0; i < text.size(); ++i)
      ids[old + i] = static_cast<unsigned char>(text[i]);
  }

  size_t cutAt(std::string_view text) const override { return text.size(); }

  /// The wording that docs/data.md describes: BOS, then for each message "role:\n" and its words; "\n\n" ends the turn
  /// of everybody but the assistant, whose words and end token alone are trained.
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override {
    auto mark = [&](bool isTrained) { trained.resize(ids.size(), isTrained); };
    ids.push_back(bosId());
    mark(false);
    for (const Message &message : messages) {
      encode(message.role + ":\n", ids);
      mark(false);
      for (const std::string &piece : message.pieces)
        encode(piece, ids);
      if (message.role == "assistant")
        ids.push_back(eosId());
      mark(message.trained);
      if (message.role != "assistant")
        encode("\n\n", ids);
      mark(false);
    }
  }

  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    std::string text, bytes;
    // A run of bytes is repaired together; any other id ends a character.
    auto flush = [&] {
      text += repairUtf8(bytes);
      bytes.clear();
    };
    for (int32_t id : ids) {
      if (id >= 0 && id < firstSpecial) {
        bytes.push_back(static_cast<char>(id));
        continue;
      }
      flush();
      if (id < 0 || id >= vocabSize())
        text += replacement;
      else if (spellSpecial)
        text += specialNames[id - firstSpecial];
    }
    flush();
    return text;
  }
};

/// A tokenizer that makes no ids out of text here: all that is known of it is special ids.
class OutsideTokenizer final : public Tokenizer {
public:
  struct SpecialIds {
    int32_t bos = -1, eos = -1, pad = -1;
  };
  OutsideTokenizer(std::string name, SpecialIds ids, std::string why)
      : component(std::move(name)), ids(ids), why(std::move(why)) {}

  std::string whyNoText() const override { return why; }
  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return 0; }
  int32_t bosId() const override { return ids.bos; }
  int32_t eosId() const override { return ids.eos; }
  int32_t padId() const override { return ids.pad; }
  void encode(std::string_view, std::vector<int32_t> &) const override {}
  size_t cutAt(std::string_view) const override { return 0; }
  void encodeConversation(std::span<const Message>, std::vector<int32_t> &, std::vector<uint8_t> &) const override {}
  std::string decode(std::span<const int32_t>, bool) const override { return ""; }

private:
  std::string component;
  SpecialIds ids;
  std::string why;
};

/// A tokenizer with a file.
struct Family {
  std::string_view component;
  OutsideTokenizer::SpecialIds ids;
  std::string_view file; ///< what the file is
  std::string_view key;  ///< that names it, below "tokenizer"
  std::unique_ptr<Tokenizer> (*make)(const TokenizerConfig &, std::vector<Diagnostic> &);
};

constexpr std::string_view phi4File = "tokenizer.json, or vocab.json with tokenizer.merges_path=merges.txt";
constexpr std::string_view qwenFile = "tokenizer.json, or vocab.json with tokenizer.merges_file=merges.txt";
constexpr Family families[] = {
    {"torchtune.models.llama3.llama3_tokenizer",
     {128000, 128001, 128004},
     "ranks of byte pairs",
     "path",
     makeLlama3Tokenizer},
    {"torchtune.models.llama2.llama2_tokenizer",
     {1, 2, 0},
     "a SentencePiece model",
     "path",
     makeSentencePieceTokenizer},
    {"torchtune.models.mistral.mistral_tokenizer",
     {1, 2, 0},
     "a SentencePiece model",
     "path",
     makeSentencePieceTokenizer},
    {"torchtune.models.gemma.gemma_tokenizer", {2, 1, 0}, "a SentencePiece model", "path", makeSentencePieceTokenizer},
    {"torchtune.models.qwen2.qwen2_tokenizer", {-1, 151645, 151643}, qwenFile, "path", makeQwen2Tokenizer},
    {"torchtune.models.qwen2_5.qwen2_5_tokenizer", {-1, 151645, 151643}, qwenFile, "path", makeQwen2Tokenizer},
    {"torchtune.models.qwen3.qwen3_tokenizer", {-1, 151645, 151643}, qwenFile, "path", makeQwen2Tokenizer},
    {"torchtune.models.phi3.phi3_mini_tokenizer", {1, 2, 32000}, "a SentencePiece model", "path", makePhi3Tokenizer},
    {"torchtune.models.phi4.phi4_tokenizer", {100257, 100265, 100349}, phi4File, "vocab_path", makePhi4Tokenizer},
    {"torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer",
     {},
     "tokenizer.json",
     "tokenizer_json_path",
     makeHuggingFaceTokenizer},
};

constexpr std::string_view otherWays = "give the ids that it makes as a token file (.bin, see docs/data.md), or "
                                       "recompile with tokenizer._component_=ftc.tokenizers.byte";

} // namespace

Tokenizer::~Tokenizer() = default;

void Tokenizer::encodeQuestion(std::span<const Message> messages, std::vector<int32_t> &ids) const {
  // What stands behind an answer begins with a token of its own, so that the answer begins where words make a
  // difference.
  std::vector<Message> answered(messages.begin(), messages.end());
  answered.back().pieces.push_back("x");
  std::vector<int32_t> open, some;
  std::vector<uint8_t> trained;
  encodeConversation(messages, open, trained);
  trained.clear();
  encodeConversation(answered, some, trained);
  ids.insert(ids.end(), open.begin(), std::mismatch(open.begin(), open.end(), some.begin(), some.end()).first);
}

std::unique_ptr<Tokenizer> ftc::makeTokenizer(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  const std::string &name = config.component;
  if (name == "byte")
    return std::make_unique<ByteTokenizer>();
  for (const Family &family : families) {
    if (name != family.component)
      continue;
    // tokenizer.json has its merges in it.
    bool takesMerges = (family.file == qwenFile || family.file == phi4File) && !config.path.ends_with("tokenizer.json");
    std::string missing = config.path;
    std::error_code error;
    if (!missing.empty() && std::filesystem::exists(missing, error)) {
      missing = takesMerges ? config.mergesFile : "";
      if (missing.empty() || std::filesystem::exists(missing, error))
        return family.make(config, diags);
    }
    std::string why = missing.empty() ? "" : fmt::format(": '{}' does not exist", missing);
    return std::make_unique<OutsideTokenizer>(name, family.ids,
                                              fmt::format("has no file{}{} name it with tokenizer.{}=FILE ({}), or {}",
                                                          why, why.empty() ? ":" : ";", family.key, family.file,
                                                          otherWays));
  }
  if (name.starts_with("torchtune."))
    return std::make_unique<OutsideTokenizer>(name, OutsideTokenizer::SpecialIds{},
                                              fmt::format("is not built in: {}", otherWays));
  std::vector<std::string_view> known;
  for (const Family &family : families)
    known.push_back(family.component);
  diags.push_back({Severity::Error, "", 0, 0,
                   fmt::format("tokenizer '{}' is not built in; what works: 'byte' (the text's bytes), {}, or a "
                               "token file made with any tokenizer (--data FILE.bin, see docs/data.md)",
                               name, fmt::join(known, ", "))});
  return nullptr;
}

//===- Bpe.cpp - Byte-pair encoding as in tokenizer.json ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Byte-pair encoding over characters: those of a piece are tokens, and of neighbours that a merge names the pair of
// lowest rank is joined, the leftmost among equals, as long as there is one. A character that is no token becomes the
// tokens of its bytes ("<0x0A>", byte_fallback), or the unknown token, of which neighbours are one (fuse_unk), or
// nothing.
//
//===----------------------------------------------------------------------===//

#include "Steps.h"

#include <algorithm>
#include <optional>
#include <queue>
#include <unordered_map>

namespace ftc::pipeline {

namespace {

class Bpe final : public Model {
public:
  explicit Bpe(const Part &part);
  void encode(std::string_view piece, std::vector<int32_t> &ids) const override;
  int32_t idOf(std::string_view spelling) const override {
    auto found = idsOf.find(spelling);
    return found == idsOf.end() ? -1 : found->second;
  }

private:
  struct Joined {
    int32_t rank, id;
  };
  struct Symbol {
    int32_t id, before, next;
  };

  void readVocabulary(const Part &part);
  void readMerges(const Part &part);
  void addMerge(const Part &place, size_t rank, std::string_view left, std::string_view right);
  void addCharacters(std::string_view piece, std::vector<Symbol> &symbols) const;
  void join(std::vector<Symbol> &symbols) const;
  const Joined *merge(int32_t left, int32_t right) const {
    auto found = merges.find(uint64_t(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right));
    return found == merges.end() ? nullptr : &found->second;
  }

  std::unordered_map<std::string_view, int32_t> idsOf; ///< keys lie in `spellings`
  std::unordered_map<uint64_t, Joined> merges;         ///< by the left token's id << 32 | the right one's
  std::string prefix, suffix;                          ///< of parts that do not begin, and that end a piece
  std::vector<int32_t> bytes;                          ///< ids of "<0x00>" and so on, -1 where there is none
  int32_t unknown = -1;
  bool takesWhole, fusesUnknown;
};

Bpe::Bpe(const Part &part) {
  part.expectKeys({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                   "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const Part dropout = part["dropout"]; !dropout.isNull() && dropout.json() != 0)
    dropout.refuse("a share of merges that are left out by chance");
  readVocabulary(part["vocab"]);
  prefix = part["continuing_subword_prefix"].text("");
  suffix = part["end_of_word_suffix"].text("");
  readMerges(part["merges"]);
  takesWhole = part["ignore_merges"].flag(false);
  fusesUnknown = part["fuse_unk"].flag(false);
  if (part["byte_fallback"].flag(false))
    for (int byte = 0; byte < 256; ++byte)
      bytes.push_back(idOf(fmt::format("<0x{:02X}>", byte)));
  if (const Part token = part["unk_token"]; !token.isNull() && (unknown = idOf(token.text())) < 0)
    token.fail(fmt::format("is '{}', which the vocabulary does not have", token.text()));
}

void Bpe::readVocabulary(const Part &part) {
  if (!part.json().is_object())
    part.fail("is no vocabulary, {\"TOKEN\": ID, ...}");
  for (const auto &[spelling, id] : part.json().items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= uint64_t(mostTokens))
      part.fail(fmt::format("gives '{}' no id from 0 to {}", spelling, mostTokens - 1));
    const size_t place = id.get<size_t>();
    if (place >= spellings.size())
      spellings.resize(place + 1);
    if (!spellings[place].empty() || spelling.empty())
      part.fail(fmt::format("has an empty token, or two tokens with the id {}", place));
    spellings[place] = spelling;
  }
  idsOf.reserve(spellings.size());
  for (size_t id = 0; id < spellings.size(); ++id)
    if (!spellings[id].empty())
      idsOf.emplace(spellings[id], static_cast<int32_t>(id));
}

void Bpe::readMerges(const Part &part) {
  const size_t count = part.listSize();
  merges.reserve(count);
  if (count > size_t(mostTokens))
    part.fail(fmt::format("has more than {} merges", mostTokens));
  for (size_t i = 0; i < count; ++i) {
    const nlohmann::json &merge = part.json()[i];
    if (merge.is_string()) {
      std::string_view text = merge.get_ref<const std::string &>();
      size_t space = text.find(' ');
      if (space == text.npos || text.find(' ', space + 1) != text.npos)
        part.at(i).fail("is no pair of tokens, 'LEFT RIGHT'");
      addMerge(part.at(i), i, text.substr(0, space), text.substr(space + 1));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      addMerge(part.at(i), i, merge[0].get_ref<const std::string &>(), merge[1].get_ref<const std::string &>());
    } else {
      part.at(i).fail("is no pair of tokens, 'LEFT RIGHT' or [\"LEFT\", \"RIGHT\"]");
    }
  }
}

void Bpe::addMerge(const Part &place, size_t rank, std::string_view left, std::string_view right) {
  const int32_t first = idOf(left), second = idOf(right);
  if (first < 0 || second < 0 || right.size() < prefix.size())
    place.fail(fmt::format("joins '{}' and '{}', of which the vocabulary does not have both", left, right));
  const std::string both = std::string(left) + std::string(right.substr(prefix.size()));
  const int32_t id = idOf(both);
  if (id < 0)
    place.fail(fmt::format("makes '{}', which the vocabulary does not have", both));
  // Of two equal ones the later counts.
  merges[uint64_t(static_cast<uint32_t>(first)) << 32 | static_cast<uint32_t>(second)] = {static_cast<int32_t>(rank),
                                                                                          id};
}

/// The tokens of a piece's characters.
void Bpe::addCharacters(std::string_view piece, std::vector<Symbol> &symbols) const {
  bool isPending = false; // an unknown token that may go on
  auto add = [&](int32_t id) { symbols.push_back({id, 0, 0}); };
  auto flush = [&] {
    if (isPending)
      add(unknown);
    isPending = false;
  };
  std::string spelled;
  for (size_t at = 0, length; at < piece.size(); at += length) {
    frontOf(piece.substr(at), length);
    std::string_view character = piece.substr(at, length);
    const bool isInside = at > 0 && !prefix.empty(), isLast = at + length == piece.size() && !suffix.empty();
    if (isInside || isLast) {
      spelled = (isInside ? prefix : "") + std::string(character) + (isLast ? suffix : "");
      character = spelled;
    }
    if (int32_t id = idOf(character); id >= 0) {
      flush();
      add(id);
      continue;
    }
    auto tokenOf = [&](char byte) { return bytes[static_cast<unsigned char>(byte)]; };
    if (!bytes.empty() &&
        std::all_of(character.begin(), character.end(), [&](char byte) { return tokenOf(byte) >= 0; })) {
      for (char byte : character)
        add(tokenOf(byte));
    } else if (unknown >= 0) {
      if (!fusesUnknown)
        flush();
      isPending = true;
    }
  }
  flush();
}

void Bpe::join(std::vector<Symbol> &symbols) const {
  struct Pair {
    int32_t rank, left, id;
    bool operator>(const Pair &other) const { return std::pair(rank, left) > std::pair(other.rank, other.left); }
  };
  static_assert(sizeof(Pair) == 12);
  const auto count = static_cast<int32_t>(symbols.size());
  std::vector<Pair> begin;
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].before = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1;
  }
  auto at = [&](int32_t place) -> Symbol & { return symbols[static_cast<size_t>(place)]; };
  auto pairAt = [&](int32_t left) -> std::optional<Pair> {
    if (left < 0 || at(left).next >= count)
      return std::nullopt;
    const Joined *joined = merge(at(left).id, at(at(left).next).id);
    return joined ? std::optional(Pair{joined->rank, left, joined->id}) : std::nullopt;
  };
  for (int32_t i = 0; i + 1 < count; ++i)
    if (std::optional<Pair> pair = pairAt(i))
      begin.push_back(*pair);
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> queue(std::greater<>(), std::move(begin));
  while (!queue.empty()) {
    const Pair pair = queue.top();
    queue.pop();
    // The pair may have changed since.
    if (at(pair.left).id < 0)
      continue;
    std::optional<Pair> now = pairAt(pair.left);
    if (!now || now->id != pair.id)
      continue;
    const int32_t right = at(pair.left).next;
    at(pair.left).id = pair.id;
    at(pair.left).next = at(right).next;
    at(right).id = -1;
    if (at(right).next < count)
      at(at(right).next).before = pair.left;
    for (int32_t left : {at(pair.left).before, pair.left})
      if (std::optional<Pair> made = pairAt(left))
        queue.push(*made);
  }
  std::erase_if(symbols, [](const Symbol &symbol) { return symbol.id < 0; });
}

void Bpe::encode(std::string_view piece, std::vector<int32_t> &ids) const {
  if (takesWhole)
    if (int32_t id = idOf(piece); id >= 0) {
      ids.push_back(id);
      return;
    }
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  addCharacters(piece, symbols);
  if (symbols.size() > 1)
    join(symbols);
  for (const Symbol &symbol : symbols)
    ids.push_back(symbol.id);
}

} // namespace

std::unique_ptr<Model> readModel(const Part &part) {
  // Files of before 2020 name no type.
  const std::string type = part["type"].text(part["merges"].isNull() ? "" : "BPE");
  if (type == "BPE")
    return std::make_unique<Bpe>(part);
  if (type == "Unigram")
    return readUnigram(part);
  if (type.empty())
    part.fail("has no 'type'; BPE and Unigram are built");
  part["type"].refuse(fmt::format("'{}'", type));
}

} // namespace ftc::pipeline

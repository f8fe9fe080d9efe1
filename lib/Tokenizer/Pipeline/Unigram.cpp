//===- Unigram.cpp - Unigram models as in tokenizer.json ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A piece is cut into the tokens whose logarithms of probability have the largest sum (Kudo 2018), found by dynamic
// programming from left to right. A character that no token is has the unknown token, far below all others; runs of it
// are one. Of sums that are equal the one counts that was found first, that of the longest last token.
//
//===----------------------------------------------------------------------===//

#include "PrefixSet.h"
#include "Steps.h"

#include <algorithm>
#include <unordered_map>

namespace ftc::pipeline {

namespace {

class Unigram final : public Model {
public:
  explicit Unigram(const Part &part);
  void encode(std::string_view piece, std::vector<int32_t> &ids) const override;
  int32_t idOf(std::string_view spelling) const override {
    auto found = idsOf.find(spelling);
    return found == idsOf.end() ? -1 : found->second;
  }

private:
  void addPart(std::string_view part, std::vector<int32_t> &ids) const;

  std::vector<double> scores; ///< by id
  std::unordered_map<std::string_view, int32_t> idsOf;
  PrefixSet words;
  std::vector<int32_t> bytes; ///< ids of "<0x00>" and so on; empty where bytes are not used
  int32_t unknown = -1;
  double unknownScore = 0;
};

Unigram::Unigram(const Part &part) {
  part.expectKeys({"type", "unk_id", "vocab", "byte_fallback"});
  const Part vocabulary = part["vocab"];
  const size_t count = vocabulary.listSize();
  if (count > size_t(mostTokens))
    vocabulary.fail(fmt::format("has more than {} tokens", mostTokens));
  double least = 0;
  std::vector<std::pair<std::string, int32_t>> list;
  for (size_t id = 0; id < count; ++id) {
    const nlohmann::json &entry = vocabulary.json()[id];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      vocabulary.at(id).fail("is no token with its logarithm of probability, [\"TOKEN\", NUMBER]");
    spellings.push_back(entry[0].get<std::string>());
    scores.push_back(entry[1].get<double>());
    least = id ? std::min(least, scores.back()) : scores.back();
    list.emplace_back(spellings.back(), static_cast<int32_t>(id));
  }
  for (size_t id = 0; id < count; ++id)
    if (!spellings[id].empty())
      idsOf[spellings[id]] = static_cast<int32_t>(id);
  words = PrefixSet(std::move(list));
  if (const Part token = part["unk_id"]; !token.isNull())
    unknown = static_cast<int32_t>(token.number(0, static_cast<int64_t>(count) - 1));
  unknownScore = least - 10;
  if (part["byte_fallback"].flag(false))
    for (int byte = 0; byte < 256; ++byte)
      bytes.push_back(idOf(fmt::format("<0x{:02X}>", byte)));
}

/// The id of a part that the search found; of one that is no token, what stands for it.
void Unigram::addPart(std::string_view part, std::vector<int32_t> &ids) const {
  if (int32_t id = idOf(part); id >= 0) {
    ids.push_back(id);
    return;
  }
  auto tokenOf = [&](char byte) { return bytes[static_cast<unsigned char>(byte)]; };
  if (!bytes.empty() && std::all_of(part.begin(), part.end(), [&](char byte) { return tokenOf(byte) >= 0; })) {
    for (char byte : part)
      ids.push_back(tokenOf(byte));
  } else if (unknown >= 0) {
    ids.push_back(unknown);
  }
}

void Unigram::encode(std::string_view piece, std::vector<int32_t> &ids) const {
  struct Best {
    double score = 0;
    size_t begin = 0;
    int32_t id = -2; ///< -2: nothing ends here yet
  };
  std::vector<Best> ends(piece.size() + 1);
  for (size_t at = 0, length; at < piece.size(); at += length) {
    frontOf(piece.substr(at), length);
    bool isOne = false; // whether the character alone is a token
    auto offer = [&](size_t bytes, int32_t id, double score) {
      Best &best = ends[at + bytes];
      if (const double sum = ends[at].score + score; best.id == -2 || sum > best.score)
        best = {sum, at, id};
    };
    words.each(piece.substr(at), [&](size_t bytes, int32_t id) {
      offer(bytes, id, scores[static_cast<size_t>(id)]);
      isOne |= bytes == length;
    });
    if (!isOne)
      offer(length, unknown, unknownScore);
  }
  std::vector<std::string_view> parts;
  bool wasUnknown = false;
  for (size_t end = piece.size(); end > 0;) {
    const Best &best = ends[end];
    std::string_view part = piece.substr(best.begin, end - best.begin);
    const bool isUnknown = best.id == unknown;
    if (isUnknown && wasUnknown)
      parts.back() = piece.substr(best.begin, part.size() + parts.back().size());
    else
      parts.push_back(part);
    wasUnknown = isUnknown;
    end = best.begin;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part)
    addPart(*part, ids);
}

} // namespace

std::unique_ptr<Model> readUnigram(const Part &part) { return std::make_unique<Unigram>(part); }

} // namespace ftc::pipeline

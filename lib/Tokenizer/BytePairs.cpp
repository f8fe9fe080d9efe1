//===- BytePairs.cpp - Byte-pair encoding ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#define PCRE2_CODE_UNIT_WIDTH 8

#include "BytePairs.h"

#include "Utf8.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <pcre2.h>
#include <queue>

using namespace ftc;

struct BytePairs::Pattern {
  pcre2_code *code = nullptr;
  ~Pattern() { pcre2_code_free(code); }
};

BytePairs::BytePairs() = default;
BytePairs::BytePairs(BytePairs &&) noexcept = default;
BytePairs &BytePairs::operator=(BytePairs &&) noexcept = default;
BytePairs::~BytePairs() = default;

namespace {

/// Bytes of a text in base64 (RFC 4648, with padding); nothing where it is none.
std::optional<std::string> fromBase64(std::string_view text) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.empty() || text.size() % 4)
    return std::nullopt;
  size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size() - padding; ++i) {
    size_t digit = digits.find(text[i]);
    if (digit == digits.npos)
      return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4)
      bytes.push_back(static_cast<char>(bits >> (6 - 2 * (i % 4)) & 0xFF));
  }
  return bytes;
}

constexpr const char *expected =
    "a tokenizer of byte pairs (tiktoken) has a line 'BASE64 RANK' for each token; Llama 3's "
    "is original/tokenizer.model of its repository";

/// Most tokens that a file may have: ids are kept in 32 bits, and no vocabulary comes near.
constexpr int64_t mostTokens = 1 << 24;

} // namespace

std::optional<BytePairs> BytePairs::read(const std::string &path, const char *pattern, std::vector<Diagnostic> &diags) {
  auto fail = [&](int line, std::string message) {
    diags.push_back({Severity::Error, path, line, 0, std::move(message)});
    return std::nullopt;
  };
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fail(0, fmt::format("cannot read the tokenizer: {}", std::strerror(errno)));
  std::vector<std::string> tokens;
  std::string text;
  int line = 0;
  while (std::getline(in, text)) {
    ++line;
    std::string_view rest = text;
    if (rest.ends_with('\r'))
      rest.remove_suffix(1);
    if (rest.empty())
      continue;
    size_t space = rest.find(' ');
    std::optional<std::string> token = fromBase64(rest.substr(0, space));
    std::string_view number = space == rest.npos ? std::string_view() : rest.substr(space + 1);
    int64_t rank = -1;
    auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), rank);
    if (!token || number.empty() || problem != std::errc() || end != number.data() + number.size() || rank < 0 ||
        rank >= mostTokens)
      return fail(line, fmt::format("this line is no token; {}", expected));
    if (rank >= static_cast<int64_t>(tokens.size()))
      tokens.resize(static_cast<size_t>(rank) + 1);
    if (!tokens[static_cast<size_t>(rank)].empty())
      return fail(line, fmt::format("rank {} is there twice", rank));
    tokens[static_cast<size_t>(rank)] = std::move(*token);
  }
  if (in.bad())
    return fail(0, "cannot read the tokenizer to its end");
  return make({std::move(tokens), std::nullopt}, path, pattern, diags);
}

std::optional<BytePairs> BytePairs::make(Vocabulary vocabulary, const std::string &path, const char *pattern,
                                         std::vector<Diagnostic> &diags) {
  auto fail = [&](std::string message) {
    diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
    return std::nullopt;
  };
  BytePairs pairs;
  pairs.bytes = std::move(vocabulary.tokens);
  for (int64_t id = 0; id < pairs.size(); ++id)
    if (const std::string &token = pairs.bytes[static_cast<size_t>(id)];
        !token.empty() && !pairs.idsOf.emplace(token, static_cast<int32_t>(id)).second)
      return fail(fmt::format("tokens {} and {} are the same bytes", pairs.idsOf.at(token), id));
  for (int byte = 0; byte < 256; ++byte)
    if (char one = static_cast<char>(byte); !pairs.idOf({&one, 1}))
      return fail(fmt::format("byte {} is no token, so not every text has ids{}", byte,
                              vocabulary.merges ? "" : std::string("; ") + expected));
  if (vocabulary.merges)
    if (std::string problem = pairs.addMerges(*vocabulary.merges); !problem.empty())
      return fail(std::move(problem));

  pairs.pattern = std::make_unique<Pattern>();
  int error = 0;
  size_t at = 0;
  pairs.pattern->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                                      PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
  if (!pairs.pattern->code)
    return fail(fmt::format("PCRE2 refuses the pattern of the tokenizer at {} (error {})", at, error));
  // Without it, which some machines forbid, matching is slower.
  pcre2_jit_compile(pairs.pattern->code, PCRE2_JIT_COMPLETE);
  return pairs;
}

std::optional<int32_t> BytePairs::idOf(std::string_view token) const {
  auto found = idsOf.find(token);
  return found == idsOf.end() ? std::nullopt : std::optional(found->second);
}

std::string BytePairs::addMerges(const std::vector<std::pair<std::string, std::string>> &pairs) {
  merges.emplace();
  merges->reserve(pairs.size());
  int32_t rank = 0;
  for (const auto &[left, right] : pairs) {
    std::optional<int32_t> first = idOf(left), second = idOf(right), both = idOf(left + right);
    if (!first || !second || !both)
      return fmt::format(
          "merge {} makes a token that the vocabulary does not have, or of one; merges and vocabulary are "
          "not of one tokenizer",
          rank + 1);
    // Of two equal ones the later counts, as in Python's dict(zip(...)).
    (*merges)[static_cast<uint64_t>(*first) << 32 | static_cast<uint32_t>(*second)] = {rank++, *both};
  }
  joins.resize(bytes.size());
  std::vector<int32_t> ids;
  for (size_t id = 0; id < bytes.size(); ++id) {
    ids.clear();
    join(bytes[id], ids);
    joins[id] = ids.size() == 1;
  }
  return "";
}

void BytePairs::encodePiece(std::string_view piece, std::vector<int32_t> &ids) const {
  std::optional<int32_t> whole = idOf(piece);
  if (whole && (!merges || joins[static_cast<size_t>(*whole)]))
    ids.push_back(*whole);
  else
    join(piece, ids);
}

void BytePairs::join(std::string_view piece, std::vector<int32_t> &ids) const {
  // Parts are a list over their first bytes; a pair is queued with its rank, and dropped when it has changed since.
  struct Pair {
    int32_t rank, id;
    uint32_t left, end;
    bool operator>(const Pair &other) const { return std::pair(rank, left) > std::pair(other.rank, other.left); }
  };
  const auto size = static_cast<uint32_t>(piece.size());
  std::vector<uint32_t> next(size + 1), before(size + 1), changed;
  std::vector<int32_t> part(size); ///< a part's id, at its first byte; below 0 where none begins
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> queue;
  auto joined = [&](uint32_t left, uint32_t right, uint32_t end) -> std::optional<Joined> {
    if (!merges) {
      std::optional<int32_t> id = idOf(piece.substr(left, end - left));
      return id ? std::optional(Joined{*id, *id}) : std::nullopt;
    }
    auto found = merges->find(static_cast<uint64_t>(part[left]) << 32 | static_cast<uint32_t>(part[right]));
    return found == merges->end() ? std::nullopt : std::optional(found->second);
  };
  auto queuePair = [&](uint32_t left) {
    uint32_t right = next[left];
    if (right >= size)
      return;
    if (std::optional<Joined> pair = joined(left, right, next[right]))
      queue.push({pair->rank, pair->id, left, next[right]});
  };
  for (uint32_t i = 0; i <= size; ++i) {
    next[i] = i + 1;
    before[i] = i - 1;
    if (i < size)
      part[i] = *idOf(piece.substr(i, 1));
  }
  for (uint32_t i = 0; i + 1 < size; ++i)
    queuePair(i);
  while (!queue.empty()) {
    const int32_t rank = queue.top().rank;
    changed.clear();
    do {
      Pair pair = queue.top();
      queue.pop();
      if (part[pair.left] < 0 || next[pair.left] >= size || next[next[pair.left]] != pair.end)
        continue;
      part[next[pair.left]] = -1;
      part[pair.left] = pair.id;
      next[pair.left] = pair.end;
      if (pair.end < size)
        before[pair.end] = pair.left;
      changed.push_back(pair.left);
      if (pair.left > 0)
        changed.push_back(before[pair.left]);
    } while (merges && !queue.empty() && queue.top().rank == rank);
    for (uint32_t left : changed)
      queuePair(left);
  }
  for (uint32_t at = 0; at < size; at = next[at])
    ids.push_back(part[at]);
}

void BytePairs::encode(std::string_view text, std::vector<int32_t> &ids) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data *)> match(
      pcre2_match_data_create_from_pattern(pattern->code, nullptr), pcre2_match_data_free);
  const PCRE2_SIZE *place = pcre2_get_ovector_pointer(match.get());
  auto encodeValid = [&](std::string_view part) {
    size_t at = 0;
    while (at < part.size()) {
      int found = pcre2_match(pattern->code, reinterpret_cast<PCRE2_SPTR>(part.data()), part.size(), at,
                              PCRE2_NO_UTF_CHECK, match.get(), nullptr);
      // The pattern matches any character; where the engine gives up, the rest is one piece.
      size_t end = found > 0 && place[0] == at && place[1] > at ? place[1] : part.size();
      encodePiece(part.substr(at, end - at), ids);
      at = end;
    }
  };
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    int length = characterLength(text.substr(at));
    if (length > 0) {
      at += static_cast<size_t>(length);
      continue;
    }
    encodeValid(text.substr(begin, at - begin));
    for (int i = 0; i < -length; ++i)
      ids.push_back(*idOf(text.substr(at++, 1)));
    begin = at;
  }
  encodeValid(text.substr(begin));
}

// Why these places are exact. In what follows a space is White_Space but for line feed and carriage return, and a word
// is any character that no pattern takes for a space or the end of a line.
//
// Between a word and a space: no alternative of a pattern has a space behind a word, so every match that has the word
// ends with it; none of those that may match it looks ahead; so they match the same where the text ends there. And no
// pattern looks back, so matching goes on from the space as at the begin of a text.
//
// Between a line feed, which follows a word, and a word: alternatives in which a line feed follows a word end with line
// feeds; else the line feed is a match of its own, which it is as well where the text ends there, because [\r\n]+ and
// \s+(?!\S) and \s+ give the same for it alone.
//
// Bytes that are no UTF-8 cut the text anyhow. Characters 0x1C to 0x1F are a space in one pattern and a word in the
// others: nothing is cut next to them.
size_t BytePairs::cutAt(std::string_view text) {
  enum { Word, Space, LineFeed, Other } before = Other, last = Other, kind;
  size_t cut = 0;
  // The last character may go on in what follows.
  for (size_t at = 0; at + 4 <= text.size();) {
    int length = characterLength(text.substr(at));
    uint32_t c = length > 0 ? characterAt(text.substr(at), length) : '\r';
    kind = c == '\n' ? LineFeed : c == '\r' || (c >= 0x1C && c <= 0x1F) ? Other : isSpace(c) ? Space : Word;
    if ((last == Word && kind == Space) || (before == Word && last == LineFeed && kind == Word))
      cut = at;
    before = last;
    last = kind;
    at += static_cast<size_t>(std::abs(length));
  }
  return cut;
}

std::string BytePairs::decode(std::span<const int32_t> ids, const std::map<int32_t, std::string> &special,
                              bool spellSpecial) const {
  std::string text;
  for (int32_t id : ids) {
    if (auto found = special.find(id); found != special.end())
      text += spellSpecial ? found->second : "";
    else if (std::string_view token = bytesOf(id); !token.empty())
      text += token;
    else
      text += "\xEF\xBF\xBD";
  }
  return text;
}

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
  return make(std::move(tokens), path, pattern, diags);
}

std::optional<BytePairs> BytePairs::make(std::vector<std::string> tokens, const std::string &path, const char *pattern,
                                         std::vector<Diagnostic> &diags) {
  auto fail = [&](std::string message) {
    diags.push_back({Severity::Error, path, 0, 0, std::move(message)});
    return std::nullopt;
  };
  BytePairs pairs;
  pairs.bytes = std::move(tokens);
  for (int64_t id = 0; id < pairs.size(); ++id)
    if (const std::string &token = pairs.bytes[static_cast<size_t>(id)];
        !token.empty() && !pairs.ranks.emplace(token, static_cast<int32_t>(id)).second)
      return fail(fmt::format("tokens {} and {} are the same bytes", pairs.ranks.at(token), id));
  for (int byte = 0; byte < 256; ++byte)
    if (char one = static_cast<char>(byte); !pairs.rankOf({&one, 1}))
      return fail(fmt::format("byte {} is no token, so not every text has ids; {}", byte, expected));

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

std::optional<int32_t> BytePairs::rankOf(std::string_view token) const {
  auto found = ranks.find(token);
  return found == ranks.end() ? std::nullopt : std::optional(found->second);
}

void BytePairs::encodePiece(std::string_view piece, std::vector<int32_t> &ids) const {
  if (std::optional<int32_t> whole = rankOf(piece)) {
    ids.push_back(*whole);
    return;
  }
  // Parts are a list over their first bytes; a pair is queued with its rank, and dropped when it has changed since.
  struct Pair {
    int32_t rank;
    uint32_t left, end;
    bool operator>(const Pair &other) const { return std::pair(rank, left) > std::pair(other.rank, other.left); }
  };
  const auto size = static_cast<uint32_t>(piece.size());
  std::vector<uint32_t> next(size + 1), before(size + 1);
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> queue;
  std::vector<bool> begins(size, true);
  auto queuePair = [&](uint32_t left) {
    uint32_t right = next[left];
    if (right >= size)
      return;
    uint32_t end = next[right];
    if (std::optional<int32_t> rank = rankOf(piece.substr(left, end - left)))
      queue.push({*rank, left, end});
  };
  for (uint32_t i = 0; i <= size; ++i) {
    next[i] = i + 1;
    before[i] = i - 1;
  }
  for (uint32_t i = 0; i + 1 < size; ++i)
    queuePair(i);
  while (!queue.empty()) {
    Pair pair = queue.top();
    queue.pop();
    if (!begins[pair.left] || next[pair.left] >= size || next[next[pair.left]] != pair.end)
      continue;
    begins[next[pair.left]] = false;
    next[pair.left] = pair.end;
    if (pair.end < size)
      before[pair.end] = pair.left;
    queuePair(pair.left);
    if (pair.left > 0)
      queuePair(before[pair.left]);
  }
  for (uint32_t at = 0; at < size; at = next[at])
    ids.push_back(*rankOf(piece.substr(at, next[at] - at)));
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
      ids.push_back(*rankOf(text.substr(at++, 1)));
    begin = at;
  }
  encodeValid(text.substr(begin));
}

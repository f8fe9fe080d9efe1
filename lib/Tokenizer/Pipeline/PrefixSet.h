//===- PrefixSet.h - Words that a text may begin with -----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_PIPELINE_PREFIXSET_H
#define FTC_LIB_TOKENIZER_PIPELINE_PREFIXSET_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ftc::pipeline {

/// Words with a number each, of which those are found that a text begins with: a sorted list, of which each byte of the
/// text leaves a part.
class PrefixSet {
public:
  /// Of equal words the last one counts; empty ones are none.
  explicit PrefixSet(std::vector<std::pair<std::string, int32_t>> list = {}) {
    for (size_t i = 0; i < list.size(); ++i)
      words.push_back({std::move(list[i].first), i, list[i].second});
    std::sort(words.begin(), words.end(),
              [](const Word &a, const Word &b) { return a.text != b.text ? a.text < b.text : a.place > b.place; });
    words.erase(std::unique(words.begin(), words.end(), [](const Word &a, const Word &b) { return a.text == b.text; }),
                words.end());
    if (!words.empty() && words.front().text.empty())
      words.erase(words.begin());
    for (size_t i = words.size(); i-- > 0;) {
      auto &range = ranges[static_cast<unsigned char>(words[i].text[0])];
      range = {i, std::max(range.second, i + 1)};
    }
  }

  bool isEmpty() const { return words.empty(); }
  bool begins(char byte) const { return ranges[static_cast<unsigned char>(byte)].second > 0; }

  /// Calls `use(length, number)` for each word at the front of `text`, the shortest first.
  template <typename Use> void each(std::string_view text, Use use) const {
    if (text.empty())
      return;
    auto [low, high] = ranges[static_cast<unsigned char>(text[0])];
    for (size_t depth = 1; low < high; ++depth) {
      if (words[low].text.size() == depth)
        use(depth, words[low++].number);
      if (depth >= text.size())
        return;
      const auto byte = static_cast<unsigned char>(text[depth]);
      auto at = [&](const Word &word) { return static_cast<unsigned char>(word.text[depth]); };
      auto begin = words.begin() + static_cast<std::ptrdiff_t>(low),
           end = words.begin() + static_cast<std::ptrdiff_t>(high);
      begin = std::partition_point(begin, end, [&](const Word &word) { return at(word) < byte; });
      end = std::partition_point(begin, end, [&](const Word &word) { return at(word) == byte; });
      low = static_cast<size_t>(begin - words.begin());
      high = static_cast<size_t>(end - words.begin());
    }
  }

private:
  struct Word {
    std::string text;
    size_t place;
    int32_t number;
  };
  std::vector<Word> words;
  std::array<std::pair<size_t, size_t>, 256> ranges{}; ///< words by their first byte
};

} // namespace ftc::pipeline

#endif // FTC_LIB_TOKENIZER_PIPELINE_PREFIXSET_H

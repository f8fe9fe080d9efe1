//===- CutsTest.cpp - Text that is encoded in parts -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenizerFixture.h"

#include <random>

using namespace ftc;

namespace {

struct Case {
  const char *name;
  TokenizerConfig config;
};
void PrintTo(const Case &it, std::ostream *os) { *os << it.name; }

TokenizerConfig phi4Json() {
  TokenizerConfig config = phi4Config();
  config.path = folder + "phi4/tokenizer.json";
  config.mergesFile = "";
  return config;
}

class Cuts : public testing::TestWithParam<Case> {
protected:
  std::unique_ptr<Tokenizer> tokenizer = make(GetParam().config);

  /// The ids of `text`, of which `piece` more bytes are looked at each time, and how many parts it had.
  std::vector<int32_t> inParts(std::string_view text, size_t piece, int &parts) {
    std::vector<int32_t> ids;
    parts = 0;
    for (size_t seen = 0; !text.empty() || seen == 0;) {
      seen = std::min(text.size(), seen + piece);
      size_t front = seen == text.size() ? seen : tokenizer->cutAt(text.substr(0, seen));
      EXPECT_LE(front, seen);
      if (!front && seen < text.size())
        continue;
      parts++ ? tokenizer->encodeRest(text.substr(0, front), ids) : tokenizer->encode(text.substr(0, front), ids);
      text.remove_prefix(front);
      seen -= front;
      if (text.empty())
        break;
    }
    return ids;
  }
};

INSTANTIATE_TEST_SUITE_P(Families, Cuts,
                         testing::Values(Case{"byte", {}}, Case{"llama3", llama3Config()},
                                         Case{"llama2", llama2Config()}, Case{"mistral", mistralConfig()},
                                         Case{"gemma", gemmaConfig()}, Case{"qwen2", qwenConfig("qwen2")},
                                         Case{"qwen2_5", qwenConfig("qwen2_5")}, Case{"phi3", phi3Config()},
                                         Case{"phi4", phi4Config()}, Case{"phi4json", phi4Json()}),
                         [](const auto &info) { return info.param.name; });

TEST_P(Cuts, GiveTheIdsOfTheWhole) {
  std::mt19937 random(11);
  // Whatever a pattern, a form of Unicode or a vocabulary treats in a way of its own; and bytes that are no text.
  const std::vector<std::string> parts = {" ",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\n\n",
                                          "\r",
                                          "\r\n",
                                          "\t",
                                          "\v",
                                          "\x1C",
                                          "\x1F",
                                          "\xC2\x85",
                                          "\xC2\xA0",
                                          "\xE2\x80\x80",
                                          "\xE2\x80\xA8",
                                          "\xE3\x80\x80",
                                          "\xE1\xA0\x8E",
                                          "\xE2\x96\x81",
                                          "a",
                                          "the",
                                          "The",
                                          "ing",
                                          "e\xCC\x81",
                                          "\xCC\x81",
                                          "\xC3\xA9",
                                          "1",
                                          "12345",
                                          "_",
                                          ".",
                                          ",",
                                          "!?",
                                          "'s",
                                          "'LL",
                                          "'",
                                          "\xE4\xB8\xAD\xE6\x96\x87",
                                          "\xF0\x9F\x98\x80",
                                          "\xFF",
                                          "\xE2\x82",
                                          "\xF0\x9F",
                                          "\xEA\xB0\x80",
                                          "\xE1\x86\xA8",
                                          "\xE1\x86\xA7",
                                          "<|im_start|>",
                                          "<|endoftext|>",
                                          "<start_of_turn>",
                                          "<bos>",
                                          "<",
                                          ">",
                                          "Z"};
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    // Of few kinds of parts, and of all.
    size_t kinds = round % 2 ? 2 + random() % 6 : parts.size(), first = random() % parts.size();
    for (size_t i = random() % 60; i > 0; --i)
      text += parts[(first + random() % kinds) % parts.size()];
    int count = 0;
    EXPECT_EQ(inParts(text, 1 + random() % 24, count), encoded(*tokenizer, text)) << testing::PrintToString(text);
    if (HasFailure())
      break;
  }
}

TEST_P(Cuts, AreFoundInAnyLongText) {
  const bool isLlama3 = std::string_view(GetParam().name) == "llama3"; // parts of 400000 characters, as torchtune's
  const size_t piece = 1 << 16;
  for (const char *line : {"Some words, and 12 more;\twith a \xC3\xA9 in them.\n",
                           "\xE4\xB8\xAD\xE6\x96\x87\xE3\x80\x82\n", "words and words, and no end of the line "}) {
    std::string text;
    while (text.size() < (isLlama3 ? 40 : 4) * piece)
      text += line;
    int count = 0;
    EXPECT_EQ(inParts(text, piece, count), encoded(*tokenizer, text)) << line;
    EXPECT_GE(count, isLlama3 ? 2 : 4) << line;
  }
}

} // namespace

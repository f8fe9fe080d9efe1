//===- QwenTokenizersTest.cpp - Tokenizers of Qwen2, 2.5 and 3 ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenizerFixture.h"

#include <random>

using namespace ftc;
using nlohmann::json;

namespace {

TEST(QwenTokenizer, SpecialTokens) {
  auto tokenizer = make(qwenConfig("qwen2"));
  const int32_t first = 563; // behind the vocabulary
  EXPECT_EQ(tokenizer->name(), "torchtune.models.qwen2.qwen2_tokenizer");
  EXPECT_EQ(tokenizer->whyNoText(), "");
  EXPECT_EQ(tokenizer->vocabSize(), first + 6);
  EXPECT_EQ(tokenizer->bosId(), -1);
  EXPECT_EQ(tokenizer->padId(), first);
  EXPECT_EQ(tokenizer->eosId(), first + 2);
  EXPECT_TRUE(tokenizer->ends(first) && tokenizer->ends(first + 2));
  EXPECT_FALSE(tokenizer->ends(first + 1));
  // Of those that begin at a place, the longest.
  EXPECT_EQ(encoded(*tokenizer, "<|endoftext|>e<|endoftext|><|im_end|>"),
            (std::vector<int32_t>{first + 3, first, first + 2}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{first + 1, first + 100}, true), "<|im_start|>\xEF\xBF\xBD");
}

TEST(QwenTokenizer, WithoutAFileOfThemSpecialTokensAreQwens) {
  for (auto [family, size] : {std::pair("qwen2", 151646), {"qwen2_5", 151665}, {"qwen3", 151669}}) {
    TokenizerConfig config = qwenConfig(family);
    config.specialTokensPath.clear();
    auto tokenizer = make(config);
    EXPECT_EQ(tokenizer->vocabSize(), size);
    EXPECT_EQ(tokenizer->eosId(), 151645);
    EXPECT_EQ(tokenizer->padId(), 151643);
    // Qwen2's have no calls of tools: there it is text.
    EXPECT_EQ(encoded(*tokenizer, "</tool_call>").size() == 1, family != std::string("qwen2"));
    EXPECT_EQ(encoded(*tokenizer, "<think>").size() == 1, family == std::string("qwen3"));
  }
  TokenizerConfig config = qwenConfig("qwen2_5");
  config.specialTokensPath.clear();
  auto tokenizer = make(config);
  EXPECT_EQ(encoded(*tokenizer, "</tool_call><|file_sep|>"), (std::vector<int32_t>{151658, 151664}));
  config.component = qwenConfig("qwen3").component;
  tokenizer = make(config);
  EXPECT_EQ(encoded(*tokenizer, "<|file_sep|><tool_response></tool_response><think></think>"),
            (std::vector<int32_t>{151664, 151665, 151666, 151667, 151668}));
}

TEST(QwenTokenizer, TokenizerJsonIsEnough) {
  auto two = make(qwenConfig("qwen2"));
  for (const char *merges : {"", "/nowhere/merges.txt"}) {
    TokenizerConfig config = qwenConfig("qwen2");
    config.path = folder + "qwen/tokenizer.json";
    config.specialTokensPath.clear();
    config.mergesFile = merges;
    auto one = make(config);
    ASSERT_TRUE(one);
    EXPECT_EQ(one->whyNoText(), "");
    EXPECT_EQ(one->vocabSize(), two->vocabSize());
    const json wanted = golden("qwen2");
    for (const json &entry : wanted["texts"])
      EXPECT_EQ(encoded(*one, entry["text"].get<std::string>()), entry["ids"].get<std::vector<int32_t>>());
  }
}

TEST(QwenTokenizer, BytesThatAreNoTextComeBack) {
  auto tokenizer = make(qwenConfig("qwen2"));
  // Form C around them, not over them.
  EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, "e\xCC\x81\xFF"
                                                  "e\xCC\x81")),
            "\xC3\xA9\xEF\xBF\xBD\xC3\xA9");
  EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, "e\xFF\xCC\x81")), "e\xEF\xBF\xBD\xCC\x81");
  std::mt19937 random(3);
  const std::string alphabet = " \n\ta'sE1\xC3\xA9\xE2\x82\xFF\x99qwjkl";
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 40, '\0');
    for (char &byte : text)
      byte = round % 2 ? alphabet[random() % alphabet.size()] : static_cast<char>(random() % 128);
    EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, text)), repairUtf8(text));
  }
}

TEST(QwenTokenizer, HangulIsComposed) {
  auto tokenizer = make(qwenConfig("qwen2"));
  auto again = [&](const char *text) { return tokenizer->decode(encoded(*tokenizer, text)); };
  // U+1112 U+1161 U+11AB is U+D55C.
  EXPECT_EQ(again("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), "\xED\x95\x9C");
  // U+AC00 U+11A8 is U+AC01; U+11A7, the character before, ends no syllable.
  EXPECT_EQ(again("\xEA\xB0\x80\xE1\x86\xA8"), "\xEA\xB0\x81");
  EXPECT_EQ(again("\xEA\xB0\x80\xE1\x86\xA7"), "\xEA\xB0\x80\xE1\x86\xA7");
  EXPECT_EQ(again("\xEA\xB0\x80\xE1\x86\xA7\xE1\x86\xA8"), "\xEA\xB0\x80\xE1\x86\xA7\xE1\x86\xA8");
}

TEST(QwenTokenizer, LongTextsAreComposedInParts) {
  auto tokenizer = make(qwenConfig("qwen2"));
  // Parts end at line feeds, and a mark that follows one belongs to nothing before it.
  std::string text, wanted;
  for (int i = 0; i < 30000; ++i) {
    text += i % 1000 ? "e\xCC\x81 " : "e\xCC\x81\n\xCC\x81";
    wanted += i % 1000 ? "\xC3\xA9 " : "\xC3\xA9\n\xCC\x81";
  }
  EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, text)), wanted);
}

TEST(QwenTokenizer, AConversationThatIsEmptyEnds) {
  auto tokenizer = make(qwenConfig("qwen2"));
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;
  tokenizer->encodeConversation({}, ids, trained);
  EXPECT_EQ(ids, (std::vector<int32_t>{tokenizer->eosId()}));
  EXPECT_EQ(trained, (std::vector<uint8_t>{0}));
}

TEST(QwenTokenizer, WithoutItsFilesItReadsNoText) {
  TokenizerConfig config = qwenConfig("qwen2_5");
  config.mergesFile = "/nowhere/merges.txt";
  auto tokenizer = make(config);
  EXPECT_EQ(
      tokenizer->whyNoText().find("has no file: '/nowhere/merges.txt' does not exist; name it with tokenizer.path="
                                  "FILE (tokenizer.json, or vocab.json with tokenizer.merges_file=merges.txt)"),
      0u)
      << tokenizer->whyNoText();
  EXPECT_EQ(tokenizer->eosId(), 151645);
  EXPECT_EQ(tokenizer->bosId(), -1);
  config.path.clear();
  tokenizer = make(config);
  EXPECT_EQ(tokenizer->whyNoText().find("has no file: name it with tokenizer.path=FILE"), 0u);
}

TEST_F(BadFile, OfMerges) {
  TokenizerConfig config = qwenConfig("qwen2");
  config.mergesFile = write("#version: 0.2\nt h\nnonsense\n");
  EXPECT_EQ(errorOf(config).find(path + ":3: this line is no merge"), 0u) << errorOf(config);
  for (const char *line : {"t  h", " h", "t h e", "t \xE4\xB8\x80", "t \xFF"}) {
    write(line);
    EXPECT_NE(errorOf(config).find(":1: this line is no merge"), std::string::npos) << line;
  }
  // Of a token that is none, and to one.
  for (const char *line : {"Zzz Z", "Z Zzz", "Z Z"}) {
    write(std::string("t h\n\n") + line + "\r\n");
    EXPECT_NE(errorOf(config).find("merge 2 makes a token that the vocabulary does not have"), std::string::npos)
        << errorOf(config);
  }
}

TEST_F(BadFile, OfQwensVocabulary) {
  TokenizerConfig config = qwenConfig("qwen2");
  for (auto [text, message] : {std::pair{"{", "this is no JSON"},
                               {"[]", "no vocabulary ({\"TOKEN\": ID, ...}) is in it; name Qwen's vocab.json"},
                               {R"({"model": 0})", "byte 0 is no token, so not every text has ids"},
                               {R"({"a": 0, "b": 0})", "two tokens of its vocabulary have the id 0"},
                               {R"({"a": 99999999})", "is no token of a byte-level tokenizer"},
                               {R"({"model": {"type": "BPE"}})", "no byte-pair vocabulary"}}) {
    config.path = write(text);
    EXPECT_NE(errorOf(config).find(message), std::string::npos) << text << "\n" << errorOf(config);
  }
  // vocab.json alone says nothing of merges.
  config = qwenConfig("qwen2");
  config.mergesFile.clear();
  EXPECT_NE(errorOf(config).find("name Qwen's tokenizer.json, or vocab.json together with tokenizer.merges_file="),
            std::string::npos)
      << errorOf(config);
  json file = json::parse(std::ifstream(folder + "qwen/tokenizer.json"));
  file["model"].erase("merges");
  config.path = write(file.dump());
  EXPECT_NE(errorOf(config).find("it has no merges"), std::string::npos);
  file["model"]["merges"] = json::array({json::array({"t", "h"}), "t"});
  config.path = write(file.dump());
  EXPECT_NE(errorOf(config).find("merge 2 is \"t\", which is no pair"), std::string::npos);
}

TEST_F(BadFile, OfQwensSpecialTokens) {
  TokenizerConfig config = qwenConfig("qwen2_5");
  config.specialTokensPath = write(R"({"added_tokens": [{"id": 700, "content": "<|endoftext|>"},
      {"id": 701, "content": "<|im_start|>"}, {"id": 702, "content": "<|im_end|>"}]})");
  EXPECT_NE(errorOf(config).find("has no '<tool_call>', which Qwen2.5 needs"), std::string::npos);
  TokenizerConfig third = qwenConfig("qwen3");
  third.specialTokensPath = folder + "qwen/tokenizer.json"; // Qwen2.5's
  EXPECT_NE(errorOf(third).find("has no '<tool_response>', which Qwen3 needs"), std::string::npos) << errorOf(third);
  config.component = "torchtune.models.qwen2.qwen2_tokenizer";
  EXPECT_EQ(make(config)->eosId(), 702);
  write(R"({"added_tokens": [{"id": 700, "content": ""}]})");
  EXPECT_NE(errorOf(config).find("which is no {\"id\": NUMBER, \"content\": TEXT}"), std::string::npos);
  write(R"({"added_tokens": [{"id": 7, "content": "<|endoftext|>"}, {"id": 701, "content": "<|im_start|>"},
      {"id": 702, "content": "<|im_end|>"}]})");
  EXPECT_NE(errorOf(config).find("id 7 is a token of this file and the special token '<|endoftext|>'"),
            std::string::npos);
}

} // namespace

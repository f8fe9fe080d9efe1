//===- TokenizerTest.cpp - The byte tokenizer -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Tokenizer/Tokenizer.h"

#include <gtest/gtest.h>
#include <random>

using namespace ftc;

namespace {

std::unique_ptr<Tokenizer> byteTokenizer() {
  std::vector<Diagnostic> diags;
  auto tokenizer = makeTokenizer({}, diags);
  EXPECT_TRUE(diags.empty());
  return tokenizer;
}

TEST(ByteTokenizer, IdsAreBytesAndSpecialsFollow) {
  auto tokenizer = byteTokenizer();
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->name(), "byte");
  EXPECT_EQ(tokenizer->vocabSize(), 259);
  EXPECT_EQ(tokenizer->bosId(), 256);
  EXPECT_EQ(tokenizer->eosId(), 257);
  EXPECT_EQ(tokenizer->padId(), 258);
  std::vector<int32_t> ids = {7};
  tokenizer->encode("A\xC3\xA9\xFF", ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{7, 65, 0xC3, 0xA9, 0xFF}));
}

TEST(ByteTokenizer, SpelledSpecialsStayText) {
  auto tokenizer = byteTokenizer();
  std::vector<int32_t> ids;
  tokenizer->encode("<|end_of_text|>", ids);
  EXPECT_EQ(ids.size(), 15u);
  for (int32_t id : ids)
    EXPECT_LT(id, 256);
}

TEST(ByteTokenizer, DecodesValidTextUnchanged) {
  auto tokenizer = byteTokenizer();
  std::string text = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80\n\xF4\x8F\xBF\xBF\xED\x9F\xBF";
  std::vector<int32_t> ids;
  tokenizer->encode(text, ids);
  EXPECT_EQ(tokenizer->decode(ids), text);
}

TEST(ByteTokenizer, SpecialsAreLeftOutOrSpelled) {
  auto tokenizer = byteTokenizer();
  std::vector<int32_t> ids = {256, 'h', 'i', 257, 258};
  EXPECT_EQ(tokenizer->decode(ids), "hi");
  EXPECT_EQ(tokenizer->decode(ids, true), "<|begin_of_text|>hi<|end_of_text|><|finetune_right_pad_id|>");
}

TEST(ByteTokenizer, UnknownIdsAndCutCharactersBecomeReplacements) {
  auto tokenizer = byteTokenizer();
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{'a', 259, -1, 'b'}), "a" + bad + bad + "b");
  // A special token between the bytes of a character cuts it.
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{0xC3, 257, 0xA9}), bad + bad);
}

TEST(ByteTokenizer, ConversationsAreWrittenPlainly) {
  auto tokenizer = byteTokenizer();
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;
  const Message messages[] = {{"user", {"Hi", "!"}, false}, {"assistant", {"Yo"}, true}};
  tokenizer->encodeConversation(messages, ids, trained);
  EXPECT_EQ(tokenizer->decode(ids, true), "<|begin_of_text|>user:\nHi!\n\nassistant:\nYo<|end_of_text|>");
  ASSERT_EQ(trained.size(), ids.size());
  std::vector<int32_t> marked;
  for (size_t i = 0; i < ids.size(); ++i)
    if (trained[i])
      marked.push_back(ids[i]);
  EXPECT_EQ(tokenizer->decode(marked, true), "Yo<|end_of_text|>");
}

TEST(Utf8, MaximalPartsAsTheStandardShows) {
  const std::string bad = "\xEF\xBF\xBD";
  // Unicode 15, tables 3-8 to 3-11.
  EXPECT_EQ(repairUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repairUtf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), bad + bad + bad + bad + bad + bad + bad + bad + "A");
  EXPECT_EQ(repairUtf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), bad + bad + bad + bad + bad + "A" + bad + bad + "B");
  EXPECT_EQ(repairUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), bad + bad + bad + bad + "A");
}

TEST(Utf8, RepairedTextIsAFixedPoint) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char &byte : bytes)
      byte = static_cast<char>(random() % 3 ? 0x80 + random() % 0x80 : random());
    std::string text = repairUtf8(bytes);
    EXPECT_EQ(repairUtf8(text), text);
    EXPECT_GE(text.size(), bytes.size());
  }
}

TEST(MakeTokenizer, OfTorchtuneForTokenFilesAlone) {
  std::vector<Diagnostic> diags;
  EXPECT_EQ(byteTokenizer()->whyNoText(), "");
  auto other = makeTokenizer({"torchtune.models.clip.clip_tokenizer", "", ""}, diags);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->whyNoText().find("is not built in: give the ids"), 0u);
  EXPECT_EQ(other->padId(), -1);
  EXPECT_TRUE(diags.empty());
}

TEST(MakeTokenizer, AnotherNameSaysWhatWorks) {
  std::vector<Diagnostic> diags;
  EXPECT_FALSE(makeTokenizer({"tiktoken", "", ""}, diags));
  ASSERT_EQ(diags.size(), 1u);
  EXPECT_NE(diags[0].message.find("'tiktoken'"), std::string::npos);
  EXPECT_NE(diags[0].message.find("'byte'"), std::string::npos);
}

} // namespace

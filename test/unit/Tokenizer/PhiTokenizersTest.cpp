//===- PhiTokenizersTest.cpp - Tokenizers of Phi-3 and Phi-4 --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenizerFixture.h"

using namespace ftc;
using nlohmann::json;

namespace {

TEST(Phi3Tokenizer, SpecialTokens) {
  auto tokenizer = make(phi3Config());
  EXPECT_EQ(tokenizer->name(), "torchtune.models.phi3.phi3_mini_tokenizer");
  EXPECT_EQ(tokenizer->whyNoText(), "");
  EXPECT_EQ(tokenizer->vocabSize(), 32011);
  EXPECT_EQ(tokenizer->bosId(), 1);
  EXPECT_EQ(tokenizer->eosId(), 2); // of a document
  EXPECT_EQ(tokenizer->endOfConversationId(), -1);
  EXPECT_EQ(tokenizer->padId(), 32000);
  EXPECT_TRUE(tokenizer->ends(2) && tokenizer->ends(32000) && tokenizer->ends(32007));
  EXPECT_FALSE(tokenizer->ends(32010));
  std::vector<int32_t> ids = {32010};
  tokenizer->encode("Hi", ids);
  ids.insert(ids.end(), {32007, 99999});
  EXPECT_EQ(tokenizer->decode(ids, true), "<|user|>Hi<|end|>\xEF\xBF\xBD");
  EXPECT_EQ(tokenizer->decode(ids), "Hi\xEF\xBF\xBD");
  // Text that spells one is text.
  for (int32_t id : encoded(*tokenizer, "<|user|>"))
    EXPECT_LT(id, 700);
}

TEST(Phi3Tokenizer, MessagesOfATool) {
  auto tokenizer = make(phi3Config());
  EXPECT_EQ(tokenizer->whyNotWorded({{{"system", {"x"}}, {"user", {"x"}}, {"assistant", {"x"}}}}), "");
  EXPECT_EQ(tokenizer->whyNotWorded({{{"tool", {"x"}}}}),
            "the conversation has a message of the role 'tool', for which Phi-3's wording has no place; put its words "
            "into what the user says");
}

TEST(Phi4Tokenizer, SpecialTokens) {
  auto tokenizer = make(phi4Config());
  EXPECT_EQ(tokenizer->name(), "torchtune.models.phi4.phi4_tokenizer");
  EXPECT_EQ(tokenizer->vocabSize(), 100352);
  EXPECT_EQ(tokenizer->bosId(), 100257);
  EXPECT_EQ(tokenizer->eosId(), 100265);
  EXPECT_EQ(tokenizer->padId(), 100349);
  EXPECT_EQ(tokenizer->endOfConversationId(), -1);
  EXPECT_TRUE(tokenizer->ends(100265) && tokenizer->ends(100257));
  EXPECT_EQ(
      tokenizer->decode(std::vector<int32_t>{100264, 100256, 100263, 100267, 100275, 100276, 100277, 100351}, true),
      "<|im_start|><|dummy_0|><|dummy_3|><|dummy_4|><|dummy_12|><|endofprompt|><|dummy_13|><|dummy_87|>");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{100264, 5000}), "\xEF\xBF\xBD");
}

/// Hugging Face's file has the model's own pattern.
TEST(Phi4Tokenizer, TokenizerJsonHasHuggingFacesIds) {
  TokenizerConfig config = phi4Config();
  config.path = folder + "phi4/tokenizer.json";
  config.mergesFile.clear();
  auto tokenizer = make(config);
  EXPECT_EQ(tokenizer->whyNoText(), "");
  EXPECT_EQ(tokenizer->eosId(), 577); // of the file
  const json wanted = golden("phi4-huggingface");
  ASSERT_GT(wanted["texts"].size(), 20u);
  int others = 0;
  auto torchtunes = make(phi4Config());
  for (const json &entry : wanted["texts"]) {
    const std::string text = entry["text"];
    EXPECT_EQ(encoded(*tokenizer, text), entry["ids"].get<std::vector<int32_t>>()) << entry["text"];
    others += encoded(*torchtunes, text) != entry["ids"].get<std::vector<int32_t>>();
  }
  EXPECT_GT(others, 0); // torchtune cuts other pieces
}

TEST(Phi4Tokenizer, WithoutItsFilesItReadsNoText) {
  TokenizerConfig config = phi4Config();
  config.mergesFile = "/nowhere/merges.txt";
  EXPECT_EQ(make(config)->whyNoText().find("has no file: '/nowhere/merges.txt' does not exist; name it with "
                                           "tokenizer.vocab_path=FILE (tokenizer.json, or vocab.json with "
                                           "tokenizer.merges_path=merges.txt)"),
            0u)
      << make(config)->whyNoText();
  EXPECT_EQ(make(config)->padId(), 100349);
}

TEST_F(BadFile, OfPhi) {
  TokenizerConfig config = phi3Config();
  config.path = write("nonsense");
  EXPECT_NE(errorOf(config).find("Phi-3's is tokenizer.model of its repository"), std::string::npos) << errorOf(config);
  config = phi3Config();
  config.specialTokensPath = write(R"({"added_tokens": [{"id": 900, "content": "<|user|>"}]})");
  EXPECT_NE(errorOf(config).find("has no '<|endoftext|>', which Phi-3 needs"), std::string::npos) << errorOf(config);
  write(R"({"added_tokens": [{"id": 900, "content": "<|user|>"}, {"id": 901, "content": "<|endoftext|>"},
      {"id": 902, "content": "<|end|>"}, {"id": 903, "content": "<|assistant|>"}, {"id": 400, "content": "<|system|>"},
      {"id": 2, "content": "</s>"}]})");
  EXPECT_NE(errorOf(config).find("in this file and the special token '<|system|>'"), std::string::npos)
      << errorOf(config);
  config = phi4Config();
  config.specialTokensPath = path;
  EXPECT_NE(errorOf(config).find("which Phi-4 needs"), std::string::npos) << errorOf(config);
  config.specialTokensPath.clear();
  config.path = write("{}");
  EXPECT_NE(errorOf(config).find("byte 0 is no token"), std::string::npos) << errorOf(config);
}

} // namespace

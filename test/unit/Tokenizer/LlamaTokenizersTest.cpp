//===- LlamaTokenizersTest.cpp - Tokenizers of Llama 2 and 3 --------------===//
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

TEST(Llama3Tokenizer, AnyBytesComeBack) {
  auto tokenizer = make(llama3Config());
  std::mt19937 random(3);
  const std::string alphabet = " \n\ta'sE1\xC3\xA9\xE2\x82\xFF\x80";
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 40, '\0');
    for (char &byte : text)
      byte = round % 2 ? alphabet[random() % alphabet.size()] : static_cast<char>(random());
    EXPECT_EQ(tokenizer->decode(encoded(*tokenizer, text)), repairUtf8(text));
  }
}

TEST(Llama3Tokenizer, HuggingFacesFileIsTheSame) {
  auto tokenizer = make({"torchtune.models.llama3.llama3_tokenizer", folder + "tokenizer.json", ""});
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->vocabSize(), 666);
  EXPECT_EQ(tokenizer->bosId(), 656);
  const json wanted = golden("llama3");
  for (const json &entry : wanted["texts"])
    EXPECT_EQ(encoded(*tokenizer, entry["text"].get<std::string>()), entry["ids"].get<std::vector<int32_t>>())
        << entry["text"];
}

TEST(Llama3Tokenizer, SpecialTokens) {
  auto tokenizer = make(llama3Config());
  EXPECT_EQ(tokenizer->whyNoText(), "");
  EXPECT_EQ(tokenizer->vocabSize(), 256 + 400 + 10);
  EXPECT_EQ(tokenizer->bosId(), 656);
  EXPECT_TRUE(tokenizer->ends(tokenizer->eosId()));
  EXPECT_TRUE(tokenizer->ends(663)); // <|eot_id|>
  EXPECT_FALSE(tokenizer->ends('a'));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{656, 'h', 'i', 663}), "hi");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{656, 'h', 'i', 663}, true), "<|begin_of_text|>hi<|eot_id|>");
  TokenizerConfig canonical = llama3Config();
  canonical.specialTokensPath.clear();
  tokenizer = make(canonical);
  EXPECT_EQ(tokenizer->bosId(), 128000);
  EXPECT_EQ(tokenizer->eosId(), 128001);
  EXPECT_EQ(tokenizer->padId(), 128004);
  EXPECT_EQ(tokenizer->vocabSize(), 128256);
}

TEST(Llama2Tokenizer, SpecialTokens) {
  auto tokenizer = make(llama2Config());
  EXPECT_EQ(tokenizer->bosId(), 1);
  EXPECT_EQ(tokenizer->eosId(), 2);
  EXPECT_EQ(tokenizer->padId(), 0);
  std::vector<int32_t> ids = encoded(*tokenizer, "Hello");
  ids.insert(ids.begin(), 1);
  ids.push_back(2);
  EXPECT_EQ(tokenizer->decode(ids), "Hello");
  EXPECT_EQ(tokenizer->decode(ids, true), "<s>Hello</s>");
  ids.push_back(100000);
  EXPECT_EQ(tokenizer->decode(ids), "Hello\xEF\xBF\xBD");
}

TEST(GemmaTokenizer, SpecialTokens) {
  auto tokenizer = make(gemmaConfig());
  EXPECT_EQ(tokenizer->name(), "torchtune.models.gemma.gemma_tokenizer");
  EXPECT_EQ(tokenizer->bosId(), 2);
  EXPECT_EQ(tokenizer->eosId(), 1);
  EXPECT_EQ(tokenizer->padId(), 0);
  std::vector<int32_t> ids = encoded(*tokenizer, "Hello");
  ids.insert(ids.begin(), 2);
  ids.push_back(1);
  ids.push_back(0);
  EXPECT_EQ(tokenizer->decode(ids), "Hello");
  EXPECT_EQ(tokenizer->decode(ids, true), "<bos>Hello<eos><pad>");
  // A conversation has no words around it, whatever is said of them.
  const std::vector<Message> messages = {{"system", {"Be brief."}}, {"user", {"Hi"}}, {"assistant", {"Yo"}, true}};
  EXPECT_EQ(tokenizer->whyNotWorded(messages), "");
  TokenizerConfig plain = gemmaConfig();
  plain.ownWording = false;
  std::vector<int32_t> own, none;
  std::vector<uint8_t> trained;
  tokenizer->encodeConversation(messages, own, trained);
  trained.clear();
  make(plain)->encodeConversation(messages, none, trained);
  EXPECT_EQ(own, none);
  EXPECT_EQ(tokenizer->decode(own), "Be brief.HiYo");
}

TEST_F(BadFile, OfGemma) {
  TokenizerConfig config = gemmaConfig();
  config.path = write("no model");
  EXPECT_NE(errorOf(config).find("Gemma's is tokenizer.model"), std::string::npos) << errorOf(config);
}

TEST(MistralTokenizer, SystemPromptsAndToolsHaveNoPlace) {
  auto tokenizer = make(mistralConfig());
  EXPECT_EQ(tokenizer->name(), "torchtune.models.mistral.mistral_tokenizer");
  const std::vector<Message> plain = {{"user", {"Hi"}}, {"assistant", {"Yo"}, true}};
  EXPECT_EQ(tokenizer->whyNotWorded(plain), "");
  for (auto [role, what] : {std::pair("system", "a system prompt"), {"tool", "a message of a tool"}}) {
    std::vector<Message> messages = plain;
    messages.insert(messages.begin(), {role, {"Be brief."}});
    std::string why = tokenizer->whyNotWorded(messages);
    EXPECT_EQ(why.find(std::string("the conversation has ") + what), 0u) << why;
    EXPECT_NE(why.find("override tokenizer.prompt_template=null"), std::string::npos) << why;
    EXPECT_EQ(make(llama2Config())->whyNotWorded(messages), "");
    TokenizerConfig config = mistralConfig();
    config.ownWording = false;
    EXPECT_EQ(make(config)->whyNotWorded(messages), "");
  }
}

TEST_F(BadFile, OfMistral) {
  TokenizerConfig config = mistralConfig();
  config.path = write("no model");
  EXPECT_NE(errorOf(config).find("Mistral's is tokenizer.model"), std::string::npos) << errorOf(config);
}

TEST_F(BadFile, OfBytePairs) {
  TokenizerConfig config = llama3Config();
  config.path = write("YQ== 0\nnonsense\n");
  EXPECT_EQ(errorOf(config).find(path + ":2: this line is no token"), 0u) << errorOf(config);
  for (const char *line : {"YQ== -1", "YQ== 99999999999", "YQ==", "YQ 0", "Y!== 0", "YQ== 0x", "YQ==  0"}) {
    write(line);
    EXPECT_NE(errorOf(config).find(":1: this line is no token"), std::string::npos) << line;
  }
  write("YQ== 0\nYg== 0\n");
  EXPECT_NE(errorOf(config).find(":2: rank 0 is there twice"), std::string::npos);
  write("YQ== 0\nYQ== 1\n");
  EXPECT_NE(errorOf(config).find("tokens 0 and 1 are the same bytes"), std::string::npos);
  write("YQ== 0\n");
  EXPECT_NE(errorOf(config).find("byte 0 is no token"), std::string::npos);
  write("");
  EXPECT_NE(errorOf(config).find("byte 0 is no token"), std::string::npos);
}

TEST_F(BadFile, OfSpecialTokens) {
  TokenizerConfig config = llama3Config();
  config.specialTokensPath = write("{}");
  EXPECT_NE(errorOf(config).find("no list 'added_tokens'"), std::string::npos);
  write("not JSON");
  EXPECT_NE(errorOf(config).find("this is no JSON"), std::string::npos);
  write(R"({"added_tokens": [{"id": -1, "content": "<|begin_of_text|>"}]})");
  EXPECT_NE(errorOf(config).find("which is no"), std::string::npos);
  write(R"({"added_tokens": [{"id": 700, "content": "<|begin_of_text|>"}]})");
  EXPECT_NE(errorOf(config).find("has no '<|end_of_text|>'"), std::string::npos);
  config.specialTokensPath = "/nowhere/special.json";
  EXPECT_NE(errorOf(config).find("/nowhere/special.json"), std::string::npos);
  // Ids that the vocabulary has already.
  write(R"({"added_tokens": [{"id": 7, "content": "<|begin_of_text|>"}, {"id": 8, "content": "<|end_of_text|>"},
            {"id": 9, "content": "<|start_header_id|>"}, {"id": 10, "content": "<|end_header_id|>"},
            {"id": 11, "content": "<|eot_id|>"}]})");
  config.specialTokensPath = path;
  EXPECT_NE(errorOf(config).find("is a token of this file and the special token"), std::string::npos);
}

TEST_F(BadFile, OfHuggingFace) {
  const std::string json = path + ".json";
  TokenizerConfig config = {"torchtune.models.llama3.llama3_tokenizer", json, ""};
  for (auto [text, message] : {std::pair{"{", "this is no JSON"},
                               {"[]", "no byte-pair vocabulary"},
                               {R"({"model": {"type": "Unigram", "vocab": {}}})", "no byte-pair vocabulary"},
                               {R"({"model": {"vocab": {"\u4e00": 0}}})", "is no token of a byte-level tokenizer"},
                               {R"({"model": {"vocab": {"a": -1}}})", "is no token of a byte-level tokenizer"},
                               {R"({"model": {"vocab": {"a": 0}}})", "byte 0 is no token"}}) {
    std::ofstream(json, std::ios::binary) << text;
    EXPECT_NE(errorOf(config).find(message), std::string::npos) << text << "\n" << errorOf(config);
  }
  std::filesystem::remove(json);
}

TEST_F(BadFile, OfSentencePiece) {
  TokenizerConfig config = llama2Config();
  for (const char *text : {"", "this is no model", "\x0a\x07\x0a\x01"}) {
    config.path = write(text);
    EXPECT_NE(errorOf(config).find("no tokenizer that SentencePiece reads"), std::string::npos) << text;
  }
}

TEST(MakeTokenizer, WithoutItsFileItReadsNoText) {
  for (const char *path : {"", "/nowhere/tokenizer.model"}) {
    auto llama3 = make({"torchtune.models.llama3.llama3_tokenizer", path, ""});
    ASSERT_TRUE(llama3);
    EXPECT_NE(llama3->whyNoText().find("tokenizer.path=FILE (ranks of byte pairs)"), std::string::npos);
    EXPECT_NE(llama3->whyNoText().find(path), std::string::npos);
    EXPECT_EQ(llama3->name(), "torchtune.models.llama3.llama3_tokenizer");
    EXPECT_EQ(llama3->bosId(), 128000);
    EXPECT_EQ(llama3->eosId(), 128001);
    auto llama2 = make({"torchtune.models.llama2.llama2_tokenizer", path, ""});
    EXPECT_NE(llama2->whyNoText().find("a SentencePiece model"), std::string::npos);
    EXPECT_EQ(llama2->bosId(), 1);
  }
}

} // namespace

//===- HuggingFaceTokenizerTest.cpp - Any model's tokenizer ----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Against ids that `tokenizers` gave and conversations that transformers wrote (test/oracle/golden_pipelines.py).
//
//===----------------------------------------------------------------------===//

#include "HuggingFaceFixture.h"

#include <random>

using namespace ftc;
using nlohmann::json;

namespace {

class Pipelines : public HuggingFaceFiles, public testing::WithParamInterface<const char *> {
protected:
  json wanted = goldens()["files"][GetParam()];
};
INSTANTIATE_TEST_SUITE_P(Files, Pipelines,
                         testing::Values("gpt2", "llama3", "qwen", "smollm", "deepseek", "llama2", "gemma", "mistral",
                                         "unigram"));

TEST_P(Pipelines, TextsHaveTheLibrarysIds) {
  auto tokenizer = of(GetParam());
  ASSERT_TRUE(tokenizer);
  ASSERT_GT(wanted["texts"].size(), 30u);
  for (const json &entry : wanted["texts"])
    EXPECT_EQ(encoded(*tokenizer, entry["text"].get<std::string>()), entry["ids"].get<std::vector<int32_t>>())
        << entry["text"];
}

TEST_P(Pipelines, IdsHaveTheLibrarysText) {
  auto tokenizer = of(GetParam());
  ASSERT_TRUE(tokenizer);
  ASSERT_GT(wanted["decoded"].size(), 20u);
  for (const json &entry : wanted["decoded"]) {
    auto ids = entry["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->decode(ids), entry["text"].get<std::string>()) << entry["ids"];
    EXPECT_EQ(tokenizer->decode(ids, true), entry["spelled"].get<std::string>()) << entry["ids"];
  }
  EXPECT_NE(tokenizer->decode(std::vector<int32_t>{-1, 1 << 30}).find("\xEF\xBF\xBD"), std::string::npos);
}

// Parts of a text, cut where the tokenizer says, have the ids of the whole.
TEST_P(Pipelines, PartsHaveTheIdsOfTheWhole) {
  auto tokenizer = of(GetParam());
  ASSERT_TRUE(tokenizer);
  std::mt19937 random(7);
  const std::string_view words[] = {"the",          " ",  "\n",        "  ",   "License",    "12",
                                    "don't",        "\t", ".",         "\r\n", "\xC3\xA9",   "\xE6\x97\xA5",
                                    "\xE3\x80\x80", "/",  "e\xCC\x81", "<s>",  "<|im_end|>", "\xE2\x96\x81"};
  size_t cuts = 0;
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i)
      text += words[random() % std::size(words)];
    const std::vector<int32_t> whole = encoded(*tokenizer, text);
    std::vector<int32_t> parts;
    std::string_view rest = text;
    for (bool isRest = false; !rest.empty(); isRest = true) {
      const size_t window = std::min<size_t>(rest.size(), 20 + random() % 60);
      size_t cut = window == rest.size() ? window : tokenizer->cutAt(rest.substr(0, window));
      cuts += cut > 0 && cut < rest.size();
      cut = cut ? cut : rest.size();
      isRest ? tokenizer->encodeRest(rest.substr(0, cut), parts) : tokenizer->encode(rest.substr(0, cut), parts);
      rest.remove_prefix(cut);
    }
    ASSERT_EQ(parts, whole) << text;
  }
  const std::string_view name = GetParam();
  if (name == "llama3" || name == "qwen" || name == "smollm")
    EXPECT_GT(cuts, 200u);
}

TEST_F(HuggingFaceFiles, PartsOfAFileHaveTheLibrarysIds) {
  const json all = goldens();
  ASSERT_GT(all["variants"].size(), 30u);
  for (const json &variant : all["variants"]) {
    json file = read(variant["file"]);
    file.update(variant["parts"]);
    auto tokenizer = fromParts(file);
    ASSERT_TRUE(tokenizer) << variant["parts"];
    for (size_t i = 0; i < all["texts"].size(); ++i)
      EXPECT_EQ(encoded(*tokenizer, all["texts"][i].get<std::string>()), variant["ids"][i].get<std::vector<int32_t>>())
          << variant["parts"] << all["texts"][i];
  }
}

/// Files of single characters with an odd part, and the patterns that PCRE2 would read differently.
TEST_F(HuggingFaceFiles, OddFilesHaveTheLibrarysIdsOrAreRefused) {
  const json all = read("odd");
  ASSERT_GT(all["files"].size(), 40u);
  std::vector<std::string> refused;
  for (const json &odd : all["files"]) {
    json file = all["base"];
    file.update(odd["parts"]);
    std::vector<Diagnostic> diags;
    auto tokenizer = makeTokenizer(configOf(file, {{"eos_token", "</s>"}}), diags);
    if (!tokenizer) {
      ASSERT_FALSE(diags.empty());
      EXPECT_NE(diags[0].message.find("which is not built"), std::string::npos) << diags[0].message;
      refused.push_back(file["pre_tokenizer"]["pattern"]["Regex"]);
      continue;
    }
    for (const json &text : odd["texts"])
      EXPECT_EQ(encoded(*tokenizer, text["text"].get<std::string>()), text["ids"].get<std::vector<int32_t>>())
          << odd["parts"] << text["text"];
  }
  EXPECT_EQ(refused, (std::vector<std::string>{"(?i:\xC3\x89)o|o"}));
}

std::vector<Message> messagesOf(const json &chat) {
  std::vector<Message> messages;
  for (const json &message : chat["messages"])
    messages.push_back({message["role"], {message["content"].get<std::string>()}, message["role"] == "assistant"});
  return messages;
}

TEST_F(HuggingFaceFiles, ConversationsHaveTheTemplatesIdsAndTorchtunesMasks) {
  size_t chats = 0;
  for (const json &wording : goldens()["chats"]) {
    auto tokenizer = fromParts(read(wording["file"]), wording["config"]);
    ASSERT_TRUE(tokenizer) << wording["file"];
    for (const json &chat : wording["chats"]) {
      const std::vector<Message> messages = messagesOf(chat);
      EXPECT_EQ(tokenizer->whyNotWorded(messages), "");
      std::vector<int32_t> ids;
      std::vector<uint8_t> trained;
      tokenizer->encodeConversation(messages, ids, trained);
      EXPECT_EQ(ids, chat["ids"].get<std::vector<int32_t>>()) << wording["file"] << chat["messages"];
      EXPECT_EQ(trained, chat["trained"].get<std::vector<uint8_t>>()) << wording["file"] << chat["messages"];
      std::vector<Message> open(messages.begin(), messages.end() - 1);
      open.push_back({"assistant", {}, true});
      ids.clear();
      tokenizer->encodeQuestion(open, ids);
      EXPECT_EQ(ids, chat["asked"].get<std::vector<int32_t>>()) << wording["file"] << chat["messages"];
      ++chats;
    }
  }
  EXPECT_GT(chats, 20u);
}

/// What is trained of a conversation, spelled.
std::string trainedText(const Tokenizer &tokenizer, const std::vector<Message> &messages) {
  EXPECT_EQ(tokenizer.whyNotWorded(messages), "");
  std::vector<int32_t> ids, some;
  std::vector<uint8_t> trained;
  tokenizer.encodeConversation(messages, ids, trained);
  EXPECT_EQ(ids.size(), trained.size());
  for (size_t i = 0; i < ids.size(); ++i)
    if (trained[i])
      some.push_back(ids[i]);
  return tokenizer.decode(some, true);
}

// Templates that word earlier messages differently when more follow: the first answer has no thoughts any more; and the
// system prompt is in the last question, unless an answer follows.
TEST_F(HuggingFaceFiles, MessagesKeepTheirsWhereTheWordsOfATemplateChange) {
  auto qwen = fromParts(read("qwen"), {{"eos_token", "<|im_end|>"}, {"chat_template", chatTemplate("qwen3")}});
  ASSERT_TRUE(qwen);
  const std::vector<Message> thoughts = {{"user", {"2+2?"}},
                                         {"assistant", {"<think>\nEasy.\n</think>\n\n4"}, true},
                                         {"user", {"3+3?"}},
                                         {"assistant", {"6"}, true}};
  EXPECT_EQ(trainedText(*qwen, thoughts),
            "<|im_start|>assistant\n4<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>"
            "\n\n6<|im_end|>\n");
  auto mistral = fromParts(read("mistral"),
                           {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", chatTemplate("mistral")}});
  ASSERT_TRUE(mistral);
  const std::vector<Message> prompted = {{"system", {"Be brief."}},
                                         {"user", {"Hi"}},
                                         {"assistant", {"Yo"}, true},
                                         {"user", {"How?"}},
                                         {"assistant", {"So"}, true}};
  EXPECT_EQ(mistral->whyNotWorded(prompted),
            "the model's chat template says nothing of message 1, whose role is 'system' (" +
                path("tokenizer_config.json") +
                ": chat_template); take the message out, or put its words into another one");
  EXPECT_EQ(trainedText(*mistral, {prompted.begin() + 1, prompted.end()}), "Yo</s> So</s>");
  EXPECT_EQ(mistral->whyNotWorded(std::vector<Message>(prompted.begin(), prompted.begin() + 4)), "");
}

TEST_F(HuggingFaceFiles, AllOfAConversationCanBeTrained) {
  auto tokenizer = fromParts(read("smollm"), {{"eos_token", "<|im_end|>"}, {"chat_template", chatTemplate("smollm")}});
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(trainedText(*tokenizer, {{"system", {"S"}}, {"user", {"U"}, true}, {"assistant", {"A"}, true}}),
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n");
}

// The system prompt in a loop over the messages, the others behind it by their numbers.
TEST_F(HuggingFaceFiles, MessagesThatAreWrittenBehindALoop) {
  auto tokenizer = fromParts(
      read("qwen"),
      {{"eos_token", "<|im_end|>"},
       {"chat_template", "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% endif %}{% endfor %}"
                         "{% for i in range(messages|length) %}{% if messages[i].role != 'system' %}"
                         "{{ '<|im_start|>' + messages[i].content + '<|im_end|>' }}{% endif %}{% endfor %}"}});
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(trainedText(*tokenizer, {{"system", {"S"}}, {"user", {"U"}}, {"assistant", {"A"}, true}}),
            "<|im_start|>A<|im_end|>");
  EXPECT_EQ(trainedText(*tokenizer,
                        {{"user", {"U"}}, {"assistant", {"A"}, true}, {"user", {"V"}}, {"assistant", {"B"}, true}}),
            "<|im_start|>A<|im_end|><|im_start|>B<|im_end|>");
}

TEST_F(HuggingFaceFiles, MarksOfATemplateAreTold) {
  std::vector<Diagnostic> diags;
  auto tokenizer = makeTokenizer(
      configOf(read("qwen"), {{"eos_token", "<|im_end|>"},
                              {"chat_template", "{% for m in messages %}{{ m.role }} {% generation %}{{ m.content }}"
                                                "<|im_end|>{% endgeneration %}{% endfor %}"}}),
      diags);
  ASSERT_TRUE(tokenizer);
  ASSERT_EQ(diags.size(), 1u);
  EXPECT_EQ(diags[0].severity, Severity::Remark);
  EXPECT_NE(diags[0].message.find("{% generation %}, which torchtune does not read"), std::string::npos);
  EXPECT_EQ(trainedText(*tokenizer, {{"user", {"U"}}, {"assistant", {"A"}, true}}), "assistant A<|im_end|>");
}

TEST_F(HuggingFaceFiles, AnswersEndWhereTheTemplateEndsThem) {
  auto gemma =
      fromParts(read("gemma"), {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", chatTemplate("gemma")}});
  ASSERT_TRUE(gemma);
  EXPECT_TRUE(gemma->ends(gemma->eosId()));
  EXPECT_TRUE(gemma->ends(encoded(*gemma, "<end_of_turn>")[0]));
  EXPECT_FALSE(gemma->ends(encoded(*gemma, "<start_of_turn>")[0]));
}

TEST_F(HuggingFaceFiles, WhatATemplateRefusesHasNoWording) {
  auto gemma =
      fromParts(read("gemma"), {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"chat_template", chatTemplate("gemma")}});
  ASSERT_TRUE(gemma);
  EXPECT_EQ(gemma->whyNotWorded(std::vector<Message>{{"system", {"S"}}, {"user", {"U"}}, {"assistant", {"A"}}}),
            "the model's chat template refuses the conversation: System role not supported (" +
                path("tokenizer_config.json") + ": chat_template, line 1, column 74)");
  auto phi = fromParts(read("qwen"), {{"eos_token", "<|im_end|>"}, {"chat_template", chatTemplate("phi3")}});
  ASSERT_TRUE(phi);
  EXPECT_NE(phi->whyNotWorded(std::vector<Message>{
                                  {"user", {"U"}}, {"assistant", {"A"}}, {"ipython", {"5"}}, {"assistant", {"B"}}})
                .find("says nothing of message 3, whose role is 'ipython'"),
            std::string::npos);
  auto none = fromParts(read("qwen"), {{"eos_token", "<|im_end|>"}});
  ASSERT_TRUE(none);
  EXPECT_NE(
      none->whyNotWorded(std::vector<Message>{{"user", {"U"}}, {"assistant", {"A"}}}).find("has no chat template"),
      std::string::npos);
  auto changes =
      fromParts(read("qwen"), {{"eos_token", "<|im_end|>"},
                               {"chat_template", "{{ messages|length }}{{ messages|map(attribute='content')|join }}"}});
  ASSERT_TRUE(changes);
  EXPECT_NE(changes->whyNotWorded(std::vector<Message>{{"user", {"U"}}, {"assistant", {"A"}}})
                .find("words message 1 differently when more messages follow"),
            std::string::npos);
}

TEST_F(HuggingFaceFiles, TemplatesInListsAndFilesOfTheirOwn) {
  const json named = {{{"name", "tool_use"}, {"template", "{{ tools }}"}},
                      {{"name", "default"}, {"template", "{% for m in messages %}[{{ m.content }}]{% endfor %}"}}};
  const std::vector<Message> chat = {{"user", {"U"}}, {"assistant", {"A"}, true}};
  auto listed = fromParts(read("qwen"), {{"eos_token", "<|im_end|>"}, {"chat_template", named}});
  ASSERT_TRUE(listed);
  EXPECT_EQ(trainedText(*listed, chat), "[A]<|im_end|>");
  write("chat_template.jinja", "{% for m in messages %}({{ m.content }}){% endfor %}\n");
  auto filed = fromParts(read("qwen"), {{"eos_token", "<|im_end|>"}, {"chat_template", named}});
  ASSERT_TRUE(filed);
  EXPECT_EQ(trainedText(*filed, chat), "(A)<|im_end|>");
}

TEST_F(HuggingFaceFiles, BeginAndEndComeFromTheFiles) {
  auto llama =
      fromParts(read("llama3"), {{"bos_token", "<|begin_of_text|>"}, {"eos_token", {{"content", "<|end_of_text|>"}}}});
  ASSERT_TRUE(llama);
  EXPECT_EQ(llama->decode(std::vector<int32_t>{llama->bosId(), llama->eosId()}, true),
            "<|begin_of_text|><|end_of_text|>");
  EXPECT_EQ(llama->padId(), llama->eosId());
  // Null says that there is none, and what is absent is taken from the other file.
  write("generation_config.json", R"({"bos_token_id": 420, "eos_token_id": [422, 421]})");
  TokenizerConfig config = configOf(read("qwen"), {{"bos_token", nullptr}, {"pad_token", "<|endoftext|>"}});
  config.generationConfigPath = path("generation_config.json");
  std::vector<Diagnostic> diags;
  auto qwen = makeTokenizer(config, diags);
  ASSERT_TRUE(qwen) << diags[0].message;
  EXPECT_EQ(qwen->bosId(), -1);
  EXPECT_EQ(qwen->eosId(), 422);
  EXPECT_EQ(qwen->padId(), 420);
  EXPECT_TRUE(qwen->ends(421) && qwen->ends(422) && !qwen->ends(420));
}

TEST_F(HuggingFaceFiles, BytesThatAreNoTextAreTakenForReplacements) {
  auto tokenizer = of("qwen");
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(encoded(*tokenizer, "a\xFF\x62"), encoded(*tokenizer, "a\xEF\xBF\xBD\x62"));
}

} // namespace

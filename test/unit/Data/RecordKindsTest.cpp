//===- RecordKindsTest.cpp - Records of torchtune's data sets -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows against the ids and masks that torchtune's own classes give for the same records (test/oracle/golden_tokens.py).
//
//===----------------------------------------------------------------------===//

#include "DataFixture.h"

#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;

namespace {

struct Kind {
  const char *name;
  RecordKind kind;
  void (*change)(DataOptions &) = [](DataOptions &) {};
};

const Kind kinds[] = {
    {"alpaca", RecordKind::Alpaca, [](DataOptions &options) { options.trainOnInput = true; }},
    {"alpaca-answers", RecordKind::Alpaca,
     [](DataOptions &options) {
       options.instructionKey = "ask";
       options.outputKey = "say";
     }},
    {"instruct", RecordKind::Instruct,
     [](DataOptions &options) {
       options.inputKey = "q";
       options.outputKey = "a";
       options.systemPrompt = "Be brief.";
     }},
    {"sharegpt", RecordKind::ShareGpt,
     [](DataOptions &options) {
       options.column = "conversations";
       options.trainOnInput = true;
     }},
    {"sharegpt-prompt", RecordKind::ShareGpt,
     [](DataOptions &options) {
       options.column = "conversations";
       options.trainOnInput = true;
       options.systemPrompt = "Be brief.";
     }},
};

struct RecordKinds : DataFixture {
  void start(const Kind &kind) {
    options = {};
    options.records = kind.kind;
    options.seqLen = 400;
    options.vocabSize = 2000;
    options.packed = false;
    kind.change(options);
  }
};

TEST_F(RecordKinds, RowsAreTorchtunes) {
  const std::string folder = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/";
  std::ifstream in(folder + "golden.json");
  const json golden = json::parse(in);
  const TokenizerConfig configs[] = {
      {"torchtune.models.llama3.llama3_tokenizer", folder + "llama3.model", folder + "special.json"},
      {"torchtune.models.llama2.llama2_tokenizer", folder + "llama2.model", ""},
      {"torchtune.models.mistral.mistral_tokenizer", folder + "llama2.model", ""},
      {"torchtune.models.gemma.gemma_tokenizer", folder + "gemma.model", ""},
      {"torchtune.models.qwen2.qwen2_tokenizer", folder + "qwen/tokenizer.json", ""},
      {"torchtune.models.qwen2_5.qwen2_5_tokenizer", folder + "qwen/tokenizer.json", ""}};
  for (const TokenizerConfig &config : configs) {
    const std::string name = config.component.substr(17, config.component.rfind('.') - 17);
    tokenizer = makeTokenizer(config, diags);
    ASSERT_TRUE(tokenizer) << messages();
    for (const Kind &kind : kinds) {
      SCOPED_TRACE(name + " " + kind.name);
      start(kind);
      const json wanted = golden[name]["records"].value(kind.name, json());
      if (wanted.is_null()) {
        EXPECT_EQ(name, "mistral"); // system prompts
        continue;
      }
      std::string lines;
      for (const json &record : wanted["records"])
        lines += record.dump() + "\n";
      auto data = load(write("records.jsonl", lines));
      ASSERT_TRUE(data) << messages();
      ASSERT_EQ(data->train.rows(), static_cast<int64_t>(wanted["ids"].size()));
      for (int64_t r = 0; r < data->train.rows(); ++r) {
        Ints ids = wanted["ids"][r], trained = wanted["trained"][r];
        Batch batch = row(data->train, r);
        ASSERT_LT(ids.size(), batch.tokens.size());
        for (size_t t = 0; t < ids.size(); ++t) {
          EXPECT_EQ(batch.tokens[t], ids[t]) << t;
          EXPECT_EQ(batch.labels[t], t + 1 < ids.size() && trained[t + 1] ? ids[t + 1] : X) << t;
        }
      }
    }
  }
}

TEST_F(RecordKinds, MistralHasNoPlaceForSystemPrompts) {
  tokenizer = makeTokenizer(
      {"torchtune.models.mistral.mistral_tokenizer", FTC_SOURCE_DIR "/test/oracle/goldens/tokens/llama2.model", ""},
      diags);
  ASSERT_TRUE(tokenizer) << messages();
  start(kinds[2]);
  EXPECT_FALSE(load(write("a.jsonl", "{\"q\": \"x\", \"a\": \"y\"}\n")));
  EXPECT_TRUE(
      says("a.jsonl:1:1: error: the conversation has a system prompt, for which Mistral's wording has no place"))
      << messages();
  start(kinds[3]);
  EXPECT_FALSE(load(write("a.jsonl", R"({"conversations": [{"from": "system", "value": "x"}, )"
                                     R"({"from": "human", "value": "x"}, {"from": "gpt", "value": "x"}]})")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: the conversation has a system prompt")) << messages();
}

TEST_F(RecordKinds, PromptTemplatesAreTorchtunes) {
  const std::string folder = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/";
  std::ifstream in(folder + "golden.json");
  const json golden = json::parse(in)["templates"];
  ASSERT_GE(golden.size(), 10u);
  for (const json &entry : golden) {
    const std::string family = entry["family"];
    SCOPED_TRACE(family + " " + entry["tags"].dump());
    TokenizerConfig config{"torchtune.models." + family + "." + family + "_tokenizer", folder + "llama2.model", ""};
    config.ownWording = false;
    if (family == "phi3") {
      config.component = "torchtune.models.phi3.phi3_mini_tokenizer";
    } else if (family == "phi4") {
      config.path = folder + "phi4/vocab.json";
      config.mergesFile = folder + "phi4/merges.txt";
    } else if (family == "llama3") {
      config.path = folder + "llama3.model";
      config.specialTokensPath = folder + "special.json";
    } else if (family.starts_with("qwen")) {
      config.path = folder + "qwen/tokenizer.json";
    } else if (family == "gemma") {
      config.path = folder + "gemma.model";
    }
    tokenizer = makeTokenizer(config, diags);
    ASSERT_TRUE(tokenizer) << messages();
    options = {};
    options.seqLen = 400;
    options.vocabSize = 100352;
    options.packed = false;
    options.column = "messages";
    for (const auto &[role, words] : entry["tags"].items())
      options.promptTags.push_back(
          {role, words[0], words[1], role == "assistant" && entry["component"] == "torchtune.data.ChatMLTemplate"});
    std::string lines;
    for (const json &chat : entry["chats"])
      lines += json{{"messages", chat["messages"]}}.dump() + "\n";
    auto data = load(write("chats.jsonl", lines));
    ASSERT_TRUE(data) << messages();
    ASSERT_EQ(data->train.rows(), static_cast<int64_t>(entry["chats"].size()));
    for (int64_t r = 0; r < data->train.rows(); ++r) {
      Ints ids = entry["chats"][r]["ids"], trained = entry["chats"][r]["trained"];
      Batch batch = row(data->train, r);
      EXPECT_EQ(Ints(batch.tokens.begin(), batch.tokens.begin() + static_cast<std::ptrdiff_t>(ids.size())), ids);
      for (size_t t = 0; t < ids.size(); ++t)
        EXPECT_EQ(batch.labels[t], t + 1 < ids.size() && trained[t + 1] ? ids[t + 1] : X) << t;
    }
  }
}

/// torchtune's later masking_strategy: what is trained, each letter the turn of one of the five.
TEST_F(RecordKinds, MaskingStrategies) {
  options.records = RecordKind::Chat;
  options.column = "messages";
  options.seqLen = 100;
  options.packed = false;
  const std::string path =
      write("turns.jsonl", R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, )"
                           R"({"role": "assistant", "content": "a"}, {"role": "user", "content": "v"}, )"
                           R"({"role": "assistant", "content": "b"}, {"role": "user", "content": "w"}]})"
                           "\n");
  for (const auto &[strategy, input, wanted] : {std::tuple(MaskingStrategy::TrainOnAssistant, false, "a$b$"),
                                                {MaskingStrategy::TrainOnAssistant, true, "sua$vb$w"},
                                                {MaskingStrategy::TrainOnAll, false, "ua$vb$w"},
                                                {MaskingStrategy::TrainOnLast, false, "b$"}}) {
    options.masking = strategy;
    options.trainOnInput = input;
    std::optional<LoadedData> data = load(path);
    ASSERT_TRUE(data) << messages();
    std::string trained;
    for (int32_t label : row(data->train, 0).labels)
      if (label != X)
        trained += label == EOS ? '$' : static_cast<char>(label);
    EXPECT_EQ(trained, wanted);
  }
  // A recipe's own system prompt is never trained, and without an answer there is something to train in all turns.
  options.systemPrompt = "own";
  options.masking = MaskingStrategy::TrainOnAll;
  options.trainOnInput = false;
  std::optional<LoadedData> data = load(write("more.jsonl", R"({"messages": [{"role": "user", "content": "u"}, )"
                                                            R"({"role": "tool", "content": "t"}]})"
                                                            "\n"));
  ASSERT_TRUE(data) << messages();
  EXPECT_EQ(data->train.validLabels(), 2);
}

/// What an answer goes on from is what records are, up to the answer.
TEST_F(RecordKinds, QuestionsHaveTheWordsOfRecords) {
  const auto asked = [&](const std::string &question) {
    Ints ids;
    EXPECT_EQ(encodeQuestion(question, options, *tokenizer, ids), "");
    return tokenizer->decode(ids, true);
  };
  options.records = RecordKind::Chat;
  EXPECT_EQ(asked("Why?"), "<|begin_of_text|>user:\nWhy?\n\nassistant:\n");
  options.systemPrompt = "Be brief.";
  options.promptTags = {{"user", "Q: ", "\n"}, {"assistant", "A: ", "!"}};
  EXPECT_EQ(asked("Why?"), "<|begin_of_text|>system:\nBe brief.\n\nuser:\nQ: Why?\n\n\nassistant:\nA: ");
  options.systemPrompt.reset();
  options.promptTags.clear();
  options.records = RecordKind::Alpaca;
  EXPECT_EQ(
      asked("Name a colour."),
      "<|begin_of_text|>user:\nBelow is an instruction that describes a task. Write a response that appropriately "
      "completes the request.\n\n### Instruction:\nName a colour.\n\n### Response:\n\n\nassistant:\n");

  const std::string folder = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/";
  tokenizer = makeTokenizer({"torchtune.models.phi3.phi3_mini_tokenizer", folder + "llama2.model", ""}, diags);
  options.records = RecordKind::Chat;
  EXPECT_EQ(asked("Hi"), "<s><|user|>\nHi<|end|>\n<|assistant|>\n");
  options.systemPrompt = "Be brief.";
  tokenizer = makeTokenizer({"torchtune.models.mistral.mistral_tokenizer", folder + "llama2.model", ""}, diags);
  Ints ids;
  EXPECT_NE(encodeQuestion("Hi", options, *tokenizer, ids).find("Mistral's wording has no place"), std::string::npos);
  EXPECT_TRUE(ids.empty());
}

/// What torchtune ends with no token has none where it is cut, either.
TEST_F(RecordKinds, PhisConversationsAreOnlyCut) {
  for (const char *name : {"phi3.phi3_mini_tokenizer", "phi4.phi4_tokenizer"}) {
    const std::string folder = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/";
    const bool isPhi3 = std::string_view(name).starts_with("phi3");
    TokenizerConfig config{std::string("torchtune.models.") + name,
                           folder + (isPhi3 ? "llama2.model" : "phi4/vocab.json"), ""};
    config.mergesFile = isPhi3 ? "" : folder + "phi4/merges.txt";
    tokenizer = makeTokenizer(config, diags);
    ASSERT_TRUE(tokenizer) << messages();
    options = {};
    options.seqLen = 20;
    options.vocabSize = 100352;
    options.packed = false;
    options.column = "messages";
    const std::vector<Message> said = {{"user", {"Tell me a long story."}, false},
                                       {"assistant", {"Once upon a time there were seven letters."}, true}};
    auto data = load(write("a.jsonl", json{{"messages",
                                            {{{"role", "user"}, {"content", said[0].pieces[0]}},
                                             {{"role", "assistant"}, {"content", said[1].pieces[0]}}}}}
                                          .dump()));
    ASSERT_TRUE(data) << messages();
    Ints ids;
    std::vector<uint8_t> trained;
    tokenizer->encodeConversation(said, ids, trained);
    ASSERT_GT(ids.size(), 20u);
    const Batch batch = row(data->train, 0);
    EXPECT_EQ(batch.tokens, Ints(ids.begin(), ids.begin() + 20));
    EXPECT_EQ(batch.labels[18], ids[19]); // trained, as any other
    EXPECT_TRUE(says("1 samples are longer than a row")) << messages();
    diags.clear();
  }
}

TEST_F(RecordKinds, OtherRecordsSayWhatIsMissing) {
  start(kinds[0]);
  EXPECT_FALSE(load(write("a.jsonl", "{\"text\": \"x\"}\n")));
  EXPECT_TRUE(
      says("a.jsonl:1:1: error: no key 'instruction' (keys here: text), which the recipe's alpaca_dataset needs"))
      << messages();
  EXPECT_FALSE(load(write("a.jsonl", "{\"instruction\": \"x\", \"output\": 3}\n")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: key 'output' is number instead of a string")) << messages();
  EXPECT_FALSE(load(write("a.jsonl", "{\"instruction\": \"x\", \"output\": \"y\", \"input\": [1]}\n")));
  EXPECT_TRUE(says("key 'input' is array instead of a string")) << messages();
  EXPECT_TRUE(load(write("a.jsonl", "{\"instruction\": \"x\", \"output\": \"y\", \"input\": null}\n"))) << messages();
  start(kinds[2]);
  EXPECT_FALSE(load(write("a.jsonl", "{\"q\": \"x\"}\n")));
  EXPECT_TRUE(says("no key 'a' (keys here: q), which the recipe's instruct_dataset needs; name it with "
                   "dataset.column_map.output=KEY"))
      << messages();
  start(kinds[3]);
  EXPECT_FALSE(load(write("a.jsonl", "{\"conversations\": []}\n")));
  EXPECT_TRUE(says("'conversations' must be a list of {\"from\": ..., \"value\": ...}")) << messages();
  EXPECT_FALSE(load(write("a.jsonl", R"({"conversations": [{"from": "robot", "value": "x"}]})")));
  EXPECT_TRUE(says("message 1 is from 'robot'; known are system, human, gpt, user, assistant, tool")) << messages();
  EXPECT_FALSE(load(write("a.jsonl", "{\"conversations\": [{\"from\": \"human\"}]}\n")));
  EXPECT_TRUE(says("message 1 has no 'value' that is a string")) << messages();
}

/// A conversation of {"role", "content"}: "u" is the user's, and so on.
std::string chatOf(std::string_view letters) {
  static const std::map<char, const char *> roles = {
      {'s', "system"}, {'u', "user"}, {'a', "assistant"}, {'t', "tool"}, {'i', "ipython"}};
  json turns = json::array();
  for (char letter : letters)
    turns.push_back({{"role", roles.at(letter)}, {"content", std::string(1, letter)}});
  return json{{"messages", turns}}.dump() + "\n";
}

TEST_F(RecordKinds, OrdersThatTorchtuneRefuses) {
  start({"", RecordKind::Chat});
  options.column = "messages";
  // Those of ours that torchtune refuses too, but for an assistant that goes on behind a tool.
  for (const char *good : {"ua", "sua", "uaua", "suaua", "uau", "uata", "uiua", "uaiia", "uatua"})
    EXPECT_TRUE(load(write("a.jsonl", chatOf(good)))) << good << messages();
  const std::pair<const char *, const char *> bad[] = {
      {"uua", "messages 1 and 2 are both the user's; make them one, or take one out"},
      {"uauua", "messages 3 and 4 are both the user's"},
      {"uaa", "messages 2 and 3 are both the assistant's; make them one, or take one out"},
      {"usa", "message 2 is a system prompt, which must be the first message"},
      {"ssua", "message 2 is a system prompt, which must be the first message"},
      {"au", "message 1 is the assistant's, and no user has said anything before"},
      {"a", "message 1 is the assistant's, and no user has said anything before"},
      {"sa", "message 2 is the assistant's, and no user has said anything before"},
      {"ta", "message 2 is the assistant's, and no user has said anything before"}};
  for (const auto &[order, message] : bad) {
    EXPECT_FALSE(load(write("a.jsonl", chatOf("ua") + chatOf(order)))) << order;
    EXPECT_TRUE(says(std::string("a.jsonl:2:1: error: ") + message)) << messages();
  }
  // With a system prompt of the recipe's own, the conversation's are not there.
  options.systemPrompt = "Be brief.";
  EXPECT_TRUE(load(write("a.jsonl", chatOf("usa")))) << messages();
  options.systemPrompt.reset();
  // Nothing of it would be trained: left out, and told.
  EXPECT_TRUE(load(write("a.jsonl", chatOf("ua") + chatOf("u")))) << messages();
  EXPECT_TRUE(says("1 conversations without a turn of the assistant left out")) << messages();
  options.trainOnInput = true;
  EXPECT_FALSE(load(write("a.jsonl", chatOf("u"))));
  EXPECT_TRUE(says("a.jsonl:1:1: error: the conversation has one message, and nobody answers")) << messages();
  start({"", RecordKind::ShareGpt});
  options.column = "conversations";
  EXPECT_FALSE(load(write("a.jsonl", R"({"conversations": [{"from": "gpt", "value": "x"}]})")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: message 1 is the assistant's")) << messages();
  EXPECT_TRUE(load(write("a.jsonl", R"({"conversations": [{"from": "user", "value": "x"}, )"
                                    R"({"from": "assistant", "value": "x"}]})")))
      << messages();
}

TEST_F(RecordKinds, KeysOfMessagesThatNothingReads) {
  start({"", RecordKind::Chat});
  options.column = "messages";
  const std::string line = R"({"messages": [{"role": "user", "content": "q", "name": "Bo", "weight": null}, )"
                           R"({"role": "assistant", "content": "a", "weight": 0, "tool_calls": []}]})"
                           "\n";
  EXPECT_TRUE(load(write("a.jsonl", line + line))) << messages();
  EXPECT_TRUE(says("a.jsonl: remark: the key 'name' of 2 messages is not read\n")) << messages();
  EXPECT_TRUE(says("a.jsonl: remark: the key 'weight' of 2 messages is not read: what the assistant says is trained, "
                   "all else masked\n"))
      << messages();
  auto answer = [&](const char *keys) {
    return write("a.jsonl",
                 std::string(R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant")") + keys + "}]}");
  };
  for (const char *keys :
       {R"(, "content": "", "tool_calls": [{"id": "1"}])", R"(, "content": null, "tool_calls": [{"id": "1"}])",
        R"(, "function_call": {"name": "f"})", R"(, "content": [], "tool_calls": [{"id": "1"}])"}) {
    EXPECT_FALSE(load(answer(keys))) << keys;
    EXPECT_TRUE(says("a.jsonl:1:1: error: message 2 calls a tool and has no words: calls are not put into words here; "
                     "write the call into 'content'"))
        << messages();
  }
  EXPECT_TRUE(load(answer(R"(, "content": "f", "tool_calls": [{"id": "1"}])"))) << messages();
  EXPECT_TRUE(says("the key 'tool_calls' of 1 messages is not read")) << messages();
  EXPECT_FALSE(load(answer(R"(, "content": null)")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: message 2 has a 'content' that is null; write \"\" where nothing is said"))
      << messages();
}

TEST_F(RecordKinds, TextIsNoRecord) {
  const std::string question = "{\"instruction\": \"x\", \"input\": \"\", \"output\": \"y\"}\n";
  const std::string chat = R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})";
  for (auto [kind, line] : {std::pair(RecordKind::Alpaca, question), std::pair(RecordKind::Instruct, question),
                            std::pair(RecordKind::Chat, chat)}) {
    start({"", kind});
    if (kind == RecordKind::Chat)
      options.column = "messages";
    for (const char *name : {"a.txt", "README.md", "a.jsonlines", "a.log", "a"}) {
      EXPECT_FALSE(load(write(name, line)));
      EXPECT_TRUE(says(std::string(name) + ": error: the recipe's data set is made of records")) << messages();
    }
    for (const char *name : {"d/README.md", "d/a.jsonlines", "d/b.jsonl", "d/c.log"})
      write(name, line);
    auto data = load(root / "d");
    ASSERT_TRUE(data) << messages();
    EXPECT_EQ(data->train.samples(), 1);
    EXPECT_TRUE(says("README.md: remark: skipped: is not called .jsonl, and the recipe's data set is made of "
                     "records (and 2 more: "))
        << messages();
  }
  EXPECT_FALSE(load(write("a.jsonl", R"({"messages": "words"})")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: 'messages' must be a list of")) << messages();
  EXPECT_FALSE(load(write("a.jsonl", R"({"text": "words"})")));
  EXPECT_TRUE(says("a.jsonl:1:1: error: no key 'messages' (keys here: text); name the conversation's key"))
      << messages();
}

} // namespace

//===- Records.cpp - Objects of JSON files as samples ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Records.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace ftc;
using nlohmann::json;

namespace {

/// Why a record cannot be used.
using Problem = std::optional<std::string>;

/// A message's words: a string, or a list of {"type": "text", "text": ...}.
Problem readContent(const json &message, std::vector<std::string> &pieces) {
  auto found = message.find("content");
  if (found == message.end())
    return "has no key 'content'";
  if (found->is_null())
    return "has a 'content' that is null; write \"\" where nothing is said, or take the message out";
  if (found->is_string()) {
    pieces = {found->get_ref<const std::string &>()};
    return std::nullopt;
  }
  if (!found->is_array())
    return fmt::format("has a 'content' that is {} instead of a string", found->type_name());
  for (const json &piece : *found) {
    if (!piece.is_object() || !piece.contains("text") || !piece["text"].is_string())
      return "has a 'content' with a piece that is not text";
    pieces.push_back(piece["text"].get_ref<const std::string &>());
  }
  return std::nullopt;
}

/// Counts the keys of a message that are not `read`, two of them.
void countUnread(const json &message, const char *const (&read)[2], RecordCounts &counts) {
  constexpr size_t most = 64; // of a file that is something else
  for (const auto &item : message.items())
    if (!item.value().is_null() && item.key() != read[0] && item.key() != read[1] &&
        (counts.unread.size() < most || counts.unread.contains(item.key())))
      ++counts.unread[item.key()];
}

/// An order of messages that torchtune's validate_messages refuses: two users one after the other, an answer to nobody,
/// a system prompt that is not the first, one message alone. Other than there, the assistant may go on behind a tool.
Problem checkOrder(const std::vector<Message> &turns, bool dropsSystem) {
  std::string last;
  size_t count = dropsSystem, before = 0;
  bool asked = false;
  for (size_t i = 0; i < turns.size(); ++i) {
    const std::string &role = turns[i].role;
    if (role == "system" && dropsSystem)
      continue;
    if (role == "system" && count > 0)
      return fmt::format("message {} is a system prompt, which must be the first message", i + 1);
    if (role == last && (role == "user" || role == "assistant"))
      return fmt::format("messages {} and {} are both the {}'s; make them one, or take one out", before, i + 1, role);
    asked |= role == "user";
    if (role == "assistant" && !asked)
      return fmt::format("message {} is the assistant's, and no user has said anything before; a conversation begins "
                         "with the user",
                         i + 1);
    if (role == "assistant" && last == "system")
      return fmt::format("message {} is the assistant's, and answers a system prompt", i + 1);
    last = role;
    before = i + 1;
    ++count;
  }
  if (count < 2)
    return "the conversation has one message, and nobody answers";
  return std::nullopt;
}

Problem encodeTurns(std::vector<Message> turns, const DataOptions &options, const Tokenizer &tokenizer,
                    Sample &sample) {
  if (Problem problem = checkOrder(turns, options.systemPrompt.has_value()))
    return problem;
  wordTurns(options, turns);
  if (std::string why = tokenizer.whyNotWorded(turns); !why.empty())
    return why;
  sample.conversation = true;
  tokenizer.encodeConversation(turns, sample.ids, sample.trained);
  return std::nullopt;
}

/// Whether a message is an object in which both are strings.
bool hasStrings(const json &message, const char *who, const char *what) {
  return message.is_object() && message.contains(who) && message[who].is_string() && message.contains(what) &&
         message[what].is_string();
}

bool isShareGptMessage(const json &message) { return hasStrings(message, "from", "value"); }
bool isOpenAiMessage(const json &message) { return hasStrings(message, "role", "content"); }

/// Why what should be a conversation is none; `shape`: of a message.
std::string noConversation(const std::string &key, const json &messages, const char *shape) {
  return fmt::format("'{}' must be a list of {}{}", key, shape,
                     messages.is_string() ? ", and is a text; write conversations as JSON lines, a list each" : "");
}

Problem readMessages(const std::string &key, const json &messages, RecordCounts &counts, std::vector<Message> &turns) {
  if (!messages.is_array() || messages.empty())
    return noConversation(key, messages, "{\"role\": ..., \"content\": ...}");
  for (size_t i = 0; i < messages.size(); ++i) {
    const json &message = messages[i];
    if (!message.is_object())
      return fmt::format("message {} is {} instead of an object", i + 1, message.type_name());
    auto role = message.find("role");
    if (role == message.end() || !role->is_string())
      return fmt::format("message {} has no 'role' that is a string{}", i + 1,
                         isShareGptMessage(message) ? "; with 'from' and 'value' it is one of ShareGPT's, which "
                                                      "chat_dataset reads with dataset.conversation_style=sharegpt"
                                                    : "");
    const std::string &who = role->get_ref<const std::string &>();
    if (who != "system" && who != "user" && who != "assistant" && who != "tool" && who != "ipython")
      return fmt::format("message {} has the role '{}'; known are system, user, assistant, tool, ipython", i + 1, who);
    Message &turn = turns.emplace_back(Message{who, {}});
    bool calls = false;
    for (const char *key : {"tool_calls", "function_call"})
      calls |= message.contains(key) && !message[key].empty();
    auto said = message.find("content");
    if (calls && (said == message.end() || said->empty() || *said == ""))
      return fmt::format("message {} calls a tool and has no words: calls are not put into words here; write the call "
                         "into 'content' as the model shall write it, or take the conversation out",
                         i + 1);
    if (Problem problem = readContent(message, turn.pieces))
      return fmt::format("message {} {}", i + 1, *problem);
    countUnread(message, {"role", "content"}, counts);
  }
  return std::nullopt;
}

Problem readShareGpt(const std::string &key, const json &messages, RecordCounts &counts, std::vector<Message> &turns) {
  if (!messages.is_array() || messages.empty())
    return noConversation(key, messages, "{\"from\": ..., \"value\": ...}");
  for (size_t i = 0; i < messages.size(); ++i) {
    const json &message = messages[i];
    for (const char *part : {"from", "value"})
      if (!message.is_object() || !message.contains(part) || !message[part].is_string())
        return fmt::format("message {} has no '{}' that is a string{}", i + 1, part,
                           isOpenAiMessage(message) ? "; with 'role' and 'content' it is one of OpenAI's, which "
                                                      "chat_dataset reads with dataset.conversation_style=openai"
                                                    : "");
    const std::string &who = message["from"].get_ref<const std::string &>();
    static constexpr std::pair<const char *, const char *> roles[] = {{"system", "system"},       {"human", "user"},
                                                                      {"gpt", "assistant"},       {"user", "user"},
                                                                      {"assistant", "assistant"}, {"tool", "tool"}};
    auto role = std::find_if(std::begin(roles), std::end(roles), [&](const auto &pair) { return who == pair.first; });
    if (role == std::end(roles))
      return fmt::format("message {} is from '{}'; known are system, human, gpt, user, assistant, tool", i + 1, who);
    countUnread(message, {"from", "value"}, counts);
    turns.push_back({role->second, {message["value"].get_ref<const std::string &>()}});
  }
  return std::nullopt;
}

std::string keysOf(const json &record) {
  std::string keys;
  for (const auto &item : record.items())
    keys += (keys.empty() ? "" : ", ") + item.key();
  return keys.empty() ? "none" : keys;
}

/// The data set, with its keys, that records like this one are made for, as overrides; "" for any other record.
std::string dataSetFor(const json &record) {
  const auto isText = [&](const char *key) { return record.contains(key) && record[key].is_string(); };
  const auto isChat = [&](const char *key) {
    return record.contains(key) && record[key].is_array() && !record[key].empty() &&
           isOpenAiMessage(record[key].front());
  };
  const std::string sets = "dataset=torchtune.datasets.";
  if (isChat("chosen") && isChat("rejected"))
    return sets + "preference_dataset with loss=torchtune.rlhf.loss.DPOLoss";
  for (const auto &item : record.items()) {
    const json &value = item.value();
    if (!value.is_array() || value.empty())
      continue;
    const bool isShareGpt = isShareGptMessage(value.front());
    if (isShareGpt || isOpenAiMessage(value.front()))
      // With both keys: the recipe may give others.
      return fmt::format("{}chat_dataset dataset.conversation_column={} dataset.conversation_style={}", sets,
                         item.key(), isShareGpt ? "sharegpt" : "openai");
  }
  if (isText("instruction") && isText("output"))
    return sets + "alpaca_dataset";
  if (isText("input") && isText("output"))
    return sets + "instruct_dataset";
  for (const char *question : {"question", "prompt", "instruction", "query", "input"})
    for (const char *answer : {"answer", "response", "completion", "output"})
      if (isText(question) && isText(answer))
        return fmt::format("{}instruct_dataset dataset.column_map.input={} dataset.column_map.output={}", sets,
                           question, answer);
  return isText("text") ? sets + "text_completion_dataset" : "";
}

/// How to go on where a record lacks a key: with another data set, or `other`.
std::string wayOutOf(const json &record, const std::string &other) {
  const std::string fit = dataSetFor(record);
  return fit.empty() ? other : fmt::format("{}; a record like this one is read with {}", other, fit);
}

/// Why a record of pairs lacks a key.
std::string noSide(const json &record, const char *name, const std::string &key) {
  return fmt::format("no key '{}' (keys here: {}), which pairs of answers need; name it with dataset.column_map.{}=KEY",
                     key, keysOf(record), name);
}

/// The text under a key of a record of a data set with keys of its own; `what`: null for pairs.
Problem readText(const json &record, const char *name, const std::string &key, const char *what, std::string &text) {
  auto found = record.find(key);
  if (found == record.end() && !what)
    return noSide(record, name, key);
  if (found == record.end())
    return fmt::format(
        "no key '{}' (keys here: {}), which the recipe's {} needs; {}", key, keysOf(record), what,
        wayOutOf(record, fmt::format("name it with dataset.column_map.{}=KEY, or override dataset", name)));
  if (!found->is_string())
    return fmt::format("key '{}' is {} instead of a string", key, found->type_name());
  text = found->get_ref<const std::string &>();
  return std::nullopt;
}

/// A question and its answer.
Problem readQuestion(const json &record, const DataOptions &options, RecordCounts &counts,
                     std::vector<Message> &turns) {
  bool alpaca = options.records == RecordKind::Alpaca;
  const char *what = alpaca ? "alpaca_dataset" : "instruct_dataset";
  std::string question, input, answer;
  Problem problem = alpaca ? readText(record, "instruction", options.instructionKey, what, question)
                           : readText(record, "input", options.inputKey, what, question);
  if (!problem)
    problem = readText(record, "output", options.outputKey, what, answer);
  if (!problem && alpaca && record.contains(options.inputKey) && !record[options.inputKey].is_null())
    problem = readText(record, "input", options.inputKey, what, input);
  if (problem)
    return problem;
  if (!alpaca && options.inputKey == "input" && record.contains("instruction"))
    ++counts.instructions;
  if (alpaca)
    question = alpacaWords(question, input);
  turns = {{"user", {std::move(question)}}, {"assistant", {std::move(answer)}}};
  return std::nullopt;
}

/// Two conversations that begin alike: the chosen answer's and the rejected one's.
Problem encodePair(const json &record, const DataOptions &options, const Tokenizer &tokenizer, RecordCounts &counts,
                   Sample &sample) {
  std::string prompt;
  if (options.records == RecordKind::PairsOfTexts)
    if (Problem problem = readText(record, "prompt", options.promptKey, nullptr, prompt))
      return problem;
  bool answered = true;
  Sample answers[2];
  for (int side : {0, 1}) {
    const char *name = side == 0 ? "chosen" : "rejected";
    const std::string &key = side == 0 ? options.chosenKey : options.rejectedKey;
    std::vector<Message> turns;
    if (options.records == RecordKind::PairsOfTexts) {
      std::string answer;
      if (Problem problem = readText(record, name, key, nullptr, answer))
        return problem;
      turns = {{"user", {prompt}}, {"assistant", {std::move(answer)}}};
    } else {
      auto messages = record.find(key);
      if (messages == record.end())
        return noSide(record, name, key);
      if (Problem problem = readMessages(key, *messages, counts, turns))
        return fmt::format("{}: {}", name, *problem);
      // Before the order is looked at, as with conversations: a question alone is no mistake.
      if (std::none_of(turns.begin(), turns.end(), [](const Message &turn) { return turn.role == "assistant"; })) {
        answered = false;
        continue;
      }
    }
    if (Problem problem = encodeTurns(std::move(turns), options, tokenizer, answers[side]))
      return fmt::format("{}: {}", name, *problem);
    const std::vector<uint8_t> &trained = answers[side].trained;
    answered &= trained.empty() || std::find(trained.begin(), trained.end(), 1) != trained.end();
  }
  if (!answered) {
    ++counts.unanswered;
    return std::nullopt;
  }
  sample = std::move(answers[0]);
  sample.rejectedIds = std::move(answers[1].ids);
  sample.rejectedTrained = std::move(answers[1].trained);
  return std::nullopt;
}

} // namespace

Problem ftc::encodeRecord(const json &record, const DataOptions &options, const Tokenizer &tokenizer,
                          RecordCounts &counts, Sample &sample) {
  if (!record.is_object())
    return fmt::format("expected an object, found {}", record.type_name());
  if (givesPairs(options.records))
    return encodePair(record, options, tokenizer, counts, sample);
  std::vector<Message> turns;
  if (options.records == RecordKind::Instruct || options.records == RecordKind::Alpaca) {
    if (Problem problem = readQuestion(record, options, counts, turns))
      return problem;
    return encodeTurns(std::move(turns), options, tokenizer, sample);
  }
  bool shareGpt = options.records == RecordKind::ShareGpt, onlyChat = shareGpt || options.records == RecordKind::Chat;
  std::string conversation = onlyChat ? options.column : "messages";
  auto text = record.find(options.column);
  if (onlyChat) {
    // Neither another key nor a text stands for a conversation.
  } else if (text != record.end() && (text->is_array() || (options.column == conversation && !text->is_string()))) {
    conversation = options.column;
  } else if (text != record.end()) {
    if (!text->is_string())
      return fmt::format("key '{}' is {} instead of a string", options.column, text->type_name());
    const std::string &words = text->get_ref<const std::string &>();
    if (words.empty())
      ++counts.empty;
    else
      encodeText(words, tokenizer, options.addEos, sample);
    return std::nullopt;
  }
  if (auto messages = record.find(conversation); messages != record.end()) {
    if (Problem problem = shareGpt ? readShareGpt(conversation, *messages, counts, turns)
                                   : readMessages(conversation, *messages, counts, turns))
      return problem;
    if (!options.trainsQuestions() &&
        std::none_of(turns.begin(), turns.end(), [](const Message &turn) { return turn.role == "assistant"; })) {
      ++counts.unanswered;
      return std::nullopt;
    }
    if (Problem problem = encodeTurns(std::move(turns), options, tokenizer, sample))
      return problem;
    if (std::find(sample.trained.begin(), sample.trained.end(), 1) == sample.trained.end()) {
      ++counts.unanswered;
      sample.clear();
    }
    return std::nullopt;
  }
  if (options.column == conversation)
    return fmt::format("no key '{}' (keys here: {}); {}", conversation, keysOf(record),
                       wayOutOf(record, "name the conversation's key with --column"));
  return fmt::format("no key '{}' and no 'messages' (keys here: {}); {}", options.column, keysOf(record),
                     wayOutOf(record, "name the text's key with --column"));
}

void ftc::encodeText(std::string_view text, const Tokenizer &tokenizer, bool addEos, Sample &sample) {
  if (int32_t begin = tokenizer.bosId(); begin >= 0)
    sample.ids.push_back(begin);
  tokenizer.encode(text, sample.ids);
  if (addEos)
    sample.ids.push_back(tokenizer.eosId());
}

//===- HuggingFaceModel.cpp - Any model's tokenizer -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// torchtune's HuggingFaceModelTokenizer: tokenizer.json makes the ids, and the chat template of tokenizer_config.json
// the wording. A conversation is the template's text, with one begin token in front and the end token behind.
//
// Which ids are trained. torchtune renders the first message, the first two, and so on, and gives each message what
// comes with it. That needs a template whose words do not change when more follows, which those with thoughts (Qwen3)
// are not. Here a template tells itself: what it writes in the turn of a loop for a message belongs to that message,
// what it writes before the first one to the first, and any other text to the message before. Where a template has no
// such loop, or writes some messages behind it, messages are added one by one as in torchtune, and a template whose
// words change then has no wording. {% generation %} marks what TRL trains with assistant_only_loss; torchtune does not
// read it, and neither is it read here, which is a remark.
//
// Four things that torchtune does are not done, because a model that was trained so answers badly or not at all: the
// header of another answer behind the last one; an end token behind an answer that ends with it; `tool_calls` in every
// message, which Llama 3's templates take for a call; and templates without trim_blocks and lstrip_blocks, with which
// they were written.
//
//===----------------------------------------------------------------------===//

#include "Families.h"
#include "Pipeline/TokenizerJson.h"
#include "Utf8.h"

#include "ftc/Support/Files.h"
#include "ftc/Tokenizer/ChatTemplate.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace ftc;
using Json = nlohmann::ordered_json;

namespace {

/// Where a chat template comes from, for messages.
struct TemplateSource {
  std::string file;
  std::string name; ///< "" where it is a file of its own
  std::string at(const TemplateError &error) const {
    std::string where = name.empty() ? file : fmt::format("{}: {}", file, name);
    return error.line ? fmt::format("{}, line {}, column {}", where, error.line, error.column) : where;
  }
};

class HuggingFaceTokenizer final : public Tokenizer {
public:
  HuggingFaceTokenizer(std::string component, pipeline::TokenizerJson file)
      : component(std::move(component)), file(std::move(file)) {}

  /// Reads the files beside tokenizer.json. False with errors.
  bool configure(const TokenizerConfig &config, std::vector<Diagnostic> &diags);

  std::string_view name() const override { return component; }
  int64_t vocabSize() const override { return file.size(); }
  int32_t bosId() const override { return begin; }
  int32_t eosId() const override { return end; }
  int32_t padId() const override { return padding; }
  bool ends(int32_t id) const override { return std::find(endings.begin(), endings.end(), id) != endings.end(); }

  void encode(std::string_view text, std::vector<int32_t> &ids) const override { file.encode(text, ids); }
  size_t cutAt(std::string_view text) const override { return file.cutAt(text); }
  void encodeRest(std::string_view text, std::vector<int32_t> &ids) const override { file.encode(text, ids, true); }
  std::string decode(std::span<const int32_t> ids, bool spellSpecial) const override {
    return file.decode(ids, spellSpecial);
  }

  std::string whyNotWorded(std::span<const Message> messages) const override {
    Wording wording;
    return word(messages, wording);
  }
  void encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                          std::vector<uint8_t> &trained) const override;
  void encodeQuestion(std::span<const Message> messages, std::vector<int32_t> &ids) const override;

private:
  /// A conversation as text, of which parts belong to messages, in order.
  struct Wording {
    std::string text;
    std::vector<std::pair<size_t, size_t>> parts; ///< where each ends, and whose it is
  };

  bool readIds(const Json &config, const std::string &path, const Json &generation, std::vector<Diagnostic> &diags);
  bool readTemplate(const Json &config, const std::string &path, std::vector<Diagnostic> &diags);
  bool checkFrame(const std::string &path, std::vector<Diagnostic> &diags) const;
  void tryTemplate(std::vector<Diagnostic> &diags);

  /// The error of a template, or "".
  std::string render(std::span<const Message> messages, bool asksForAnswer, RenderedChat &chat) const;
  std::string word(std::span<const Message> messages, Wording &wording) const;
  std::string saysNothing(size_t place, const Message &message) const {
    return fmt::format(
        "the model's chat template says nothing of message {}, whose role is '{}' ({}); take the message "
        "out, or put its words into another one",
        place + 1, message.role, source.at({}));
  }
  std::string wordByPrefixes(std::span<const Message> messages, const RenderedChat &chat, Wording &wording) const;
  void encodeWhole(std::string_view text, std::vector<int32_t> &ids) const;

  std::string component;
  pipeline::TokenizerJson file;
  std::optional<ChatTemplate> chatTemplate;
  TemplateSource source;
  Json variables = Json::object();
  int32_t begin = -1, end = -1, padding = 0;
  std::vector<int32_t> endings; ///< ids that an answer ends with
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

std::string wordsOf(const Message &message) {
  std::string words;
  for (const std::string &piece : message.pieces)
    words += piece;
  return words;
}

std::string HuggingFaceTokenizer::render(std::span<const Message> messages, bool asksForAnswer,
                                         RenderedChat &chat) const {
  if (!chatTemplate)
    return fmt::format("the tokenizer has no chat template ({}); name a tokenizer_config.json that has one with "
                       "tokenizer.tokenizer_config_json_path, or put chat_template.jinja beside it",
                       source.file);
  Json all = variables;
  all["add_generation_prompt"] = asksForAnswer;
  Json &list = all["messages"] = Json::array();
  for (const Message &message : messages) // "ipython" is torchtune's name for what templates call "tool"
    list.push_back(
        {{"role", message.role == "ipython" ? "tool" : message.role}, {"content", repairUtf8(wordsOf(message))}});
  TemplateError error;
  std::optional<RenderedChat> rendered = chatTemplate->render(all, error);
  if (!rendered && error.isRaised)
    return fmt::format("the model's chat template refuses the conversation: {} ({})", error.message, source.at(error));
  if (!rendered)
    return fmt::format("the model's chat template fails: {} ({})", error.message, source.at(error));
  chat = std::move(*rendered);
  return "";
}

/// Messages one by one: what comes with each belongs to it.
std::string HuggingFaceTokenizer::wordByPrefixes(std::span<const Message> messages, const RenderedChat &chat,
                                                 Wording &wording) const {
  size_t before = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    RenderedChat front{chat.text, {}};
    if (i + 1 < messages.size())
      if (std::string why = render(messages.first(i + 1), false, front); !why.empty())
        return why;
    if (!chat.text.starts_with(front.text) || front.text.size() < before)
      return fmt::format(
          "the model's chat template words message {} differently when more messages follow, and not in a "
          "loop over them, so it is not known what to train ({})",
          i + 1, source.at({}));
    if (messages[i].role != "system" && !trimmed(wordsOf(messages[i])).empty() &&
        trimmed(std::string_view(front.text).substr(before)).empty())
      return saysNothing(i, messages[i]);
    wording.parts.emplace_back(front.text.size(), i);
    before = front.text.size();
  }
  return "";
}

std::string HuggingFaceTokenizer::word(std::span<const Message> messages, Wording &wording) const {
  RenderedChat chat;
  if (std::string why = render(messages, false, chat); !why.empty())
    return why;
  std::vector<bool> isWritten(messages.size()), isWorded(messages.size());
  std::vector<std::pair<size_t, size_t>> parts;
  size_t begins = 0, whose = messages.size();
  for (const RenderedChat::Part &part : chat.parts) {
    const auto message = static_cast<size_t>(part.message);
    std::string_view text = std::string_view(chat.text).substr(begins, part.end - begins);
    begins = part.end;
    if (part.message >= 0 && message < messages.size()) {
      isWritten[message] = true;
      isWorded[message] = isWorded[message] || !trimmed(text).empty();
      whose = message;
    }
    parts.emplace_back(part.end, whose);
  }
  for (auto &[ends, message] : parts) // what is before the first message's
    if (message == messages.size())
      message = 0;
  bool isLoop = std::find(isWritten.begin(), isWritten.end(), true) != isWritten.end();
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string words = wordsOf(messages[i]);
    if (trimmed(words).empty())
      continue;
    const bool isThere = chat.text.find(trimmed(words)) != chat.text.npos;
    const bool isMissing = messages[i].role == "system" ? !isThere : isLoop && !isWorded[i];
    if (isMissing && !isThere)
      return saysNothing(i, messages[i]);
    isLoop &= !isMissing; // it is written outside of a loop over the messages
  }
  wording.text = chat.text;
  wording.parts = std::move(parts);
  if (isLoop)
    return "";
  wording.parts.clear();
  return wordByPrefixes(messages, chat, wording);
}

/// Text with the one begin token that it needs.
void HuggingFaceTokenizer::encodeWhole(std::string_view text, std::vector<int32_t> &ids) const {
  std::vector<int32_t> made;
  file.encode(text, made);
  if (begin >= 0 && (made.empty() || made.front() != begin))
    ids.push_back(begin);
  ids.insert(ids.end(), made.begin(), made.end());
}

void HuggingFaceTokenizer::encodeConversation(std::span<const Message> messages, std::vector<int32_t> &ids,
                                              std::vector<uint8_t> &trained) const {
  Wording wording;
  if (messages.empty() || !word(messages, wording).empty())
    return;
  const size_t old = ids.size();
  encodeWhole(wording.text, ids);
  // An id belongs to the message in whose text it ends. Those of the front of a text are as many as it has in common
  // with the whole one.
  std::vector<int32_t> front;
  for (size_t i = 0; i < wording.parts.size(); ++i) {
    const auto &[ends, message] = wording.parts[i];
    const bool isTrained = messages[message].trained;
    if (i + 1 < wording.parts.size() && messages[wording.parts[i + 1].second].trained == isTrained)
      continue;
    size_t until = ids.size();
    if (i + 1 < wording.parts.size()) {
      front.clear();
      encodeWhole(std::string_view(wording.text).substr(0, ends), front);
      auto same = std::mismatch(front.begin(), front.end(), ids.begin() + static_cast<std::ptrdiff_t>(old), ids.end());
      until = std::max(old + static_cast<size_t>(same.first - front.begin()), trained.size());
    }
    trained.resize(until, isTrained);
  }
  trained.resize(ids.size(), messages.back().trained);
  // The end, unless the template has written it, be it with spaces behind.
  size_t last = ids.size();
  while (last > old && trimmed(file.decode(std::span(ids).subspan(last - 1, 1), true)).empty())
    --last;
  if (end >= 0 && (last == old || ids[last - 1] != end)) {
    ids.push_back(end);
    trained.push_back(messages.back().trained);
  }
}

void HuggingFaceTokenizer::encodeQuestion(std::span<const Message> messages, std::vector<int32_t> &ids) const {
  RenderedChat chat;
  if (render(messages.first(messages.size() - 1), true, chat).empty())
    encodeWhole(chat.text + wordsOf(messages.back()), ids);
}

// What files say

/// The text of a token: "TOKEN", or {"content": "TOKEN", ...}; "" where there is none.
std::string tokenIn(const Json &config, const char *key) {
  if (!config.is_object() || !config.contains(key))
    return "";
  const Json &value = config[key];
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"];
  return value.is_string() ? value.get<std::string>() : "";
}

/// An object in the file that `key` names (null: none does); null with an error, or where there is no file to read.
std::optional<Json> readObject(const std::string &path, const char *key, std::vector<Diagnostic> &diags) {
  if (path.empty())
    return Json();
  std::string text, error;
  Json json;
  if (readFile(path, text, error))
    json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object())
    return json;
  diags.push_back({Severity::Error, path, 0, 0,
                   error.empty() ? "this is no JSON object"
                   : !key        ? error
                                 : fmt::format("{}; 'tokenizer.{}' names it: give another file with tokenizer.{}=FILE, "
                                               "or leave the key out",
                                               error, key, key)});
  return std::nullopt;
}

bool HuggingFaceTokenizer::readIds(const Json &config, const std::string &path, const Json &generation,
                                   std::vector<Diagnostic> &diags) {
  auto find = [&](const char *key, const char *idKey, int32_t &id) {
    const std::string token = tokenIn(config, key);
    if (!token.empty() && (id = file.idOf(token)) < 0) {
      diags.push_back(
          {Severity::Error, path, 0, 0,
           fmt::format("'{}' is '{}', which tokenizer.json does not have; the two files are not of one model", key,
                       token)});
      return false;
    }
    // Null says that there is none; the other file's is for a model, and may be filler.
    if (id >= 0 || !idKey || (config.is_object() && config.contains(key)) || !generation.is_object())
      return true;
    const Json ids = generation.value(idKey, Json());
    const Json one = ids.is_array() && !ids.empty() ? ids[0] : ids;
    if (one.is_number_integer() && one >= 0 && one < file.size())
      id = one.get<int32_t>();
    return true;
  };
  if (!find("bos_token", "bos_token_id", begin) || !find("eos_token", "eos_token_id", end))
    return false;
  int32_t pad = -1;
  if (!find("pad_token", "pad_token_id", pad))
    return false;
  padding = pad >= 0 ? pad : std::max(end, 0);
  if (end >= 0)
    endings.push_back(end);
  if (generation.is_object()) {
    const Json ids = generation.value("eos_token_id", Json());
    for (const Json &id : ids.is_array() ? ids : Json::array({ids}))
      if (id.is_number_integer() && id >= 0 && id < file.size())
        endings.push_back(id.get<int32_t>());
  }
  if (end < 0)
    diags.push_back({Severity::Error, path, 0, 0,
                     "no end of a text is known: neither 'eos_token' of tokenizer_config.json "
                     "(tokenizer.tokenizer_config_json_path) nor 'eos_token_id' of generation_config.json "
                     "(tokenizer.generation_config_path) names one; name these files"});
  return end >= 0;
}

/// The post-processor writes what torchtune takes for the begin and the end of a text, and nothing else.
bool HuggingFaceTokenizer::checkFrame(const std::string &path, std::vector<Diagnostic> &diags) const {
  auto isFine = [&](const std::vector<int32_t> &ids, int32_t allowed, const char *key) {
    for (int32_t id : ids)
      if (id != allowed || ids.size() > 1) {
        diags.push_back(
            {Severity::Error, path, 0, 0,
             fmt::format("'post_processor' writes '{}' around each text, which is not its '{}'; that is not "
                         "built",
                         file.spelling(id), key)});
        return false;
      }
    return true;
  };
  return isFine(file.front(), begin, "bos_token") && isFine(file.back(), end, "eos_token");
}

bool HuggingFaceTokenizer::readTemplate(const Json &config, const std::string &path, std::vector<Diagnostic> &diags) {
  std::string text, error;
  source = {path, "chat_template"};
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string beside = (folder / "chat_template.jinja").string(),
                    ofProcessor = (folder / "chat_template.json").string();
  std::error_code code;
  if (std::filesystem::exists(beside, code)) { // transformers takes it before the others
    if (!readFile(beside, text, error)) {
      diags.push_back({Severity::Error, beside, 0, 0, error});
      return false;
    }
    source = {beside, ""};
  } else if (config.is_object() && config.contains("chat_template") && config["chat_template"].is_string()) {
    text = config["chat_template"];
  } else if (config.is_object() && config.contains("chat_template") && config["chat_template"].is_array()) {
    for (const Json &named : config["chat_template"])
      if (named.is_object() && named.value("name", Json()) == "default" && named.value("template", Json()).is_string())
        text = named["template"];
    if (text.empty())
      diags.push_back({Severity::Error, path, 0, 0,
                       "'chat_template' is a list of {\"name\", \"template\"} without one whose name is 'default'; put "
                       "the one to use into chat_template.jinja beside this file"});
    if (text.empty())
      return false;
  } else if (std::filesystem::exists(ofProcessor, code)) { // of a model that reads images
    std::optional<Json> processor = readObject(ofProcessor, nullptr, diags);
    if (!processor)
      return false;
    text = tokenIn(*processor, "chat_template");
    source = {ofProcessor, "chat_template"};
    if (text.empty()) {
      diags.push_back({Severity::Error, ofProcessor, 0, 0, "'chat_template' is no text"});
      return false;
    }
  } else {
    return true; // documents can do without
  }
  TemplateError problem;
  chatTemplate = ChatTemplate::parse(text, problem);
  if (chatTemplate)
    return true;
  const bool isFile = source.name.empty();
  diags.push_back(
      {Severity::Error, source.file, isFile ? problem.line : 0, isFile ? problem.column : 0,
       isFile ? "the chat template: " + problem.message
              : fmt::format("'chat_template', line {}, column {}: {}", problem.line, problem.column, problem.message)});
  return false;
}

/// The special token that the template writes right behind an answer ends one, too.
void HuggingFaceTokenizer::tryTemplate(std::vector<Diagnostic> &diags) {
  RenderedChat chat;
  const Message messages[] = {{"user", {"x"}}, {"assistant", {"yz"}}};
  if (!chatTemplate || !render(messages, false, chat).empty())
    return;
  if (chat.hasMarks)
    diags.push_back({Severity::Remark, source.file, 0, 0,
                     "the chat template marks what is to be trained with {% generation %}, which torchtune does not "
                     "read: all that is written for an answer is trained, its header included"});
  const size_t at = chat.text.rfind("yz");
  std::vector<int32_t> ids;
  if (at == chat.text.npos)
    return;
  file.encode(trimmed(std::string_view(chat.text).substr(at + 2)), ids);
  if (!ids.empty() && file.isSpecial(ids.front()) && !ends(ids.front()) && ids.front() != begin)
    endings.push_back(ids.front());
}

bool HuggingFaceTokenizer::configure(const TokenizerConfig &config, std::vector<Diagnostic> &diags) {
  std::string path = config.tokenizerConfigPath;
  std::error_code error;
  if (path.empty()) {
    path = (std::filesystem::path(config.path).parent_path() / "tokenizer_config.json").string();
    if (!std::filesystem::exists(path, error))
      path.clear();
  }
  std::optional<Json> json = readObject(path, "tokenizer_config_json_path", diags),
                      generation = readObject(config.generationConfigPath, "generation_config_path", diags);
  if (!json || !generation)
    return false;
  const std::string &about = path.empty() ? config.path : path;
  if (!readIds(*json, about, *generation, diags) || !checkFrame(config.path, diags) ||
      !readTemplate(*json, about, diags))
    return false;
  // As torchtune, all plain values of the file; and special tokens that it describes, as transformers.
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  if (json->is_object())
    for (const auto &[key, value] : json->items()) {
      if (std::string token = tokenIn(*json, key.c_str()); key.ends_with("_token") && !token.empty())
        variables[key] = token;
      else if (!value.is_structured() && !value.is_null() && key != "messages" && key != "chat_template")
        variables[key] = value;
    }
  tryTemplate(diags);
  return true;
}

} // namespace

std::unique_ptr<Tokenizer> ftc::makeHuggingFaceTokenizer(const TokenizerConfig &config,
                                                         std::vector<Diagnostic> &diags) {
  std::optional<pipeline::TokenizerJson> file = pipeline::TokenizerJson::read(config.path, diags);
  if (!file)
    return nullptr;
  auto tokenizer = std::make_unique<HuggingFaceTokenizer>(config.component, std::move(*file));
  return tokenizer->configure(config, diags) ? std::move(tokenizer) : nullptr;
}

//===- ReadFiles.cpp - Data and checkpoints of a recipe ------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Read.h"

#include "Components.h"
#include "ftc/Config/Datasets.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>
#include <tuple>

namespace ftc::config {

/// Of `sequence_lengths: auto`. Below it a step's cost hardly falls with the length.
static constexpr int64_t shortestOfLadder = 64;
static constexpr size_t mostLengths = 32;

void Reader::tokenizer() {
  auto component = components.find("tokenizer");
  bool isByte = component != components.end() && component->second == byteTokenizer;
  recipe.tokenizer = component == components.end() || isByte ? "byte" : component->second;
  text("tokenizer.path", recipe.tokenizerPath);
  text("tokenizer.special_tokens_path", recipe.specialTokensPath);
  text("tokenizer.merges_file", recipe.mergesFile);
  const bool isPhi4 = lastWord(recipe.tokenizer) == "phi4_tokenizer";
  for (const auto &[other, key] : {std::pair("tokenizer.path", "tokenizer.vocab_path"),
                                   std::pair("tokenizer.merges_file", "tokenizer.merges_path")})
    if (isPhi4 && given(other))
      messages.error(placeOf(other),
                     named(other) + " is not an argument of " + recipe.tokenizer + "; it is called " + key + " there");
  const bool isHuggingFace = recipe.tokenizer == huggingFaceTokenizer;
  for (const char *other : {"tokenizer.path", "tokenizer.merges_file", "tokenizer.special_tokens_path"})
    if (isHuggingFace && given(other))
      messages.error(placeOf(other), named(other) + " is not an argument of " + recipe.tokenizer +
                                         ", whose file is tokenizer.tokenizer_json_path; remove it");
  text("tokenizer.tokenizer_json_path", recipe.tokenizerPath);
  text("tokenizer.tokenizer_config_json_path", recipe.tokenizerConfigPath);
  text("tokenizer.generation_config_path", recipe.generationConfigPath);
  text("tokenizer.vocab_path", recipe.tokenizerPath);
  text("tokenizer.merges_path", recipe.mergesFile);
  if (!recipe.mergesFile.empty() && !isPhi4 && !lastWord(recipe.tokenizer).starts_with("qwen")) {
    messages.remark(placeOf("tokenizer.merges_file"),
                    named("tokenizer.merges_file") +
                        " is without effect: only Qwen's tokenizers read merges from a file " +
                        "of their own, such as tokenizer=torchtune.models.qwen2_5.qwen2_5_tokenizer");
    recipe.mergesFile.clear();
  }
  if (isByte && !recipe.tokenizerPath.empty())
    messages.remark(placeOf("tokenizer.path"), named("tokenizer.path") +
                                                   " is without effect: the byte-level tokenizer needs no file; Llama "
                                                   "3's is tokenizer=torchtune.models.llama3.llama3_tokenizer");
  promptTemplate();
  // Without a length torchtune cuts nothing, and no step for the lengths of some data may cut others in silence.
  recipe.truncates = given("tokenizer.max_seq_len");
  boolean("tokenizer.truncation", recipe.truncates);
  if (integer("tokenizer.max_seq_len", recipe.seqLen, 2, maxTokens) && recipe.model.maxSeqLen > 0 &&
      recipe.seqLen > recipe.model.longestRow()) {
    const int64_t longest = recipe.model.longestRow();
    const bool isLongRope = longest < recipe.model.maxSeqLen;
    const char *key = isLongRope ? "model.original_max_seq_len" : "model.max_seq_len";
    std::string limit = root.findEntry(key) ? named(key) : "the model's longest sequence";
    messages.error(placeOf("tokenizer.max_seq_len"),
                   named("tokenizer.max_seq_len") + " is " + std::to_string(recipe.seqLen) + ", above " + limit + ", " +
                       std::to_string(longest) +
                       (isLongRope ? ": for longer rows LongRoPE has other angles (rope_long_factor), which are not "
                                     "built; set tokenizer.max_seq_len=" +
                                         std::to_string(longest) + " or less"
                                   : ""));
  }
  // 256 bytes, begin and end of text, padding.
  if (isByte && recipe.model.vocabSize > 0 && recipe.model.vocabSize < 259)
    messages.error(placeOf("model.vocab_size"), named("model.vocab_size") + " is " +
                                                    std::to_string(recipe.model.vocabSize) +
                                                    ", below the 259 ids of the byte-level tokenizer of " +
                                                    named("tokenizer") + "; set model.vocab_size=259 or more");
  if (recipe.rowsOfBatch() * std::max<int64_t>(recipe.seqLen, 1) > (int64_t(1) << 31))
    messages.error(placeOf("batch_size"),
                   named("batch_size") + " times " + named("tokenizer.max_seq_len") + " is above 2^31 tokens a step");
}

void Reader::promptTemplate() {
  constexpr const char *chatML = "torchtune.data.ChatMLTemplate";
  const std::string path = "tokenizer.prompt_template";
  const Entry *entry = root.findEntry(path);
  if (!entry)
    return;
  const Node &node = entry->value;
  if (recipe.tokenizer == huggingFaceTokenizer && !node.isNull()) {
    messages.error(node.place, named(path) + " is not an argument of " + recipe.tokenizer +
                                   ", whose wording is the chat template of tokenizer.tokenizer_config_json_path; "
                                   "remove it (~" +
                                   path + ")");
    return;
  }
  const bool llama2 = lastWord(recipe.tokenizer) == "llama2_tokenizer";
  const bool mistral = lastWord(recipe.tokenizer) == "mistral_tokenizer";
  // Null takes away a wording that is a template in torchtune; that of the others is not.
  if (node.isNull()) {
    if (llama2 || mistral)
      recipe.promptTemplate.emplace();
    return;
  }
  if (node.isMap()) {
    recipe.promptTemplate.emplace();
    promptTags(node, recipe.promptTemplate->tags);
    return;
  }
  const std::string works = "{user: [BEFORE, AFTER]}, with words before and after what a user says";
  if (!node.isScalar()) {
    messages.error(node.place, "'" + path + "' needs " + works + ", or a name of torchtune's");
    return;
  }
  if ((llama2 && node.text == "torchtune.models.llama2.Llama2ChatTemplate") ||
      (mistral && node.text == "torchtune.models.mistral.MistralChatTemplate"))
    return;
  static const std::pair<const char *, std::vector<PromptTags>> known[] = {
      {"torchtune.data.GrammarErrorCorrectionTemplate",
       {{"user", "Correct this to standard English: ", "\n---\nCorrected: "}}},
      {"torchtune.data.SummarizeTemplate", {{"user", "Summarize this dialogue:\n", "\n---\nSummary:\n"}}},
      {"torchtune.data.QuestionAnswerTemplate", {{"user", "Question: ", "\n\nAnswer: "}}},
      {chatML,
       {{"system", "<|im_start|>system\n", "<|im_end|>\n"},
        {"user", "<|im_start|>user\n", "<|im_end|>\n"},
        {"assistant", "<|im_start|>assistant\n", "<|im_end|>\n", /*staysOpen=*/true}}}};
  const bool isWordedSo = node.text == chatML && lastWord(recipe.tokenizer).starts_with("qwen");
  std::vector<std::string> names;
  for (const auto &[name, tags] : known) {
    if (node.text == name && !isWordedSo)
      recipe.promptTemplate = PromptTemplateConfig{name, tags};
    names.push_back(name);
  }
  if (recipe.promptTemplate)
    return;
  std::string near = didYouMean(node.text, names);
  std::string why = isWordedSo
                        ? "and Qwen's own wording is ChatML already; remove it (~" + path + ")"
                        : "which is not built for " + (recipe.tokenizer == "byte" ? byteTokenizer : recipe.tokenizer) +
                              (near.empty() ? "; what works: " + works + ", " + names[0] + ", " + names[1] + ", " +
                                                  names[2] + ", " + names[3]
                                            : near);
  messages.error(node.place, named(path) + " is '" + node.text + "', " + why);
}

void Reader::promptTags(const Node &map, std::vector<PromptTags> &tags) {
  const std::string path = "tokenizer.prompt_template";
  const std::vector<std::string> roles = {"system", "user", "assistant", "tool", "ipython"};
  for (const Entry &entry : map.entries) {
    const std::vector<Node> &words = entry.value.items;
    if (std::find(roles.begin(), roles.end(), entry.key) == roles.end())
      messages.error(entry.place, "'" + path + "." + entry.key + "' is no role" + didYouMean(entry.key, roles) +
                                      "; roles are system, user, assistant, tool and ipython");
    else if (!entry.value.isList() || words.size() != 2 || !words[0].isScalar() || !words[1].isScalar())
      messages.error(entry.value.place,
                     "'" + path + "." + entry.key + "' needs two texts, [BEFORE, AFTER]; either may be '' for nothing");
    else
      tags.push_back({entry.key, words[0].text, words[1].text});
  }
}

void Reader::dataset() {
  DatasetConfig &d = recipe.dataset;
  d.component = components.at("dataset");
  source();
  if (const Node *node = value("dataset.data_files"))
    d.dataFiles = asTexts(*node).value_or(std::vector<std::string>());
  split();
  const DatasetBuilder builder = datasetBuilder(d.component);
  const bool isText = builder.kind == DatasetKind::Text || builder.kind == DatasetKind::Other;
  d.column = builder.column;
  text(builder.kind == DatasetKind::Chat ? "dataset.conversation_column" : "dataset.column", d.column);
  d.packed = false;
  boolean("dataset.packed", d.packed);
  boolean("dataset.add_eos", d.addEos);
  // torchtune continues samples across rows in text completion only.
  d.splitAcrossPack = isText;
  boolean("dataset.split_across_pack", d.splitAcrossPack);
  conversations();
  if (d.isPreference() && d.packed)
    messages.error(placeOf("dataset.packed"), named("dataset.packed") +
                                                  " is True, and pairs of answers are not packed, as in "
                                                  "torchtune: each answer is a row; set dataset.packed=False");
}

void Reader::source() {
  const std::string path = "dataset.source";
  text(path, recipe.dataset.source);
  // Kinds of files that datasets.load_dataset has beside names of data sets.
  for (const char *kind : {"parquet", "arrow", "pandas", "webdataset", "xml", "sql", "imagefolder", "audiofolder"})
    if (recipe.dataset.source == kind)
      messages.error(placeOf(path), named(path) + " is '" + kind +
                                        "', and what is read are json, csv and text; write them anew once, in Python: "
                                        "datasets.load_dataset(…, split=\"train\").to_json(\"x.jsonl\"), and "
                                        "override dataset.source=json dataset.data_files=x.jsonl");
}

/// Lengths up to `longest`, ascending, each about 1.33 or 1.5 times the one before.
static std::vector<int64_t> lengthLadder(int64_t longest) {
  std::vector<int64_t> lengths = {longest};
  // Multiples of 16 keep whole tiles of products and attention.
  auto add = [&](int64_t length) {
    length = (length + 15) / 16 * 16;
    if (length >= shortestOfLadder && length < lengths.back())
      lengths.push_back(length);
  };
  for (int64_t part = 2; part <= 16; part *= 2) {
    add(longest * 3 / (2 * part));
    add(longest / part);
  }
  std::reverse(lengths.begin(), lengths.end());
  return lengths;
}

void Reader::openLength() {
  const std::string path = "tokenizer.max_seq_len";
  if (given(path))
    return;
  const bool packed = recipe.dataset.packed;
  if (open && !packed) {
    open->row = true;
    return;
  }
  const Node *sets = root.find("dataset");
  const std::string needed = !packed                  ? ""
                             : sets && sets->isList() ? "; data sets that are packed need it too"
                                                      : "; " + named("dataset.packed") + " needs it too";
  messages.error(placeOf(path), "'" + path +
                                    "' is null or absent: the memory of a step is planned for rows up to a length" +
                                    needed + "; override " + path + "=N, N tokens a row" +
                                    (packed ? "" : ", or let the longest sample decide with --data FILE"));
}

void Reader::sequenceLengths() {
  openLength();
  const Node *node = value("sequence_lengths");
  const bool isAuto = node && node->isScalar() && node->text == "auto";
  if (open)
    open->ladder = (isAuto || !given("sequence_lengths")) && !recipe.dataset.packed;
  if (recipe.seqLen <= 0)
    return; // told already
  recipe.sequenceLengths = {recipe.seqLen};
  if (isAuto || (!node && !recipe.dataset.packed)) {
    recipe.sequenceLengths = lengthLadder(recipe.seqLen);
    return;
  }
  if (!node)
    return;
  std::set<int64_t> lengths = {recipe.seqLen};
  const std::vector<Node> items = node->isList() ? node->items : std::vector<Node>{*node};
  for (const Node &item : items) {
    std::optional<int64_t> length = item.isScalar() ? asInt(item) : std::nullopt;
    if (!length || *length < 2 || *length > recipe.seqLen)
      messages.error(item.place, "'sequence_lengths' has " + shown(item) + "; each must be a whole number from 2 to " +
                                     named("tokenizer.max_seq_len") + ", " + std::to_string(recipe.seqLen) +
                                     ", or write auto for a ladder of them");
    else
      lengths.insert(*length);
  }
  if (lengths.size() > mostLengths)
    messages.error(node->place, "'sequence_lengths' has " + std::to_string(lengths.size()) +
                                    " lengths; each is compiled, and " + std::to_string(mostLengths) + " are the most");
  recipe.sequenceLengths.assign(lengths.begin(), lengths.end());
}

void Reader::conversations() {
  DatasetConfig &d = recipe.dataset;
  const DatasetBuilder builder = datasetBuilder(d.component);
  const bool isAlpaca = builder.kind == DatasetKind::Alpaca;
  d.inputKey = builder.input;
  d.outputKey = builder.output;
  d.conversationStyle = builder.isShareGpt ? "sharegpt" : "openai";
  d.trainOnInput = isAlpaca;
  boolean("dataset.train_on_input", d.trainOnInput);
  masking();
  if (const Node *node = value("dataset.new_system_prompt"))
    d.systemPrompt = node->text;
  text("dataset.conversation_style", d.conversationStyle);
  if (d.conversationStyle != "openai" && d.conversationStyle != "sharegpt")
    messages.error(placeOf("dataset.conversation_style"),
                   named("dataset.conversation_style") + " is '" + d.conversationStyle +
                       "'; it is openai (role and content) or sharegpt (from and value)");
  columnMap();
}

void Reader::columnMap() {
  DatasetConfig &d = recipe.dataset;
  const DatasetBuilder builder = datasetBuilder(d.component);
  const bool isAlpaca = builder.kind == DatasetKind::Alpaca, isStack = builder.kind == DatasetKind::PairsOfTexts;
  if (isStack)
    std::tie(d.promptKey, d.chosenKey, d.rejectedKey) = std::tuple("question", "response_j", "response_k");
  const bool takesMap = isAlpaca || builder.kind == DatasetKind::Instruct || builder.isShareGpt || d.isPreference();
  const Node *map = takesMap ? value("dataset.column_map") : nullptr;
  if (!map)
    return;
  if (!map->isMap()) {
    messages.error(map->place,
                   named("dataset.column_map") + " needs keys, such as " +
                       (d.isPreference() ? "{chosen: better, rejected: worse}" : "{input: question, output: answer}"));
    return;
  }
  std::vector<std::pair<std::string, std::string *>> keys = {{"input", &d.inputKey}, {"output", &d.outputKey}};
  if (d.isPreference())
    keys = {{"chosen", &d.chosenKey}, {"rejected", &d.rejectedKey}};
  if (isAlpaca)
    keys.insert(keys.begin(), {"instruction", &d.instructionKey});
  if (builder.isShareGpt)
    keys = {{"conversations", &d.column}};
  if (isStack)
    keys.insert(keys.begin(), {"prompt", &d.promptKey});
  for (const Entry &entry : map->entries) {
    auto key = std::find_if(keys.begin(), keys.end(), [&](const auto &other) { return other.first == entry.key; });
    std::vector<std::string> known;
    for (const auto &other : keys)
      known.push_back(other.first);
    if (key == keys.end())
      messages.error(entry.place, "'dataset.column_map." + entry.key + "' is nothing that " + d.component + " reads" +
                                      didYouMean(entry.key, known) + "; it reads " + known.front() +
                                      (known.size() > 1 ? " and " + known.back() : ""));
    else if (!entry.value.isScalar())
      messages.error(entry.value.place, "'dataset.column_map." + entry.key + "' needs the key of a JSON line");
    else
      *key->second = entry.value.text;
  }
}

void Reader::checkpointer() {
  CheckpointerConfig &c = recipe.checkpointer;
  text("checkpointer.checkpoint_dir", c.checkpointDir);
  c.outputDir = recipe.outputDir;
  text("checkpointer.output_dir", c.outputDir);
  if (const std::string &component = components.at("checkpointer"); lastWord(component) != "FullModelHFCheckpointer")
    messages.remark(placeOf("checkpointer._component_"),
                    "'" + component +
                        "' says how weights are read, which their names decide here; checkpoints are "
                        "written in Hugging Face's layout, as safetensors");
  integer("checkpointer.keep_last_n_checkpoints", c.keepLast, 1, maxCount);
  const std::string state = "checkpointer.recipe_checkpoint";
  bool resumes = false;
  boolean("resume_from_checkpoint", resumes);
  if (const Node *node = value(state); node && resumes)
    messages.error(
        node->place,
        named(state) + " is '" + node->text +
            "', torchtune's state of a run, which cannot be read: ftrun goes on from checkpoints of its own; remove "
            "it (~" +
            state + "), or start a run from what torchtune trained with checkpointer." +
            (recipe.lora ? "adapter_checkpoint" : "checkpoint_dir") + "=OUT/epoch_N and resume_from_checkpoint=False");
  text("checkpointer.adapter_checkpoint", c.adapterCheckpoint);
  if (!c.adapterCheckpoint.empty()) {
    if (!recipe.lora)
      messages.error(value("checkpointer.adapter_checkpoint")->place,
                     named("checkpointer.adapter_checkpoint") + " needs a LoRA builder, such as " +
                         "torchtune.models.llama3_2.lora_llama3_2_1b, for " + named("model") +
                         "; name one, or set it to null");
  }
  boolean("save_adapter_weights_only", recipe.saveAdapterWeightsOnly);
  if (recipe.saveAdapterWeightsOnly && !recipe.lora) {
    messages.remark(placeOf("save_adapter_weights_only"),
                    "'save_adapter_weights_only' is without effect: there is no adapter in full fine-tuning");
    recipe.saveAdapterWeightsOnly = false;
  }
  if (const Node *node = value("checkpointer.checkpoint_files")) {
    if (node->isMap())
      formattedFiles(*node, c.checkpointFiles);
    else
      c.checkpointFiles = asTexts(*node).value_or(std::vector<std::string>());
    weightFiles(*node, c.checkpointFiles);
  }
  if (!c.checkpointFiles.empty() && c.checkpointDir.empty())
    messages.error(placeOf("checkpointer.checkpoint_files"), named("checkpointer.checkpoint_files") + " needs " +
                                                                 named("checkpointer.checkpoint_dir") +
                                                                 ", the folder that holds them");
}

void Reader::weightFiles(const Node &node, const std::vector<std::string> &files) {
  for (const std::string &file : files) {
    std::string ending = std::filesystem::path(file).extension().string();
    if (ending == ".safetensors" || ending == ".bin" || ending == ".pt" || ending == ".pth")
      continue;
    messages.error(node.place, "'checkpointer.checkpoint_files' names '" + file +
                                   "', and what is read are safetensors and PyTorch's .bin, .pt and .pth; get the "
                                   "model's .safetensors files and override checkpointer.checkpoint_files=null");
    return;
  }
  const std::string &component = components.at("checkpointer");
  if (lastWord(component) == "FullModelMetaCheckpointer" && files.size() > 1)
    messages.error(node.place, "'checkpointer.checkpoint_files' names " + std::to_string(files.size()) +
                                   " files of Meta's, which are parts of one model for as many devices, and are not "
                                   "put together; get the model in Hugging Face's layout and override checkpointer="
                                   "torchtune.training.FullModelHFCheckpointer checkpointer.checkpoint_files=null "
                                   "checkpointer.checkpoint_dir=FOLDER");
}

void Reader::formattedFiles(const Node &node, std::vector<std::string> &files) {
  for (const Entry &e : node.entries) {
    if (e.key != "filename_format" && e.key != "max_filename") {
      messages.error(e.place, "unknown key 'checkpointer.checkpoint_files." + e.key + "'" +
                                  didYouMean(e.key, {"filename_format", "max_filename"}));
      return;
    }
  }
  const Node *format = node.find("filename_format");
  const Node *last = node.find("max_filename");
  size_t first = format && format->isScalar() ? format->text.find("{}") : std::string::npos;
  size_t second = first == std::string::npos ? first : format->text.find("{}", first + 2);
  int count = 0;
  if (last && last->isScalar())
    std::from_chars(last->text.data(), last->text.data() + last->text.size(), count);
  if (second == std::string::npos || count < 1 || count > 10000) {
    messages.error(node.place,
                   "'checkpointer.checkpoint_files' needs filename_format with two {} and max_filename with a "
                   "number, as in {filename_format: 'model-{}-of-{}.safetensors', max_filename: '00004'}");
    return;
  }
  for (int i = 1; i <= count; ++i) {
    std::string number = std::to_string(i), name = format->text;
    number.insert(0, last->text.size() - std::min(last->text.size(), number.size()), '0');
    name.replace(second, 2, last->text);
    name.replace(first, 2, number);
    files.push_back(name);
  }
}

void Reader::insideCheckpoint(const std::string &path, const std::string &folder) {
  auto parts = [](const std::string &name) {
    std::filesystem::path clean = std::filesystem::path(name).lexically_normal();
    return clean.has_filename() || clean == "/" ? clean : clean.parent_path();
  };
  const std::string teacher = recipe.distillation ? recipe.distillation->checkpointer.checkpointDir : "";
  const std::string reference = recipe.reference ? recipe.reference->checkpointer.checkpointDir : "";
  for (const auto &[key, checkpoint] : {std::pair("checkpointer.checkpoint_dir", recipe.checkpointer.checkpointDir),
                                        std::pair("teacher_checkpointer.checkpoint_dir", teacher),
                                        std::pair("ref_checkpointer.checkpoint_dir", reference)}) {
    if (checkpoint.empty() || folder.empty())
      continue;
    const std::filesystem::path inner = parts(folder), outer = parts(checkpoint);
    if (std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end())
      messages.error(placeOf(path),
                     named(path) + " lies inside " + named(key) + ", '" + checkpoint + "'; write somewhere else");
  }
}

} // namespace ftc::config

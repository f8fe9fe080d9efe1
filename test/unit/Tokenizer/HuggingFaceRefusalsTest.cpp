//===- HuggingFaceRefusalsTest.cpp - Files that are not built --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HuggingFaceFixture.h"

#include <random>

using namespace ftc;
using nlohmann::json;

namespace {

class Refusals : public HuggingFaceFiles {
protected:
  /// The error of the file `name` with other parts.
  std::string errorWith(const json &parts, const char *name = "llama2") const {
    json file = read(name);
    file.update(parts);
    return errorIn(file.dump());
  }
};

TEST_F(Refusals, PartsThatAreNotBuiltAreNamedWithTheirPlace) {
  EXPECT_EQ(errorWith({{"normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", ""}}}}),
            "tokenizer.json:0: 'normalizer.type' is 'Precompiled', which is not built");
  EXPECT_EQ(
      errorWith({{"normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}, {{"type", "Nmt"}}}}}}}),
      "tokenizer.json:0: 'normalizer.normalizers[1].type' is 'Nmt', which is not built");
  EXPECT_EQ(errorWith({{"pre_tokenizer", {{"type", "UnicodeScripts"}}}}),
            "tokenizer.json:0: 'pre_tokenizer.type' is 'UnicodeScripts', which is not built");
  EXPECT_EQ(errorWith({{"decoder", {{"type", "CTC"}}}}),
            "tokenizer.json:0: 'decoder.type' is 'CTC', which is not built");
  EXPECT_EQ(errorWith({{"model", {{"type", "WordPiece"}, {"vocab", json::object()}}}}),
            "tokenizer.json:0: 'model.type' is 'WordPiece', which is not built");
  EXPECT_EQ(errorWith({{"post_processor", {{"type", "Odd"}}}}),
            "tokenizer.json:0: 'post_processor.type' is 'Odd', which is not built");
  EXPECT_EQ(errorWith({{"future", 1}}), "tokenizer.json:0: 'future' is not known here");
  EXPECT_EQ(errorWith({{"pre_tokenizer", {{"type", "Digits"}, {"individual_digits", true}, {"odd", 1}}}}),
            "tokenizer.json:0: 'pre_tokenizer.odd' is not known here");
  auto pattern = [&](const char *text) {
    return errorWith(
        {{"pre_tokenizer",
          {{"type", "Split"}, {"pattern", {{"Regex", text}}}, {"behavior", "Isolated"}, {"invert", false}}}});
  };
  const std::string place = "tokenizer.json:0: 'pre_tokenizer.pattern.Regex' is a pattern ";
  EXPECT_EQ(pattern("[a-z&&[^x]]"), place + "with '&&' inside of brackets, which is not built");
  EXPECT_EQ(pattern("\\p{N}{1,3}+"), place + "with '}+', which is not built");
  EXPECT_EQ(pattern("[^\\S]"), place + "with '\\S' inside of brackets, which is not built");
  EXPECT_EQ(pattern("(?m:.)"), place + "with '(?m', which is not built");
  EXPECT_EQ(pattern("(?i)ss|o"), place + "that ignores case, with 'ss', which is not built");
  EXPECT_EQ(pattern("(?i:[a\xC3\x9F])"), place + "that ignores case, with characters beyond ASCII, which is not built");
  EXPECT_EQ(pattern("a(?i)b|c"), place + "with '(?i)' behind something else, which is not built");
  EXPECT_EQ(pattern("[[:graph:]]"), place + "with '[:graph:]', which is not built");
  EXPECT_EQ(pattern("o{2}?x"), place + "with '{2}?', which is not built");
  EXPECT_NE(pattern("(a").find(place + "that PCRE2 does not take"), std::string::npos);
}

TEST_F(Refusals, FilesThatAreNotOfOneTokenizer) {
  EXPECT_EQ(errorIn("[]"), "tokenizer.json:0: this is no tokenizer.json of Hugging Face's: an object with 'model'");
  EXPECT_EQ(errorIn("{"), "tokenizer.json:0: this is no tokenizer.json of Hugging Face's: an object with 'model'");
  json file = read("llama2");
  file["model"]["merges"] = json::array({json::array({"a", "zzz"})});
  EXPECT_EQ(errorIn(file.dump()),
            "tokenizer.json:0: 'model.merges[0]' joins 'a' and 'zzz', of which the vocabulary does "
            "not have both");
  file = read("llama2");
  file["added_tokens"][1]["id"] = 7;
  EXPECT_EQ(errorIn(file.dump()),
            "tokenizer.json:0: 'added_tokens[1]' gives '<s>' the id 7, which the model's vocabulary "
            "does not; the two are not of one tokenizer");
  file = read("llama2");
  file["model"]["vocab"]["odd"] = 1 << 30;
  EXPECT_EQ(errorIn(file.dump()), "tokenizer.json:0: 'model.vocab' gives 'odd' no id from 0 to 16777215");
}

TEST_F(Refusals, FilesBesideTheVocabulary) {
  const std::string file = read("llama2").dump();
  EXPECT_EQ(
      errorIn(file, R"({"eos_token": "<|odd|>"})"),
      "tokenizer_config.json:0: 'eos_token' is '<|odd|>', which tokenizer.json does not have; the two files are not of "
      "one model");
  EXPECT_EQ(errorIn(file, "{}").substr(0, 58), "tokenizer_config.json:0: no end of a text is known: neithe");
  EXPECT_EQ(errorIn(file, "[]"), "tokenizer_config.json:0: this is no JSON object");
  EXPECT_EQ(
      errorIn(file, R"({"eos_token": "</s>", "bos_token": "</s>"})"),
      "tokenizer.json:0: 'post_processor' writes '<s>' around each text, which is not its 'bos_token'; that is not "
      "built");
  EXPECT_EQ(
      errorIn(file, R"({"bos_token": "<s>", "eos_token": "</s>", "chat_template": "a\n {{ x|nope }}"})"),
      "tokenizer_config.json:0: 'chat_template', line 2, column 6: the filter 'nope' is not built, or there is none of "
      "that name");
  // Of a model that reads images; the tokenizer's own comes first.
  const char *ends = R"({"bos_token": "<s>", "eos_token": "</s>"})";
  write("chat_template.json", R"({"chat_template": "a\n {{ x|nope }}"})");
  EXPECT_EQ(errorIn(file, ends),
            "chat_template.json:0: 'chat_template', line 2, column 6: the filter 'nope' is not built, or there is none "
            "of that name");
  EXPECT_TRUE(errorIn(file, R"({"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{{ y|nope }}"})")
                  .starts_with("tokenizer_config.json:0: 'chat_template', line 1, "));
  write("chat_template.json", R"({"chat_template": []})");
  EXPECT_EQ(errorIn(file, ends), "chat_template.json:0: 'chat_template' is no text");
  write("chat_template.jinja", "a\n {{ x|nope }}");
  EXPECT_EQ(errorIn(file, R"({"bos_token": "<s>", "eos_token": "</s>"})"),
            "chat_template.jinja:2: the chat template: the filter 'nope' is not built, or there is none of that name");
}

TEST_F(Refusals, NamedFilesThatAreNotThereAreNamedWithTheirKey) {
  TokenizerConfig config = configOf(read("llama2"), {{"eos_token", "</s>"}, {"bos_token", "<s>"}});
  config.generationConfigPath = path("nowhere.json");
  EXPECT_NE(errorOf(config).find("'tokenizer.generation_config_path' names it: give another file"), std::string::npos);
  config.generationConfigPath = "";
  config.tokenizerConfigPath = path("nowhere.json");
  EXPECT_NE(errorOf(config).find("'tokenizer.tokenizer_config_json_path' names it: give another file with "
                                 "tokenizer.tokenizer_config_json_path=FILE, or leave the key out"),
            std::string::npos);
}

TEST_F(Refusals, AFileThatIsNotThereReadsNoText) {
  std::vector<Diagnostic> diags;
  auto tokenizer = makeTokenizer({"torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer", "", ""}, diags);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(
      tokenizer->whyNoText().find("has no file: name it with tokenizer.tokenizer_json_path=FILE (tokenizer.json)"), 0u);
}

// Whatever stands in a file is read or refused.
TEST_F(Refusals, BrokenFilesAreErrors) {
  std::mt19937 random(3);
  const std::string_view values[] = {"null", "1",    "-1",   "\"x\"",   "[]",
                                     "{}",   "true", "1e99", "[[1,2]]", "{\"type\":\"NFC\"}"};
  for (const char *name : {"gpt2", "llama2", "unigram"}) {
    const json whole = read(name);
    for (int round = 0; round < 120; ++round) {
      json broken = whole;
      json *part = &broken;
      while (part->is_structured() && !part->empty() && random() % 8) {
        auto next = part->begin();
        std::advance(next, static_cast<std::ptrdiff_t>(random() % part->size()));
        part = &*next;
      }
      *part = json::parse(values[random() % std::size(values)]);
      TokenizerConfig config = configOf(broken, {{"eos_token", "</s>"}});
      std::vector<Diagnostic> diags;
      if (auto tokenizer = makeTokenizer(config, diags))
        encoded(*tokenizer, "The license, don't 12 \xE6\x97\xA5 <s>");
      else
        EXPECT_FALSE(diags.empty());
    }
    std::string text = whole.dump();
    for (int round = 0; round < 40; ++round) {
      std::string cut = text.substr(0, random() % text.size());
      EXPECT_FALSE(errorIn(cut).empty());
    }
  }
}

} // namespace

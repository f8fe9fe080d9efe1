//===- TokenizerKeysTest.cpp - Files and wording of tokenizers ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Helpers.h"
#include <fstream>
#include <nlohmann/json.hpp>

using namespace ftc;

TEST(TokenizerKeys, QwensTokenizersHaveTwoFiles) {
  Recipe r = good(std::string(minimal) + "  _component_: torchtune.models.qwen2_5.qwen2_5_tokenizer\n"
                                         "  path: /m/vocab.json\n"
                                         "  merges_file: /m/merges.txt\n"
                                         "  prompt_template: null\n",
                  {"model.vocab_size=100"});
  EXPECT_EQ(r.tokenizer, "torchtune.models.qwen2_5.qwen2_5_tokenizer");
  EXPECT_EQ(r.tokenizerPath, "/m/vocab.json");
  EXPECT_EQ(r.mergesFile, "/m/merges.txt");
  EXPECT_EQ(remarks(r), "");
  Recipe again = good(r.normalizedYaml);
  EXPECT_EQ(again.normalizedYaml, r.normalizedYaml);
  EXPECT_EQ(again.mergesFile, r.mergesFile);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed = overrideRun(r.normalizedYaml, {"tokenizer.merges_file=n/m.txt"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->mergesFile, "n/m.txt");
  EXPECT_EQ(changed->tokenizerPath, "/m/vocab.json");

  r = good(minimal, {"tokenizer=torchtune.models.qwen3.qwen3_tokenizer", "tokenizer.merges_file=m.txt"});
  EXPECT_EQ(r.mergesFile, "m.txt");
  EXPECT_EQ(remarks(r), "");

  Recipe other = good(minimal, {"tokenizer.merges_file=m.txt"});
  EXPECT_EQ(other.mergesFile, "");
  EXPECT_NE(remarks(other).find("'tokenizer.merges_file' (command line) is without effect: only Qwen's tokenizers"),
            std::string::npos);
}

TEST(TokenizerKeys, Phi4sHaveTorchtunesNames) {
  const std::string phi4 = "tokenizer=torchtune.models.phi4.phi4_tokenizer";
  Recipe r = good(minimal, {phi4, "tokenizer.vocab_path=/m/vocab.json", "tokenizer.merges_path=/m/merges.txt"});
  EXPECT_EQ(r.tokenizerPath, "/m/vocab.json");
  EXPECT_EQ(r.mergesFile, "/m/merges.txt");
  EXPECT_EQ(good(r.normalizedYaml).tokenizerPath, r.tokenizerPath);
  EXPECT_EQ(good(r.normalizedYaml).mergesFile, r.mergesFile);
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed = overrideRun(r.normalizedYaml, {"tokenizer.vocab_path=/n/tokenizer.json"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->tokenizerPath, "/n/tokenizer.json");
  EXPECT_FALSE(parseRecipe(minimal, "r.yaml", {phi4, "tokenizer.path=/m/vocab.json"}, diags));
  EXPECT_EQ(diags.back().message, "'tokenizer.path' (command line) is not an argument of "
                                  "torchtune.models.phi4.phi4_tokenizer; it is called tokenizer.vocab_path there");
  EXPECT_FALSE(parseRecipe(minimal, "r.yaml", {"tokenizer.vocab_path=/m/vocab.json"}, diags));
  EXPECT_EQ(diags.back().message, "'tokenizer.vocab_path' is not an argument of ftc.tokenizers.byte; remove it "
                                  "(~tokenizer.vocab_path)");
}

TEST(TokenizerKeys, PromptTemplates) {
  const std::string llama2 = "tokenizer=torchtune.models.llama2.llama2_tokenizer",
                    mistral = "tokenizer=torchtune.models.mistral.mistral_tokenizer",
                    qwen = "tokenizer=torchtune.models.qwen2.qwen2_tokenizer", key = "tokenizer.prompt_template";
  // Absent, the own one by name, or null where it is no template: the tokenizer's own wording.
  EXPECT_FALSE(good(minimal, {llama2}).promptTemplate);
  EXPECT_FALSE(good(minimal, {llama2, key + "=torchtune.models.llama2.Llama2ChatTemplate"}).promptTemplate);
  EXPECT_FALSE(good(minimal, {mistral, key + "=torchtune.models.mistral.MistralChatTemplate"}).promptTemplate);
  EXPECT_FALSE(good(minimal, {qwen, key + "=null"}).promptTemplate);
  EXPECT_EQ(good(minimal, {llama2, key + "=null"}).promptTemplate, PromptTemplateConfig());
  Recipe tags = good(minimal, {mistral, key + "={user: ['Q: ', \"\\n\\\"A\\\": \"], assistant: ['', ' ']}"});
  const PromptTemplateConfig wanted{"", {{"user", "Q: ", "\n\"A\": "}, {"assistant", "", " "}}};
  EXPECT_EQ(tags.promptTemplate, wanted);

  // As torchtune spells them (test/oracle/golden_tokens.py).
  std::ifstream in(FTC_SOURCE_DIR "/test/oracle/goldens/tokens/golden.json");
  const nlohmann::json golden = nlohmann::json::parse(in);
  int named = 0;
  for (const nlohmann::json &entry : golden["templates"]) {
    const std::string component = entry["component"], family = entry["family"];
    if (component.empty())
      continue;
    Recipe r = good(minimal, {"tokenizer=torchtune.models." + family + "." + family +
                                  (family == "phi3" ? "_mini_tokenizer" : "_tokenizer"),
                              key + "=" + component});
    ASSERT_TRUE(r.promptTemplate);
    EXPECT_EQ(r.promptTemplate->component, component);
    size_t words = 0; // ChatML has none for what a tool says
    for (const nlohmann::json &each : entry["tags"])
      words += each != nlohmann::json::array({"", ""});
    ASSERT_EQ(r.promptTemplate->tags.size(), words);
    for (const PromptTags &one : r.promptTemplate->tags)
      EXPECT_EQ(nlohmann::json::array({one.before, one.after}), entry["tags"][one.role]) << component;
    EXPECT_EQ(good(r.normalizedYaml).promptTemplate, r.promptTemplate);
    ++named;
  }
  EXPECT_EQ(named, 10);

  // The step's recipe keeps them, and a run may change them.
  for (const Recipe &r : {tags, good(minimal, {llama2, key + "=null"})})
    EXPECT_EQ(good(r.normalizedYaml).promptTemplate, r.promptTemplate) << r.normalizedYaml;
  std::vector<Diagnostic> diags;
  std::optional<Recipe> changed = overrideRun(tags.normalizedYaml, {key + "=null"}, diags);
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->promptTemplate, PromptTemplateConfig());

  auto bad = [&](std::vector<std::string> overrides) {
    std::vector<Diagnostic> diags;
    EXPECT_FALSE(parseRecipe(minimal, "r.yaml", overrides, diags));
    return diags.empty() ? "" : diags.front().message;
  };
  const Recipe chatML = good(minimal, {"tokenizer=torchtune.models.llama3.llama3_tokenizer",
                                       key + "=torchtune.data.ChatMLTemplate", "model.vocab_size=200000"});
  ASSERT_TRUE(chatML.promptTemplate);
  ASSERT_EQ(chatML.promptTemplate->tags.size(), 3u);
  EXPECT_EQ(chatML.promptTemplate->tags[2], (PromptTags{"assistant", "<|im_start|>assistant\n", "<|im_end|>\n", true}));
  EXPECT_EQ(good(chatML.normalizedYaml).promptTemplate, chatML.promptTemplate);
  EXPECT_EQ(bad({qwen, key + "=torchtune.data.ChatMLTemplate"}),
            "'tokenizer.prompt_template' (command line) is 'torchtune.data.ChatMLTemplate', and Qwen's own wording is "
            "ChatML already; remove it (~tokenizer.prompt_template)");
  EXPECT_NE(bad({mistral, key + "=torchtune.models.llama2.Llama2ChatTemplate"})
                .find("which is not built for torchtune.models.mistral.mistral_tokenizer; what works: {user: "),
            std::string::npos);
  EXPECT_NE(
      bad({qwen, key + "=torchtune.data.SummariseTemplate"}).find("did you mean 'torchtune.data.SummarizeTemplate'?"),
      std::string::npos);
  EXPECT_EQ(bad({qwen, key + "={usr: [a, b]}"}),
            "'tokenizer.prompt_template.usr' is no role; did you mean 'user'?; roles "
            "are system, user, assistant, tool and ipython");
  for (const char *value : {"a", "[a]", "[a, b, c]", "[[a], b]", "null"})
    EXPECT_EQ(bad({qwen, key + "={user: " + value + "}"}),
              "'tokenizer.prompt_template.user' needs two texts, [BEFORE, AFTER]; either may be '' for nothing");
  EXPECT_NE(bad({qwen, key + "=[a, b]"}).find("'tokenizer.prompt_template' needs {user: [BEFORE, AFTER]}"),
            std::string::npos);
}

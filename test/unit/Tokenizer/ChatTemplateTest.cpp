//===- ChatTemplateTest.cpp - Jinja as transformers has it -----------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Against what transformers' Jinja writes (test/oracle/golden_chat.py): templates in the manner of those of Llama 2 and
// 3, Qwen, Mistral, Gemma, Phi and SmolLM, and expressions and statements one by one.
//
//===----------------------------------------------------------------------===//

#include "ftc/Tokenizer/ChatTemplate.h"

#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>

using namespace ftc;
using Json = nlohmann::ordered_json;

namespace {

Json golden() {
  std::ifstream in(FTC_SOURCE_DIR "/test/oracle/goldens/chat/templates.json");
  return Json::parse(in);
}

std::optional<RenderedChat> render(const std::string &source, const Json &variables, TemplateError &error) {
  std::optional<ChatTemplate> chat = ChatTemplate::parse(source, error);
  return chat ? chat->render(variables, error) : std::nullopt;
}

/// "LINE:COLUMN: MESSAGE" of a template that fails.
std::string errorOf(const std::string &source, const Json &variables = Json::object()) {
  TemplateError error;
  EXPECT_FALSE(render(source, variables, error)) << source;
  return fmt::format("{}:{}: {}", error.line, error.column, error.message);
}

std::string textOf(const std::string &source, const Json &variables = Json::object()) {
  TemplateError error;
  std::optional<RenderedChat> chat = render(source, variables, error);
  EXPECT_TRUE(chat) << source << ": " << error.message;
  return chat ? chat->text : "";
}

TEST(ChatTemplate, WritesWhatTransformersWrites) {
  const Json wanted = golden();
  size_t texts = 0, failures = 0;
  for (const Json &entry : wanted["cases"]) {
    const std::string name = entry["template"];
    const std::string source = wanted["templates"].contains(name) ? wanted["templates"][name].get<std::string>() : name;
    TemplateError error;
    std::optional<RenderedChat> chat = render(source, wanted["variables"][entry["variables"].get<size_t>()], error);
    ASSERT_EQ(chat.has_value(), entry.contains("text")) << name << ": " << error.message;
    if (chat) {
      EXPECT_EQ(chat->text, entry["text"].get<std::string>()) << name;
      ++texts;
      continue;
    }
    EXPECT_FALSE(error.message.empty()) << name;
    EXPECT_EQ(error.isRaised, entry.contains("says")) << name << ": " << error.message;
    if (entry.contains("says"))
      EXPECT_EQ(error.message, entry["says"].get<std::string>());
    EXPECT_GT(error.line, 0) << name << ": " << error.message;
    ++failures;
  }
  EXPECT_GT(texts, 450u);
  EXPECT_GT(failures, 80u);
}

TEST(ChatTemplate, ErrorsHaveTheirPlace) {
  EXPECT_EQ(errorOf("a\n{{ x.y }}"), "2:5: 'x' is undefined");
  EXPECT_EQ(errorOf("{{ x | nope }}"), "1:6: the filter 'nope' is not built, or there is none of that name");
  EXPECT_EQ(errorOf("\n\n  {% if x is nope %}{% endif %}"),
            "3:14: the test 'nope' is not built, or there is none of that name");
  EXPECT_EQ(errorOf("{% for x in [1] %}\n{{ x }}"), "1:4: {% for %} does not end ({% endfor %} is missing)");
  EXPECT_EQ(errorOf("{{ (1 }}"), "1:7: '}' closes nothing");
  EXPECT_EQ(errorOf("{% include 'x' %}"), "1:4: {% include %} is not built");
  EXPECT_EQ(errorOf("{{ 'abc"), "1:4: this text in quotes does not end");
  EXPECT_EQ(errorOf("{{ 1 + 'a' }}"), "1:6: '+' does not work on a int and a str; ~ joins any values as text");
  EXPECT_EQ(errorOf("{{ raise_exception('No.') }}"), "1:19: No.");
  EXPECT_EQ(errorOf("{{ x.append(1) }}", {{"x", {1}}}),
            "1:12: 'append' would change a list, which templates may not; a namespace can be changed");
}

TEST(ChatTemplate, NothingTakesTheStackOrAllMemory) {
  std::string deep;
  for (int i = 0; i < 100000; ++i)
    deep += "(";
  errorOf("{{ " + deep + "1 }}");
  std::string nots, blocks;
  for (int i = 0; i < 100000; ++i)
    nots += "not ", blocks += "{% if 1 %}";
  errorOf("{{ " + nots + "1 }}");
  errorOf(blocks);
  errorOf("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  errorOf("{{ 'x' * 9999999999 }}");
  errorOf("{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(64) %}{% set ns.x = ns.x * 2 %}{% endfor %}");
  errorOf("{{ range(100000000000) }}");
  // A list in a list in a list, and namespaces in a chain and in a circle.
  errorOf("{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}");
  errorOf("{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}");
  EXPECT_EQ(
      textOf("{% set ns = namespace(x=1) %}{% set ns.tail = ns %}{% for i in range(100000) %}{% set tail = ns.tail %}"
             "{% set tail.next = namespace(n=i) %}{% set ns.tail = tail.next %}{% endfor %}{{ ns.tail.n }}"),
      "99999");
  EXPECT_EQ(textOf("{% set ns = namespace(x=1) %}{% set ns.self = ns %}{{ ns.self.self.x }}"), "1");
  std::string minus(100000, '-');
  errorOf("{{ " + minus + "1 }}");
}

// Whatever stands in a file is read or refused.
TEST(ChatTemplate, BrokenTemplatesAreErrors) {
  const Json wanted = golden();
  std::mt19937 random(1);
  const Json variables = wanted["variables"].back();
  for (const auto &[name, source] : wanted["templates"].items())
    for (int round = 0; round < 150; ++round) {
      std::string broken = source;
      for (int i = 0; i < 3; ++i) {
        const size_t at = random() % broken.size();
        if (random() % 2)
          broken.erase(at, 1 + random() % 5);
        else
          broken[at] = "{}%#'\"()[]|.-+ \nx1\x80"[random() % 20];
      }
      TemplateError error;
      if (!render(broken, variables, error))
        EXPECT_FALSE(error.message.empty());
    }
}

TEST(ChatTemplate, ItIsKnownWhatBelongsToAMessage) {
  const Json messages = {{{"role", "system"}, {"content", "S"}},
                         {{"role", "user"}, {"content", "U"}},
                         {{"role", "assistant"}, {"content", "A"}}};
  TemplateError error;
  auto chat =
      render("<{{ messages[0].content }}>{% for m in messages[1:] %}[{% for c in m.content %}{{ c }}{% endfor %}]"
             "{% endfor %}.",
             {{"messages", messages}}, error);
  ASSERT_TRUE(chat) << error.message;
  EXPECT_EQ(chat->text, "<S>[U][A].");
  ASSERT_EQ(chat->parts.size(), 4u);
  const std::vector<std::pair<size_t, int>> parts = {{3, -1}, {6, 1}, {9, 2}, {10, -1}};
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(std::pair(chat->parts[i].end, chat->parts[i].message), parts[i]);
}

TEST(ChatTemplate, TheDateIsAlwaysTheSame) { EXPECT_EQ(textOf("{{ strftime_now('%d %b %Y') }}"), "26 Jul 2024"); }

TEST(ChatTemplate, VariablesOfAnyKind) {
  EXPECT_EQ(
      textOf("{{ a }} {{ b }} {{ c }} {{ d }}", {{"a", nullptr}, {"b", true}, {"c", 1.5}, {"d", {{"k", {1, "x"}}}}}),
      "None True 1.5 {'k': [1, 'x']}");
  EXPECT_EQ(textOf("{% generation %}a{% endgeneration %}"), "a");
}

} // namespace

//===- ChatTemplate.h - The wording of a model's chats ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TOKENIZER_CHATTEMPLATE_H
#define FTC_TOKENIZER_CHATTEMPLATE_H

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ftc {

/// Why a template cannot be read or rendered. `line` and `column` (in bytes) of the template count from 1; 0: nowhere.
struct TemplateError {
  int line = 0, column = 0;
  std::string message;
  bool isRaised = false; ///< by the template itself (raise_exception): `message` is what it says
};

/// A conversation as text.
struct RenderedChat {
  /// What was written up to `end`, from where the part before it ends.
  struct Part {
    size_t end = 0;
    /// The one of `messages` in whose turn of a loop it was written; -1: outside of such a loop.
    int message = -1;
  };
  std::string text;
  std::vector<Part> parts;
  bool hasMarks = false; ///< something was written inside of {% generation %}
};

/// A chat template of Hugging Face's: Jinja, as transformers sets it up (trim_blocks, lstrip_blocks, loop controls; an
/// unknown variable is empty, and what is done to it an error). What Jinja has and templates of chats do not use
/// (inheritance, includes, some filters) is not built, and an error with its name and place; so is what would change
/// a value that a template was given.
class ChatTemplate {
public:
  /// Nothing, and `error`, where `source` is no such template.
  static std::optional<ChatTemplate> parse(std::string_view source, TemplateError &error);

  /// The text for these variables, an object. `messages` among them is the conversation. Nothing, and `error`, where it
  /// fails. strftime_now is always midnight of 26 July 2024, the date that Llama 3's templates name where there is no
  /// clock: else the ids of a conversation would be others each day.
  std::optional<RenderedChat> render(const nlohmann::ordered_json &variables, TemplateError &error) const;

  ChatTemplate(ChatTemplate &&) noexcept;
  ChatTemplate &operator=(ChatTemplate &&) noexcept;
  ~ChatTemplate();

private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program;
};

} // namespace ftc

#endif // FTC_TOKENIZER_CHATTEMPLATE_H

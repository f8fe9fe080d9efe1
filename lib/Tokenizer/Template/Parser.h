//===- Parser.h - From words to a tree ----------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_PARSER_H
#define FTC_LIB_TOKENIZER_TEMPLATE_PARSER_H

#include "Ast.h"
#include "Lexer.h"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace ftc::jinja {

/// Jinja's grammar by recursive descent.
class Parser {
public:
  explicit Parser(std::vector<Token> tokens) : tokens(std::move(tokens)) {}
  Body whole() {
    Body body = bodyUntil({}, "");
    return body;
  }

private:
  /// Depth of expressions and statements, so that no template takes the whole stack.
  static constexpr int deepest = 200;

  /// Counts levels; throws where there are too many.
  struct Level {
    explicit Level(Parser &parser) : parser(parser) {
      if (++parser.depth > deepest)
        throw Failure{"more than 200 levels of expressions or blocks", parser.token().place};
    }
    ~Level() { --parser.depth; }
    Parser &parser;
  };

  const Token &token(size_t ahead = 0) const { return tokens[std::min(at + ahead, tokens.size() - 1)]; }
  bool is(TokenKind kind, std::string_view text) const { return token().kind == kind && token().text == text; }
  bool isOperator(std::string_view text) const { return is(TokenKind::Operator, text); }
  bool isName(std::string_view text) const { return is(TokenKind::Name, text); }
  bool accept(TokenKind kind, std::string_view text) { return is(kind, text) && ++at; }
  bool acceptOperator(std::string_view text) { return accept(TokenKind::Operator, text); }
  bool acceptName(std::string_view text) { return accept(TokenKind::Name, text); }
  void expectOperator(std::string_view text) {
    if (!acceptOperator(text))
      unexpected(fmt::format("'{}'", text));
  }
  std::string expectName() {
    if (token().kind != TokenKind::Name)
      unexpected("a name");
    return tokens[at++].text;
  }
  void expectEnd() {
    if (token().kind != TokenKind::EndBlock)
      unexpected("'%}'");
    ++at;
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
    const Token &found = token();
    std::string what = found.kind == TokenKind::End         ? "the template ends"
                       : found.kind == TokenKind::EndBlock  ? "'%}'"
                       : found.kind == TokenKind::EndOutput ? "'}}'"
                                                            : fmt::format("'{}'", found.text);
    throw Failure{fmt::format("{} instead of {}", what, wanted), found.place};
  }

  static ExpressionPtr make(ExpressionKind kind, size_t place, std::string name = "") {
    return std::make_unique<Expression>(Expression{kind, place, std::move(name)});
  }
  ExpressionPtr join(ExpressionKind kind, size_t place, ExpressionPtr left, ExpressionPtr right,
                     std::string name = "") {
    ExpressionPtr both = make(kind, place, std::move(name));
    both->parts.push_back(std::move(left));
    both->parts.push_back(std::move(right));
    return both;
  }

  Body bodyUntil(std::initializer_list<std::string_view> ends, std::string_view opened, size_t place = 0);
  Statement statement();
  Statement ifBlock(size_t place);
  Statement forBlock(size_t place);
  Statement setBlock(size_t place);
  Statement macroBlock(size_t place);
  Statement callBlock(size_t place);
  Statement withBlock(size_t place);
  std::vector<Parameter> parameters();
  Target target(bool isSet);
  Target targets(bool isSet);

  ExpressionPtr tuple(bool withChoice = true);
  ExpressionPtr expression(bool withChoice = true);
  ExpressionPtr choice();
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr together();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr sign(bool withFilters = true);
  ExpressionPtr primary();
  ExpressionPtr behind(ExpressionPtr value);
  ExpressionPtr subscript(ExpressionPtr value);
  ExpressionPtr filters(ExpressionPtr value);
  ExpressionPtr test(ExpressionPtr value);
  void arguments(Expression &call);

  std::vector<Token> tokens;
  size_t at = 0;
  int depth = 0, loops = 0;
};

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_PARSER_H

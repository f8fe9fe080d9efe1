//===- ParseStatements.cpp - Text, outputs and blocks ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Parser.h"

namespace ftc::jinja {

/// Statements up to a block that one of `ends` begins; the place stays in front of that word.
Body Parser::bodyUntil(std::initializer_list<std::string_view> ends, std::string_view opened, size_t place) {
  Level level(*this);
  Body body;
  while (true) {
    const Token &now = token();
    switch (now.kind) {
    case TokenKind::Text:
      body.push_back({StatementKind::Text, now.place, now.text});
      ++at;
      break;
    case TokenKind::BeginOutput: {
      Statement output{StatementKind::Output, now.place};
      ++at;
      output.value = tuple();
      if (token().kind != TokenKind::EndOutput)
        unexpected("'}}'");
      ++at;
      body.push_back(std::move(output));
      break;
    }
    case TokenKind::BeginBlock:
      ++at;
      if (std::find(ends.begin(), ends.end(), token().text) != ends.end() && token().kind == TokenKind::Name)
        return body;
      body.push_back(statement());
      break;
    default:
      if (!opened.empty())
        throw Failure{fmt::format("{{% {} %}} does not end ({{% {} %}} is missing)", opened, *(ends.end() - 1)), place};
      return body;
    }
  }
}

Statement Parser::statement() {
  const size_t place = token().place;
  const std::string name = expectName();
  if (name == "if")
    return ifBlock(place);
  if (name == "for")
    return forBlock(place);
  if (name == "set")
    return setBlock(place);
  if (name == "macro")
    return macroBlock(place);
  if (name == "call")
    return callBlock(place);
  if (name == "with")
    return withBlock(place);
  if (name == "filter") {
    Statement block{StatementKind::FilterBlock, place};
    --at;
    tokens[at] = {TokenKind::Operator, "|", place};
    block.value = filters(nullptr);
    expectEnd();
    block.body = bodyUntil({"endfilter"}, name, place);
    ++at;
    expectEnd();
    return block;
  }
  if (name == "generation") { // marks what the assistant says; it is written as it is, as the body of a call
    expectEnd();
    Statement block{StatementKind::Generation, place};
    const int outside = std::exchange(loops, 0);
    block.body = bodyUntil({"endgeneration"}, name, place);
    loops = outside;
    ++at;
    expectEnd();
    return block;
  }
  if (name == "break" || name == "continue") {
    if (!loops)
      throw Failure{fmt::format("{{% {} %}} outside of a loop", name), place};
    expectEnd();
    return {name == "break" ? StatementKind::Break : StatementKind::Continue, place};
  }
  for (const char *known : {"extends", "block", "include", "import", "from", "do", "autoescape", "trans", "debug"})
    if (name == known)
      throw Failure{fmt::format("{{% {} %}} is not built", name), place};
  throw Failure{fmt::format("'{}' begins no block that is known here", name), place};
}

Statement Parser::ifBlock(size_t place) {
  Statement block{StatementKind::If, place};
  ExpressionPtr condition = tuple(false);
  while (true) {
    expectEnd();
    Body body = bodyUntil({"elif", "else", "endif"}, "if", place);
    block.branches.emplace_back(std::move(condition), std::move(body));
    condition = nullptr;
    if (acceptName("elif")) {
      condition = tuple(false);
      continue;
    }
    if (acceptName("else")) {
      expectEnd();
      block.branches.emplace_back(nullptr, bodyUntil({"endif"}, "if", place));
    }
    ++at;
    expectEnd();
    return block;
  }
}

Statement Parser::forBlock(size_t place) {
  Statement block{StatementKind::For, place};
  block.targets.push_back(targets(false));
  if (!acceptName("in"))
    unexpected("'in'");
  block.value = tuple(false);
  if (isName("recursive"))
    throw Failure{"recursive loops are not built", token().place};
  if (acceptName("if"))
    block.condition = expression();
  if (isName("recursive"))
    throw Failure{"recursive loops are not built", token().place};
  expectEnd();
  ++loops;
  block.body = bodyUntil({"else", "endfor"}, "for", place);
  --loops;
  if (acceptName("else")) {
    expectEnd();
    block.otherwise = bodyUntil({"endfor"}, "for", place);
  }
  ++at;
  expectEnd();
  return block;
}

Statement Parser::setBlock(size_t place) {
  Statement block{StatementKind::Set, place};
  block.targets.push_back(targets(true));
  if (acceptOperator("=")) {
    block.value = tuple();
    expectEnd();
    return block;
  }
  block.condition = isOperator("|") ? filters(nullptr) : nullptr; // filters of what is written
  expectEnd();
  block.body = bodyUntil({"endset"}, "set", place);
  ++at;
  expectEnd();
  return block;
}

std::vector<Parameter> Parser::parameters() {
  std::vector<Parameter> list;
  expectOperator("(");
  while (!acceptOperator(")")) {
    if (!list.empty())
      expectOperator(",");
    if (acceptOperator(")"))
      break;
    Parameter parameter{expectName(), nullptr};
    if (acceptOperator("="))
      parameter.usual = expression();
    list.push_back(std::move(parameter));
  }
  return list;
}

Statement Parser::macroBlock(size_t place) {
  Statement block{StatementKind::Macro, place, expectName()};
  block.parameters = parameters();
  expectEnd();
  const int outside = std::exchange(loops, 0);
  block.body = bodyUntil({"endmacro"}, "macro", place);
  loops = outside;
  ++at;
  acceptName(block.name);
  expectEnd();
  return block;
}

Statement Parser::callBlock(size_t place) {
  Statement block{StatementKind::CallBlock, place};
  if (isOperator("("))
    block.parameters = parameters();
  block.value = expression();
  if (block.value->kind != ExpressionKind::Call)
    throw Failure{"{% call %} needs a call", block.value->place};
  expectEnd();
  const int outside = std::exchange(loops, 0);
  block.body = bodyUntil({"endcall"}, "call", place);
  loops = outside;
  ++at;
  expectEnd();
  return block;
}

Statement Parser::withBlock(size_t place) {
  Statement block{StatementKind::With, place};
  while (token().kind != TokenKind::EndBlock) {
    if (!block.targets.empty())
      expectOperator(",");
    block.targets.push_back(target(false));
    expectOperator("=");
    block.values.push_back(expression());
  }
  expectEnd();
  block.body = bodyUntil({"endwith"}, "with", place);
  ++at;
  expectEnd();
  return block;
}

Target Parser::target(bool isSet) {
  Level level(*this);
  if (acceptOperator("(")) {
    Target inner = targets(isSet);
    expectOperator(")");
    return inner;
  }
  Target one{token().place, "", "", {}};
  one.name = expectName();
  for (const char *taken : {"true", "false", "none", "True", "False", "None", "loop"})
    if (one.name == taken && !(isSet && one.name == "loop"))
      throw Failure{fmt::format("nothing can be assigned to '{}'", one.name), one.place};
  if (isSet && acceptOperator("."))
    one.attribute = expectName();
  return one;
}

Target Parser::targets(bool isSet) {
  Target first = target(isSet);
  if (!isOperator(","))
    return first;
  Target all{first.place, "", "", {}};
  all.parts.push_back(std::move(first));
  while (acceptOperator(","))
    if (token().kind == TokenKind::Name && !isName("in"))
      all.parts.push_back(target(isSet));
    else if (isOperator("("))
      all.parts.push_back(target(isSet));
  return all;
}

Body parseTemplate(std::string_view source) { return Parser(tokensOf(source)).whole(); }

} // namespace ftc::jinja

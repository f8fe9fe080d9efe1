//===- ParseExpressions.cpp - Expressions of templates --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From loose to tight: a if b else c; or; and; not; comparisons and `in`; + and -; ~; * / // %; **; signs; then what
// stands behind a value: attributes, items, calls, and behind those filters and tests.
//
//===----------------------------------------------------------------------===//

#include "Parser.h"

#include <charconv>
#include <cstdlib>

namespace ftc::jinja {

/// One value, or several with commas between them.
ExpressionPtr Parser::tuple(bool withChoice) {
  const size_t place = token().place;
  ExpressionPtr first = expression(withChoice);
  if (!isOperator(","))
    return first;
  ExpressionPtr all = make(ExpressionKind::Tuple, place);
  all->parts.push_back(std::move(first));
  while (acceptOperator(",")) {
    if (token().kind == TokenKind::EndBlock || token().kind == TokenKind::EndOutput || isOperator(")"))
      break;
    all->parts.push_back(expression(withChoice));
  }
  return all;
}

ExpressionPtr Parser::expression(bool withChoice) {
  Level level(*this);
  return withChoice ? choice() : disjunction();
}

ExpressionPtr Parser::choice() {
  const size_t place = token().place;
  ExpressionPtr value = disjunction();
  while (acceptName("if")) {
    ExpressionPtr condition = disjunction();
    ExpressionPtr whole = join(ExpressionKind::Choice, place, std::move(condition), std::move(value));
    whole->parts.push_back(acceptName("else") ? expression() : nullptr);
    value = std::move(whole);
  }
  return value;
}

ExpressionPtr Parser::disjunction() {
  ExpressionPtr left = conjunction();
  while (isName("or")) {
    const size_t place = tokens[at++].place;
    left = join(ExpressionKind::Or, place, std::move(left), conjunction());
  }
  return left;
}

ExpressionPtr Parser::conjunction() {
  ExpressionPtr left = negation();
  while (isName("and")) {
    const size_t place = tokens[at++].place;
    left = join(ExpressionKind::And, place, std::move(left), negation());
  }
  return left;
}

ExpressionPtr Parser::negation() {
  if (!isName("not"))
    return comparison();
  Level level(*this);
  ExpressionPtr not_ = make(ExpressionKind::Not, tokens[at++].place);
  not_->parts.push_back(negation());
  return not_;
}

ExpressionPtr Parser::comparison() {
  ExpressionPtr first = sum();
  ExpressionPtr all;
  while (true) {
    std::string name;
    const size_t place = token().place;
    for (const char *sign : {"==", "!=", "<=", ">=", "<", ">"})
      if (isOperator(sign))
        name = sign;
    if (isName("in"))
      name = "in";
    else if (isName("not") && token(1).kind == TokenKind::Name && token(1).text == "in")
      name = "not in";
    if (name.empty())
      return all ? std::move(all) : std::move(first);
    at += name == "not in" ? 2 : 1;
    if (!all) {
      all = make(ExpressionKind::Compare, place);
      all->parts.push_back(std::move(first));
    }
    all->operators.push_back(name);
    all->parts.push_back(sum());
  }
}

ExpressionPtr Parser::sum() {
  ExpressionPtr left = together();
  while (isOperator("+") || isOperator("-")) {
    const Token &sign = tokens[at++];
    left = join(ExpressionKind::Binary, sign.place, std::move(left), together(), sign.text);
  }
  return left;
}

ExpressionPtr Parser::together() {
  ExpressionPtr first = product();
  if (!isOperator("~"))
    return first;
  ExpressionPtr all = make(ExpressionKind::Together, token().place);
  all->parts.push_back(std::move(first));
  while (acceptOperator("~"))
    all->parts.push_back(product());
  return all;
}

ExpressionPtr Parser::product() {
  ExpressionPtr left = power();
  while (isOperator("*") || isOperator("/") || isOperator("//") || isOperator("%")) {
    const Token &sign = tokens[at++];
    left = join(ExpressionKind::Binary, sign.place, std::move(left), power(), sign.text);
  }
  return left;
}

ExpressionPtr Parser::power() {
  ExpressionPtr left = sign();
  while (isOperator("**")) {
    const size_t place = tokens[at++].place;
    left = join(ExpressionKind::Binary, place, std::move(left), sign(), "**");
  }
  return left;
}

ExpressionPtr Parser::sign(bool withFilters) {
  Level level(*this);
  ExpressionPtr value;
  if (isOperator("-") || isOperator("+")) {
    const Token &sign_ = tokens[at++];
    value = make(sign_.text == "-" ? ExpressionKind::Negative : ExpressionKind::Positive, sign_.place);
    value->parts.push_back(sign(false));
  } else {
    value = primary();
  }
  value = behind(std::move(value));
  return withFilters ? filters(std::move(value)) : std::move(value);
}

ExpressionPtr Parser::primary() {
  const Token now = token();
  ExpressionPtr value = make(ExpressionKind::Constant, now.place);
  switch (now.kind) {
  case TokenKind::Name:
    ++at;
    if (now.text == "true" || now.text == "True" || now.text == "false" || now.text == "False")
      value->constant = now.text == "true" || now.text == "True";
    else if (now.text == "none" || now.text == "None")
      value->constant = Value();
    else
      value->kind = ExpressionKind::Name, value->name = now.text;
    return value;
  case TokenKind::String: {
    std::string text;
    while (token().kind == TokenKind::String)
      text += tokens[at++].text;
    value->constant = Value(std::move(text));
    return value;
  }
  case TokenKind::Integer: {
    ++at;
    int64_t number = 0;
    auto [end, problem] = std::from_chars(now.text.data(), now.text.data() + now.text.size(), number);
    if (problem != std::errc() || end != now.text.data() + now.text.size())
      throw Failure{fmt::format("'{}' is beyond 64 bits", now.text), now.place};
    value->constant = number;
    return value;
  }
  case TokenKind::Float:
    ++at;
    value->constant = std::strtod(now.text.c_str(), nullptr);
    return value;
  default:
    break;
  }
  if (acceptOperator("(")) {
    if (acceptOperator(")")) {
      value->kind = ExpressionKind::Tuple;
      return value;
    }
    value = tuple();
    expectOperator(")");
    return value;
  }
  if (acceptOperator("[")) {
    value->kind = ExpressionKind::List;
    while (!acceptOperator("]")) {
      if (!value->parts.empty())
        expectOperator(",");
      if (acceptOperator("]"))
        break;
      value->parts.push_back(expression());
    }
    return value;
  }
  if (acceptOperator("{")) {
    value->kind = ExpressionKind::Dict;
    while (!acceptOperator("}")) {
      if (!value->parts.empty())
        expectOperator(",");
      if (acceptOperator("}"))
        break;
      value->parts.push_back(expression());
      expectOperator(":");
      value->parts.push_back(expression());
    }
    return value;
  }
  unexpected("a value");
}

ExpressionPtr Parser::behind(ExpressionPtr value) {
  while (true) {
    const size_t place = token().place;
    if (acceptOperator(".")) {
      ExpressionPtr part;
      if (token().kind == TokenKind::Integer) {
        part = join(ExpressionKind::Item, place, std::move(value), primary());
      } else {
        part = make(ExpressionKind::Attribute, place, expectName());
        part->parts.push_back(std::move(value));
      }
      value = std::move(part);
    } else if (acceptOperator("[")) {
      value = subscript(std::move(value));
    } else if (isOperator("(")) {
      ExpressionPtr call = make(ExpressionKind::Call, place);
      call->parts.push_back(std::move(value));
      arguments(*call);
      value = std::move(call);
    } else {
      return value;
    }
  }
}

/// Behind `[`.
ExpressionPtr Parser::subscript(ExpressionPtr value) {
  const size_t place = token().place;
  ExpressionPtr bounds[3];
  size_t count = 0;
  bool isSlice = false;
  while (!isOperator("]")) {
    if (acceptOperator(":")) {
      isSlice = true;
      if (++count > 2)
        unexpected("']'");
    } else if (bounds[count]) {
      unexpected("']'");
    } else {
      bounds[count] = expression();
    }
  }
  ++at;
  if (!isSlice && !bounds[0])
    throw Failure{"an item needs a key", place};
  if (!isSlice)
    return join(ExpressionKind::Item, place, std::move(value), std::move(bounds[0]));
  ExpressionPtr slice = make(ExpressionKind::Slice, place);
  slice->parts.push_back(std::move(value));
  for (ExpressionPtr &bound : bounds)
    slice->parts.push_back(std::move(bound));
  return slice;
}

ExpressionPtr Parser::filters(ExpressionPtr value) {
  while (true) {
    const size_t place = token().place;
    if (acceptOperator("|")) {
      std::string name = expectName();
      while (acceptOperator("."))
        name += "." + expectName();
      if (!isFilter(name))
        throw Failure{fmt::format("the filter '{}' is not built, or there is none of that name", name), place};
      ExpressionPtr filter = make(ExpressionKind::Filter, place, std::move(name));
      filter->parts.push_back(std::move(value));
      if (isOperator("("))
        arguments(*filter);
      value = std::move(filter);
    } else if (value && isName("is")) {
      ++at;
      value = test(std::move(value));
    } else if (value && isOperator("(")) {
      ExpressionPtr call = make(ExpressionKind::Call, place);
      call->parts.push_back(std::move(value));
      arguments(*call);
      value = std::move(call);
    } else {
      return value;
    }
  }
}

/// Behind `is`.
ExpressionPtr Parser::test(ExpressionPtr value) {
  const size_t place = token().place;
  const bool isNot = acceptName("not");
  std::string name = expectName();
  if (!isTest(name))
    throw Failure{fmt::format("the test '{}' is not built, or there is none of that name", name), place};
  ExpressionPtr test = make(ExpressionKind::Test, place, std::move(name));
  test->parts.push_back(std::move(value));
  const bool isWord = token().kind == TokenKind::Name && !isName("else") && !isName("or") && !isName("and");
  if (isOperator("(")) {
    arguments(*test);
  } else if (isWord || token().kind == TokenKind::String || token().kind == TokenKind::Integer ||
             token().kind == TokenKind::Float || isOperator("[") || isOperator("{")) {
    if (isName("is"))
      throw Failure{"tests cannot follow one another with 'is'", token().place};
    // `if` and others go on outside of the test; Jinja takes them for an argument and fails.
    if (!isWord || (!isName("if") && !isName("in") && !isName("not") && !isName("recursive")))
      test->parts.push_back(behind(primary()));
  }
  if (!isNot)
    return test;
  ExpressionPtr not_ = make(ExpressionKind::Not, place);
  not_->parts.push_back(std::move(test));
  return not_;
}

/// From `(` on.
void Parser::arguments(Expression &call) {
  expectOperator("(");
  bool isFirst = true;
  while (!acceptOperator(")")) {
    if (!isFirst)
      expectOperator(",");
    isFirst = false;
    if (acceptOperator(")"))
      break;
    if (isOperator("*") || isOperator("**"))
      throw Failure{"arguments out of a list or a dictionary (*) are not built", token().place};
    if (token().kind == TokenKind::Name && token(1).kind == TokenKind::Operator && token(1).text == "=") {
      std::string name = expectName();
      ++at;
      call.named.push_back({std::move(name), expression()});
      continue;
    }
    if (!call.named.empty())
      throw Failure{"an argument without a name behind one with a name", token().place};
    call.parts.push_back(expression());
  }
}

} // namespace ftc::jinja

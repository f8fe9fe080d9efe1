//===- Evaluator.cpp - A template is written ------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The tree is walked. Names are looked up in the scopes around a place: a turn of a loop, a macro, {% with %} and
// {% generation %} have one of their own, so what is set in a loop is gone behind it, and {% if %} has none. What is
// written while a loop is at one of the conversation's messages is marked with that message.
//
//===----------------------------------------------------------------------===//

#include "Evaluator.h"

#include "Library.h"

#include <algorithm>
#include <fmt/format.h>

namespace ftc::jinja {

namespace {

/// Expressions and statements in each other, macros' included, so that no template takes the whole stack.
constexpr int deepest = 600;
/// Bytes of a conversation, or of a text on the way to it.
constexpr size_t mostBytes = size_t(1) << 28;

struct Scope {
  std::shared_ptr<Scope> outer;
  std::vector<std::pair<std::string, Value>> names;

  Value *find(std::string_view name) {
    for (Scope *scope = this; scope; scope = scope->outer.get())
      for (auto &[known, value] : scope->names)
        if (known == name)
          return &value;
    return nullptr;
  }
  void set(std::string_view name, Value value) {
    for (auto &[known, old] : names)
      if (known == name) {
        old = std::move(value);
        return;
      }
    names.emplace_back(name, std::move(value));
  }
};
using ScopePtr = std::shared_ptr<Scope>;

ScopePtr inside(const ScopePtr &outer) { return std::make_shared<Scope>(Scope{outer, {}}); }

enum class Flow { Next, Break, Continue };

class Evaluator {
public:
  RenderedChat run(const Body &body, std::vector<std::pair<std::string, Value>> variables) {
    auto builtIn = std::make_shared<Scope>();
    addFunctions(builtIn->names, spaces);
    auto given = std::make_shared<Scope>(Scope{builtIn, std::move(variables)});
    execute(body, inside(given));
    return std::move(chat);
  }

  /// Namespaces may hold each other, in circles too: what they hold is given back one by one.
  ~Evaluator() {
    for (const std::shared_ptr<Namespace> &space : spaces)
      space->items.clear();
  }

private:
  struct Level {
    Level(Evaluator &evaluator, size_t place) : evaluator(evaluator) {
      if (++evaluator.depth > deepest)
        throw Failure{"the template goes too deep; a macro may call itself without end", place};
    }
    ~Level() { --evaluator.depth; }
    Evaluator &evaluator;
  };

  void write(std::string_view text, size_t place);
  std::string captured(const Body &body, const ScopePtr &scope);
  Flow execute(const Body &body, const ScopePtr &scope);
  Flow execute(const Statement &statement, const ScopePtr &scope);
  Flow loop(const Statement &statement, const ScopePtr &scope);
  void assign(const Target &target, const Value &value, const ScopePtr &scope, bool isSet);
  Value macro(const Statement &statement, const ScopePtr &scope);
  Value callMacro(const Statement &statement, const std::string &name, const ScopePtr &scope,
                  const Arguments &arguments);

  Value evaluate(const Expression &expression, const ScopePtr &scope);
  Value compute(const Expression &expression, const ScopePtr &scope);
  Value call(const Expression &expression, const ScopePtr &scope, const Value *caller = nullptr);
  Value callValue(const Value &callee, const Arguments &arguments);
  Value filtered(const Expression &expression, const ScopePtr &scope, const Value *start);
  Value slice(const Expression &expression, const ScopePtr &scope);
  Value compared(const Expression &expression, const ScopePtr &scope);
  Arguments argumentsOf(const Expression &expression, const ScopePtr &scope, size_t first);

  RenderedChat chat;
  std::string *sink = nullptr; ///< what is written goes there; null: to the chat
  int message = -1, depth = 0;
  std::vector<std::shared_ptr<Namespace>> spaces; ///< all that were made
};

void Evaluator::write(std::string_view text, size_t place) {
  std::string &out = sink ? *sink : chat.text;
  if (text.size() > mostBytes - std::min(out.size(), mostBytes))
    throw Failure{"the template writes more than 256 MiB", place};
  out += text;
  if (sink || text.empty())
    return;
  if (chat.parts.empty() || chat.parts.back().message != message)
    chat.parts.push_back({0, message});
  chat.parts.back().end = out.size();
}

/// What a body writes.
std::string Evaluator::captured(const Body &body, const ScopePtr &scope) {
  std::string text;
  std::string *outer = std::exchange(sink, &text);
  try {
    execute(body, scope);
  } catch (...) {
    sink = outer;
    throw;
  }
  sink = outer;
  return text;
}

Flow Evaluator::execute(const Body &body, const ScopePtr &scope) {
  for (const Statement &statement : body)
    if (Flow flow = execute(statement, scope); flow != Flow::Next)
      return flow;
  return Flow::Next;
}

Flow Evaluator::execute(const Statement &statement, const ScopePtr &scope) {
  Level level(*this, statement.place);
  switch (statement.kind) {
  case StatementKind::Text:
    write(statement.name, statement.place);
    break;
  case StatementKind::Output:
    try {
      write(toText(evaluate(*statement.value, scope)), statement.place);
    } catch (Failure &failure) {
      if (failure.place == Failure::nowhere)
        failure.place = statement.value->place;
      throw;
    }
    break;
  case StatementKind::If:
    for (const auto &[condition, body] : statement.branches)
      if (!condition || isTrue(evaluate(*condition, scope)))
        return execute(body, scope);
    break;
  case StatementKind::For:
    return loop(statement, scope);
  case StatementKind::Set: {
    Value value;
    if (statement.value) {
      value = evaluate(*statement.value, scope);
    } else {
      value = captured(statement.body, inside(scope));
      if (statement.condition)
        value = filtered(*statement.condition, scope, &value);
    }
    assign(statement.targets[0], value, scope, true);
    break;
  }
  case StatementKind::Macro:
    scope->set(statement.name, macro(statement, scope));
    break;
  case StatementKind::CallBlock: {
    Value caller = macro(statement, scope);
    write(toText(call(*statement.value, scope, &caller)), statement.place);
    break;
  }
  case StatementKind::FilterBlock: {
    Value text = captured(statement.body, inside(scope));
    write(toText(filtered(*statement.value, scope, &text)), statement.place);
    break;
  }
  case StatementKind::With: {
    ScopePtr inner = inside(scope);
    for (size_t i = 0; i < statement.targets.size(); ++i)
      assign(statement.targets[i], evaluate(*statement.values[i], scope), inner, false);
    return execute(statement.body, inner);
  }
  case StatementKind::Break:
    return Flow::Break;
  case StatementKind::Continue:
    return Flow::Continue;
  case StatementKind::Generation:
    chat.hasMarks = true;
    return execute(statement.body, inside(scope));
  }
  return Flow::Next;
}

Flow Evaluator::loop(const Statement &statement, const ScopePtr &scope) {
  Values items;
  try {
    items = itemsOf(evaluate(*statement.value, scope));
  } catch (Failure &failure) {
    if (failure.place == Failure::nowhere)
      failure.place = statement.value->place;
    throw;
  }
  if (statement.condition)
    std::erase_if(items, [&](const Value &item) {
      ScopePtr inner = inside(scope);
      assign(statement.targets[0], item, inner, false);
      return !isTrue(evaluate(*statement.condition, inner));
    });
  if (items.empty())
    return execute(statement.otherwise, inside(scope));
  auto all = std::make_shared<const List>(List{std::move(items)});
  const int outer = message;
  Flow flow = Flow::Next;
  for (size_t i = 0; i < all->items.size() && flow != Flow::Break; ++i) {
    ScopePtr inner = inside(scope);
    assign(statement.targets[0], all->items[i], inner, false);
    inner->set("loop", std::make_shared<const Loop>(Loop{all, i}));
    const Dict *dict = all->items[i].dict();
    message = dict && dict->message >= 0 ? dict->message : outer;
    flow = execute(statement.body, inner);
  }
  message = outer;
  return Flow::Next;
}

void Evaluator::assign(const Target &target, const Value &value, const ScopePtr &scope, bool isSet) {
  if (!target.parts.empty()) {
    Values items;
    try {
      items = itemsOf(value);
    } catch (Failure &failure) {
      failure.place = target.place;
      throw;
    }
    if (items.size() != target.parts.size())
      throw Failure{fmt::format("{} values for {} names", items.size(), target.parts.size()), target.place};
    for (size_t i = 0; i < items.size(); ++i)
      assign(target.parts[i], items[i], scope, isSet);
    return;
  }
  if (target.attribute.empty())
    return scope->set(target.name, value);
  Value *found = scope->find(target.name);
  auto *space = found ? found->as<std::shared_ptr<Namespace>>() : nullptr;
  if (!space)
    throw Failure{fmt::format("'{}' is no namespace, and nothing else can be changed", target.name), target.place};
  for (auto &[name, old] : (*space)->items)
    if (name == target.attribute) {
      old = value;
      return;
    }
  (*space)->items.emplace_back(target.attribute, value);
}

/// A macro holds its scope by a weak reference, since the scope holds the macro.
Value Evaluator::macro(const Statement &statement, const ScopePtr &scope) {
  const std::string name = statement.name.empty() ? "caller" : statement.name;
  return makeFunction(name, [this, &statement, name, outer = std::weak_ptr(scope)](const Arguments &arguments) {
    ScopePtr scope = outer.lock();
    if (!scope)
      throw Failure{fmt::format("the macro '{}' is called outside of where it was made", name)};
    return callMacro(statement, name, scope, arguments);
  });
}

Value Evaluator::callMacro(const Statement &statement, const std::string &name, const ScopePtr &scope,
                           const Arguments &arguments) {
  Level level(*this, statement.place);
  const std::vector<Parameter> &parameters = statement.parameters;
  if (arguments.positional.size() > parameters.size())
    throw Failure{fmt::format("the macro '{}' takes {} arguments", name, parameters.size())};
  ScopePtr inner = inside(scope);
  for (const auto &[given, value] : arguments.named) {
    auto known =
        std::find_if(parameters.begin(), parameters.end(), [&](const Parameter &p) { return p.name == given; });
    if (known == parameters.end() && given != "caller")
      throw Failure{fmt::format("the macro '{}' has no parameter '{}'", name, given)};
    if (known != parameters.end() && known - parameters.begin() < std::ssize(arguments.positional))
      throw Failure{fmt::format("the macro '{}' is given '{}' twice", name, given)};
    inner->set(given, value);
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter &parameter = parameters[i];
    if (i < arguments.positional.size())
      inner->set(parameter.name, arguments.positional[i]);
    else if (std::none_of(arguments.named.begin(), arguments.named.end(),
                          [&](const auto &named) { return named.first == parameter.name; }))
      inner->set(parameter.name, parameter.usual
                                     ? evaluate(*parameter.usual, inner)
                                     : Value(Undefined{"parameter '" + parameter.name + "' was not provided"}));
  }
  return captured(statement.body, inner);
}

// Expressions

Value Evaluator::evaluate(const Expression &expression, const ScopePtr &scope) {
  Level level(*this, expression.place);
  try {
    return compute(expression, scope);
  } catch (Failure &failure) {
    if (failure.place == Failure::nowhere)
      failure.place = expression.place;
    throw;
  }
}

Value Evaluator::compute(const Expression &expression, const ScopePtr &scope) {
  const Expressions &parts = expression.parts;
  auto part = [&](size_t i) { return evaluate(*parts[i], scope); };
  switch (expression.kind) {
  case ExpressionKind::Constant:
    return expression.constant;
  case ExpressionKind::Name:
    if (const Value *found = scope->find(expression.name))
      return *found;
    return Undefined{"'" + expression.name + "' is undefined"};
  case ExpressionKind::List:
  case ExpressionKind::Tuple: {
    Values items;
    for (size_t i = 0; i < parts.size(); ++i)
      items.push_back(part(i));
    return makeList(std::move(items), expression.kind == ExpressionKind::Tuple);
  }
  case ExpressionKind::Dict: {
    Dict dict;
    for (size_t i = 0; i + 1 < parts.size(); i += 2) {
      Value key = part(i);
      if (key.dict() || (key.list() && !key.list()->isTuple))
        throw Failure{fmt::format("a {} cannot be a key", typeName(key))};
      if (const Value *old = find(dict, key))
        *const_cast<Value *>(old) = part(i + 1); // of this dictionary, which is not shared yet
      else
        dict.items.emplace_back(std::move(key), part(i + 1));
    }
    return makeDict(std::move(dict.items));
  }
  case ExpressionKind::Attribute:
    return attributeOf(part(0), expression.name);
  case ExpressionKind::Item:
    return itemOf(part(0), part(1));
  case ExpressionKind::Slice:
    return slice(expression, scope);
  case ExpressionKind::Call:
    return call(expression, scope);
  case ExpressionKind::Filter:
    return filtered(expression, scope, nullptr);
  case ExpressionKind::Test: {
    Value value = part(0);
    return applyTest(expression.name, value, argumentsOf(expression, scope, 1));
  }
  case ExpressionKind::Not:
    return !isTrue(part(0));
  case ExpressionKind::Negative:
  case ExpressionKind::Positive:
    return signedValue(part(0), expression.kind == ExpressionKind::Negative);
  case ExpressionKind::And:
  case ExpressionKind::Or: {
    Value left = part(0);
    return isTrue(left) == (expression.kind == ExpressionKind::Or) ? left : part(1);
  }
  case ExpressionKind::Choice:
    if (isTrue(part(0)))
      return part(1);
    if (parts[2])
      return part(2);
    return Undefined{"the inline if-expression evaluated to false and no else section was defined"};
  case ExpressionKind::Binary: {
    Value left = part(0);
    return binary(expression.name, left, part(1));
  }
  case ExpressionKind::Compare:
    return compared(expression, scope);
  case ExpressionKind::Together: {
    std::string text;
    for (size_t i = 0; i < parts.size(); ++i)
      text += toText(part(i));
    return text;
  }
  }
  return {};
}

Value Evaluator::compared(const Expression &expression, const ScopePtr &scope) {
  Value left = evaluate(*expression.parts[0], scope);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    const std::string &name = expression.operators[i];
    Value right = evaluate(*expression.parts[i + 1], scope);
    bool holds = name == "=="       ? areEqual(left, right)
                 : name == "!="     ? !areEqual(left, right)
                 : name == "in"     ? contains(right, left)
                 : name == "not in" ? !contains(right, left)
                 : name == "<"      ? compare(left, right) < 0
                 : name == "<="     ? compare(left, right) <= 0
                 : name == ">"      ? compare(left, right) > 0
                                    : compare(left, right) >= 0;
    if (!holds)
      return false;
    left = std::move(right);
  }
  return true;
}

Arguments Evaluator::argumentsOf(const Expression &expression, const ScopePtr &scope, size_t first) {
  Arguments arguments;
  arguments.place = expression.place;
  for (size_t i = first; i < expression.parts.size(); ++i)
    arguments.positional.push_back(evaluate(*expression.parts[i], scope));
  for (const NamedArgument &named : expression.named)
    arguments.named.emplace_back(named.name, evaluate(*named.value, scope));
  return arguments;
}

Value Evaluator::callValue(const Value &callee, const Arguments &arguments) {
  if (const Undefined *undefined = callee.as<Undefined>())
    throw Failure{undefined->why};
  if (auto *function = callee.as<std::shared_ptr<const Function>>())
    return (*function)->call(arguments);
  throw Failure{fmt::format("a {} cannot be called", typeName(callee))};
}

Value Evaluator::call(const Expression &expression, const ScopePtr &scope, const Value *caller) {
  const Expression &callee = *expression.parts[0];
  // A method is called without making a function of it first.
  if (callee.kind == ExpressionKind::Attribute) {
    Value self = evaluate(*callee.parts[0], scope), result;
    Arguments arguments = argumentsOf(expression, scope, 1);
    if (callMethod(self, callee.name, arguments, result))
      return result;
    if (caller)
      arguments.named.emplace_back("caller", *caller);
    return callValue(attributeOf(self, callee.name), arguments);
  }
  Value function = evaluate(callee, scope);
  Arguments arguments = argumentsOf(expression, scope, 1);
  if (caller)
    arguments.named.emplace_back("caller", *caller);
  return callValue(function, arguments);
}

Value Evaluator::filtered(const Expression &expression, const ScopePtr &scope, const Value *start) {
  // The innermost of the filters of a block has no value of its own.
  const Expression *inner = expression.parts[0].get();
  Value value = !inner                                           ? *start
                : start && inner->kind == ExpressionKind::Filter ? filtered(*inner, scope, start)
                                                                 : evaluate(*inner, scope);
  Arguments arguments = argumentsOf(expression, scope, 1);
  try {
    return applyFilter(expression.name, value, arguments);
  } catch (Failure &failure) {
    if (failure.place == Failure::nowhere)
      failure.place = expression.place;
    throw;
  }
}

Value Evaluator::slice(const Expression &expression, const ScopePtr &scope) {
  Value value = evaluate(*expression.parts[0], scope);
  int64_t bounds[3] = {0, 0, 1};
  bool isGiven[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    if (!expression.parts[i + 1])
      continue;
    Value bound = evaluate(*expression.parts[i + 1], scope);
    if (bound.isNone())
      continue;
    int64_t space;
    const int64_t *number = bound.integer(space);
    if (!number)
      throw Failure{fmt::format("a part from a {} on is no part", typeName(bound))};
    bounds[i] = *number;
    isGiven[i] = true;
  }
  const int64_t step = bounds[2];
  if (step == 0)
    throw Failure{"a step of 0"};
  if (value.isUndefined())
    throw Failure{value.as<Undefined>()->why};
  if (!value.text() && !value.list())
    return Undefined{fmt::format("a {} has no parts", typeName(value))};
  const Values items = itemsOf(value);
  const int64_t size = std::ssize(items);
  auto clamp = [&](int64_t bound) {
    if (bound < 0)
      bound = bound < -size ? -1 : bound + size;
    return step > 0 ? std::clamp<int64_t>(bound, 0, size) : std::clamp<int64_t>(bound, -1, size - 1);
  };
  int64_t begin = isGiven[0] ? clamp(bounds[0]) : step > 0 ? 0 : size - 1;
  int64_t end = isGiven[1] ? clamp(bounds[1]) : step > 0 ? size : -1;
  Values taken;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    taken.push_back(items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  if (value.list())
    return makeList(std::move(taken), value.list()->isTuple);
  std::string text;
  for (const Value &character : taken)
    text += *character.text();
  return text;
}

} // namespace

RenderedChat renderTemplate(const Body &body, std::vector<std::pair<std::string, Value>> variables) {
  return Evaluator().run(body, std::move(variables));
}

} // namespace ftc::jinja

//===- Ast.h - A template as a tree -------------------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_TOKENIZER_TEMPLATE_AST_H
#define FTC_LIB_TOKENIZER_TEMPLATE_AST_H

#include "Value.h"

namespace ftc::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
using Expressions = std::vector<ExpressionPtr>;

struct NamedArgument {
  std::string name;
  ExpressionPtr value;
};

enum class ExpressionKind {
  Constant,
  Name,
  List,
  Tuple,
  Dict,      ///< keys and values in turn
  Attribute, ///< of the one part: `name`
  Item,      ///< of the first part: the second
  Slice,     ///< of the first part: begin, end, step, each of which may be null
  Call,      ///< of the first part, with the others
  Filter,    ///< `name`; the first part, null in a {% filter %}, and arguments
  Test,      ///< `name`; the first part, and arguments
  Not,
  Negative,
  Positive,
  And,
  Or,
  Choice,   ///< condition, then, else, which may be null
  Binary,   ///< `name` is the operator
  Compare,  ///< `operators` between the parts
  Together, ///< ~ of all parts
};

struct Expression {
  ExpressionKind kind;
  size_t place;
  std::string name = "";
  Value constant = {};
  Expressions parts = {};
  std::vector<NamedArgument> named = {};
  std::vector<std::string> operators = {};
};

/// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  size_t place = 0;
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Statement;
using Body = std::vector<Statement>;

enum class StatementKind {
  Text,      ///< `name` is written
  Output,    ///< `value` is
  If,        ///< bodies by condition; a null one is else
  For,       ///< bodies: turns, else. `value` the items, `condition` those that count
  Set,       ///< `value`, or what the body writes, through `filters`
  Macro,     ///< `name`, `parameters`
  CallBlock, ///< `value` is the call, the body its caller
  FilterBlock,
  With,
  Break,
  Continue,
  Generation, ///< a body in a scope of its own
};

struct Parameter {
  std::string name;
  ExpressionPtr usual;
};

struct Statement {
  StatementKind kind;
  size_t place;
  std::string name = "";
  ExpressionPtr value = nullptr, condition = nullptr;
  std::vector<Target> targets = {};
  Expressions values = {};
  std::vector<Parameter> parameters = {};
  std::vector<std::pair<ExpressionPtr, Body>> branches = {};
  Body body = {}, otherwise = {};
};

/// The tree of a normalized source. Throws. Filters and tests that are not built are errors here.
Body parseTemplate(std::string_view source);

/// Whether there is such a filter or test.
bool isFilter(std::string_view name);
bool isTest(std::string_view name);

} // namespace ftc::jinja

#endif // FTC_LIB_TOKENIZER_TEMPLATE_AST_H

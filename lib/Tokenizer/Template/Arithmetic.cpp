//===- Arithmetic.cpp - Python's arithmetic -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace ftc::jinja {

namespace {

/// Bytes of a text or list that is repeated.
constexpr size_t mostBytes = size_t(1) << 28;

double realOf(const Value &value) {
  int64_t space;
  if (const int64_t *number = value.integer(space))
    return static_cast<double>(*number);
  return *value.as<double>();
}

bool isNumber(const Value &value) {
  int64_t space;
  return value.integer(space) || value.as<double>();
}

/// Python's arithmetic on whole numbers.
Value wholeResult(char op, bool isDouble, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  if ((op == '/' || op == '%') && b == 0)
    throw Failure{"division by zero"};
  switch (op) {
  case '+':
    overflows = __builtin_add_overflow(a, b, &result);
    break;
  case '-':
    overflows = __builtin_sub_overflow(a, b, &result);
    break;
  case '/':
    if (!isDouble)
      return static_cast<double>(a) / static_cast<double>(b);
    overflows = a == INT64_MIN && b == -1;
    if (!overflows)
      result = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
    break;
  case '%':
    result = b == -1 ? 0 : a % b;
    if (result != 0 && (result < 0) != (b < 0))
      result += b;
    break;
  default:
    if (!isDouble) {
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    }
    if (b < 0)
      return std::pow(static_cast<double>(a), static_cast<double>(b));
    result = 1;
    for (int64_t i = 0; i < b && !overflows && a != 1 && result != 0; ++i)
      overflows = __builtin_mul_overflow(result, a, &result) || i > 1000;
    break;
  }
  if (overflows)
    throw Failure{"a number beyond 64 bits"};
  return result;
}

Value repeated(const Value &value, int64_t times) {
  const size_t count = static_cast<size_t>(std::max<int64_t>(times, 0));
  const size_t size = value.text() ? value.text()->size() : value.list()->items.size() * sizeof(Value);
  if (size && count > mostBytes / size)
    throw Failure{"a text or list of more than 256 MiB"};
  std::string text;
  Values items;
  for (size_t i = 0; i < count && size; ++i)
    if (value.text())
      text += *value.text();
    else
      items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
  return value.text() ? Value(std::move(text)) : makeList(std::move(items), value.list()->isTuple);
}

} // namespace

Value signedValue(const Value &value, bool isNegative) {
  int64_t space;
  if (const Undefined *undefined = value.as<Undefined>())
    throw Failure{undefined->why};
  if (const int64_t *number = value.integer(space)) {
    if (isNegative && *number == INT64_MIN)
      throw Failure{"a number beyond 64 bits"};
    return isNegative ? -*number : *number;
  }
  if (const double *number = value.as<double>())
    return isNegative ? -*number : *number;
  throw Failure{fmt::format("a sign before a {}", typeName(value))};
}

Value binary(const std::string &name, const Value &left, const Value &right) {
  for (const Value *value : {&left, &right})
    if (const Undefined *undefined = value->as<Undefined>())
      throw Failure{undefined->why};
  const char op = name[0];
  int64_t one, two;
  const int64_t *a = left.integer(one), *b = right.integer(two);
  if (a && b)
    return wholeResult(op, name.size() == 2, *a, *b);
  if (isNumber(left) && isNumber(right)) {
    double x = realOf(left), y = realOf(right);
    if ((op == '/' || op == '%') && y == 0)
      throw Failure{"division by zero"};
    switch (op) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '/':
      return name.size() == 2 ? std::floor(x / y) : x / y;
    case '%':
      return x - y * std::floor(x / y);
    default:
      return name.size() == 2 ? std::pow(x, y) : x * y;
    }
  }
  if (op == '+' && left.text() && right.text())
    return *left.text() + *right.text();
  if (op == '+' && left.list() && right.list() && left.list()->isTuple == right.list()->isTuple) {
    Values items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return makeList(std::move(items), left.list()->isTuple);
  }
  if (name == "*" && b && (left.text() || left.list()))
    return repeated(left, *b);
  if (name == "*" && a && (right.text() || right.list()))
    return repeated(right, *a);
  if (op == '%' && left.text())
    throw Failure{"text % values is not built; write it with ~"};
  throw Failure{fmt::format("'{}' does not work on a {} and a {}{}", name, typeName(left), typeName(right),
                            op == '+' && (left.text() || right.text()) ? "; ~ joins any values as text" : "")};
}

} // namespace ftc::jinja

//===- Reference.h - Names of a reference model's weights ----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A loss of preferences compares the model that is trained with itself as it was before. Where all of its parameters
// are trained, that is a frozen copy of each, under the parameter's name behind a prefix.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_REFERENCE_H
#define FTC_SUPPORT_REFERENCE_H

#include <string_view>

namespace ftc {

/// Begins the names of a reference's weights.
inline constexpr std::string_view referencePrefix = "reference.";

constexpr bool isOfReference(std::string_view name) { return name.starts_with(referencePrefix); }

/// The parameter that a weight of a reference is the copy of; any other name as it is.
constexpr std::string_view parameterOf(std::string_view name) {
  return isOfReference(name) ? name.substr(referencePrefix.size()) : name;
}

} // namespace ftc

#endif // FTC_SUPPORT_REFERENCE_H

//===- Keys.h - The one table of recipe keys -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_KEYS_H
#define FTC_CONFIG_KEYS_H

#include "ftc/Config/Recipe.h"

#include <string>
#include <vector>

namespace ftc {

/// What is written as a key's value.
enum class ValueType { Int, Float, Bool, Text, TextList, FloatPair, FloatList, Any };

/// One key of a recipe. The table of these is what parsing accepts, what `ftrun` may override, the order of
/// Recipe::normalizedYaml and the table in docs/recipes.md.
struct KeyInfo {
  const char *path; ///< dotted; a key of type Any covers everything below it
  KeyClass keyClass;
  ValueType type;
  const char *fallback;   ///< value when absent, as text; "" when there is none or it depends
  const char *components; ///< blank-separated last words of the components that take this argument; "" for all
  /// Not null: `fallback` is the only value that works today; the text says what to do instead of another.
  const char *onlyFallback;
  const char *meaning;
};

/// All keys, in the order of docs/recipes.md.
const std::vector<KeyInfo> &keyTable();

/// The table of docs/recipes.md, Markdown, ends with a newline.
std::string keyTableMarkdown();

/// Whether a message is the warning that the key `device` asks for something else than the CPU. A compiler that was
/// told to compile for that leaves it out.
bool isAboutDevice(const Diagnostic &message);

/// "compiled", "run", "no effect".
const char *keyClassName(KeyClass keyClass);

} // namespace ftc

#endif // FTC_CONFIG_KEYS_H

//===- Wrap.cpp - Text in lines of a width -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Wrap.h"

namespace ftc {

std::string wrapped(std::string_view text, size_t width) {
  std::string result(text);
  size_t begin = 0, blank = std::string::npos; // of the line, and its last blank so far
  for (size_t at = 0; at < result.size(); ++at) {
    if (result[at] == '\n') {
      begin = at + 1;
      blank = std::string::npos;
      continue;
    }
    if (result[at] == ' ')
      blank = at;
    // The line with this letter would be too long.
    if (at - begin >= width && blank != std::string::npos) {
      result[blank] = '\n';
      begin = blank + 1;
      blank = std::string::npos;
    }
  }
  return result;
}

} // namespace ftc

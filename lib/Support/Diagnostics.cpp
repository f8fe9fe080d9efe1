//===- Diagnostics.cpp - Messages with a place, a cause and a way out ----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Diagnostics.h"

namespace ftc {

std::string Diagnostic::str() const {
  std::string result;
  if (!file.empty()) {
    result += file + ":";
    if (line > 0) {
      result += std::to_string(line) + ":";
      if (column > 0)
        result += std::to_string(column) + ":";
    }
    result += " ";
  }
  switch (severity) {
  case Severity::Error:
    result += "error: ";
    break;
  case Severity::Warning:
    result += "warning: ";
    break;
  case Severity::Remark:
    result += "remark: ";
    break;
  }
  return result + message;
}

} // namespace ftc

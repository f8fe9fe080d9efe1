//===- Diagnostics.h - Messages with a place, a cause and a way out ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_DIAGNOSTICS_H
#define FTC_SUPPORT_DIAGNOSTICS_H

#include <string>

namespace ftc {

enum class Severity { Error, Warning, Remark };

/// One message. `line` and `column` count from 1; 0 when unknown.
struct Diagnostic {
  Severity severity = Severity::Error;
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;

  /// "file:line:column: error: message"
  std::string str() const;
};

} // namespace ftc

#endif // FTC_SUPPORT_DIAGNOSTICS_H

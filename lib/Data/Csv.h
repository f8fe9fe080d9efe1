//===- Csv.h - Rows of a CSV file ------------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_CSV_H
#define FTC_LIB_DATA_CSV_H

#include <functional>
#include <istream>
#include <string>
#include <vector>

namespace ftc {

/// A table as RFC 4180 has it: cells between `delimiter`s, in double quotes where they hold one, a quote (written
/// twice) or the end of a line. Memory holds one row.
struct CsvReader {
  /// A row that is not blank, and the line, from 1, at which it begins. False: it is enough.
  std::function<bool(std::vector<std::string> &cells, int line)> row;
  /// Something is wrong there. Nothing more is read.
  std::function<void(int line, int column, std::string message)> error;

  /// Reads all of `in`, whose byte order mark is dropped.
  void read(std::istream &in, char delimiter);
};

} // namespace ftc

#endif // FTC_LIB_DATA_CSV_H

//===- Csv.cpp - Rows of a CSV file ----------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// libcsv finds the cells. It is strict here: what it would else guess at, a quote inside of a cell without quotes or
// text behind a closing one, can swallow the rows that follow. It gets one line after the other, because it does not
// say where it is.
//
//===----------------------------------------------------------------------===//

#include "Csv.h"

#include <csv.h>

using namespace ftc;

namespace {

/// What libcsv hands over, and where.
struct Rows {
  CsvReader &reader;
  std::vector<std::string> cells = {};
  int line = 0, begin = 0; ///< of the text that is parsed, and of the row
  bool isInside = false;   ///< of a row
  bool isEnough = false;

  static void cell(void *text, size_t size, void *self) {
    static_cast<Rows *>(self)->cells.emplace_back(static_cast<const char *>(text), size);
  }
  static void end(int, void *self) { static_cast<Rows *>(self)->end(); }

  void end() {
    if (!isEnough && !cells.empty())
      isEnough = !reader.row(cells, begin);
    cells.clear();
    isInside = false;
  }
};

} // namespace

void CsvReader::read(std::istream &in, char delimiter) {
  csv_parser parser;
  csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI);
  csv_set_delim(&parser, static_cast<unsigned char>(delimiter));
  csv_set_space_func(&parser, [](unsigned char) { return 0; }); // blanks belong to a cell
  Rows rows{*this};
  std::string text;
  bool isWhole = true;
  while (isWhole && !rows.isEnough && std::getline(in, text)) {
    if (++rows.line == 1 && text.starts_with("\xEF\xBB\xBF"))
      text.erase(0, 3);
    if (!rows.isInside && text.find_first_not_of('\r') != text.npos) {
      rows.begin = rows.line;
      rows.isInside = true;
    }
    if (!in.eof())
      text += '\n';
    const size_t taken = csv_parse(&parser, text.data(), text.size(), Rows::cell, Rows::end, &rows);
    isWhole = taken == text.size();
    if (!isWhole)
      error(rows.line, static_cast<int>(taken) + 1,
            csv_error(&parser) == CSV_EPARSE
                ? "a double quote out of place: a cell with quotes in it is written in quotes, with each of its own "
                  "twice (\"say \"\"yes\"\"\")"
                : csv_strerror(csv_error(&parser)));
  }
  if (isWhole && !rows.isEnough && csv_fini(&parser, Rows::cell, Rows::end, &rows) != 0)
    error(rows.begin, 0, "the file ends inside of the quotes of a cell, in the row that begins here");
  csv_free(&parser);
}

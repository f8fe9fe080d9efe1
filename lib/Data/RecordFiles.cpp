//===- RecordFiles.cpp - Files of records ------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// However records are written, they are read one at a time, and become objects of JSON: a row of CSV one whose values
// are texts, a line of a text one with a text alone.
//
//===----------------------------------------------------------------------===//

#include "Csv.h"
#include "Records.h"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

using namespace ftc;
using nlohmann::json;

namespace {

/// Of errors that are told: different messages, and all together, behind which a file is read no further.
constexpr size_t maxErrors = 20;
constexpr int64_t maxFaults = 1000;
constexpr std::string_view byteOrderMark = "\xEF\xBB\xBF";
/// What nlohmann-json says, without its own place and number: the place is in the diagnostic.
std::string reason(const json::exception &error) {
  std::string_view what = error.what();
  if (size_t end = what.find("] "); end != what.npos)
    what.remove_prefix(end + 2);
  if (what.starts_with("parse error"))
    if (size_t end = what.find(": "); end != what.npos)
      what.remove_prefix(end + 2);
  return std::string(what);
}

/// Index of the byte at which parsing ended, from 1; 0 where the library does not say, as for a number that is too
/// large.
size_t placeOf(const json::exception &error) {
  const auto *parse = dynamic_cast<const json::parse_error *>(&error);
  return parse ? parse->byte : 0;
}

/// Line and column, from 1; 0: not known.
struct Place {
  int line = 0, column = 0;
};

/// Of byte `offset` of a file.
Place placeIn(const std::string &path, int64_t offset) {
  if (offset < 0)
    return {};
  std::ifstream in(path, std::ios::binary);
  Place place{1, 1};
  char letter;
  for (int64_t at = 0; at < offset && in.get(letter); ++at) {
    place.column = letter == '\n' ? 1 : place.column + 1;
    place.line += letter == '\n';
  }
  return place;
}

/// Where a record begins: a line, or only a byte of a list, whose line is counted when somebody asks.
struct Origin {
  Place place;
  int64_t offset = -1;

  Place in(const std::string &path) const { return offset < 0 ? place : placeIn(path, offset); }
};

/// What the first key of a .json file's object is whose value is a list; "": none.
std::string firstList(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::string key;
  bool isFound = false;
  struct Enough {};
  auto look = [&](int depth, json::parse_event_t event, json &value) {
    if (depth == 1 && event == json::parse_event_t::key)
      key = value.get<std::string>();
    isFound = depth == 1 && event == json::parse_event_t::array_start;
    if (isFound)
      throw Enough{};
    return true;
  };
  try {
    static_cast<void>(json::parse(in, look));
  } catch (const Enough &) {
  } catch (const json::exception &) { // told as what it is: no list
  }
  return isFound ? key : "";
}

std::string whyNoList(const std::string &path) {
  std::error_code error;
  const std::string key = std::filesystem::is_regular_file(path, error) ? firstList(path) : "";
  const std::string whole = "a .json data file holds one list of objects, or an object on each line";
  return key.empty() ? whole
                     : fmt::format("{}; this is one object, whose list '{}' can be written so in Python: "
                                   "open(\"x.jsonl\", \"w\").writelines(json.dumps(r) + \"\\n\" for r in "
                                   "json.load(open(\"{}\"))[\"{}\"])",
                                   whole, key, path, key);
}

/// Reads a JSON object a line, the first of which, `text`, is line `line`, with `between` blank lines behind it that
/// are read already. `use(record, origin, where)` says false when it is enough; `report(place, message)` tells an
/// error, and says so too.
template <typename Use, typename Report>
void readLines(std::istream &in, int line, std::string text, int between, Use use, Report report) {
  do {
    size_t mark = line == 1 && text.starts_with(byteOrderMark) ? byteOrderMark.size() : 0;
    size_t begin = text.find_first_not_of(" \t\r", mark);
    if (begin == text.npos)
      continue;
    json record;
    try {
      record = json::parse(std::string_view(text).substr(mark));
    } catch (const json::exception &error) {
      size_t byte = placeOf(error);
      if (!report({line, static_cast<int>(byte ? mark + byte : begin + 1)}, "bad JSON: " + reason(error)))
        return;
      continue;
    }
    // A record's place is where it begins.
    if (!use(record, Origin{{line, static_cast<int>(begin) + 1}}, ""))
      return;
  } while (line += 1 + std::exchange(between, 0), std::getline(in, text));
}

/// Passes over blank lines. Returns how many.
int skipBlank(std::istream &in) {
  int lines = 0;
  for (int next = in.peek(); next != EOF && std::isspace(next); next = in.peek())
    lines += in.get() == '\n';
  return lines;
}

/// Passes over a byte order mark. Whether there was one.
bool skipMark(std::istream &in) {
  size_t read = 0;
  for (; read < byteOrderMark.size() && in.peek() == static_cast<unsigned char>(byteOrderMark[read]); ++read)
    in.get();
  if (read == byteOrderMark.size())
    return true;
  for (; read; --read)
    in.unget(); // which the buffer still has
  return false;
}

/// Whether `text` is one object, and is a record itself: none of its values is a list of objects, which are the records
/// then, unless these are messages. Of what it holds no more is kept than its keys.
bool isRecord(const std::string &text) {
  bool isList = false, isMessage = false;
  struct Enough {};
  auto look = [&](int depth, json::parse_event_t event, json &value) {
    using Event = json::parse_event_t;
    if (depth == 0)
      return event != Event::array_start && event != Event::value;
    if (depth == 1 && (event == Event::array_start || event == Event::array_end))
      isList = event == Event::array_start;
    if (isList && depth == 2 && event == Event::object_start)
      isMessage = false;
    if (isList && depth == 3 && event == Event::key)
      isMessage |= value == "role" || value == "from";
    if (isList && depth == 2 && event == Event::object_end && !isMessage)
      throw Enough{};
    return event != Event::object_end && event != Event::array_end && event != Event::value;
  };
  try {
    return json::parse(text, look).is_object();
  } catch (const Enough &) {
  } catch (const json::exception &) { // told as what it is: no list
  }
  return false;
}

/// Whether the line `text` is the first of objects on a line each. `rest`: what is behind it and blank lines.
bool areLines(const std::string &text, std::istream &rest) {
  const int next = rest.peek();
  return (next == '{' && json::accept(text)) || (next == EOF && isRecord(text));
}

/// Reads one JSON array, an element at a time: memory holds one of them; or objects on a line each, which
/// Hugging Face's files of this name may hold too.
template <typename Use, typename Report>
void readArray(std::istream &in, const std::string &path, Use use, Report report) {
  const bool isMarked = skipMark(in);
  if (in.peek() == std::istream::traits_type::eof()) {
    report(Place{}, "the file is empty");
    return;
  }
  const int blank = skipBlank(in);
  if (in.peek() == '{') {
    std::string text;
    std::getline(in, text);
    const int between = skipBlank(in);
    if (!areLines(text, in)) {
      report(Place{}, whyNoList(path));
      return;
    }
    if (isMarked && blank == 0)
      text.insert(0, byteOrderMark); // as lines of other files have it, for the columns
    return readLines(in, blank + 1, std::move(text), between, use, report);
  }
  in.clear();
  // Where the parser is, which takes one character after the other; below 0 in what has no places (a pipe).
  auto offset = [&] { return int64_t(in.rdbuf()->pubseekoff(0, std::ios::cur, std::ios::in)); };
  const int64_t start = offset();
  struct Enough {};
  bool isList = false;
  int64_t begin = -1, count = 0;
  auto element = [&](int depth, json::parse_event_t event, json &value) {
    using Event = json::parse_event_t;
    if (depth == 0)
      isList = event == Event::array_start || event == Event::array_end;
    if (depth != 1 || !isList)
      return true;
    if (event == Event::object_start || event == Event::array_start)
      begin = offset() - 1;
    if (event != Event::object_end && event != Event::array_end && event != Event::value)
      return true;
    if (!use(value, Origin{{}, event == Event::value ? -1 : begin}, fmt::format("record {}: ", ++count)))
      throw Enough{};
    return false; // and it is forgotten
  };
  try {
    if (!json::parse(in, element).is_array())
      report(Place{}, whyNoList(path));
  } catch (const Enough &) {
  } catch (const json::exception &error) {
    size_t byte = placeOf(error);
    report(byte && start >= 0 ? placeIn(path, start + static_cast<int64_t>(byte) - 1) : Place{},
           (byte ? "" : "bad JSON: ") + reason(error));
  }
}

/// Reads a row a line, below one with the names of the columns.
template <typename Use, typename Report> void readTable(std::istream &in, char delimiter, Use use, Report report) {
  std::vector<std::string> names;
  auto take = [&](std::vector<std::string> &cells, int line) -> bool {
    if (names.empty()) {
      names = cells;
      std::set<std::string> seen;
      for (const std::string &name : names)
        if (!seen.insert(name).second)
          return report(Place{line, 0}, fmt::format("two columns are called '{}'", name)) && false;
      return true;
    }
    if (cells.size() != names.size())
      return report(Place{line, 0},
                    fmt::format("the row has {} cells, and {} columns are named ({}): a cell with {} or the end of a "
                                "line in it is written in double quotes",
                                cells.size(), names.size(), fmt::join(names, ", "),
                                delimiter == ',' ? "a comma" : "a tab"));
    json record = json::object();
    for (size_t i = 0; i < names.size(); ++i)
      record[names[i]] = std::move(cells[i]);
    return use(record, Origin{{line, 0}}, "");
  };
  bool isBroken = false;
  CsvReader{take,
            [&](int line, int column, const std::string &message) {
              isBroken = true;
              report(Place{line, column}, message);
            }}
      .read(in, delimiter);
  if (names.empty() && !isBroken)
    report(Place{}, "the file is empty; its first line names the columns");
}

/// Reads each line as a text, as Hugging Face's `text` does it.
template <typename Use, typename Report> void readTexts(std::istream &in, Use use, Report report) {
  std::string text;
  for (int line = 1; std::getline(in, text); ++line) {
    if (line == 1 && text.starts_with(byteOrderMark))
      text.erase(0, byteOrderMark.size());
    if (text.ends_with('\r'))
      text.pop_back();
    if (text.find('\0') != text.npos) {
      report(Place{line, 0}, "this is not text (it holds a zero byte)");
      return;
    }
    if (!use(json(text), Origin{{line, 0}}, ""))
      return;
  }
}

/// Reads a file's records.
template <typename Use, typename Report>
void walk(const std::string &path, RecordFormat format, Use use, Report report) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    report(Place{}, fmt::format("cannot read: {}", std::strerror(errno)));
    return;
  }
  switch (format) {
  case RecordFormat::Lines:
    if (std::string first; std::getline(in, first))
      readLines(in, 1, std::move(first), 0, use, report);
    break;
  case RecordFormat::List:
    readArray(in, path, use, report);
    break;
  case RecordFormat::Commas:
  case RecordFormat::Tabs:
    readTable(in, format == RecordFormat::Commas ? ',' : '\t', use, report);
    break;
  case RecordFormat::Texts:
    readTexts(in, use, report);
    break;
  }
  if (in.bad())
    report(Place{}, "cannot read to the end");
}

} // namespace

bool ftc::holdsList(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  skipMark(in);
  skipBlank(in);
  if (in.peek() == '{') {
    std::string text;
    std::getline(in, text);
    skipBlank(in);
    return in.peek() == '{' && json::accept(text);
  }
  if (in.get() != '[')
    return false;
  skipBlank(in);
  return in.peek() == '{';
}

bool ftc::holdsRecordOf(const std::string &path, const DataOptions &options) {
  std::ifstream in(path, std::ios::binary);
  skipMark(in);
  skipBlank(in);
  if (in.peek() != '{')
    return false;
  std::string text;
  std::getline(in, text);
  skipBlank(in);
  if (in.peek() != EOF || !isRecord(text))
    return false;
  const json record = json::parse(text, nullptr, /*allow_exceptions=*/false);
  switch (options.records) {
  case RecordKind::TextOrChat:
    return record.contains(options.column) || record.contains("messages");
  case RecordKind::Chat:
  case RecordKind::ShareGpt:
    return record.contains(options.column);
  case RecordKind::Instruct:
  case RecordKind::Alpaca:
    return record.contains(options.outputKey);
  case RecordKind::Pairs:
  case RecordKind::PairsOfTexts:
    return record.contains(options.chosenKey);
  }
  return false;
}

bool ftc::readRecords(const std::string &path, RecordFormat format, const DataOptions &options,
                      const Tokenizer &tokenizer, RecordCounts &counts, SampleSink sink, void *context,
                      std::vector<Diagnostic> &diags) {
  int64_t errors = 0;
  // One cause is told once: where it is met first, and how often after that.
  std::map<std::string, std::pair<size_t, int64_t>> told; // the place in `diags`, and how many more
  auto report = [&](Place place, const std::string &message, const std::string &where = "") {
    if (++errors > maxFaults)
      return false;
    const auto [found, isNew] = told.try_emplace(message, diags.size(), 0);
    if (isNew)
      diags.push_back({Severity::Error, path, place.line, place.column, where + message});
    else
      ++found->second.second;
    return told.size() < maxErrors;
  };
  Sample sample;
  auto use = [&](const json &record, const Origin &origin, const std::string &where) {
    const int64_t index = counts.seen++;
    if (index < counts.first || index >= counts.last)
      return true;
    sample.clear();
    if (record.is_string() && format == RecordFormat::Texts) {
      const std::string &text = record.get_ref<const std::string &>();
      if (text.empty())
        ++counts.empty;
      else
        encodeText(text, tokenizer, options.addEos, sample);
    } else if (std::optional<std::string> problem = encodeRecord(record, options, tokenizer, counts, sample)) {
      // Counting lines for a place takes long, and only the first of a cause has one.
      return report(told.contains(*problem) ? Place{} : origin.in(path), *problem, where);
    }
    sample.line = origin.place.line;
    sample.offset = origin.offset;
    if (!sample.ids.empty() && !errors)
      sink(context, sample);
    return true;
  };
  walk(path, format, use, report);
  for (const auto &[message, count] : told)
    if (const auto &[index, more] = count; more > 0)
      diags[index].message +=
          fmt::format("; and in {}{} more record{}", errors > maxFaults ? "at least " : "", more, more == 1 ? "" : "s");
  return !errors;
}

int ftc::lineAt(const std::string &path, int64_t offset) { return placeIn(path, offset).line; }

void ftc::countRecords(const std::string &path, RecordFormat format, int64_t &count) {
  if (format == RecordFormat::Lines) { // which are many, and need not be understood for that
    std::ifstream in(path, std::ios::binary);
    std::string text;
    for (bool isFirst = true; std::getline(in, text); isFirst = false) {
      const size_t mark = isFirst && text.starts_with(byteOrderMark) ? byteOrderMark.size() : 0;
      count += text.find_first_not_of(" \t\r", mark) != text.npos;
    }
    return;
  }
  walk(
      path, format, [&](const json &, const Origin &, const std::string &) { return ++count; },
      [](Place, const std::string &) { return true; });
}

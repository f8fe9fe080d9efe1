//===- Remarks.cpp - What the passes decided ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/Remarks.h"

#include "ftc/Support/Units.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace ftc;

void RemarkCollector::streamOptimizationRemark(const remark::detail::Remark &remark) {
  RemarkRecord record;
  record.pass = remark.getCategoryName().str();
  record.done = remark.getRemarkType() == llvm::remarks::Type::Passed;
  llvm::raw_string_ostream where(record.where);
  if (auto named = dyn_cast<NameLoc>(remark.getLocation()))
    where << named.getName().getValue();
  // The innermost name is the entry's; a kernel of several ops has a place with several.
  remark.getLocation()->walk([&](Location loc) {
    auto named = dyn_cast<NameLoc>(loc);
    if (!named)
      return WalkResult::advance();
    while (auto outer = dyn_cast<NameLoc>(named.getChildLoc()))
      named = outer;
    record.entry = named.getName().str();
    return WalkResult::interrupt();
  });
  for (const remark::detail::Remark::Arg &argument : remark.getArgs()) {
    int64_t number = 0;
    if (argument.key != "Remark" && !StringRef(argument.val).getAsInteger(10, number))
      record.metrics.emplace_back(argument.key, number);
    else
      record.text += (record.text.empty() ? "" : " ") + argument.val;
  }
  records.push_back(std::move(record));
}

int64_t RemarkRecord::bytes() const {
  for (const auto &[key, value] : metrics)
    if (key == "bytes_saved" || key == "bytes" || key == "traffic_saved")
      return value;
  return 0;
}

bool RemarkRecord::isOfShorterRows() const {
  StringRef digits = StringRef(entry).rsplit('_').second;
  return !digits.empty() && llvm::all_of(digits, llvm::isDigit);
}

std::string RemarkRecord::message() const {
  std::string all = text;
  for (const auto &[key, value] : metrics)
    all += (all.empty() ? "" : ", ") + key + " " + std::to_string(value);
  return all;
}

/// "saves 12 MiB, flops 3.1e+09".
static std::string inWords(ArrayRef<std::pair<std::string, int64_t>> metrics) {
  std::string words;
  llvm::raw_string_ostream out(words);
  llvm::ListSeparator comma;
  for (const auto &[key, value] : metrics) {
    out << comma;
    StringRef name = key;
    if (name == "bytes_saved")
      out << "saves " << formatBytes(static_cast<uint64_t>(std::max<int64_t>(value, 0)));
    else if (name == "traffic_saved")
      out << formatBytes(static_cast<uint64_t>(std::max<int64_t>(value, 0))) << " less read and written";
    else if (name.contains("bytes") && value >= 0)
      out << (name == "bytes" ? "" : (name.str() + " ")) << formatBytes(static_cast<uint64_t>(value));
    else if (name.consume_back("microseconds"))
      out << name.rtrim('_') << (name.empty() ? "" : " ") << formatSeconds(static_cast<double>(value) * 1e-6);
    else if (value >= 1'000'000 && name != "offset") // a place is read to the byte
      out << name << ' ' << llvm::formatv("{0:e2}", static_cast<double>(value)).str();
    else
      out << name << ' ' << value;
  }
  return words;
}

/// The entry that a decision is of; empty where that is none, but a variable, say.
static StringRef entryOf(const RemarkRecord &record) {
  StringRef kind = StringRef(record.entry).split('_').first;
  return llvm::is_contained({"step", "micro", "evaluate", "logits"}, kind) ? StringRef(record.entry) : StringRef();
}

bool ftc::isPlacement(const RemarkRecord &record) { return record.pass == "memory" || record.pass == "plan-verify"; }

std::string ftc::summarizeRemarks(const std::vector<RemarkRecord> &records, size_t most) {
  struct Line {
    const RemarkRecord *first;
    int64_t count = 0, bytes = 0;
    SmallVector<std::pair<std::string, int64_t>> metrics;
  };
  llvm::MapVector<StringRef, llvm::MapVector<StringRef, Line>> passes;
  // Entries run one after the other in the same memory, and do alike what they have in common: the one with the update
  // tells for all.
  const bool hasStep = llvm::any_of(records, [](const RemarkRecord &record) { return entryOf(record) == "step"; });
  for (const RemarkRecord &record : records) {
    if (isPlacement(record) || record.isOfShorterRows() ||
        (hasStep && !entryOf(record).empty() && entryOf(record) != "step"))
      continue;
    Line &line = passes[record.pass].try_emplace(record.text, Line{&record, 0, 0, {}}).first->second;
    ++line.count;
    line.bytes += record.bytes();
    for (const auto &[key, value] : record.metrics) {
      auto known = llvm::find_if(line.metrics, [&](auto &metric) { return metric.first == key; });
      if (known == line.metrics.end())
        line.metrics.emplace_back(key, value);
      else
        known->second += value;
    }
  }
  std::string text;
  llvm::raw_string_ostream out(text);
  if (!passes.empty())
    out << "decisions\n";
  for (auto &[pass, found] : passes) {
    SmallVector<Line *> lines;
    for (auto &[words, line] : found)
      lines.push_back(&line);
    llvm::stable_sort(lines, [](Line *a, Line *b) {
      return std::pair(a->first->done, a->bytes) > std::pair(b->first->done, b->bytes);
    });
    out << "  " << pass << '\n';
    for (Line *line : ArrayRef<Line *>(lines).take_front(most)) {
      std::string numbers = inWords(line->metrics);
      out << "    " << (line->count > 1 ? std::to_string(line->count) + " x " : "") << line->first->text
          << (numbers.empty() ? "" : " (" + numbers + ")") << '\n';
    }
    if (lines.size() > most)
      out << "    and " << lines.size() - most << " more kinds\n";
  }
  return text;
}

std::string ftc::listRemarks(const std::vector<RemarkRecord> &records) {
  std::string text;
  llvm::raw_string_ostream out(text);
  for (const RemarkRecord &record : records) {
    std::string numbers = inWords(record.metrics);
    StringRef entry = entryOf(record);
    out << '[' << record.pass << "] ";
    if (!entry.empty())
      out << entry << ": ";
    if (!record.where.empty() && record.where != entry)
      out << record.where << ": ";
    out << record.text << (numbers.empty() ? "" : " (" + numbers + ")") << '\n';
  }
  return text;
}

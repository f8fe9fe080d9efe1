//===- MemoryMap.cpp - A plan's buffers over time, as a page --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The page is MemoryMap.html, whose @PLAN@ becomes
//
//   {"slabs": [{"name", "bytes", "far"}], "rows": [row of the memory table], "strings": [label], "start": entry,
//    "variables": [[label, row, slab, offset, bytes]],
//    "entries": [{"name", "moments": [label], "buffers": [[label, row, slab, offset, bytes, first, last]]}]}
//
// with labels and rows as indices, since layers repeat their names over and over.
//
//===----------------------------------------------------------------------===//

#include "lib/Pipelines/MemoryMap.h"

#include "llvm/Support/JSON.h"

using namespace ftc;

namespace ftc {
extern const char *const memoryMapTemplate; // MemoryMap.html
} // namespace ftc

namespace {
/// Strings by number, in the order in which they first come.
class Strings {
public:
  int64_t operator()(const std::string &text) {
    auto [found, isNew] = numbers.try_emplace(text, list.size());
    if (isNew)
      list.push_back(text);
    return found->second;
  }
  llvm::json::Array json() const {
    llvm::json::Array all;
    for (const std::string &text : list)
      all.push_back(llvm::json::isUTF8(text) ? text : llvm::json::fixUTF8(text));
    return all;
  }

private:
  llvm::StringMap<int64_t> numbers;
  std::vector<std::string> list;
};
} // namespace

/// A text within a script ends at no "</script>".
static void replaceAngles(std::string &json) {
  for (size_t at = json.find('<'); at != std::string::npos; at = json.find('<', at + 1))
    json.replace(at, 1, "\\u003c");
}

std::string ftc::memoryMapPage(const PlanMap &map, llvm::StringRef start) {
  using llvm::json::Array;
  using llvm::json::Object;
  Strings labels, rows;
  Array slabs, variables, entries;
  for (const PlanMap::Slab &slab : map.slabs)
    slabs.push_back(Object{{"name", slab.name}, {"bytes", slab.bytes}, {"far", slab.far}});
  auto place = [&](const PlacedBuffer &buffer) {
    return Array{labels(buffer.label), rows(buffer.row), static_cast<int64_t>(buffer.slab), buffer.offset,
                 buffer.bytes};
  };
  for (const PlacedBuffer &variable : map.variables)
    variables.push_back(place(variable));
  int64_t first = 0;
  for (const EntryMap &entry : map.entries) {
    if (start == entry.name)
      first = static_cast<int64_t>(entries.size());
    Array moments, buffers;
    for (const std::string &moment : entry.moments)
      moments.push_back(labels(moment));
    for (const PlacedBuffer &buffer : entry.buffers) {
      Array line = place(buffer);
      line.push_back(buffer.first);
      line.push_back(buffer.last);
      buffers.push_back(std::move(line));
    }
    entries.push_back(Object{{"name", entry.name}, {"moments", std::move(moments)}, {"buffers", std::move(buffers)}});
  }
  std::string json;
  llvm::raw_string_ostream(json) << llvm::json::Value(Object{{"slabs", std::move(slabs)},
                                                             {"rows", rows.json()},
                                                             {"strings", labels.json()},
                                                             {"start", first},
                                                             {"variables", std::move(variables)},
                                                             {"entries", std::move(entries)}});
  replaceAngles(json);
  std::string page = memoryMapTemplate;
  // Behind the comment at the head, which names it.
  const std::string mark = ">@PLAN@<";
  page.replace(page.find(mark) + 1, mark.size() - 2, json);
  return page;
}

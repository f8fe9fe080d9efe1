//===- Joined.cpp - Several data sets as one, and parts of one -------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <cmath>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace ftc;

DataSet DataSet::join(std::vector<DataSet> parts) {
  if (parts.size() == 1)
    return std::move(parts[0]);
  DataSet whole;
  TokenStore &s = *whole.store;
  s.layout = RowLayout::Joined;
  s.seqLen = parts[0].seqLen();
  s.padId = parts[0].store->padId;
  s.paired = parts[0].paired(); // as are the others: a pair lies in one part
  std::vector<uint64_t> prints;
  for (const DataSet &part : parts) {
    s.partRow.push_back(s.rows);
    s.rows += part.rows();
    s.tokens += part.tokens();
    s.valid += part.validLabels();
    s.samples += static_cast<uint64_t>(part.samples());
    prints.push_back(part.fingerprint());
  }
  s.fingerprint = XXH3_64bits(prints.data(), prints.size() * sizeof(prints[0]));
  s.parts = std::move(parts);
  return whole;
}

LoadedData ftc::join(std::vector<LoadedData> parts) {
  std::vector<DataSet> train, heldOut;
  FoundSample longest;
  for (LoadedData &part : parts) {
    train.push_back(std::move(part.train));
    heldOut.push_back(std::move(part.heldOut));
    if (part.longest.tokens > longest.tokens)
      longest = std::move(part.longest);
  }
  return {DataSet::join(std::move(train)), DataSet::join(std::move(heldOut)), std::move(longest)};
}

std::pair<int64_t, int64_t> ftc::recordsOf(const DataSlice &slice, int64_t records) {
  const auto place = [&](const std::optional<int64_t> &bound, int64_t absent) {
    if (!bound)
      return absent;
    // rint rounds halves to even, as Python does.
    const int64_t at =
        slice.percent
            ? static_cast<int64_t>(std::rint(static_cast<double>(*bound) * static_cast<double>(records) / 100.0))
            : *bound;
    return std::clamp<int64_t>(at < 0 ? records + at : at, 0, records);
  };
  const int64_t first = place(slice.from, 0);
  return {first, std::max(first, place(slice.to, records))};
}

bool ftc::areApart(const DataSlice &a, const DataSlice &b) {
  // Whether `to` is never behind `from`. A small percentage below 0 is rounded to record 0, so of two that differ
  // nothing is certain; nor is anything of a place that is counted from the begin and one that is from the end.
  const auto isBefore = [](const DataSlice &first, const DataSlice &second) {
    const std::optional<int64_t> to = first.to, from = second.from;
    if (!to || !from || first.percent != second.percent)
      return false;
    const bool isOrdered = first.percent ? *to >= 0 && *from >= 0 : (*to >= 0) == (*from >= 0);
    return *to == *from || (isOrdered && *to < *from);
  };
  return isBefore(a, b) || isBefore(b, a);
}

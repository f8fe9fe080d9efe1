//===- DataSetBuilder.cpp - Samples to rows -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace ftc;

DataSetBuilder::DataSetBuilder(const DataOptions &options, int32_t padId, bool wideIds)
    : store(std::make_unique<TokenStore>()) {
  store->seqLen = options.seqLen;
  store->maxPositions = options.maxPositions ? options.maxPositions : options.seqLen;
  store->vocabSize = options.vocabSize;
  store->padId = padId;
  store->isWide = wideIds;
  store->starts.push_back(0);
}

void DataSetBuilder::add(std::span<const int32_t> ids, std::span<const uint8_t> trained) {
  uint64_t begin = store->stored();
  uint64_t end = begin + ids.size();
  if (store->isWide)
    store->wide.insert(store->wide.end(), ids.begin(), ids.end());
  else
    store->narrow.insert(store->narrow.end(), ids.begin(), ids.end());
  store->starts.push_back(end);

  // The bits are kept from the first masked sample on; all tokens before it are trained.
  if (trained.empty() && store->trained.empty())
    return;
  if (store->trained.empty())
    store->trained.assign(begin / 64 + 1, ~uint64_t(0));
  store->trained.resize(end / 64 + 1, 0);
  for (uint64_t i = begin; i < end; ++i) {
    uint64_t bit = uint64_t(1) << (i % 64);
    if (trained.empty() || trained[i - begin])
      store->trained[i / 64] |= bit;
    else
      store->trained[i / 64] &= ~bit;
  }
}

void DataSetBuilder::cutSamples(int32_t endId, bool conversations, CutCounts &counts) {
  TokenStore &s = *store;
  uint64_t to = 0, begin = 0;
  for (size_t sample = 0; sample + 1 < s.starts.size(); ++sample) {
    uint64_t end = s.starts[sample + 1];
    uint64_t length = std::min<uint64_t>(end - begin, s.seqLen);
    for (uint64_t i = 0; i < length; ++i, ++to) {
      if (s.isWide)
        s.wide[to] = s.wide[begin + i];
      else
        s.narrow[to] = s.narrow[begin + i];
      if (s.trained.empty())
        continue;
      uint64_t bit = uint64_t(1) << (to % 64);
      s.trained[to / 64] = s.isTrained(begin + i) ? s.trained[to / 64] | bit : s.trained[to / 64] & ~bit;
    }
    if (end - begin > length) {
      ++counts.samples;
      counts.tokens += static_cast<int64_t>(end - begin - length);
      // A conversation that was cut still ends, but the model does not learn to end there.
      if (conversations && !s.trained.empty() && endId >= 0) {
        if (s.isWide)
          s.wide[to - 1] = endId;
        else
          s.narrow[to - 1] = static_cast<uint16_t>(endId);
        s.trained[(to - 1) / 64] &= ~(uint64_t(1) << ((to - 1) % 64));
      }
      // The first token is nobody's label.
      bool isSilent = true;
      for (uint64_t i = to - length + 1; i < to; ++i)
        isSilent &= !s.isTrained(i);
      counts.silent += isSilent;
    }
    s.starts[sample + 1] = to;
    begin = end;
  }
  if (s.isWide)
    s.wide.resize(to);
  else
    s.narrow.resize(to);
  if (!s.trained.empty())
    s.trained.resize(to / 64 + 1);
}

DataSet DataSetBuilder::finish(RowLayout layout) {
  TokenStore &s = *store;
  s.layout = layout;
  s.narrow.shrink_to_fit();
  s.wide.shrink_to_fit();
  s.starts.shrink_to_fit();
  s.trained.shrink_to_fit();
  s.tokens = static_cast<int64_t>(s.stored());
  int64_t samples = static_cast<int64_t>(s.starts.size()) - 1;
  switch (layout) {
  case RowLayout::Stream:
    s.rows = (s.tokens + s.seqLen - 1) / s.seqLen;
    break;
  case RowLayout::Single:
    s.rows = samples;
    break;
  case RowLayout::Whole: {
    uint64_t used = s.seqLen; // no row is open yet
    for (int64_t sample = 0; sample < samples; ++sample) {
      uint64_t length = s.starts[sample + 1] - s.starts[sample];
      if (used + length > static_cast<uint64_t>(s.seqLen)) {
        s.rowFirst.push_back(sample);
        used = 0;
      }
      used += length;
    }
    s.rows = static_cast<int64_t>(s.rowFirst.size());
    s.rowFirst.push_back(samples);
    s.rowFirst.shrink_to_fit();
    break;
  }
  case RowLayout::TokenFile:
    break;
  }

  const uint64_t shape[] = {static_cast<uint64_t>(layout), static_cast<uint64_t>(s.seqLen),
                            static_cast<uint64_t>(s.rows)};
  uint64_t hash = XXH3_64bits(shape, sizeof(shape));
  auto include = [&](const auto &values) {
    hash = XXH3_64bits_withSeed(values.data(), values.size() * sizeof(values[0]), hash);
  };
  include(s.narrow);
  include(s.wide);
  include(s.starts);
  // Bits past the end are not meant.
  if (!s.trained.empty())
    s.trained.back() &= s.tokens % 64 ? (uint64_t(1) << (s.tokens % 64)) - 1 : 0;
  include(s.trained);
  s.fingerprint = hash;

  DataSet set;
  set.store = std::move(store);
  for (int64_t row = 0; row < set.rows(); ++row)
    set.store->valid += set.countValid(row);
  return set;
}

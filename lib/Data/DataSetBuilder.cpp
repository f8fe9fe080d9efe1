//===- DataSetBuilder.cpp - Samples to rows -------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <array>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace ftc;

DataSetBuilder::DataSetBuilder(const DataOptions &options, int32_t padId, bool wideIds)
    : store(std::make_unique<TokenStore>()), folder(options.scratchFolder) {
  store->seqLen = options.seqLen;
  store->maxPositions = options.maxPositions ? options.maxPositions : options.seqLen;
  store->vocabSize = options.vocabSize;
  store->padId = padId;
  store->width = wideIds ? 4 : 2;
  for (ScratchFile *file : {&store->ids, &store->starts, &store->trained, &store->rowFirst, &maskedSamples})
    *file = ScratchFile(folder);
  store->starts.append(&lastEnd, sizeof(lastEnd));
}

static DataOptions optionsLike(const TokenStore &store, const std::string &folder) {
  DataOptions options;
  options.seqLen = store.seqLen;
  options.vocabSize = store.vocabSize;
  options.maxPositions = store.maxPositions;
  options.scratchFolder = folder;
  return options;
}

DataSetBuilder::DataSetBuilder(const TokenStore &like, const std::string &folder)
    : DataSetBuilder(optionsLike(like, folder), like.padId, like.width == 4) {}

std::string DataSetBuilder::problem() const {
  if (!failure.empty())
    return failure;
  const TokenStore &s = *store;
  for (const ScratchFile *file : {&s.ids, &s.starts, &s.trained, &s.rowFirst, &maskedSamples})
    if (!file->error().empty())
      return file->error();
  return unreadable ? "cannot read the tokens again, which were kept in a file of this run" : "";
}

void DataSetBuilder::append(std::span<const int32_t> ids) {
  if (store->width == 4)
    return store->ids.append(ids.data(), ids.size_bytes());
  std::array<uint16_t, 512> narrow;
  while (!ids.empty()) {
    size_t count = std::min(ids.size(), narrow.size());
    std::copy_n(ids.begin(), count, narrow.begin());
    store->ids.append(narrow.data(), count * sizeof(narrow[0]));
    ids = ids.subspan(count);
  }
}

void DataSetBuilder::end(std::span<const uint8_t> trained) {
  uint64_t end = store->stored(), length = end - lastEnd;
  // Bits are kept from the first masked sample on; all tokens before it are trained.
  if (!trained.empty() && !masked) {
    masked = true;
    trainedBits.append(store->trained, true, lastEnd);
    maskedSamplesBits.append(maskedSamples, false, store->samples);
  }
  if (masked)
    maskedSamplesBits.append(maskedSamples, !trained.empty(), 1);
  if (masked && trained.empty())
    trainedBits.append(store->trained, true, length);
  for (uint8_t one : trained)
    trainedBits.append(store->trained, one, 1);
  store->starts.append(&end, sizeof(end));
  ++store->samples;
  longest = std::max(longest, length);
  lastEnd = end;
}

void BitWriter::append(ScratchFile &to, bool bit, uint64_t count) {
  while (count) {
    uint64_t at = bits % 64, part = std::min(count, 64 - at);
    if (bit)
      word |= ~uint64_t(0) >> (64 - part) << at;
    bits += part;
    count -= part;
    if (bits % 64 == 0) {
      to.append(&word, sizeof(word));
      word = 0;
    }
  }
}

void DataSetBuilder::moveTail(uint64_t count, DataSetBuilder &to) {
  std::array<int32_t, 512> part;
  uint64_t end = store->stored(), from = end - count, width = static_cast<uint64_t>(store->width);
  for (uint64_t at = from; at < end;) {
    uint64_t some = std::min<uint64_t>(part.size(), end - at);
    unreadable |= !store->ids.read(at * width, part.data(), some * width);
    to.store->ids.append(part.data(), some * width);
    at += some;
  }
  store->ids.truncate(from * width);
}

void DataSetBuilder::cutSamples(int32_t endId, CutCounts &counts) {
  const TokenStore &s = *store;
  const auto most = static_cast<uint64_t>(s.seqLen);
  if (longest <= most)
    return;
  if (masked) {
    trainedBits.fill(store->trained);
    maskedSamplesBits.fill(maskedSamples);
  }
  DataSetBuilder shorter(s, folder);
  TrainedBits bits(s.trained), samplesBits(maskedSamples);
  std::vector<int32_t> ids;
  std::vector<uint8_t> trained;
  uint64_t begin = 0, end = 0;
  for (uint64_t sample = 0; sample < s.samples; ++sample, begin = end) {
    bool good = s.starts.number(sample + 1, end);
    uint64_t length = good ? std::min(end - begin, most) : 0;
    ids.resize(length);
    const auto width = static_cast<size_t>(s.width);
    good &= s.ids.read(begin * width, reinterpret_cast<char *>(ids.data()) + length * (sizeof(int32_t) - width),
                       length * width) &&
            widenIds(ids.data(), static_cast<int64_t>(length), s.width, s.vocabSize);
    bool hasMask = false;
    good &= !masked || samplesBits.read(sample, hasMask);
    trained.assign(masked ? length : 0, 0);
    for (uint64_t i = 0; i < trained.size(); ++i) {
      bool is = false;
      good &= bits.read(begin + i, is);
      trained[i] = is;
    }
    if (!good) {
      unreadable = true;
      return;
    }
    if (end - begin > length) {
      ++counts.samples;
      counts.tokens += static_cast<int64_t>(end - begin - length);
      // A conversation that was cut still ends, but the model does not learn to end there.
      if (hasMask && endId >= 0) {
        ids.back() = endId;
        trained.back() = 0;
      }
      // The first token is nobody's label.
      bool isSilent = masked || length < 2;
      for (uint64_t i = 1; i < trained.size(); ++i)
        isSilent &= !trained[i];
      counts.silent += isSilent;
    }
    shorter.add(ids, trained);
  }
  *this = std::move(shorter);
}

/// Where rows begin and how many there are. False where the samples cannot be read.
bool DataSetBuilder::formRows() {
  TokenStore &s = *store;
  const auto most = static_cast<uint64_t>(s.seqLen);
  uint64_t begin = 0, end = 0;
  auto startRow = [&](uint64_t sample) {
    s.rowFirst.append(&sample, sizeof(sample));
    ++s.rows;
  };
  if (s.layout == RowLayout::Single)
    s.rows = static_cast<int64_t>(s.samples);
  uint64_t used = most; // no row is open yet
  for (uint64_t sample = 0; s.layout != RowLayout::Single && sample < s.samples; ++sample, begin = end) {
    if (!s.starts.number(sample + 1, end))
      return false;
    if (s.layout == RowLayout::Stream) {
      while (static_cast<uint64_t>(s.rows) * most < end)
        startRow(sample);
      continue;
    }
    if (used + (end - begin) > most) {
      startRow(sample);
      used = 0;
    }
    used += end - begin;
  }
  if (s.layout == RowLayout::Whole)
    s.rowFirst.append(&s.samples, sizeof(s.samples));
  return true;
}

namespace {

/// The hash of all bytes of a file, as if they lay in memory. False where they cannot be read.
bool include(const ScratchFile &file, uint64_t &hash) {
  std::vector<char> buffer(std::min<uint64_t>(file.size(), 1 << 16));
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset_withSeed(&state, hash);
  for (uint64_t at = 0; at < file.size(); at += buffer.size()) {
    size_t bytes = static_cast<size_t>(std::min<uint64_t>(buffer.size(), file.size() - at));
    if (!file.read(at, buffer.data(), bytes))
      return false;
    XXH3_64bits_update(&state, buffer.data(), bytes);
  }
  hash = XXH3_64bits_digest(&state);
  return true;
}

} // namespace

DataSet DataSetBuilder::finish(RowLayout layout, bool paired) {
  TokenStore &s = *store;
  s.paired = paired;
  s.layout = layout;
  s.tokens = static_cast<int64_t>(s.stored());
  if (masked)
    trainedBits.close(s.trained);
  unreadable |= !formRows();

  const uint64_t shape[] = {static_cast<uint64_t>(layout), static_cast<uint64_t>(s.seqLen),
                            static_cast<uint64_t>(s.rows)};
  uint64_t hash = XXH3_64bits(shape, sizeof(shape));
  // Narrow ids, wide ids, starts, masks: what a data set does not have counts as well.
  const ScratchFile none;
  for (const ScratchFile *file :
       {s.width == 2 ? &s.ids : &none, s.width == 4 ? &s.ids : &none, static_cast<const ScratchFile *>(&s.starts),
        static_cast<const ScratchFile *>(&s.trained)})
    unreadable |= !include(*file, hash);
  s.fingerprint = hash;

  failure = problem();
  DataSet set;
  set.store = std::move(store);
  store = std::make_unique<TokenStore>();
  for (int64_t row = 0; row < set.rows() && problem().empty(); ++row) {
    int64_t valid = set.countValid(row);
    unreadable = valid < 0;
    set.store->valid += valid;
  }
  return set;
}

//===- DataSet.cpp - Rows of tokens ---------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <bit>
#include <cstring>

using namespace ftc;

static_assert(std::endian::native == std::endian::little, "token files are little-endian and read as they are");

DataSet::DataSet() : store(std::make_unique<TokenStore>()) {}
DataSet::DataSet(DataSet &&) noexcept = default;
DataSet &DataSet::operator=(DataSet &&) noexcept = default;
DataSet::~DataSet() = default;

int64_t DataSet::seqLen() const { return store->seqLen; }
int64_t DataSet::rows() const { return store->rows; }
int64_t DataSet::tokens() const { return store->tokens; }
int64_t DataSet::validLabels() const { return store->valid; }
uint64_t DataSet::fingerprint() const { return store->fingerprint; }

bool DataSet::paired() const { return store->paired; }

int64_t DataSet::samples() const {
  if (store->layout == RowLayout::TokenFile)
    return store->rows;
  return static_cast<int64_t>(store->samples);
}

namespace {

/// The part of a sample that lies in one row.
struct Part {
  int64_t column;   ///< of its first token in the row
  uint64_t begin;   ///< of its first token in the store
  int64_t length;   ///< in tokens
  int64_t position; ///< of its first token
  bool continues;   ///< the sample goes on in the next row
};

/// Calls `use` for each part of a row of documents, from left to right; padding is what they leave. False where the
/// store cannot be read.
template <typename Use> bool forEachPart(const TokenStore &store, int64_t row, Use &&use) {
  uint64_t sample = static_cast<uint64_t>(row), last = sample + 1, sampleBegin, sampleEnd, begin, end;
  if (store.layout != RowLayout::Single && !store.rowFirst.number(static_cast<uint64_t>(row), sample))
    return false;
  if (store.layout == RowLayout::Stream) {
    begin = static_cast<uint64_t>(row) * store.seqLen;
    end = std::min<uint64_t>(begin + store.seqLen, store.stored());
    if (!store.starts.number(sample, sampleBegin))
      return false;
  } else {
    if (store.layout == RowLayout::Whole && !store.rowFirst.number(static_cast<uint64_t>(row) + 1, last))
      return false;
    if (!store.starts.number(last, end) || !store.starts.number(sample, sampleBegin))
      return false;
    begin = sampleBegin;
  }
  for (int64_t column = 0; begin < end; ++sample) {
    if (!store.starts.number(sample + 1, sampleEnd))
      return false;
    uint64_t partEnd = std::min(end, sampleEnd);
    int64_t length = static_cast<int64_t>(partEnd - begin);
    // Positions count on in the next row. Rotary attention sees only differences, so a part that would leave the table
    // may start lower, as long as its own positions stay consecutive.
    int64_t position = static_cast<int64_t>(begin - sampleBegin);
    if (position + length > store.maxPositions)
      position = std::min(position % store.maxPositions, store.maxPositions - length);
    if (!use(Part{column, begin, length, position, partEnd < sampleEnd}))
      return false;
    column += length;
    begin = sampleBegin = partEnd;
  }
  return true;
}

/// Memory for `count` ids of `width` bytes within that for as many 32-bit ones: its end, so that they can be widened
/// from the left, where a write never reaches an id that is still to be read.
char *narrowPlace(int32_t *ids, int64_t count, int64_t width) {
  return reinterpret_cast<char *>(ids) + count * (static_cast<int64_t>(sizeof(int32_t)) - width);
}

/// Reads ids of documents.
bool readIds(const TokenStore &store, uint64_t first, int64_t count, int32_t *to) {
  return store.ids.read(first * static_cast<uint64_t>(store.width), narrowPlace(to, count, store.width),
                        static_cast<size_t>(count * store.width)) &&
         widenIds(to, count, store.width, store.vocabSize);
}

int64_t fillTokenFileRow(const TokenStore &store, int64_t row, const BatchView &out) {
  int64_t length = store.seqLen;
  size_t bytes = length * store.width;
  // An id beyond the vocabulary was not there when the file was opened: somebody has written to it since.
  if (!readAt(*store.file, narrowPlace(out.tokens, length, store.width), bytes,
              store.fileOffset + static_cast<uint64_t>(row) * bytes) ||
      !widenIds(out.tokens, length, store.width, store.vocabSize))
    return -1;
  for (int64_t i = 0; i < length; ++i) {
    out.positions[i] = static_cast<int32_t>(i);
    out.segmentStarts[i] = 0;
  }
  std::memcpy(out.labels, out.tokens + 1, (length - 1) * sizeof(int32_t));
  out.labels[length - 1] = ignoredLabel;
  return length - 1;
}

void fillPaddingFrom(const TokenStore &store, int64_t column, int64_t length, const BatchView &out) {
  for (int64_t i = column; i < length; ++i) {
    out.tokens[i] = store.padId;
    out.labels[i] = ignoredLabel;
    out.positions[i] = 0;
    out.segmentStarts[i] = static_cast<int32_t>(i);
  }
}

} // namespace

bool ftc::widenIds(int32_t *to, int64_t count, int64_t width, int64_t vocabSize) {
  const char *from = narrowPlace(to, count, width);
  for (int64_t i = 0; i < count; ++i) {
    uint32_t id = 0;
    std::memcpy(&id, from + i * width, static_cast<size_t>(width));
    if (id >= static_cast<uint64_t>(vocabSize))
      return false;
    to[i] = static_cast<int32_t>(id);
  }
  return true;
}

bool TrainedBits::read(uint64_t token, bool &trained) {
  if (all) {
    trained = true;
    return true;
  }
  if (token / 64 != index) {
    if (!words.number(token / 64, word))
      return false;
    index = token / 64;
  }
  trained = word >> (token % 64) & 1;
  return true;
}

/// The part of a joined data set that has row `row`, which becomes the row of that part.
static const DataSet &partOf(const TokenStore &store, int64_t &row) {
  const auto next = std::upper_bound(store.partRow.begin(), store.partRow.end(), row);
  const auto part = static_cast<size_t>(next - store.partRow.begin() - 1);
  row -= store.partRow[part];
  return store.parts[part];
}

int64_t DataSet::rowLength(int64_t row) const {
  if (store->layout == RowLayout::Joined)
    return partOf(*store, row).rowLength(row);
  if (store->layout == RowLayout::TokenFile)
    return store->seqLen;
  int64_t length = 0;
  bool good = forEachPart(*store, row, [&](const Part &part) {
    length = part.column + part.length;
    return true;
  });
  return good ? length : -1;
}

int64_t DataSet::fillRow(int64_t row, const BatchView &out, int64_t length) const {
  if (store->layout == RowLayout::Joined)
    return partOf(*store, row).fillRow(row, out, length);
  if (store->layout == RowLayout::TokenFile)
    return fillTokenFileRow(*store, row, out);
  int64_t valid = 0, filled = 0;
  TrainedBits trained(store->trained);
  bool good = forEachPart(*store, row, [&](const Part &part) {
    if (!readIds(*store, part.begin, part.length, out.tokens + part.column))
      return false;
    int32_t next = 0; // in the next row
    if (part.continues && !readIds(*store, part.begin + static_cast<uint64_t>(part.length), 1, &next))
      return false;
    for (int64_t i = 0; i < part.length; ++i) {
      int64_t column = part.column + i;
      bool labelled = i + 1 < part.length || part.continues;
      if (labelled && !trained.read(part.begin + static_cast<uint64_t>(i) + 1, labelled))
        return false;
      int32_t label = i + 1 < part.length ? out.tokens[column + 1] : next;
      out.labels[column] = labelled ? label : ignoredLabel;
      out.positions[column] = static_cast<int32_t>(part.position + i);
      out.segmentStarts[column] = static_cast<int32_t>(part.column);
      valid += labelled;
    }
    filled = part.column + part.length;
    return true;
  });
  fillPaddingFrom(*store, filled, length, out);
  return good ? valid : -1;
}

int64_t DataSet::countValid(int64_t row) const {
  if (store->layout == RowLayout::Joined)
    return partOf(*store, row).countValid(row);
  if (store->layout == RowLayout::TokenFile)
    return store->seqLen - 1;
  int64_t valid = 0;
  TrainedBits trained(store->trained);
  bool good = forEachPart(*store, row, [&](const Part &part) {
    int64_t labels = part.length - 1 + part.continues;
    if (store->trained.empty()) {
      valid += labels;
      return true;
    }
    for (int64_t i = 0; i < labels; ++i) {
      bool labelled = false;
      if (!trained.read(part.begin + static_cast<uint64_t>(i) + 1, labelled))
        return false;
      valid += labelled;
    }
    return true;
  });
  return good ? valid : -1;
}

void DataSet::fillPadding(const BatchView &out, int64_t length) const { fillPaddingFrom(*store, 0, length, out); }

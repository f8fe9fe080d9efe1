//===- DataSet.cpp - Rows of tokens ---------------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <unistd.h>

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

int64_t DataSet::samples() const {
  if (store->layout == RowLayout::TokenFile)
    return store->rows;
  return store->starts.empty() ? 0 : static_cast<int64_t>(store->starts.size()) - 1;
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

/// Calls `use` for each part of a row of documents, from left to right; padding is what they leave.
template <typename Use> void forEachPart(const TokenStore &store, int64_t row, Use &&use) {
  uint64_t begin, end;
  size_t sample;
  if (store.layout == RowLayout::Stream) {
    begin = static_cast<uint64_t>(row) * store.seqLen;
    end = std::min<uint64_t>(begin + store.seqLen, store.stored());
    sample = std::upper_bound(store.starts.begin(), store.starts.end(), begin) - store.starts.begin() - 1;
  } else {
    sample = store.layout == RowLayout::Whole ? store.rowFirst[row] : row;
    size_t last = store.layout == RowLayout::Whole ? store.rowFirst[row + 1] : row + 1;
    begin = store.starts[sample];
    end = store.starts[last];
  }
  for (int64_t column = 0; begin < end; ++sample) {
    uint64_t sampleEnd = store.starts[sample + 1];
    uint64_t partEnd = std::min(end, sampleEnd);
    int64_t length = static_cast<int64_t>(partEnd - begin);
    // Positions count on in the next row. Rotary attention sees only differences, so a part that would leave the table
    // may start lower, as long as its own positions stay consecutive.
    int64_t position = static_cast<int64_t>(begin - store.starts[sample]);
    if (position + length > store.maxPositions)
      position = std::min(position % store.maxPositions, store.maxPositions - length);
    use(Part{column, begin, length, position, partEnd < sampleEnd});
    column += length;
    begin = partEnd;
  }
}

/// Reads `bytes` at `offset`; false at the end of the file or on an error.
bool readAt(int file, void *out, size_t bytes, uint64_t offset) {
  char *to = static_cast<char *>(out);
  while (bytes) {
    ssize_t got = pread(file, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    to += got;
    offset += got;
    bytes -= got;
  }
  return true;
}

int64_t fillTokenFileRow(const TokenStore &store, int64_t row, const BatchView &out) {
  int64_t length = store.seqLen;
  size_t bytes = length * store.width;
  // Narrow ids are read into the upper half of the row and widened from the left: a write never reaches an id that is
  // still to be read.
  char *raw = reinterpret_cast<char *>(out.tokens) + length * sizeof(int32_t) - bytes;
  if (!readAt(*store.file, raw, bytes, store.fileOffset + static_cast<uint64_t>(row) * bytes))
    return -1;
  for (int64_t i = 0; i < length; ++i) {
    uint32_t id = 0;
    std::memcpy(&id, raw + i * store.width, store.width);
    if (id >= static_cast<uint64_t>(store.vocabSize))
      return -1; // checked when the file was opened: somebody has written to it since
    out.tokens[i] = static_cast<int32_t>(id);
    out.positions[i] = static_cast<int32_t>(i);
    out.segmentStarts[i] = 0;
  }
  std::memcpy(out.labels, out.tokens + 1, (length - 1) * sizeof(int32_t));
  out.labels[length - 1] = ignoredLabel;
  return length - 1;
}

void fillPaddingFrom(const TokenStore &store, int64_t column, const BatchView &out) {
  for (int64_t i = column; i < store.seqLen; ++i) {
    out.tokens[i] = store.padId;
    out.labels[i] = ignoredLabel;
    out.positions[i] = 0;
    out.segmentStarts[i] = static_cast<int32_t>(i);
  }
}

} // namespace

int64_t DataSet::fillRow(int64_t row, const BatchView &out) const {
  if (store->layout == RowLayout::TokenFile)
    return fillTokenFileRow(*store, row, out);
  int64_t valid = 0, filled = 0;
  forEachPart(*store, row, [&](const Part &part) {
    for (int64_t i = 0; i < part.length; ++i) {
      uint64_t at = part.begin + i;
      int64_t column = part.column + i;
      bool labelled = (i + 1 < part.length || part.continues) && store->isTrained(at + 1);
      out.tokens[column] = store->id(at);
      out.labels[column] = labelled ? store->id(at + 1) : ignoredLabel;
      out.positions[column] = static_cast<int32_t>(part.position + i);
      out.segmentStarts[column] = static_cast<int32_t>(part.column);
      valid += labelled;
    }
    filled = part.column + part.length;
  });
  fillPaddingFrom(*store, filled, out);
  return valid;
}

int64_t DataSet::countValid(int64_t row) const {
  if (store->layout == RowLayout::TokenFile)
    return store->seqLen - 1;
  int64_t valid = 0;
  forEachPart(*store, row, [&](const Part &part) {
    int64_t labels = part.length - 1 + part.continues;
    if (store->trained.empty())
      valid += labels;
    else
      for (int64_t i = 0; i < labels; ++i)
        valid += store->isTrained(part.begin + i + 1);
  });
  return valid;
}

void DataSet::fillPadding(const BatchView &out) const { fillPaddingFrom(*store, 0, out); }

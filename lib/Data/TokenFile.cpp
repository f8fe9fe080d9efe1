//===- TokenFile.cpp - Files of token ids ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TokenStore.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace ftc;

namespace {

constexpr char magic[] = "FTCTOK01";
constexpr size_t magicBytes = 8;

struct FileHeader {
  char magic[magicBytes];
  uint64_t width; ///< bytes of an id
  uint64_t count; ///< ids
};
static_assert(sizeof(FileHeader) == 24);

struct Scan {
  uint64_t fingerprint;
  std::optional<std::pair<uint64_t, uint32_t>> beyond; ///< first id that is not below the vocabulary, and its index
};

/// Reads all ids once, in bounded memory. nullopt with errno on a read error or an early end (errno 0).
std::optional<Scan> scan(int file, uint64_t offset, uint64_t count, int64_t width, int64_t vocabSize) {
  std::vector<char> buffer(1 << 20);
  Scan result{static_cast<uint64_t>(width), std::nullopt};
  uint64_t bytes = count * width, done = 0;
  size_t held = 0;
  while (done < bytes) {
    size_t want = std::min<uint64_t>(buffer.size(), bytes - done);
    ssize_t got = pread(file, buffer.data() + held, want - held, static_cast<off_t>(offset + done + held));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      errno = got < 0 ? errno : 0;
      return std::nullopt;
    }
    held += got;
    if (held < want)
      continue; // whole blocks only, so that the fingerprint does not depend on how reads are cut
    result.fingerprint = XXH3_64bits_withSeed(buffer.data(), held, result.fingerprint);
    for (size_t i = 0; i < held && !result.beyond; i += width) {
      uint32_t id = 0;
      std::memcpy(&id, buffer.data() + i, width);
      if (id >= static_cast<uint64_t>(vocabSize))
        result.beyond = {(done + i) / width, id};
    }
    if (result.beyond)
      return result;
    done += held;
    held = 0;
  }
  return result;
}

} // namespace

std::optional<LoadedData> DataSetBuilder::tokenFile(const DataOptions &options, int32_t padId,
                                                    std::vector<Diagnostic> &diags, LoadFailure &failure) {
  auto fail = [&](const std::string &message) {
    diags.push_back({Severity::Error, options.path, 0, 0, message});
    return std::nullopt;
  };
  int descriptor = open(options.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(fmt::format("cannot read the token file: {}", std::strerror(errno)));
  std::shared_ptr<const int> file(new int(descriptor), [](const int *held) {
    close(*held);
    delete held;
  });
  struct stat info;
  if (fstat(descriptor, &info) || !S_ISREG(info.st_mode))
    return fail("a token file must be a regular file");
  uint64_t size = static_cast<uint64_t>(info.st_size);

  FileHeader header;
  int64_t width = options.tokenWidth ? options.tokenWidth : 2;
  uint64_t offset = 0, count = 0;
  if (size >= sizeof(header) && pread(descriptor, &header, sizeof(header), 0) == sizeof(header) &&
      !std::memcmp(header.magic, magic, magicBytes)) {
    if (header.width != 2 && header.width != 4)
      return fail(fmt::format("the header says that an id has {} bytes; it may have 2 or 4", header.width));
    width = static_cast<int64_t>(header.width);
    if (options.tokenWidth && options.tokenWidth != width)
      return fail(
          fmt::format("the header says that an id has {} bytes, the options say {}", width, options.tokenWidth));
    offset = sizeof(header);
    if (header.count != (size - offset) / width || (size - offset) % width)
      return fail(fmt::format("the header announces {} ids of {} bytes, but {} bytes follow; the file is truncated or "
                              "was not written whole",
                              header.count, width, size - offset));
    count = header.count;
  } else {
    if (width != 2 && width != 4)
      return fail(fmt::format("an id cannot have {} bytes; it may have 2 or 4", width));
    if (size % width)
      return fail(fmt::format("{} bytes are not a whole number of {}-byte ids; a file without header holds "
                              "little-endian uint16, wider ids need the header (see docs/data.md)",
                              size, width));
    count = size / width;
  }

  std::optional<Scan> scanned = scan(descriptor, offset, count, width, options.vocabSize);
  if (!scanned)
    return fail(fmt::format("cannot read the token file: {}", errno ? std::strerror(errno) : "it ends early"));
  if (scanned->beyond)
    return fail(fmt::format("id {} (number {} in the file, from 0) is beyond the model's vocabulary of {}{}",
                            scanned->beyond->second, scanned->beyond->first, options.vocabSize,
                            offset ? "; tokenize with the model's tokenizer"
                                   : "; is the width right? A file without header holds uint16, wider ids need "
                                     "the header (see docs/data.md)"));

  int64_t rows = static_cast<int64_t>(count / options.seqLen);
  if (!rows) {
    failure = LoadFailure::Empty;
    return fail(fmt::format("the data set is empty: {} ids do not fill a row of {}", count, options.seqLen));
  }
  if (uint64_t rest = count % options.seqLen)
    diags.push_back({Severity::Remark, options.path, 0, 0,
                     fmt::format("the last {} ids do not fill a row of {} and are left out", rest, options.seqLen)});
  int64_t held = static_cast<int64_t>(static_cast<double>(rows) * options.heldOut);
  if (options.heldOut > 0 && !held)
    return fail(
        fmt::format("holding out {} of {} rows keeps no row to evaluate on; raise the share", options.heldOut, rows));

  auto part = [&](int64_t first, int64_t partRows) {
    DataSet set;
    TokenStore &s = *set.store;
    s.layout = RowLayout::TokenFile;
    s.seqLen = options.seqLen;
    s.maxPositions = options.maxPositions ? options.maxPositions : options.seqLen;
    s.vocabSize = options.vocabSize;
    s.padId = padId;
    s.rows = partRows;
    s.tokens = partRows * options.seqLen;
    s.valid = partRows * (options.seqLen - 1);
    s.file = file;
    s.width = width;
    s.fileOffset = offset + static_cast<uint64_t>(first) * options.seqLen * width;
    const uint64_t shape[] = {static_cast<uint64_t>(first), static_cast<uint64_t>(partRows),
                              static_cast<uint64_t>(options.seqLen)};
    s.fingerprint = XXH3_64bits_withSeed(shape, sizeof(shape), scanned->fingerprint);
    return set;
  };
  LoadedData data;
  data.train = part(0, rows - held);
  data.heldOut = part(rows - held, held);
  data.longest = {options.seqLen, options.path, 0};
  return data;
}

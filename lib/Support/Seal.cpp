//===- Seal.cpp - Whether a file is as it was written ---------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Seal.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ftc {

static constexpr std::string_view mark = "FTCSEAL1";
static constexpr uint64_t sealBytes = mark.size() + sizeof(uint64_t);
static_assert(std::endian::native == std::endian::little, "the hash is written as it lies in memory");

static std::string sealWith(uint64_t hash) {
  std::string seal(mark);
  seal.append(reinterpret_cast<const char *>(&hash), sizeof(hash));
  return seal;
}

std::string sealOf(std::string_view contents) { return sealWith(XXH3_64bits(contents.data(), contents.size())); }

std::string checkSeal(const std::string &path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (!file || size < static_cast<std::streamoff>(sealBytes))
    return "it cannot be read, or is empty";
  file.seekg(0);
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset(&state);
  std::vector<char> buffer(1 << 16);
  for (uint64_t left = static_cast<uint64_t>(size) - sealBytes; left;) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    if (!file.read(buffer.data(), static_cast<std::streamsize>(part)))
      return "it cannot be read to its end";
    XXH3_64bits_update(&state, buffer.data(), part);
    left -= part;
  }
  std::string found(sealBytes, '\0');
  if (!file.read(found.data(), static_cast<std::streamsize>(found.size())))
    return "it cannot be read to its end";
  if (!found.starts_with(mark))
    return "it does not end with its checksum: its end is missing or damaged, or another version of ftc wrote it";
  return found == sealWith(XXH3_64bits_digest(&state)) ? "" : "it is not what ftc wrote: its checksum is another";
}

} // namespace ftc

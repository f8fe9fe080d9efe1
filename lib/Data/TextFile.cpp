//===- TextFile.cpp - A document that may be larger than memory -----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TextFile.h"

#include "ScratchFile.h"
#include "ftc/Support/Files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace ftc;

TextFile::~TextFile() {
  if (file >= 0)
    close(file);
}

bool TextFile::fail(int code) const {
  problem = fmt::format("cannot read '{}': {}", path,
                        code ? std::strerror(code) : "it became shorter while it was read; leave it as it is");
  return false;
}

bool TextFile::failToCopy(const char *doing, int code) {
  noRoom = true;
  problem =
      fmt::format("cannot {} a copy of what can be read once in '{}': {}; free some space there, or choose another "
                  "folder with --far-dir",
                  doing, scratchFolder, std::strerror(code));
  return false;
}

bool TextFile::scan() {
  file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0)
    return fail(errno);
  if (S_ISDIR(info.st_mode))
    return fail(EISDIR);
  int copy = -1;
  if (!S_ISREG(info.st_mode)) {
    std::error_code none;
    if (scratchFolder.empty())
      scratchFolder = std::filesystem::temp_directory_path(none).native();
    else
      std::filesystem::create_directories(scratchFolder, none);
    copy = openUnnamedFile(scratchFolder);
    if (copy < 0)
      return failToCopy("make", errno);
  }
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset(&state);
  std::string buffer(piece, '\0');
  int code = 0;
  while (!code) {
    ssize_t got = ::read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      code = got < 0 ? errno : -1;
      break;
    }
    std::string_view part(buffer.data(), static_cast<size_t>(got));
    // A pipe may give its first three bytes one by one.
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    for (size_t i = 0; i < part.size() && bytes + i < mark.size() && textBegin == bytes + i; ++i)
      textBegin += part[i] == mark[bytes + i];
    zeroByte |= part.find('\0') != part.npos;
    XXH3_128bits_update(&state, part.data(), part.size());
    for (size_t done = 0; copy >= 0 && done < part.size();) {
      ssize_t put = write(copy, part.data() + done, part.size() - done);
      if (put < 0 && errno != EINTR) {
        const int error = errno;
        close(copy);
        return failToCopy("write", error);
      }
      done += put > 0 ? static_cast<size_t>(put) : 0;
    }
    bytes += part.size();
  }
  if (copy >= 0) {
    close(file);
    file = copy;
  }
  if (code > 0)
    return fail(code);
  if (textBegin < 3)
    textBegin = 0;
  XXH128_hash_t hash = XXH3_128bits_digest(&state);
  digest = {hash.high64, hash.low64};
  return true;
}

bool TextFile::readMore(uint64_t &at, size_t wanted, std::string &text) const {
  size_t held = text.size();
  size_t more = static_cast<size_t>(std::min<uint64_t>(wanted > held ? wanted - held : 0, bytes - at));
  text.resize(held + more);
  if (more && !readAt(file, text.data() + held, more, at))
    return fail(errno);
  at += more;
  return true;
}

//===- ScratchFile.cpp - What does not belong in memory -------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ScratchFile.h"

#include "ftc/Support/Files.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

using namespace ftc;

static constexpr size_t pendingBytes = size_t(1) << 16, mostWindowBytes = size_t(1) << 12;

bool ftc::readAt(int file, void *to, size_t bytes, uint64_t offset) {
  char *next = static_cast<char *>(to);
  while (bytes) {
    ssize_t got = pread(file, next, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      errno = got < 0 ? errno : 0;
      return false;
    }
    next += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

ScratchFile::ScratchFile(std::string folder)
    : folder(std::move(folder)), inTemporary(this->folder.empty()), window(mostWindowBytes) {
  pending.reserve(pendingBytes);
}

ScratchFile::~ScratchFile() {
  if (file >= 0)
    close(file);
}

ScratchFile::ScratchFile(ScratchFile &&other) noexcept { *this = std::move(other); }

ScratchFile &ScratchFile::operator=(ScratchFile &&other) noexcept {
  std::swap(folder, other.folder);
  std::swap(inTemporary, other.inTemporary);
  std::swap(file, other.file);
  std::swap(inFile, other.inFile);
  std::swap(pending, other.pending);
  std::swap(window, other.window);
  std::swap(windowAt, other.windowAt);
  std::swap(windowBytes, other.windowBytes);
  std::swap(problem, other.problem);
  return *this;
}

void ScratchFile::fail(const char *doing, int code) {
  problem =
      fmt::format("cannot {} a file for tokens in '{}': {}; free some space there, or choose another folder with "
                  "{}",
                  doing, folder, std::strerror(code), inTemporary ? "the environment variable TMPDIR" : "--far-dir");
}

void ScratchFile::flush() {
  if (file < 0) {
    std::error_code error;
    if (inTemporary) {
      folder = std::filesystem::temp_directory_path(error).native();
      if (const char *named = std::getenv("TMPDIR"); error && named)
        folder = named; // which is no folder, as opening a file in it will tell
    } else {
      std::filesystem::create_directories(folder, error);
    }
    file = openUnnamedFile(folder);
    if (file < 0)
      return fail("make", errno);
  }
  for (size_t done = 0; done < pending.size();) {
    ssize_t put = pwrite(file, pending.data() + done, pending.size() - done, static_cast<off_t>(inFile + done));
    if (put < 0 && errno == EINTR)
      continue;
    if (put <= 0)
      return fail("write", put < 0 ? errno : ENOSPC);
    done += static_cast<size_t>(put);
  }
  inFile += pending.size();
  pending.clear();
}

void ScratchFile::append(const void *data, size_t bytes) {
  const auto *next = static_cast<const std::byte *>(data);
  while (bytes && problem.empty()) {
    size_t part = std::min(bytes, pendingBytes - pending.size());
    pending.insert(pending.end(), next, next + part);
    next += part;
    bytes -= part;
    if (bytes)
      flush();
  }
}

void ScratchFile::truncate(uint64_t bytes) {
  pending.resize(bytes > inFile ? static_cast<size_t>(bytes - inFile) : 0);
  inFile = std::min(inFile, bytes);
  windowBytes = 0;
}

bool ScratchFile::read(uint64_t offset, void *to, size_t bytes) const {
  if (offset > size() || bytes > size() - offset)
    return false;
  size_t first = offset < inFile ? static_cast<size_t>(std::min<uint64_t>(bytes, inFile - offset)) : 0;
  if (first && !readAt(file, to, first, offset))
    return false;
  if (bytes > first)
    std::memcpy(static_cast<std::byte *>(to) + first, pending.data() + (offset + first - inFile), bytes - first);
  return true;
}

bool ScratchFile::number(uint64_t index, uint64_t &value) const {
  uint64_t offset = index * sizeof(value);
  if (offset >= inFile || offset + sizeof(value) > inFile)
    return read(offset, &value, sizeof(value));
  if (offset < windowAt || offset + sizeof(value) > windowAt + windowBytes) {
    windowAt = offset / mostWindowBytes * mostWindowBytes;
    windowBytes = static_cast<size_t>(std::min<uint64_t>(mostWindowBytes, inFile - windowAt));
    if (!readAt(file, window.data(), windowBytes, windowAt)) {
      windowBytes = 0;
      return false;
    }
  }
  std::memcpy(&value, window.data() + (offset - windowAt), sizeof(value));
  return true;
}

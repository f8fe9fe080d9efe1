//===- FarTier.cpp - The far tier of a run: a file -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/FarTier.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Files.h"
#include "ftc/Support/Units.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace ftc {

FarTier::FarTier(const std::string &folder, uint64_t bytes) : folder(folder), size(bytes) {
  file = openUnnamedFile(folder);
  if (file < 0)
    throw RunError(
        ExitCode::NoFile,
        fmt::format("{}: cannot make the file of the far tier there: {}; choose another folder with --far-dir", folder,
                    std::strerror(errno)));
  if (int error = bytes ? posix_fallocate(file, 0, static_cast<off_t>(bytes)) : 0) {
    close(file);
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("{}: cannot reserve {} bytes ({}) for the far tier there: {}; free some space, or choose "
                    "another folder with --far-dir",
                    folder, bytes, formatBytes(bytes), std::strerror(error)));
  }
  writing.thread = std::thread([this] { work(writing, /*writes=*/true); });
  try {
    reading.thread = std::thread([this] { work(reading, /*writes=*/false); });
  } catch (...) {
    {
      std::lock_guard guard(writing.lock);
      writing.stop = true;
    }
    writing.changed.notify_all();
    writing.thread.join();
    close(file);
    throw;
  }
}

FarTier::~FarTier() {
  for (Stream *stream : {&writing, &reading}) {
    {
      std::lock_guard guard(stream->lock);
      stream->stop = true;
    }
    stream->changed.notify_all();
    stream->thread.join();
  }
  close(file);
}

//===----------------------------------------------------------------------===//
// Copies of a step
//===----------------------------------------------------------------------===//

// A copy's number: which of its stream's copies it is, counted from 1, and the stream in the lowest bit.

uint64_t FarTier::begin(Stream &stream, Request request) {
  std::unique_lock guard(stream.lock);
  stream.changed.wait(guard, [&] { return stream.begun - stream.over < stream.requests.size(); });
  stream.requests[stream.begun % stream.requests.size()] = request;
  uint64_t number = ++stream.begun;
  guard.unlock();
  stream.changed.notify_all();
  return number;
}

uint64_t FarTier::beginWrite(uint64_t offset, const void *from, uint64_t count) {
  return begin(writing, {offset, const_cast<std::byte *>(static_cast<const std::byte *>(from)), count}) << 1;
}

uint64_t FarTier::beginRead(uint64_t offset, void *to, uint64_t count) {
  return begin(reading, {offset, static_cast<std::byte *>(to), count}) << 1 | 1;
}

bool FarTier::wait(uint64_t copy) {
  Stream &stream = copy & 1 ? reading : writing;
  std::unique_lock guard(stream.lock);
  stream.changed.wait(guard, [&] { return stream.over >= copy >> 1; });
  return !failed.load();
}

void FarTier::drain() {
  for (Stream *stream : {&writing, &reading}) {
    std::unique_lock guard(stream->lock);
    stream->changed.wait(guard, [&] { return stream->over == stream->begun; });
  }
}

void FarTier::work(Stream &stream, bool writes) {
  std::unique_lock guard(stream.lock);
  while (true) {
    stream.changed.wait(guard, [&] { return stream.stop || stream.over != stream.begun; });
    if (stream.over == stream.begun)
      return;
    Request request = stream.requests[stream.over % stream.requests.size()];
    guard.unlock();
    if (!failed.load())
      if (int error = move(request, writes))
        fail(request, writes, error);
    guard.lock();
    ++stream.over;
    stream.changed.notify_all();
  }
}

int FarTier::move(const Request &request, bool writes) {
  for (uint64_t done = 0; done < request.count;) {
    off_t at = static_cast<off_t>(request.offset + done);
    size_t left = request.count - done;
    ssize_t moved = writes ? pwrite(file, request.near + done, left, at) : pread(file, request.near + done, left, at);
    if (moved < 0 && errno == EINTR)
      continue;
    if (moved < 0)
      return errno;
    if (moved == 0)
      return -1;
    done += static_cast<uint64_t>(moved);
  }
  uint64_t end = request.offset + request.count, seen = highest.load();
  while (writes && seen < end && !highest.compare_exchange_weak(seen, end)) {
  }
  return 0;
}

void FarTier::fail(const Request &request, bool writes, int error) {
  std::lock_guard guard(failureLock);
  if (failed.load())
    return;
  failedRequest = request;
  failedWriting = writes;
  failedError = error;
  failed.store(true);
}

std::string FarTier::failure() const {
  std::lock_guard guard(failureLock);
  if (!failed.load())
    return "";
  return fmt::format("the file of the far tier in {}: cannot {} {} bytes at byte {}: {}", folder,
                     failedWriting ? "write" : "read", failedRequest.count, failedRequest.offset,
                     failedError < 0 ? fmt::format("the file is shorter than its {} bytes", size)
                                     : std::string(std::strerror(failedError)));
}

//===----------------------------------------------------------------------===//
// Between calls
//===----------------------------------------------------------------------===//

void FarTier::read(uint64_t offset, void *to, uint64_t count) {
  Request request{offset, static_cast<std::byte *>(to), count};
  if (int error = move(request, /*writes=*/false)) {
    fail(request, /*writes=*/false, error);
    throw RunError(ExitCode::StepFailed, failure());
  }
}

void FarTier::write(uint64_t offset, const void *from, uint64_t count) {
  Request request{offset, const_cast<std::byte *>(static_cast<const std::byte *>(from)), count};
  if (int error = move(request, /*writes=*/true)) {
    fail(request, /*writes=*/true, error);
    throw RunError(ExitCode::StepFailed, failure());
  }
}

} // namespace ftc

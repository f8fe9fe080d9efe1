//===- Memory.cpp - The one place where a run takes memory for a step ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/Memory.h"

#include "ftc/Runtime/RunError.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace ftc {
namespace {

uint64_t pageSize() {
  static const uint64_t size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return size;
}

/// The pattern of byte `index`: no simple fill of a program looks like it.
std::byte patternAt(uint64_t index) {
  uint64_t mixed = (index + 1) * 0x9e3779b97f4a7c15ull;
  return static_cast<std::byte>(mixed >> 56);
}

/// Reads a small file of /proc or /sys into `buffer` without allocating.
std::string_view readSmallFile(const char *path, char *buffer, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return {};
  size_t used = 0;
  while (used < size) {
    ssize_t got = read(file, buffer + used, size - used);
    if (got <= 0)
      break;
    used += static_cast<size_t>(got);
  }
  close(file);
  return {buffer, used};
}

/// The number after `key` in `text`, times 1024; 0 without one.
uint64_t kilobytesAfter(std::string_view text, std::string_view key) {
  size_t at = text.find(key);
  if (at == std::string_view::npos)
    return 0;
  uint64_t value = 0;
  for (char c : text.substr(at + key.size())) {
    if (c >= '0' && c <= '9')
      value = value * 10 + static_cast<uint64_t>(c - '0');
    else if (value != 0)
      break;
  }
  return value * 1024;
}

} // namespace

Memory::~Memory() {
  for (const Slab &slab : all)
    munmap(slab.mapping, slab.mappingBytes);
}

const Slab &Memory::take(const std::string &name, uint64_t bytes, uint64_t alignment) {
  alignment = std::max<uint64_t>(alignment, 1);
  const uint64_t page = pageSize();
  auto refuse = [&](const char *why) {
    throw RunError(
        ExitCode::NoMemory,
        fmt::format("slab '{}': cannot take {} bytes ({}); close other programs, or recompile with a smaller "
                    "batch_size or tokenizer.max_seq_len",
                    name, bytes, why));
  };
  // Room for the slab, for its alignment, and for a guard page at each end.
  uint64_t slack = std::max(alignment, page) + 3 * page;
  if (bytes > (uint64_t(1) << 47) - slack)
    refuse("more than an address space holds");
  uint64_t room = (bytes + slack + page - 1) / page * page;
  void *mapped = mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    refuse(std::strerror(errno));

  Slab slab;
  slab.name = name;
  slab.mapping = static_cast<std::byte *>(mapped);
  slab.mappingBytes = room;
  slab.bytes = bytes;
  // The slab ends at the last guard page (or less than one alignment before it), so that the first byte behind it
  // traps.
  std::byte *end = slab.mapping + (room - page);
  slab.base = end - bytes;
  slab.base -= reinterpret_cast<uintptr_t>(slab.base) % alignment;
  std::byte *firstPage = slab.base - reinterpret_cast<uintptr_t>(slab.base) % page;
  const uint64_t usable =
      bytes == 0 ? 0 : (static_cast<uint64_t>(slab.base - firstPage) + bytes + page - 1) / page * page;
  if (usable > 0 && mprotect(firstPage, usable, PROT_READ | PROT_WRITE) != 0) {
    int error = errno;
    munmap(mapped, room);
    refuse(std::strerror(error));
  }
  // Large pages cut address translation for the big matrices; where the system has none nothing is lost.
  if (usable > 0)
    madvise(firstPage, usable, MADV_HUGEPAGE);
  all.push_back(slab);
  taken += bytes;
  inPages += usable;
  return all.back();
}

void Memory::touch(size_t index, uint64_t part, uint64_t parts) {
  const Slab &slab = all[index];
  const uint64_t page = pageSize();
  if (slab.bytes == 0)
    return;
  uint64_t pages = (slab.bytes + page - 1) / page;
  uint64_t first = pages * part / parts, last = pages * (part + 1) / parts;
  for (uint64_t at = first; at < last; ++at) {
    volatile std::byte *byte = slab.base + at * page;
    *byte = *byte;
  }
  if (last == pages) { // the slab may begin and end in the middle of pages
    volatile std::byte *byte = slab.base + slab.bytes - 1;
    *byte = *byte;
  }
}

void fillWithPattern(std::byte *bytes, uint64_t first, uint64_t count) {
  for (uint64_t index = 0; index < count; ++index)
    bytes[index] = patternAt(first + index);
}

uint64_t highestWritten(const std::byte *bytes, uint64_t first, uint64_t count) {
  for (uint64_t index = count; index > 0; --index)
    if (bytes[index - 1] != patternAt(first + index - 1))
      return first + index;
  return 0;
}

void fillWithPattern(const Slab &slab) { fillWithPattern(slab.base, 0, slab.bytes); }

uint64_t highestWritten(const Slab &slab) { return highestWritten(slab.base, 0, slab.bytes); }

uint64_t availableMemory() {
  char buffer[8192];
  uint64_t available = kilobytesAfter(readSmallFile("/proc/meminfo", buffer, sizeof(buffer)), "MemAvailable:");
  if (available == 0)
    available = UINT64_MAX;
  // Control groups, version 2: the limit of this process's own group ("max" when there is none).
  std::string_view group = readSmallFile("/proc/self/cgroup", buffer, sizeof(buffer));
  if (size_t at = group.find("0::/"); at != std::string_view::npos) {
    std::string path(group.substr(at + 3, group.find('\n', at) - at - 3));
    std::string folder = "/sys/fs/cgroup" + (path == "/" ? std::string() : path);
    char limit[64], used[64];
    std::string_view limitText = readSmallFile((folder + "/memory.max").c_str(), limit, sizeof(limit) - 1);
    std::string_view usedText = readSmallFile((folder + "/memory.current").c_str(), used, sizeof(used) - 1);
    if (!limitText.empty() && limitText[0] >= '0' && limitText[0] <= '9' && !usedText.empty()) {
      limit[limitText.size()] = used[usedText.size()] = '\0';
      uint64_t most = std::strtoull(limit, nullptr, 10), now = std::strtoull(used, nullptr, 10);
      // Cached files count as used there, but the system drops them when memory is wanted.
      std::string_view stat = readSmallFile((folder + "/memory.stat").c_str(), buffer, sizeof(buffer) - 1);
      buffer[stat.size()] = '\0';
      for (const char *key : {"\ninactive_file ", "\nactive_file "})
        if (const char *found = std::strstr(buffer, key))
          now -= std::min<uint64_t>(now, std::strtoull(found + std::strlen(key), nullptr, 10));
      available = std::min(available, most > now ? most - now : 0);
    }
  }
  return available;
}

uint64_t peakResident() {
  char buffer[4096];
  return kilobytesAfter(readSmallFile("/proc/self/status", buffer, sizeof(buffer)), "VmHWM:");
}

} // namespace ftc

//===- EventFile.cpp - Scalars for TensorBoard ----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/EventFile.h"

#include "ftc/Runtime/RunError.h"
#include "ftc/Trainer/Metrics.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace ftc {
namespace {

/// CRC-32C (Castagnoli), by the byte.
constexpr std::array<uint32_t, 256> crcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[byte] = crc;
  }
  return table;
}();

/// The checksum of a record, masked as TensorFlow does it: records may hold checksums themselves.
uint32_t maskedCrc(const char *data, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i)
    crc = crc >> 8 ^ crcTable[(crc ^ static_cast<unsigned char>(data[i])) & 255];
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/// A message of protocol buffers, in memory of its own.
class Message {
public:
  void number(int field, uint64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(value);
  }
  template <typename Float> void real(int field, Float value) {
    varint(static_cast<uint64_t>(field) << 3 | (sizeof(value) == 8 ? 1 : 5));
    raw(&value, sizeof(value));
  }
  void bytes(int field, std::string_view value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    raw(value.data(), value.size());
  }
  std::string_view view() const { return {buffer, used}; }

private:
  void varint(uint64_t value) {
    for (; value > 127; value >>= 7) {
      const char part = static_cast<char>(value | 128);
      raw(&part, 1);
    }
    const char last = static_cast<char>(value);
    raw(&last, 1);
  }
  void raw(const void *from, size_t size) {
    const size_t room = std::min(size, sizeof(buffer) - used);
    std::memcpy(buffer + used, from, room);
    used += room;
  }

  char buffer[128];
  size_t used = 0;
};

[[noreturn]] void failToWrite(const std::string &path) {
  throw RunError(ExitCode::WriteFailed, fmt::format("{}: cannot write: {}; free some space, or leave the logger out "
                                                    "(metric_logger=null)",
                                                    path, std::strerror(errno)));
}

} // namespace

EventFile::EventFile(const std::string &path, double seconds)
    : path(path), file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (file < 0)
    failToWrite(path);
  Message event;
  event.real(1, seconds);
  event.bytes(3, "brain.Event:2");
  write(event.view().data(), event.view().size());
}

EventFile::~EventFile() { close(file); }

void EventFile::add(std::string_view tag, uint64_t step, float value, double seconds) {
  Message scalar, summary, event;
  scalar.bytes(1, tag.substr(0, 32));
  scalar.real(2, value);
  summary.bytes(1, scalar.view());
  event.real(1, seconds);
  event.number(2, step);
  event.bytes(5, summary.view());
  write(event.view().data(), event.view().size());
}

void EventFile::write(const char *data, size_t size) {
  char record[160];
  const uint64_t length = size;
  std::memcpy(record, &length, sizeof(length));
  const uint32_t lengthCrc = maskedCrc(record, sizeof(length)), dataCrc = maskedCrc(data, size);
  std::memcpy(record + 8, &lengthCrc, 4);
  std::memcpy(record + 12, data, size);
  std::memcpy(record + 12 + size, &dataCrc, 4);
  if (!writeAll(file, record, size + 16))
    failToWrite(path);
}

void EventFile::sync() {
  if (fsync(file) != 0)
    failToWrite(path);
}

std::string newEventFile(const std::string &folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    errno = error.value();
    failToWrite(folder);
  }
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  return (std::filesystem::path(folder) /
          fmt::format("events.out.tfevents.{}.{}.{}.0", std::time(nullptr), host, getpid()))
      .string();
}

} // namespace ftc

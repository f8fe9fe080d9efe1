//===- Descriptor.h - Files by descriptor ---------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_DESCRIPTOR_H
#define FTC_LIB_CHECKPOINT_DESCRIPTOR_H

#include <cerrno>
#include <cstdint>
#include <unistd.h>

namespace ftc::fileio {

/// A descriptor that closes itself.
class Descriptor {
public:
  explicit Descriptor(int number = -1) : number(number) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;

  int get() const { return number; }
  explicit operator bool() const { return number >= 0; }
  void reset(int other = -1) {
    if (number >= 0)
      ::close(number);
    number = other;
  }

private:
  int number;
};

/// Reads exactly `bytes` at `offset`. False with errno, which is 0 at the end of the file.
inline bool readAt(int file, void *out, uint64_t bytes, uint64_t offset) {
  char *to = static_cast<char *>(out);
  while (bytes) {
    ssize_t got = ::pread(file, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      errno = got < 0 ? errno : 0;
      return false;
    }
    to += got;
    offset += got;
    bytes -= got;
  }
  return true;
}

/// Writes exactly `bytes`. False with errno.
inline bool writeAll(int file, const void *data, uint64_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes) {
    ssize_t put = ::write(file, from, bytes);
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return false;
    from += put;
    bytes -= put;
  }
  return true;
}

} // namespace ftc::fileio

#endif // FTC_LIB_CHECKPOINT_DESCRIPTOR_H

//===- ScratchFile.h - What does not belong in memory ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_DATA_SCRATCHFILE_H
#define FTC_LIB_DATA_SCRATCHFILE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ftc {

/// Bytes that are appended, and read anywhere. As many as fit into a buffer stay in memory; the others are in a file
/// without a name, which is gone when the process is, and which is read with pread and never mapped: of a data set of
/// any size, memory holds the same few KiB. One thread at a time, reading too.
class ScratchFile {
public:
  /// Makes no file yet. `folder` is where it will be, and is made if it is not there; "": the system's for temporary
  /// files.
  explicit ScratchFile(std::string folder = "");
  ~ScratchFile();
  ScratchFile(ScratchFile &&other) noexcept;
  ScratchFile &operator=(ScratchFile &&other) noexcept;

  uint64_t size() const { return inFile + pending.size(); }
  bool empty() const { return size() == 0; }
  /// After a failure it does nothing: ask `error`.
  void append(const void *data, size_t bytes);
  /// Drops what is behind the first `bytes` bytes, which are at most size().
  void truncate(uint64_t bytes);
  /// False where the bytes are not there or the system cannot read them. Allocates nothing.
  bool read(uint64_t offset, void *to, size_t bytes) const;
  /// The number at byte 8 * index. What lies around it is kept, so numbers one behind the other cost few reads.
  bool number(uint64_t index, uint64_t &value) const;
  /// Why the first append that failed did, and the way out; "" while none has.
  const std::string &error() const { return problem; }

private:
  void flush();
  void fail(const char *doing, int code);

  std::string folder;
  bool inTemporary = true; ///< `folder` is the system's for temporary files
  int file = -1;
  uint64_t inFile = 0;            ///< bytes of the file that count
  std::vector<std::byte> pending; ///< what follows them
  mutable std::vector<std::byte> window;
  mutable uint64_t windowAt = 0;
  mutable size_t windowBytes = 0;
  std::string problem;
};

/// Reads `bytes` of a file at `offset`; false at the end of the file (errno 0) or on an error (errno).
bool readAt(int file, void *to, size_t bytes, uint64_t offset);

} // namespace ftc

#endif // FTC_LIB_DATA_SCRATCHFILE_H

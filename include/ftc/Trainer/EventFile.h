//===- EventFile.h - Scalars for TensorBoard --------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_EVENTFILE_H
#define FTC_TRAINER_EVENTFILE_H

#include <cstdint>
#include <string>
#include <string_view>

namespace ftc {

/// A file of events that TensorBoard shows: records of TensorFlow (length, masked CRC-32C of it, data, masked CRC-32C
/// of them; little-endian), each a protocol buffer `Event` with one scalar. Adding one allocates nothing.
class EventFile {
public:
  /// Makes `path`. Its name must have "tfevents" in it for TensorBoard to see it. `seconds`: since 1970. Throws
  /// RunError(WriteFailed).
  EventFile(const std::string &path, double seconds);
  ~EventFile();
  EventFile(const EventFile &) = delete;
  EventFile &operator=(const EventFile &) = delete;

  /// `tag` has at most 32 letters. Throws RunError(WriteFailed).
  void add(std::string_view tag, uint64_t step, float value, double seconds);
  /// Makes what was added survive a power cut.
  void sync();

private:
  void write(const char *data, size_t size);

  std::string path;
  int file;
};

/// The path of a new file in `folder`, which is made, with a name as PyTorch's writer gives it. Throws
/// RunError(WriteFailed).
std::string newEventFile(const std::string &folder);

} // namespace ftc

#endif // FTC_TRAINER_EVENTFILE_H

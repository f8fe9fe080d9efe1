//===- Files.h - Reading whole files, and writing them whole or not at all ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_SUPPORT_FILES_H
#define FTC_SUPPORT_FILES_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ftc {

/// Reads a whole file. On failure returns false and sets `error` to "cannot read 'path': cause".
bool readFile(const std::string &path, std::string &contents, std::string &error);

/// Writes `contents` to `path` so that a reader, or a crash at any moment, sees the old file or the new one and never a
/// part: a temporary name in the same folder, fsync, rename, fsync of the folder. On failure the old file is untouched,
/// the temporary one is gone, and `error` is "cannot write 'path': cause". A link stays a link, and a device or a pipe
/// (/dev/null, /dev/stdout) is written to as it is.
bool writeFileAtomically(const std::string &path, std::string_view contents, std::string &error);

/// The same for contents that do not fit in memory at once: write pieces, then commit. Without a commit, destruction
/// removes the temporary file. Every function returns false after a failure, and `error()` tells the first one.
class AtomicFile {
public:
  /// Opens a temporary file beside `path`; check `ok()`. `mode`: permission bits of the new file, less the umask.
  explicit AtomicFile(std::string path, unsigned mode = 0666);
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  bool ok() const { return message.empty(); }
  const std::string &error() const { return message; }

  /// Appends bytes.
  bool write(const void *data, size_t bytes);
  bool write(std::string_view data) { return write(data.data(), data.size()); }
  /// Syncs, closes and gives the file its real name. Nothing can be written afterwards.
  bool commit();

private:
  bool fail(int code, const char *doing);

  std::string path, temporary, message;
  int descriptor = -1;
};

/// Whether what is written to a file of this name goes to standard output: /dev/stdout, /dev/fd/1, /proc/self/fd/1.
bool isStandardOutput(const std::string &path);

/// Opens a file in `folder` that no name leads to, for reading and writing: it is gone when it is closed, and with the
/// process. Its descriptor is never that of a standard stream, whichever of these are closed. -1 with errno.
int openUnnamedFile(const std::string &folder);

/// Opens /dev/null in place of each standard stream that is closed: else the next files that are opened would be what a
/// program writes its messages to. To read and to write there still fails. For the beginning of `main`.
void openStandardStreams();

/// Where `path` lies inside of `folder`, or "" where it is that folder; absent where it is neither, or where one of
/// them is absolute and the other is not. By their names alone: neither needs to be there.
std::optional<std::string> pathInside(const std::string &path, const std::string &folder);

/// fsync of a folder, so that renames and removals in it survive a power cut. On failure false and `error`.
bool syncFolder(const std::string &path, std::string &error);

} // namespace ftc

#endif // FTC_SUPPORT_FILES_H

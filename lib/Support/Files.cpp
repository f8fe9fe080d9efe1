//===- Files.cpp - Reading whole files, and writing them whole or not at all ---===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace ftc {

static std::string folderOf(const std::string &path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// The cause, and the way out where there is a usual one.
static std::string cause(int code) {
  std::string result = std::strerror(code);
  if (code == ENOENT)
    result += " (does the folder exist?)";
  if (code == ENOSPC)
    result += " (free some space or choose another folder)";
  return result;
}

bool readFile(const std::string &path, std::string &contents, std::string &error) {
  contents.clear();
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    error = "cannot read '" + path + "': " + std::strerror(errno);
    return false;
  }
  struct stat info;
  if (fstat(descriptor, &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      close(descriptor);
      error = "cannot read '" + path + "': it is a folder, a file is needed";
      return false;
    }
    if (S_ISREG(info.st_mode) && info.st_size > 0)
      contents.reserve(static_cast<size_t>(info.st_size));
  }
  char buffer[1 << 16];
  for (;;) {
    ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got == 0)
      break;
    if (got < 0) {
      if (errno == EINTR)
        continue;
      error = "cannot read '" + path + "': " + std::strerror(errno);
      close(descriptor);
      return false;
    }
    contents.append(buffer, static_cast<size_t>(got));
  }
  close(descriptor);
  return true;
}

/// The same file under a number behind those of the standard streams.
static int besideStandardStreams(int file) {
  if (file < 0 || file > STDERR_FILENO)
    return file;
  const int other = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), code = errno;
  close(file);
  errno = code;
  return other;
}

void openStandardStreams() {
  for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0 && errno == EBADF)
      // Takes the lowest number that is free. Reading and writing fail as they would without it, so nothing is lost
      // unheard.
      while (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0 && errno == EINTR)
        ;
}

std::optional<std::string> pathInside(const std::string &path, const std::string &folder) {
  namespace fs = std::filesystem;
  const auto normal = [](const std::string &name) {
    const fs::path whole = fs::path(name).lexically_normal();
    return whole.has_filename() || !whole.has_parent_path() ? whole : whole.parent_path(); // a slash at its end
  };
  const fs::path inside = normal(path).lexically_relative(normal(folder));
  if (path.empty() || folder.empty() || inside.empty() || *inside.begin() == "..")
    return std::nullopt;
  return inside == "." ? std::string() : inside.native();
}

int openUnnamedFile(const std::string &folder) {
  int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
    return besideStandardStreams(file);
  // A file system that cannot make one without a name: take the name away.
  std::string path = folder + "/.ftc-XXXXXX";
  file = mkostemp(path.data(), O_CLOEXEC);
  if (file >= 0)
    unlink(path.c_str());
  return besideStandardStreams(file);
}

bool syncFolder(const std::string &path, std::string &error) {
  int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // Some file systems refuse to sync a folder (EINVAL); they have nothing to sync then.
  if (descriptor < 0 || (fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS)) {
    error = "cannot sync the folder '" + path + "': " + cause(errno);
    if (descriptor >= 0)
      close(descriptor);
    return false;
  }
  close(descriptor);
  return true;
}

/// The descriptor that a name such as /dev/stdout or /dev/fd/3 stands for; -1 for other names.
static int descriptorOf(std::string_view path) {
  if (path == "/dev/stdout")
    return STDOUT_FILENO;
  if (path == "/dev/stderr")
    return STDERR_FILENO;
  for (std::string_view folder : {"/dev/fd/", "/proc/self/fd/"})
    if (path.starts_with(folder)) {
      int number = -1;
      const char *end = path.data() + path.size();
      const auto [rest, error] = std::from_chars(path.data() + folder.size(), end, number);
      return error == std::errc() && rest == end ? number : -1;
    }
  return -1;
}

bool isStandardOutput(const std::string &path) { return descriptorOf(path) == STDOUT_FILENO; }

AtomicFile::AtomicFile(std::string name, unsigned mode) : path(std::move(name)) {
  // What is open already may be a file that others write too: it goes on where they are.
  if (int open = descriptorOf(path); open >= 0) {
    descriptor = fcntl(open, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (descriptor < 0)
      fail(errno, "write");
    return;
  }
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      fail(EISDIR, "write");
      return;
    }
    // A device or a pipe (/dev/null, /dev/stdout) is written to, never replaced.
    if (!S_ISREG(info.st_mode)) {
      descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor < 0)
        fail(errno, "write");
      return;
    }
    // A link stays one: the file that it leads to is replaced.
    if (char *real = realpath(path.c_str(), nullptr)) {
      path = real;
      free(real);
    }
  }
  // In the same folder, for a rename cannot cross file systems. Process and counter make the name this writer's own.
  static std::atomic<unsigned> counter{0};
  temporary = path + ".tmp." + std::to_string(getpid()) + "." + std::to_string(counter++);
  descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode));
  if (descriptor < 0) {
    int code = errno;
    temporary.clear();
    fail(code, "write");
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor >= 0)
    close(descriptor);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

bool AtomicFile::fail(int code, const char *doing) {
  if (message.empty())
    message = std::string("cannot ") + doing + " '" + path + "': " + cause(code);
  return false;
}

bool AtomicFile::write(const void *data, size_t bytes) {
  if (!ok())
    return false;
  if (descriptor < 0)
    return fail(EBADF, "write");
  const char *next = static_cast<const char *>(data);
  while (bytes > 0) {
    ssize_t done = ::write(descriptor, next, std::min<size_t>(bytes, size_t(1) << 30));
    if (done < 0) {
      if (errno == EINTR)
        continue;
      return fail(errno, "write");
    }
    next += done;
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

bool AtomicFile::commit() {
  if (!ok())
    return false;
  if (descriptor < 0)
    return fail(EBADF, "write");
  if (!temporary.empty() && fsync(descriptor) != 0)
    return fail(errno, "sync");
  int closed = close(descriptor);
  descriptor = -1;
  if (closed != 0)
    return fail(errno, "close");
  if (temporary.empty())
    return true;
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return fail(errno, "rename to");
  temporary.clear();
  std::string error;
  if (!syncFolder(folderOf(path), error)) {
    message = error;
    return false;
  }
  return true;
}

bool writeFileAtomically(const std::string &path, std::string_view contents, std::string &error) {
  AtomicFile file(path);
  if (file.write(contents) && file.commit())
    return true;
  error = file.error();
  return false;
}

} // namespace ftc

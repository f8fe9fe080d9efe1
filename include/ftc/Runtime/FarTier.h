//===- FarTier.h - The far tier of a run: a file ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_FARTIER_H
#define FTC_RUNTIME_FARTIER_H

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace ftc {

/// The bytes of one far slab, in a file without a name: it is gone when the run is, however it ends. Space is reserved
/// when the tier is made, so a run that starts does not run out. The file is read and written with pread and pwrite and
/// never mapped. It goes through the system's page cache: that is not part of a process's resident memory, the system
/// takes it back when memory is wanted, and copies are as fast as memory while there is enough of it. Direct I/O would
/// need buffers, sizes and places at multiples of the device's blocks, and is refused by file systems in memory.
///
/// Two threads copy, one each way, fed by queues of fixed size. After construction nothing is allocated until a copy
/// fails. The functions that begin and await copies belong to one thread.
class FarTier {
public:
  /// Reserves `bytes` in a new file in `folder`. Throws RunError: NoMemory when the space is not there, NoFile when the
  /// folder takes no file.
  FarTier(const std::string &folder, uint64_t bytes);
  /// Ends the threads. Copies that are under way finish first.
  ~FarTier();
  FarTier(const FarTier &) = delete;
  FarTier &operator=(const FarTier &) = delete;

  uint64_t bytes() const { return size; }
  /// One past the highest byte that was ever written; 0 when none was.
  uint64_t highestWritten() const { return highest.load(); }
  /// Of the file.
  int descriptor() const { return file; }

  /// As in ftrt_services. A copy that has failed makes all later ones do nothing, and every wait tell of it.
  uint64_t beginWrite(uint64_t offset, const void *from, uint64_t count);
  uint64_t beginRead(uint64_t offset, void *to, uint64_t count);
  bool wait(uint64_t copy);
  /// Waits for all copies: then no thread touches near memory.
  void drain();
  /// What failed, in words; empty while nothing has.
  std::string failure() const;

  /// Reads or writes at once, for who has no step running: initialization and checkpoints. Throws RunError(StepFailed).
  void read(uint64_t offset, void *to, uint64_t count);
  void write(uint64_t offset, const void *from, uint64_t count);

private:
  struct Request {
    uint64_t offset;
    std::byte *near;
    uint64_t count;
  };
  /// Copies in one direction.
  struct Stream {
    std::mutex lock;
    std::condition_variable changed;
    std::array<Request, 256> requests;
    uint64_t begun = 0, over = 0; ///< copies so far
    bool stop = false;
    std::thread thread;
  };

  uint64_t begin(Stream &stream, Request request);
  void work(Stream &stream, bool writes);
  /// Moves all bytes; 0, the system's error, or -1 where the file ends.
  int move(const Request &request, bool writes);
  void fail(const Request &request, bool writes, int error);

  std::string folder;
  uint64_t size;
  int file = -1;
  std::atomic<uint64_t> highest{0};
  std::atomic<bool> failed{false};
  mutable std::mutex failureLock;
  Request failedRequest{};
  bool failedWriting = false;
  int failedError = 0;
  Stream writing, reading;
};

} // namespace ftc

#endif // FTC_RUNTIME_FARTIER_H

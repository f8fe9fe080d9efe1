//===- OutputFolder.h - Where a run writes ----------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TRAINER_OUTPUTFOLDER_H
#define FTC_TRAINER_OUTPUTFOLDER_H

#include <cstdint>
#include <string>

namespace ftc {

/// Makes a folder if it is not there, and keeps other runs out of it for as long as this lives. The lock is the
/// kernel's and ends with the process, however that ends. Where a file system has no locks there is none.
class OutputFolder {
public:
  /// Throws RunError(WriteFailed): the folder cannot be made, or another run writes there.
  explicit OutputFolder(const std::string &path);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

private:
  int descriptor = -1;
};

/// The newest CHECKPOINTS/earlier_K, "" if there is none.
std::string newestEarlierRun(const std::string &checkpoints);

/// Whether `checkpoints` has a step_N, whole or not.
bool hasCheckpoints(const std::string &checkpoints);

/// Whether `checkpoints` has a step_N with the state of a run, which one of torchtune's has not.
bool canGoOn(const std::string &checkpoints);

/// The newest folder in `checkpoints` that torchtune has written: epoch_N, or a step_N without the state of a run of
/// ours; "" if there is none.
std::string torchtuneCheckpoint(const std::string &checkpoints);

/// What moveEarlierRun did.
struct EarlierRun {
  std::string checkpoints; ///< CHECKPOINTS/earlier_K; empty: there was nothing to move
  std::string from;        ///< CHECKPOINTS, as given

  /// `path`, or where it is now if it was moved.
  std::string now(const std::string &path) const;
};

/// A run that starts from the beginning must not mix with an earlier one in the same folder: moves `checkpoints`/step_*
/// to `checkpoints`/earlier_K, and `output`/metrics.jsonl to `output`/earlier_K. Throws RunError(WriteFailed).
EarlierRun moveEarlierRun(const std::string &output, const std::string &checkpoints);

/// Whether `count` checkpoints of `bytes` each have room in `folder`. Throws RunError(WriteFailed) where not even one
/// has; returns a warning, or "", about all of them.
std::string checkRoom(const std::string &folder, uint64_t bytes, uint64_t count);

} // namespace ftc

#endif // FTC_TRAINER_OUTPUTFOLDER_H

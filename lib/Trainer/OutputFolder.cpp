//===- OutputFolder.cpp - Where a run writes --------------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/OutputFolder.h"

#include "ftc/Checkpoint/Checkpoint.h"
#include "ftc/Runtime/RunError.h"
#include "ftc/Support/Units.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;

namespace ftc {

OutputFolder::OutputFolder(const std::string &path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw RunError(ExitCode::WriteFailed, fmt::format("{}: cannot make the output directory: {}; choose another --out",
                                                      path, error.message()));
  descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 || flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return; // what cannot be opened is told when it is written to
  close(descriptor);
  throw RunError(ExitCode::WriteFailed,
                 fmt::format("{}: another run writes there now; wait for its end, or choose another --out", path));
}

OutputFolder::~OutputFolder() {
  if (descriptor >= 0)
    close(descriptor);
}

/// Moves entries of `folder` to a new folder in it, whose path is returned.
static fs::path moveAway(const fs::path &folder, const std::vector<fs::path> &entries) {
  fs::path target;
  for (int number = 1; number == 1 || fs::exists(target); ++number)
    target = folder / fmt::format("earlier_{}", number);
  std::error_code error;
  auto fail = [&](const fs::path &what) {
    throw RunError(ExitCode::WriteFailed, fmt::format("{}: an earlier run's files cannot be moved away: {}; choose "
                                                      "another --out",
                                                      what.string(), error.message()));
  };
  if (!fs::create_directory(target, error))
    fail(target);
  for (const fs::path &path : entries) {
    fs::rename(path, target / path.filename(), error);
    if (error)
      fail(path);
  }
  return target;
}

EarlierRun moveEarlierRun(const std::string &output, const std::string &checkpoints) {
  std::error_code error;
  std::vector<fs::path> old;
  for (const fs::directory_entry &entry : fs::directory_iterator(checkpoints, error))
    if (stepOfName(entry.path().filename().string()))
      old.push_back(entry.path());
  const bool hasCheckpoints = !old.empty();
  const fs::path metrics = fs::path(output) / "metrics.jsonl";
  if (fs::exists(metrics, error) && !fs::is_empty(metrics, error)) {
    // A run that left no checkpoint has metrics too.
    if (hasCheckpoints && fs::equivalent(output, checkpoints, error))
      old.push_back(metrics);
    else
      moveAway(output, {metrics});
  }
  if (!hasCheckpoints)
    return {};
  return {moveAway(checkpoints, old).string(), checkpoints};
}

std::string newestEarlierRun(const std::string &checkpoints) {
  std::string newest;
  std::error_code error;
  for (int number = 1;; ++number) {
    const fs::path path = fs::path(checkpoints) / fmt::format("earlier_{}", number);
    if (!fs::exists(path, error))
      return newest;
    if (hasCheckpoints(path.string())) // else it has the metrics of a run that left none
      newest = path.string();
  }
}

bool hasCheckpoints(const std::string &checkpoints) {
  std::error_code error;
  for (fs::directory_iterator it(checkpoints, error), end; !error && it != end; it.increment(error))
    if (stepOfName(it->path().filename().string()))
      return true;
  return false;
}

static bool hasState(const fs::path &checkpoint) {
  std::error_code error;
  return fs::exists(checkpoint / "training_state.json", error);
}

bool canGoOn(const std::string &checkpoints) {
  std::error_code error;
  for (fs::directory_iterator it(checkpoints, error), end; !error && it != end; it.increment(error))
    if (stepOfName(it->path().filename().string()) && hasState(it->path()))
      return true;
  return false;
}

std::string torchtuneCheckpoint(const std::string &checkpoints) {
  std::error_code error;
  std::string newest;
  uint64_t most = 0;
  for (fs::directory_iterator it(checkpoints, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string(), epoch = "epoch_";
    const bool isEpoch = name.starts_with(epoch);
    const std::optional<uint64_t> number = stepOfName(isEpoch ? "step_" + name.substr(epoch.size()) : name);
    // A step_N that was broken off has its weights under another name.
    if (!number || (!newest.empty() && *number < most) || (!isEpoch && hasState(it->path())))
      continue;
    bool hasWeights = false;
    for (fs::directory_iterator file(it->path(), error); !error && file != end; file.increment(error)) {
      const std::string ending = file->path().extension().string();
      hasWeights |= ending == ".safetensors" || ending == ".pt" || ending == ".bin";
    }
    error.clear();
    if (hasWeights) {
      newest = it->path().string();
      most = *number;
    }
  }
  return newest;
}

std::string EarlierRun::now(const std::string &path) const {
  if (checkpoints.empty() || path.empty())
    return path;
  std::error_code error;
  auto parts = [&](const std::string &name) { return fs::weakly_canonical(name, error); };
  const fs::path inside = parts(path).lexically_relative(parts(from));
  if (inside.empty() || !stepOfName(inside.begin()->string()))
    return path;
  return (fs::path(checkpoints) / inside).string();
}

std::string checkRoom(const std::string &folder, uint64_t bytes, uint64_t count) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || count == 0)
    return "";
  if (space.available < bytes)
    throw RunError(ExitCode::WriteFailed,
                   fmt::format("{}: a checkpoint takes {}, and {} are free there; free some space, choose another "
                               "--out, or train without checkpoints (--no-checkpoint, save_every_n_steps=null)",
                               folder, formatBytes(bytes), formatBytes(space.available)));
  if (space.available / count >= bytes)
    return "";
  return fmt::format("{}: {} checkpoints of {} do not have room in the {} that are free there", folder, count,
                     formatBytes(bytes), formatBytes(space.available));
}

} // namespace ftc

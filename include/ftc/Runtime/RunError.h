//===- RunError.h - Why a run stopped, as a message and an exit code -------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_RUNTIME_RUNERROR_H
#define FTC_RUNTIME_RUNERROR_H

#include <stdexcept>
#include <string>

namespace ftc {

/// What `ftrun` exits with. Numbers are part of its interface: scripts test them.
enum class ExitCode : int {
  Ok = 0,
  Usage = 2,           ///< bad flag or override
  NoFile = 10,         ///< a file that was named does not exist or cannot be read
  BadStep = 11,        ///< not a step, or its manifest is damaged
  BadAbi = 12,         ///< a step of another ABI version
  CpuFeature = 13,     ///< this CPU lacks something that the step was compiled for
  TooManyThreads = 14, ///< more threads than scratch memory was planned for
  NoMemory = 15,       ///< the plan does not fit this machine now
  Unsupported = 16,    ///< the step needs something that this runtime does not have (another target, an entry)
  NoDevice = 17,  ///< the step is for a GPU: no driver, no GPU, one of another architecture, or a library is missing
  EmptyData = 20, ///< nothing to train on
  BadData = 21,   ///< malformed data, or a token outside of the vocabulary
  BadCheckpoint = 22, ///< a tensor is missing or misshapen, or a file is damaged
  WriteFailed = 24,   ///< a checkpoint or the metrics could not be written
  StepFailed = 25,    ///< an entry of the step returned an error, or launches that were compared differ
  NotFinite = 26,     ///< the loss or the gradients are not numbers, and so the weights are lost
  HungUp = 129,       ///< SIGHUP: the current step was finished and saved
  Interrupted = 130,  ///< SIGINT: the same
  Terminated = 143,   ///< SIGTERM: the same
};

/// The one exception of Runtime and Trainer. `what()` names the place, the cause and a way out.
class RunError : public std::runtime_error {
public:
  RunError(ExitCode code, const std::string &message) : std::runtime_error(message), exitCode(code) {}
  ExitCode code() const { return exitCode; }

private:
  ExitCode exitCode;
};

} // namespace ftc

#endif // FTC_RUNTIME_RUNERROR_H

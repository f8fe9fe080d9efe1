//===- Device.h - What is known of a GPU before one is there ----*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Device files: configs/devices/*.yaml, which every program that reads them has inside, and files of users in the same
// form. Nothing is asked of a driver, so the same file gives the same step on any machine.
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CONFIG_DEVICE_H
#define FTC_CONFIG_DEVICE_H

#include "ftc/Support/Diagnostics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ftc {

/// A GPU. Members stand in the order of the keys of a device file, which are all required.
struct DeviceFile {
  std::string name;
  std::string architecture;            ///< LLVM's name of the instruction set: "sm_90a"
  int64_t ptxVersion = 0;              ///< major * 10 + minor: the version of PTX in which kernels are written
  int64_t multiprocessors = 0;         ///< streaming multiprocessors
  int64_t sharedBytesABlock = 0;       ///< most shared memory that one block can have, in bytes
  int64_t l2Bytes = 0;                 ///< of the cache that all multiprocessors share
  int64_t memoryBytes = 0;             ///< of the board, as nvidia-smi tells; a context and libraries take some of it
  int64_t productWorkspaceBytes = 0;   ///< planned memory that cuBLASLt may use for one product
  int64_t attentionWorkspaceBytes = 0; ///< most planned memory that cuDNN may use for one attention; 0: it is not asked
  double matrixFlopsPerSecond = 0;     ///< of products in bf16, at best
  double memoryBytesPerSecond = 0;     ///< at best
  double linkBytesPerSecond = 0;       ///< between host and device, one direction, at best

  /// The file again, in a normal form: keys in their order, sizes in bytes.
  std::string yaml() const;
};

/// Names of the devices that are built in, in alphabetical order.
std::vector<std::string> knownDevices();

/// Reads a device by its name ("h100"), or from a file where `nameOrFile` has a '/' or ends in ".yaml". On failure
/// nothing, and errors in `diags` with file, line and column.
std::optional<DeviceFile> readDevice(const std::string &nameOrFile, std::vector<Diagnostic> &diags);

/// The same from text; `file` is its name in messages.
std::optional<DeviceFile> parseDevice(const std::string &text, const std::string &file, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_CONFIG_DEVICE_H

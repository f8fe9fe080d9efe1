//===- Safetensors.h - Hugging Face's format of tensors ----------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_SAFETENSORS_H
#define FTC_CHECKPOINT_SAFETENSORS_H

#include "ftc/Checkpoint/TensorFile.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ftc {

/// An open safetensors file (https://github.com/huggingface/safetensors#format): 8 bytes of header length, a JSON
/// header, then the data. The header is checked whole when the file is opened: lengths, types, shapes against byte
/// ranges, no overlap, no gap, nothing beyond the end.
class SafetensorsFile : public TensorFile {
public:
  /// Null with an error that names the file, and the tensor if it is one tensor's fault.
  static std::unique_ptr<SafetensorsFile> open(const std::string &path, std::vector<Diagnostic> &diags);

  /// The header's "__metadata__".
  const std::map<std::string, std::string> &metadata() const { return meta; }

private:
  SafetensorsFile() = default;

  std::map<std::string, std::string> meta;
};

/// The bytes that come before the data: header length and JSON header, padded with spaces to a multiple of 8. Data
/// follow in the order of `tensors`, without gaps. Equal input gives equal bytes.
std::string safetensorsHeader(std::span<const TensorSpec> tensors, const std::map<std::string, std::string> &metadata);

/// Writes a file under a temporary name in the same folder, syncs it and renames it.
bool writeSafetensors(const std::string &path, std::span<const TensorView> tensors,
                      const std::map<std::string, std::string> &metadata, std::vector<Diagnostic> &diags);

} // namespace ftc

#endif // FTC_CHECKPOINT_SAFETENSORS_H

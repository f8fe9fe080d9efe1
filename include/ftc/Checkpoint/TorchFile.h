//===- TorchFile.h - What torch.save writes ----------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_CHECKPOINT_TORCHFILE_H
#define FTC_CHECKPOINT_TORCHFILE_H

#include "ftc/Checkpoint/TensorFile.h"

namespace ftc {

/// Whether a file is to be opened as one of torch.save's, by its ending: .bin, .pt, .pth.
bool isTorchFileName(std::string_view name);

/// An open file of torch.save (.bin, .pt, .pth) that holds a state dict: a zip archive of NAME/data.pkl, which says
/// what tensors there are, and NAME/data/KEY, their storages, which are read where they lie. Of the pickle only what a
/// state dict needs is understood, and no code is run. The state dict is the whole value, or its entry "model" or
/// "state_dict". Everything is checked when the file is opened: each tensor's place lies within its storage, each
/// storage within the file. Views (transposed, sliced, expanded) are read as what they show.
class TorchFile : public TensorFile {
public:
  /// Null with an error that names the file, the tensor if it is one tensor's fault, and the way out.
  static std::unique_ptr<TorchFile> open(const std::string &path, std::vector<Diagnostic> &diags);

private:
  TorchFile() = default;
};

} // namespace ftc

#endif // FTC_CHECKPOINT_TORCHFILE_H

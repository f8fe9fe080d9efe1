//===- ZipList.h - Where the files of an archive lie ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_LIB_CHECKPOINT_ZIPLIST_H
#define FTC_LIB_CHECKPOINT_ZIPLIST_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ftc {

/// A file within a zip archive.
struct ZipMember {
  std::string name;
  uint64_t bytes = 0;
  /// Whether it is stored as it is: neither compressed nor encrypted.
  bool isStored = false;
  /// From the start of the archive, if it is stored; `offset` to `offset + bytes` lies within the archive.
  uint64_t offset = 0;
};

/// The files of the archive that `file`, open for reading and of `fileBytes` bytes, holds; also of archives above
/// 4 GiB. Nullopt with what is wrong with it.
std::optional<std::vector<ZipMember>> listZip(int file, uint64_t fileBytes, std::string &problem);

} // namespace ftc

#endif // FTC_LIB_CHECKPOINT_ZIPLIST_H

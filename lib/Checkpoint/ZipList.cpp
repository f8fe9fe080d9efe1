//===- ZipList.cpp - Where the files of an archive lie --------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// libzip reads the directory, but does not tell where a member's bytes are; we want to read them where they lie, any
// part at any time, without its streams and checksums in between. So it reads through a source of ours, which sees
// what it asks for: the first byte of a member that is stored as it is comes from where the member begins.
//
//===----------------------------------------------------------------------===//

#include "ZipList.h"

#include "Descriptor.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <zip.h>

using namespace ftc;

namespace {

/// An open file as libzip's source.
struct Source {
  int file;
  uint64_t bytes;
  uint64_t position = 0;
  uint64_t lastRead = 0; ///< where the last piece that was read began
  zip_error_t error = {};

  static zip_int64_t call(void *self, void *data, zip_uint64_t length, zip_source_cmd_t command) {
    return static_cast<Source *>(self)->answer(data, length, command);
  }

  zip_int64_t answer(void *data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_OPEN:
      position = 0;
      return 0;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
      return 0;
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&error, data, length);
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(position);
    case ZIP_SOURCE_STAT: {
      auto *stat = ZIP_SOURCE_GET_ARGS(zip_stat_t, data, length, &error);
      if (!stat)
        return -1;
      zip_stat_init(stat);
      stat->size = bytes;
      stat->valid = ZIP_STAT_SIZE;
      return static_cast<zip_int64_t>(sizeof(*stat));
    }
    case ZIP_SOURCE_SEEK: {
      zip_int64_t place = zip_source_seek_compute_offset(position, bytes, data, length, &error);
      if (place < 0)
        return -1;
      position = static_cast<uint64_t>(place);
      return 0;
    }
    case ZIP_SOURCE_READ: {
      const uint64_t count = std::min(length, bytes - std::min(bytes, position));
      if (!fileio::readAt(file, data, count, position)) {
        zip_error_set(&error, ZIP_ER_READ, errno);
        return -1;
      }
      lastRead = position;
      position += count;
      return static_cast<zip_int64_t>(count);
    }
    default:
      zip_error_set(&error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
    }
  }
};

} // namespace

std::optional<std::vector<ZipMember>> ftc::listZip(int file, uint64_t fileBytes, std::string &problem) {
  Source source{file, fileBytes};
  zip_error_init(&source.error);
  zip_error_t error;
  zip_error_init(&error);
  std::unique_ptr<zip_error_t, void (*)(zip_error_t *)> clearsError(&error, zip_error_fini),
      clearsSource(&source.error, zip_error_fini);
  auto why = [&] { return std::string(zip_error_strerror(&error)); };

  zip_source_t *stream = zip_source_function_create(Source::call, &source, &error);
  if (!stream) {
    problem = why();
    return std::nullopt;
  }
  std::unique_ptr<zip_t, void (*)(zip_t *)> archive(zip_open_from_source(stream, ZIP_RDONLY, &error), zip_discard);
  if (!archive) {
    zip_source_free(stream);
    problem = why();
    return std::nullopt;
  }

  std::vector<ZipMember> members;
  for (zip_int64_t i = 0, count = zip_get_num_entries(archive.get(), 0); i < count; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(archive.get(), index, ZIP_FL_ENC_RAW, &stat) || (stat.valid & needed) != needed) {
      problem = fmt::format("entry {} cannot be read: {}", index, zip_strerror(archive.get()));
      return std::nullopt;
    }
    ZipMember &member = members.emplace_back(ZipMember{stat.name, stat.size});
    const bool isEncrypted = stat.valid & ZIP_STAT_ENCRYPTION_METHOD && stat.encryption_method != ZIP_EM_NONE;
    member.isStored = stat.comp_method == ZIP_CM_STORE && !isEncrypted && stat.comp_size == stat.size;
    if (!member.isStored || !member.bytes)
      continue;
    auto fail = [&](const std::string &message) {
      problem = fmt::format("entry '{}': {}; the file is truncated or broken", member.name, message);
      return std::nullopt;
    };
    std::unique_ptr<zip_file_t, int (*)(zip_file_t *)> opened(zip_fopen_index(archive.get(), index, ZIP_FL_COMPRESSED),
                                                              zip_fclose);
    if (!opened)
      return fail(zip_strerror(archive.get()));
    char first;
    if (zip_fread(opened.get(), &first, 1) != 1)
      return fail(fmt::format("its {} bytes cannot be read", member.bytes));
    member.offset = source.lastRead;
    if (member.bytes > fileBytes - member.offset)
      return fail(fmt::format("its {} bytes from byte {} on are not within the file's {}", member.bytes, member.offset,
                              fileBytes));
  }
  return members;
}

//===- TorchArchive.h - Files of torch.save, right and wrong --------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_CHECKPOINT_TORCHARCHIVE_H
#define FTC_TEST_UNIT_CHECKPOINT_TORCHARCHIVE_H

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <vector>
#include <zip.h>

namespace ftc {

/// Pieces of a pickle.
inline std::string little(uint64_t value, size_t bytes) { return {reinterpret_cast<const char *>(&value), bytes}; }
inline std::string text(std::string_view value) { return "X" + little(value.size(), 4) + std::string(value); }
inline std::string number(int64_t value) { return "\x8a\x08" + little(static_cast<uint64_t>(value), 8); }
inline std::string numbers(const std::vector<int64_t> &values) {
  std::string result = "(";
  for (int64_t value : values)
    result += number(value);
  return result + "t";
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

/// What a tensor's pickle says; right unless a test makes it wrong.
struct TensorPickle {
  std::string name = "w";
  std::vector<int64_t> shape = {2, 3}, strides = {3, 1};
  int64_t first = 0;
  std::string storage = "FloatStorage", key = "0";
  int64_t elements = 6;

  std::string tensor() const {
    return global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") + global("torch", storage) +
           text(key) + text("cpu") + number(elements) + "tQ" + number(first) + numbers(shape) + numbers(strides) +
           "\x89" + global("collections", "OrderedDict") + ")RtR";
  }
  /// A dictionary of this tensor.
  std::string dictionary() const { return "\x80\x02}(" + text(name) + tensor() + "u."; }
};

struct Member {
  std::string name, bytes;
  bool isCompressed = false;
};

/// A zip archive.
inline std::string archiveOf(const std::vector<Member> &members) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t *target = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(target);
  zip_t *archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
  for (const Member &member : members) {
    zip_source_t *source = zip_source_buffer(archive, member.bytes.data(), member.bytes.size(), 0);
    zip_int64_t index = zip_file_add(archive, member.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    EXPECT_GE(index, 0) << zip_strerror(archive);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index),
                             member.isCompressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  EXPECT_EQ(zip_close(archive), 0) << zip_strerror(archive);
  zip_stat_t stat;
  zip_source_stat(target, &stat);
  std::string bytes(stat.size, '\0');
  zip_source_open(target);
  zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  zip_source_free(target);
  zip_error_fini(&error);
  return bytes;
}

/// A file of torch.save with one storage, of six floats unless given.
inline std::string torchFileOf(const std::string &pickle, size_t storageBytes = 24) {
  return archiveOf({{"archive/data.pkl", pickle},
                    {"archive/byteorder", "little"},
                    {"archive/data/0", std::string(storageBytes, '\0')},
                    {"archive/version", "3\n"}});
}

} // namespace ftc

#endif // FTC_TEST_UNIT_CHECKPOINT_TORCHARCHIVE_H

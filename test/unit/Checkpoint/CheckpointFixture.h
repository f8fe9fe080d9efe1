//===- CheckpointFixture.h - A folder of checkpoints ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_CHECKPOINT_CHECKPOINTFIXTURE_H
#define FTC_TEST_UNIT_CHECKPOINT_CHECKPOINTFIXTURE_H

#include "ftc/Checkpoint/Checkpoint.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>

namespace ftc {

class CheckpointFixture : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftc-checkpoint-XXXXXX").native();
    ASSERT_TRUE(mkdtemp(pattern.data()));
    root = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root); }

  std::string write(const std::string &name, std::string_view contents) {
    std::filesystem::path path = root / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }
  static std::string readAll(const std::filesystem::path &path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// A safetensors file of a header as given and `dataBytes` bytes.
  std::string file(const std::string &name, std::string_view header, size_t dataBytes) {
    uint64_t length = header.size();
    return write(name, std::string(reinterpret_cast<const char *>(&length), 8) + std::string(header) +
                           std::string(dataBytes, '\1'));
  }
  std::string messages() const {
    std::string text;
    for (const Diagnostic &diag : diags)
      text += diag.str() + "\n";
    return text;
  }
  bool says(std::string_view part) const { return messages().find(part) != std::string::npos; }

  std::filesystem::path root;
  std::vector<Diagnostic> diags;
};

} // namespace ftc

#endif // FTC_TEST_UNIT_CHECKPOINT_CHECKPOINTFIXTURE_H

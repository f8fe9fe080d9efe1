//===- DataFixture.h - A folder of data files -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_DATA_DATAFIXTURE_H
#define FTC_TEST_UNIT_DATA_DATAFIXTURE_H

#include "ftc/Data/BatchStream.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace ftc {

constexpr int32_t X = ignoredLabel, BOS = 256, EOS = 257, PAD = 258;
using Ints = std::vector<int32_t>;

/// A batch in memory.
struct Batch {
  Ints tokens, labels, positions, segments;
  explicit Batch(int64_t size) : tokens(size, -7), labels(size, -7), positions(size, -7), segments(size, -7) {}
  BatchView view() { return {tokens.data(), labels.data(), positions.data(), segments.data()}; }
};

class DataFixture : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ftc-data-XXXXXX").native();
    ASSERT_TRUE(mkdtemp(pattern.data()));
    root = pattern;
    tokenizer = makeTokenizer({}, diags);
    options.seqLen = 8;
    options.vocabSize = 259;
  }
  void TearDown() override { std::filesystem::remove_all(root); }

  std::string write(const std::string &name, std::string_view contents) {
    std::filesystem::path path = root / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }

  template <typename Id> std::string writeIds(const std::string &name, const std::vector<Id> &ids, bool header) {
    std::string bytes;
    if (header) {
      uint64_t numbers[] = {sizeof(Id), ids.size()};
      bytes = "FTCTOK01" + std::string(reinterpret_cast<const char *>(numbers), sizeof(numbers));
    }
    bytes.append(reinterpret_cast<const char *>(ids.data()), ids.size() * sizeof(Id));
    return write(name, bytes);
  }

  std::optional<LoadedData> load(const std::string &path) {
    diags.clear();
    options.path = path;
    return loadData(options, *tokenizer, diags);
  }

  Batch row(const DataSet &set, int64_t index) {
    Batch batch(set.seqLen());
    int64_t valid = set.fillRow(index, batch.view(), set.seqLen());
    EXPECT_EQ(valid, set.countValid(index));
    EXPECT_EQ(valid, static_cast<int64_t>(batch.labels.size()) -
                         std::count(batch.labels.begin(), batch.labels.end(), ignoredLabel));
    return batch;
  }

  /// All messages, one a line.
  std::string messages() const {
    std::string text;
    for (const Diagnostic &diag : diags)
      text += diag.str() + "\n";
    return text;
  }
  bool says(std::string_view part) const { return messages().find(part) != std::string::npos; }

  std::filesystem::path root;
  std::vector<Diagnostic> diags;
  std::unique_ptr<Tokenizer> tokenizer;
  DataOptions options;
};

} // namespace ftc

#endif // FTC_TEST_UNIT_DATA_DATAFIXTURE_H

//===- TokenizerFixture.h - Tokenizers for tests ------------------*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TOKENIZER_TOKENIZERFIXTURE_H
#define FTC_TEST_UNIT_TOKENIZER_TOKENIZERFIXTURE_H

#include "ftc/Tokenizer/Tokenizer.h"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ftc {

inline const std::string folder = FTC_SOURCE_DIR "/test/oracle/goldens/tokens/";

inline TokenizerConfig llama3Config() {
  return {"torchtune.models.llama3.llama3_tokenizer", folder + "llama3.model", folder + "special.json"};
}
inline TokenizerConfig llama2Config() {
  return {"torchtune.models.llama2.llama2_tokenizer", folder + "llama2.model", ""};
}

inline std::unique_ptr<Tokenizer> make(const TokenizerConfig &config) {
  std::vector<Diagnostic> diags;
  auto tokenizer = makeTokenizer(config, diags);
  EXPECT_TRUE(diags.empty()) << diags.front().message;
  return tokenizer;
}

inline std::string errorOf(const TokenizerConfig &config) {
  std::vector<Diagnostic> diags;
  EXPECT_EQ(makeTokenizer(config, diags), nullptr);
  return diags.empty() ? "" : fmt::format("{}:{}: {}", diags[0].file, diags[0].line, diags[0].message);
}

inline nlohmann::json golden(const char *family) {
  std::ifstream in(folder + "golden.json");
  return nlohmann::json::parse(in)[family];
}

inline std::vector<int32_t> encoded(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.encode(text, ids);
  return ids;
}

inline TokenizerConfig mistralConfig() {
  return {"torchtune.models.mistral.mistral_tokenizer", folder + "llama2.model", ""};
}

inline TokenizerConfig gemmaConfig() { return {"torchtune.models.gemma.gemma_tokenizer", folder + "gemma.model", ""}; }

/// `family` is "qwen2", "qwen2_5" or "qwen3".
inline TokenizerConfig qwenConfig(const std::string &family) {
  return {"torchtune.models." + family + "." + family + "_tokenizer", folder + "qwen/vocab.json",
          folder + (family == "qwen3" ? "qwen/qwen3.json" : "qwen/tokenizer.json"), folder + "qwen/merges.txt"};
}

inline TokenizerConfig phi3Config() {
  return {"torchtune.models.phi3.phi3_mini_tokenizer", folder + "llama2.model", ""};
}
inline TokenizerConfig phi4Config() {
  return {"torchtune.models.phi4.phi4_tokenizer", folder + "phi4/vocab.json", "", folder + "phi4/merges.txt"};
}

/// A file that exists during one test.
class BadFile : public testing::Test {
protected:
  std::string write(const std::string &text) {
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  ~BadFile() override { std::filesystem::remove(path); }
  const std::string path =
      testing::TempDir() + "tokenizer-" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".model";
};

} // namespace ftc

#endif // FTC_TEST_UNIT_TOKENIZER_TOKENIZERFIXTURE_H

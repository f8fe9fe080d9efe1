//===- HuggingFaceFixture.h - Files of Hugging Face's for tests ---*- C++ -*-===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TOKENIZER_HUGGINGFACEFIXTURE_H
#define FTC_TEST_UNIT_TOKENIZER_HUGGINGFACEFIXTURE_H

#include "TokenizerFixture.h"

#include <algorithm>
#include <unistd.h>

namespace ftc {

/// A folder with a tokenizer's files that exists during one test.
class HuggingFaceFiles : public testing::Test {
protected:
  HuggingFaceFiles() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '-');
    root = testing::TempDir() + "huggingface-" + name + std::to_string(getpid());
    std::filesystem::create_directories(root);
  }
  ~HuggingFaceFiles() override { std::filesystem::remove_all(root); }

  static const nlohmann::json &goldens() {
    static const nlohmann::json all = read("golden");
    return all;
  }
  /// A file of the goldens.
  static nlohmann::json read(const std::string &name) {
    std::ifstream in(folder + "huggingface/" + name + ".json");
    return nlohmann::json::parse(in);
  }
  /// A template of test/oracle/chat_templates.py.
  static std::string chatTemplate(const char *name) {
    std::ifstream in(FTC_SOURCE_DIR "/test/oracle/goldens/chat/templates.json");
    return nlohmann::json::parse(in)["templates"][name];
  }

  std::string path(const std::string &name) const { return root + "/" + name; }
  std::string write(const std::string &name, const std::string &text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

  TokenizerConfig configOf(const nlohmann::json &file, const nlohmann::json &config) const {
    TokenizerConfig made;
    made.component = "torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer";
    made.path = write("tokenizer.json", file.dump());
    made.tokenizerConfigPath = write("tokenizer_config.json", config.dump());
    return made;
  }
  /// The tokenizer of these files; null with a failure of the test.
  std::unique_ptr<Tokenizer> fromParts(const nlohmann::json &file, const nlohmann::json &config = {}) const {
    nlohmann::json whole = config;
    if (!whole.contains("eos_token")) // any of the file's
      whole["eos_token"] = file["added_tokens"][0]["content"];
    return make(configOf(file, whole));
  }
  std::unique_ptr<Tokenizer> of(const std::string &name) const {
    nlohmann::json config = nlohmann::json::object();
    if (name == "llama3" || name == "llama2")
      config["bos_token"] = name == "llama3" ? "<|begin_of_text|>" : "<s>";
    return fromParts(read(name), config);
  }

  /// The error of these files, less the folder.
  std::string errorIn(const std::string &file, const std::string &config = R"({"eos_token": "</s>"})") const {
    TokenizerConfig made;
    made.component = "torchtune.modules.transforms.tokenizers.HuggingFaceModelTokenizer";
    made.path = write("tokenizer.json", file);
    made.tokenizerConfigPath = write("tokenizer_config.json", config);
    std::string error = errorOf(made);
    return error.starts_with(root + "/") ? error.substr(root.size() + 1) : error;
  }

  std::string root;
};

} // namespace ftc

#endif // FTC_TEST_UNIT_TOKENIZER_HUGGINGFACEFIXTURE_H

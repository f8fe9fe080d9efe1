//===- FtrunHarness.h - Runs ftrun as a person does ------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_TRAINER_FTRUNHARNESS_H
#define FTC_TEST_UNIT_TRAINER_FTRUNHARNESS_H

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace ftc::test {

namespace fs = std::filesystem;

/// Of FakeManifest.cpp.
inline constexpr size_t RowTokens = 64, BatchTokens = 128;

inline std::string fakeStep(const std::string &name) { return FTC_BINARY_DIR "/test/support/fake_" + name + ".so"; }

inline std::string readText(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A program that runs.
struct Process {
  pid_t id = 0;
  fs::path output;

  /// Starts `program` with its standard output and error in a file; the output in `toDescriptor` instead, if there is
  /// one.
  Process(const std::string &program, std::vector<std::string> arguments, const fs::path &output,
          const std::string &preload = "", int toDescriptor = -1)
      : output(output) {
    arguments.insert(arguments.begin(), program);
    std::vector<char *> pointers;
    for (std::string &argument : arguments)
      pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    id = fork();
    if (id == 0) {
      if (!freopen(output.c_str(), "w", stdout) || dup2(1, 2) < 0 || (toDescriptor >= 0 && dup2(toDescriptor, 1) < 0))
        _exit(99);
      if (!preload.empty())
        setenv("LD_PRELOAD", preload.c_str(), 1);
      execv(program.c_str(), pointers.data());
      _exit(99);
    }
  }

  /// Waits for the end. Exit code, or minus the number of the signal that killed it.
  int wait() {
    int status = 0;
    while (waitpid(id, &status, 0) < 0 && errno == EINTR)
      ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
};

/// A folder of its own for each test.
class FtrunTest : public testing::Test {
protected:
  void SetUp() override {
    const auto *info = testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::path(testing::TempDir()) / ("ftrun-" + std::to_string(getpid()) + "-" + info->name());
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override {
    if (!HasFailure())
      fs::remove_all(folder);
  }

  std::string at(const std::string &name) const { return (folder / name).string(); }

  /// A file of 16-bit token ids: a sequence that a bigram model can learn.
  std::string tokenFile(size_t count, uint16_t below = 60, const std::string &name = "tokens.bin") {
    std::ofstream file(at(name), std::ios::binary);
    uint32_t state = 1;
    uint16_t id = 0;
    for (size_t index = 0; index < count; ++index) {
      state = state * 1664525u + 1013904223u;
      id = static_cast<uint16_t>((id * 3 + 1 + (state >> 30)) % below);
      file.write(reinterpret_cast<const char *>(&id), 2);
    }
    return at(name);
  }

  std::string textFile(const std::string &text, const std::string &name = "text.txt") {
    std::ofstream(at(name)) << text;
    return at(name);
  }

  Process start(std::vector<std::string> arguments, const std::string &preload = "") {
    return Process(FTC_BINARY_DIR "/bin/ftrun", std::move(arguments), folder / "output", preload);
  }
  /// Runs ftrun to its end; what it printed is in `said`.
  int run(std::vector<std::string> arguments, const std::string &preload = "") {
    int code = start(std::move(arguments), preload).wait();
    said = readText(folder / "output");
    return code;
  }

  std::vector<nlohmann::json> metrics(const std::string &out) const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(fs::path(out) / "metrics.jsonl");
    for (std::string line; std::getline(file, line);)
      lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  /// Both checkpoints hold the same parameters and the same states.
  void expectEqual(const fs::path &left, const fs::path &right) const {
    for (const char *file : {"model.safetensors", "state.safetensors"}) {
      std::string one = readText(left / file), two = readText(right / file);
      EXPECT_GT(one.size(), 100'000u) << left / file;
      EXPECT_TRUE(one == two) << left / file << " and " << right / file << " differ";
    }
  }

  /// Waits until `ready()`; false after half a minute.
  static bool waitFor(const std::function<bool()> &ready) {
    for (int tries = 0; tries < 6000; ++tries) {
      if (ready())
        return true;
      usleep(5000);
    }
    return false;
  }

  fs::path folder;
  std::string said;
};

} // namespace ftc::test

#endif // FTC_TEST_UNIT_TRAINER_FTRUNHARNESS_H

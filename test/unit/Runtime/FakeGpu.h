//===- FakeGpu.h - Steps for a GPU on the fake driver ----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef FTC_TEST_UNIT_RUNTIME_FAKEGPU_H
#define FTC_TEST_UNIT_RUNTIME_FAKEGPU_H

#include "ftc/Runtime/RunError.h"

#include <cstdlib>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace ftc::test {

/// An environment variable for the length of a test.
class Variable {
public:
  Variable(const char *name, const std::string &value) : name(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name); }
  Variable(const Variable &) = delete;
  Variable &operator=(const Variable &) = delete;

private:
  const char *name;
};

/// The libraries of test/support/cuda are found, and the driver's calls are logged.
class FakeGpuTest : public testing::Test {
protected:
  FakeGpuTest() : log(testing::TempDir() + "fake-cuda-" + std::to_string(getpid()) + ".log") {
    setenv("FTRT_CUDA_LIBS", FTC_BINARY_DIR "/test/support/cuda", 1);
    setenv("FAKE_CUDA_LOG", log.c_str(), 1);
  }

  /// What was called since the last time.
  std::vector<std::string> calls() {
    std::ifstream file(log);
    file.seekg(read);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
      read += static_cast<std::streamoff>(line.size()) + 1;
      lines.push_back(line);
    }
    return lines;
  }

  static size_t count(const std::vector<std::string> &lines, const std::string &start) {
    size_t found = 0;
    for (const std::string &line : lines)
      found += line.starts_with(start);
    return found;
  }

private:
  std::string log;
  static inline std::streamoff read = 0; ///< the driver keeps one log open
};

/// Runs `body`, which must throw RunError(code) with all `parts` in its message.
inline void expectRefusal(ExitCode code, const std::vector<std::string> &parts, const std::function<void()> &body) {
  try {
    body();
    ADD_FAILURE() << "not refused: " << parts.front();
  } catch (const RunError &error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string &part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
  }
}

} // namespace ftc::test

#endif // FTC_TEST_UNIT_RUNTIME_FAKEGPU_H

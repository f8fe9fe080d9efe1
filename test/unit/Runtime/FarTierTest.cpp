//===- FarTierTest.cpp - The far tier of a run -----------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Runtime/FarTier.h"
#include "ftc/Runtime/RunError.h"

#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace ftc {
namespace {

std::string folder() {
  std::string path = testing::TempDir() + "far-tier-" + std::to_string(getpid());
  std::filesystem::create_directories(path);
  return path;
}

template <typename F> void expectError(ExitCode code, const std::string &part, F &&body) {
  try {
    body();
    ADD_FAILURE() << "expected an error with: " << part;
  } catch (const RunError &error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(FarTier, GivesBackWhatItTook) {
  constexpr uint64_t block = 10'000, blocks = 1000; // more than a queue holds
  FarTier far(folder(), block * blocks);
  std::vector<unsigned char> out(block * blocks), in(block * blocks);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<unsigned char>((i * 2654435761u) >> 24);
  uint64_t last = 0;
  for (uint64_t i = 0; i < blocks; ++i)
    last = far.beginWrite(i * block, out.data() + i * block, block);
  // Copies of one direction are over in the order in which they began.
  ASSERT_TRUE(far.wait(last));
  for (uint64_t i = blocks; i-- > 0;)
    last = far.beginRead(i * block, in.data() + i * block, block);
  ASSERT_TRUE(far.wait(last));
  EXPECT_EQ(in, out);
  EXPECT_EQ(far.highestWritten(), block * blocks);
  EXPECT_EQ(far.bytes(), block * blocks);
  EXPECT_EQ(far.failure(), "");
}

TEST(FarTier, ReservesItsSpaceAndLeavesNoName) {
  const std::string where = folder();
  FarTier far(where, 1 << 20);
  struct stat info;
  ASSERT_EQ(fstat(far.descriptor(), &info), 0);
  EXPECT_EQ(info.st_size, 1 << 20);
  EXPECT_GE(info.st_blocks * 512, 1 << 20);
  EXPECT_TRUE(std::filesystem::is_empty(where));
  // A new file holds zeros.
  std::vector<char> bytes(4096, 'x');
  far.read(12345, bytes.data(), bytes.size());
  EXPECT_EQ(bytes, std::vector<char>(4096, 0));
  EXPECT_EQ(far.highestWritten(), 0u);
}

TEST(FarTier, RefusesAFolderThatIsNotThere) {
  expectError(ExitCode::NoFile, "/nonexistent/folder: cannot make the file of the far tier there: No such file",
              [] { FarTier far("/nonexistent/folder", 4096); });
}

TEST(FarTier, RefusesWhatDoesNotFit) {
  // The system sends a signal along with the error; the default action would end the program.
  auto old = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit, small;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  small = limit;
  small.rlim_cur = 1 << 16;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  expectError(ExitCode::NoMemory, "cannot reserve 1048576 bytes (1.00 MiB) for the far tier there: File too large",
              [] { FarTier far(folder(), 1 << 20); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, old);
}

TEST(FarTier, TellsOfAShortFile) {
  FarTier far(folder(), 1 << 16);
  ASSERT_EQ(ftruncate(far.descriptor(), 1 << 15), 0);
  std::vector<char> bytes(1 << 15);
  EXPECT_TRUE(far.wait(far.beginRead(0, bytes.data(), bytes.size())));
  uint64_t bad = far.beginRead(1 << 14, bytes.data(), bytes.size());
  EXPECT_FALSE(far.wait(bad));
  EXPECT_NE(far.failure().find("cannot read 32768 bytes at byte 16384: the file is shorter than its 65536 bytes"),
            std::string::npos)
      << far.failure();
  // From then on nothing is copied, and every wait tells.
  EXPECT_FALSE(far.wait(far.beginWrite(0, bytes.data(), bytes.size())));
  EXPECT_EQ(far.highestWritten(), 0u);
  far.drain();
}

TEST(FarTier, TellsOfAWriteThatFails) {
  FarTier far(folder(), 1 << 20);
  auto old = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit, small;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  small = limit;
  small.rlim_cur = 1 << 16;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::vector<char> bytes(4096);
  expectError(ExitCode::StepFailed, "cannot write 4096 bytes at byte 524288: File too large",
              [&] { far.write(1 << 19, bytes.data(), bytes.size()); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, old);
}

} // namespace
} // namespace ftc

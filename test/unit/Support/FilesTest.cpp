//===- FilesTest.cpp - Files whole or not at all -------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Files.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

using namespace ftc;
namespace fs = std::filesystem;

namespace {
class Files : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ftc-files-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { fs::remove_all(folder); }

  size_t count() const { return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator())); }

  fs::path folder;
  std::string error;
};
} // namespace

TEST_F(Files, RoundTripAndReplace) {
  std::string path = folder / "a.bin", contents, data("x\0y\n", 4);
  ASSERT_TRUE(writeFileAtomically(path, data, error)) << error;
  ASSERT_TRUE(readFile(path, contents, error)) << error;
  EXPECT_EQ(contents, data);
  std::string large(3 << 20, 'q');
  ASSERT_TRUE(writeFileAtomically(path, large, error)) << error;
  ASSERT_TRUE(readFile(path, contents, error)) << error;
  EXPECT_EQ(contents, large);
  EXPECT_EQ(count(), 1u);
}

TEST_F(Files, WithoutCommitTheOldFileStays) {
  std::string path = folder / "a", contents;
  ASSERT_TRUE(writeFileAtomically(path, "old", error));
  {
    AtomicFile file(path);
    EXPECT_TRUE(file.write("new"));
    EXPECT_EQ(count(), 2u);
  }
  EXPECT_EQ(count(), 1u);
  ASSERT_TRUE(readFile(path, contents, error));
  EXPECT_EQ(contents, "old");
}

TEST_F(Files, PiecesAppearAtCommit) {
  std::string path = folder / "pieces", contents;
  AtomicFile file(path);
  EXPECT_TRUE(file.write("one "));
  EXPECT_TRUE(file.write("two"));
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(file.commit());
  ASSERT_TRUE(readFile(path, contents, error));
  EXPECT_EQ(contents, "one two");
  EXPECT_FALSE(file.write("three"));
  EXPECT_FALSE(file.commit());
}

TEST_F(Files, ErrorsNameThePathAndTheCause) {
  std::string contents, missing = folder / "no" / "file";
  EXPECT_FALSE(readFile(missing, contents, error));
  EXPECT_EQ(error, "cannot read '" + missing + "': No such file or directory");
  EXPECT_FALSE(readFile(folder, contents, error));
  EXPECT_EQ(error, "cannot read '" + folder.string() + "': it is a folder, a file is needed");
  EXPECT_FALSE(writeFileAtomically(missing, "x", error));
  EXPECT_EQ(error, "cannot write '" + missing + "': No such file or directory (does the folder exist?)");
  EXPECT_FALSE(writeFileAtomically(folder, "x", error));
  EXPECT_EQ(error, "cannot write '" + folder.string() + "': Is a directory");
  EXPECT_EQ(count(), 0u);
}

TEST_F(Files, LinksAndDevicesStayWhatTheyAre) {
  std::string path = folder / "a", link = folder / "link", pipe = folder / "pipe", device = folder / "null", contents;
  ASSERT_TRUE(writeFileAtomically(path, "old", error));
  fs::create_symlink("a", link);
  ASSERT_TRUE(writeFileAtomically(link, "new", error)) << error;
  EXPECT_TRUE(fs::is_symlink(link));
  ASSERT_TRUE(readFile(path, contents, error));
  EXPECT_EQ(contents, "new");

  fs::create_symlink("/dev/null", device);
  ASSERT_TRUE(writeFileAtomically(device, "gone", error)) << error;
  EXPECT_TRUE(fs::is_character_file(device));
  EXPECT_EQ(fs::read_symlink(device), "/dev/null");

  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_TRUE(writeFileAtomically(pipe, "through", error)) << error;
  char read[16] = {};
  EXPECT_EQ(::read(reader, read, sizeof read), 7);
  EXPECT_STREQ(read, "through");
  close(reader);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(count(), 4u);
}

TEST_F(Files, AFailureInTheMiddleLeavesTheOldFile) {
  std::string path = folder / "a", contents;
  ASSERT_TRUE(writeFileAtomically(path, "old", error));
  // A limit on the size of files stands in for a full disk.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1 << 16;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool written = writeFileAtomically(path, std::string(1 << 20, 'x'), error);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(written);
  EXPECT_EQ(error, "cannot write '" + path + "': File too large");
  ASSERT_TRUE(readFile(path, contents, error));
  EXPECT_EQ(contents, "old");
  EXPECT_EQ(count(), 1u);
}

TEST_F(Files, UnnamedFilesAreNoStandardStreams) {
  const int in = dup(STDIN_FILENO);
  close(STDIN_FILENO);
  const int file = openUnnamedFile(folder);
  EXPECT_GT(file, STDERR_FILENO);
  EXPECT_EQ(fcntl(file, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(write(file, "x", 1), 1);
  EXPECT_LT(fcntl(STDIN_FILENO, F_GETFD), 0);
  openStandardStreams();
  struct stat stream, null;
  EXPECT_EQ(fstat(STDIN_FILENO, &stream), 0);
  EXPECT_EQ(stat("/dev/null", &null), 0);
  EXPECT_EQ(stream.st_rdev, null.st_rdev);
  close(file);
  if (in >= 0) {
    dup2(in, STDIN_FILENO);
    close(in);
  }
}

TEST(Paths, InsideOfAFolder) {
  for (const auto &[path, folder, inside] :
       {std::tuple("out", "out", ""), std::tuple("out/", "out", ""), std::tuple("./out//a/b/", "out/", "a/b"),
        std::tuple("out/../out/a", "out", "a"), std::tuple("/o/a", "/o", "a"), std::tuple("a", ".", "a"),
        std::tuple("..a", ".", "..a"), std::tuple("/a", "/", "a")})
    EXPECT_EQ(pathInside(path, folder), inside) << path << " in " << folder;
  for (const auto &[path, folder] : {std::pair("outx", "out"), std::pair("out", "out/a"), std::pair("out/..", "out"),
                                     std::pair("/out", "out"), std::pair("", "out"), std::pair("..", ".")})
    EXPECT_EQ(pathInside(path, folder), std::nullopt) << path << " in " << folder;
}

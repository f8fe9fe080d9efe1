//===- EventFileTest.cpp - What TensorBoard reads ---------------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Trainer/EventFile.h"

#include "ftc/Runtime/RunError.h"

#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

using namespace ftc;

namespace {

std::string hexOf(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string hex;
  for (std::istreambuf_iterator<char> it(file), end; it != end; ++it)
    hex += fmt::format("{:02x}", static_cast<unsigned char>(*it));
  return hex;
}

// Bytes of TensorBoard 2.21's RecordWriter and its Event of the same values.
TEST(EventFile, HasTensorBoardsBytes) {
  const std::string path = testing::TempDir() + "tfevents-golden";
  {
    EventFile events(path, 1.5);
    events.add("loss", 7, 2.5f, 2.25);
    events.add("val_loss", 300, NAN, 1795719997.125);
    events.sync();
  }
  EXPECT_EQ(hexOf(path),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"
            "1a00000000000000129bd82d09000000000000024010072a0d0a0b0a046c6f7373150000"
            "2040b7069a02"
            "1f00000000000000514b441809000048cf20c2da4110ac022a110a0f0a0876616c5f6c6f7373150000c07fff51deff");
}

TEST(EventFile, IsMadeInAFolderOfItsOwn) {
  const std::string folder = testing::TempDir() + "tfevents-folder/a/b";
  std::filesystem::remove_all(folder);
  const std::string path = newEventFile(folder);
  EXPECT_TRUE(path.starts_with(folder + "/events.out.tfevents.1")) << path;
  EventFile events(path, 1);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_THROW(EventFile(folder + "/none/file", 1), RunError);
  std::ofstream(folder + "/file") << "x";
  EXPECT_THROW(newEventFile(folder + "/file"), RunError);
}

} // namespace

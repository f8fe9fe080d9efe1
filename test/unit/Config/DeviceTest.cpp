//===- DeviceTest.cpp - Device files, and what is said of wrong ones ------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Config/Device.h"

#include <gtest/gtest.h>

using namespace ftc;

namespace {

const std::string whole = "name: mine\n"
                          "architecture: sm_89\n"
                          "ptx: 7.8\n"
                          "multiprocessors: 128\n"
                          "shared_memory_per_block: 99KiB\n"
                          "l2_cache: 72MiB\n"
                          "memory: 24564MiB\n"
                          "product_workspace: 4MiB\n"
                          "attention_workspace: 0\n"
                          "matrix_flops_per_second: 165e12\n"
                          "memory_bytes_per_second: 1008e9\n"
                          "link_bytes_per_second: 32e9\n";

/// All errors of a device file, a line each.
std::string errors(const std::string &text) {
  std::vector<Diagnostic> diags;
  EXPECT_FALSE(parseDevice(text, "d.yaml", diags));
  std::string all;
  for (const Diagnostic &message : diags)
    all += (all.empty() ? "" : "\n") + message.str();
  return all;
}

std::string with(const std::string &line, const std::string &other) {
  std::string text = whole;
  return text.replace(text.find(line), line.size(), other);
}

TEST(Device, ReadsEveryKey) {
  std::vector<Diagnostic> diags;
  std::optional<DeviceFile> device = parseDevice(whole, "d.yaml", diags);
  ASSERT_TRUE(device) << diags.front().str();
  EXPECT_EQ(device->name, "mine");
  EXPECT_EQ(device->architecture, "sm_89");
  EXPECT_EQ(device->ptxVersion, 78);
  EXPECT_EQ(device->multiprocessors, 128);
  EXPECT_EQ(device->sharedBytesABlock, 99 << 10);
  EXPECT_EQ(device->l2Bytes, 72 << 20);
  EXPECT_EQ(device->memoryBytes, 24564ll << 20);
  EXPECT_EQ(device->productWorkspaceBytes, 4 << 20);
  EXPECT_EQ(device->matrixFlopsPerSecond, 165e12);
  EXPECT_EQ(device->memoryBytesPerSecond, 1008e9);
  EXPECT_EQ(device->linkBytesPerSecond, 32e9);
  // The normal form says the same.
  std::optional<DeviceFile> again = parseDevice(device->yaml(), "again.yaml", diags);
  ASSERT_TRUE(again) << diags.front().str();
  EXPECT_EQ(again->yaml(), device->yaml());
  EXPECT_NE(device->yaml().find("l2_cache: 75497472\n"), std::string::npos);
}

TEST(Device, KnowsWhatIsBuiltIn) {
  EXPECT_EQ(knownDevices(),
            (std::vector<std::string>{"a10", "a100-40", "a100", "b200", "h100", "h200", "l40s", "rtx3090", "rtx4090"}));
  for (const std::string &name : knownDevices()) {
    std::vector<Diagnostic> diags;
    std::optional<DeviceFile> device = readDevice(name, diags);
    ASSERT_TRUE(device) << diags.front().str();
    EXPECT_EQ(device->name, name);
    // The text that is inside is that of the file.
    std::optional<DeviceFile> file = readDevice(FTC_SOURCE_DIR "/configs/devices/" + name + ".yaml", diags);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->yaml(), device->yaml());
  }
}

TEST(Device, UnknownNamesAndFiles) {
  std::vector<Diagnostic> diags;
  EXPECT_FALSE(readDevice("h20", diags));
  EXPECT_FALSE(readDevice("/nowhere/h100.yaml", diags));
  ASSERT_EQ(diags.size(), 2u);
  EXPECT_EQ(
      diags[0].message,
      "unknown device 'h20'; did you mean 'h200'? known are 'a10', 'a100-40', 'a100', 'b200', 'h100', 'h200', "
      "'l40s', 'rtx3090', 'rtx4090', and files that end in .yaml: for another GPU copy configs/devices/h100.yaml, "
      "write the numbers of its data sheet there, and name that file with --device");
  EXPECT_EQ(diags[1].message, "device file: cannot read '/nowhere/h100.yaml': No such file or directory");
}

TEST(Device, Keys) {
  EXPECT_EQ(errors(with("l2_cache", "l2_cash")),
            "d.yaml:6:1: error: unknown key 'l2_cash' of a device; did you mean 'l2_cache'?\n"
            "d.yaml:1:1: error: a device needs 'l2_cache': a number of bytes above 0, or one with a unit, such as "
            "227KiB (1 PiB at most)");
  EXPECT_EQ(errors("name: x\nname: y\n").substr(0, 10), "d.yaml:2:1");
  EXPECT_EQ(errors(""), "d.yaml:1:1: error: the device file is empty; start from one of configs/devices");
  EXPECT_EQ(errors("- a\n"), "d.yaml:1:1: error: a device file is a map of keys, such as 'multiprocessors: 132'");
}

TEST(Device, Values) {
  EXPECT_EQ(errors(with("sm_89", "sm_7x")), "d.yaml:2:15: error: 'architecture' is 'sm_7x'; it must be LLVM's name of "
                                            "an instruction set from sm_80 on, such as sm_90a");
  for (const char *wrong : {"sm_", "sm_75", "sm_90b", "sm_80a", "sm_95", "compute_90", "sm_9000"})
    EXPECT_NE(errors(with("sm_89", wrong)), "") << wrong;
  EXPECT_EQ(
      errors(with("7.8", "78")),
      "d.yaml:3:6: error: 'ptx' is '78'; it must be a version of PTX that LLVM writes, 7.0 to 7.8, 8.0 to 8.8 or 9.0");
  for (const char *unknown : {"7.9", "8.9", "9.9", "6.5"})
    EXPECT_NE(errors(with("7.8", unknown)), "") << unknown;
  // Versions in which LLVM cannot name the instruction set.
  EXPECT_EQ(errors(with("7.8", "7.0")),
            "d.yaml:3:6: error: 'ptx' is '7.0', and 'sm_89' is in PTX from 7.8 on; write that, or a later version");
  for (const char *newer : {"sm_90a", "sm_100", "sm_100f", "sm_103a", "sm_110", "sm_120", "sm_121a"})
    EXPECT_NE(errors(with("sm_89", newer)), "") << newer;
  std::vector<Diagnostic> none;
  EXPECT_TRUE(parseDevice(with("sm_89", "sm_90"), "d.yaml", none));
  EXPECT_EQ(errors(with("128", "0")),
            "d.yaml:4:18: error: 'multiprocessors' is '0'; it must be a whole number from 1 to 1048576");
  EXPECT_EQ(errors(with("72MiB", "many")), "d.yaml:6:11: error: 'l2_cache' is 'many'; it must be a number of bytes "
                                           "above 0, or one with a unit, such as 227KiB (1 PiB at most)");
  EXPECT_NE(errors(with("72MiB", "2048TiB")), "");
  EXPECT_EQ(errors(with("1008e9", ".inf")), "d.yaml:11:26: error: 'memory_bytes_per_second' is '.inf'; it must be a "
                                            "number above 0, such as 3.35e12");
  EXPECT_EQ(errors(with("attention_workspace: 0", "attention_workspace: -1")),
            "d.yaml:9:22: error: 'attention_workspace' is '-1'; it must be a number of bytes, or one with a unit, such "
            "as 1GiB (1 PiB at most); 0 leaves attention to our own kernels");
  EXPECT_EQ(errors(with("mine", "a/b")),
            "d.yaml:1:7: error: 'name' is 'a/b'; it must be a word of letters, digits, '-' and '_'");
}

} // namespace

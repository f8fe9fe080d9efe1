//===- TextTest.cpp - Suggestions, units, messages -----------------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ftc/Support/Diagnostics.h"
#include "ftc/Support/Processors.h"
#include "ftc/Support/Suggest.h"
#include "ftc/Support/Units.h"
#include "ftc/Support/Wrap.h"

#include <gtest/gtest.h>

using namespace ftc;

TEST(Suggest, Distance) {
  EXPECT_EQ(editDistance("", ""), 0u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance("batch_siez", "batch_size"), 1u);
  EXPECT_EQ(editDistance("ca", "abc"), 3u);
}

TEST(Suggest, NearestOrNothing) {
  std::vector<std::string> keys = {"batch_size", "seed", "shuffle"};
  EXPECT_EQ(nearest("batchsize", keys), "batch_size");
  EXPECT_EQ(nearest("SEED", keys), "seed");
  EXPECT_EQ(nearest("suffle", keys), "shuffle");
  EXPECT_EQ(nearest("optimizer", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
  EXPECT_EQ(nearest(std::string(100000, 's'), keys), std::nullopt);
}

TEST(Units, Bytes) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1.00 KiB");
  EXPECT_EQ(formatBytes(1342177280), "1.25 GiB");
  EXPECT_EQ(formatBytes(1024 * 1024 - 1), "1.00 MiB");
  EXPECT_EQ(formatBytes(200ull << 20), "200 MiB");
  EXPECT_EQ(formatBytes(~0ull), "16.0 EiB");
}

TEST(Units, ReadsBytes) {
  EXPECT_EQ(parseBytes("0"), 0u);
  EXPECT_EQ(parseBytes("4096"), 4096u);
  EXPECT_EQ(parseBytes("800 B"), 800u);
  EXPECT_EQ(parseBytes("12GiB"), 12ull << 30);
  EXPECT_EQ(parseBytes("1.5 kib"), 1536u);
  EXPECT_EQ(parseBytes("800 MB"), 800000000u);
  EXPECT_EQ(parseBytes("2k"), std::nullopt);
  for (const char *wrong : {"", "GiB", "-1", "12 GiBs", "12 XiB", "12 iB", "12 kkB", "inf", "9000 PiB", "1 2"})
    EXPECT_EQ(parseBytes(wrong), std::nullopt) << wrong;
}

TEST(Units, Seconds) {
  EXPECT_EQ(formatSeconds(0), "0.00 ns");
  EXPECT_EQ(formatSeconds(1.25e-5), "12.5 us");
  EXPECT_EQ(formatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(formatSeconds(0.99999), "1.00 s");
  EXPECT_EQ(formatSeconds(4.2), "4.20 s");
  EXPECT_EQ(formatSeconds(185), "3 min 05 s");
  EXPECT_EQ(formatSeconds(8040), "2 h 14 min");
  EXPECT_EQ(formatSeconds(-1), "-");
}

TEST(Units, Counts) {
  EXPECT_EQ(formatCount(950), "950");
  EXPECT_EQ(formatCount(49152), "49.2 k");
  EXPECT_EQ(formatCount(1.2358e9), "1.24 B");
  EXPECT_EQ(formatFlops(950), "950 FLOP");
  EXPECT_EQ(formatFlops(1.2358e9), "1.24 GFLOP");
  EXPECT_EQ(formatFlops(9.9949e14), "999 TFLOP");
  EXPECT_EQ(formatFlops(-1), "-");
}

TEST(Diagnostics, Places) {
  EXPECT_EQ((Diagnostic{Severity::Error, "a.yaml", 3, 5, "no"}).str(), "a.yaml:3:5: error: no");
  EXPECT_EQ((Diagnostic{Severity::Warning, "a.yaml", 0, 0, "hm"}).str(), "a.yaml: warning: hm");
  EXPECT_EQ((Diagnostic{Severity::Remark, "", 0, 0, "so"}).str(), "remark: so");
}

TEST(Wrap, BreaksBetweenWords) {
  EXPECT_EQ(wrapped("", 5), "");
  EXPECT_EQ(wrapped("ab cd", 5), "ab cd");
  EXPECT_EQ(wrapped("ab cde", 5), "ab\ncde");
  EXPECT_EQ(wrapped("ab cd ef gh", 5), "ab cd\nef gh");
  EXPECT_EQ(wrapped("ab\ncd ef gh", 5), "ab\ncd ef\ngh");
  EXPECT_EQ(wrapped("abcdefgh ij kl mn", 5), "abcdefgh\nij kl\nmn"); // a word alone may be longer
}

TEST(Processors, OfAQuota) {
  EXPECT_EQ(processorsOfQuota("max 100000\n"), 0u);
  EXPECT_EQ(processorsOfQuota(""), 0u);
  EXPECT_EQ(processorsOfQuota("100000"), 0u);
  EXPECT_EQ(processorsOfQuota("100000 0"), 0u);
  EXPECT_EQ(processorsOfQuota("400000 100000\n"), 4u);
  EXPECT_EQ(processorsOfQuota("250000 100000\n"), 3u);
  EXPECT_EQ(processorsOfQuota("1000 100000\n"), 1u);
  EXPECT_GE(availableProcessors(), 1u);
}

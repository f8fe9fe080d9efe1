//===- EmulatedStreamsTest.cpp - Streams find events that are missing -----===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStreams.h"

#include "gtest/gtest.h"

using namespace ftc::test;

namespace {

constexpr EmulatedStreams::Order computeFirst{FTRT_STREAM_COMPUTE, FTRT_STREAM_COPY_IN, FTRT_STREAM_COPY_OUT,
                                              FTRT_STREAM_DECODE},
    computeLast{FTRT_STREAM_DECODE, FTRT_STREAM_COPY_OUT, FTRT_STREAM_COPY_IN, FTRT_STREAM_COMPUTE};

/// a on the compute stream, then b on the other between two events, c beside it, and d behind both.
std::string order(const EmulatedStreams::Order &streams, bool before, bool after) {
  std::string ran;
  EmulatedStreams queues;
  auto add = [&](uint32_t stream, char name) { queues.queue(stream, [&ran, name] { ran += name; }); };
  add(FTRT_STREAM_COMPUTE, 'a');
  queues.record(FTRT_STREAM_COMPUTE, 0);
  if (before) {
    EXPECT_TRUE(queues.wait(FTRT_STREAM_DECODE, 0));
  }
  add(FTRT_STREAM_DECODE, 'b');
  queues.record(FTRT_STREAM_DECODE, 1);
  add(FTRT_STREAM_COMPUTE, 'c');
  if (after) {
    EXPECT_TRUE(queues.wait(FTRT_STREAM_COMPUTE, 1));
  }
  add(FTRT_STREAM_COMPUTE, 'd');
  std::string wrong = queues.run(streams);
  return wrong + ran;
}

TEST(EmulatedStreams, RunAsEarlyOrAsLateAsEventsAllow) {
  EXPECT_EQ(order(computeFirst, true, true), "acbd");
  EXPECT_EQ(order(computeLast, true, true), "abcd");
  // Without the event before it, the work comes too early; without the one behind it, too late.
  EXPECT_EQ(order(computeLast, false, true), "bacd");
  EXPECT_EQ(order(computeFirst, true, false), "the entry ends while stream 3 may still be at workacdb");
}

TEST(EmulatedStreams, AnEventIsWhatWasRecordedLast) {
  EmulatedStreams queues;
  std::string ran;
  auto add = [&](uint32_t stream, char name) { queues.queue(stream, [&ran, name] { ran += name; }); };
  EXPECT_FALSE(queues.wait(FTRT_STREAM_COMPUTE, 0));
  add(FTRT_STREAM_COPY_IN, 'a');
  queues.record(FTRT_STREAM_COPY_IN, 0);
  EXPECT_TRUE(queues.wait(FTRT_STREAM_COPY_OUT, 0));
  add(FTRT_STREAM_COPY_IN, 'b');
  queues.record(FTRT_STREAM_COPY_IN, 0);
  add(FTRT_STREAM_COPY_OUT, 'c'); // behind a
  EXPECT_TRUE(queues.wait(FTRT_STREAM_COMPUTE, 0));
  add(FTRT_STREAM_COMPUTE, 'd'); // behind b
  queues.record(FTRT_STREAM_COPY_OUT, 1);
  EXPECT_TRUE(queues.wait(FTRT_STREAM_COMPUTE, 1));
  EXPECT_EQ(queues.run({FTRT_STREAM_COMPUTE, FTRT_STREAM_COPY_OUT, FTRT_STREAM_COPY_IN, FTRT_STREAM_DECODE}), "");
  EXPECT_EQ(ran, "acbd");
  EXPECT_FALSE(queues.wait(FTRT_STREAM_COMPUTE, 0)); // of the last run
}

} // namespace

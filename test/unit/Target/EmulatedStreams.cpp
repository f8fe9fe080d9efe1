//===- EmulatedStreams.cpp - What is queued on a GPU's streams ------------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmulatedStreams.h"

#include <algorithm>

using namespace ftc::test;

void EmulatedStreams::queue(uint32_t stream, std::function<void()> work) {
  items[stream].push_back({std::move(work), latest[stream]});
  ++latest[stream][stream];
}

void EmulatedStreams::record(uint32_t stream, uint32_t event) {
  events.resize(std::max<size_t>(events.size(), event + 1));
  events[event] = {true, latest[stream]};
}

bool EmulatedStreams::wait(uint32_t stream, uint32_t event) {
  if (event >= events.size() || !events[event].recorded)
    return false;
  for (size_t other = 0; other < FTRT_STREAM_COUNT; ++other)
    latest[stream][other] = std::max(latest[stream][other], events[event].clock[other]);
  return true;
}

std::string EmulatedStreams::run(const Order &order) {
  Clock over{};
  auto next = [&](uint32_t stream) {
    if (items[stream].empty())
      return false;
    const Item &item = items[stream].front();
    for (size_t other = 0; other < FTRT_STREAM_COUNT; ++other)
      if (over[other] < item.after[other])
        return false;
    item.work();
    items[stream].pop_front();
    ++over[stream];
    return true;
  };
  while (std::any_of(order.begin(), order.end(), next))
    ;
  std::string wrong;
  // A work waits for earlier ones only, so all have run.
  for (uint32_t stream = 0; stream < FTRT_STREAM_COUNT; ++stream)
    if (latest[FTRT_STREAM_COMPUTE][stream] < latest[stream][stream])
      wrong = "the entry ends while stream " + std::to_string(stream) + " may still be at work";
  clear();
  return wrong;
}
